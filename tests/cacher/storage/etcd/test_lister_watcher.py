"""An etcd prefix as a ListerWatcher: pages of one revision, changes with their revisions, and etcd's errors in our words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio

from cacher.storage.etcd import (
    CompactedError,
    EmbeddedEtcd,
    EtcdError,
    EtcdEvent,
    EtcdListerWatcher,
    EtcdWatch,
    EventKind,
    KeyValue,
    NoLeaderError,
    Put,
    UnavailableError,
    WatchResponse,
    open_embedded_etcd,
)
from reflector import Reflector, Store
from tests.cacher.upstream import run
from watch import (
    Event,
    EventType,
    Expired,
    Object,
    ObjectDecodeError,
    ObjectReader,
    TooLargeResourceVersion,
    WatchError,
)

PREFIX = "/registry/pods/"
ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


def value(name: str, **spec: object) -> str:
    return json.dumps({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


@asynccontextmanager
async def opened(*, progress_interval_s: float = 1e9) -> AsyncIterator[tuple[EmbeddedEtcd, EtcdListerWatcher]]:
    async with open_embedded_etcd(random=Random(7), progress_interval_s=progress_interval_s) as etcd:
        yield etcd, EtcdListerWatcher(etcd, PREFIX, ObjectReader(["spec.nodeName"]))


async def put(etcd: EmbeddedEtcd, name: str, **spec: object) -> int:
    return (await etcd.put(f"{PREFIX}default/{name}", value(name, **spec))).revision


def names(objects: tuple[Object, ...]) -> list[str]:
    return [each.name for each in objects]


def told(events: tuple[Event, ...]) -> list[tuple[EventType, str, int]]:
    return [(event.type, event.object.name, event.revision) for event in events]


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_decodes_what_lies_under_the_prefix_and_nothing_beside_it():
    async def main() -> None:
        async with opened() as (etcd, source):
            revision = await put(etcd, "b", nodeName="n1")
            await put(etcd, "a")
            for beside in ("/registry/pods", "/registry/pods0", "/registry/podsa/x", "/registry/nodes/x"):
                await etcd.put(beside, "not even JSON")
            page = await source.list()
            assert names(page.objects) == ["a", "b"]
            assert (page.revision, page.next_page) == (etcd.revision, "")
            b = page.objects[1]
            assert (b.key, b.revision, b.namespace) == (f"{PREFIX}default/b", revision, "default")
            assert b.raw == value("b", nodeName="n1").encode()
            assert b.field("spec.nodeName") == "n1"

    run(main)


def test_an_empty_list_has_a_revision_to_watch_from():
    async def main() -> None:
        async with opened() as (etcd, source):
            page = await source.list(page_size=3)
            assert (page.objects, page.revision, page.next_page) == ((), etcd.revision, "")
            assert page.revision >= 1

    run(main)


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5, 6])
def test_all_pages_of_a_list_show_one_revision_whatever_is_written_in_between(page_size):
    async def main() -> None:
        async with opened() as (etcd, source):
            for name in "abcde":
                await put(etcd, name)
            page = await source.list(page_size=page_size)
            first, found = page, list(page.objects)
            while page.next_page:
                await put(etcd, "a", nodeName="n2")
                await put(etcd, "c" + "c" * len(found))
                await etcd.delete(f"{PREFIX}default/e")
                page = await source.list(page_size=page_size, page=page.next_page)
                assert page.revision == first.revision
                assert len(page.objects) <= page_size
                found += page.objects
            assert [each.name for each in found] == list("abcde")
            assert all(each.revision <= first.revision for each in found)

    run(main)


def test_a_list_not_older_than_what_the_store_has_is_given_and_one_from_the_future_is_too_large():
    async def main() -> None:
        async with opened() as (etcd, source):
            revision = await put(etcd, "a")
            for asked in ("", "0", "1", str(revision)):
                assert (await source.list(resource_version=asked)).revision == revision
            with pytest.raises(TooLargeResourceVersion) as caught:
                await source.list(resource_version=str(revision + 1))
            assert (caught.value.asked, caught.value.current) == (revision + 1, revision)

    run(main)


def test_a_page_whose_revision_was_compacted_is_expired():
    async def main() -> None:
        async with opened() as (etcd, source):
            for name in "abc":
                await put(etcd, name)
            page = await source.list(page_size=2)
            newest = await put(etcd, "d")
            await etcd.compact(newest)
            with pytest.raises(Expired) as caught:
                await source.list(page_size=2, page=page.next_page)
            assert (caught.value.asked, caught.value.oldest) == (page.revision, newest)

    run(main)


def test_a_page_of_a_revision_that_the_store_has_not_reached_is_too_large():
    async def main() -> None:
        async with opened() as (etcd, source):
            with pytest.raises(TooLargeResourceVersion) as caught:
                await source.list(page=f"99:{PREFIX}x")
            assert (caught.value.asked, caught.value.current) == (99, etcd.revision)

    run(main)


def test_a_value_that_is_no_object_is_named_with_its_key_and_revision():
    async def main() -> None:
        async with opened() as (etcd, source):
            await put(etcd, "a")
            revision = (await etcd.put(PREFIX + "default/bad", "[1]")).revision
            with pytest.raises(ObjectDecodeError) as caught:
                await source.list()
            assert (caught.value.key, caught.value.revision) == (PREFIX + "default/bad", revision)

    run(main)


def test_keys_that_are_not_text_are_listed_paged_and_watched():
    async def main() -> None:
        async with opened() as (etcd, source):
            raw = PREFIX.encode() + b"default/\xff\x80"
            async with source.watch(etcd.revision) as stream:
                await etcd.put(raw, value("odd"))
                await put(etcd, "a")
                first = await source.list(page_size=1)
                second = await source.list(page_size=1, page=first.next_page)
                assert names(first.objects + second.objects) == ["a", "odd"]
                assert second.objects[0].key.encode("utf-8", "surrogateescape") == raw
                assert (await stream.receive()).events[0].object.name == "odd"

    run(main)


# ---- watches ---------------------------------------------------------------------------------------------------------


async def receive_until(stream: object, revision: int) -> tuple[Event, ...]:
    events: tuple[Event, ...] = ()
    while True:
        changes = await stream.receive()  # type: ignore[attr-defined]
        events += changes.events
        assert not changes.events or changes.events[-1].revision <= changes.revision
        if changes.revision >= revision:
            return events


def test_a_watch_tells_every_change_after_its_revision():
    async def main() -> None:
        async with opened() as (etcd, source):
            start = await put(etcd, "a")
            await put(etcd, "b", nodeName="n1")
            async with source.watch(start) as stream:
                await put(etcd, "a", nodeName="n2")
                await etcd.put("/registry/nodes/x", "beside it")
                await etcd.delete(PREFIX + "default/b")
                last = await put(etcd, "b")
                events = await receive_until(stream, last)
            assert told(events) == [
                (ADDED, "b", start + 1), (MODIFIED, "a", start + 2), (DELETED, "b", start + 4), (ADDED, "b", start + 5),
            ]  # fmt: skip
            assert events[1].object.field("spec.nodeName") == "n2"
            assert events[2].object.revision == start + 4
            assert events[2].object.field("spec.nodeName") == "n1", "the last version, for those who select by it"

    run(main)


def test_who_wants_no_previous_versions_has_etcd_send_none_and_is_told_which_key_went():
    async def main() -> None:
        async with opened() as (etcd, _):
            source = EtcdListerWatcher(etcd, PREFIX, ObjectReader(), with_previous=False)
            start = await put(etcd, "a", nodeName="n1")
            async with source.watch(start) as stream:
                await put(etcd, "a", nodeName="n2")
                last = (await etcd.delete(PREFIX + "default/a")).revision
                modified, deleted = await receive_until(stream, last)
            assert (modified.type, modified.key) == (MODIFIED, PREFIX + "default/a")
            assert (deleted.type, deleted.key, deleted.revision) == (DELETED, PREFIX + "default/a", last)
            assert deleted.object.raw == b"{}", "the last version was not sent"

    run(main)


def test_a_revision_of_several_keys_comes_whole():
    async def main() -> None:
        async with opened() as (etcd, source):
            async with source.watch(etcd.revision) as stream:
                keys = [f"{PREFIX}default/p{number}" for number in range(50)]
                await etcd.txn(success=[Put(key.encode(), value(key[-3:]).encode()) for key in keys])
                changes = await stream.receive()
                assert [event.key for event in changes.events] == keys
                await etcd.delete(PREFIX, PREFIX + "\U0010ffff")
                changes = await stream.receive()
                assert len(changes.events) == 50
                assert {event.revision for event in changes.events} == {changes.revision}

    run(main)


def test_a_watch_from_a_compacted_revision_is_expired():
    async def main() -> None:
        async with opened() as (etcd, source):
            start = newest = await put(etcd, "a")
            for _ in range(3):
                newest = await put(etcd, "a")
            await etcd.compact(newest)
            async with source.watch(start) as stream:
                with pytest.raises(Expired) as caught:
                    await stream.receive()
            assert (caught.value.asked, caught.value.oldest) == (start, newest)

    run(main)


def test_progress_is_told_on_request_to_the_watch_that_is_open():
    async def main() -> None:
        async with opened() as (etcd, source):
            await source.request_progress()  # nobody watches: it is lost
            async with source.watch(etcd.revision) as stream:
                for number in range(3):
                    await etcd.put("/registry/nodes/x", str(number))
                    await source.request_progress()
                    changes = await stream.receive()
                    assert (changes.events, changes.revision) == ((), etcd.revision)
            await source.request_progress()

    run(main)


def test_a_quiet_watch_is_told_now_and_then_how_far_it_is():
    async def main() -> None:
        async with opened(progress_interval_s=5) as (etcd, source):
            async with source.watch(etcd.revision) as stream:
                await etcd.put("/registry/nodes/x", "1")
                changes = await stream.receive()
                assert (changes.events, changes.revision) == ((), etcd.revision)
                assert trio.current_time() <= 10

    run(main)


def test_a_value_that_is_no_object_fails_the_stream_with_its_key():
    async def main() -> None:
        async with opened() as (etcd, source):
            async with source.watch(etcd.revision) as stream:
                await etcd.put(PREFIX + "default/bad", "{")
                with pytest.raises(ObjectDecodeError, match="default/bad"):
                    await stream.receive()

    run(main)


class _Refusing:
    """A store that refuses the first watches as they are opened, and is well otherwise."""

    def __init__(self, etcd: EmbeddedEtcd, errors: list[EtcdError]) -> None:
        self.range = etcd.range
        self._etcd = etcd
        self._errors = errors

    @asynccontextmanager
    async def watch(self, key: bytes, end: bytes, **options: Any) -> AsyncIterator[EtcdWatch]:
        if self._errors:
            raise self._errors.pop(0)
        async with self._etcd.watch(key, end, **options) as opened:
            yield opened


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnavailableError("away"), trio.BrokenResourceError),
        (NoLeaderError("none"), trio.BrokenResourceError),
        (EtcdError("no"), WatchError),
        (CompactedError(9), Expired),
    ],
)
def test_a_store_that_refuses_a_watch_at_once_is_told_as_one_that_fails_it(error, kind):
    async def main() -> None:
        async with open_embedded_etcd(random=Random(7)) as etcd:
            source = EtcdListerWatcher(_Refusing(etcd, [error]), PREFIX, ObjectReader())  # type: ignore[arg-type]
            with pytest.raises(kind):
                async with source.watch(3):
                    pytest.fail("it was opened")

    run(main)


def test_a_reflector_outlives_a_store_that_refuses_watches():
    async def main() -> None:
        async with open_embedded_etcd(random=Random(7)) as etcd:
            errors: list[EtcdError] = [
                UnavailableError("away"),
                CompactedError(2),
                EtcdError("no"),
                NoLeaderError("none"),
            ]
            source = EtcdListerWatcher(_Refusing(etcd, errors), PREFIX, ObjectReader())  # type: ignore[arg-type]
            store = Store()
            reflector = Reflector(source, store, random=Random(1))
            async with trio.open_nursery() as nursery:
                await nursery.start(reflector.run)
                await trio.sleep(300)
                await put(etcd, "a")
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            assert not errors
            assert [obj.name for obj in store.objects()] == ["a"]

    run(main)


class _OneResponse:
    """A store whose one watch brings one response: what an old etcd, or a compaction in passing, makes of a deletion."""

    def __init__(self, response: WatchResponse) -> None:
        self._response = response

    @asynccontextmanager
    async def watch(self, *_: object, **__: object) -> AsyncIterator[_OneResponse]:
        yield self

    async def receive(self) -> WatchResponse:
        await trio.lowlevel.checkpoint()
        return self._response


def test_a_deletion_whose_last_version_was_compacted_still_says_which_key_went():
    async def main() -> None:
        tombstone = KeyValue(PREFIX.encode() + b"default/a", b"", 0, 9, 0)
        response = WatchResponse((EtcdEvent(EventKind.DELETE, tombstone),), 9)
        source = EtcdListerWatcher(_OneResponse(response), PREFIX, ObjectReader())  # type: ignore[arg-type]
        async with source.watch(5) as stream:
            (event,) = (await stream.receive()).events
        assert (event.type, event.key, event.revision) == (DELETED, PREFIX + "default/a", 9)

    run(main)
