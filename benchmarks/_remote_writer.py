"""Who writes while `_remote` measures: a process of its own, so that its CPU is not the reader's.

    python -m benchmarks._remote_writer ENDPOINT HOW EVENTS KEYS       prints "ready", waits for a line, writes, prints Written

HOW is "txns": transactions of 100 puts, some of them under way at once; "flat out": single puts, as many as the server takes;
"paced": single puts at an even rate, sent when they are due and not when the one before has come back.

Times are of the system's monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from random import Random

import msgspec
import trio

from cacher.storage.etcd import Put, RemoteEtcd, open_remote_etcd

from ._storage import object_key, pod

TXN_PUTS = 100
TXNS_AT_ONCE = 8
PUTS_AT_ONCE = 64
PACED_PUTS_PER_S = 2_000
OPENING_S = 30.0
ROOT = "/registry"


class Written(msgspec.Struct, array_like=True):
    """What was acknowledged: for each request its revision, and when it was sent and acknowledged."""

    revisions: list[int]
    sent_s: list[float]
    acknowledged_s: list[float]

    def add(self, revision: int, sent_s: float) -> None:
        """Note a request that has just been acknowledged."""
        self.acknowledged_s.append(time.monotonic())
        self.revisions.append(revision)
        self.sent_s.append(sent_s)


async def write(endpoint: str, how: str, events: int, keys: int) -> None:
    """Write `events` puts, over and over to the same `keys`."""
    written = Written([], [], [])
    puts = [Put(f"{ROOT}{object_key(number)}".encode(), pod(number)) for number in range(keys)]
    async with open_remote_etcd(endpoint, random=Random(0), opening_s=OPENING_S) as etcd:
        print("ready", flush=True)
        sys.stdin.readline()
        if how == "txns":
            await _write_txns(etcd, puts, events, written)
        elif how == "flat out":
            await _write_flat_out(etcd, puts, events, written)
        else:
            await _write_paced(etcd, puts, events, written)
    sys.stdout.buffer.write(msgspec.json.encode(written))


async def _write_txns(etcd: RemoteEtcd, puts: list[Put], events: int, written: Written) -> None:
    starts = iter(range(0, events, TXN_PUTS))

    async def some() -> None:
        for start in starts:
            chosen = [puts[number % len(puts)] for number in range(start, min(events, start + TXN_PUTS))]
            sent_s = time.monotonic()
            written.add((await etcd.txn(success=chosen)).revision, sent_s)

    async with trio.open_nursery() as nursery:
        for _ in range(TXNS_AT_ONCE):
            nursery.start_soon(some)


async def _write_flat_out(etcd: RemoteEtcd, puts: list[Put], events: int, written: Written) -> None:
    numbers = iter(range(events))

    async def some(numbers: Iterator[int]) -> None:
        for number in numbers:
            await _put(etcd, puts[number % len(puts)], written)

    async with trio.open_nursery() as nursery:
        for _ in range(PUTS_AT_ONCE):
            nursery.start_soon(some, numbers)


async def _write_paced(etcd: RemoteEtcd, puts: list[Put], events: int, written: Written) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(events):
            await trio.sleep_until(began + number / PACED_PUTS_PER_S)
            nursery.start_soon(_put, etcd, puts[number % len(puts)], written)


async def _put(etcd: RemoteEtcd, put: Put, written: Written) -> None:
    sent_s = time.monotonic()
    written.add((await etcd.put(put.key, put.value)).revision, sent_s)


if __name__ == "__main__":
    trio.run(write, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
