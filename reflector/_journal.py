"""Journal: the last writes of this process's controllers, each with what had been read before it. Pure.

    >>> journal = Journal(writes_max=1000)
    >>> journal.last("pods", "shop/web-1") is None      # or a Write, whose why() says what came of what
    True

A controller acts on a copy, which may be old, and on answers, which may have been overtaken. Why it did what it did is
therefore in no object: it is in what it had been told, by whom, and how old that was. The journal keeps this.
"""

from __future__ import annotations

from collections import deque
from typing import final

import msgspec

from ._reads import Read
from ._time_of_day import TimeOfDay, micro_time

WRITES_MAX = 1000
"""1 to 2 MB as controllers usually read; 15 MB at most."""
PATCH_SHOWN_MAX = 240
"""Bytes of a patch that are kept."""


class Write(msgspec.Struct, frozen=True):
    """A write that a controller made, or tried to make."""

    at_s: float
    """When it was sent, on trio's clock."""
    time: str
    """The time of day then, where the journal has a clock."""
    controller: str
    """"" where no reconcile made it."""
    reconcile_key: str
    reconcile: int
    """Which of the controller's reconciles it was."""
    began_at_s: float
    """When that began."""
    verb: str
    """create, update, patch or delete."""
    source: str
    """Where: "cluster/apps/v1/deployments", "cluster/v1/pods/status"."""
    key: str
    """Which object: "namespace/name"."""
    uid: str
    """As the answer has it; of a deletion, as it was demanded; "" where neither says."""
    revision: int
    """That the write made; 0 where the answer does not say."""
    demanded_uid: str
    """Only this one was to be written; "": whichever has the name."""
    demanded_revision: str
    """Only in this version; "": whatever it is by now."""
    failure: str
    """"" where it succeeded."""
    patch: str
    """The beginning of a patch."""
    known: list[Read]
    """What the reconcile reads; `reads` are those of them before this write."""
    known_count: int
    left_out: int
    """Reads before it that were only counted."""

    @property
    def reads(self) -> tuple[Read, ...]:
        """What the reconcile had read before, oldest first. Cost: O(reads)."""
        return tuple(self.known[: self.known_count])

    def why(self) -> str:
        """What was written, and what had been read before it, as lines for people."""
        return "\n".join([*self._what(), *self._because()])

    def _what(self) -> list[str]:
        when = self.time or f"{self.at_s:.3f} s"
        who = (
            "no reconcile"
            if not self.controller
            else f"{self.controller} ({self.reconcile_key}, its reconcile {self.reconcile})"
        )
        demanded = [f"only uid {self.demanded_uid}"] * bool(self.demanded_uid)
        demanded += [f"only at revision {self.demanded_revision}"] * bool(self.demanded_revision)
        outcome = (
            f"failed: {self.failure}" if self.failure else f"made revision {self.revision}" if self.revision else "done"
        )
        lines = [f"{when}  {self.verb} {self.source} {self.key}: {outcome}", f"  by {who}"]
        if self.verb != "create":
            lines.append(f"  demanded: {', '.join(demanded) or 'nothing of what it writes to'}")
        if self.patch:
            lines.append(f"  patch: {self.patch}")
        return lines

    def _because(self) -> list[str]:
        lines = [f"  {self._told(read)}" for read in self.reads]
        if self.left_out:
            lines.append(f"  and {self.left_out} more")
        return [
            "  having read before it:" if lines else "  having read nothing before it",
            *[f"  {line}" for line in lines],
        ]

    def _told(self, read: Read) -> str:
        since_s = self.at_s - read.at_s
        ago = f"read {since_s:.3f} s before"
        age = "of unknown age" if read.age_s is None else f"{read.age_s + since_s:.3f} s old at most"
        return f"{read.verb:<6} {read.source} {read.key}: {_content(read)}; {ago}, {age}"


def _content(read: Read) -> str:
    if read.verb == "list":
        return f"{read.found} at revision {read.revision}" + (f" ({read.members})" if read.members else "")
    if not read.found:
        return "not there" + (f" at revision {read.revision}" if read.revision else "")
    return f"uid {read.uid}, revision {read.revision}"


@final
class Journal:
    """The last writes, oldest first. At its limit the oldest is dropped, and counted.

    Args:
        writes_max: how many are kept.
        clock: for the times of day that people read.
    """

    def __init__(self, *, writes_max: int = WRITES_MAX, clock: TimeOfDay | None = None) -> None:
        if writes_max < 1:
            raise ValueError(f"writes_max is {writes_max}: choose 1 or more")
        self._writes: deque[Write] = deque(maxlen=writes_max)
        self._clock = clock
        self._added = 0

    def add(self, write: Write) -> None:
        """Keep one more."""
        self._added += 1
        self._writes.append(write)

    def time_of_day(self) -> str:
        """Now, for people; "" without a clock."""
        return micro_time(self._clock.unix()) if self._clock is not None else ""

    def writes(self, *, controller: str = "", plural: str = "", key: str = "") -> tuple[Write, ...]:
        """Those that are kept, oldest first: of a controller, of a resource ("pods", with or without its version), of an object.

        Cost: O(writes kept).
        """
        return tuple(
            [
                write
                for write in self._writes
                if controller in ("", write.controller)
                and key in ("", write.key)
                and (not plural or f"/{plural}/" in f"/{write.source}/")
            ]
        )

    def last(self, plural: str, key: str) -> Write | None:
        """The newest write to that object; None where none is kept. Cost: O(writes kept)."""
        found = self.writes(plural=plural, key=key)
        return found[-1] if found else None

    @property
    def dropped(self) -> int:
        """Writes that are no longer kept."""
        return self._added - len(self._writes)

    def __len__(self) -> int:
        return len(self._writes)

    def __str__(self) -> str:
        """All of it, for people."""
        return "\n".join([write.why() for write in self._writes])
