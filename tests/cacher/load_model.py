"""What is true of a storage under load: every write, in a few bytes each, and what a list or a watch must show of it.

A body is a serial number; everything else that a pod says follows from it, so that the whole truth of a million writes fits
into arrays. It shares no idea with what it judges: a state is looked up key by key, a history walked through write by write.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from typing import NamedTuple

import msgspec
import trio.lowlevel

from cacher.storage import ListOptions
from watch import Event, EventType, Object, Selector

NAMESPACES, NAMES, APPS, NODES = 10, 40, 5, 20
KEYS = sorted(f"/pods/ns{space}/pod{name:02}" for space in range(NAMESPACES) for name in range(NAMES))
ROOT = "/registry"
GONE = 0
"""The serial of what is not there."""


def app_of(serial: int) -> str:
    return f"a{serial % APPS}"


def node_of(serial: int) -> str:
    return f"n{serial // APPS % NODES}"


def value_of(key: str, serial: int) -> bytes:
    """As it is stored: members in order, nothing else."""
    _, _, namespace, name = key.split("/")
    labels = {"app": app_of(serial), "serial": str(serial)}
    metadata = {"labels": labels, "name": name, "namespace": namespace}
    return msgspec.json.encode({"metadata": metadata, "spec": {"nodeName": node_of(serial)}}, order="deterministic")


class Choice(NamedTuple):
    """What a reader asks about. None: any."""

    key: str = "/pods/"
    app: str | None = None
    node: str | None = None

    def takes(self, key: str, serial: int) -> bool:
        is_there = serial != GONE and (key.startswith(self.key) if self.key.endswith("/") else key == self.key)
        return is_there and self.app in (None, app_of(serial)) and self.node in (None, node_of(serial))

    def options(self, **others: object) -> ListOptions:
        labels = f"app={self.app}" if self.app is not None else None
        fields = f"spec.nodeName={self.node}" if self.node is not None else None
        selector = Selector.of(labels=labels, fields=fields)
        return ListOptions(recursive=self.key.endswith("/"), selector=selector, **others)  # type: ignore[arg-type]


class Told:
    """Which writes concern a choice, by their place in the log, as far as it was walked through."""

    def __init__(self) -> None:
        self.walked = 0
        self.places = array("I")


class LoadModel:
    """All writes after `revision`, one a revision. Those acknowledged out of order wait for the ones before them."""

    def __init__(self, revision: int) -> None:
        self.first = revision + 1
        self.revision = revision
        """Everything up to here is known."""
        self._early: dict[int, tuple[int, int]] = {}
        self._keys, self._serials, self._previous = array("H"), array("I"), array("I")  # by revision - first
        self._revisions = [array("I") for _ in KEYS]
        self._bodies = [array("I") for _ in KEYS]
        self._told: dict[Choice, Told] = {}

    def wrote(self, revision: int, key: int, serial: int) -> None:
        is_new = revision > self.revision and revision not in self._early
        assert is_new, f"two writes claim revision {revision}"
        self._early[revision] = (key, serial)
        while (next_one := self._early.pop(self.revision + 1, None)) is not None:
            self.revision += 1
            at, body = next_one
            bodies = self._bodies[at]
            self._keys.append(at)
            self._previous.append(bodies[-1] if bodies else GONE)
            self._serials.append(body)
            self._revisions[at].append(self.revision)
            bodies.append(body)

    async def reached(self, revision: int) -> None:
        """Return once everything up to `revision` is known: its writers are about to hear of it."""
        while self.revision < revision:
            await trio.lowlevel.checkpoint()

    def at(self, key: int, revision: int) -> tuple[int, int]:
        """The serial under a key as it was, and the revision that wrote it."""
        place = bisect_right(self._revisions[key], revision) - 1
        return (GONE, 0) if place < 0 else (self._bodies[key][place], self._revisions[key][place])

    def listed(self, choice: Choice, revision: int) -> list[tuple[str, int, int]]:
        """Key, serial and revision of each object, in key order."""
        found = [(key, *self.at(number, revision)) for number, key in enumerate(KEYS)]
        return [row for row in found if choice.takes(row[0], row[1])]

    def place(self, choice: Choice, revision: int) -> int:
        """Where in its history a choice is after `revision`."""
        told = self._walked(choice)
        return bisect_right(told.places, revision - self.first)

    def event(self, choice: Choice, place: int) -> tuple[str, str, int, int] | None:
        """Type, key, revision and serial of what comes at a place of its history; None: nothing has come there yet."""
        told = self._walked(choice)
        if place >= len(told.places):
            return None
        at = told.places[place]
        key, serial, previous = KEYS[self._keys[at]], self._serials[at], self._previous[at]
        if not choice.takes(key, serial):
            return EventType.DELETED.value, key, self.first + at, previous
        kind = EventType.MODIFIED if choice.takes(key, previous) else EventType.ADDED
        return kind.value, key, self.first + at, serial

    def _walked(self, choice: Choice) -> Told:
        told = self._told.get(choice)
        if told is None:
            told = self._told[choice] = Told()
        for at in range(told.walked, len(self._keys)):
            key = KEYS[self._keys[at]]
            if choice.takes(key, self._serials[at]) or choice.takes(key, self._previous[at]):
                told.places.append(at)
        told.walked = len(self._keys)
        return told


def shown(obj: Object) -> tuple[str, int, int]:
    """Key, serial and revision, and every byte of it checked."""
    key, serial = obj.key.removeprefix(ROOT), int(obj.labels["serial"])
    assert obj.raw == value_of(key, serial)
    return key, serial, obj.revision


def shown_event(event: Event) -> tuple[str, str, int, int]:
    key, serial, revision = shown(event.object)
    assert revision == event.revision
    return event.type.value, key, revision, serial
