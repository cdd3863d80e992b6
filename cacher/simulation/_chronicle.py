"""The chronicle: one line for each thing that happens in a world, in order; their digest is the run's.

Two runs of one tape have the same lines, so where they differ, the first line that does says what was not repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import trio

_DIGEST_BYTES = 16


class Chronicle:
    """Lines as they are told. Cost: about 1 µs a line, and its bytes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.listener: Callable[[], None] | None = None
        """Called after each line; it may look, and change nothing."""

    def tell(self, who: str, what: str) -> None:
        """`who` did or saw `what`, now."""
        self.lines.append(f"{trio.current_time():.6f} {who} {what}")
        if self.listener is not None:
            self.listener()

    def digest(self) -> str:
        """Equal exactly when all lines are, as hex."""
        return blake2b("\n".join(self.lines).encode(), digest_size=_DIGEST_BYTES).hexdigest()
