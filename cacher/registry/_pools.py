"""Numbers that are given to one owner at a time, out of a range: cluster IPs, node ports. Pure.

    |── static ──|──────────── dynamic ────────────|
     by name only  drawn first; the static part when the rest is full

Source: kubernetes pkg/registry/core/service/allocator/bitmap.go, ipallocator/bitmap.go (calculateRangeOffset), portallocator/.
Differs: what is taken is known from the services that are there, not from objects of its own, so that one registry at a time gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

_STATIC_MIN = 16


def static_part(size: int, *, most: int, step: int) -> int:
    """How many of a range's first numbers are drawn last: one in `step`, at least 16, and at `most` so many."""
    return 0 if size <= _STATIC_MIN else min(max(_STATIC_MIN, size // step), most)


class Pool:
    """Which of the numbers 0…size-1 are taken.

    Args:
        draw: a number below the one given.
    """

    def __init__(self, size: int, *, static: int, draw: Callable[[int], int]) -> None:
        self.size = size
        self._static = static
        self._draw = draw
        self._taken: set[int] = set()

    def take(self, number: int) -> bool:
        """Takes that number; False: it is taken."""
        if number in self._taken:
            return False
        self._taken.add(number)
        return True

    def take_any(self) -> int | None:
        """Takes a number that is free; None: none is. Cost: O(size) where nearly all are taken."""
        for start, end in ((self._static, self.size), (0, self._static)):
            count = end - start
            first = self._draw(count) if count > 0 else 0
            for step in range(count):
                if self.take(number := start + (first + step) % count):
                    return number
        return None

    def free(self, numbers: Iterable[int]) -> None:
        """Gives numbers back. Those that are free stay so."""
        self._taken.difference_update(numbers)
