"""What is run with servers and an etcd, each a process of its own: HTTP watches, workers, a client, ingest; and history replay."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from benchmarks._client_reader import Taken
from benchmarks._ingest import BIN, Ingest, measure_ingest
from benchmarks._replay import EVENTS as REPLAYED
from benchmarks._servers import etcd_binary, kube_apiserver_binary
from benchmarks._watched import Watched, Watching

from ._line import Found, Goal, GoalKind, Job, Line, Sample, Unit

TOP = Path(__file__).parent.parent.parent
HTTP, CLIENT, INGEST, REPLAY = "HTTP watches", "a client that watches", "ingest from a real etcd", "history replay"
FLAT_OUT = 64
"""Events that may be under way: there a kube-apiserver ends nearly all watches, and what it spends then is no delivery's cost."""
KEPT = {100: 16, 1_000: 8}
"""By the number of watches, events that may be under way so that it ends none: where both sides do the same work."""
JOB_TIMEOUT_S = 300.0


def server_jobs(part: int) -> Iterator[Job]:
    """`part`: one in so much of the work. Those that need an etcd are left out where there is none."""
    for select, groups in (("all", 1_000), ("namespace", 1_000)):
        yield Job(f"history replay, {select}", partial(_replay, select, groups))
    binary = etcd_binary()
    if binary is None:
        return
    for puts, events in ((100, 100_000), (1, 10_000)):
        yield Job(f"ingest, {puts} puts a transaction", partial(_ingest, binary, events // part, puts))
    for watches, events in ((100, 4_000), (1_000, 600)):
        for ahead in (FLAT_OUT, KEPT[watches]):
            work = Watching(watches, max(events // part, 100), ahead)
            yield Job(f"HTTP, {watches:,} watches, {ahead} ahead", partial(_http, work))
    yield Job("HTTP, workers", partial(_workers, Watching(1_000, max(600 // part, 100), FLAT_OUT)))
    yield Job("a client that watches", partial(_client, 10_000 // part))


def _replay(select: str, groups: int, seed: int) -> Found:
    here = msgspec.json.decode(_python("benchmarks._replay", select, str(groups)), type=Ingest)
    what = "all of it" if select == "all" else f"a namespace with one event in {groups:,}"
    sides = {"ours": Sample(here.seconds, here.cpu_s * 1e6)}
    if BIN.exists():
        done = subprocess.run(
            [BIN, f"-replay={groups}", f"-select={select}"], stdout=subprocess.PIPE, check=True, timeout=JOB_TIMEOUT_S
        )
        said = json.loads(done.stdout)
        sides["peer"] = Sample(said["seconds"], said["cpu_s"] * 1e6)
    return {Line(REPLAY, f"a late watcher over {REPLAYED:,} events: {what}", Unit.SECONDS): sides}


def _ingest(binary: str, events: int, puts: int, seed: int) -> Found:
    line = Line(INGEST, f"events to a watcher of all, {puts} put{'s' if puts > 1 else ''} a transaction", Unit.EVENTS)
    found = {}
    for side in ("ours", "peer"):
        if side == "peer" and not BIN.exists():
            continue
        one = measure_ingest(binary, events, puts, is_peer=side == "peer")
        ended = f"its watch ended {one.ended} times" if one.ended else ""
        found[side] = Sample(events / one.seconds, one.cpu_s / events * 1e6, note=ended)
    return {line: found}


def _http(work: Watching, seed: int) -> Found:
    how = "flat out" if work.ahead == FLAT_OUT else f"at most {work.ahead} events under way"
    goal = None if work.ahead == FLAT_OUT else Goal(GoalKind.RATIO, 3.0)
    sides = {"ours": _served(_watched("ours", work))}
    if kube_apiserver_binary() is not None:
        sides["peer"] = _served(_watched("kube", work))
    line = Line(HTTP, f"{work.watches:,} over TLS, {how}: server's CPU a delivery", Unit.CPU, goal)
    plain = {"ours": _served(_watched("ours", msgspec.structs.replace(work, is_plain=True)))}
    return {line: sides, Line(HTTP, f"{work.watches:,} without TLS, {how}: the same", Unit.CPU): plain}


def _workers(work: Watching, seed: int) -> Found:
    """Writer, etcd and reader share the cores with the workers: what two bring here is less than on a larger machine."""
    found: dict[Line, dict[str, Sample]] = {}
    for workers in (1, 2):
        one = _watched("ours", msgspec.structs.replace(work, workers=workers))
        name = f"{work.watches:,} over TLS, {workers} worker{'s' if workers > 1 else ''}"
        found[Line(HTTP, f"{name}: deliveries", Unit.DELIVERIES)] = {"ours": _sample(one, one.per_s)}
        line = Line(HTTP, f"{name}: CPU of the busiest process a delivery", Unit.CPU)
        found[line] = {"ours": _sample(one, one.busiest_us)}
    return found


def _client(events: int, seed: int) -> Found:
    sides = {}
    for side, who in (("ours", "ours"), ("peer", "kubernetes")):
        if who == "kubernetes" and importlib.util.find_spec(who) is None:
            continue
        one = msgspec.json.decode(_python("benchmarks._clients", who, str(events)), type=Taken)
        sides[side] = Sample(one.cpu_s / events * 1e6, one.cpu_s / events * 1e6)
    return {Line(CLIENT, "its CPU an event, beside watch.Watch of kubernetes for Python", Unit.CPU): sides}


def _watched(who: str, work: Watching) -> Watched:
    return msgspec.json.decode(
        _python("benchmarks._watched", who, msgspec.json.encode(work).decode()),
        type=Watched,
    )


def _served(one: Watched) -> Sample:
    return _sample(one, one.cpu_us)


def _sample(one: Watched, value: float) -> Sample:
    ended = f"{one.read.ended:,} watches ended by the server" if one.read.ended else ""
    return Sample(value, one.cpu_us, one.read.p50_s, one.read.p99_s, ended)


def _python(module: str, *words: str) -> bytes:
    command = [sys.executable, "-m", module, *words]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=TOP, timeout=JOB_TIMEOUT_S).stdout
