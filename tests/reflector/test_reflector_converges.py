"""Whatever a source goes through, the store ends equal to it, and never holds what the source did not hold at that revision.

The source here is a model with the whole history of its objects; a script drawn by Hypothesis writes to it, compacts it,
loses its streams and makes it refuse, while a Reflector mirrors it. Coherent is judged at every single write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import NamedTuple

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from reflector import Changes, ChangeStream, Page, Reflector, Replacement
from watch import Event, EventType, Expired, NotReady, Object, TooLargeResourceVersion

QUIET_S = 400.0
"""Longer than all waits of a script together, and the last one: after so long without faults nothing is left to wait for."""


class Write(NamedTuple):
    key: str
    object: Object | None


class ModelSource:
    """Objects with their history: one write a revision, from revision 1.

    `served` is the revision that it admits to, as a cache that lags behind; lists show it, watches end at it.
    """

    def __init__(self) -> None:
        self.history: list[Write] = []
        self.compacted = 0
        self.lag = 0
        self.list_failures: list[Exception] = []
        self.open_failures: list[Exception] = []
        self.list_takes_s = 0.0
        self._generation = 0  # of the streams: those of an older one are lost
        self._news = trio.Event()

    # What the script does to it.

    def write(self, key: str, *, is_deletion: bool = False) -> None:
        if is_deletion and key not in self.at(self.revision):
            return
        revision = self.revision + 1
        self.history.append(Write(key, None if is_deletion else Object(key, revision, b"{}", name=key)))
        self._wake()

    def compact(self) -> None:
        self.compacted = self.served

    def lose_streams(self) -> None:
        self._generation += 1
        self._wake()

    def set_lag(self, lag: int) -> None:
        """As where the client is sent to another replica: its streams are lost."""
        self.lag = lag
        self.lose_streams()

    # What is true of it.

    @property
    def revision(self) -> int:
        return len(self.history)

    @property
    def served(self) -> int:
        return max(self.revision - self.lag, self.compacted, 0)

    def at(self, revision: int) -> dict[str, Object]:
        state: dict[str, Object] = {}
        for key, found in self.history[:revision]:
            if found is None:
                del state[key]
            else:
                state[key] = found
        return state

    # What a reflector asks of it.

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.sleep(self.list_takes_s)
        if self.list_failures:
            raise self.list_failures.pop()
        if page:
            revision, start = map(int, page.split("/"))
            if revision < self.compacted:
                raise Expired(revision, self.compacted)
        else:
            revision, start = self.revision if resource_version == "" else self.served, 0
            if int(resource_version or 0) > revision:
                raise TooLargeResourceVersion(int(resource_version), revision)
        found = [each for _, each in sorted(self.at(revision).items())]
        end = start + page_size if page_size else len(found)
        return Page(tuple(found[start:end]), revision, f"{revision}/{end}" if end < len(found) else "")

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        return self._watch(revision)

    @asynccontextmanager
    async def _watch(self, revision: int) -> AsyncIterator[ChangeStream]:
        await trio.lowlevel.checkpoint()
        if self.open_failures:
            raise self.open_failures.pop()
        yield ModelStream(self, revision)

    async def request_progress(self) -> None:
        await trio.lowlevel.checkpoint()
        self.tell_progress()

    def tell_progress(self) -> None:
        self._wake()

    # What its streams ask of it.

    @property
    def generation(self) -> int:
        return self._generation

    async def news(self) -> None:
        await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


class ModelStream:
    """Up to three revisions at a time, and a bookmark at each progress request."""

    def __init__(self, source: ModelSource, revision: int) -> None:
        self._source = source
        self._revision = revision
        self._generation = source.generation

    async def receive(self) -> Changes:
        await trio.lowlevel.checkpoint()
        source = self._source
        while source.generation == self._generation and self._revision >= source.served:
            await source.news()
            if source.generation == self._generation and self._revision == source.served:
                return Changes((), self._revision)
        if source.generation != self._generation:
            raise trio.EndOfChannel if source.generation % 2 else trio.BrokenResourceError
        if self._revision < source.compacted:
            raise Expired(self._revision, source.compacted)
        before, self._revision = self._revision, min(source.served, self._revision + 3)
        return Changes(tuple(self._event(each) for each in range(before + 1, self._revision + 1)), self._revision)

    def _event(self, revision: int) -> Event:
        key, found = self._source.history[revision - 1]
        if found is None:
            return Event(EventType.DELETED, Object(key, revision, b"{}", name=key), revision)
        return Event(EventType.MODIFIED, found, revision)


class JudgedStore:
    """A dict, and after every write the claim that it is what the source held at that revision."""

    def __init__(self, source: ModelSource) -> None:
        self._source = source
        self._held: dict[str, Object] = {}
        self.revision = 0
        self.writes = 0

    def objects(self) -> list[Object]:
        return list(self._held.values())

    def replace(self, replacement: Replacement) -> None:
        listed = {each.key: each for each in replacement.objects}
        assert list(listed) == sorted(listed)
        assert [each.key for each in replacement.gone] == sorted(self._held.keys() - listed.keys())
        assert all(self._held[each.key] is each for each in replacement.gone)
        self._held = listed
        self._judge(replacement.revision)

    def apply(self, changes: Changes) -> None:
        for event in changes.events:
            if event.type is EventType.DELETED:
                del self._held[event.key]
            else:
                self._held[event.key] = event.object
        self._judge(changes.revision)

    def bookmark(self, revision: int) -> None:
        self._judge(revision)

    def _judge(self, revision: int) -> None:
        assert revision >= self.revision, "Monotonic: revisions never fall"
        assert self._held == self._source.at(revision), "Coherent: the store at a revision is the source at it"
        self.revision = revision
        self.writes += 1


def _run(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_model_source_pages_a_pinned_revision_watches_from_it_and_expires() -> None:
    async def main() -> None:
        source = ModelSource()
        for key in "abc":
            source.write(key)
        first = await source.list(page_size=2)
        source.write("b", is_deletion=True)
        second = await source.list(page=first.next_page, page_size=2)
        assert [each.key for each in (*first.objects, *second.objects)] == ["a", "b", "c"]
        assert (first.revision, second.revision, second.next_page) == (3, 3, "")
        async with source.watch(3) as stream:
            changes = await stream.receive()
            assert (changes.revision, changes.events[0].type) == (4, EventType.DELETED)
            source.lose_streams()
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()
        source.compact()
        with pytest.raises(Expired):
            await source.list(page=first.next_page)
        async with source.watch(3) as stream:
            with pytest.raises(Expired):
                await stream.receive()
        source.write("d")
        source.set_lag(1)
        with pytest.raises(TooLargeResourceVersion):
            await source.list(resource_version="5")
        assert (await source.list(resource_version="0")).revision == 4

    _run(main)


def test_the_judged_store_convicts_a_lost_event_and_a_falling_revision() -> None:
    async def main() -> None:
        source = ModelSource()
        source.write("a")
        source.write("b")
        with pytest.raises(AssertionError, match="Coherent"):
            JudgedStore(source).replace(Replacement((), 1, ()))
        store = JudgedStore(source)
        store.replace(Replacement(tuple(source.at(1).values()), 1, ()))
        with pytest.raises(AssertionError, match="Coherent"):
            store.bookmark(2)
        with pytest.raises(AssertionError, match="Monotonic"):
            store.bookmark(0)

    _run(main)


KEYS = st.sampled_from("abcde")
FAILURES = st.sampled_from([OSError("down"), NotReady("starting", retry_after_s=2), Expired(1, 2), ConnectionError()])
HAPPENING = st.one_of(
    st.tuples(st.just("put"), KEYS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("write behind its back"), st.lists(KEYS, min_size=1, max_size=4)),
    st.tuples(st.just("lose streams"), st.none()),
    st.tuples(st.just("progress"), st.none()),
    st.tuples(st.just("lag"), st.integers(0, 4)),
    st.tuples(st.just("slow lists"), st.sampled_from([0.0, 0.5, 5.0])),
    st.tuples(st.just("fail lists"), st.lists(FAILURES, max_size=4)),
    st.tuples(st.just("fail watches"), st.lists(FAILURES, max_size=3)),
    st.tuples(st.just("sleep"), st.sampled_from([1.0, 10.0, 150.0])),
)
PAUSES_S = st.sampled_from([0.0, 0.0, 0.1, 0.6])
SCRIPTS = st.lists(st.tuples(HAPPENING, PAUSES_S), min_size=5, max_size=40)
"""Without the pauses the reflector would sleep through most of it: its first wait is 0.8 s."""


async def _happen(source: ModelSource, what: str, how: object) -> None:
    match what, how:
        case "put", str(key):
            source.write(key)
        case "delete", str(key):
            source.write(key, is_deletion=True)
        case "compact", _:
            source.compact()
        case "lose streams", _:
            source.lose_streams()
        case "progress", _:
            source.tell_progress()
        case "lag", int(lag):
            source.set_lag(lag)
        case "slow lists", float(seconds):
            source.list_takes_s = seconds
        case "fail lists", list(errors):
            source.list_failures = list(errors)
        case "fail watches", list(errors):
            source.open_failures = list(errors)
        case "write behind its back", list(keys):
            # What a watch from before this cannot have any more.
            source.lose_streams()
            for key in keys:
                source.write(key, is_deletion=key in source.at(source.revision))
            source.compact()
        case "sleep", float(seconds):
            await trio.sleep(seconds)
        case _:
            raise AssertionError((what, how))


@given(
    script=SCRIPTS,
    seed=st.integers(0, 2**32),
    page_size=st.integers(0, 3),
    first_list=st.sampled_from(["", "0"]),
)
@settings(deadline=None, max_examples=200)
def test_after_any_script_the_store_equals_the_source_and_no_revision_ever_fell(
    script: list[tuple[tuple[str, object], float]], seed: int, page_size: int, first_list: str
) -> None:
    async def main() -> None:
        source = ModelSource()
        for key in "abcde":
            source.write(key)
        store = JudgedStore(source)
        reflector = Reflector(source, store, random=Random(seed), page_size=page_size, first_list=first_list)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reflector.run)
            for (what, how), pause_s in script:
                await _happen(source, what, how)
                await trio.sleep(pause_s)
            source.list_failures, source.open_failures, source.list_takes_s = [], [], 0.0
            source.set_lag(0)
            await trio.sleep(QUIET_S)
            nursery.cancel_scope.cancel()
        assert store.revision == source.revision
        statistics = reflector.statistics()
        assert (statistics.state, statistics.last_revision) == ("Watching", source.revision)
        assert store.writes == statistics.lists + statistics.changes + statistics.bookmarks

    _run(main)


@given(script=SCRIPTS, cut_s=st.floats(0, 60), seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_a_reflector_that_is_cancelled_at_any_moment_leaves_a_whole_store_and_writes_no_more(
    script: list[tuple[tuple[str, object], float]], cut_s: float, seed: int
) -> None:
    """That the store is whole is judged at each of its writes; that none is missing from the count, here.

    [9.5 TestReflectorStopWatch]
    """

    async def main() -> None:
        source = ModelSource()
        for key in "abcde":
            source.write(key)
        store = JudgedStore(source)
        reflector = Reflector(source, store, random=Random(seed), page_size=2)
        writes_at_end = []

        async def until_cut() -> None:
            with trio.move_on_after(cut_s):
                await reflector.run()
            writes_at_end.append(store.writes)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_cut)
            for (what, how), pause_s in script:
                await _happen(source, what, how)
                await trio.sleep(pause_s)
            await trio.sleep(cut_s + 1)
        statistics = reflector.statistics()
        assert writes_at_end == [store.writes]
        assert store.writes == statistics.lists + statistics.changes + statistics.bookmarks
        assert store.revision == statistics.last_revision

    _run(main)
