"""The semantics hold under load: hundreds of readers list and watch while a million events go by, and none sees a difference.

WATCHCACHE_LOAD_EVENTS says how many events the short test has; the long one has a million.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import trio

from cacher import CacherStorage, Ring
from cacher.simulation import run_deterministic
from cacher.storage import Codec, KeyNotFound, ListOptions, ListResult, Match, ResponseMeta, Update
from cacher.storage.etcd import EmbeddedEtcd, EtcdStorage, open_embedded_etcd
from tests.cacher.load_model import APPS, GONE, KEYS, NAMESPACES, NODES, Choice, LoadModel, shown, shown_event, value_of
from watch import EventType, Expired, Object

EVENTS = int(os.environ.get("WATCHCACHE_LOAD_EVENTS", "5000"))
READERS = 200
WRITERS, BURST, PAUSE_S = 8, 10, 0.01
"""8,000 events a second of the virtual clock."""
RING_MAX = 8_192
BACK_MAX = 3_000
"""How far back readers ask: half of it is in the ring always, so none is told that it is too late."""
KEPT_REVISIONS = 20_000
COMPACTION_S = 1.0
GROWTH_MAX_BYTES = 80_000_000
"""Of which about 25 MB are the model's own record of 700,000 writes."""


class Load:
    """A storage, its writers and its readers."""

    def __init__(self, etcd: EmbeddedEtcd, storage: CacherStorage, events: int, random: Random) -> None:
        self.etcd = etcd
        self.storage = storage
        self.events = events
        self.random = random
        self.model = LoadModel(etcd.revision)
        self.start = etcd.revision
        self.serial = GONE
        self.is_there = [False] * len(KEYS)
        self.done = False
        self.compared: Counter[str] = Counter()
        self.rss: list[tuple[int, int]] = []

    @property
    def written(self) -> int:
        return self.model.revision - self.start

    # --- writers

    async def write(self, writer: int) -> None:
        """Writes to keys of its own, so that it knows what is there."""
        own = range(writer, len(KEYS), WRITERS)
        while not self.done:
            for _ in range(BURST):
                await self.write_once(self.random.choice(own))
            self.done |= self.written >= self.events
            await trio.sleep(PAUSE_S)

    async def write_once(self, number: int) -> None:
        key, is_there = KEYS[number], self.is_there[number]
        if is_there and self.random.random() < 0.1:
            gone = await self.storage.delete(key)
            assert gone is not None
            self.model.wrote(gone.revision, number, GONE)
            self.is_there[number] = False
            return
        self.serial += 1
        serial, value = self.serial, value_of(key, self.serial)
        if is_there or self.random.random() < 0.5:

            def change(present: Object | None, meta: ResponseMeta) -> Update:
                return Update(value)

            made = await self.storage.guaranteed_update(key, change, ignore_not_found=True)
        else:
            made = await self.storage.create(key, value)
        self.model.wrote(made.revision, number, serial)
        self.is_there[number] = True

    # --- readers

    def choose(self) -> Choice:
        draw = self.random.random()
        if draw < 0.05:
            return Choice()
        if draw < 0.4:
            return Choice(f"/pods/ns{self.random.randrange(NAMESPACES)}/")
        if draw < 0.6:
            return Choice(app=f"a{self.random.randrange(APPS)}", node=f"n{self.random.randrange(NODES)}")
        if draw < 0.8:
            return Choice(node=f"n{self.random.randrange(NODES)}")
        if draw < 0.9:
            return Choice(f"/pods/ns{self.random.randrange(NAMESPACES)}/", app=f"a{self.random.randrange(APPS)}")
        return Choice(KEYS[self.random.randrange(8)])

    def past(self) -> int:
        return max(self.start, self.etcd.revision - self.random.randrange(BACK_MAX))

    async def read(self) -> None:
        while not self.done:
            await self.random.choice([self.read_list, self.read_list, self.read_pages, self.read_one])()
            await trio.sleep(self.random.uniform(0.05, 0.5))

    async def read_list(self) -> None:
        choice, began = self.choose(), self.etcd.revision
        asked, match = self.random.choice([("", ""), ("0", ""), ("", Match.NOT_OLDER_THAN), ("", Match.EXACT)])
        if match:
            asked = str(self.past())
        page = await self.storage.get_list(choice.key, choice.options(resource_version=asked, match=match))
        low = int(asked) if asked else began
        assert page.revision == low if match == Match.EXACT else low <= page.revision <= self.etcd.revision
        await self.compare(choice, [page])

    async def read_pages(self) -> None:
        choice, limit = Choice(self.random.choice(["/pods/", "/pods/ns3/"])), self.random.randrange(15, 120)
        asked = self.random.choice(["", str(self.past())])
        options = ListOptions(resource_version=asked, limit=limit)
        pages = [await self.storage.get_list(choice.key, options)]
        while pages[-1].continue_token:
            assert len(pages[-1].objects) == limit
            await trio.sleep(0.01)
            options = ListOptions(limit=limit, continue_token=pages[-1].continue_token)
            pages.append(await self.storage.get_list(choice.key, options))
        await self.compare(choice, pages)

    async def compare(self, choice: Choice, pages: list[ListResult]) -> None:
        (revision,) = {page.revision for page in pages}
        await self.model.reached(revision)
        assert [shown(obj) for page in pages for obj in page.objects] == self.model.listed(choice, revision)
        self.compared["lists"] += 1
        self.compared["objects"] += sum(len(page.objects) for page in pages)

    async def read_one(self) -> None:
        number = self.random.randrange(len(KEYS))
        asked = self.random.choice(["", "0", str(self.past())])
        low = int(asked) if asked else self.etcd.revision
        try:
            found = await self.storage.get(KEYS[number], resource_version=asked)
            seen = shown(found)[1:] if found is not None else (GONE, 0)
        except KeyNotFound:
            seen = (GONE, 0)
        await self.model.reached(high := self.etcd.revision)
        rows = {self.model.at(number, at) for at in range(max(low, self.start), high + 1)}
        assert seen in rows or (seen == (GONE, 0) and GONE in {serial for serial, _ in rows})
        self.compared["gets"] += 1

    async def watch(self) -> None:
        while not self.done:
            choice = self.choose()
            is_stateful = self.random.random() < 0.5
            asked = self.random.choice(["", "0"]) if is_stateful else str(self.past())
            options = choice.options(
                resource_version=asked, send_initial_events=is_stateful or None, allow_bookmarks=True
            )
            stay_s = self.random.uniform(0.2, 30) if self.random.random() < 0.9 else self.random.uniform(60, 90)
            with trio.move_on_after(stay_s):  # bookmarks come to who stays for a minute
                await self.watch_once(choice, options)
            self.compared["watches"] += 1

    async def watch_once(self, choice: Choice, options: ListOptions) -> None:
        pause_s = self.random.choice([0, 0, 0, 0.02, 0.3, 2.0])
        seen = 0 if options.send_initial_events else int(options.resource_version)
        try:
            async with self.storage.watch(choice.key, options) as stream:
                state: list[tuple[str, int, int]] | None = [] if options.send_initial_events else None
                place = self.model.place(choice, seen) if state is None else 0
                while True:
                    batch = await stream.receive_batch()
                    await self.model.reached(batch[-1].revision)
                    for event in batch:
                        if event.type is not EventType.BOOKMARK and state is not None:
                            state.append(shown(event.object))
                            continue
                        seen = event.revision
                        if event.type is not EventType.BOOKMARK:
                            assert shown_event(event) == self.model.event(choice, place)
                            place += 1
                        elif state is not None:
                            assert event.is_initial_events_end
                            assert state == self.model.listed(choice, seen)
                            state, place = None, self.model.place(choice, seen)
                        else:
                            following = self.model.event(choice, place)
                            assert following is None or following[2] > seen, "a bookmark promises that all came"
                            self.compared["bookmarks"] += 1
                    self.compared["events"] += len(batch)
                    await trio.sleep(pause_s)
        except Expired:
            assert pause_s, "who keeps up is not told to begin anew"
            assert seen < self.storage.cacher.cache.ring.oldest_watchable
            self.compared["expired"] += 1

    # --- beside them

    async def compact(self) -> None:
        """And look at what it all takes. The collector rests in a run that is to repeat, so it is called here."""
        while not self.done:
            await trio.sleep(COMPACTION_S)
            if self.etcd.revision - KEPT_REVISIONS > max(self.etcd.compact_revision, 1):
                await self.etcd.compact(self.etcd.revision - KEPT_REVISIONS)
            gc.collect()
            self.rss.append((self.written, _rss_bytes()))
            figures = self.storage.cacher.statistics()
            assert figures.ring_length <= figures.ring_capacity <= RING_MAX
            assert figures.view_log_events_max <= figures.ring_length

    def growth_bytes(self) -> int:
        """From when a third of the events was written, and everything was as large as it is to become."""
        return self.rss[-1][1] - next(rss for written, rss in self.rss if written > self.events * 0.3)


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def run(events: int, readers: int, seed: int, batch_interval_s: float = 0.0) -> Load:
    random = Random(seed)
    async with open_embedded_etcd(random=random) as etcd, trio.open_nursery() as service:
        below = EtcdStorage(etcd, codec=Codec(fields=("spec.nodeName",)), random=random)
        storage = CacherStorage(
            below,
            random=random,
            ring=Ring(capacity_max=RING_MAX),
            indexed=("spec.nodeName",),
            batch_interval_s=batch_interval_s,
        )
        await service.start(storage.run)
        load = Load(etcd, storage, events, random)
        async with trio.open_nursery() as nursery:
            for writer in range(WRITERS):
                nursery.start_soon(load.write, writer)
            for reader in range(readers):
                nursery.start_soon(load.watch if reader % 2 else load.read)
            nursery.start_soon(load.compact)
            while not load.done:
                await trio.sleep(0.1)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await load.compare(Choice(), [await storage.get_list("/pods/", ListOptions())])
        service.cancel_scope.cancel()
    return load


@pytest.mark.parametrize("batch_interval_s", [0.0, 0.025])
def test_readers_see_no_difference_while_thousands_of_events_go_by(batch_interval_s):
    load = run_deterministic(run, EVENTS, READERS, 1, batch_interval_s, seed=1)
    assert load.written >= EVENTS
    assert all(load.compared[what] for what in ("lists", "objects", "gets", "watches", "events")), load.compared


@pytest.mark.long
def test_readers_see_no_difference_while_a_million_events_go_by():
    events = max(1_000_000, EVENTS)
    load = run_deterministic(run, events, READERS, 2, seed=2)
    assert load.written >= events
    assert load.compared["expired"], "somebody was too slow, and was told"
    assert load.compared["bookmarks"]
    assert load.growth_bytes() < GROWTH_MAX_BYTES, load.rss
    print(dict(load.compared), load.rss[-1])  # noqa: T201 - what the campaign came to
