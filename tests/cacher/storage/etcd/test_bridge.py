"""Bridge: from a thread to a task in order, bounded, and nobody is left waiting at either end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
import trio.testing

from cacher.storage.etcd._bridge import REST_S, Bridge


def real(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Under the real clock: the other side is a thread, which no virtual one waits for."""

    def run() -> None:
        async def main() -> None:
            with trio.fail_after(20):
                await test()

        trio.run(main)

    run.__name__ = run.__qualname__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@real
async def test_all_that_is_put_is_taken_in_order_and_no_more_waits_than_may() -> None:
    bridge: Bridge[int] = Bridge(50)
    heaviest = 0
    taken: list[int] = []

    def put() -> None:
        for number in range(5000):
            assert bridge.put(number, 1 + number % 7)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, put)
        while len(taken) < 5000:
            heaviest = max(heaviest, bridge.weight)
            taken += await bridge.take(13)
    assert taken == list(range(5000))
    assert heaviest < 50 + 7


@real
async def test_a_thread_waits_while_it_is_full_and_a_heavy_item_passes_alone() -> None:
    bridge: Bridge[str] = Bridge(10)
    done = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def put() -> None:
        bridge.put("heavy", 1000)
        bridge.put("next", 1)
        token.run_sync_soon(done.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, put)
        while bridge.weight < 1000:
            await trio.sleep(0.001)
        with trio.move_on_after(0.05) as scope:
            await done.wait()
        assert scope.cancelled_caught
        assert await bridge.take(10) == ["heavy"]
        await done.wait()
        assert await bridge.take(10) == ["next"]


@real
async def test_a_reader_that_is_cancelled_has_taken_nothing() -> None:
    bridge: Bridge[int] = Bridge(10)
    with trio.move_on_after(0.01) as scope:
        await bridge.take(1)
    assert scope.cancelled_caught
    await trio.to_thread.run_sync(bridge.put, 1, 1)
    assert await bridge.take(1) == [1]


def test_what_comes_soon_after_is_taken_together_and_what_comes_after_a_pause_at_once() -> None:
    async def main() -> None:
        bridge: Bridge[int] = Bridge(10)
        taken: list[tuple[float, list[int]]] = []

        async def read() -> None:
            while True:
                items = await bridge.take(9)
                taken.append((trio.current_time() - began, items))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(3):
                bridge.put(number, 1)
                await trio.testing.wait_all_tasks_blocked()
            assert taken == [(0, [0])]
            await trio.sleep(REST_S)
            await trio.testing.wait_all_tasks_blocked()
            assert taken[1:] == [(REST_S, [1, 2])]
            await trio.sleep(10)
            bridge.put(3, 1)
            await trio.testing.wait_all_tasks_blocked()
            assert taken[2:] == [(10 + REST_S, [3])]
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=1e-9))


def test_a_reader_that_is_cancelled_while_it_rests_has_taken_nothing() -> None:
    async def main() -> None:
        bridge: Bridge[int] = Bridge(10)
        bridge.put(0, 1)
        assert await bridge.take(9) == [0]
        bridge.put(1, 1)
        assert await bridge.take(9) == [1], "what is there is taken without a rest"
        with trio.move_on_after(REST_S / 2) as scope:
            await bridge.take(9)
        assert scope.cancelled_caught
        bridge.put(2, 1)
        assert await bridge.take(9) == [2]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=1e-9))


@real
async def test_when_it_is_finished_what_is_there_is_taken_and_then_nothing() -> None:
    bridge: Bridge[int] = Bridge(1)
    assert await trio.to_thread.run_sync(bridge.put, 1, 1)
    async with trio.open_nursery() as nursery:
        answers: list[bool] = []

        async def put() -> None:
            answers.append(await trio.to_thread.run_sync(bridge.put, 2, 1))

        nursery.start_soon(put)
        await trio.sleep(0.02)
        bridge.finish()
    assert answers == [False], "a thread that waits for room goes on, and its item was not let in"
    assert [await bridge.take(9), await bridge.take(9)] == [[1], []]


@real
async def test_when_it_is_closed_everybody_goes_on_and_all_is_forgotten() -> None:
    bridge: Bridge[int] = Bridge(1)
    assert await trio.to_thread.run_sync(bridge.put, 1, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, bridge.put, 2, 1)
        await trio.sleep(0.02)
        bridge.close()
    assert bridge.weight == 0
    assert await bridge.take(1) == []
    assert not await trio.to_thread.run_sync(bridge.put, 3, 1)


def test_a_thread_that_outlives_the_run_is_told_nothing_and_fails_nowhere() -> None:
    async def main() -> Bridge[int]:
        return Bridge(10)

    bridge = trio.run(main)
    assert bridge.put(1, 1)
