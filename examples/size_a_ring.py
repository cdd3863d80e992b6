"""How long a ring has to be: readers of a quiet object go away and come back, and some are told 410. By the library itself.

    python examples/size_a_ring.py --writes-per-s 2 --ring 50 150 300 --away-s 5 30 60

Sixty readers follow one object that does not change, among others that do; they came one a second, so that their last bookmarks are
of every age up to a minute. They are cut off for a time, and then watch again from where they were. Who is told 410 has to list.
Everything is on the virtual clock, with one seed: the same numbers give the same table.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import trio

from cacher import Cacher, Ring
from cacher.simulation import run_deterministic
from cacher.storage.etcd import EmbeddedEtcd, EtcdListerWatcher, open_embedded_etcd
from watch import Expired, ObjectReader, Selector

READERS = 60
"""One for each age that a last bookmark can have, in seconds."""
WARM_S = 400.0
"""Before anybody goes away: long enough for a ring that sizes itself to have found its size."""
PREFIX = "/registry/configmaps/"
QUIET = Selector.of(fields={"metadata.name": "quiet"})


class Wanted(NamedTuple):
    """One question."""

    ring: int
    """Events; 0: the library's own, which grows until it holds 75 s."""
    away_s: float
    """How long readers are cut off."""
    writes_per_s: float = 2.0
    bookmarks: bool = True


class Found(NamedTuple):
    """The answer."""

    share: float
    """Of the readers, those that were told 410."""
    capacity: int
    """The ring's, in the end."""


def share_refused(wanted: Wanted) -> Found:
    """Play it."""
    return run_deterministic(_play, wanted, seed=1)


async def _play(wanted: Wanted) -> Found:
    ring = Ring(capacity_min=wanted.ring, capacity_max=wanted.ring) if wanted.ring else Ring()
    async with _cache(ring) as (etcd, cache), trio.open_nursery() as nursery:
        last: dict[int, int] = {}
        nursery.start_soon(_write, etcd, wanted.writes_per_s)
        with trio.move_on_at(WARM_S):
            async with trio.open_nursery() as readers:
                for number in range(READERS):
                    readers.start_soon(_read, cache, number, last, wanted.bookmarks)
        await trio.sleep(wanted.away_s)
        refused = sum(not _resumes(cache, revision) for revision in last.values())
        nursery.cancel_scope.cancel()
        return Found(refused / len(last), cache.statistics().ring_capacity)


@asynccontextmanager
async def _cache(ring: Ring) -> AsyncIterator[tuple[EmbeddedEtcd, Cacher]]:
    async with open_embedded_etcd(random=Random(1)) as etcd, trio.open_nursery() as nursery:
        await etcd.put(PREFIX + "default/quiet", _body("quiet"))
        source = EtcdListerWatcher(etcd, PREFIX, ObjectReader(), with_previous=False)
        cache = Cacher(source, prefix=PREFIX, random=Random(2), ring=ring)
        await nursery.start(cache.run)
        yield etcd, cache
        nursery.cancel_scope.cancel()


async def _write(etcd: EmbeddedEtcd, per_s: float) -> None:
    """Others are changed all the time."""
    number = 0
    while True:
        name = f"busy-{number % 20}"
        await etcd.put(f"{PREFIX}default/{name}", _body(name))
        number += 1
        await trio.sleep(1 / per_s)


async def _read(cache: Cacher, number: int, last: dict[int, int], bookmarks: bool) -> None:
    """Come at one's own second, list, watch, and remember how far one is."""
    await trio.sleep(1 + number)
    _, last[number] = cache.list(QUIET)
    async with cache.watch(QUIET, after=last[number], bookmarks=bookmarks) as watch:
        async for event in watch:
            last[number] = event.revision


def _resumes(cache: Cacher, revision: int) -> bool:
    try:
        cache.watch(QUIET, after=revision).close()
    except Expired:
        return False
    return True


def _body(name: str) -> bytes:
    return f'{{"metadata": {{"name": "{name}", "namespace": "default"}}}}'.encode()


def main() -> None:
    """Ask, and print a table."""
    parser = argparse.ArgumentParser(description="What share of quiet readers has to list again after an interruption.")
    parser.add_argument(
        "--writes-per-s", type=float, default=2.0, metavar="N", help="of this one resource (default: 2)"
    )
    parser.add_argument(
        "--ring", type=int, nargs="+", default=[50, 150, 300], metavar="EVENTS", help="0: it sizes itself"
    )
    parser.add_argument("--away-s", type=float, nargs="+", default=[5, 30, 60], metavar="SECONDS")
    parser.add_argument("--no-bookmarks", action="store_true", help="readers that do not ask for them")
    options = parser.parse_args()
    print("   events" + "".join(f"{f'{away:g} s away':>12}" for away in options.away_s))
    for events in options.ring:
        rows = [
            share_refused(Wanted(events, away, options.writes_per_s, not options.no_bookmarks))
            for away in options.away_s
        ]
        size = f"{events}" if events else f"({rows[-1].capacity})"
        print(f"{size:>9}" + "".join(f"{row.share:>12.0%}" for row in rows))


if __name__ == "__main__":
    main()
