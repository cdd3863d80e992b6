"""What a controller's author writes, and what it may answer: the reconcile function, its Result, and GiveUp. Pure."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec


class Result(msgspec.Struct, frozen=True):
    """What is to come of a key that was reconciled without a failure. None says the same as `Result()`: nothing more.

    Source: controller-runtime pkg/reconcile, Result.
    """

    requeue_after_s: float = 0.0
    """Look again in so many seconds, whatever happens; 0: not by itself."""
    requeue: bool = False
    """Look again when the rate limiter says, as after a failure, though it was none. `requeue_after_s` goes before it."""
    jitter: float = 0.0
    """`requeue_after_s` is stretched by up to this share of itself, by chance: 0.1 is up to a tenth longer. So objects that were
    all seen first at one time are not looked at together for ever."""

    def __post_init__(self) -> None:
        if not (0 <= self.requeue_after_s < math.inf and 0 <= self.jitter < math.inf):
            raise ValueError(
                f"requeue_after_s is {self.requeue_after_s}, jitter is {self.jitter}: choose finite numbers of 0 or more"
            )


Reconcile = Callable[[str], Awaitable[Result | None]]
"""Brings what `key` names ("namespace/name" or "name") nearer to what is wanted, from whatever state there is."""


class GiveUp(Exception):
    """Raise it from a reconcile where trying again would fail again until an object changes. The key is not retried."""


class ReconcileTimedOut(Exception):
    """A reconcile took longer than its controller allows, and was cancelled. It is tried again as after any failure."""


class ReconcileCancelled(Exception):
    """A reconcile was cancelled by `Controller.cancel_reconcile`. It is tried again as after any failure."""
