"""Reflector: keeps a store equal to what a source lists and watches, through every failure that a source may have.

It is the first stage on both sides of the cache: over etcd it feeds the watch cache, over a watch cache or an API
server it feeds an informer. It asks, writes and waits; `_state` decides. It holds one list's pages and one Changes at a
time, so its memory is the source's: two copies of the objects during a relist, nothing in between.

Source: client-go tools/cache/reflector.go.
Differs: every list asks for `page_size` objects a page, also one "not older than N"; watches have no timeout of their
own (an HTTP source brings one); there is no resync, which replays local state and is the informer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import msgspec
import trio

from watch import InvalidSelector, NotReady, TooLargeResourceVersion, WatchError

from ._backoff import Backoff, BackoffPolicy, Chance
from ._lister_watcher import Changes, ChangeStream, ListerWatcher, Page, ReflectorStore, Replacement
from ._state import (
    Action,
    Empty,
    Input,
    Listed,
    Listing,
    State,
    Watching,
    check_changes,
    check_page,
    list_failure,
    open_failure,
    step,
    stream_failure,
)

PAGE_SIZE = 500
"""Objects a page. Source: client-go tools/pager/pager.go, defaultPageSize; kube-apiserver's cache asks for 10,000."""
SHORT_WATCH_S = 1.0
"""A stream that ends sooner and brought nothing new is a failure, and waits. Source: client-go VeryShortWatchError."""
RETRY_AFTER_MAX_S = 60.0
"""A source that asks for patience gets this much: twice what kube-apiserver asks for at most."""

_RETRIED = (WatchError, trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError, OSError)
_CAUGHT = (*_RETRIED, ExceptionGroup)  # a group only to look inside: see _cause


class ReflectorStatistics(msgspec.Struct, frozen=True):
    """What a Reflector has done so far. Counts are since it began."""

    name: str
    state: str
    """Empty, Listing, Listed or Watching."""
    last_revision: int
    """The store holds everything up to here; 0 before the first list."""
    lists: int
    """Complete lists put into the store."""
    relists: int
    """Those of them after the first."""
    resumes: int
    """Watches opened again at the last revision, without a list."""
    pages: int
    changes: int
    """Changes with events."""
    events: int
    bookmarks: int
    """Changes without events."""
    failures: int
    """Lists and watches that did not end well: lost streams too, but no stream that its source ended in order."""
    backoff_s: float
    """Seconds spent, or to be spent, waiting after failures."""
    last_error: str
    """The last failure in words, "" where there was none."""
    last_heard_s: float | None
    """When the source last answered anything, on trio's clock; None where it never has."""


@final
class Reflector:
    """Mirrors `lister_watcher` into `store`: list once, watch from there, resume where possible, relist where not.

    The store sees one `replace` for each complete list, then `apply` and `bookmark` with revisions that rise
    (`bookmark` may repeat one), and no more after `run` has ended. Each is one synchronous step, so a reader, and a
    cancellation, finds the store as it was before it or after.

        async with trio.open_nursery() as nursery:
            await nursery.start(Reflector(source, store, random=random.Random(7)).run)
            ...  # the store holds a complete list, and is kept fresh until the nursery is cancelled

    Args:
        random: chance for the waits, `random.Random` or alike.
        page_size: objects a page; 0 asks for everything at once.
        first_list: what the first list asks for: "" the latest (a server's cache), "0" whatever the source has (an
            informer, which may thus begin in the past).
        backoff: the waits after failures; client-go's unless said otherwise.
        pause: the waits between two rounds of list and watch, where they are to be others than those before a watch that was
            refused is asked for again, and to grow on their own; kube-apiserver's cache has a second, always.
        name: for statistics and error messages.
        on_interrupted: called with the reason when watching is given up for a relist: from then to the next `replace`
            the store falls behind. Not called for a resume, nor for further failures on the way.
        on_list_failed: called with the reason when a list failed, before the wait for the next one; not where it is asked
            for in another way at once.
    """

    def __init__(
        self,
        lister_watcher: ListerWatcher,
        store: ReflectorStore,
        *,
        random: Chance,
        page_size: int = PAGE_SIZE,
        first_list: str = "",
        backoff: BackoffPolicy | None = None,
        pause: BackoffPolicy | None = None,
        name: str = "",
        on_interrupted: Callable[[str], None] | None = None,
        on_list_failed: Callable[[str], None] | None = None,
    ) -> None:
        if first_list not in ("", "0"):
            raise ValueError(
                f'first_list is {first_list!r}: choose "" for the latest or "0" for whatever the source has'
            )
        if page_size < 0:
            raise ValueError(f"page_size is {page_size}: choose a number of objects, or 0 for no limit")
        self._source = lister_watcher
        self._store = store
        self._page_size = page_size
        self._backoff = Backoff(random, backoff)
        self._pause = self._backoff if pause is None else Backoff(random, pause)
        self._name = name
        self._on_interrupted = on_interrupted
        self._on_list_failed = on_list_failed
        self._state: State = Empty(first_list)
        self._has_begun = False
        self._wait_s = 0.0
        self._last_revision = 0
        self._lists = self._resumes = self._pages = self._failures = 0
        self._changes = self._events = self._bookmarks = 0
        self._backoff_total_s = 0.0
        self._last_error = ""
        self._last_heard_s: float | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Mirrors until cancelled. `started` is told when the first complete list is in the store.

        Failures of the source (`WatchError`, a lost stream, `OSError`, alone or in exception groups) are waited out,
        for ever; `statistics().last_error` has the last. `InvalidSelector` and everything else is a mistake in the
        program and ends the run.

        Raises:
            RuntimeError: it has been run before; make another Reflector.
        """
        if self._has_begun:
            raise RuntimeError(f"the reflector {self._name!r} has been run before: make another")
        self._has_begun = True
        has_started = False
        while True:
            await self._wait()
            state = self._state
            match state:
                case Empty():
                    self._take(Input.BEGUN)
                case Listing():
                    await self._list(state)
                case Listed():
                    await self._watch(state)
                case Watching():
                    raise AssertionError("a watch is left only by way of a failure")
            if self._lists and not has_started:
                has_started = True
                task_status.started()

    def statistics(self) -> ReflectorStatistics:
        """What has been done so far."""
        return ReflectorStatistics(
            name=self._name,
            state=self._state.kind.value,
            last_revision=self._last_revision,
            lists=self._lists,
            relists=max(0, self._lists - 1),
            resumes=self._resumes,
            pages=self._pages,
            changes=self._changes,
            events=self._events,
            bookmarks=self._bookmarks,
            failures=self._failures,
            backoff_s=self._backoff_total_s,
            last_error=self._last_error,
            last_heard_s=self._last_heard_s,
        )

    # Questions to the source: each asks what the state stands for and tells the table what came.

    async def _list(self, state: Listing) -> None:
        page_size = 0 if state.is_whole else self._page_size
        asked_for = "" if state.next_page else state.resource_version  # a page's token holds its revision
        try:
            page = await self._source.list(resource_version=asked_for, page_size=page_size, page=state.next_page)
            check_page(state, page)
        except _CAUGHT as error:
            cause = _cause(error)
            if cause is None:
                raise
            self._fail(list_failure(state, cause), cause)
        else:
            self._last_heard_s = trio.current_time()
            self._pages += 1
            self._take(Input.PAGE_ARRIVED if page.next_page else Input.LIST_COMPLETE, page)

    async def _watch(self, state: Listed) -> None:
        """Opens a watch and stays until it fails. The stream is closed when this returns, so no wait holds one open."""
        opened_s = trio.current_time()
        try:
            async with self._source.watch(state.revision) as stream:
                opened_s = self._last_heard_s = trio.current_time()
                self._resumes += state.has_watched
                self._take(Input.WATCH_OPENED)
                await self._receive(stream)
        except _CAUGHT as error:
            cause = _cause(error)
            if cause is None:
                raise
            if self._state is state:
                self._fail(open_failure(cause), cause)
                return
            # A bookmark at the revision that was known is nothing new: a source that sends one and hangs up would
            # otherwise be asked again without end and without a pause.
            is_short = trio.current_time() - opened_s < SHORT_WATCH_S and self._last_revision == state.revision
            seen = stream_failure(cause, is_short=is_short)
            if seen is Input.STREAM_ENDED and isinstance(cause, trio.EndOfChannel):
                self._take(seen)  # every watch over HTTP ends so, after some minutes: no failure
            else:
                self._fail(seen, cause)

    async def _receive(self, stream: ChangeStream) -> None:
        while True:
            changes = await stream.receive()
            self._last_heard_s = trio.current_time()
            assert isinstance(self._state, Watching), self._state.kind
            check_changes(self._state, changes)
            try:
                self._take(Input.CHANGES_ARRIVED, changes)
            except _CAUGHT as error:
                # The store's own mistake must not pass for a failure of the source, which is waited out.
                raise RuntimeError(f"the store failed at revision {changes.revision}: {_text(error)}") from error

    async def _wait(self) -> None:
        if self._wait_s:
            wait_s, self._wait_s = self._wait_s, 0.0
            await trio.sleep(wait_s)

    # Synchronous from here on: nobody sees a half of it.

    def _fail(self, seen: Input, error: Exception) -> None:
        self._failures += 1
        self._last_error = _text(error)
        asked_s = error.retry_after_s if isinstance(error, NotReady | TooLargeResourceVersion) else 0.0
        self._take(seen, retry_after_s=min(asked_s, RETRY_AFTER_MAX_S))
        if seen is Input.LIST_FAILED and self._on_list_failed is not None:
            self._on_list_failed(self._last_error)

    def _take(self, seen: Input, payload: Page | Changes | None = None, *, retry_after_s: float = 0.0) -> None:
        """Does what the table says, and moves the state after the store: it never claims what is not there."""
        decided = step(self._state, seen, payload)
        for action in decided.actions:
            if action is Action.REPLACE:
                assert isinstance(payload, Page), "LIST_COMPLETE brings its last page"
                self._replace(payload)
            elif action is Action.APPLY:
                assert isinstance(payload, Changes), "CHANGES_ARRIVED brings its changes"
                self._apply(payload)
            elif action is Action.INTERRUPT:
                if self._on_interrupted is not None:
                    self._on_interrupted(self._last_error)
            else:
                assert action in (Action.BACK_OFF, Action.PAUSE), action
                waits = self._backoff if action is Action.BACK_OFF else self._pause
                self._wait_s = max(waits.next(trio.current_time()), retry_after_s)
                self._backoff_total_s += self._wait_s
        self._state = decided.state

    def _replace(self, last: Page) -> None:
        """Cost: O(n), and O(g log g) for the g objects that are gone."""
        assert isinstance(self._state, Listing), self._state.kind
        objects = self._state.objects(last)
        listed = {found.key for found in objects}
        gone = sorted((held for held in self._store.objects() if held.key not in listed), key=lambda held: held.key)
        self._store.replace(Replacement(objects, last.revision, tuple(gone)))
        self._last_revision = last.revision
        self._lists += 1

    def _apply(self, changes: Changes) -> None:
        if changes.events:
            self._store.apply(changes)
            self._changes += 1
            self._events += len(changes.events)
        else:
            self._store.bookmark(changes.revision)
            self._bookmarks += 1
        self._last_revision = changes.revision


def _cause(error: Exception) -> Exception | None:
    """The failure to act on: an answer of the source before a lost connection. None where anything else is in `error`.

    A source that runs a nursery of its own raises groups, and its pump may fail beside the stream that it feeds.
    """
    leaves = _leaves(error)
    if any(isinstance(leaf, InvalidSelector) or not isinstance(leaf, _RETRIED) for leaf in leaves):
        return None
    answers = [leaf for leaf in leaves if isinstance(leaf, WatchError)]
    return (answers or leaves)[0]


def _leaves(error: Exception) -> list[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
