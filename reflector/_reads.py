"""What one reconcile has read and written so far. Pure.

A controller opens a `Reconciliation` around each call of its reconcile function, in the context of that task and of the tasks
that it starts. Listers and recording clients find it there and note what they hand out, so that nothing has to be passed
along. Outside of a reconcile nothing is noted; a look costs 20 ns.

Bounded: READS_MAX reads a reconcile and MEMBERS_MAX objects a list are kept one by one, and the rest is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol, final

import msgspec

from watch import Object

READS_MAX = 64
MEMBERS_MAX = 16


class Copy(Protocol):
    """What was read from: an informer."""

    @property
    def name(self) -> str:
        """Whose copy of what."""
        ...

    @property
    def staleness_s(self) -> float:
        """Seconds since its source was last heard."""
        ...


class Read(msgspec.Struct, frozen=True, gc=False):
    """Something that a reconcile was told."""

    at_s: float
    """When, on trio's clock."""
    verb: str
    """"get" or "list"; or the verb of a write, whose answer is read as well."""
    source: str
    """Whose: "server cluster/v1/pods", or "copy cluster/v1/pods"."""
    key: str
    """"namespace/name" of an object; what a list was asked for."""
    uid: str
    """Of an object; "" where there was none, and of a list."""
    revision: int
    """Of an object; of a list, or where there was no object, that of the copy. 0 where it is not known."""
    age_s: float | None
    """How old this may have been when it was read: since the source was last heard; 0 from the server; None: nobody knows."""
    found: int
    """Objects."""
    members: str = ""
    """Of a list: its first objects and their revisions."""


class Written(msgspec.Struct, frozen=True, gc=False):
    """A write that has succeeded: what the copies have yet to show."""

    source: str
    """The resource, as informers of it are called: "cluster/v1/pods"."""
    key: str
    uid: str
    revision: int
    """0: the answer named none."""
    is_deletion: bool


@final
class Reconciliation:
    """One call of a reconcile function.

    Args:
        now: the time, in seconds of trio's clock.
        copies: informers by the id of their store.
    """

    __slots__ = (
        "began_at_s",
        "controller",
        "copies",
        "key",
        "now",
        "number",
        "reads",
        "reads_left_out",
        "seen",
        "writes",
    )

    def __init__(
        self, controller: str, key: str, number: int, *, now: Callable[[], float], copies: Mapping[int, Copy]
    ) -> None:
        self.controller = controller
        self.key = key
        self.number = number
        """Of the controller's reconciles."""
        self.now = now
        self.began_at_s = now()
        self.copies = copies
        self.reads: list[Read] = []
        """Oldest first. It only grows: whoever keeps it keeps with it how long it was."""
        self.reads_left_out = 0
        self.seen: dict[tuple[int, str], Object | None] = {}
        self.writes: list[Written] = []

    def read_object(self, store: object, revision: int, key: str, obj: Object | None) -> None:
        """A copy was asked for an object, and had this. The same again is not noted. Cost: O(1)."""
        place = (id(store), key)
        if place in self.seen and self.seen[place] is obj:
            return
        self.seen[place] = obj
        if self._has_room():
            at_s, source, age_s = self._origin(store)
            uid, revision = (obj.uid, obj.revision) if obj is not None else ("", revision)
            self.reads.append(Read(at_s, "get", source, key, uid, revision, age_s, int(obj is not None)))

    def read_list(self, store: object, revision: int, asked: Callable[[], str], found: Sequence[Object]) -> None:
        """A copy was asked for objects, `asked()` in words, and had these. Cost: O(MEMBERS_MAX)."""
        if self._has_room():
            at_s, source, age_s = self._origin(store)
            members = ", ".join([f"{_name(obj)}@{obj.revision}" for obj in found[:MEMBERS_MAX]])
            if len(found) > MEMBERS_MAX:
                members += f" and {len(found) - MEMBERS_MAX} more"
            self.reads.append(Read(at_s, "list", source, asked(), "", revision, age_s, len(found), members))

    def read_answer(self, verb: str, source: str, key: str, uid: str, revision: int, *, found: bool) -> None:
        """A server was asked, and answered this. Cost: O(1)."""
        if self._has_room():
            self.reads.append(Read(self.now(), verb, f"server {source}", key, uid, revision, 0.0, int(found)))

    def _has_room(self) -> bool:
        if len(self.reads) < READS_MAX:
            return True
        self.reads_left_out += 1
        return False

    def _origin(self, store: object) -> tuple[float, str, float | None]:
        copy = self.copies.get(id(store))
        return (self.now(), "a copy", None) if copy is None else (self.now(), f"copy {copy.name}", copy.staleness_s)


def _name(obj: Object) -> str:
    return f"{obj.namespace}/{obj.name}" if obj.namespace else obj.name


RECONCILIATION: ContextVar[Reconciliation | None] = ContextVar("reconciliation", default=None)
"""The reconcile that the present task belongs to."""
