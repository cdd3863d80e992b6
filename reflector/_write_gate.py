"""WriteGate: keys wait here until the copies show what their last reconcile wrote.

    reconcile ── wrote ──► a task waits for the copies ──► shown: the key's turn, if it was wanted meanwhile
                                                      └──► shown, and gone again unseen: its turn in any case

No worker waits: other keys go on. `_own_writes` says what is to be shown.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Protocol, final

import trio

from ._own_writes import CopyOfResource, OwnWrites
from ._rate_limits import ExponentialLimiter
from ._reads import Written
from ._workqueue import WorkQueue

LOG = logging.getLogger("reflector.controller")


class AwaitedCopy(CopyOfResource, Protocol):
    """An informer, as far as the gate needs it."""

    async def wait_until_revision(self, revision: int) -> None:
        """Return once the store shows it."""
        ...


@final
class _Hold:
    """A key whose writes the copies have yet to show."""

    __slots__ = ("is_wanted", "scope", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.scope = trio.CancelScope()
        self.is_wanted = False

    def want(self) -> None:
        """The key is to be reconciled, and from now on no longer waited for than `until`."""
        self.is_wanted = True
        self.scope.deadline = self.until


@final
class WriteGate:
    """One controller's. It keeps a task and what was written for each key whose writes are not yet shown.

    Args:
        within_s: so long after its writes a key that is wanted waits; then it is reconciled all the same, and counted.
    """

    def __init__(self, name: str, queue: WorkQueue[str], within_s: float) -> None:
        if not 0 <= within_s < math.inf:
            raise ValueError(f"own_writes_s is {within_s:g}: choose a finite number of seconds, or 0 for none")
        self._name = name
        self._queue = queue
        self._within_s = within_s
        self._writes = OwnWrites()
        self._holds: dict[str, _Hold] = {}
        # A reconcile that writes something anew each time, which the copies do not select, must not run hot.
        self._again = ExponentialLimiter[str]()
        self.waits = 0
        """How often a key that was wanted had to wait."""
        self.given_up = 0
        """How often the copies did not show the writes in time."""

    @property
    def held(self) -> int:
        """Keys that are wanted, and wait. Cost: O(keys with writes that are not yet shown)."""
        return sum(hold.is_wanted for hold in self._holds.values())

    def holds(self, key: str) -> bool:
        """Whether `key` has to wait; it is added to the queue when it may be reconciled."""
        hold = self._holds.get(key)
        if hold is None:
            return False
        self.waits += not hold.is_wanted
        hold.want()
        return True

    def wrote(self, key: str, writes: Sequence[Written], copies: Sequence[AwaitedCopy], nursery: trio.Nursery) -> None:
        """A reconcile of `key` made these writes. While the controller runs, tasks in `nursery` see to them."""
        if not writes:
            self._again.forget(key)
        elif self._within_s:
            self._writes.wrote(key, writes)
            lagging = [copy for copy in copies if not self._writes.is_shown(key, copy)]
            if lagging:
                hold = self._holds[key] = _Hold(trio.current_time() + self._within_s)
                nursery.start_soon(self._wait, key, hold, lagging, copies, name=f"{self._name} waits for {key}")
            else:
                self._settle(key, copies, is_wanted=False)

    def clear(self) -> None:
        """The controller has ended, and its tasks with it: it is told of everything anew when it starts."""
        for key in self._holds:
            self._writes.settled(key)
        self._holds.clear()

    async def _wait(self, key: str, hold: _Hold, lagging: Sequence[AwaitedCopy], copies: Sequence[AwaitedCopy]) -> None:
        with hold.scope:
            for copy in lagging:
                await copy.wait_until_revision(self._writes.revision_of(key, copy))
                while not self._writes.shows_deletions(key, copy):
                    await copy.wait_until_revision(copy.last_revision + 1)
        if hold.scope.cancelled_caught:
            self.given_up += 1
            names = ", ".join([copy.name for copy in lagging if not self._writes.is_shown(key, copy)])
            LOG.warning("%s: %s does not show what %s wrote %g s ago", self._name, names, key, self._within_s)
        del self._holds[key]
        self._settle(key, copies, is_wanted=hold.is_wanted)

    def _settle(self, key: str, copies: Sequence[CopyOfResource], *, is_wanted: bool) -> None:
        has_vanished = self._writes.has_vanished(key, copies)
        self._writes.settled(key)
        if is_wanted:
            self._queue.add(key)
        elif has_vanished:
            self._queue.add_after(key, self._again.when(key, trio.current_time()))
