"""Whether a cache has a complete state to serve from.

    pending ⇄ ready          pending while it fills itself, at first and after each loss
       └──────┴──► stopped   for good

Each entry into ready starts a new generation: who awaited something in between can tell that it was lost and came back.
Source: kubernetes/apiserver pkg/storage/cacher/ready.go, delegator.go (calculateRetryAfterForUnreadyCache).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from watch import NotReady

RETRY_AFTER_MIN_S = 1.0
RETRY_AFTER_MAX_S = 30.0
RETRY_GROWTH = 0.06
"""e^(0.06 × seconds): clients come back after 1 s at first, 2 s once it lasts 12 s, 30 s from 57 s on."""


def retry_after_s(downtime_s: float) -> float:
    """How long a client is to wait where the cache has not been ready for `downtime_s`: whole seconds, 1 to 30."""
    seconds = float(int(math.exp(min(RETRY_GROWTH * downtime_s, 10.0))))  # e^10 is far beyond the bound already
    return max(RETRY_AFTER_MIN_S, min(seconds, RETRY_AFTER_MAX_S))


class Readiness:
    """Pending at first. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self.generation = 0
        """How often it has become ready."""
        self.is_stopped = False
        self._clock = clock
        self._changed = trio.Event()
        self._is_ready = False
        self._reason = ""
        self._unready_since_s: float | None = None

    @property
    def is_ready(self) -> bool:
        """True while there is a complete state to serve."""
        return self._is_ready

    def begin(self) -> None:
        """From now on it counts how long it has not been ready."""
        self._unready_since_s = self._clock()

    def set_ready(self) -> None:
        """There is a complete state, also another one than before. Nothing where it was stopped.

        Differs: Kubernetes counts no generation where it was ready already, since there a loss always comes between. Here each
        state is one, so that nobody who began on one state goes on from the next.
        """
        if self.is_stopped:
            return
        self._is_ready = True
        self.generation += 1
        self._notify()

    def set_pending(self, reason: str = "") -> None:
        """The state is out of date, and a new one is on its way; `reason`: why it does not come.

        Nothing where it was stopped.
        """
        if self.is_stopped:
            return
        if self._is_ready:
            self._is_ready = False
            self._unready_since_s = self._clock()
        self._reason = reason

    def stop(self) -> None:
        """It will never be ready again. From the first call on it counts anew how long it has not been."""
        if self.is_stopped:
            return
        self._is_ready = False
        self._unready_since_s = self._clock()
        self._reason = "apiserver cacher is stopped"
        self.is_stopped = True
        self._notify()

    async def wait(self) -> None:
        """Return once it is ready.

        Raises:
            NotReady: it was stopped.
        """
        if self._is_ready or self.is_stopped:
            await trio.lowlevel.checkpoint()
        while not self._is_ready:
            if self.is_stopped:
                raise self.error()
            await self._changed.wait()

    def check(self) -> int:
        """The generation, where it is ready.

        Raises:
            NotReady: it is not; `retry_after_s` grows with the time that this lasts.
        """
        if not self._is_ready:
            raise self.error()
        return self.generation

    def error(self) -> NotReady:
        """What those are told who ask in vain."""
        since_s = self._unready_since_s
        downtime_s = 0.0 if since_s is None else self._clock() - since_s
        error = NotReady(self._reason, retry_after_s=retry_after_s(downtime_s))
        if self.is_stopped:
            error.message = self._reason
        return error

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
