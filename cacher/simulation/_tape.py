"""A tape: everything that a run depends on, as JSON. Drawn from a seed, made smaller by a shrinker, played by `play`. Pure."""

from __future__ import annotations

import msgspec

from ._faults import Fault
from ._operations import AnyOperation
from ._scale import Scale
from ._scenario import SETTLE_S, Topology

VERSION = 1


class TapeError(ValueError):
    """A tape that cannot be played: the text says what to correct."""


class Tape(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run before it is played. Change it with `msgspec.structs.replace`."""

    scenario: str
    variant: str
    seed: int
    schedule: int
    """Seeds the scheduler's dice: a number of its own, so that it can be made smaller by itself."""
    topology: Topology
    """As it was drawn: without pairs."""
    operations: tuple[AnyOperation, ...] | None = None
    """None: the workload is an async function, and its operations are numbered as it does them."""
    skipped: tuple[int, ...] = ()
    """Operations that are left out, by number from 0."""
    faults: tuple[Fault, ...] = ()
    scale: Scale | None = None
    """As it was drawn: without pairs."""
    settle_s: float = SETTLE_S
    digest: str = ""
    """What the run came to when the tape was kept; "" where nobody knows."""
    broken: tuple[str, ...] = ()
    """Guarantees that were broken then."""
    place: str = ""
    """Where the scenario is, as `load_scenario` takes it; "": it is found by its name."""
    version: int = VERSION

    def to_json(self) -> str:
        """The tape as text."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Tape:
        """The tape that `to_json` wrote.

        Raises:
            TapeError: it is none, or of a newer version.
        """
        try:
            tape = msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise TapeError(f"this is no tape: {error}") from error
        if tape.version != VERSION:
            raise TapeError(f"this tape is of version {tape.version}, and {VERSION} is played here: record it anew")
        return tape
