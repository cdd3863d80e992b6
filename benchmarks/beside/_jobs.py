"""What is run: each job once a round, ours and the peer right after each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks._fanout import Fan, Fanned, run_here, run_peer
from benchmarks._footprint import Footprint
from benchmarks._informers import InformerTimes
from benchmarks._queue_rates import LOOKED_UP
from benchmarks._storage import Sized, measure_lists

from ._line import Found, Goal, GoalKind, Job, Line, Sample, Unit
from ._server_jobs import server_jobs

TOP = Path(__file__).parent.parent.parent
BIN = TOP / "benchmarks" / "peers" / "bin"

PATH, FAN, SELECT, LISTS, MEMORY, INFORMER, SLOW, GROWTH, LATENCY = (
    "no watcher",
    "all-match watchers",
    "selective watchers",
    "lists",
    "memory",
    "informer and queue",
    "slow watchers",
    "growth",
    "latency",
)
WATCHES = 10_000
"""Idle ones, of which one's memory is measured."""
PEER_WATCHES = 1_000
RATES = (100, 1_000, 3_000, 10_000, 20_000)
"""Events a second at which latency is plotted."""


def jobs(*, quick: bool = False) -> Iterator[Job]:
    """All of them. `quick`: small ones with a tenth of the work; their figures are no goal's."""
    part = 10 if quick else 1
    yield from _path_jobs(part)
    yield from _fan_jobs(part)
    yield from _select_jobs(part)
    yield from _latency_jobs(part)
    yield Job("one in ten slow", partial(_slow, 4_000 if part == 1 else 3_000), runs_max=3)
    yield Job("lists", partial(_lists, 100_000 // part), runs_max=3)
    for objects in (10_000, 30_000, 100_000):
        yield Job(f"memory of {objects // part:,}", partial(_memory, objects // part), runs_max=2)
    for handlers in (1, 10):
        yield Job(f"informer, {handlers} handlers", partial(_informer, 100_000 // part, handlers))
    yield Job("queue", partial(_queue, 200_000 // part))
    yield from server_jobs(part)
    yield Job("growth with watchers", partial(_growth_by_watchers, part), runs_max=3)
    yield Job("growth with objects", partial(_growth_by_objects, part), runs_max=2)


def _times(amount: float) -> Goal:
    return Goal(GoalKind.RATIO, amount)


def _at_most(amount: float) -> Goal:
    return Goal(GoalKind.AT_MOST, amount)


# --- the path and the fan-out -----------------------------------------------------------------------------------------


def _path_jobs(part: int) -> Iterator[Job]:
    small, real = Fan("all", 0, 250, 100_000 // part), Fan("all", 0, 250, 60_000 // part, is_recorded=True)
    for fan, goal, what in ((small, 4.0, "pods of 1 KB"), (real, 3.0, "recorded pods of 3.5–6 KB")):
        yield Job(f"path, {what}", partial(_path, fan, what, goal))


def _path(fan: Fan, what: str, goal: float, seed: int) -> Found:
    """The peer is handed objects that were decoded before; beside it once more, decoding what a real server reads."""
    ours = _sample(run_here(fan, "task", seed=seed), fan)
    ready, decoding = run_peer(fan), run_peer(fan, decode="protobuf")
    return {
        Line(PATH, f"{what}; the peer's come decoded", Unit.EVENTS, _times(goal)): _sides(ours, ready, fan),
        Line(PATH, f"{what}; the peer decodes protobuf", Unit.EVENTS): _sides(ours, decoding, fan),
    }


def _fan_jobs(part: int) -> Iterator[Job]:
    bursts = ((100, 20_000, 4.0, 3.0), (1_000, 6_000, 5.0, 4.0), (10_000, 1_000, 20.0, 10.0))
    for watchers, events, goal, task_goal in bursts:
        fan = Fan("all", watchers, 250, max(events // part, 250))
        yield Job(fan.name, partial(_fan, FAN, fan, _times(goal), _times(task_goal), watchers < 10_000))
    for watchers, events, goal in ((100, 4_000, 3.0), (1_000, 1_000, 4.0), (10_000, 150, 10.0)):
        fan = Fan("all", watchers, 1, max(events // part, 30))
        yield Job(fan.name, partial(_fan, FAN, fan, _times(goal), None, watchers < 1_000))


def _select_jobs(part: int) -> Iterator[Job]:
    for is_recorded in (False, True):
        for select in ("node", "namespace"):
            for watchers in (100, 1_000, 10_000):
                fan = Fan(select, watchers, 250, 20_000 // part, is_recorded=is_recorded)
                yield Job(fan.name, partial(_fan, SELECT, fan, _times(3.0), _times(1.0), False))
    fan = Fan("label", 1_000, 250, 20_000 // part)
    yield Job(fan.name, partial(_fan, SELECT, fan, _times(30.0), None, False))
    fan = Fan("label", 10_000, 250, 20_000 // part)
    yield Job(fan.name, partial(_fan, SELECT, fan, Goal(GoalKind.AT_LEAST, 250_000.0), None, False), runs_max=3)


def _fan(group: str, fan: Fan, goal: Goal, task_goal: Goal | None, is_naive_too: bool, seed: int) -> Found:
    """Ours in three forms, of which WatchSet and sink are one line: the better one of the run."""
    peer = run_peer(fan)
    hosted, sink, task = (run_here(fan, form, seed=seed) for form in ("set", "sink", "task"))
    better = max(hosted, sink, key=lambda one: one.deliveries_per_s)
    found: dict[Line, dict[str, Sample]] = {}
    for ours, form, aim in ((better, "WatchSet or sink", goal), (task, "a task each", task_goal)):
        line = Line(group, f"{fan.name}: {form}", Unit.DELIVERIES, aim)
        found[line] = _sides(_sample(ours, fan), peer, fan)
    if is_naive_too:
        few = msgspec.structs.replace(fan, events=max(fan.events // 10, 30))
        naive = _sample(run_here(few, "channel", seed=seed), few)
        line = Line(group, f"{fan.name}: ours with a task each, beside a trio channel each", Unit.DELIVERIES)
        found[line] = {"ours": _sample(task, fan), "peer": naive}
    return found


def _sides(ours: Sample, peer: Fanned | None, fan: Fan) -> dict[str, Sample]:
    return {"ours": ours} if peer is None else {"ours": ours, "peer": _sample(peer, fan)}


def _sample(one: Fanned, fan: Fan) -> Sample:
    """Rates; where the time of arrival was set, how late the events were is what counts, in p99."""
    ended = f"{one.ended} lost" if one.ended else ""
    if not fan.watchers:
        return Sample(one.events_per_s, one.cpu_us_per_event)
    note = ", ".join(filter(None, ("" if one.form == "peer" else one.form, ended)))
    has_lags = fan.select == "all"
    p50, p99 = (one.p50_s, one.p99_s) if has_lags else (None, None)
    return Sample(one.deliveries_per_s, one.cpu_ns_per_delivery / 1e3, p50, p99, note)


# --- latency, slow watchers, growth -----------------------------------------------------------------------------------


def _latency_jobs(part: int) -> Iterator[Job]:
    for rate in RATES:
        yield Job(f"latency at {rate:,} events/s", partial(_latency, rate, part), runs_max=3)


def _latency(rate: int, part: int, seed: int) -> Found:
    fan = Fan("all", 1_000, 0, max(2 * rate // part, 100), rate=rate)
    goal = _at_most(0.010) if rate == 10_000 else None
    peer = run_peer(fan, cores=(2,))
    found: dict[Line, dict[str, Sample]] = {}
    for form, words, aim in (("set", "WatchSet", goal), ("sink", "sink", goal), ("task", "a task each", None)):
        ours = run_here(fan, form, seed=seed)
        line = Line(LATENCY, f"published → received, p99, {fan.name}: {words}", Unit.SECONDS, aim)
        found[line] = {"ours": _late(ours)} if peer is None else {"ours": _late(ours), "peer": _late(peer)}
        if form == "set" and goal is not None:
            longest = Line(LATENCY, "longest pass of trio's loop in it: WatchSet", Unit.SECONDS, _at_most(0.020))
            found[longest] = {"ours": Sample(ours.longest_pass_s)}
    return found


def _late(one: Fanned) -> Sample:
    return Sample(
        one.p99_s, one.cpu_ns_per_delivery / 1e3, one.p50_s, one.p99_s, f"{one.ended} lost" if one.ended else ""
    )


def _slow(events: int, seed: int) -> Found:
    """Healthy watchers in WatchSets, each slow one a task of its own, so that it holds up nobody's set."""
    alone, mixed = (Fan("all", 1_000, 0, events, rate=1_000, slow=slow) for slow in (0, 10))
    calm, ours, peer = run_here(alone, "set", seed=seed), run_here(mixed, "set", seed=seed), run_peer(mixed, cores=(2,))
    recovered = Line(
        SLOW, "slow ones that expired, listed again and equal the store", Unit.SHARE, Goal(GoalKind.AT_LEAST, 1.0)
    )
    lost = Line(SLOW, "healthy ones that were not lost", Unit.SHARE, Goal(GoalKind.AT_LEAST, 1.0))
    late = Line(SLOW, "p99 of the healthy, to that without slow ones", Unit.TIMES, _at_most(1.5))
    found: dict[Line, dict[str, Sample]] = {
        recovered: {"ours": Sample(min(ours.slow_expired, ours.slow_equal) / ours.slow)},
        lost: {"ours": Sample(1 - ours.ended / 900)},
        late: {"ours": Sample(ours.p99_s / calm.p99_s, p50_s=ours.p50_s, p99_s=ours.p99_s)},
    }
    if peer is not None:
        found[lost] = {
            **found[lost],
            "peer": Sample(1 - peer.ended / 900, note=f"{peer.slow_expired} of the slow ended"),
        }
    return found


def _growth_by_watchers(part: int, seed: int) -> Found:
    sizes = ((100, 20_000), (1_000, 6_000), (10_000, 1_000), (100_000, 500))
    costs = {}
    for watchers, events in sizes:
        costs[watchers] = (
            run_here(Fan("all", watchers, 250, max(events // part, 250)), "set", seed=seed).cpu_ns_per_delivery / 1e3
        )
    return _growth(
        "CPU a delivery, 100 to 100,000 watchers: the last to the first", "CPU a delivery, {:,} watchers", costs
    )


def _growth_by_objects(part: int, seed: int) -> Found:
    costs = {}
    for objects in (1_000, 10_000, 100_000, 1_000_000):
        fan = Fan("all", 0, 250, 100_000 // part, objects=objects // part)
        costs[fan.objects] = run_here(fan, "task", seed=seed).cpu_us_per_event
    return _growth("CPU an event, 1k to 1M objects: the last to the first", "CPU an event, {:,} objects", costs)


def _growth(name: str, each: str, costs: dict[int, float]) -> Found:
    first, *_, last = costs.values()
    found = {Line(GROWTH, name, Unit.TIMES, _at_most(2.0)): {"ours": Sample(last / first)}}
    return found | {Line(GROWTH, each.format(size), Unit.CPU): {"ours": Sample(cost)} for size, cost in costs.items()}


# --- lists, memory, informer, queue -----------------------------------------------------------------------------------

LIST_GOALS = (
    "everything",
    "namespace, 1/10",
    "namespace, 1/1000",
    "field, 1/1000, indexed",
    "label, 1/1000",
    "all pages of 500 *",
    "everything, 1,000 events ago",
    "namespace, 1/10, 1,000 events ago",
    "page of 500, 1,000 events ago",
)
LIST_OTHERS = ("namespace, 1/1000, consistent *", "get")


def _lists(objects: int, seed: int) -> Found:
    here = {row.name: row.value for row in measure_lists(Sized(objects), seed=seed)}
    said = _said("cacher", f"-lists={objects}")
    there: dict[str, float] = said["lists_s"] if said else {}
    found: dict[Line, dict[str, Sample]] = {}
    for names, goal in ((LIST_GOALS, _times(5.0)), (LIST_OTHERS, None)):
        for name in names:
            line = Line(LISTS, f"{objects:,} pods: {name}", Unit.SECONDS, goal)
            found[line] = {"ours": Sample(here[name])} | ({"peer": Sample(there[name])} if there else {})
    return found


def _memory(objects: int, seed: int) -> Found:
    done = _python("benchmarks._footprint", str(objects), str(WATCHES))
    here = msgspec.json.decode(done, type=Footprint)
    said = _said("cacher", f"-memory={objects}", f"-watchers={PEER_WATCHES}")
    rows = [("a cached object", here.objects / objects, "heap_bytes_per_object", 3.0)]
    if objects == 100_000:
        rows += [
            ("an event of history", here.event, "heap_bytes_per_event", 5.0),
            ("an idle watch in a WatchSet", here.watch, "heap_bytes_per_watch", 3.0),
            ("an idle watch with a task", here.watch_with_task, "heap_bytes_per_watch", 0.0),
        ]
    found: dict[Line, dict[str, Sample]] = {}
    for name, ours, theirs, goal in rows:
        aim = _times(goal) if goal and objects == 100_000 else None
        line = Line(MEMORY, f"{name}, {objects:,} pods", Unit.BYTES, aim)
        found[line] = {"ours": Sample(ours)} | ({"peer": Sample(said[theirs])} if said else {})
    return found


def _informer(objects: int, handlers: int, seed: int) -> Found:
    there = [
        said
        for cores in (1, 2)
        if (said := _said("clientgo", f"-objects={objects}", f"-handlers={handlers}", cores=cores))
    ]
    one, many = (
        msgspec.json.decode(
            _python("benchmarks._informers", str(objects), str(handlers), str(at_once)), type=InformerTimes
        )
        for at_once in (1, 100)
    )
    to = f"{handlers} handler{'s' if handlers > 1 else ''}"
    rows = (
        (f"first list to {to}, objects", one.sync_s, one.sync_cpu_s, "sync", _times(1.0)),
        (f"updates to {to}, one at once", one.update_s, one.update_cpu_s, "update", _times(1.0)),
        (f"updates to {to}, 100 at once", many.update_s, many.update_cpu_s, "update", None),
    )
    found: dict[Line, dict[str, Sample]] = {}
    for name, seconds, cpu, key, goal in rows:
        ours = Sample(objects / seconds, cpu / objects * 1e6)
        sides = {"ours": ours}
        if there:
            best = min(there, key=lambda said: said[f"{key}_s"])
            sides["peer"] = Sample(objects / best[f"{key}_s"], best[f"{key}_cpu_s"] / objects * 1e6)
        found[Line(INFORMER, name, Unit.OPERATIONS, goal)] = sides
    return found


def _queue(operations: int, seed: int) -> Found:
    found: dict[Line, dict[str, Sample]] = {}
    rates = json.loads(_python("benchmarks._queue_rates", str(operations)))
    rows = (
        ("queue", operations, "queue: add, get, done, a key at a time"),
        ("deep", operations, f"queue: the same, {operations:,} keys deep"),
        ("index", LOOKED_UP, f"store: look up one of 1,000 namespaces, read its {LOOKED_UP // 1_000} names"),
    )
    for what, objects, name in rows:
        said = _said("clientgo", f"-what={what}", f"-objects={objects}")
        peer = {"peer": Sample(said["objects"] / said["seconds"])} if said else {}
        found[Line(INFORMER, name, Unit.OPERATIONS, _times(1.0))] = {"ours": Sample(rates[what]), **peer}
    return found


def _python(module: str, *words: str) -> bytes:
    return subprocess.run([sys.executable, "-m", module, *words], stdout=subprocess.PIPE, check=True, cwd=TOP).stdout


def _said(program: str, *words: str, cores: int = 2) -> dict[str, Any] | None:
    """What a peer's run says; None where it has not been built."""
    if not (BIN / program).exists():
        return None
    environment = {**os.environ, "GOMAXPROCS": str(cores)}
    done = subprocess.run([BIN / program, *words], stdout=subprocess.PIPE, check=True, env=environment)
    said: dict[str, Any] = json.loads(done.stdout)
    return said
