"""HTTP watches of a server in a process of its own, ours or a real kube-apiserver: what it spends on each delivery.

    writer (this process) ─► etcd (a process) ─► server ─► TLS ─► reader (a process), 100 or 1,000 watches

Both serve the same objects of 1 KB from the same kind of etcd, over TLS, to the same reader. They are written as fast as they are
taken, but never more than `ahead` events before what the watches have had on average: a kube-apiserver ends watches that fall
back further, and what would be measured is how fast it does. CPU is that of the server's processes, read from /proc.

    python -m benchmarks._watched kube|ours '{"watches":100,"events":1000}'
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import trio

from cacher.storage.etcd import RemoteEtcd, open_remote_etcd

from ._http_reader import raise_limit
from ._remote import etcd_server
from ._servers import START_S, TOKEN, Server, etcd_binary, kube_apiserver, ours
from ._watched_reader import Read

EVENT_BYTES = 1_000
KEYS = 64
WRITERS = 32
RUN_TIMEOUT_S = 180.0


class Watching(msgspec.Struct, frozen=True):
    """One piece of work."""

    watches: int
    events: int
    ahead: int = 64
    is_plain: bool = False
    workers: int = 1


class Watched(msgspec.Struct, frozen=True):
    """One run of it."""

    read: Read
    per_s: float
    """Deliveries."""
    cpu_us: float
    """Of the server, of a delivery."""
    busiest_us: float
    """The CPU of its busiest process, divided by all deliveries: what bounds it where there is a core for each."""


async def _measure(who: str, work: Watching) -> Watched:
    binary = etcd_binary()
    assert binary is not None, "see _servers.CURE"
    with tempfile.TemporaryDirectory() as directory, etcd_server(binary) as endpoint, trio.fail_after(RUN_TIMEOUT_S):
        async with open_remote_etcd(endpoint, random=Random(1), opening_s=START_S) as etcd:
            if who == "kube":
                opened = kube_apiserver(endpoint, Path(directory))
            else:
                opened = ours(endpoint, Path(directory), workers=work.workers, is_plain=work.is_plain)
            async with opened as server:
                return await _watched(server, etcd, work)


async def _watched(server: Server, etcd: RemoteEtcd, work: Watching) -> Watched:
    path = "/api/v1/namespaces/watched/configmaps?watch=1&resourceVersion="
    # Every key is there before: events are updates, and the cache of a server that fills itself when asked is full.
    for number in range(KEYS):
        await put_config_map(etcd, number, 0)
    revision = (await etcd.range("/registry/configmaps/", count_only=True)).revision
    words = [str(server.port), "plain" if work.is_plain else "tls", str(work.watches), str(work.events)]
    command = [sys.executable, "-m", "benchmarks._watched_reader", *words, f"{path}{revision}", TOKEN]
    heard = _Heard()
    with started_reader(command) as stdout:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heard.listen, stdout)
            await heard.ready.wait()
            await trio.sleep(1.0)  # what the opening left to do is done
            before, began = server.cpu_s(), time.perf_counter()
            await _write(etcd, work, heard)
            await heard.done.wait()
            elapsed, after = time.perf_counter() - began, server.cpu_s()
            nursery.cancel_scope.cancel()
    assert heard.read is not None, "the reader ended before all was there"
    deliveries = heard.read.deliveries
    spent = [late - soon for soon, late in zip(before, after, strict=True)]
    return Watched(heard.read, deliveries / elapsed, sum(spent) / deliveries * 1e6, max(spent) / deliveries * 1e6)


@contextmanager
def started_reader(command: list[str]) -> Iterator[trio.abc.ReceiveStream]:
    """What it says. Started by this thread, which does not end before: the system ends it with the thread that started it."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
    finally:
        process.kill()
        process.communicate()


class _Heard:
    """What the reader says."""

    def __init__(self) -> None:
        self.ready, self.done = trio.Event(), trio.Event()
        self.events = 0
        self.more = trio.Event()
        self.read: Read | None = None

    async def listen(self, stdout: trio.abc.ReceiveStream) -> None:
        """Until it ends."""
        rest = b""
        async for data in stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._hear(line)
        self.ready.set()
        self.done.set()

    def _hear(self, line: bytes) -> None:
        if line == b"ready":
            self.ready.set()
        elif line.startswith(b"{"):
            self.read = msgspec.json.decode(line, type=Read)
            self.done.set()
        else:
            self.events = int(line)
        self.more.set()
        self.more = trio.Event()


async def _write(etcd: RemoteEtcd, work: Watching, heard: _Heard) -> None:
    numbers = iter(range(work.events))

    async def some() -> None:
        for number in numbers:
            while number - heard.events >= work.ahead and not heard.done.is_set():
                await heard.more.wait()
            await put_config_map(etcd, number % KEYS, number)

    async with trio.open_nursery() as nursery:
        for _ in range(WRITERS):
            nursery.start_soon(some)


async def put_config_map(etcd: RemoteEtcd, key: int, step: int) -> None:
    """Write one of KEYS."""
    await etcd.put(f"/registry/configmaps/watched/c{key}", _config_map(f"c{key}", step))


def _config_map(name: str, step: int) -> bytes:
    """Of EVENT_BYTES, as it is stored; it says when it was written."""
    meta = {"name": name, "namespace": "watched", "uid": "5f1c3c1e-2d0e-4c52-9d4b-0c9c5a6b7d8e"}
    data = {"k": f"{step:06d}", "sent": f"{time.monotonic_ns():020d}", "x": ""}
    whole = {"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": meta}
    data["x"] = "x" * (EVENT_BYTES - len(msgspec.json.encode(whole)))
    return msgspec.json.encode(whole)


if __name__ == "__main__":
    raise_limit()
    measured = trio.run(_measure, sys.argv[1], msgspec.json.decode(sys.argv[2], type=Watching))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
