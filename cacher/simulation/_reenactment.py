"""A recorded control plane's beginning, our controllers, and a script of what users did: does it end as it ended there?

trace.snapshot ─► open_cluster ─► cluster_controllers ─► the script's operations, at the recorded times
                                                      └─► end: canonical states compared; deletion order of both histories
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, final

import msgspec
import trio

from .._assembly import Cluster, open_cluster
from ..controllers import (
    ClusterControllers,
    ClusterOptions,
    KubeletOptions,
    NamespaceDefaultsOptions,
    cluster_controllers,
)
from ..storage.etcd import prefix_end
from ._canonical import canonical_state, state_differences
from ._deletion_order import Kept, deletion_order
from ._determinism import Streams
from ._trace import Trace

JSONObject = dict[str, Any]

NOT_OURS = ("openshift-service-ca.crt",)
"""Objects that only the recorded build of Kubernetes makes."""


class Outcome(msgspec.Struct, frozen=True):
    """How it ended."""

    differences: tuple[str, ...]
    """Between the recorded end state and ours, a line each."""
    objects: int
    """How many objects were compared."""
    recorded: Kept
    """What the recorded history says to the claims about the order of deletions."""
    ours: Kept
    """What ours says."""
    failures: tuple[str, ...]
    """Reconciles that raised something else than a Conflict."""


@final
class Reenactment:
    """The cluster while its users act. Made by `open_reenactment`."""

    def __init__(self, trace: Trace, cluster: Cluster, controllers: ClusterControllers) -> None:
        self.trace = trace
        self.cluster = cluster
        self.controllers = controllers
        self._start_revision = cluster.etcd.revision
        self._began_s = trio.current_time()

    async def at(self, t: float) -> None:
        """Return `t` seconds after the beginning: the trace's own zero."""
        await trio.sleep_until(self._began_s + t)

    async def outcome(self) -> Outcome:
        """What it came to by now."""
        start = {kv.key.decode(): kv.value for kv in self.trace.snapshot.kvs}
        recorded = [(event.revision, event.key, event.value) for event in self.trace.events]
        ours = await self._history()
        theirs_state = canonical_state(_objects(_after(start, recorded)), without=NOT_OURS)
        our_state = canonical_state(_objects(_after(start, ours)), without=NOT_OURS)
        return Outcome(
            differences=tuple(state_differences(theirs_state, our_state)),
            objects=len(theirs_state),
            recorded=deletion_order(start, recorded),
            ours=deletion_order(start, ours),
            failures=tuple(
                f"{one.name}: {one.failures - one.conflicts}, the last one of all: {one.last_error}"
                for one in self.controllers.statistics()
                if one.failures > one.conflicts
            ),
        )

    async def _history(self) -> list[tuple[int, str, bytes]]:
        """All that was written since the beginning, as etcd has it."""
        root, last = b"/registry/", self.cluster.etcd.revision
        found: list[tuple[int, str, bytes]] = []
        async with self.cluster.etcd.watch(root, prefix_end(root), start_revision=self._start_revision + 1) as watch:
            with trio.move_on_after(1.0):  # the last revision may be none of this prefix
                while not found or found[-1][0] < last:
                    response = await watch.receive()
                    found += [
                        (event.kv.mod_revision, event.kv.key.decode(), event.kv.value) for event in response.events
                    ]
        return found


def _after(start: dict[str, bytes], events: list[tuple[int, str, bytes]]) -> dict[str, bytes]:
    state = dict(start)
    for _, key, value in events:
        if value:
            state[key] = value
        else:
            state.pop(key, None)
    return state


def _objects(state: dict[str, bytes]) -> list[JSONObject]:
    found = [msgspec.json.decode(value) for value in state.values()]
    return [one for one in found if isinstance(one, dict) and "metadata" in one]


@asynccontextmanager
async def open_reenactment(
    trace: Trace, *, seed: int = 0, options: ClusterOptions | None = None
) -> AsyncIterator[Reenactment]:
    """The cluster of the trace's beginning, at its time of day, with our controllers in the place of Kubernetes'.

    Args:
        options: rates and delays; by default as many kubelets as the trace has nodes, images that end in `:bad` missing, and
            the trace's own root certificates.
    """
    chance = Streams(seed)
    nodes = sum(kv.key.startswith(b"/registry/minions/") for kv in trace.snapshot.kvs)
    usual = ClusterOptions(
        kubelets=KubeletOptions(nodes=nodes, missing_images=("*:bad",)),
        namespace_defaults=NamespaceDefaultsOptions(root_certificates=_root_certificates(trace)),
    )
    async with open_cluster(
        snapshot=trace.snapshot,
        random=chance.stream("cluster"),
        epoch_s=_time_of(trace) - trio.current_time(),
        compaction_period_s=0,  # the history is read in the end
    ) as cluster:
        made = cluster_controllers(
            cluster,
            random=chance.stream("controllers"),
            clock=cluster.clock,
            options=options if options is not None else usual,
        )
        async with made as controllers:
            yield Reenactment(trace, cluster, controllers)


def _root_certificates(trace: Trace) -> str:
    """What every namespace of that cluster is told to trust."""
    key = b"/registry/configmaps/default/kube-root-ca.crt"
    found: JSONObject = next((msgspec.json.decode(kv.value) for kv in trace.snapshot.kvs if kv.key == key), {})
    return str((found.get("data") or {}).get("ca.crt", ""))


def _time_of(trace: Trace) -> float:
    """The time of day at the beginning, as the last lease to be renewed before it says.

    Raises:
        ValueError: no lease is in the snapshot: nobody knows what time it was.
    """
    times = []
    for kv in trace.snapshot.kvs:
        if kv.key.startswith(b"/registry/leases/"):
            renewed = (msgspec.json.decode(kv.value).get("spec") or {}).get("renewTime")
            times += [datetime.fromisoformat(renewed).timestamp()] if renewed else []
    if not times:
        raise ValueError(f"{trace.name} has no leases in its snapshot: its time of day is unknown")
    return max(times)
