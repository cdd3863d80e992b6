"""A storage as what a cache is filled from."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from cacher._lister_watcher import StorageListerWatcher
from cacher.storage import Codec, InternalError, ListOptions, ListResult, Unreachable
from cacher.storage.etcd import EtcdStorage, open_embedded_etcd
from tests.cacher.layers import run, value
from watch import Event, EventType, Expired, Object, WatchError, bookmark


class Scripted:
    """A storage that notes what it is asked and answers what a test put in."""

    resource_prefix = "/pods"

    def __init__(self, *batches: object) -> None:
        self.asked: list[tuple[str, ListOptions]] = []
        self.batches = list(batches)
        self.error: Exception | None = None
        self.progress_asked = 0

    async def request_watch_progress(self) -> None:
        self.progress_asked += 1

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        self.asked.append((key, options))
        if self.error is not None:
            raise self.error
        return ListResult((), 7, "more")

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions):
        self.asked.append((key, options))
        yield self

    async def receive_batch(self):
        batch = self.batches.pop(0)
        if isinstance(batch, Exception):
            raise batch
        return batch


@pytest.mark.parametrize("version", ["", "0", "5"])
def test_a_list_is_of_the_latest_whatever_it_is_asked_for(version):
    """[9.3 TestListerWatcherListResourceVersionPropagation] A revision with a limit would mean exactly that revision."""

    async def main() -> None:
        storage = Scripted()
        source = StorageListerWatcher(storage)  # type: ignore[arg-type]
        page = await source.list(resource_version=version, page_size=3)
        assert (page.revision, page.next_page) == (7, "more")
        await source.list(resource_version=version, page_size=3, page="token")
        assert storage.asked == [
            ("/pods/", ListOptions(limit=3)),
            ("/pods/", ListOptions(limit=3, continue_token="token")),
        ]
        await source.request_progress()
        assert storage.progress_asked == 1

    run(main)


def test_pages_of_a_real_store_add_up_to_one_revision():
    """[9.3 TestCacherListerWatcher] [9.3 TestCacherListerWatcherPagination] Whole, and as three pages of two, though somebody
    writes in between."""

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            storage = EtcdStorage(etcd, codec=Codec(), random=Random(2))
            for turn in range(5):
                await storage.create(f"/pods/a/{turn}", value(f"a/{turn}"))
            source, found, token = StorageListerWatcher(storage), [], ""
            revision = etcd.revision
            whole = await source.list()
            assert ([obj.name for obj in whole.objects], whole.next_page) == (["0", "1", "2", "3", "4"], "")
            while True:
                page = await source.list(page_size=2, page=token)
                assert page.revision == revision
                found += [obj.name for obj in page.objects]
                await storage.create(f"/pods/a/{len(found)}x", value(f"a/{len(found)}x"))
                token = page.next_page
                if not token:
                    break
            assert found == ["0", "1", "2", "3", "4"]

    run(main)


def test_what_a_watch_brings_is_told_with_how_far_it_speaks():
    """Bookmarks are progress, and no events."""
    added = Event(EventType.ADDED, Object("/registry/pods/a/b", 9, b"{}"), 9)

    async def main() -> None:
        storage = Scripted((bookmark(8),), (added, bookmark(12)), (added,))
        async with StorageListerWatcher(storage).watch(7) as stream:  # type: ignore[arg-type]
            assert [(each.events, each.revision) for each in [await stream.receive() for _ in range(3)]] == [
                ((), 8),
                ((added,), 12),
                ((added,), 12),
            ]
        ((key, options),) = storage.asked
        assert (key, options.resource_version, options.progress_notify) == ("/pods/", "7", True)
        assert options.send_initial_events is False

    run(main)


@pytest.mark.parametrize("error", [InternalError("spoilt"), Unreachable("/pods/")])
def test_a_list_that_fails_is_a_watch_error_which_a_reflector_waits_out(error):
    async def main() -> None:
        storage = Scripted()
        storage.error = error
        with pytest.raises(WatchError, match=r"spoilt|unreachable"):
            await StorageListerWatcher(storage).list()  # type: ignore[arg-type]
        storage.error = Expired(1, 2)
        with pytest.raises(Expired):
            await StorageListerWatcher(storage).list()  # type: ignore[arg-type]

    run(main)


@pytest.mark.parametrize(
    ("at_s", "seen"),
    [
        ([0, 29, 30, 30.1, 31], "LLLFL"),  # given up, it begins anew
        ([0, 30, 60, 61], "LLFL"),  # what came in between does not count
        ([0, 29, 89, 119, 119.5], "LLLLF"),  # after a quiet minute it begins anew
        ([0, 29, 88.9], "LLF"),
    ],
)
def test_an_error_inside_the_store_is_a_lost_stream_for_30_s_and_then_the_end_of_the_state(at_s, seen):
    """[9.5 TestRetryWithDeadline] Source: client-go NewRetryWithDeadline, 30 s and a minute."""

    async def main() -> None:
        source = StorageListerWatcher(Scripted(*[InternalError("spoilt"), (bookmark(8),)] * len(at_s)))  # type: ignore[arg-type]
        told = ""
        async with source.watch(7) as stream:
            for each in at_s:
                await trio.sleep(each - trio.current_time())
                with pytest.raises((trio.BrokenResourceError, WatchError)) as failed:
                    await stream.receive()
                told += "L" if failed.type is trio.BrokenResourceError else "F"
                await stream.receive()
        assert told == seen

    run(main)


def test_a_list_forgets_the_errors_before_it_and_no_other_answer_is_retried():
    async def main() -> None:
        storage = Scripted(*[InternalError("spoilt")] * 3, Unreachable("/pods/"), Expired(1, 2))
        source = StorageListerWatcher(storage)  # type: ignore[arg-type]
        async with source.watch(7) as stream:
            for wait_s, error in ((0, trio.BrokenResourceError), (30, trio.BrokenResourceError)):
                await trio.sleep(wait_s)
                with pytest.raises(error):
                    await stream.receive()
            await source.list()
            await trio.sleep(30)
            for last in (trio.BrokenResourceError, WatchError, Expired):
                with pytest.raises(last):
                    await stream.receive()

    run(main)
