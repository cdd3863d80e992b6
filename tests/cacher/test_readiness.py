"""Pending, ready, stopped: who waits, who is refused, and for how long."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from cacher._readiness import Readiness, retry_after_s
from tests.cacher.layers import run, settle
from watch import NotReady


@pytest.mark.parametrize(
    ("downtime_s", "seconds"),
    [
        (0, 1), (1, 1), (3, 1), (5, 1), (7, 1), (10, 1), (14, 2), (20, 3), (30, 6), (40, 11), (56, 28), (57, 30),
        (540, 30), (1e9, 30), (-5, 1),
    ],
)  # fmt: skip
def test_the_longer_it_lasts_the_longer_a_client_is_to_stay_away(downtime_s, seconds):
    """[9.3 TestCalculateRetryAfterForUnreadyCache] int(e^(0.06 × downtime)), 1 to 30."""
    assert retry_after_s(downtime_s) == seconds


def test_it_is_pending_then_ready_then_pending_and_each_readiness_is_a_generation():
    """[9.3 Test_newReadySetIdempotent] Being told again that it is pending changes nothing; another state is a generation."""
    readiness = Readiness(lambda: 0.0)
    for _ in range(3):
        readiness.set_pending()
        assert (readiness.is_ready, readiness.generation) == (False, 0)
    readiness.set_ready()
    assert (readiness.is_ready, readiness.check()) == (True, 1)
    readiness.set_ready()
    assert readiness.check() == 2, "a second list is another state, though it was ready all along"
    readiness.set_pending("the watch was lost")
    with pytest.raises(NotReady, match="the watch was lost"):
        readiness.check()
    readiness.set_ready()
    assert readiness.check() == 3


def test_what_was_stopped_stays_so():
    """[9.3 Test_newReadyCheck] Neither ready nor pending can follow, nor another reason."""
    readiness = Readiness(lambda: 0.0)
    readiness.set_ready()
    assert readiness.check() == 1
    readiness.stop()
    readiness.stop()
    readiness.set_ready()
    readiness.set_pending("the watch was lost")
    assert not readiness.is_ready
    with pytest.raises(NotReady) as caught:
        readiness.check()
    assert caught.value.message == "apiserver cacher is stopped"


def test_who_waits_goes_on_when_it_is_ready_and_can_give_up_before():
    """[9.3 Test_newReady] [9.3 Test_newReadyCancelPending] Waiting ends by readiness and by cancellation, by nothing else."""

    async def main() -> None:
        readiness = Readiness()
        with trio.move_on_after(5) as gave_up:
            await readiness.wait()
        assert gave_up.cancelled_caught
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(readiness.wait)
            await settle()
            readiness.set_ready()
            readiness.set_pending("lost before they ran")
            await settle()
            assert len(nursery.child_tasks) == 3, "they wait for the next one"
            readiness.set_ready()
        with trio.testing.assert_checkpoints():
            await readiness.wait()
        assert trio.current_time() == 5

    run(main)


def test_who_waits_is_told_when_it_is_stopped():
    """[9.3 Test_newReadyStop] The error says so."""

    async def main() -> None:
        readiness = Readiness()

        async def waits() -> None:
            with pytest.raises(NotReady, match="stopped"):
                await readiness.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits)
            await settle()
            readiness.stop()
        await waits()

    run(main)


def test_downtime_counts_from_the_loss_and_not_from_a_later_reason():
    """[9.3 TestReadyError] [9.3 Test_newReadyStateChangeTimestamp] The newest reason is told, also that there is none now;
    the time since it was last ready, or since it was stopped, decides the patience asked for."""
    now = 100.0
    readiness = Readiness(lambda: now)
    assert readiness.error().retry_after_s == 1, "nobody has begun"
    assert readiness.error().message == "storage is (re)initializing"
    readiness.begin()
    now += 20
    assert readiness.error().retry_after_s == 3
    readiness.set_ready()
    now += 1000
    readiness.set_pending()
    now += 10
    assert readiness.error().message == "storage is (re)initializing"
    now += 20
    readiness.set_pending("the list failed")
    error = readiness.error()
    assert (error.retry_after_s, error.message) == (6, "storage is (re)initializing: the list failed")
    readiness.set_pending()
    error = readiness.error()
    assert (error.retry_after_s, error.message) == (6, "storage is (re)initializing")
    readiness.stop()
    assert readiness.error().retry_after_s == 1
    now += 20
    readiness.stop()
    assert readiness.error().retry_after_s == 3


@given(steps=st.lists(st.sampled_from(["ready", "pending", "waits", "settle"]), max_size=30))
def test_whoever_waits_goes_on_after_whatever_turns(steps):
    """[9.3 Test_newReadyRacy] As long as the last one is ready; and nobody goes on while it is not."""

    async def main() -> None:
        readiness = Readiness()
        went_on = 0

        async def waits() -> None:
            nonlocal went_on
            await readiness.wait()
            assert readiness.is_ready
            went_on += 1

        async with trio.open_nursery() as nursery:
            for step in steps:
                if step == "waits":
                    nursery.start_soon(waits)
                elif step == "ready":
                    readiness.set_ready()
                elif step == "pending":
                    readiness.set_pending()
                else:  # without it several turns pass before anybody runs
                    await settle()
            await settle()
            waiting = steps.count("waits") - went_on
            assert len(nursery.child_tasks) == (0 if readiness.is_ready else waiting)
            readiness.set_ready()
        assert went_on == steps.count("waits")

    run(main)
