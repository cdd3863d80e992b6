"""Controller under the virtual clock: which reconciles it makes, and what becomes of those that go wrong."""

from __future__ import annotations

import logging
from random import Random

import pytest
import trio
import trio.testing

from reflector import Controller, GiveUp, Result
from reflector._reads import RECONCILIATION
from tests.reflector.controlled import FakeInformer, Script, controller_of, made, running
from watch import Conflict, GroupResource, StatusDetails, TooManyRequests

settled = trio.testing.wait_all_tasks_blocked
THINGS = GroupResource("", "things")


def run(async_fn, *args):
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def test_what_happens_to_an_object_makes_a_reconcile_of_its_key():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        controller = controller_of(reconcile).watches(informer)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            for tell in (informer.adds, lambda obj: informer.updates(obj, made("a", revision=2)), informer.deletes):
                tell(made("a"))
                await settled()
            assert reconcile.keys == ["shop/a"] * 3
            assert controller.statistics().reconciles == 3
            nursery.cancel_scope.cancel()

    run(main)


def test_nothing_is_reconciled_before_every_informer_has_synced():
    """Half a list would make a controller delete what the other half wants."""

    async def main():
        reconcile, first, second = Script(), FakeInformer("first"), FakeInformer("second", synced=False)
        first.sync(made("a"))
        controller = controller_of(reconcile).watches(first).watches(second)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            await trio.sleep(100)
            assert reconcile.calls == []
            assert controller.statistics().state == "syncing"
            assert controller.statistics().waiting_for == ("second",)
            second.sync(made("b"))
            await settled()
            assert reconcile.keys == ["shop/a", "shop/b"]
            assert controller.statistics().state == "running"
            nursery.cancel_scope.cancel()

    run(main)


def test_a_controller_that_waits_for_an_informer_says_which(caplog):
    async def main():
        controller = controller_of(Script()).watches(FakeInformer("slow", synced=False))
        with trio.move_on_after(25):
            await controller.run()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "things has waited 10 s for slow to sync",
        "things has waited 20 s for slow to sync",
    ]


def test_what_changes_now_goes_before_what_was_listed():
    async def main():
        first_is_done = trio.Event()
        reconcile, informer = Script(first_is_done.wait), FakeInformer()
        informer.sync(made("a"), made("b"), made("c"))
        async with trio.open_nursery() as nursery:
            await running(nursery, controller_of(reconcile).watches(informer))
            informer.updates(made("z"), made("z", revision=2))
            informer.updates(one := made("c"), one)  # a resync
            first_is_done.set()
            await settled()
            assert reconcile.keys == ["shop/a", "shop/z", "shop/b", "shop/c"]
            nursery.cancel_scope.cancel()

    run(main)


def test_one_key_is_never_reconciled_twice_at_a_time_and_several_keys_are():
    async def main():
        now, most, together = set(), 0, 0

        async def reconcile(key):
            nonlocal most, together
            assert key not in now
            now.add(key)
            together = max(together, len(now))
            await trio.sleep(1)
            now.remove(key)

        controller = controller_of(reconcile, concurrency=3)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            for _ in range(20):
                for key in "abcde":
                    controller.queue.add(key)
                await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
        assert together == 3

    run(main)


def test_a_failure_is_tried_again_when_the_limiter_says_and_a_success_makes_it_forget():
    async def main():
        reconcile = Script(
            ValueError("one"), Conflict(THINGS, "a", "stale"), ValueError("three"), None, ValueError("five")
        )
        controller = controller_of(reconcile)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            controller.queue.add("a")
            await trio.sleep(10)
            assert [at for at, _ in reconcile.calls] == [0, 1, 3, 7]
            assert controller.queue.num_requeues("a") == 0
            controller.queue.add("a")
            await trio.sleep(5)
            assert [at for at, _ in reconcile.calls[4:]] == [10, 11]
            counts = controller.statistics()
            assert (counts.reconciles, counts.failures, counts.conflicts, counts.panics) == (6, 4, 1, 3)
            assert counts.last_error == "a: ValueError: five"
            nursery.cancel_scope.cancel()

    run(main)


def test_a_failure_hurts_its_own_key_alone():
    async def main():
        done: list[str] = []

        async def reconcile(key):
            done.append(key)
            if key == "bad":
                raise ZeroDivisionError("bad")

        controller = controller_of(reconcile)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            for key in ("bad", "good", "better"):
                controller.queue.add(key)
            await settled()
            assert done == ["bad", "good", "better"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_mistake_is_logged_with_where_it_was_made_and_a_conflict_is_not(caplog):
    caplog.set_level(logging.INFO)

    async def main():
        controller = controller_of(Script(KeyError("x"), Conflict(THINGS, "a", "stale")))
        controller.queue.add("a")
        with trio.move_on_after(5):
            await controller.run()

    run(main)
    first, second = caplog.records
    assert (first.levelname, first.getMessage()) == ("ERROR", "things: a failed and is tried again in 1.000 s")
    assert first.exc_info is not None
    assert second.levelname == "INFO"
    assert "stale" in second.getMessage()


def test_a_key_that_is_given_up_is_not_tried_again_until_something_happens():
    async def main():
        reconcile, informer = Script(GiveUp("its selector matches nothing")), FakeInformer()
        controller = controller_of(reconcile).watches(informer)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            informer.adds(made("a"))
            await trio.sleep(1000)
            assert len(reconcile.calls) == 1
            assert controller.statistics().given_up == 1
            assert controller.queue.num_requeues("shop/a") == 0
            informer.updates(made("a"), made("a", revision=2))
            await settled()
            assert len(reconcile.calls) == 2
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize(
    ("failures", "counted"),
    [
        ([Conflict(THINGS, "a", "stale"), Conflict(THINGS, "b", "stale")], "conflicts"),
        ([Conflict(THINGS, "a", "stale"), GiveUp("never")], "conflicts"),
        ([Conflict(THINGS, "a", "stale"), GiveUp("never"), ZeroDivisionError("oops")], "panics"),
        ([GiveUp("never"), ExceptionGroup("more", [GiveUp("either")])], "given_up"),
    ],
)
def test_of_the_failures_of_several_tasks_the_gravest_counts(failures, counted):
    async def main():
        controller = controller_of(Script(ExceptionGroup("several", failures)))
        controller.queue.add("a")
        with trio.move_on_after(0.5):
            await controller.run()
        statistics = controller.statistics()
        found = {name: getattr(statistics, name) for name in ("conflicts", "panics", "given_up")}
        assert found == {"conflicts": 0, "panics": 0, "given_up": 0} | {counted: 1}
        assert controller.queue.num_requeues("a") == (0 if counted == "given_up" else 1)

    run(main)


@pytest.mark.parametrize(("asked_s", "waited_s"), [(0, 1), (20, 20), (60, 60), (3600, 60)])
def test_a_server_that_asks_for_patience_gets_it_up_to_a_minute(asked_s, waited_s):
    async def main():
        reconcile = Script(TooManyRequests("slowly", StatusDetails(retry_after_s=asked_s)))
        controller = controller_of(reconcile)
        controller.queue.add("a")
        with trio.move_on_after(100):
            await controller.run()
        assert [at for at, _ in reconcile.calls] == [0, waited_s]

    run(main)


def test_a_result_says_when_to_look_again():
    async def main():
        reconcile = Script(Result(requeue_after_s=30), Result(requeue=True), Result(requeue=True), Result())
        controller = controller_of(reconcile)
        controller.queue.add("a")
        with trio.move_on_after(1000):
            await controller.run()
        assert [at for at, _ in reconcile.calls] == [0, 30, 31, 33]
        assert controller.statistics().failures == 0

    run(main)


def test_a_result_that_looks_again_forgets_failures():
    async def main():
        reconcile = Script(ValueError("once"), Result(requeue_after_s=30), ValueError("again"))
        controller = controller_of(reconcile)
        controller.queue.add("a")
        with trio.move_on_after(33):
            await controller.run()
        assert [at for at, _ in reconcile.calls] == [0, 1, 31, 32]

    run(main)


def test_jitter_stretches_a_wait_and_never_shortens_it():
    async def main():
        waits = set()
        for seed in range(20):
            reconcile = Script(Result(requeue_after_s=100, jitter=0.5))
            controller = Controller("things", reconcile, random=Random(seed))
            began = trio.current_time()
            controller.queue.add("a")
            with trio.move_on_after(200):
                await controller.run()
            waits.add(reconcile.calls[1][0] - began)
        assert all(100 <= wait_s <= 150 for wait_s in waits)
        assert max(waits) - min(waits) > 20

    run(main)


@pytest.mark.parametrize("made_up", [True, "soon", 5])
def test_an_answer_that_is_no_result_is_a_failure_that_says_so(made_up):
    async def main():
        controller = controller_of(Script(made_up))
        controller.queue.add("a")
        with trio.move_on_after(0.5):
            await controller.run()
        assert "return None or a Result" in controller.statistics().last_error

    run(main)


@pytest.mark.parametrize(
    "wrong", [{"requeue_after_s": -1}, {"requeue_after_s": float("nan")}, {"jitter": float("inf")}]
)
def test_a_result_of_no_possible_time_is_refused(wrong):
    with pytest.raises(ValueError, match="choose finite"):
        Result(**wrong)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"timeout_s": 0}, {"timeout_s": -1}, {"live_within_s": 0}])
def test_numbers_that_make_no_controller_are_refused(wrong):
    with pytest.raises(ValueError, match="choose"):
        controller_of(Script(), **wrong)


def test_a_reconcile_that_never_returns_is_seen_and_can_be_cancelled():
    async def main():
        reconcile = Script(trio.sleep_forever)
        controller = controller_of(reconcile)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            controller.queue.add("stuck")
            await trio.sleep(500)
            statistics = controller.statistics()
            assert [(one.key, one.running_s) for one in statistics.running] == [("stuck", 500)]
            assert statistics.queue.longest_running_s == statistics.queue.unfinished_work_s == 500
            assert not controller.cancel_reconcile("another")
            assert controller.cancel_reconcile("stuck")
            await trio.sleep(0.5)
            assert controller.statistics().running == ()
            assert (controller.statistics().failures, controller.statistics().panics) == (1, 0)
            await trio.sleep(1)
            assert reconcile.keys == ["stuck", "stuck"]  # and is tried again
            nursery.cancel_scope.cancel()

    run(main)


def test_a_reconcile_that_takes_longer_than_allowed_is_cancelled_counted_and_tried_again():
    async def main():
        reconcile = Script(trio.sleep_forever)
        controller = controller_of(reconcile, timeout_s=30)
        controller.queue.add("a")
        with trio.move_on_after(40):
            await controller.run()
        assert [at for at, _ in reconcile.calls] == [0, 31]
        statistics = controller.statistics()
        assert (statistics.timeouts, statistics.failures, statistics.reconciles) == (1, 1, 2)
        assert "took longer than 30 s" in statistics.last_error

    run(main)


def test_a_reconcile_that_fails_while_it_is_cancelled_is_one_failure_and_its_own():
    async def main():
        async def tasks():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("while it wound up")

        controller = controller_of(Script(tasks), timeout_s=5)
        controller.queue.add("a")
        with trio.move_on_after(5.5):
            await controller.run()
        statistics = controller.statistics()
        assert statistics.failures == 1
        assert (statistics.panics, statistics.timeouts) == (1, 0)
        assert statistics.last_error == "a: ValueError: while it wound up"

    run(main)


def test_a_controller_that_is_cancelled_leaves_nothing_behind():
    async def main():
        informer, was_cancelled = FakeInformer(), []

        async def reconcile(key):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                was_cancelled.append(key)
                raise

        controller = controller_of(reconcile).watches(informer)
        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                await running(nursery, controller)
                informer.adds(made("a"))
                await trio.sleep_forever()
        assert was_cancelled == ["shop/a"]
        assert informer.registrations == []
        assert controller.queue.statistics().processing == 0
        assert controller.statistics().state == "ended"

    run(main)


def test_a_controller_may_run_again_and_is_told_of_everything_anew():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        informer.sync(made("a"))
        controller = controller_of(reconcile).watches(informer)
        for _ in range(2):
            with trio.move_on_after(1):
                await controller.run()
        assert reconcile.keys == ["shop/a", "shop/a"]

    run(main)


def test_a_controller_runs_once_at_a_time():
    async def main():
        controller = controller_of(Script())
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            with pytest.raises(RuntimeError, match="one run at a time"):
                await controller.run()
            with pytest.raises(RuntimeError, match="before run"):
                controller.watches(FakeInformer())
            nursery.cancel_scope.cancel()

    run(main)


def test_draining_finishes_what_is_queued_and_drops_what_is_delayed():
    async def main():
        async def slowly():
            await trio.sleep(10)

        reconcile = Script(slowly, slowly, slowly)
        controller = controller_of(reconcile)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            for key in "ab":
                controller.queue.add(key)
            controller.queue.add_after("late", 3)
            await settled()
            await controller.drain()
            assert trio.current_time() == 20
            controller.queue.add("c")
        # The nursery is left without a cancellation: run has ended.
        assert reconcile.keys == ["a", "b"]
        with pytest.raises(RuntimeError, match="make a new controller"):
            await controller.run()

    run(main)


def test_a_controller_that_is_to_drain_before_it_runs_works_off_what_is_queued():
    async def main():
        reconcile = Script()
        controller = controller_of(reconcile)
        controller.queue.add("a")
        controller.queue.shut_down()
        await controller.run()
        assert reconcile.keys == ["a"]

    run(main)


# ---- require_live ------------------------------------------------------------------------------------------------


def test_nothing_is_reconciled_while_an_informer_is_silent_and_the_controller_says_so(caplog):
    async def main():
        reconcile, informer = Script(), FakeInformer("pods")
        controller = controller_of(reconcile, require_live=True, concurrency=3).watches(informer)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            await trio.sleep(91)
            controller.queue.add("a")
            await trio.sleep(100)
            assert reconcile.calls == []
            statistics = controller.statistics()
            assert (statistics.state, statistics.waiting_for, statistics.pauses) == ("paused", ("pods",), 1)
            informer.heard_at = trio.current_time()
            await trio.sleep(1.5)
            assert reconcile.keys == ["a"]
            assert controller.statistics().state == "running"
            nursery.cancel_scope.cancel()

    run(main)
    assert [record.getMessage() for record in caplog.records] == [
        "things reconciles nothing: pods not live for 90 s",
        "things reconciles again",
    ]


def test_a_silent_informer_holds_nobody_back_where_that_was_not_asked_for():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        controller = controller_of(reconcile).watches(informer)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            await trio.sleep(1000)
            controller.queue.add("a")
            await settled()
            assert reconcile.keys == ["a"]
            nursery.cancel_scope.cancel()

    run(main)


def test_a_paused_controller_can_be_drained_where_nothing_is_queued():
    async def main():
        controller = controller_of(Script(), require_live=True).watches(FakeInformer())
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            await trio.sleep(1000)
            with trio.fail_after(10):
                await controller.drain()

    run(main)


def test_a_draining_controller_reconciles_nothing_while_an_informer_is_silent():
    async def main():
        reconcile, informer = Script(), FakeInformer()
        controller = controller_of(reconcile, require_live=True).watches(informer)
        async with trio.open_nursery() as nursery:
            await running(nursery, controller)
            await trio.sleep(100)
            controller.queue.add("a")
            with trio.move_on_after(100):
                await controller.drain()
            assert reconcile.calls == []
            assert controller.statistics().state == "paused"
            informer.heard_at = trio.current_time()
        assert reconcile.keys == ["a"]

    run(main)


def test_between_two_reconciles_there_is_none():
    """What a worker does then is noted in none, and keeps none alive."""

    async def main():
        informer, seen = FakeInformer(), []
        is_live = informer.is_live

        def peek(within_s=90.0):
            seen.append(RECONCILIATION.get())
            return is_live(within_s)

        informer.is_live = peek  # type: ignore[method-assign]
        controller = controller_of(Script(ValueError("one")), require_live=True).watches(informer)
        controller.queue.add("a")
        with trio.move_on_after(5):
            await controller.run()
        assert len(seen) >= 2
        assert set(seen) == {None}

    run(main)
