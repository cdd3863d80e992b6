"""Simulated clients: who they are, and how each kind of them lives from its first list to its last event."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
import pytest
import trio

from cacher import open_cluster
from cacher.simulation._client_plans import ClientPlan, Terms, plan_clients
from cacher.simulation._clients import open_clients
from cacher.simulation._history import Ended, EndReason, Listed, Opened, Received
from cacher.simulation._recorder import Recorder
from cacher.simulation._trace import load_trace
from cacher.simulation._trace_run import catch_up, open_resources, store_histories
from tests.cacher.simulation.busy_trace import write_busy_trace
from watch import EventType

PODS = "/registry/pods/"
OPERATORS = ("=", "==", "!=", "in", "notin", "exists", "!exists")


@pytest.fixture
def stores(tmp_path, run_trio):
    trace = load_trace(write_busy_trace(tmp_path))

    async def read():
        async with open_cluster(snapshot=trace.snapshot, random=Random(1)) as cluster:
            return store_histories(trace, await open_resources(cluster, trace))

    return run_trio(read)


# ---- plans ----------------------------------------------------------------------------------------------------------


def test_the_same_seed_plans_the_same_clients(stores):
    first, again, other = (plan_clients(stores, 200, Random(seed), duration_s=50) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_plans_are_numbered_in_order_and_as_many_as_asked_for(stores):
    for count in (0, 1, 30, 333):
        assert [plan.number for plan in plan_clients(stores, count, Random(1), duration_s=50)] == list(range(count))


@pytest.mark.parametrize("seed", range(5))
def test_thirty_clients_ask_in_every_way_there_is(stores, seed):
    kinds = {plan.kind for plan in plan_clients(stores, 30, Random(seed), duration_s=50) if plan.prefix == PODS}
    assert kinds >= {f"label {operator}" for operator in OPERATORS}
    assert kinds >= {"all", "namespace", "one object", "field spec.nodeName", "field status.phase", "several terms"}


@pytest.mark.parametrize("seed", range(5))
def test_ten_clients_are_enough_for_every_behaviour(stores, seed):
    plans = plan_clients(stores, 10, Random(seed), duration_s=50)
    assert any(plan.is_slow for plan in plans)
    assert any(plan.close_after_batches for plan in plans)
    assert any(plan.streaming for plan in plans)
    assert any(plan.start_at_s for plan in plans)
    assert not all(plan.is_slow or plan.close_after_batches or plan.streaming or plan.start_at_s for plan in plans)


def test_of_many_clients_most_read_pods_and_few_behave_oddly(stores):
    plans = plan_clients(stores, 1000, Random(1), duration_s=50)
    assert Counter(plan.prefix for plan in plans)[PODS] == 600
    assert sum(plan.is_slow for plan in plans) == 20
    assert sum(plan.close_after_batches > 0 for plan in plans) == 20
    assert sum(plan.start_at_s > 0 for plan in plans) == 50
    assert 20 <= sum(plan.streaming for plan in plans) <= 70


def test_every_resource_has_a_client_and_every_value_is_from_the_trace(stores):
    plans = plan_clients(stores, 300, Random(1), duration_s=50)
    assert {plan.prefix for plan in plans} == set(stores)
    for plan in plans:
        store = stores[plan.prefix]
        objects = [*store.start.values(), *(change.object for change in store.changes if change.object is not None)]
        selector = plan.terms.selector()
        if plan.kind in ("label =", "label ==", "label in", "label exists", "namespace", "one object"):
            assert any(selector.matches(obj) for obj in objects), plan
        if plan.kind.startswith("field "):
            assert any(selector.matches(obj) for obj in objects), plan


def test_nobody_comes_after_nine_tenths_of_the_trace(stores):
    assert max(plan.start_at_s for plan in plan_clients(stores, 500, Random(1), duration_s=50)) <= 45


def test_a_trace_without_objects_has_no_clients(stores):
    empty = {prefix: msgspec.structs.replace(store, start={}, changes=[]) for prefix, store in stores.items()}
    assert plan_clients(empty, 10, Random(1), duration_s=50) == []


# ---- lives ----------------------------------------------------------------------------------------------------------


def live(run_trio, plan: ClientPlan, *, writes: int, period_s: float = 0.1):
    """The log of one client beside a writer of `writes` pods, and the names in the store at the end."""

    async def main():
        async with open_cluster(random=Random(1)) as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.ready()
            recorder = Recorder({}, end_revision=0)
            async with open_clients([plan], {PODS: pods}, recorder, store_revision=lambda: cluster.etcd.revision):
                for number in range(writes):
                    name = f"pod-{number % 10}"
                    recorder.published(cluster.etcd.revision + 1)
                    body = {"metadata": {"name": name, "namespace": "a"}, "data": number}
                    await cluster.etcd.put(f"{PODS}a/{name}", msgspec.json.encode(body))
                    await trio.sleep(period_s)
                assert await catch_up({PODS: pods}, {PODS: cluster.etcd.revision}) == ()
            stored = await cluster.etcd.range(PODS, "/registry/podt")
            return recorder.logs[0], {kv.key.decode(): kv.value for kv in stored.kvs}

    return run_trio(main)


def plan_of(**behaviour) -> ClientPlan:
    return ClientPlan(0, PODS, "all", Terms(), **behaviour)


def copy_of(log) -> dict[str, bytes]:
    """What a reader of this log holds in the end."""
    held: dict[str, bytes] = {}
    for step in log.history.steps:
        if isinstance(step, Listed):
            held = {obj.key: obj.raw for obj in step.objects}
        elif isinstance(step, Opened) and step.initial:
            held = {}
        elif isinstance(step, Received):
            for event in step.batch:
                if event.type is EventType.DELETED:
                    del held[event.key]
                elif event.type is not EventType.BOOKMARK:
                    held[event.key] = event.object.raw
    return held


def words(log) -> str:
    """The log's steps in short, received batches left out."""
    names: dict[type, str] = {Listed: "list", Opened: "open"}
    told = [step for step in log.history.steps if not isinstance(step, Received)]
    return " ".join(names.get(type(step)) or step.reason.name for step in told)


@pytest.mark.parametrize(
    "behaviour",
    [
        {},
        {"lists_latest": False},
        {"streaming": True},
        {"start_at_s": 2.05},
        {"start_at_s": 2.05, "streaming": True},
        {"start_at_s": 1e6},
        {"pause_s": 0.35},
        {"close_after_batches": 3, "away_s": 0.75},
        {"close_after_batches": 1, "away_s": 1e6},
        {"close_after_batches": 2, "away_s": 0.4, "streaming": True},
    ],
    ids=str,
)
def test_a_client_of_any_behaviour_is_equal_to_the_store_when_it_has_been_drained(run_trio, behaviour):
    log, stored = live(run_trio, plan_of(**behaviour), writes=50)
    assert copy_of(log) == stored
    last = log.history.steps[-1]
    assert isinstance(last, Ended)
    assert (last.reason, last.drained) == (EndReason.CLOSED_BY_CLIENT, True)
    assert sum(isinstance(step, Ended) and step.drained for step in log.history.steps) == 1


def test_a_plain_client_lists_once_and_watches_once(run_trio):
    log, _ = live(run_trio, plan_of(), writes=30)
    assert words(log) == "list open CLOSED_BY_CLIENT"
    assert (log.deliveries, log.relists, log.resumes, log.expired) == (30, 0, 0, 0)


def test_a_client_that_streams_its_state_never_lists(run_trio):
    log, _ = live(run_trio, plan_of(streaming=True), writes=30)
    assert words(log) == "open CLOSED_BY_CLIENT"
    assert log.has_streamed_state


def test_a_list_of_the_latest_notes_how_far_the_store_was(run_trio):
    log, _ = live(run_trio, plan_of(start_at_s=2.05), writes=30)
    listed = log.history.steps[0]
    assert isinstance(listed, Listed)
    assert listed.minimum_revision == listed.revision > 1


def test_a_restless_client_resumes_where_it_was_and_gets_nothing_twice(run_trio):
    log, _ = live(run_trio, plan_of(close_after_batches=5, away_s=0.55), writes=50)
    assert log.resumes == words(log).count("open") - 1 > 2
    assert log.lists == 1
    revisions = [event.revision for step in log.history.steps if isinstance(step, Received) for event in step.batch]
    assert revisions == sorted(set(revisions))


def test_a_slow_client_expires_lists_again_and_is_marked_as_slow(run_trio):
    """The ring holds about 75 s; ten writes a second against one read a second leave it after some 90 s."""
    log, stored = live(run_trio, plan_of(pause_s=1.0), writes=1300)
    assert "open EXPIRED list open" in words(log)
    assert log.expired == log.relists >= 1
    assert log.resumes == 0
    assert log.history.slow
    expired = next(step for step in log.history.steps if isinstance(step, Ended))
    assert expired.oldest_revision > 1
    assert not expired.refused
    assert copy_of(log) == stored


def test_a_client_that_comes_back_too_late_is_refused_at_the_door_and_lists_again(run_trio):
    log, stored = live(run_trio, plan_of(close_after_batches=3, away_s=100.0), writes=1300)
    refused = [step for step in log.history.steps if isinstance(step, Ended) and step.refused]
    assert refused
    assert words(log).startswith("list open CLOSED_BY_CLIENT open EXPIRED list open")
    assert copy_of(log) == stored


def records_of_three(run_trio, **behaviour_of_the_last) -> list[list[Received]]:
    """What three clients of one view record of two writes that come a second apart."""

    async def main():
        async with open_cluster(random=Random(1)) as cluster:
            pods = cluster.resource("v1", "pods")
            await pods.ready()
            recorder = Recorder({}, end_revision=0)
            plans = [ClientPlan(number, PODS, "all", Terms()) for number in range(2)]
            plans.append(ClientPlan(2, PODS, "all", Terms(), **behaviour_of_the_last))
            async with open_clients(plans, {PODS: pods}, recorder, store_revision=lambda: cluster.etcd.revision):
                for _ in range(2):
                    await cluster.etcd.put(f"{PODS}a/x", b'{"metadata":{"name":"x","namespace":"a"}}')
                    await trio.sleep(1)
                await catch_up({PODS: pods}, {PODS: cluster.etcd.revision})
            return recorder.logs

    return [[step for step in log.history.steps if isinstance(step, Received)] for log in run_trio(main)]


def test_clients_of_one_view_share_the_record_of_a_batch(run_trio):
    """Ten thousand clients take millions of batches: a record of its own for each would be gigabytes."""
    records = records_of_three(run_trio)
    assert [len(record) for record in records] == [2, 2, 2]
    assert all(record[0] is records[0][0] and record[1] is records[0][1] for record in records)


def test_a_client_that_takes_the_same_batch_later_has_a_record_of_its_own(run_trio):
    first, second, slow = records_of_three(run_trio, pause_s=1.5)
    assert first[1] is second[1]
    assert slow[1].batch is first[1].batch
    assert slow[1].at_s - first[1].at_s == 0.5
