"""WorkQueue under the virtual clock: what a worker gets, when, and what is left when it is cancelled."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from reflector import ExponentialLimiter, QueueShutDown, WorkQueue

settled = trio.testing.wait_all_tasks_blocked


def run(async_fn, *args):
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_key_that_is_added_twice_is_worked_on_once():
    """[9.5 TestCollapse]"""

    async def main():
        queue = WorkQueue[str]()
        for key in "abab":
            queue.add(key)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        with pytest.raises(trio.WouldBlock):
            queue.get_nowait()

    run(main)


def test_a_key_that_is_added_while_a_worker_has_it_comes_again_once_and_after_done():
    """[9.5 TestAddWhileProcessing] [9.5 TestLen] [9.5 TestReinsert]"""

    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a", priority=3)
        queue.add("b")
        assert len(queue) == 1
        assert queue.statistics().depth == 2
        queue.done("a")
        assert [await queue.get(), await queue.get()] == ["a", "b"]  # it has the higher priority
        assert queue.statistics().depth == 0

    run(main)


def test_of_equals_a_key_that_comes_again_comes_last():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        assert queue.get_nowait() == "a"
        queue.add("a")
        queue.add("b")
        queue.done("a")
        assert [queue.get_nowait(), queue.get_nowait()] == ["b", "a"]

    run(main)


def test_done_without_get_is_an_error():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        with pytest.raises(ValueError, match="'a' is with no worker"):
            queue.done("a")
        async with queue.item() as key:
            queue.done(key)
            queue.add(key)
            assert await queue.get() == "a"  # and leaving the block does the second one

    run(main)


def test_a_worker_that_waits_gets_the_key_at_the_very_time_it_was_delayed_to():
    """[9.5 TestSimpleQueue] [9.5 TestCopyShifting]"""

    async def main():
        queue = WorkQueue[str]()
        queue.add_after("late", 7.5)
        queue.add_after("early", 2.5)
        assert len(queue) == 0
        assert (await queue.get(), trio.current_time()) == ("early", 2.5)
        assert (await queue.get(), trio.current_time()) == ("late", 7.5)

    run(main)


def test_of_two_delays_the_earlier_holds_whichever_came_first():
    """[9.5 TestDeduping]"""

    async def main():
        queue = WorkQueue[str]()
        for key, delay_s in [("a", 5), ("a", 2), ("b", 3), ("b", 9)]:
            queue.add_after(key, delay_s)
        assert (await queue.get(), trio.current_time()) == ("a", 2)
        assert (await queue.get(), trio.current_time()) == ("b", 3)
        with trio.move_on_after(100) as scope:
            await queue.get()
        assert scope.cancelled_caught

    run(main)


def test_a_worker_that_waits_already_learns_of_an_earlier_delay():
    """[9.5 TestAddTwoFireEarly]"""

    async def main():
        queue = WorkQueue[str]()
        got = []

        async def worker(name):
            got.append((name, await queue.get(), trio.current_time()))

        async with trio.open_nursery() as nursery:
            for name in "xy":
                nursery.start_soon(worker, name)
                await settled()
            queue.add_after("slow", 50)
            await trio.sleep(1)
            queue.add_after("fast", 2)
        assert got == [("x", "fast", 3), ("y", "slow", 50)]

    run(main)


def test_where_the_one_who_minds_the_clock_is_cancelled_the_next_does():
    async def main():
        queue = WorkQueue[str]()
        queue.add_after("a", 10)
        got = []

        async def worker():
            got.append((await queue.get(), trio.current_time()))

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(4):
                nursery.start_soon(worker)
                nursery.start_soon(worker)
                await queue.get()  # the others may stand before it or behind
            await trio.sleep(1)
            queue.add_after("b", 20)
        assert got == [("a", 10), ("b", 25)]

    for _ in range(20):
        run(main)


def test_all_keys_that_fall_due_at_once_are_handed_out_at_once():
    async def main():
        queue = WorkQueue[int]()
        got = []

        async def worker(name):
            got.append((name, await queue.get(), trio.current_time()))

        async with trio.open_nursery() as nursery:
            for name in range(4):
                nursery.start_soon(worker, name)
                await settled()
            for key in range(4):
                queue.add_after(key, 5)
        assert sorted(got) == [(n, n, 5) for n in range(4)]  # those who wait longest get the first keys

    for _ in range(10):
        run(main)


def test_what_was_due_stands_before_what_is_added_later_though_nobody_waited():
    async def main():
        queue = WorkQueue[str]()
        queue.add_after("due at 1", 1)
        queue.add_after("due at 9", 9)
        await trio.sleep(5)
        queue.add("added at 5")
        await trio.sleep(5)
        assert [await queue.get() for _ in range(3)] == ["due at 1", "added at 5", "due at 9"]

    run(main)


def test_the_first_in_line_stays_the_first_where_somebody_else_was_quicker_with_a_delayed_key():
    async def main():
        queue = WorkQueue[str]()
        got = []

        async def worker(name):
            got.append((name, await queue.get()))

        async with trio.open_nursery() as nursery:
            for name in range(3):
                nursery.start_soon(worker, name)
                await settled()
            queue.add_after("a", 5)
            await trio.sleep(5)  # ends at the same time: this task goes on first, or the first in line
            assert len(queue) == 0
            await settled()
            queue.add("b")
            await settled()
            assert sorted(name for name, _ in got) == [0, 1]
            nursery.cancel_scope.cancel()

    for _ in range(20):
        run(main)


def test_an_immediate_add_does_not_cancel_a_delayed_one():
    async def main():
        queue = WorkQueue[str]()
        queue.add_after("a", 5)
        queue.add("a")
        async with queue.item() as key:
            assert (key, trio.current_time()) == ("a", 0)
        async with queue.item() as key:
            assert (key, trio.current_time()) == ("a", 5)

    run(main)


@pytest.mark.parametrize("delay_s", [0, -3.0])
def test_a_delay_of_nothing_is_no_delay(delay_s):
    async def main():
        queue = WorkQueue[str]()
        queue.add_after("a", delay_s)
        assert queue.get_nowait() == "a"
        assert queue.statistics().retries == 1

    run(main)


@pytest.mark.parametrize("delay_s", [float("inf"), float("nan")])
def test_a_delay_without_an_end_is_refused(delay_s):
    async def main():
        with pytest.raises(ValueError, match="finite"):
            WorkQueue[str]().add_after("a", delay_s)

    run(main)


def test_failures_wait_longer_each_time_until_they_are_forgotten():
    """[9.5 TestRateLimitingQueue]"""

    async def main():
        queue = WorkQueue[str](limiter=ExponentialLimiter(1.0, 60.0))
        times = []
        queue.add("a")
        for _ in range(5):
            async with queue.item() as key:
                times.append(trio.current_time())
                queue.add_rate_limited(key)
        assert times == [0, 1, 3, 7, 15]
        assert queue.num_requeues("a") == 5
        queue.forget("a")
        async with queue.item() as key:  # what is delayed stays delayed
            assert trio.current_time() == 31
            queue.add_rate_limited(key)
        assert await queue.get() == "a"
        assert trio.current_time() == 32

    run(main)


def test_the_default_limiter_is_client_gos():
    async def main():
        queue = WorkQueue[int]()
        for key in range(150):
            queue.add_rate_limited(key)
        for _ in range(150):
            await queue.get()
        assert trio.current_time() == pytest.approx(5.0)  # 100 at once, 50 at ten a second

    run(main)


# ---- cancellation --------------------------------------------------------------------------------------------------


def test_a_get_that_is_cancelled_has_taken_nothing():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        with trio.CancelScope() as scope:
            scope.cancel()
            await queue.get()
        assert scope.cancelled_caught
        with trio.move_on_after(1):
            assert await queue.get() == "a"
            await queue.get()  # parked, and cancelled there
        queue.add("b")
        assert queue.get_nowait() == "b"
        assert queue.statistics().processing == 2

    run(main)


def test_a_key_that_was_handed_over_is_not_lost_to_a_cancellation_at_the_same_time():
    """Either the get returns it, or it was cancelled and somebody else gets it; whichever happens first."""

    async def main(cancel_first):
        queue = WorkQueue[str]()
        got = []
        scope = trio.CancelScope()

        async def worker():
            with scope:
                got.append(await queue.get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            await settled()
            if cancel_first:
                scope.cancel()
            queue.add("a")
            scope.cancel()
        left = [queue.get_nowait()] if len(queue) else []
        assert (got, left) == (([], ["a"]) if cancel_first else (["a"], []))

    run(main, True)
    run(main, False)


def test_a_cancellation_just_after_a_ready_key_was_taken_does_not_lose_it():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        got = []
        scope = trio.CancelScope()

        async def worker():
            with scope:
                got.append(await queue.get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            while not queue.statistics().processing:
                await trio.lowlevel.checkpoint()
            scope.cancel()
        assert got == ["a"]

    for _ in range(20):
        run(main)


def test_a_cancellation_at_the_very_time_of_a_delayed_key_leaves_it_to_the_next_in_line():
    async def main():
        queue = WorkQueue[str]()
        got = []

        async def worker(name, timeout_s):
            with trio.move_on_after(timeout_s):
                got.append((name, await queue.get(), trio.current_time()))

        async with trio.open_nursery() as nursery:
            for name, timeout_s in [("first", 5), ("second", 9)]:
                nursery.start_soon(worker, name, timeout_s)
                await settled()
            queue.add_after("a", 5)
        assert [(key, at_s) for _, key, at_s in got] == [("a", 5)]  # either may have it: nobody loses it

    for _ in range(20):
        run(main)


def test_get_is_a_checkpoint_also_when_a_key_is_there():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        with trio.testing.assert_checkpoints():
            await queue.get()
        queue.shut_down()
        with trio.testing.assert_checkpoints(), pytest.raises(QueueShutDown):
            await queue.get()
        queue.done("a")
        with trio.testing.assert_checkpoints():
            await queue.shut_down_with_drain()

    run(main)


def test_a_worker_that_is_cancelled_or_fails_in_its_block_gives_the_key_back_as_done():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        with trio.move_on_after(1):
            async with queue.item():
                await trio.sleep_forever()
        queue.add("a")
        with pytest.raises(OSError, match="lost"):
            async with queue.item():
                raise OSError("lost")
        told = queue.statistics()
        assert (told.processing, told.depth) == (0, 0)

    run(main)


# ---- the end -------------------------------------------------------------------------------------------------------


def test_shut_down_ends_those_who_wait_and_lets_the_others_finish_what_is_ready():
    async def main():
        queue = WorkQueue[str]("jobs")
        ended = []

        async def worker():
            with pytest.raises(QueueShutDown, match="'jobs' is shut down"):
                await queue.get()
            ended.append(True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker)
            nursery.start_soon(worker)
            await settled()
            queue.shut_down()
        assert len(ended) == 2

    run(main)


def test_after_shut_down_adds_are_ignored_delays_dropped_and_ready_keys_kept():
    """[9.5 TestNoQueueDrainageUsingShutDown]"""

    async def main():
        queue = WorkQueue[str]()
        queue.add("busy")
        assert queue.get_nowait() == "busy"
        queue.add("busy")
        queue.add("ready")
        queue.add_after("later", 1)
        queue.shut_down()
        assert queue.is_shut_down
        queue.add("ready too late")
        queue.add_after("too late", 1)
        queue.add_rate_limited("failed too late")
        assert queue.num_requeues("failed too late") == 0
        queue.done("busy")
        await trio.sleep(5)
        assert [await queue.get(), await queue.get()] == ["ready", "busy"]
        with pytest.raises(QueueShutDown):
            await queue.get()
        with pytest.raises(trio.EndOfChannel):
            queue.get_nowait()
        queue.shut_down()  # twice is once

    run(main)


def test_draining_waits_for_what_is_queued_with_workers_and_put_off():
    """[9.5 TestQueueDrainageUsingShutDownWithDrain*]"""

    async def main():
        queue = WorkQueue[str]()
        finished = []

        async def worker():
            while True:
                try:
                    async with queue.item() as key:
                        await trio.sleep(10)
                        finished.append((key, trio.current_time()))
                except QueueShutDown:
                    return

        async with trio.open_nursery() as nursery:
            for key in "ab":
                queue.add(key)
            nursery.start_soon(worker)
            await trio.sleep(1)
            queue.add("a")
            await queue.shut_down_with_drain()
            assert finished == [("a", 10), ("b", 20), ("a", 30)]
            assert trio.current_time() == 30

    run(main)


def test_draining_without_workers_waits_until_it_is_cancelled():
    async def main():
        queue = WorkQueue[str]()
        queue.add("a")
        with trio.move_on_after(60) as scope:
            await queue.shut_down_with_drain()
        assert scope.cancelled_caught
        queue.add("b")
        assert len(queue) == 1  # it stays shut down
        async with queue.item():
            pass
        await queue.shut_down_with_drain()
        assert trio.current_time() == 60

    run(main)


# ---- statistics ----------------------------------------------------------------------------------------------------


def test_statistics_tell_depth_adds_latency_work_and_what_is_stuck():
    """[9.5 TestMetrics]"""

    async def main():
        queue = WorkQueue[str]("jobs")
        queue.add("a")
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 5)
        await trio.sleep(2)
        assert await queue.get() == "a"
        await trio.sleep(1)
        assert await queue.get() == "b"
        await trio.sleep(4)
        told = queue.statistics()
        assert (told.name, told.adds, told.retries) == ("jobs", 3, 1)
        assert (told.ready, told.depth, told.delayed, told.processing) == (1, 1, 0, 2)
        assert (told.latency.count, told.latency.sum_s, told.latency.longest_s) == (2, 5.0, 3.0)
        assert (told.unfinished_work_s, told.longest_running_s, told.work.count) == (9.0, 5.0, 0)
        queue.done("a")
        assert await queue.get() == "c"
        told = queue.statistics()
        assert (told.work.count, told.work.sum_s) == (1, 5.0)
        assert told.latency.sum_s == 7.0  # due since 5, though nobody looked until 7
        assert (told.unfinished_work_s, told.longest_running_s) == (4.0, 4.0)

    run(main)
