"""Reading one's own writes: a key is not reconciled again before its controller's copies show what it wrote."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

from reflector import Controller, Expectations, ExponentialLimiter, Replacement, Result, UidExpectations, is_terminating
from reflector._own_writes import OwnWrites
from reflector._reads import RECONCILIATION, Written
from tests.reflector.controlled import FakeInformer, made

PODS = "api/v1/pods"
POD = made("p", uid="u", revision=5)
settled = trio.testing.wait_all_tasks_blocked


def run(async_fn, *args):
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def wrote(revision, *, source=PODS, key="shop/p", uid="u"):
    return Written(source, key, uid, revision, is_deletion=False)


def deleted(key="shop/p", uid="u", *, source=PODS):
    return Written(source, key, uid, 0, is_deletion=True)


class Copy:
    """A copy at a revision."""

    def __init__(self, name, revision, *objects):
        self.name = name
        self.last_revision = revision
        self.objects = {f"{obj.namespace}/{obj.name}": obj for obj in objects}

    @property
    def store(self):
        return self.objects


# ---- what is to be shown ---------------------------------------------------------------------------------------------


def test_the_newest_revision_of_each_resource_is_waited_for_by_every_copy_of_it():
    writes = OwnWrites()
    writes.wrote("shop/web", [wrote(7), wrote(9), wrote(8), wrote(30, source="api/v1/configmaps")])
    assert not writes.is_shown("shop/web", Copy("api/v1/pods/everything", 8))
    assert writes.is_shown("shop/web", Copy("api/v1/pods/everything", 9))
    assert not writes.is_shown("shop/web", Copy("api/v1/pods/labels(app=web)", 8))
    assert writes.is_shown("shop/web", Copy("api/v1/podtemplates", 1)), "another resource"
    assert writes.is_shown("shop/web", Copy("other/v1/pods", 1)), "another server"
    assert writes.is_shown("shop/other", Copy(PODS, 1)), "another key"


def test_a_write_whose_answer_names_no_revision_is_not_waited_for():
    writes = OwnWrites()
    writes.wrote("k", [wrote(0)])
    assert "k" not in writes


@pytest.mark.parametrize(
    ("shown", "is_enough"),
    [
        ([], True),
        ([made("p", uid="u")], False),
        ([made("p", uid="u", deletionTimestamp="2026-11-23T00:00:00Z")], True),
        ([made("p", uid="another")], True),
    ],
)
def test_of_what_was_deleted_a_copy_has_to_show_that_it_goes_or_is_gone(shown, is_enough):
    writes = OwnWrites()
    writes.wrote("k", [deleted()])
    assert writes.is_shown("k", Copy(PODS, 10**9, *shown)) is is_enough
    assert writes.is_shown("k", Copy("api/v1/services", 1, *shown))


def test_a_deletion_of_whatever_has_the_name_is_shown_when_none_has():
    writes = OwnWrites()
    writes.wrote("k", [deleted(uid="")])
    assert not writes.is_shown("k", Copy(PODS, 1, made("p")))
    assert writes.is_shown("k", Copy(PODS, 1))


def test_what_was_made_has_vanished_when_no_copy_that_is_new_enough_has_it():
    writes = OwnWrites()
    writes.wrote("k", [wrote(7, key="shop/p"), wrote(8, key="shop/q"), deleted(key="shop/q")])
    pods, some = Copy(PODS, 9, made("p")), Copy(f"{PODS}/labels(app=web)", 9)
    assert not writes.has_vanished("k", [some, pods])
    assert writes.has_vanished("k", [some])
    assert not writes.has_vanished("k", [Copy("api/v1/services", 9)]), "nobody knows"
    assert not writes.has_vanished("other", [some])


def test_what_is_settled_is_forgotten():
    writes = OwnWrites()
    writes.wrote("k", [wrote(7), deleted()])
    writes.wrote("other", [deleted()])
    assert len(writes) == 2
    writes.settled("k")
    assert ("k" in writes, "other" in writes, len(writes)) == (False, True, 1)


def test_an_object_terminates_once_it_has_a_deletion_timestamp():
    assert is_terminating(made("p", deletionTimestamp="2026-11-23T00:00:00Z"))
    assert not is_terminating(made("p"))


# ---- the controller's gate ---------------------------------------------------------------------------------------------


class LateInformer(FakeInformer):
    """Its copy is at the revision that the test says."""

    def __init__(self, name="api/v1/pods/everything"):
        self.last_revision = 1
        self._moved = trio.Event()
        super().__init__(name)

    def shows(self, revision, *objects):
        """It gets there, and has these objects, of which no handler is told."""
        self.store.replace(Replacement(objects, revision, ()))
        self.last_revision = revision
        self._moved.set()
        self._moved = trio.Event()

    async def wait_until_revision(self, revision):
        while self.last_revision < revision:
            await self._moved.wait()


class Keeper:
    """A reconcile that makes these writes at each call, and a controller of it."""

    def __init__(self, *writes, **more):
        self.writes = list(writes)
        self.calls: list[tuple[float, str]] = []
        self.informer = LateInformer()
        self.controller = Controller(
            "keeper", self.reconcile, random=Random(1), limiter=ExponentialLimiter(1.0, 100.0), **more
        ).watches(self.informer)

    async def reconcile(self, key):
        self.calls.append((trio.current_time(), key))
        if self.writes:
            reconciliation = RECONCILIATION.get()
            assert reconciliation is not None
            reconciliation.writes.append(self.writes.pop(0))
        return Result()


def test_the_next_reconcile_of_a_key_waits_until_the_copy_shows_what_the_last_one_wrote():
    async def main():
        keeper = Keeper(wrote(5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await trio.sleep(1)
            keeper.controller.queue.add("a")
            await trio.sleep(1)
            keeper.informer.shows(4)
            keeper.controller.queue.add("a")
            await trio.sleep(1)
            assert keeper.calls == [(0, "a")]
            statistics = keeper.controller.statistics()
            assert (statistics.held, statistics.waits, statistics.reconciles) == (1, 1, 1)
            keeper.informer.shows(5, POD)
            await settled()
            assert keeper.calls == [(0, "a"), (3, "a")]
            assert keeper.controller.statistics().held == 0
            keeper.controller.queue.add("a")
            await settled()
            assert len(keeper.calls) == 3, "and then it is as ever"
            nursery.cancel_scope.cancel()

    run(main)


def test_other_keys_do_not_wait():
    async def main():
        keeper = Keeper(wrote(5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            for key in "aab":
                keeper.controller.queue.add(key)
                await settled()
            assert [key for _, key in keeper.calls] == ["a", "b"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_key_waits_for_deletions_too():
    async def main():
        keeper = Keeper(deleted(key="shop/p", uid="u"))
        pod = made("p", uid="u", revision=3)
        keeper.informer.sync(pod)
        keeper.informer.shows(3, pod)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            await settled()
            keeper.controller.queue.add("shop/p")
            keeper.informer.shows(10, pod)  # other things happened
            await trio.sleep(1)
            assert len(keeper.calls) == 1
            keeper.informer.shows(11)
            await settled()
            assert len(keeper.calls) == 2
            nursery.cancel_scope.cancel()

    run(main)


def test_after_a_bound_the_reconcile_goes_on_and_that_is_told(caplog):
    async def main():
        keeper = Keeper(wrote(5), own_writes_s=10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await settled()
            keeper.controller.queue.add("a")
            await trio.sleep(20)
            assert keeper.calls == [(0, "a"), (10, "a")]
            assert keeper.controller.statistics().waits_given_up == 1
            nursery.cancel_scope.cancel()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "keeper: api/v1/pods/everything does not show what a wrote 10 s ago"
    ]


def test_nothing_is_waited_for_where_that_is_turned_off():
    async def main():
        keeper = Keeper(wrote(5), own_writes_s=0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            for _ in range(2):
                keeper.controller.queue.add("a")
                await settled()
            assert len(keeper.calls) == 2
            nursery.cancel_scope.cancel()

    run(main)


def test_a_key_that_nobody_wants_has_no_turn_when_its_writes_are_shown():
    """Or a controller that writes the time of day at each of its turns would have one after another."""

    async def main():
        keeper = Keeper(*[wrote(revision) for revision in range(5, 20)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await trio.sleep(100)
            statistics = keeper.controller.statistics()
            assert (statistics.held, statistics.waits, statistics.waits_given_up) == (0, 0, 0)
            keeper.informer.shows(5, POD)
            await trio.sleep(100)
            assert keeper.calls == [(0, "a")]
            nursery.cancel_scope.cancel()

    run(main)


def test_what_was_made_and_is_gone_before_it_was_shown_makes_the_keys_turn():
    """A list that makes up for a gap tells neither of the one nor of the other."""

    async def main():
        keeper = Keeper(wrote(5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await trio.sleep(10)
            keeper.informer.shows(9)
            await trio.sleep(1)
            assert [key for _, key in keeper.calls] == ["a", "a"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_reconcile_that_always_writes_what_its_copies_do_not_select_does_not_run_hot():
    async def main():
        keeper = Keeper(*[wrote(1)] * 1000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await trio.sleep(3600)
            assert 15 < len(keeper.calls) < 25
            nursery.cancel_scope.cancel()

    run(main)


def test_a_key_that_is_wanted_late_does_not_wait_longer_than_the_bound_after_its_writes():
    async def main():
        keeper = Keeper(wrote(5), own_writes_s=10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            keeper.controller.queue.add("a")
            await trio.sleep(500)
            keeper.controller.queue.add("a")
            await trio.sleep(0.1)
            assert keeper.calls == [(0, "a"), (500, "a")]
            nursery.cancel_scope.cancel()

    run(main)


def test_what_a_reconcile_wrote_before_it_failed_is_waited_for():
    async def main():
        keeper = Keeper(wrote(5))
        inner = keeper.reconcile

        async def fail(key):
            await inner(key)
            raise ValueError("after the write")

        controller = Controller("keeper", fail, random=Random(1), limiter=ExponentialLimiter(1.0, 100.0))
        controller.watches(keeper.informer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.run)
            controller.queue.add("a")
            await trio.sleep(20)
            assert keeper.calls == [(0, "a")]
            keeper.informer.shows(5, POD)
            await settled()
            assert keeper.calls[1:] == [(20, "a")]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_controller_that_is_drained_does_not_wait_for_keys_that_are_held():
    async def main():
        keeper = Keeper(wrote(5))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            for _ in range(2):
                keeper.controller.queue.add("a")
                await settled()
            with trio.fail_after(1):
                await keeper.controller.drain()
        assert len(keeper.calls) == 1
        assert trio.current_time() < 1

    run(main)


def test_a_key_that_waits_when_its_controller_is_stopped_is_free_when_it_runs_again():
    """The handlers tell of everything anew; a wait without its task would last for ever."""

    async def main():
        keeper = Keeper(wrote(5))
        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keeper.controller.run)
                for _ in range(2):
                    keeper.controller.queue.add("a")
                    await settled()
        with trio.move_on_after(1):
            keeper.controller.queue.add("a")
            await keeper.controller.run()
        assert len(keeper.calls) == 2

    run(main)


def test_what_vanishes_once_in_a_while_makes_the_keys_turn_at_once():
    async def main():
        keeper = Keeper()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            for number in range(30):
                keeper.writes.append(wrote(1))
                keeper.controller.queue.add("a")
                await trio.sleep(1)
                assert len(keeper.calls) == 2 * (number + 1)
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf")])
def test_a_bound_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="choose a finite"):
        Controller("keeper", Keeper.reconcile, random=Random(1), own_writes_s=wrong)  # type: ignore[arg-type]


# ---- expectations ---------------------------------------------------------------------------------------------------


def test_a_key_with_unmet_expectations_waits_until_they_are_met():
    async def main():
        expectations = Expectations()
        keeper = Keeper(expectations=expectations)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            expectations.expect_creations("a", 2)
            for _ in range(2):
                keeper.controller.queue.add("a")
                await trio.sleep(1)
                assert keeper.calls == []
                expectations.creation_observed("a")
            keeper.controller.queue.add("a")
            await settled()
            assert keeper.calls == [(2, "a")]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_key_whose_expectations_are_never_met_is_reconciled_when_they_expire():
    async def main():
        expectations = UidExpectations(timeout_s=100)
        keeper = Keeper(expectations=expectations)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.controller.run)
            expectations.expect_deletions("a", ["u1"])
            keeper.controller.queue.add("a")
            await trio.sleep(101)
            assert keeper.calls == [(100, "a")]
            nursery.cancel_scope.cancel()

    run(main)
