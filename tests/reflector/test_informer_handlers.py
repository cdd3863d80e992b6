"""Handlers of an informer: what they are told and when, what hurts only themselves, resyncs, removal, and what is shared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

from cacher import open_cluster
from reflector import (
    BackoffPolicy,
    Changes,
    Filtered,
    Functions,
    HandlerFailed,
    IndexFunctionFailed,
    InformerStopped,
    ObjectMutated,
    Page,
    SharedInformer,
    SharedInformers,
    Tombstone,
    object_key,
)
from reflector._handlers import CALLS_PER_TURN
from reflector._mutations import RETAINED_S
from tests.reflector.scripted import Script, ScriptedSource, mark
from watch import Event, EventType, Expired, Object

PLAIN = BackoffPolicy(jitter=0)
EXPIRED = Expired(1, 20)
Told = tuple[Any, ...]


def pod(name: str, revision: int, uid: str = "u", **labels: str) -> Object:
    return Object(f"/pods/a/{name}", revision, b"{}", name=name, namespace="a", uid=f"{name}-{uid}", labels=labels)


def page(revision: int, *objects: Object) -> Page:
    return Page(objects, revision)


def put(obj: Object) -> Changes:
    return Changes((Event(EventType.MODIFIED, obj, obj.revision),), obj.revision)


def deleted(obj: Object) -> Changes:
    return Changes((Event(EventType.DELETED, obj, obj.revision),), obj.revision)


class Diary:
    """Writes down what it is told, and what the store says at that moment."""

    def __init__(self, informer: SharedInformer) -> None:
        self.told: list[Told] = []
        self.shown: list[tuple[int, int | None]] = []
        self._informer = informer

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        self._write("add", obj, obj.revision, is_in_initial_list)

    def on_update(self, old: Object, new: Object) -> None:
        self._write("update", new, old.revision, new.revision)

    def on_delete(self, obj: Object | Tombstone) -> None:
        self._write("tombstone" if isinstance(obj, Tombstone) else "delete", obj, obj.uid)

    def _write(self, what: str, obj: Object | Tombstone, *more: object) -> None:
        self.told.append((what, obj.name, *more))
        held = self._informer.store.get(object_key(obj))
        self.shown.append((self._informer.last_revision, None if held is None else held.revision))


def scripted(lists: Sequence[Page | Exception], watches: Sequence[Script] = (), **options: Any) -> SharedInformer:
    return SharedInformer(ScriptedSource(lists, watches), random=Random(1), backoff=PLAIN, **options)


@asynccontextmanager
async def running(informer: SharedInformer) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(informer.run)
        yield
        nursery.cancel_scope.cancel()


# What is told, and what is shown then.


def test_a_relist_tells_deletions_first_then_the_rest_as_listed_and_the_store_shows_it_all_already(run_trio):
    """[9.5 TestReplaceEvents] [9.5 TestResetWatch] [9.5 TestSharedInformerWatchDisruption]"""

    async def main() -> None:
        informer = scripted(
            [
                page(9, pod("a", 1), pod("b", 2), pod("c", 3), pod("d", 4)),
                page(30, pod("a", 1), pod("b", 25), pod("d", 28, "v"), pod("e", 29)),
            ],
            [[EXPIRED]],
        )
        diary = Diary(informer)
        informer.add_handler(diary)
        async with running(informer):
            await trio.sleep(5)
        assert diary.told == [
            *[("add", name, revision, True) for name, revision in [("a", 1), ("b", 2), ("c", 3), ("d", 4)]],
            ("tombstone", "c", "c-u"),
            ("tombstone", "d", "d-u"),
            ("update", "b", 2, 25),
            ("add", "d", 28, False),
            ("add", "e", 29, False),
        ]
        assert diary.shown[4:] == [(30, None), (30, 28), (30, 25), (30, 28), (30, 29)]

    run_trio(main)


def test_the_stores_revision_is_that_of_the_last_event_a_deletion_too(run_trio):
    """[9.5 TestStoreResourceVersion*] [9.5 TestReflectorResourceVersionUpdate]"""

    async def main() -> None:
        informer = scripted([page(9, pod("a", 1))], [[put(pod("a", 12)), 1.0, deleted(pod("a", 20)), 1.0, mark(25)]])
        diary = Diary(informer)
        informer.add_handler(diary)
        assert informer.last_revision == 0
        async with running(informer):
            for revision in (12, 20, 25):
                await informer.wait_until_revision(revision)
                assert informer.last_revision == revision
        assert diary.told[1:] == [("update", "a", 1, 12), ("delete", "a", "a-u")]
        assert diary.shown[1:] == [(12, 12), (20, None)]

    run_trio(main)


def test_a_tombstone_has_the_names_of_its_object_and_the_last_state_that_was_seen():
    """[9.5 TestDeletionHandlingObjectToName] [9.5 TestDeletedObjectGet*]"""
    found = Tombstone(pod("web", 7, x="y"), 9)
    assert object_key(found) == object_key(pod("web", 1)) == "a/web"
    assert (found.key, found.name, found.namespace, found.uid) == ("/pods/a/web", "web", "a", "web-u")
    assert (found.last_known.labels, found.revision) == ({"x": "y"}, 9)


def test_a_step_that_an_index_refuses_is_told_to_nobody_and_ends_the_run(run_trio):
    """[9.5 TestProcessDeltasInBatch] There the rest of the batch goes on; here no store is left half indexed."""

    def index(obj: Object) -> list[str]:
        if obj.name == "bad":
            raise ValueError("cannot index")
        return [obj.name]

    async def main() -> None:
        both = Changes((Event(EventType.ADDED, pod("b", 10), 10), Event(EventType.ADDED, pod("bad", 11), 11)), 11)
        informer = scripted([page(9, pod("a", 1))], [[both]], indexes={"name": index})
        diary = Diary(informer)
        informer.add_handler(diary)
        with pytest.RaisesGroup(IndexFunctionFailed, flatten_subgroups=True):
            await informer.run()
        assert informer.lister.by_index("name", "b") == ()
        assert [told[:2] for told in diary.told] in ([], [("add", "a")])
        with pytest.raises(InformerStopped):
            await informer.wait_until_revision(11)

    run_trio(main)


def test_a_late_handler_is_told_all_as_its_beginning_and_misses_nothing(run_trio):
    """[9.5 TestSharedInformerInitializationRace] [9.5 TestAddWhileActive] [9.5 TestSharedInformerMultipleRegistration]"""

    async def main() -> None:
        informer = scripted(
            [page(9, pod("a", 1), pod("b", 2))],
            [[10.0, put(pod("c", 10)), deleted(pod("a", 11)), 10.0, put(pod("b", 12))]],
        )
        early = Diary(informer)
        informer.add_handler(early)
        twice = Diary(informer)
        async with running(informer):
            await trio.sleep(15)
            first, second = informer.add_handler(twice), informer.add_handler(twice)
            assert not first.has_synced
            await first.wait_until_synced()
            await second.wait_until_synced()
            await trio.sleep(10)
        assert twice.told[:4] == [("add", "b", 2, True), ("add", "c", 10, True)] * 2
        assert twice.told[4:] == [("update", "b", 2, 12)] * 2
        assert early.told[-1] == ("update", "b", 2, 12)

    run_trio(main)


def test_a_handler_may_add_another_in_the_midst_of_being_told(run_trio):
    """[9.5 TestSharedInformerHandlerAbuse] It begins with what there is then, and is told nothing twice."""

    async def main() -> None:
        informer = scripted([page(9)], [[1.0, put(pod("a", 10)), 1.0, put(pod("b", 11))]])
        later = Diary(informer)

        class Recruiter(Diary):
            def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
                if obj.name == "a":
                    informer.add_handler(later)

        informer.add_handler(Recruiter(informer))
        async with running(informer):
            await trio.sleep(5)
        assert later.told == [("add", "a", 10, True), ("add", "b", 11, False)]

    run_trio(main)


# What hurts only itself.


def test_a_handler_that_fails_on_its_beginning_never_says_that_it_is_synced(run_trio):
    """[9.5 TestEventPanics] Others, and the informer itself, are; who waits for it is told why."""

    async def main() -> None:
        informer = scripted([page(9, pod("a", 1), pod("b", 2))])

        def fail(obj: Object, _: bool) -> None:
            if obj.name == "a":
                raise KeyError("a")

        failing = informer.add_handler(Functions(on_add=fail), name="clumsy")
        good = informer.add_handler(Diary(informer))
        async with running(informer):
            await good.wait_until_synced()
            with pytest.raises(HandlerFailed, match="clumsy failed on a/a of the initial list: KeyError"):
                await failing.wait_until_synced()
            assert (informer.has_synced, good.has_synced, failing.has_synced) == (True, True, False)
            figures = failing.statistics()
            assert (figures.failures, figures.handled, figures.name) == (1, 2, "clumsy")
            assert figures.last_failure == "ADDED a/a: KeyError: 'a'"

    run_trio(main)


def test_an_async_handler_that_fails_later_stays_synced_and_is_told_what_follows(run_trio):
    async def main() -> None:
        told: list[str] = []

        async def fail(_: Object, new: Object) -> None:
            await trio.sleep(1)
            told.append(new.resource_version)
            raise ValueError("no")

        informer = scripted([page(9, pod("a", 1))], [[put(pod("a", 10)), put(pod("a", 11))]])
        registration = informer.add_handler(Functions(on_update=fail))
        async with running(informer):
            await trio.sleep(5)
            assert told == ["10", "11"]
            assert registration.has_synced
            assert registration.statistics().failures == 2

    run_trio(main)


def test_what_a_plain_function_returns_is_awaited_only_if_it_can_be(run_trio):
    async def main() -> None:
        known: dict[str, Object] = {}
        informer = scripted([page(9, pod("a", 1))], [[deleted(pod("a", 10))]])
        informer.add_handler(
            Functions(on_add=lambda obj, _: known.setdefault(obj.name, obj), on_delete=lambda obj: known.pop(obj.name))
        )
        async with running(informer):
            await trio.sleep(1)
        assert known == {}

    run_trio(main)


def test_a_stuck_handler_is_seen_in_the_figures_and_can_be_removed(run_trio):
    """[9.5 TestRemoveWhileActive] [9.5 TestSharedInformerRemoveHandler*]"""

    async def main() -> None:
        informer = scripted([page(9)], [[put(pod("a", 10)), 5.0, put(pod("b", 11)), 5.0, put(pod("c", 15))]])
        was_cancelled: list[bool] = []

        async def stick(*_: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                was_cancelled.append(True)

        stuck = informer.add_handler(Functions(on_add=stick))
        good = Diary(informer)
        informer.add_handler(good)
        async with running(informer):
            await trio.sleep(12)
            figures = stuck.statistics()
            assert (figures.queue_length, figures.busy_s, figures.lag_s, figures.lag_revisions) == (2, 12, 7, 6)
            await stuck.remove()
            assert was_cancelled == [True]
            await stuck.remove()
            assert [each.name for each in informer.statistics().handlers] == ["Diary 2"]
        assert [told[1] for told in good.told] == ["a", "b", "c"]

    run_trio(main)


def test_a_handler_that_removes_itself_is_not_cancelled_and_told_nothing_more(run_trio):
    async def main() -> None:
        informer = scripted([page(9, pod("a", 1), pod("b", 2))], [[1.0, put(pod("c", 10))]])
        told: list[str] = []

        async def once(obj: Object, _: bool) -> None:
            await registration.remove()
            await trio.sleep(0.1)
            told.append(obj.name)

        registration = informer.add_handler(Functions(on_add=once))
        async with running(informer):
            await trio.sleep(5)
            with pytest.raises(InformerStopped):
                await registration.wait_until_synced()
        assert told == ["a"]

    run_trio(main)


def test_a_handler_that_is_removed_before_the_start_is_never_told(run_trio):
    """[9.5 TestStateSharedInformer]"""

    async def main() -> None:
        informer = scripted([page(9, pod("a", 1))])
        diary = Diary(informer)
        registration = informer.add_handler(diary)
        await registration.remove()
        async with running(informer):
            await trio.sleep(1)
        assert diary.told == []

    run_trio(main)


def test_a_stopped_informer_takes_no_handler_and_ends_those_that_wait(run_trio):
    """[9.5 TestAddOnStopped*] [9.5 TestRemoveOnStopped*] [9.5 TestSharedInformerShutdown]

    [9.5 TestShutDownEventHandler_Lifecycles]
    """

    async def main() -> None:
        informer = scripted([OSError("down")] * 50)
        registration = informer.add_handler(Diary(informer))
        ended: list[str] = []

        async def wait(what: Any) -> None:
            try:
                await what()
            except InformerStopped:
                ended.append("stopped")

        async with trio.open_nursery() as nursery:
            for what in (
                informer.wait_until_synced,
                registration.wait_until_synced,
                lambda: informer.wait_until_revision(3),
            ):
                nursery.start_soon(wait, what)
            with trio.move_on_after(5):
                await informer.run()
        assert ended == ["stopped"] * 3
        assert not informer.has_synced
        with pytest.raises(InformerStopped):
            informer.add_handler(Diary(informer))
        await registration.remove()
        with pytest.raises(RuntimeError, match="run before"):
            await informer.run()

    run_trio(main)


def test_a_handler_of_plain_functions_leaves_the_others_their_turns(run_trio):
    """However much it is told at once."""

    async def main() -> None:
        informer = scripted([page(9, *(pod(f"p{number}", 1) for number in range(6400)))])
        registration = informer.add_handler(Diary(informer))
        turns = 0
        async with running(informer):
            while not registration.has_synced:
                await trio.lowlevel.checkpoint()
                turns += 1
        assert turns >= 6400 / CALLS_PER_TURN - 2

    run_trio(main)


# Resyncs.


def test_each_handler_has_its_own_resync_and_is_told_of_all_that_it_knows(run_trio):
    """[9.5 TestListenerResyncPeriods*] [9.5 TestResyncCheckPeriod]"""

    async def main() -> None:
        informer = scripted([page(9, pod("a", 1), pod("b", 2))], [[15.0, put(pod("c", 10))]], resync_s=10)
        usual, rare, never = (Diary(informer) for _ in range(3))
        informer.add_handler(usual)
        registration = informer.add_handler(rare, resync_s=30)
        informer.add_handler(never, resync_s=0)
        async with running(informer):
            await trio.sleep(35)
            assert registration.statistics().resyncs == 1
        again = [("update", "a", 1, 1), ("update", "b", 2, 2)]
        new = ("update", "c", 10, 10)
        assert usual.told[2:] == [*again, ("add", "c", 10, False), *again, new, *again, new]
        assert rare.told[3:] == [*again, new]
        assert len(never.told) == 3
        with pytest.raises(ValueError, match="at least 1 s"):
            informer_of_tests = scripted([])
            informer_of_tests.add_handler(usual, resync_s=0.5)

    run_trio(main)


def test_a_resync_leaves_out_what_there_is_news_of_and_slow_handlers_have_no_more_than_one_waiting(run_trio):
    async def main() -> None:
        told: list[tuple[int, int]] = []

        async def slowly(old: Object, new: Object) -> None:
            told.append((old.revision, new.revision))
            await trio.sleep(25)

        informer = scripted(
            [page(9, pod("a", 1), pod("b", 2))], [[1.0, put(pod("a", 10)), 5.0, put(pod("a", 11))]], resync_s=10
        )
        informer.add_handler(Functions(on_update=slowly))
        async with running(informer):
            await trio.sleep(70)
        # a→10 takes from 1 to 26, then a resync is due, and a→11 waits: b alone is told anew.
        assert told == [(1, 10), (2, 2), (10, 11)]

    run_trio(main)


# Filters, mutations, transforms, sharing.


def test_a_filter_tells_of_objects_that_enter_and_leave(run_trio):
    """[9.5 TestTyped*]"""

    async def main() -> None:
        informer = scripted(
            [page(9, pod("a", 1, x="1"), pod("b", 2))],
            [
                [
                    put(pod("b", 10, x="1")),
                    put(pod("a", 11)),
                    put(pod("b", 12, x="1")),
                    put(pod("a", 13)),
                    deleted(pod("b", 14, x="1")),
                ]
            ],
        )
        diary = Diary(informer)
        informer.add_handler(Filtered(diary, lambda obj: "x" in obj.labels))
        async with running(informer):
            await trio.sleep(1)
        assert diary.told == [
            ("add", "a", 1, True),
            ("add", "b", 10, False),
            ("delete", "a", "a-u"),
            ("update", "b", 10, 12),
            ("delete", "b", "b-u"),
        ]

    run_trio(main)


@pytest.mark.parametrize("when_s", [0.0, 60.0, RETAINED_S - 2])
def test_an_object_that_somebody_changed_ends_the_run_of_a_test(run_trio, when_s):
    """[9.5 TestMutationDetector] While it is in the store, and for two minutes after."""

    async def main() -> None:
        informer = scripted([page(9, pod("a", 1))], [[put(pod("a", 10))]], detects_mutations=True)
        kept: list[Object] = []
        informer.add_handler(Functions(on_add=lambda obj, _: kept.append(obj)))
        with pytest.RaisesGroup(ObjectMutated, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(informer.run)
                await trio.sleep(1.5 + when_s)
                kept[0].labels["mine"] = "now"
                await trio.sleep(1.5)

    run_trio(main)


def test_an_object_that_is_long_gone_is_no_longer_compared(run_trio):
    async def main() -> None:
        informer = scripted([page(9, pod("a", 1))], [[put(pod("a", 10))]], detects_mutations=True)
        kept: list[Object] = []
        informer.add_handler(Functions(on_add=lambda obj, _: kept.append(obj)))
        async with running(informer):
            await trio.sleep(RETAINED_S + 3)
            kept[0].labels["mine"] = "now"
            await trio.sleep(10)

    run_trio(main)


def test_a_transform_that_fails_is_the_programs_mistake_and_ends_the_run(run_trio):
    async def main() -> None:
        def fail(obj: Object) -> Object:
            raise TypeError("bad transform")

        with pytest.RaisesGroup(TypeError, flatten_subgroups=True):
            await scripted([page(9, pod("a", 1))], transform=fail).run()

    run_trio(main)


def test_failures_of_the_source_are_told_and_waited_out(run_trio):
    """[9.5 TestSharedInformerErrorHandling] [9.5 TestSharedInformerStartRace]"""

    async def main() -> None:
        failures: list[Exception] = []
        informer = scripted([OSError("down"), page(9, pod("a", 1))], on_failure=failures.append)
        assert informer.last_failure is None
        async with running(informer):
            assert informer.has_synced
            assert [str(failure) for failure in failures] == ["down"]
            assert informer.last_failure is failures[0]

    run_trio(main)


def test_informers_are_shared_by_the_meaning_of_their_words_and_run_also_when_asked_for_late(run_trio):
    """[9.5 TestWaitFor] [9.5 TestSyncResult] What has yet to sync can be asked for, so a wait that takes long can be explained."""

    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster, trio.open_nursery() as nursery:
            informers = SharedInformers(cluster, random=Random(2))
            pods = informers.informer("v1", "pods", labels="app in (a)", namespace="x")
            assert informers.informer("v1", "pods", labels="app in ( a )", namespace="x") is pods
            assert informers.informer("v1", "pods", labels={"app": "a"}) is not pods
            assert informers.unsynced == informers.informers
            nursery.start_soon(informers.run)
            await informers.wait_until_synced()
            nodes = informers.informer("v1", "nodes")
            assert informers.unsynced == (nodes,)
            await informers.wait_until_synced()
            assert not informers.unsynced
            assert nodes.name == "cluster/v1/nodes/everything"
            with pytest.raises(RuntimeError, match="run before"):
                await informers.run()
            nursery.cancel_scope.cancel()
        with pytest.raises(InformerStopped):
            informers.informer("v1", "secrets")
        assert informers.informer("v1", "nodes") is nodes

    run_trio(main)


def test_the_figures_of_an_informer_say_how_old_it_is(run_trio):
    async def main() -> None:
        informer = scripted([page(9, pod("a", 1)), page(12)], [[30.0, mark(10)], [5.0, EXPIRED]])
        assert informer.staleness_s == float("inf")
        async with running(informer):
            await trio.sleep(20)
            assert (informer.staleness_s, informer.is_live(20), informer.is_live(19.9)) == (20, True, False)
            await trio.sleep(15)
            figures = informer.statistics()
            assert (figures.staleness_s, figures.revision, figures.objects) == (5, 10, 1)
            assert figures.reflector.state == "Watching"
            await trio.sleep(80)
            assert informer.has_synced

    run_trio(main)
