"""Our controllers in the place of Kubernetes' own, in a cluster that those left behind."""

from __future__ import annotations

import msgspec
import pytest
import trio

from cacher.simulation import find_trace, load_trace, open_reenactment, run_deterministic
from cacher.storage.etcd import Snapshot

NAMES = ["rollout", "finalizers-and-gc"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_they_take_over_a_cluster_at_rest_and_write_nothing_but_what_kubelets_say(name):
    trace = load_trace(find_trace(name))

    async def main():
        async with open_reenactment(trace) as stage:
            await stage.at(120)
            return await stage._history(), await stage.outcome()

    history, outcome = run_deterministic(main, seed=1)
    resources = {key.split("/")[2] for _, key, _ in history}
    assert resources == {"leases", "minions"}
    assert outcome.failures == ()


def test_a_cluster_whose_time_of_day_nobody_knows_is_not_reenacted(run_trio):
    trace = load_trace(find_trace("rollout"))
    kvs = [kv for kv in trace.snapshot.kvs if b"/leases/" not in kv.key]
    trace = msgspec.structs.replace(trace, snapshot=Snapshot(trace.snapshot.revision, kvs))

    async def main():
        async with open_reenactment(trace):
            await trio.lowlevel.checkpoint()

    with pytest.raises(ValueError, match="its time of day is unknown"):
        run_trio(main)


@pytest.mark.slow
def test_whoever_does_nothing_ends_with_other_objects_than_recorded():
    """The comparison can fail."""
    trace = load_trace(find_trace("finalizers-and-gc"))

    async def main():
        async with open_reenactment(trace) as stage:
            await stage.at(10)
            return await stage.outcome()

    outcome = run_deterministic(main, seed=1)
    assert "Namespace gc: only in theirs" in outcome.differences
    assert outcome.recorded.tested["foreground"] > outcome.ours.tested["foreground"] == 0
