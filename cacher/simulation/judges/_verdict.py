"""What a judge says: how often it looked, how often the guarantee was broken, and the first breaches with their facts.

A guarantee is one sentence. It is written once, with its judge, and every violation quotes it. A verdict of 0 checks says
that the run gave no occasion to break the guarantee; it never counts as held.
"""

from __future__ import annotations

import msgspec

VIOLATIONS_KEPT = 20
"""Violations told in full; the rest are only counted. The first few tell the cause, the next thousand repeat it."""


class Violation(msgspec.Struct, frozen=True):
    """One breach of a guarantee."""

    where: str
    """The client that saw it, or the prefix of the cache that admitted it."""
    revision: int
    at_s: float
    """On the run's clock."""
    message: str
    """The guarantee's sentence, then the facts."""


class Verdict(msgspec.Struct, frozen=True):
    """What one judge found in one history."""

    name: str
    sentence: str
    checks: int
    """Occasions on which the guarantee could have been broken, and was looked at."""
    broken: int
    violations: tuple[Violation, ...]
    """The first `VIOLATIONS_KEPT` of the `broken` ones, in the order in which they were found: client by client, those of one
    selector after each other, then sample by sample."""

    @property
    def tested(self) -> bool:
        """Whether there was anything to look at: without checks, nothing broken means nothing."""
        return self.checks > 0

    @property
    def held(self) -> bool:
        """Whether the guarantee was tested and never broken."""
        return self.tested and self.broken == 0


class Tally:
    """A verdict in the making."""

    def __init__(self, name: str, sentence: str) -> None:
        self.name = name
        self.sentence = sentence
        self.checks = 0
        self.broken = 0
        self.violations: list[Violation] = []

    def checked(self, number: int) -> None:
        """`number` more occasions were looked at; those found broken are among them."""
        self.checks += number

    def broke(self, where: str, facts: str, *, revision: int, at_s: float) -> None:
        """One breach was found."""
        self.broken += 1
        if len(self.violations) < VIOLATIONS_KEPT:
            message = f"broke {self.name} - {self.sentence}: {facts}"
            self.violations.append(Violation(where, revision, at_s, message))

    def verdict(self) -> Verdict:
        """What was found so far."""
        return Verdict(self.name, self.sentence, self.checks, self.broken, tuple(self.violations))
