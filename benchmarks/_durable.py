"""The embedded etcd on a disk: acknowledged writes a second, and how long it takes to open.

Writers put values of 1 KB into a data directory, each waiting for its acknowledgement, which is given when the write is synced.
The store is then closed and opened again, with every version that it has. The disk is the one of the directory for temporary
files (TMPDIR chooses another): what is measured is as much its sync as our code.
"""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import trio

from cacher.storage.etcd import EmbeddedEtcd, open_embedded_etcd

VALUE_BYTES = 1_000


class Durable(msgspec.Struct, frozen=True):
    """One row: so many writers, and so many puts of keys of their own."""

    name: str
    writers: int
    puts: int


class Kept(msgspec.Struct, frozen=True):
    """One run of a row."""

    puts_per_s: float
    open_s: float
    open_bytes_per_key: float
    """The most that opening held, the values in it."""


def durables(*, quick: bool = False) -> Iterator[Durable]:
    """The rows. `quick`: a tenth of the puts."""
    scale = 10 if quick else 1
    yield Durable("durable, one writer", 1, 2_000 // scale)
    yield Durable("durable, 64 writers", 64, 50_000 // scale)
    yield Durable("durable, 100,000 keys by 512 writers", 512, 100_000 // scale)


def measure_durable(case: Durable, *, seed: int = 0) -> Kept:
    """Run a row once, in a fresh directory on the real clock."""
    gc.collect()
    with tempfile.TemporaryDirectory() as directory:
        puts_per_s = trio.run(_write, Path(directory), case, seed)
        open_s = trio.run(_open, Path(directory), case)
        # Once more for the memory: tracing it makes the opening several times as slow.
        tracemalloc.start()
        try:
            trio.run(_open, Path(directory), case)
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return Kept(puts_per_s, open_s, held / case.puts)


async def _write(directory: Path, case: Durable, seed: int) -> float:
    value = Random(seed).randbytes(VALUE_BYTES)
    async with open_embedded_etcd(data_dir=directory, random=Random(seed)) as etcd:
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for writer in range(case.writers):
                nursery.start_soon(_put, etcd, range(writer, case.puts, case.writers), value)
        return case.puts / (time.perf_counter() - began)


async def _put(etcd: EmbeddedEtcd, numbers: range, value: bytes) -> None:
    for number in numbers:
        await etcd.put(f"/registry/pods/default/pod-{number:06}", value)


async def _open(directory: Path, case: Durable) -> float:
    began = time.perf_counter()
    async with open_embedded_etcd(data_dir=directory, random=Random(0)) as etcd:
        elapsed = time.perf_counter() - began
        assert etcd.statistics().keys == case.puts
    return elapsed
