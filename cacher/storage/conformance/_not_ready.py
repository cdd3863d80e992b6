"""Cases of caches that are not ready, and of caches that begin anew.

A cache that must list anew cannot while there is an object that nobody can read; after half a minute of that it is not ready,
and the store still answers for everything else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from watch import EventType, Expired, NotReady

from .._interface import Match
from ._case import On, case
from ._expect import PATIENCE_S, expect_objects, expect_same, raises
from ._fixture import Fixture

FOO = "team-a/foo"
BAD = "team-z/bad"
WAIT_S = 5.0
"""How long v1.22's reads are seen to wait: longer than any read waits for a cache to catch up."""

Ask = Callable[[], Awaitable[object]]


def _is_ready(store: Fixture) -> bool:
    try:
        store.storage.readiness_check()
    except NotReady:
        return False
    return True


@asynccontextmanager
async def _unreadable(store: Fixture) -> AsyncIterator[None]:
    """The cache is not ready in here, and ready again afterwards."""
    await store.spoil(BAD)
    await store.eventually(lambda: not _is_ready(store), "the cache is ready with an object that cannot be read")
    yield
    await store.etcd.delete(store.etcd_key(BAD))
    await store.eventually(lambda: _is_ready(store), "the cache is not ready again")


async def _answered_later(store: Fixture, *asks: Ask) -> list[Any]:
    """What reads come to that are asked of a cache that is not ready, and answered once it is again."""
    answers: list[Any] = [None] * len(asks)

    async def put(index: int, ask: Ask) -> None:
        answers[index] = await ask()

    async with trio.open_nursery() as nursery:
        async with _unreadable(store):
            for index, ask in enumerate(asks):
                nursery.start_soon(put, index, ask)
            await trio.sleep(WAIT_S)
            assert answers == [None] * len(asks), f"a read was answered by a cache that is not ready: {answers}"
        with trio.move_on_after(PATIENCE_S):
            while None in answers:
                await trio.sleep(0.1)
        assert None not in answers, f"a read is not answered, though the cache is ready: {answers}"
    return answers


@case(on=On.CACHED, needs_etcd=True)
async def reads_of_a_cache_that_is_not_ready_are_the_store_s_where_they_cost_it_little(store: Fixture) -> None:
    """[9.3 TestRetryAfterForUnreadyCache] a get, and a page without a selector; in v1.22 all lists but "not older than N" """
    if not store.is_prompt:
        return  # its client waits until the cache is ready
    created = await store.create(FOO)
    async with _unreadable(store):
        for rv in ("", "0"):
            expect_same(await store.get(FOO, resource_version=rv), created)
            expect_objects((await store.list("team-a", rv, limit=500)).objects, [created])
        if store.is_v1_22:
            for wanted in ({}, {"labels": "app!=x"}, {"recursive": False}):
                path = FOO if "recursive" in wanted else "team-a"
                expect_objects((await store.list(path, "0", **wanted)).objects, [created])
            return
        expect_same(await store.get(FOO, resource_version=str(created.revision)), created)
        for at in ("0", str(created.revision)):
            await _expect_refused(store, partial(store.list, "team-a", at))
            await _expect_refused(store, partial(store.list, "team-a", at, labels="app!=x", match=Match.NOT_OLDER_THAN))
        if store.supports_progress:
            await _expect_refused(store, partial(store.list, "team-a"))


async def _expect_refused(store: Fixture, ask: Ask) -> None:
    """Claims 429, and a time to come back of 1 to 30 s."""
    with raises(NotReady) as refused:
        await ask()
    refused.shows(code=429, reason="TooManyRequests")
    retry_s = getattr(refused.error, "retry_after_s", 0)
    assert 1 <= retry_s <= 30, f"to come back in {retry_s} s"


@case(on=On.CACHED, needs_etcd=True)
async def what_a_cache_that_is_not_ready_would_have_to_serve_itself_is_refused(store: Fixture) -> None:
    """[9.3 TestRetryAfterForUnreadyCache] a watch, with 429; in v1.22 it waits, and so do reads not older than a revision"""
    if not store.is_prompt:
        return  # its client waits until the cache is ready
    created = await store.create(FOO)

    async def watch() -> object:
        async with store.watching("team-a", "0") as stream:
            return await stream.next()

    if not store.is_v1_22:
        async with _unreadable(store):
            await _expect_refused(store, watch)
        return
    at = created.revision
    first, found, page = await _answered_later(
        store, watch, lambda: store.get(FOO, resource_version=str(at)), lambda: store.list("team-a", at)
    )
    expect_same((first.type, first.object), (EventType.ADDED, created))
    expect_same(found, created)
    expect_objects(page.objects, [created])


@case(on=On.CACHED, needs_etcd=True)
async def a_cache_that_began_anew_knows_what_came_after_its_list_and_nothing_before(store: Fixture) -> None:
    """[9.3 TestReflectorForWatchCache] from its list's revision a watch goes on, however it counts events; from before: 410"""
    if not store.is_prompt:
        return  # its client reads from the store what the cache has forgotten
    before = await store.create("team-a/before")
    await store.create("team-a/also-before")
    async with _unreadable(store):
        missed = await store.create("team-a/missed")
    listed = (await store.list("", "0")).revision
    assert listed >= missed.revision, f"the cache lists at {listed}, below {missed.revision}"
    written = [await store.create(f"team-a/after-{number}") for number in range(3)]
    async with store.watching("", listed) as watch:
        for obj in written:
            await watch.expect(EventType.ADDED, obj)
    async with store.watching("", before.revision) as watch:
        (await watch.fails(Expired)).shows(code=410, reason="Expired")
