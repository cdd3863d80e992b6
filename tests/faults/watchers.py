"""Watchers of a failing etcd, straight on its client: each notes what it was given, and how it went on after an end.

Their notes are held against the store's history by `faults_of_notes`: each stretch between two lists must be that history,
event for event, a revision never split. For readers of a cache the judges of the simulation do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import trio

from cacher.storage.etcd import CompactedError, Etcd, EtcdEvent, EventKind, KeyValue, WatchResponse, prefix_end
from tests.faults.writers import PREFIX
from tests.linearizable import Change

END = prefix_end(PREFIX.encode())


class Stretch(msgspec.Struct):
    """What was given between two lists: everything after `base`, it should be."""

    base: int
    responses: list[WatchResponse] = []
    listed: tuple[KeyValue, ...] | None = None
    """What a list at `base` showed, where it began with one."""


class Watcher:
    """Watches all that the writers write, from `base` on, through whatever happens."""

    def __init__(self, etcd: Etcd, *, name: str, base: int) -> None:
        self.name = name
        self.stretches = [Stretch(base)]
        self.reopened = 0
        """How often the watch had to be opened again: what the client itself got over is not counted."""
        self._etcd = etcd
        self._reached = trio.Event()

    @property
    def revision(self) -> int:
        """Everything up to here was given."""
        last = self.stretches[-1]
        return last.responses[-1].revision if last.responses else last.base

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._watch()
            except (trio.BrokenResourceError, trio.EndOfChannel):
                self.reopened += 1
                await trio.sleep(0.05)
            except CompactedError:
                found = await self._etcd.range(PREFIX, END)
                self.stretches.append(Stretch(found.revision, [], found.kvs))
                self._tell()

    async def _watch(self) -> None:
        async with self._etcd.watch(PREFIX, END, start_revision=self.revision + 1, prev_kv=True) as watch:
            while True:
                self.stretches[-1].responses.append(await watch.receive())
                self._tell()

    async def reach(self, revision: int) -> None:
        """Return when everything up to `revision` was given. The caller sees to it that an event is."""
        while self.revision < revision:
            await self._reached.wait()

    def _tell(self) -> None:
        self._reached.set()
        self._reached = trio.Event()


async def read_history(etcd: Etcd, after: int, until: int) -> list[EtcdEvent]:
    """Every event after one revision up to another, both included in what must not be compacted; `until` has an event."""
    found: list[EtcdEvent] = []
    if until > after:
        async with etcd.watch(PREFIX, END, start_revision=after + 1, prev_kv=True) as watch:
            while not found or found[-1].kv.mod_revision < until:
                found += (await watch.receive()).events
    return [event for event in found if event.kv.mod_revision <= until]


def changes_of(history: Sequence[EtcdEvent]) -> list[Change]:
    """The same in the words of the linearizability check."""
    return [
        Change(event.kv.mod_revision, event.kv.key, event.kv.value if event.kind is EventKind.PUT else None)
        for event in history
    ]


def faults_of_notes(watcher: Watcher, history: Sequence[EtcdEvent]) -> Iterator[str]:
    """What is wrong with what a watcher was given: lost, doubled, reordered, invented or split; stale in a list."""
    for stretch in watcher.stretches:
        given = [event for response in stretch.responses for event in response.events]
        until = stretch.responses[-1].revision if stretch.responses else stretch.base
        wanted = [event for event in history if stretch.base < event.kv.mod_revision <= until]
        if _bare(given) != _bare(wanted):
            yield f"{watcher.name}, from {stretch.base} to {until}: {_difference(_bare(given), _bare(wanted))}"
        yield from _wrong_previous(watcher.name, given, wanted)
        yield from _wrong_responses(watcher.name, stretch)
        if stretch.listed is not None and list(stretch.listed) != _state(history, stretch.base):
            yield f"{watcher.name}: its list at {stretch.base} is not what the history leaves there"


def _bare(events: Sequence[EtcdEvent]) -> list[tuple[int, bytes, EventKind, KeyValue]]:
    return [(event.kv.mod_revision, event.kv.key, event.kind, event.kv) for event in events]


def _difference(given: list, wanted: list) -> str:
    at = next((n for n, (one, other) in enumerate(zip(given, wanted, strict=False)) if one != other), None)
    if at is None:
        at = min(len(given), len(wanted))
    missing = [row[:2] for row in wanted if row not in given]
    extra = [row[:2] for row in given if row not in wanted]
    return (
        f"{len(given)} events given and {len(wanted)} due, apart from number {at} on; missing {missing[:5]} of "
        f"{len(missing)}, uncalled for {extra[:5]} of {len(extra)}"
    )


def _wrong_previous(name: str, given: Sequence[EtcdEvent], wanted: Sequence[EtcdEvent]) -> Iterator[str]:
    """A previous version is the right one, or none where compaction may have taken it."""
    right = {(event.kv.mod_revision, event.kv.key): event.prev_kv for event in wanted}
    for event in given:
        if event.prev_kv is not None and event.prev_kv != right.get((event.kv.mod_revision, event.kv.key)):
            yield f"{name}: {event.kv.key!r} at {event.kv.mod_revision} came with {event.prev_kv} as what was before"


def _wrong_responses(name: str, stretch: Stretch) -> Iterator[str]:
    """Revisions are whole, and never fall."""
    reached = stretch.base
    for response in stretch.responses:
        revisions = [event.kv.mod_revision for event in response.events]
        if revisions and min(revisions) <= reached:
            yield f"{name}: revision {min(revisions)} came after all up to {reached} had"
        if response.revision < reached or (revisions and response.revision < max(revisions)):
            yield f"{name}: a response claims {response.revision} after {reached}, with events of {revisions}"
        reached = max(reached, response.revision)


def _state(history: Sequence[EtcdEvent], revision: int) -> list[KeyValue]:
    state: dict[bytes, KeyValue] = {}
    for event in history:
        if event.kv.mod_revision <= revision:
            if event.kind is EventKind.PUT:
                state[event.kv.key] = event.kv
            else:
                state.pop(event.kv.key, None)
    return [state[key] for key in sorted(state)]
