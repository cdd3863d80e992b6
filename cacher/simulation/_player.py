"""Plays a recorded trace into an etcd by public operations alone, and stops where the result is not the recorded one.

One transaction a revision: puts and deletions as recorded, a lease revoked where one revision took all of a lease's
keys, and one put outside the recorded prefix for each revision that the recording saw only from outside. Leases are
granted under their recorded ids, for longer than the trace lasts, so that nothing expires by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import trio

from cacher.storage.etcd import DeleteRange, Etcd, EtcdError, EventKind, KeyValue, Put, prefix_end

from ._landing import grant
from ._trace import Step, Trace, TraceEvent, resource_prefix

# A lease must outlive the trace also on a machine that falls behind its pace; an hour is far more than a trace lasts.
_LEASE_MARGIN_S = 3600

_OUTSIDE_VALUE = b"written outside the recorded prefix"

Observer = Callable[[Step], None]


class ReplayMismatch(Exception):
    """The store did something else than the recorded one: one of them is wrong. `line` is that of the recorded write."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        self.path = path
        self.line = line
        super().__init__(
            f"{path}:{line}: {problem}: nothing else may write to the store of a replay; if nothing did, this is a bug of"
            " the store: report it"
        )


class Timetable(msgspec.Struct, frozen=True):
    """When on the trio clock what was recorded at `t` seconds is to happen."""

    start_s: float
    """The trio time of t = 0."""
    speed: float = 1.0
    """Recorded seconds a trio second; positive. 1 under the virtual clock, where time is free."""

    def at(self, t: float) -> float:
        """The trio time of `t` recorded seconds."""
        return self.start_s + t / self.speed

    async def wait(self, t: float) -> None:
        """Return at `t`, at once where it has passed. Always a checkpoint."""
        await trio.sleep_until(self.at(t))


class Played(msgspec.Struct):
    """What a Player has done so far; final when its `finished` is set."""

    revision: int
    """The store's revision."""
    t: float = 0.0
    revisions: int = 0
    events: int = 0
    outside_puts: int = 0
    leases_granted: int = 0
    leases_revoked: int = 0
    keys_checked: int = 0
    """Keys compared with the recorded end state, by all their parts."""


def lease_ttl_s(trace: Trace, speed: float) -> int:
    """How long a lease of `trace` is granted for, so that none runs out by itself."""
    return math.ceil(trace.duration_s / speed) + _LEASE_MARGIN_S


class Player:
    """Writes one trace into one store that was opened from its snapshot.

    Args:
        before_step: called right before each write is handed to the store, to stamp when it was published.
        after_step: called once the write was acknowledged with the recorded revision.
        granted: the leases of the snapshot, where they have been granted.
    """

    def __init__(
        self,
        trace: Trace,
        etcd: Etcd,
        timetable: Timetable,
        *,
        before_step: Observer | None = None,
        after_step: Observer | None = None,
        granted: Iterable[int] = (),
    ) -> None:
        self.trace = trace
        self.played = Played(trace.start_revision)
        self.finished = trio.Event()
        """Set when the last revision is written and the store's end state has proved equal to the trace's."""
        self._etcd = etcd
        self._timetable = timetable
        self._before_step = before_step
        self._after_step = after_step
        self._leases = _LeaseBook(trace)
        self._leases.granted(*granted)

    async def run(self) -> Played:
        """Play the trace to its end, once.

        Raises:
            ReplayMismatch: a revision, or a key at the end, is not as recorded.
        """
        await self._check_start()
        for lease in self._leases.missing_of_snapshot():
            await self._grant(lease)
        for step in self.trace.revisions():
            await self._timetable.wait(step.t)
            await self._play(step)
        await self._check_end()
        self.finished.set()
        return self.played

    async def _play(self, step: Step) -> None:
        for lease in self._leases.missing_in(step):
            await self._grant(lease)
        if self._before_step is not None:
            self._before_step(step)
        try:
            revision = await self._write(step)
        except EtcdError as error:
            raise self._mismatch(step, f"the store refused what the recorded one did ({error})") from error
        if revision != step.revision:
            raise self._mismatch(step, f"the store made revision {revision}, recorded is {step.revision}")
        self._leases.take(step)
        played = self.played
        played.revision, played.t = revision, step.t
        played.revisions += 1
        played.events += len(step.events)
        if self._after_step is not None:
            self._after_step(step)

    async def _write(self, step: Step) -> int:
        """The revision that the store gave to this step."""
        if step.outside:
            self.played.outside_puts += 1
            puts = [Put(key.encode(), _OUTSIDE_VALUE) for key in step.outside]
            return (await self._etcd.txn(success=puts)).revision
        lease = self._leases.ended_by(step)
        if lease:
            self.played.leases_revoked += 1
            return (await self._etcd.lease_revoke(lease)).revision
        return (await self._etcd.txn(success=[_operation(event) for event in step.events])).revision

    async def _grant(self, lease: int) -> None:
        await grant(self._etcd, lease, lease_ttl_s(self.trace, self._timetable.speed))
        self._leases.granted(lease)
        self.played.leases_granted += 1

    async def _check_start(self) -> None:
        found = await self._etcd.range(
            self.trace.key_prefix, prefix_end(self.trace.key_prefix.encode()), count_only=True
        )
        expected = (self.trace.start_revision, len(self.trace.snapshot.kvs))
        if (found.revision, found.count) != expected:
            raise ReplayMismatch(
                self.trace.start_path,
                1,
                f"the store is at revision {found.revision} with {found.count} keys, the snapshot at {expected[0]} with"
                f" {expected[1]}",
            )

    async def _check_end(self) -> None:
        """Each resource by one range: every key with its create and mod revision, version, lease, value, and no other."""
        for prefix, expected in end_state(self.trace).items():
            found = await self._etcd.range(prefix, prefix_end(prefix.encode()))
            self._check_same(expected, found.kvs)
            self.played.keys_checked += len(expected)

    def _check_same(self, expected: dict[bytes, _Place], found: Iterable[KeyValue]) -> None:
        missing = dict(expected)
        for kv in found:
            place = missing.pop(kv.key, None)
            if place is None:
                raise ReplayMismatch(
                    self.trace.events_path, 0, f"at the end the store holds {kv.key.decode()}, recorded is not"
                )
            if kv != place.kv:
                raise ReplayMismatch(place.path, place.line, _difference(place.kv, kv))
        for key, place in missing.items():
            raise ReplayMismatch(place.path, place.line, f"at the end the store lacks {key.decode()}")

    def _mismatch(self, step: Step, problem: str) -> ReplayMismatch:
        if step.events:
            return ReplayMismatch(self.trace.events_path, step.events[0].line, problem)
        return ReplayMismatch(self.trace.meta_path, 1, problem)


def _operation(event: TraceEvent) -> Put | DeleteRange:
    if event.kind is EventKind.PUT:
        return Put(event.key.encode(), event.value, lease=event.lease)
    return DeleteRange(event.key.encode())


class _LeaseBook:
    """Which keys hang on which lease, as the trace tells it: what to grant, and which deletions were a lease's end.

    A revision that deletes all keys of one lease, and nothing else, is that lease's end, unless the lease is used again
    later: then its keys were deleted one by one.
    """

    def __init__(self, trace: Trace) -> None:
        self._lease_of: dict[str, int] = {}
        self._keys_of: dict[int, dict[str, None]] = {}
        self._granted: dict[int, None] = {}
        self._last_use = {event.lease: event.revision for event in trace.events if event.lease}
        for kv in trace.snapshot.kvs:
            self._attach(kv.key.decode(), kv.lease)

    def missing_of_snapshot(self) -> list[int]:
        """The leases that keys hang on before the first step and that have yet to be granted."""
        return sorted(self._keys_of.keys() - self._granted.keys())

    def granted(self, *leases: int) -> None:
        self._granted.update(dict.fromkeys(leases))

    def missing_in(self, step: Step) -> list[int]:
        """The leases that `step` puts keys on and that have yet to be granted, in order of use."""
        return list(dict.fromkeys(e.lease for e in step.events if e.lease and e.lease not in self._granted))

    def ended_by(self, step: Step) -> int:
        """The lease whose end this step was; 0: none."""
        lease = self._lease_of.get(step.events[0].key, 0)
        if not lease or self._last_use.get(lease, 0) > step.revision:
            return 0
        deleted = {event.key for event in step.events if event.kind is EventKind.DELETE}
        is_its_end = len(deleted) == len(step.events) and deleted == self._keys_of[lease].keys()
        return lease if is_its_end else 0

    def take(self, step: Step) -> None:
        """Follow a step that has been played."""
        for event in step.events:
            self._attach(event.key, event.lease)

    def _attach(self, key: str, lease: int) -> None:
        """Hang `key` on `lease` (0: on none) and on no other, as each put and deletion does."""
        before = self._lease_of.pop(key, 0)
        if before:
            del self._keys_of[before][key]
        if lease:
            self._lease_of[key] = lease
            self._keys_of.setdefault(lease, {})[key] = None


class _Place(msgspec.Struct, frozen=True):
    """What a key holds at the end of the trace, and where that is written."""

    kv: KeyValue
    path: Path
    line: int


def end_state(trace: Trace) -> dict[str, dict[bytes, _Place]]:
    """What the store must hold after the trace: resource prefix → key → its last version. Cost: O(number of events)."""
    state: dict[str, dict[bytes, _Place]] = {prefix: {} for prefix in trace.prefixes()}
    for index, kv in enumerate(trace.snapshot.kvs):
        place = _Place(kv, trace.start_path, index + 2)
        state[resource_prefix(kv.key.decode(), trace.key_prefix)][kv.key] = place
    for event in trace.events:
        keys, key = state[resource_prefix(event.key, trace.key_prefix)], event.key.encode()
        if event.kind is EventKind.DELETE:
            keys.pop(key, None)
        else:
            kv = KeyValue(key, event.value, event.create, event.revision, event.version, event.lease)
            keys[key] = _Place(kv, trace.events_path, event.line)
    return state


def _difference(expected: KeyValue, found: KeyValue) -> str:
    """The first part in which two versions of a key differ, in words."""
    for part in ("mod_revision", "create_revision", "version", "lease"):
        if getattr(expected, part) != getattr(found, part):
            was, now = getattr(expected, part), getattr(found, part)
            return f"{expected.key.decode()} ends with {part} {now}, recorded is {was}"
    return f"{expected.key.decode()} ends with another value than recorded"
