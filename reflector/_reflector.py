"""Reflector: keeps a store equal to what a source lists and watches, through every failure that a source may have.

It is the first stage on both sides of the cache: over etcd it feeds the watch cache, over a watch cache or an API
server it feeds an informer. It asks, writes and waits; `_state` decides. It holds one list's pages and one Changes at a
time, so its memory is the source's: two copies of the objects during a relist, nothing in between.

Source: client-go tools/cache/reflector.go.
Differs: a watch that is silent for too long is given up, where client-go waits for its connection to notice; there is no resync,
which replays local state and is the informer's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import final

import msgspec
import trio

from watch import EventType, InvalidSelector, NotReady, Object, TooLargeResourceVersion, WatchError

from ._backoff import Backoff, BackoffPolicy, Chance
from ._lister_watcher import (
    Changes,
    ChangeStream,
    ListerWatcher,
    Page,
    ReflectorStore,
    Replacement,
    StreamingListerWatcher,
)
from ._promises import BrokenPromise, Check, WatchSilent, check_length, check_state_length
from ._state import (
    Action,
    Empty,
    Input,
    Listed,
    Listing,
    State,
    Streaming,
    Watching,
    begin,
    check_changes,
    check_page,
    list_failure,
    open_failure,
    page_size,
    state_failure,
    step,
    stream_failure,
)

SHORT_WATCH_S = 1.0
"""A stream that ends sooner and brought nothing new is a failure, and waits. Source: client-go VeryShortWatchError."""
RETRY_AFTER_MAX_S = 60.0
"""A source that asks for patience gets this much: twice what kube-apiserver asks for at most."""
STATE_SILENCE_S = 30.0
"""A streamed state that goes on bringing nothing is listed instead: a server has it at hand, and ends it within about a second.
client-go waits for ever, and says so every 10 s."""

_RETRIED = (WatchError, trio.BrokenResourceError, trio.EndOfChannel, trio.TooSlowError, OSError)
_CAUGHT = (*_RETRIED, ExceptionGroup)  # a group only to look inside: see _cause


class ReflectorStatistics(msgspec.Struct, frozen=True):
    """What a Reflector has done so far. Counts are since it began."""

    name: str
    state: str
    """Empty, Listing, Streaming, Listed or Watching."""
    last_revision: int
    """The store holds everything up to here; 0 before the first list."""
    lists: int
    """Complete lists put into the store, streamed ones among them."""
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


_APPLY, _CHANGES_ARRIVED = Action.APPLY, Input.CHANGES_ARRIVED  # of each change; a look-up in an enum is a call


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
        page_size: objects a page; 0 asks for everything at once. By default 500, and everything at once where the list is to
            be "not older than N", which a cache answers as a whole.
        first_list: what the first list asks for: "" the latest (a server's cache), "0" whatever the source has (an
            informer, which may thus begin in the past).
        backoff: the waits after failures; client-go's unless said otherwise.
        pause: the waits between two rounds of list and watch, where they are to be others than those before a watch that was
            refused is asked for again, and to grow on their own; kube-apiserver's cache has a second, always.
        name: for statistics and error messages.
        streams: ask for states as streams, where the source is a StreamingListerWatcher, and list where that fails.
        inactivity_s: a stream that brings nothing for so long is taken for lost and resumed, and a list that takes so long has
            failed. Choose more than the source's period of bookmarks.
        watch_timeout_s: a watch is left and resumed after this time, or up to twice it, by chance: so that clients of several
            servers spread over them again. Of a StreamingListerWatcher alone, which is told, and sends a bookmark before.
        objects_max: a list of more objects is taken for endless; 0: none is.
        check: called with each object that comes; raises a BrokenPromise where the source is not to be believed.
        on_interrupted: called with the reason when watching is given up for a relist: from then to the next `replace`
            the store falls behind. Not called for a resume, nor for further failures on the way.
        on_failure: called with every failure, before what comes of it.
        on_list_failed: called with the reason when a list failed, before the wait for the next one; not where it is asked
            for in another way at once.
    """

    def __init__(
        self,
        lister_watcher: ListerWatcher,
        store: ReflectorStore,
        *,
        random: Chance,
        page_size: int | None = None,
        first_list: str = "",
        backoff: BackoffPolicy | None = None,
        pause: BackoffPolicy | None = None,
        name: str = "",
        streams: bool = False,
        inactivity_s: float = inf,
        watch_timeout_s: float = inf,
        objects_max: int = 0,
        check: Check | None = None,
        on_interrupted: Callable[[str], None] | None = None,
        on_list_failed: Callable[[str], None] | None = None,
        on_failure: Callable[[Exception], None] | None = None,
    ) -> None:
        if first_list not in ("", "0"):
            raise ValueError(
                f'first_list is {first_list!r}: choose "" for the latest or "0" for whatever the source has'
            )
        if page_size is not None and page_size < 0:
            raise ValueError(f"page_size is {page_size}: choose a number of objects, or 0 for no limit")
        if not (inactivity_s > 0 and watch_timeout_s > 0):
            raise ValueError(
                f"inactivity_s {inactivity_s:g}, watch_timeout_s {watch_timeout_s:g}: choose more than 0 s"
            )
        self._source = lister_watcher
        self._streaming = lister_watcher if isinstance(lister_watcher, StreamingListerWatcher) else None
        self._streams = streams
        self._inactivity_s = inactivity_s
        self._watch_timeout_s = watch_timeout_s
        self._objects_max = objects_max
        self._check = check
        self._random = random
        self._is_paged = False  # a list at "0" came in pages: there is no cache
        self._store = store
        self._page_size = page_size
        self._backoff = Backoff(random, backoff)
        self._pause = self._backoff if pause is None else Backoff(random, pause)
        self._name = name
        self._on_interrupted = on_interrupted
        self._on_list_failed = on_list_failed
        self._on_failure = on_failure
        self._state: State = Empty(first_list)
        self._has_begun = False
        self._tell_started: Callable[[], None] | None = None
        self._wait_s = 0.0
        self._last_revision = 0
        self._lists = self._resumes = self._pages = self._failures = 0
        self._changes = self._events = self._bookmarks = 0
        self._backoff_total_s = 0.0
        self.last_failure: Exception | None = None
        """The last failure itself; None where there was none."""
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
        self._tell_started = task_status.started
        while True:
            await self._wait()
            state = self._state
            match state:
                case Empty():
                    self._take(begin(state, can_stream=self._streams and self._streaming is not None))
                case Listing():
                    await self._list(state)
                case Streaming():
                    await self._stream(state)
                case Listed():
                    await self._watch(state)
                case Watching():
                    raise AssertionError("a watch is left only by way of a failure")

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
        size = page_size(state, self._page_size, is_paged=self._is_paged)
        asked_for = "" if state.next_page else state.resource_version  # a page's token holds its revision
        try:
            with trio.fail_after(self._inactivity_s):
                page = await self._source.list(resource_version=asked_for, page_size=size, page=state.next_page)
            check_page(state, page)
            check_length(state.pages, page, objects_max=self._objects_max, page_size=size)
            self._check_objects(page)
        except _CAUGHT as error:
            cause = _cause(error)
            if cause is None:
                raise
            self._fail(list_failure(state, cause), cause)
        else:
            self._last_heard_s = trio.current_time()
            self._pages += 1
            self._is_paged |= bool(page.next_page) and state.resource_version == "0"
            self._take(Input.PAGE_ARRIVED if page.next_page else Input.LIST_COMPLETE, page)

    async def _stream(self, state: Streaming) -> None:
        """Opens a stream, takes the state from it, and stays on it as on a watch."""
        assert self._streaming is not None, "a source that cannot stream is listed"
        timeout_s = self._drawn_timeout()
        limit = _Limit(min(self._inactivity_s, STATE_SILENCE_S), inf if timeout_s is None else timeout_s)
        is_open = False
        try:
            with limit.scope:
                async with self._streaming.watch_list(resource_version=state.asked_for, timeout_s=timeout_s) as stream:
                    is_open = True
                    self._take(Input.STATE_COMPLETE, await self._receive_state(stream, limit))
                    limit.allow(self._inactivity_s)
                    await self._receive(stream, limit)
            limit.raise_if_over()
        except _CAUGHT as error:
            cause = _cause(error)
            if cause is None:
                raise
            if self._state is state:
                self._fail(state_failure(state, cause, is_open=is_open), cause)
            else:
                self._leave(cause, is_short=False)

    async def _watch(self, state: Listed) -> None:
        """Opens a watch and stays until it fails. The stream is closed when this returns, so no wait holds one open."""
        opened_s = trio.current_time()
        timeout_s = self._drawn_timeout()
        limit = _Limit(self._inactivity_s, inf if timeout_s is None else timeout_s)
        try:
            with limit.scope:
                async with self._opened(state.revision, timeout_s) as stream:
                    opened_s = self._last_heard_s = trio.current_time()
                    self._resumes += state.has_watched
                    self._take(Input.WATCH_OPENED)
                    await self._receive(stream, limit)
            limit.raise_if_over()
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
            self._leave(cause, is_short=is_short)

    def _opened(self, revision: int, timeout_s: float | None) -> AbstractAsyncContextManager[ChangeStream]:
        if self._streaming is None or timeout_s is None:
            return self._source.watch(revision)
        return self._streaming.watch(revision, timeout_s=timeout_s)

    def _drawn_timeout(self) -> float | None:
        if self._streaming is None or self._watch_timeout_s == inf:
            return None
        return self._watch_timeout_s * (1 + self._random.random())

    async def _receive_state(self, stream: ChangeStream, limit: _Limit) -> Page:
        """All that a stream brings up to the first revision, as one page."""
        objects: dict[str, Object] = {}
        events = 0
        while True:
            changes = await stream.receive()
            self._last_heard_s = trio.current_time()
            limit.heard(self._last_heard_s)
            for event in changes.events:
                if event.type is EventType.DELETED:
                    objects.pop(event.key, None)
                else:
                    objects[event.key] = event.object
            events += len(changes.events)
            check_state_length(len(objects), events, self._objects_max)
            if changes.revision:
                page = Page(tuple(sorted(objects.values(), key=_key)), changes.revision)
                self._check_objects(page)
                return page

    async def _receive(self, stream: ChangeStream, limit: _Limit) -> None:
        while True:
            changes = await stream.receive()
            self._last_heard_s = trio.current_time()
            limit.heard(self._last_heard_s)
            state = self._state
            assert isinstance(state, Watching), state.kind
            check_changes(state, changes)
            if self._check is not None:
                for event in changes.events:
                    self._check(event.object)
            try:
                self._take(_CHANGES_ARRIVED, changes)
            except _CAUGHT as error:
                # The store's own mistake must not pass for a failure of the source, which is waited out.
                raise RuntimeError(f"the store failed at revision {changes.revision}: {_text(error)}") from error

    @property
    def _last_error(self) -> str:
        return "" if self.last_failure is None else _text(self.last_failure)

    async def _wait(self) -> None:
        if self._wait_s:
            wait_s, self._wait_s = self._wait_s, 0.0
            await trio.sleep(wait_s)

    # Synchronous from here on: nobody sees a half of it.

    def _check_objects(self, page: Page) -> None:
        if self._check is not None:
            for obj in page.objects:
                self._check(obj)
                if obj.revision > page.revision:
                    raise BrokenPromise(
                        f"{obj.key!r} of revision {obj.revision} in a list at {page.revision}: list again"
                    )

    def _leave(self, cause: Exception, *, is_short: bool) -> None:
        """An open stream is over."""
        seen = stream_failure(cause, is_short=is_short)
        if seen is Input.STREAM_ENDED and isinstance(cause, trio.EndOfChannel):
            self._take(seen)  # every watch over HTTP ends so, after some minutes: no failure
        else:
            self._fail(seen, cause)

    def _fail(self, seen: Input, error: Exception) -> None:
        self._failures += 1
        self.last_failure = error
        if self._on_failure is not None:
            self._on_failure(error)
        asked_s = error.retry_after_s if isinstance(error, NotReady | TooLargeResourceVersion) else 0.0
        self._take(seen, retry_after_s=min(asked_s, RETRY_AFTER_MAX_S))
        if seen is Input.LIST_FAILED and self._on_list_failed is not None:
            self._on_list_failed(self._last_error)

    def _take(self, seen: Input, payload: Page | Changes | None = None, *, retry_after_s: float = 0.0) -> None:
        """Does what the table says, and moves the state after the store: it never claims what is not there."""
        decided = step(self._state, seen, payload)
        for action in decided.actions:
            if action is _APPLY:
                assert isinstance(payload, Changes), "CHANGES_ARRIVED brings its changes"
                self._apply(payload)
            elif action is Action.REPLACE:
                assert isinstance(payload, Page), "LIST_COMPLETE brings its last page, STATE_COMPLETE all"
                self._replace(payload)
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
        assert isinstance(self._state, Listing | Streaming), self._state.kind
        objects = self._state.objects(last) if isinstance(self._state, Listing) else last.objects
        gone: list[Object] = []
        if held := self._store.objects():
            listed = {found.key for found in objects}
            gone = sorted((one for one in held if one.key not in listed), key=_key)
        self._store.replace(Replacement(objects, last.revision, tuple(gone)))
        self._last_revision = last.revision
        self._lists += 1
        if self._tell_started is not None:
            self._tell_started()
            self._tell_started = None

    def _apply(self, changes: Changes) -> None:
        if changes.events:
            self._store.apply(changes)
            self._changes += 1
            self._events += len(changes.events)
        else:
            self._store.bookmark(changes.revision)
            self._bookmarks += 1
        self._last_revision = changes.revision


class _Limit:
    """When a stream is to be given up: at the end of its time, which is in order, and before that when it is silent.

    The deadline is moved at most SHIFTS times in a silence's length, so that a busy stream does not pay for it.
    """

    SHIFTS = 64

    def __init__(self, silence_s: float, timeout_s: float) -> None:
        now = trio.current_time()
        self._ends_at_s = now + timeout_s
        self.scope = trio.CancelScope()
        self.allow(silence_s)

    def allow(self, silence_s: float) -> None:
        """A silence may last so long from now on."""
        self._silence_s = silence_s
        self._shift_at_s = -inf
        self.heard(trio.current_time())

    def heard(self, now: float) -> None:
        """Something came."""
        if now >= self._shift_at_s:
            self.scope.deadline = min(now + self._silence_s, self._ends_at_s)
            self._shift_at_s = now + self._silence_s / self.SHIFTS

    def raise_if_over(self) -> None:
        """Raises what a stream that was given up is over by."""
        if self.scope.cancelled_caught:
            if trio.current_time() >= self._ends_at_s:
                raise trio.EndOfChannel("the watch has lasted for as long as was drawn")
            raise WatchSilent(self._silence_s)


def _key(obj: Object) -> str:
    return obj.key


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
