"""What one handler has yet to be told: in order and one by one up to a limit, and merged by object beyond it. Pure.

    put ─► batches  [ADDED a, UPDATED b] [DELETED c] …     shared with the other handlers, until there are `size` changes
       └─► overflow {a: UPDATED, d: DELETED + ADDED}       what comes while there are more, one entry an object

While the handler keeps up it is told each change, in the order in which they were made. When it is `size` changes behind, what
comes is merged with what it has not yet been told of the same object: two updates are one from the first old to the last new, an
object that came and went is nothing, and a deletion is always told, before whatever has the name since. So nothing that would
change what the handler knows in the end is lost, and memory is bounded: by `size`, and by the objects that there are or that the
handler still takes for there. What is merged is told in the order in which its objects first changed.

Source: client-go tools/cache/shared_informer.go, processorListener.
Differs: there the queue of a slow handler grows without bound, by every event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import final

import msgspec

from ._store import StoreChange, StoreChangeKind


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Changes of one step, as they are told to a handler."""

    changes: Sequence[StoreChange]
    revision: int
    """The store shows this once the batch has been applied."""
    at_s: float
    """When that was."""
    is_initial: bool = False
    """Whether these are the objects that were there at first; the handler is synced once it has been told them."""


@final
class HandlerQueue:
    """Batches in order; beyond `size` changes, merged. `put` and `take` are O(1), and O(changes) while there is an overflow."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"queue_size is {size}: choose at least 1 change")
        self._size = size
        self._batches: deque[Batch] = deque()
        self._queued = 0
        self._overflow: dict[str, tuple[StoreChange, ...]] = {}
        self._overflow_at_s = 0.0
        self._overflow_revision = 0
        self.peak = 0
        """The longest that it has been."""
        self.merged = 0
        """Changes that were not told on their own."""

    def __len__(self) -> int:
        return self._queued + sum(map(len, self._overflow.values())) if self._overflow else self._queued

    def put(self, batch: Batch) -> None:
        """`batch` is to be told after all before it. The objects of the beginning are never merged, but counted."""
        if not batch.changes and not batch.is_initial:
            return
        if batch.is_initial or (not self._overflow and self._queued < self._size):
            self._batches.append(batch)
            self._queued += len(batch.changes)
            self.peak = max(self.peak, self._queued)
            return
        if not self._overflow:
            self._overflow_at_s = batch.at_s
        self._overflow_revision = batch.revision
        for change in batch.changes:
            self._merge(change)
        self.peak = max(self.peak, len(self))

    def take(self) -> Batch | None:
        """The next to be told, None where there is none. What was merged comes as one batch, after all before it."""
        if self._batches:
            batch = self._batches.popleft()
            self._queued -= len(batch.changes)
            return batch
        if not self._overflow:
            return None
        merged = [change for changes in self._overflow.values() for change in changes]
        self._overflow = {}
        return Batch(merged, self._overflow_revision, self._overflow_at_s)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest change that waits here was made; None where none does."""
        if self._batches:
            return self._batches[0].at_s
        return self._overflow_at_s if self._overflow else None

    def pending_keys(self) -> set[str]:
        """The objects of which there is something to tell. Cost: O(changes)."""
        return {change.key for batch in self._batches for change in batch.changes} | self._overflow.keys()

    def _merge(self, change: StoreChange) -> None:
        former = self._overflow.get(change.key, ())
        after = _merged(former, change)
        self.merged += len(former) + 1 - len(after)
        if after:
            self._overflow[change.key] = after
        else:
            del self._overflow[change.key]


def _merged(former: tuple[StoreChange, ...], change: StoreChange) -> tuple[StoreChange, ...]:
    """What is to be told instead of `former` and then `change`: nothing, one change, or a deletion and an addition."""
    if not former:
        return (change,)
    *before, last = former
    added, updated = StoreChangeKind.ADDED, StoreChangeKind.UPDATED
    if change.kind is added:
        return (*former, change)  # only a deletion can come before an addition
    if change.kind is updated:
        return (*before, StoreChange(last.kind, change.key, last.old, change.new))
    return tuple(before) if last.kind is added else (*before, change)
