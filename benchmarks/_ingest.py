"""Ingest from a real etcd, of 1 KB pods, beside the real Cacher: both read what the same writer writes into the same kind of etcd.

    python -m benchmarks._ingest ENDPOINT EVENTS       says "ready" once a watch is open; measures from its first event on

`benchmarks/peers/cacher -etcd` is the peer, and the writer too, of pods as each stores them: ours JSON, the peer protobuf.
"""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import trio

from cacher import Cacher
from cacher.storage.etcd import EtcdListerWatcher, open_remote_etcd
from watch import ObjectReader, Selector

from ._fanout_run import FIELDS
from ._remote import etcd_server

BIN = Path(__file__).parent / "peers" / "bin" / "cacher"
PREFIX = "/registry/pods/"
OPENING_S = 30.0
RUN_TIMEOUT_S = 60.0


class Ingest(msgspec.Struct, frozen=True):
    """One run."""

    seconds: float
    cpu_s: float
    ended: int = 0
    """How often the watch was ended, since it fell back too far, and went on from there."""


def measure_ingest(binary: str, events: int, puts: int, *, is_peer: bool) -> Ingest:
    """One run on an etcd of its own, written by transactions of so many puts. `binary`: of etcd."""
    with etcd_server(binary) as endpoint:
        _wait_for(endpoint)
        asked = [str(BIN), f"-etcd={endpoint}", f"-events={events}"]
        form = "protobuf" if is_peer else "json"
        reading = (
            [*asked, f"-puts={puts}"]
            if is_peer
            else [sys.executable, "-m", "benchmarks._ingest", endpoint, str(events)]
        )
        writing = [*asked, f"-write={puts}", f"-decode={form}"]
        with (
            subprocess.Popen(reading, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent) as reader,
            subprocess.Popen(writing, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer,
        ):
            try:
                assert reader.stdout is not None
                assert writer.stdout is not None
                assert reader.stdout.readline() == writer.stdout.readline() == "ready\n"
                writer.communicate("go\n", timeout=RUN_TIMEOUT_S)
                said, _ = reader.communicate(timeout=RUN_TIMEOUT_S)
            finally:
                reader.kill()
                writer.kill()
    told: dict[str, Any] = msgspec.json.decode(said)
    return Ingest(told["seconds"], told["cpu_s"], told["ended"])


def _wait_for(endpoint: str) -> None:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    until = time.monotonic() + OPENING_S
    while True:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


async def _measure(endpoint: str, events: int) -> Ingest:
    async with open_remote_etcd(endpoint, random=Random(1)) as etcd, trio.open_nursery() as nursery:
        source = EtcdListerWatcher(etcd, PREFIX, ObjectReader(FIELDS), with_previous=False)
        cacher = Cacher(source, prefix=PREFIX, random=Random(2), indexed=("spec.nodeName",))
        await nursery.start(cacher.run)
        async with cacher.watch(Selector.of(), after=cacher.revision) as watch:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            before, began, newest, taken = _cpu_s(), 0.0, 0, 0
            while taken < events:
                batch = await watch.receive_batch()
                began = began or time.perf_counter()
                for event in batch:
                    newest = event.revision
                taken += len(batch)
            assert newest
            found = Ingest(time.perf_counter() - began, _cpu_s() - before)
        nursery.cancel_scope.cancel()
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    measured = trio.run(_measure, sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
