"""Compactor: forgets old history once an interval, however many servers run one over the same etcd.

They agree through one key. Its version is their logical clock; its value is the revision that was compacted last:

    txn: If version(compact_rev_key) = mine  Then put(the revision of an interval ago)  Else get
    won:  compact at that revision, so that one to two intervals of history remain
    lost: somebody else does; take over the version and begin the interval anew

Every compactor also watches the key, and so knows what the others compacted.

Source: kubernetes/apiserver pkg/storage/etcd3/compact.go.
"""

from __future__ import annotations

import contextlib

import msgspec
import trio

from ._protocol import (
    CompactedError,
    Compare,
    CompareTarget,
    Etcd,
    EtcdError,
    EventKind,
    KeyValue,
    Put,
    Range,
    RangeResult,
)

COMPACT_REV_KEY = "compact_rev_key"
"""At the root of etcd, outside every prefix, as Kubernetes has it: its servers and ours can share an etcd."""

INTERVAL_S = 300.0
"""Source: kube-apiserver's --etcd-compaction-interval."""

_RETRY_S = 1.0
"""How soon a watch of the key that broke is opened again."""

_KEY = COMPACT_REV_KEY.encode()


class Tick(msgspec.Struct, frozen=True):
    """What a compactor knows after a turn, and hands to its next."""

    version: int = 0
    """The version of the key: the logical time."""
    revision: int = 0
    """The store's revision at this turn, to be compacted at the next; 0: none is known yet."""
    compacted: int = 0
    """The revision that was compacted last, by whomever; 0: none."""


async def compact_once(etcd: Etcd, tick: Tick) -> Tick:
    """One turn: compact at `tick.revision` if nobody else has had this turn.

    Raises:
        EtcdError: etcd refused; the turn is over all the same.
    """
    result = await etcd.txn(
        [Compare(_KEY, CompareTarget.VERSION, "=", tick.version)],
        [Put(_KEY, str(tick.revision).encode())],
        [Range(_KEY)],
    )
    if not result.succeeded:
        found = result.responses[0]
        assert isinstance(found, RangeResult), "a range is answered by a RangeResult"
        # A key that is gone, which only hands from outside can do, has version 0: the clock starts anew.
        version, compacted = (found.kvs[0].version, _told(found.kvs[0])) if found.kvs else (0, 0)
        return Tick(version, result.revision, compacted)
    if tick.revision:
        with contextlib.suppress(CompactedError):  # by other means, and as far: that will do
            await etcd.compact(tick.revision)
    return Tick(tick.version + 1, result.revision, tick.revision)


class Compactor:
    """Keeps the history of one etcd to one to two intervals, from `run` on.

    Args:
        interval_s: 0: only learn what others compact.
    """

    def __init__(self, etcd: Etcd, *, interval_s: float = INTERVAL_S) -> None:
        self._etcd = etcd
        self._interval_s = interval_s
        self._tick = Tick()
        self._revision = 0

    @property
    def revision(self) -> int:
        """The newest compaction that was seen, own or another's; 0: none."""
        return self._revision

    async def run(self) -> None:
        """Compact and learn until cancelled. Runs once."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._learn, name="compactions of others")
            if self._interval_s:
                nursery.start_soon(self._compact, name="compaction")

    async def _compact(self) -> None:
        while True:
            await trio.sleep(self._interval_s)
            try:
                self._tick = await compact_once(self._etcd, self._tick)
            except (EtcdError, trio.BrokenResourceError):
                # Refused or unreachable: whether the key was written shows at the next turn, which is lost if it was.
                continue
            self._see(self._tick.compacted)

    async def _learn(self) -> None:
        while True:
            try:
                await self._follow()
            except (EtcdError, trio.EndOfChannel, trio.BrokenResourceError):
                await trio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        result = await self._etcd.range(_KEY)
        for kv in result.kvs:
            self._see(_told(kv))
        async with self._etcd.watch(_KEY, start_revision=result.revision + 1) as watch:
            while True:
                for event in (await watch.receive()).events:
                    if event.kind is EventKind.PUT:
                        self._see(_told(event.kv))

    def _see(self, revision: int) -> None:
        self._revision = max(self._revision, revision)


def _told(kv: KeyValue) -> int:
    """The revision in the key; 0 where somebody wrote something else."""
    return int(kv.value) if kv.value.isdigit() else 0
