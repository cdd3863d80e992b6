"""The contract suite itself: a storage that breaks one promise is convicted by the cases of that promise, a sound one is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
import trio

from cacher.storage import (
    Codec,
    EventStream,
    InternalError,
    KeyNotFound,
    ListOptions,
    ListResult,
    Preconditions,
    Stats,
    conformance,
)
from cacher.storage.etcd import Compactor, EtcdStorage, open_embedded_etcd
from watch import Batch, Event, EventType, Object

CASES = [case for case in conformance.CASES if case.runs_on(is_cached=False)]


class Sound:
    """`storage`, as it is. Those below break one promise each."""

    def __init__(self, storage: EtcdStorage) -> None:
        self.storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)


class TakesResourceVersions(Sound):
    async def create(self, key, value, *, ttl_s=0):
        value["metadata"].pop("resourceVersion", None)
        return await self.storage.create(key, value, ttl_s=ttl_s)


class ForgetsTimeToLive(Sound):
    async def create(self, key, value, *, ttl_s=0):
        return await self.storage.create(key, value)


class ReadsOldVersions(Sound):
    async def get(self, key, *, resource_version="", ignore_not_found=False):
        return await self.storage.get(key, ignore_not_found=ignore_not_found)


class KeepsRevisionOnDelete(Sound):
    async def delete(self, key, **options):
        before = await self.storage.get(key, ignore_not_found=True)
        deleted = await self.storage.delete(key, **options)
        return deleted and before


class TrustsSuggestions(Sound):
    async def delete(self, key, *, suggestion: Object | None = None, preconditions=None, **options):
        if suggestion is not None and preconditions and preconditions.uid not in (None, suggestion.uid):
            raise InternalError("the suggestion is another")
        return await self.storage.delete(key, **options)


class IgnoresPreconditions(Sound):
    async def guaranteed_update(self, key, try_update, *, preconditions: Preconditions | None = None, **options):
        return await self.storage.guaranteed_update(key, try_update, **options)


class AlwaysWrites(Sound):
    async def guaranteed_update(self, key, try_update, **options):
        def restless(present, meta):
            update = try_update(present, meta)
            update.value["metadata"].setdefault("annotations", {})["at"] = str(meta.revision)
            return update

        return await self.storage.guaranteed_update(key, restless, **options)


class GivesUpOnConflict(Sound):
    async def guaranteed_update(self, key, try_update, **options):
        calls = 0

        def once(present, meta):
            nonlocal calls
            calls += 1
            if calls > 1:
                raise InternalError("somebody else was faster")
            return try_update(present, meta)

        return await self.storage.guaranteed_update(key, once, **options)


class Lists(Sound):
    """Breaks what `change` breaks, of each list."""

    change: Callable[[ListResult, ListOptions], ListResult]

    async def get_list(self, key, options):
        return type(self).change(await self.storage.get_list(key, options), options)


class ListsWithoutRemaining(Lists):
    change = staticmethod(lambda page, _: msgspec.structs.replace(page, remaining=None))


class ListsUnordered(Lists):
    change = staticmethod(lambda page, _: msgspec.structs.replace(page, objects=page.objects[::-1]))


class ListsAtAnotherRevision(Lists):
    change = staticmethod(lambda page, _: msgspec.structs.replace(page, revision=page.revision + 1))


class ForgetsToGoOn(Lists):
    change = staticmethod(lambda page, _: msgspec.structs.replace(page, continue_token=""))


class ListsTheLatest(Sound):
    async def get_list(self, key, options):
        return await self.storage.get_list(key, msgspec.structs.replace(options, resource_version="", match=""))


class ListsWithoutSelector(Sound):
    async def get_list(self, key, options):
        return await self.storage.get_list(key, msgspec.structs.replace(options, selector=ListOptions().selector))


class ListsWhatBeginsAlike(Sound):
    async def get_list(self, key, options):
        if options.recursive or options.limit or options.continue_token:
            return await self.storage.get_list(key, options)
        everything = await self.storage.get_list("/pods", msgspec.structs.replace(options, recursive=True))
        found = tuple(obj for obj in everything.objects if obj.key.startswith("/registry" + key))
        return msgspec.structs.replace(everything, objects=found)


class SeesNoCompaction(Sound):
    def compact_revision(self):
        return 0


class CountsWrongly(Sound):
    async def stats(self):
        stats = await self.storage.stats()
        return Stats(max(1, stats.object_count), stats.average_object_bytes)


class Watches(Sound):
    """Breaks what `change` breaks, of each event; None: it is dropped."""

    change: Callable[[Event, ListOptions], Event | None]

    @asynccontextmanager
    async def watch(self, key, options):
        async with self.storage.watch(key, options) as stream:
            yield Changed(stream, lambda event: type(self).change(event, options))


class Changed:
    def __init__(self, stream: EventStream, change: Callable[[Event], Event | None]) -> None:
        self._stream = stream
        self._change = change

    async def receive(self) -> Event:
        while True:
            event = self._change(await self._stream.receive())
            if event is not None:
                return event

    async def receive_batch(self) -> Batch:
        return (await self.receive(),)


def _is(event: Event, kind: EventType) -> bool:
    return event.type is kind


class DropsDeletions(Watches):
    change = staticmethod(lambda event, _: None if _is(event, EventType.DELETED) else event)


class DeletesAtOldRevision(Watches):
    change = staticmethod(
        lambda event, _: (
            msgspec.structs.replace(event, object=event.object.at_revision(event.revision - 1))
            if _is(event, EventType.DELETED)
            else event
        )
    )


class SaysModifiedForAdded(Watches):
    change = staticmethod(
        lambda event, options: (
            msgspec.structs.replace(event, type=EventType.MODIFIED)
            if _is(event, EventType.ADDED) and not options.selector.is_everything
            else event
        )
    )


class GivesNoBookmarks(Watches):
    change = staticmethod(lambda event, _: None if _is(event, EventType.BOOKMARK) else event)


class AnnotatesNoBookmark(Watches):
    change = staticmethod(
        lambda event, _: (
            msgspec.structs.replace(event, object=Object("", event.revision, b'{"metadata":{}}'))
            if _is(event, EventType.BOOKMARK)
            else event
        )
    )


class ReplaysTheStart(Sound):
    @asynccontextmanager
    async def watch(self, key, options):
        before = options.resource_version
        if before.isdigit() and int(before) > 1 and options.send_initial_events is None:
            options = msgspec.structs.replace(options, resource_version=str(int(before) - 1))
        async with self.storage.watch(key, options) as stream:
            yield stream


class LeaksOtherNamespaces(Sound):
    @asynccontextmanager
    async def watch(self, key, options):
        wide = key.rsplit("-", 1)[0] if options.recursive and "-" in key else None
        async with self.storage.watch("/pods" if wide else key, options) as stream:
            near = f"/registry{wide}"
            yield Changed(stream, lambda event: event if not wide or event.key.startswith(near) else None)


class GoesOnAfterErrors(Sound):
    @asynccontextmanager
    async def watch(self, key, options):
        async with self.storage.watch(key, options) as stream:
            yield Forgiving(stream)


class Forgiving:
    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._has_failed = False

    async def receive(self) -> Event:
        try:
            return await self._stream.receive()
        except InternalError:
            self._has_failed = True
            raise
        except trio.EndOfChannel:
            if not self._has_failed:
                raise
            return Event(EventType.ADDED, Object("/registry/pods/team-a/bar", 9, b"{}"), 9)


class TakesAnyKey(Sound):
    async def get(self, key, **options):
        try:
            return await self.storage.get(key, **options)
        except ValueError as error:
            raise KeyNotFound(key) from error


BROKEN = {
    TakesResourceVersions: "9.1 Create",
    ForgetsTimeToLive: "9.1 CreateWithTTL",
    ReadsOldVersions: "9.1 Get",
    KeepsRevisionOnDelete: "9.1 UnconditionalDelete",
    TrustsSuggestions: "9.1 PreconditionalDeleteWithSuggestion",
    IgnoresPreconditions: "9.1 GuaranteedUpdate",
    AlwaysWrites: "9.1 GuaranteedUpdate",
    GivesUpOnConflict: "9.1 GuaranteedUpdateWithConflict",
    ListsWithoutRemaining: "9.1.1 limit",
    ListsUnordered: "9.1.1 nested",
    ListsAtAnotherRevision: "9.1 ConsistentList",
    ForgetsToGoOn: "9.1 ListPaging",
    ListsTheLatest: "9.1.1 exact",
    ListsWithoutSelector: "9.1 NamespaceScopedList",
    ListsWhatBeginsAlike: "9.1 GetListRecursivePrefix",
    SeesNoCompaction: "9.1 CompactRevision",
    CountsWrongly: "9.1 Stats",
    DropsDeletions: "9.2 DeleteTriggerWatch",
    DeletesAtOldRevision: "9.2 WatchDeleteEventObjectHaveLatestRV",
    SaysModifiedForAdded: "9.2 Watch",
    GivesNoBookmarks: "9.2 WatchListMatchSingle",
    AnnotatesNoBookmark: "9.2 WatchSemantics",
    ReplaysTheStart: "9.2 WatchFromNonZero",
    LeaksOtherNamespaces: "9.2 Watch",
    GoesOnAfterErrors: "9.2 WatchErrorIsBlockingFurtherEvents",
    TakesAnyKey: "9.1 KeySchema",
}


@asynccontextmanager
async def open_storage(kind: type[Sound]) -> AsyncIterator[conformance.Fixture]:
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        tapped = conformance.TappedEtcd(etcd)
        compactor = Compactor(tapped, interval_s=0)
        nursery.start_soon(compactor.run)
        codec = Codec(fields=("spec.nodeName",))
        store = EtcdStorage(tapped, codec=codec, compactor=compactor, random=Random(2))
        try:
            yield conformance.Fixture(kind(store), etcd=tapped)
        finally:
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_storage_is_convicted_by_the_cases_of_what_it_breaks(run_trio, kind):
    """And says which cases those are."""
    cases = [case for case in CASES if BROKEN[kind] in case.rows]
    with pytest.raises(ExceptionGroup) as broken:
        run_trio(lambda: conformance.run(lambda: open_storage(kind), cases=cases))
    assert f"of {len(cases)} cases are broken" in str(broken.value)
    notes = [note for error in broken.value.exceptions for note in error.__notes__]
    assert all(BROKEN[kind] in note for note in notes)


def test_a_sound_storage_passes_all_that_is_about_it(run_trio):
    assert run_trio(lambda: conformance.run(lambda: open_storage(Sound))) == len(CASES)


def test_a_case_is_about_all_storages_or_about_cached_ones_alone():
    places = {case.on for case in conformance.CASES}
    assert places == set(conformance.On)
    for case in conformance.CASES:
        assert case.runs_on(is_cached=True) or case.runs_on(is_cached=False)
        assert not (case.needs_etcd and case.runs_on(is_cached=False, has_etcd=False))
    assert len({str(case) for case in conformance.CASES}) == len(conformance.CASES)


def test_raises_wants_an_error_of_its_kinds_in_its_words():
    """What the cases claim errors with, itself."""
    with conformance.raises(ValueError, says="is wrong") as refused:
        raise ValueError("this is wrong")
    assert refused.message == "this is wrong"
    with (
        pytest.raises(AssertionError, match="nothing was raised; ValueError should have been"),
        conformance.raises(ValueError),
    ):
        pass
    with pytest.raises(AssertionError, match="does not say"), conformance.raises(ValueError, says="else"):
        raise ValueError("this is wrong")
    with pytest.raises(KeyError), conformance.raises(ValueError):
        raise KeyError
    with pytest.raises(AssertionError, match="should have 2"):
        refused.error.args = (1,)
        refused.shows(args=2)
