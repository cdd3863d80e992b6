"""The kinds of streams of a cached watch that are not simply a Watch."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher._streams import FailedStream, KeyStream, LateEndStream
from tests.cacher.upstream import PREFIX, Upstream, pod, run, running, settle
from watch import Event, EventType, Expired, Selector, bookmark


def test_a_failed_stream_tells_its_error_once_then_ends():
    async def main() -> None:
        for error in (Expired(3, 5), None):
            stream = FailedStream(error)
            if error is not None:
                with pytest.raises(Expired):
                    await stream.receive_batch()
            for receive in (stream.receive, stream.receive_batch):
                with pytest.raises(trio.EndOfChannel), trio.testing.assert_checkpoints():
                    await receive()
            stream.close()
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive()

    run(main)


@pytest.mark.parametrize(
    ("key", "recursive", "expected"),
    [
        ("default/a", False, "a B"),
        ("default/a/", True, "B"),
        ("default/", True, "a ab B"),
        ("default/ab", False, "ab B"),
    ],
)
def test_a_key_stream_lets_through_what_is_under_the_key_and_every_bookmark(key, recursive, expected):
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            stream = KeyStream(cacher.watch(Selector(), after=None, bookmarks=True), PREFIX + key, recursive=recursive)
            for name in ("a", "ab"):
                upstream.put(name)
            upstream.put("a", "other")
            found: list[Event] = []
            async with trio.open_nursery() as nursery:

                async def collect() -> None:
                    while True:
                        found.append(await stream.receive())

                nursery.start_soon(collect)
                await trio.sleep(70)
                nursery.cancel_scope.cancel()
            assert " ".join(event.object.name or "B" for event in found) == expected

    run(main)


def test_a_late_end_comes_after_all_that_is_there_when_its_tick_is_past():
    async def main() -> None:
        upstream = Upstream(pod("a", 3))
        async with running(upstream) as cacher:
            watch = cacher.watch(Selector(), after=None, initial=True)
            stream = LateEndStream(watch, revision=10, due_s=1.0)
            assert [event.type for event in await stream.receive_batch()] == [EventType.ADDED]
            upstream.put("b")
            await settle()
            assert (await stream.receive()).object.name == "b"
            with trio.move_on_after(0.5) as early:
                await stream.receive()
            assert early.cancelled_caught
            end = await stream.receive()
            assert (end.is_initial_events_end, end.revision, trio.current_time()) == (True, 11, 1.0)
            upstream.put("c")
            upstream.mark(14)
            assert (await stream.receive()).object.name == "c"
            with trio.move_on_after(30) as quiet:
                await stream.receive()
            assert quiet.cancelled_caught, "the end comes once"
            stream.close()
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive()

    run(main)


def test_a_late_end_of_an_empty_state_has_the_states_revision():
    async def main() -> None:
        async with running(Upstream()) as cacher:
            stream = LateEndStream(cacher.watch(Selector(), after=None, initial=True), revision=10, due_s=1.1)
            assert await stream.receive_batch() == (bookmark(10, initial_events_end=True),)

    run(main)
