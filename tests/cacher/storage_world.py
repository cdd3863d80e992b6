"""A cache over a frail etcd, those who use it, and what is to be judged of each of their calls when all is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

import trio

from cacher import CacherStorage, Ring, _watch_cache
from cacher._consistency import ConsistencyChecker
from cacher.storage import (
    Codec,
    Interface,
    InternalError,
    InvalidObject,
    KeyExists,
    KeyNotFound,
    ListResult,
    Match,
    Preconditions,
    ResponseMeta,
    Update,
    decode_continue,
)
from cacher.storage.etcd import Compactor, EtcdStorage, open_embedded_etcd
from tests.cacher.frail_etcd import FrailEtcd
from tests.cacher.storage_model import (
    Body,
    Choice,
    Conditions,
    Model,
    Shown,
    Watched,
    judge_watch,
    shown_event,
    shown_object,
)
from watch import EventType, Expired, NotReady, Object, TooLargeResourceVersion

QUIET_S = 200.0
"""Longer than every backoff, lag and page of a script: after so long without faults nothing is left to wait for."""
RING_MIN, RING_MAX = 2, 6
"""A history so short that scripts outgrow it."""
PAGES_MAX = 30
STEP_KEYS = 1
KEYS = ("/pods/a/x", "/pods/b/x", "/pods/a/y", "/pods/ab/x", "/pods/b/xy")

REACHED: Counter[str] = Counter()
"""What the scripts got to. A campaign that never saw a relist has proved nothing about relists."""


class World:
    """A store, a cache over it, those who use them, and what is to be judged when all is over."""

    def __init__(self, etcd: FrailEtcd, storage: Interface, below: Interface) -> None:
        self.etcd = etcd
        self.storage = storage
        self.model = Model()
        self.verdicts: list[Callable[[], None]] = []
        self.watches: list[Watched] = []
        self.is_frail = False
        self.may_relist = False
        self.has_lost = False
        self.serial = 0
        self.first_list = 0
        self._below = below

    @property
    def revision(self) -> int:
        return self.etcd.etcd.revision

    def body(self, app: str, node: str) -> Body:
        self.serial += 1
        return Body(app, node, self.serial)

    def was_so(self, began: int, claim: Callable[[dict[str, tuple[int, Body]]], bool], what: str) -> None:
        """Judge at the end: `claim` held of the state at some moment since `began`."""
        ended = self.revision

        def judge() -> None:
            assert any(claim(self.model.state(at)) for at in range(began, ended + 1)), what

        self.verdicts.append(judge)

    def was_other(self, began: int, key: str, revision: str) -> None:
        """Judge at the end: at some moment since `began` the key's revision was another than this."""
        self.was_so(began, lambda state: str(state[key][0] if key in state else 0) != revision, "the precondition held")

    # --- writes

    async def create(self, key: str, app: str, node: str) -> None:
        body, began = self.body(app, node), self.revision
        try:
            made = await self.storage.create(key, body.value(key))
        except KeyExists:
            self.was_so(began, lambda state: key in state, f"{key} exists, it was said")
            return
        self.model.wrote(made.revision, key, body)
        assert shown_object(made) == Shown("", key, made.revision, body)
        self.saw_before(made.revision, key, None)

    async def update(self, key: str, app: str, node: str, upsert: bool, same: bool, guard: int | None) -> None:
        body, began = self.body(app, node), self.revision
        seen: list[Shown | None] = []

        def change(present: Object | None, meta: ResponseMeta) -> Update:
            assert meta.revision == (present.revision if present is not None else 0)
            seen.append(None if present is None else shown_object(present))
            return Update(present.raw if same and present is not None else body.value(key))

        wanted = None if guard is None else str(max(1, began - guard))
        only_if = None if wanted is None else Preconditions(resource_version=wanted)
        try:
            done = await self.storage.guaranteed_update(key, change, ignore_not_found=upsert, preconditions=only_if)
        except KeyNotFound:
            assert not upsert
            self.was_so(began, lambda state: key not in state, f"{key} is not there, it was said")
            return
        except InvalidObject:
            assert wanted is not None
            REACHED["a precondition failed"] += 1
            self.was_other(began, key, wanted)
            return
        last = seen[-1]
        assert wanted is None or (last is not None and str(last.revision) == wanted)
        if same and last is not None:
            assert shown_object(done) == last, "nothing changed, so nothing was written"
            live = (last.revision, last.body)
            self.was_so(began, lambda state: state.get(key) == live, "an update of nothing returns what is there")
            return
        REACHED["an update was tried again"] += len(seen) > 1
        self.model.wrote(done.revision, key, body)
        assert shown_object(done) == Shown("", key, done.revision, body)
        self.saw_before(done.revision, key, last)

    async def delete(self, key: str, guard: int | None) -> None:
        began = self.revision
        wanted = None if guard is None else str(max(1, began - guard))
        only_if = None if wanted is None else Preconditions(resource_version=wanted)
        try:
            gone = await self.storage.delete(key, preconditions=only_if)
        except KeyNotFound:
            self.was_so(began, lambda state: key not in state, f"{key} is not there, it was said")
            return
        except InvalidObject:
            assert wanted is not None
            self.was_other(began, key, wanted)
            return
        assert gone is not None
        self.model.wrote(gone.revision, key, None)
        shown = shown_object(gone)

        def judge() -> None:
            before, body = self.model.state(shown.revision - 1)[key]
            assert shown.body == body, "a deletion returns the last state"
            assert wanted in (None, str(before))

        self.verdicts.append(judge)

    def saw_before(self, revision: int, key: str, seen: Shown | None) -> None:
        def judge() -> None:
            before = self.model.state(revision - 1).get(key)
            assert before == (None if seen is None else (seen.revision, seen.body)), "a write came between"

        self.verdicts.append(judge)

    async def write_elsewhere(self) -> None:
        await self.etcd.etcd.put("/registry/nodes/n1", "{}")

    # --- reads

    def version(self, back: int | str) -> str:
        return back if isinstance(back, str) else str(max(1, self.revision - back))

    async def read_list(self, choice: Choice, back: int | str, match: str, limit: int, pause_s: float) -> None:
        asked, began = self.version(back), self.revision
        number = int(asked or 0)
        match = match if number else ""
        is_exact = match == Match.EXACT or bool(not match and limit and number and choice.recursive)
        options = choice.options(resource_version=asked, match=match, limit=limit)
        try:
            page = await self.storage.get_list(choice.key, options)
        except (Expired, TooLargeResourceVersion, NotReady) as error:
            self.refused(error, choice, number, limit, began, is_exact=is_exact)
            return
        if is_exact:
            assert page.revision == number
        else:
            low = began if not asked else max(number, self.first_list)
            assert low <= page.revision <= self.revision, f"{page.revision} is not from {low} to {self.revision}"
        if asked == "0" and not page.continue_token:
            limit = 0  # the cache gives everything
        start = choice.key
        for _ in range(PAGES_MAX):
            start = self.shows(choice, page, limit, start)
            if not page.continue_token:
                return
            await trio.sleep(pause_s)
            page = await self.next_page(choice, page, limit)
        raise AssertionError("the pages do not end")

    async def next_page(self, choice: Choice, page: ListResult, limit: int) -> ListResult:
        token, revision = page.continue_token, page.revision
        for _ in range(PAGES_MAX):
            began = self.revision
            options = choice.options(limit=limit, continue_token=token)
            try:
                following = await self.storage.get_list(choice.key, options)
            except Expired as error:
                REACHED["a page was compacted"] += 1
                assert revision < self.etcd.etcd.compact_revision
                assert error.continue_token, "there is a way to go on"
                token, revision = error.continue_token, -1
            except (TooLargeResourceVersion, NotReady) as error:
                self.refused(error, choice, max(revision, 0), limit, began, is_exact=True)
                await trio.sleep(error.retry_after_s or 1)
            else:
                assert following.revision == revision if revision > 0 else began <= following.revision <= self.revision
                return following
        raise AssertionError("the next page does not come")

    def refused(self, error: Exception, choice: Choice, number: int, limit: int, began: int, *, is_exact: bool) -> None:
        REACHED[type(error).__name__] += 1
        if isinstance(error, Expired):
            assert is_exact, "only what asks for one revision can find it gone"
            assert number < self.etcd.etcd.compact_revision, "and only where the store has forgotten it"
        elif isinstance(error, TooLargeResourceVersion):
            assert number, "a list of now falls back on the store"
            assert number > began or self.is_frail
        else:
            assert self.may_relist, "a cache that never had to begin anew is ready"
            assert choice.has_terms or not limit, "a page without a selector comes from the store"

    def shows(self, choice: Choice, page: ListResult, limit: int, start: str) -> str:
        """Judge at the end: the page holds what there is from `start` on. Returns where the next one starts."""
        found = [shown_object(obj) for obj in page.objects]
        after = ""
        if page.continue_token:
            prefix = choice.key.rstrip("/") + "/"
            after = decode_continue(page.continue_token, prefix)[0]
            assert limit, "who asks for everything gets it"
            assert not found or after > found[-1].key
        REACHED["a page with another to come"] += bool(after)

        def judge() -> None:
            there = [shown for shown in self.model.listed(choice, page.revision) if shown.key >= start]
            rest = [shown for shown in there if after and shown.key >= after]
            assert found == [shown for shown in there if not after or shown.key < after]
            assert not limit or len(found) <= limit
            assert not after or len(found) == limit or choice.has_terms, "a page is full if another follows"
            if after and not choice.has_terms:
                assert rest, "a page without a selector says truly that there is more"
                assert page.remaining == len(rest)
            else:
                assert page.remaining is None

        self.verdicts.append(judge)
        return after

    async def get(self, key: str, back: int | str, ignore: bool) -> None:
        asked, began = self.version(back), self.revision
        number = int(asked or 0)
        try:
            found = await self.storage.get(key, resource_version=asked, ignore_not_found=ignore)
        except KeyNotFound:
            assert not ignore
            found = None
        except TooLargeResourceVersion:
            assert number > began or self.is_frail
            return
        shown = None if found is None else shown_object(found)
        wanted = None if shown is None else (shown.revision, shown.body)
        low = number if asked else began
        self.was_so(low, lambda state: state.get(key) == wanted, f"{key} was {shown} at no revision from {low}")

    async def check(self) -> None:
        mark: Any = self.storage if isinstance(self.storage, CacherStorage) else _Unmarked()
        checker = ConsistencyChecker(self.storage, self._below, mark=mark, random=Random(1), page_size=2)
        result = await checker.check()
        REACHED["a consistency check"] += result is not None
        assert result is None or result.is_consistent, result
        assert result is not None or self.is_frail or self.may_relist, checker.last_error

    # --- watches

    async def watch(
        self, choice: Choice, back: int | str, initial: bool | None, bookmarks: bool, pause_s: float, life_s: float
    ) -> None:
        asked = self.version(back)
        number = int(asked) if asked else None
        began, record = self.revision, None
        options = choice.options(resource_version=asked, send_initial_events=initial, allow_bookmarks=bookmarks)
        try:
            async with self.storage.watch(choice.key, options) as stream:
                record = Watched(choice, number, initial, bookmarks, began, self.revision, [], [], [])
                self.watches.append(record)
                with trio.move_on_after(life_s):
                    while True:
                        batch = await stream.receive_batch()
                        record.first_at.append(self.revision)
                        for event in batch:
                            is_bookmark = event.type is EventType.BOOKMARK
                            mark = (event.revision, event.is_initial_events_end)
                            record.got.append(mark if is_bookmark else shown_event(event))
                        await trio.sleep(pause_s)
                record.ended.append(TimeoutError("its reader left"))
        except NotReady:
            assert self.may_relist
        except (trio.EndOfChannel, Expired, TooLargeResourceVersion, InternalError) as error:
            assert record is not None, "a watch that cannot begin says so in its stream"
            REACHED[f"a watch ended by {type(error).__name__}"] += 1
            record.ended.append(error)

    # --- hardship

    async def compact(self, back: int, is_told: bool) -> None:
        revision = self.revision - back
        if revision > max(self.etcd.etcd.compact_revision, 1):
            self.may_relist = True
            # What has not come yet loses what was there before it, so the cache has to begin anew.
            self.is_frail |= isinstance(self.storage, CacherStorage) and self.storage.cacher.revision < revision
            await self.etcd.etcd.compact(revision)
            if is_told:  # as by another server's compactor
                await self.etcd.etcd.put("compact_rev_key", str(revision))

    async def lose(self) -> None:
        # A stream lost once is resumed. Lost again, half a minute to a minute later, it makes Kubernetes list anew.
        self.may_relist |= self.has_lost
        self.is_frail = self.has_lost = True
        self.etcd.lose_streams()

    async def expire(self) -> None:
        self.is_frail = self.may_relist = True
        self.etcd.expire_streams()

    async def slow(self, call_s: float, stream_s: float) -> None:
        self.is_frail |= bool(call_s or stream_s)
        self.etcd.call_s, self.etcd.stream_s = call_s, stream_s

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    # --- the end

    async def settle(self) -> None:
        """Faults stop; everything must come, and be equal."""
        await self.slow(0, 0)
        await trio.sleep(QUIET_S)
        everything = Choice()
        listed = await self.storage.get_list("/pods/", everything.options(resource_version="0"))
        newest = max(self.model.writes, default=0)
        assert [shown_object(obj) for obj in listed.objects] == self.model.listed(everything, newest)
        await self.check()

    def judge(self) -> None:
        for verdict in self.verdicts:
            verdict()
        conditions = Conditions(
            self.revision, self.first_list, RING_MIN, self.is_frail, self.storage is self._below, self.may_relist
        )
        for record in self.watches:
            judge_watch(self.model, record, conditions)
            REACHED["a bookmark"] += any(not isinstance(item, Shown) for item in record.got)
            REACHED["a watch that was told something"] += bool(record.got)


class _Unmarked:
    """A storage with nothing to be inconsistent."""

    def mark_consistent(self, is_consistent: bool, /) -> None:
        pass


class Step(NamedTuple):
    """A line of a script. `waits`: the next one begins when it is done, else at once."""

    name: str
    arguments: dict[str, Any]
    waits: bool


@asynccontextmanager
async def opened(seed: int, before: int, *, cached: bool) -> AsyncIterator[World]:
    """A world whose store has had `before` writes when the cache first lists it; without `cached`, the store alone."""
    random = Random(seed)
    async with (
        open_embedded_etcd(random=random, progress_interval_s=5, ack_turns=lambda: random.randrange(4)) as etcd,
        trio.open_nursery() as nursery,
    ):
        frail: Any = FrailEtcd(etcd)
        compactor = Compactor(frail, interval_s=0)
        nursery.start_soon(compactor.run)
        codec = Codec(fields=("spec.nodeName",))
        below = EtcdStorage(frail, codec=codec, random=random, compactor=compactor)
        storage: Any = below
        if cached:
            ring = Ring(capacity_min=RING_MIN, capacity_max=RING_MAX)
            storage = CacherStorage(below, ring=ring, random=random, consistency_period_s=0)  # `check` does it
        world = World(frail, storage, below)
        for key in KEYS[:before]:
            body = world.body("x", "m")
            world.model.wrote((await below.create(key, body.value(key))).revision, key, body)
        if cached:
            await nursery.start(storage.run)
            world.first_list = etcd.revision
        yield world
        nursery.cancel_scope.cancel()


async def play(script: list[Step], seed: int, before: int, cached: bool) -> None:
    """Play `script` to its end, and judge it."""
    # A list of a handful of objects is to be read in several steps too, with writes between them.
    with patch.object(_watch_cache, "STEP_KEYS_MAX", STEP_KEYS):
        await _play(script, seed, before, cached)


async def _play(script: list[Step], seed: int, before: int, cached: bool) -> None:
    async with opened(seed, before, cached=cached) as world, trio.open_nursery() as watching:
        async with trio.open_nursery() as working:
            for step in script:
                act = getattr(world, step.name)
                if step.name == "watch":
                    watching.start_soon(partial(act, **step.arguments))
                elif step.waits:
                    await act(**step.arguments)
                else:
                    working.start_soon(partial(act, **step.arguments))
                await trio.lowlevel.checkpoint()
        await world.settle()
        world.judge()
        watching.cancel_scope.cancel()
