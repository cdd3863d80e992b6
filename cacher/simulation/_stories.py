"""What many stories are made of besides their own: a controller that does not wait for longer than anybody looks."""

from __future__ import annotations

from random import Random

from reflector import Controller, ExponentialLimiter, Reconcile

KEEN_S = 10.0
"""Without a bound of its own the wait after many failures is longer than a world is watched once all is quiet."""


def keen_controller(name: str, reconcile: Reconcile) -> Controller:
    """A Controller that tries again within 10 s, however often its reconcile has failed. What it watches is yours to say."""
    return Controller(name, reconcile, random=Random(1), limiter=ExponentialLimiter(cap_s=KEEN_S))
