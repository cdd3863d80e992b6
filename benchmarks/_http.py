"""What a server spends on HTTP: on each event that it sends to each watch, and on a list of 10,000 objects.

Watches are read by a process of their own; the server's CPU is this process's. Events are puts of 1 KB objects, so that all is
in but the registry: store, cache, fan-out, frames and sends. "One a send": each event is sent everywhere before the next is
written; "ten a send": ten at once; "flat out": as fast as they are written, and again with the batch interval of
`watchcache serve`.
"""

from __future__ import annotations

import gc
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random

import msgspec
import trio
import trio.testing

import cacher
from cacher.server import issue_server, make_authority, open_server, server_context
from cacher.storage.etcd import Put

from ._http_reader import raise_limit

EVENT_BYTES = 1_000
OBJECTS = 10_000
LISTS = 5
BATCH = 10
BATCH_INTERVAL_S = 0.002
"""As `watchcache serve` has it."""
PATH = "/api/v1/namespaces/default/configmaps"
PEER = "kube-apiserver over TLS, objects of 1.36 KB: 14.8 µs a delivery to 100 watches, 13.0 µs to 1,000; list of 10k 162 ms"


class HTTPCase(msgspec.Struct, frozen=True):
    """One row."""

    watches: int
    events: int
    joined: int
    """Events a send; 0: flat out."""
    is_tls: bool = False
    batch_interval_s: float = 0.0
    """Of the cache; where the writer waits for each send, it would only wait longer."""

    @property
    def name(self) -> str:
        how = {0: "flat out", 1: "one a send"}.get(self.joined, "ten a send")
        if not self.watches:
            return f"http, list of {OBJECTS:,}"
        if self.batch_interval_s:
            how += f", {self.batch_interval_s * 1e3:g} ms batches"
        return f"http, {self.watches:,} watches{' over TLS' if self.is_tls else ''}, {how}"


class HTTPMeasured(msgspec.Struct, frozen=True):
    """One run of a row."""

    cpu_us: float
    """Of the server, for each event to each watch, or for a list."""
    per_s: float
    """Deliveries, or lists."""


def http_cases(*, quick: bool = False) -> Iterator[HTTPCase]:
    """The rows; over TLS a tenth of the events. `quick`: again a tenth."""
    events = 100 if quick else 1_000
    for is_tls in (False, True):
        for watches in (100, 1_000):
            count = events // 10 if is_tls else events
            for joined in (1, BATCH, 0):
                yield HTTPCase(watches, count, joined, is_tls)
            yield HTTPCase(watches, count, 0, is_tls, BATCH_INTERVAL_S)
    yield HTTPCase(0, OBJECTS // 10 if quick else OBJECTS, 0)


def measure_http(case: HTTPCase, *, seed: int = 0) -> HTTPMeasured:
    """Run a row once, in a fresh cluster on the real clock."""
    gc.collect()
    raise_limit()
    return trio.run(_watched if case.watches else _listed, case, seed)


def event_object(name: str, step: int = 0) -> bytes:
    """A ConfigMap of EVENT_BYTES, as it is stored."""
    meta = {"name": name, "namespace": "default", "uid": "5f1c3c1e-2d0e-4c52-9d4b-0c9c5a6b7d8e"}
    whole = {"apiVersion": "v1", "data": {"k": f"{step:06d}"}, "kind": "ConfigMap", "metadata": meta}
    size = len(msgspec.json.encode(whole))
    whole["data"] = {"k": f"{step:06d}" + "x" * (EVENT_BYTES - size)}
    return msgspec.json.encode(whole)


def _puts(case: HTTPCase) -> list[list[Put]]:
    """What is written together: its events come together."""
    joined = case.joined or 1
    return [
        [Put(b"/registry/configmaps/default/c%d" % at, event_object(f"c{at}", step)) for at in range(joined)]
        for step in range(case.events // joined)
    ]


def _context() -> ssl.SSLContext:
    return server_context(issue_server(make_authority(now_s=time.time()), ["127.0.0.1"], now_s=time.time()))


async def _watched(case: HTTPCase, seed: int) -> HTTPMeasured:
    random = Random(seed)
    async with cacher.open_cluster(random=random, batch_interval_s=case.batch_interval_s) as cluster:
        tls = _context() if case.is_tls else None
        async with open_server(cluster, random=random, unix=time.time, tls=tls) as server:
            reader = await start_reader(server.addresses[0][1], case, f"{PATH}?watch=1")
            assert reader.stdout is not None
            writes = _puts(case)
            cpu, began = time.process_time(), time.perf_counter()
            for puts in writes:
                await cluster.etcd.txn(success=puts)
                if case.joined:
                    await trio.testing.wait_all_tasks_blocked()
            await said(reader.stdout, b"done\n")
            spent, elapsed = time.process_time() - cpu, time.perf_counter() - began
            await reader.wait()
    deliveries = case.watches * case.events
    return HTTPMeasured(spent / deliveries * 1e6, deliveries / elapsed)


async def start_reader(port: int, case: HTTPCase, path: str, *token: str) -> trio.Process:
    """The process that reads; its watches are open, and what began them has been sent."""
    words = [str(port), "tls" if case.is_tls else "plain", str(case.watches), str(case.events), path, *token]
    command = [sys.executable, "-m", "benchmarks._http_reader", *words]
    reader = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout is not None
    await said(reader.stdout, b"ready\n")
    await trio.sleep(0.2)
    return reader


async def said(stream: trio.abc.ReceiveStream, word: bytes) -> None:
    """Return once a process has said a word."""
    heard = b""
    while heard != word:
        more = await stream.receive_some(len(word) - len(heard))
        if not more:
            raise RuntimeError(f"the reader ended before it said {word!r}; what it wrote on standard error says why")
        heard += more
        assert word.startswith(heard), heard


async def _listed(case: HTTPCase, seed: int) -> HTTPMeasured:
    random = Random(seed)
    async with cacher.open_cluster(random=random) as cluster:
        for number in range(case.events):
            await cluster.etcd.put(f"/registry/configmaps/default/c{number:05}", event_object(f"c{number:05}"))
        async with open_server(cluster, random=random, unix=time.time) as server:
            spent, elapsed = [], []
            for _ in range(LISTS + 1):
                cpu, began = time.process_time(), time.perf_counter()
                assert await _fetched(*server.addresses[0]) > case.events * EVENT_BYTES * 0.9
                spent.append(time.process_time() - cpu)
                elapsed.append(time.perf_counter() - began)
    return HTTPMeasured(min(spent[1:]) * 1e6, 1 / min(elapsed[1:]))


async def _fetched(host: str, port: int) -> int:
    """How many bytes a list has, read in this process: its CPU is in the figure."""
    stream = await trio.open_tcp_stream(host, port)
    ask = f"GET {PATH}?resourceVersion=0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    await stream.send_all(ask.encode())
    return sum([len(data) async for data in stream])
