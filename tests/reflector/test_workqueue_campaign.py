"""A work queue with workers that come, go and are cancelled: no key is lost, and none is with two of them."""

from __future__ import annotations

from random import Random

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from reflector import QueueShutDown, WorkQueue

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "later", "wait", "cancel"]),
        st.integers(0, 5),  # the key
        st.integers(0, 3),  # a delay, a priority, a worker
    ),
    max_size=60,
)


async def campaign(steps, workers, seed):
    """Adds, delays, cancelled workers that are replaced, then a drain. trio shuffles its tasks by chance of its own."""
    random = Random(seed)
    queue = WorkQueue[int]()
    owed: dict[int, float] = {}  # key: the last time by which it is to be worked on again
    began: dict[int, float] = {}
    busy: set[int] = set()
    scopes: dict[int, trio.CancelScope] = {}

    async def worker(number):
        while True:
            with trio.CancelScope() as scope:
                scopes[number] = scope
                try:
                    async with queue.item() as key:
                        assert key not in busy, "two workers have one key"
                        busy.add(key)
                        began[key] = trio.current_time()
                        try:
                            await trio.sleep(random.choice([0, 0, 0.5, 2]))
                        finally:
                            busy.remove(key)
                except QueueShutDown:
                    return

    async with trio.open_nursery() as nursery:
        for number in range(workers):
            nursery.start_soon(worker, number)
        for what, key, amount in steps:
            now = trio.current_time()
            if what == "add":
                queue.add(key, priority=amount)
                owed[key] = max(owed.get(key, 0), now)
            elif what == "later":
                queue.add_after(key, amount, priority=amount)
                if key not in owed or owed[key] <= now:  # an earlier delayed one may stand for it
                    owed[key] = now
            elif what == "wait":
                await trio.sleep(amount)
            elif amount in scopes:
                scopes[amount].cancel()
        await trio.sleep(3)  # the longest delay
        await queue.shut_down_with_drain()
        assert not busy
    for key, by in owed.items():
        assert began.get(key, -1) >= by, f"key {key} was added at {by} and not worked on since"
    told = queue.statistics()
    assert (told.depth, told.delayed, told.processing, len(queue._parked)) == (0, 0, 0, 0)
    assert told.work.count == told.latency.count == told.adds


@given(STEPS, st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=80)
def test_no_key_is_lost_and_none_is_with_two_workers_whatever_happens(steps, workers, seed):
    """[9.5 TestBasic]"""
    trio.run(campaign, steps, workers, seed, clock=trio.testing.MockClock(autojump_threshold=0))
