"""How much of everything a world has: clients, objects, writes a second, and for how long. Drawn, and made smaller. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from random import Random

FIGURES = ("clients", "objects", "writes_per_s", "duration_s")
"""Of a Scale, in the order in which they are made smaller: clients cost most."""
_STEPS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000)


class Scale(msgspec.Struct, frozen=True, omit_defaults=True):
    """The size of a scenario that is about size. With a pair of numbers, each seed draws its own.

    What a figure is of, each scenario says; `clients` are those of all processes together.
    """

    clients: int | tuple[int, int] = 100
    objects: int | tuple[int, int] = 20
    writes_per_s: float | tuple[float, float] = 5.0
    duration_s: float | tuple[float, float] = 60.0

    @property
    def client_count(self) -> int:
        """Clients, of a scale that has been drawn."""
        assert isinstance(self.clients, int), "a world's scale has been drawn"
        return self.clients

    @property
    def object_count(self) -> int:
        """Objects, of a scale that has been drawn."""
        assert isinstance(self.objects, int), "a world's scale has been drawn"
        return self.objects

    @property
    def write_count(self) -> int:
        """Writes from the beginning to the end, of a scale that has been drawn."""
        return int(self.write_period_s and self.seconds / self.write_period_s)

    @property
    def write_period_s(self) -> float:
        """Seconds from one write to the next, of a scale that has been drawn; 0 where nobody writes."""
        assert isinstance(self.writes_per_s, float | int), "a world's scale has been drawn"
        return 1 / self.writes_per_s if self.writes_per_s else 0.0

    @property
    def seconds(self) -> float:
        """How long it is written for, of a scale that has been drawn."""
        assert isinstance(self.duration_s, float | int), "a world's scale has been drawn"
        return float(self.duration_s)


def draw_scale(scale: Scale, random: Random) -> Scale:
    """`scale` with one number for each pair."""
    drawn: dict[str, int | float] = {}
    for name in ("clients", "objects"):
        value = getattr(scale, name)
        drawn[name] = random.randint(*value) if isinstance(value, tuple) else value
    for name in ("writes_per_s", "duration_s"):
        value = getattr(scale, name)
        drawn[name] = round(random.uniform(*value), 1) if isinstance(value, tuple) else value
    return msgspec.structs.replace(scale, **drawn)


def smaller_scales(scale: Scale, figure: str) -> Iterator[Scale]:
    """A drawn scale with a smaller `figure`, the smallest first."""
    now = getattr(scale, figure)
    return (msgspec.structs.replace(scale, **{figure: one}) for one in _STEPS if one < now)
