"""Fan-out beside the real Cacher: one resource's cache, fed in process, with watchers in several forms.

What runs here is Reflector, decode, WatchCache, ring, router and watches, behind a source that hands over the bytes of a store
as an etcd's watch would (`_fanout_run`). What runs there is `benchmarks/peers/cacher`: the Cacher of k8s.io/apiserver behind such
a source, which hands over decoded objects, or decodes them too. Both do the same: pods, updates alone, `burst` events at once and
never more than two bursts ahead of the watchers, a full history before the clock starts, watchers that loop over every event
and read its revision.

    form      here                                                      there
    task      a trio task for each watch, woken with batches            a goroutine for each watch
    set       a WatchSet for a hundred watches                          the same
    sink      a function for each watch, called by the publisher        the same
    channel   a trio memory channel for each watcher, no watch: what one would write without a library
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from ._pods import PODS_MIN, stored_pods

PEER = Path(__file__).parent / "peers" / "bin" / "cacher"
CURE = "make bench-peers"


class Fan(msgspec.Struct, frozen=True):
    """One piece of work: who watches what, and how it comes."""

    select: str
    """"all", or one value each of "node", "namespace", "label"."""
    watchers: int
    burst: int
    """0: as fast as it is taken."""
    events: int
    objects: int = PODS_MIN
    """Pods that are there, at least; one a watcher where each selects its own."""
    is_recorded: bool = False
    """Pods as a real cluster had them, 3.5 to 6 KB, and not those of 1 KB."""
    rate: int = 0
    """Events a second, one by one, however far behind the watchers are; 0: by bursts."""
    slow: int = 0
    """One watcher in so many takes a hundred times as long for an event as it takes to come."""

    @property
    def name(self) -> str:
        """In words."""
        how = f"bursts of {self.burst}" if self.burst else "flat out"
        how = f"{self.rate:,} events/s" if self.rate else "one event a burst" if self.burst == 1 else how
        size = ", recorded pods" if self.is_recorded else ""
        slow = f", one in {self.slow} slow" if self.slow else ""
        if not self.watchers:
            return f"no watcher{size}"
        return f"{self.watchers:,} watching {_WHAT[self.select]}, {how}{size}{slow}"


_WHAT = {
    "all": "all",
    "node": "a node each",
    "namespace": "a namespace each",
    "label": "a label each",
}


class Fanned(msgspec.Struct, frozen=True):
    """One run of a piece of work in one form."""

    form: str
    """"task", "set", "sink", "channel", or "peer"."""
    events_per_s: float
    deliveries_per_s: float
    cpu_us_per_event: float
    cpu_ns_per_delivery: float
    p50_s: float
    p99_s: float
    ended: int
    """Watchers that were lost on the way, without those that are slow."""
    longest_pass_s: float = 0.0
    """Of trio's loop: the longest time in which it asked for no input. All tasks that could run ran in it."""
    slow: int = 0
    """Watchers that were slow."""
    slow_expired: int = 0
    """Of these, those that lost an event to the ring at least once."""
    slow_equal: int = 0
    """Of these, those that had what the store has in the end, by listing again."""


def run_here(fan: Fan, form: str, *, seed: int = 0) -> Fanned:
    """One run of one form, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks._fanout_run", msgspec.json.encode(fan).decode(), form, str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=Path(__file__).parent.parent)
    return msgspec.json.decode(done.stdout, type=Fanned)


def run_peer(fan: Fan, *, decode: str = "", cores: tuple[int, ...] = (1, 2)) -> Fanned | None:
    """The better of one core and two: with two its deliveries run beside its dispatch, at the price of passing them over.

    None where it has not been built.
    """
    if not PEER.exists():
        return None
    return max((_peer_on(fan, decode, count) for count in cores), key=lambda one: one.events_per_s)


def _peer_on(fan: Fan, decode: str, cores: int) -> Fanned:
    # Which watchers want an event it finds out by asking each: 130 events a second with 10,000.
    events = max(fan.events // 20, 100) if fan.select == "label" and fan.watchers > 1_000 else fan.events
    words = [f"-select={fan.select}", f"-watchers={fan.watchers}", f"-burst={fan.burst}", f"-events={events}"]
    words += [f"-objects={fan.objects}", f"-rate={fan.rate}", f"-slow={fan.slow}", f"-decode={decode}"]
    with tempfile.NamedTemporaryFile("wb") as pods:
        if fan.is_recorded:
            pods.writelines(raw + b"\n" for _, raw in stored_pods(fan.objects, groups_of(fan), is_recorded=True))
            pods.flush()
            words.append(f"-pods={pods.name}")
        environment = {**os.environ, "GOMAXPROCS": str(cores)}
        done = subprocess.run([PEER, *words], stdout=subprocess.PIPE, check=True, text=True, env=environment)
    said = json.loads(done.stdout)
    seconds, deliveries = said["seconds"], said["deliveries"]
    return Fanned(
        "peer",
        events / seconds,
        deliveries / seconds,
        said["cpu_s"] / events * 1e6,
        said["cpu_s"] / deliveries * 1e9 if deliveries else 0.0,
        said["p50_s"],
        said["p99_s"],
        said["ended"],
        slow=fan.watchers // fan.slow if fan.slow else 0,
        slow_expired=said["ended_slow"],
    )


def groups_of(fan: Fan) -> int:
    """How many different nodes, namespaces and labels the pods have."""
    return max(fan.watchers, 1) if fan.select != "all" else 1
