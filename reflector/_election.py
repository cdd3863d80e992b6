"""Who may act as leader, decided from a lease that is read and written: the whole of an election but its waiting. Pure.

A lease is an object with a holder and a duration. Whoever holds it renews it; whoever wants it reads it, again and again:

    candidate ── the lease is free, or has not changed for its duration ── writes itself in ──► leader
    leader    ── renews every retry_period_s; no success for renew_deadline_s, or it reads another's name ──► candidate

Two rules make two leaders at a time impossible, as far as clocks run alike:

1. **No clock is trusted but one's own, and that only for durations.** A candidate counts the duration from when it *saw the lease
   change last*. Times in the lease are for people.
2. **A leader counts from when it sent the renewal that succeeded**, and stops after renew_deadline_s. Others cannot have
   seen that renewal sooner, and begin to count lease_duration_s then.

So between the last moment of one leader and the first of the next there are lease_duration_s − renew_deadline_s seconds (5 s): for
clocks that run at different rates (up to 1.5 : 1), and for what a leader does while it stops. They are no protection from a
process that is suspended and wakes up later in the middle of a write: for that, name the resource version that you read in every
write, so that the store refuses what was decided on an older state.

Source: client-go tools/leaderelection/leaderelection.go.
Differs: client-go counts renew_deadline_s from when it began to try, retry_period_s after the success.
"""

from __future__ import annotations

import math
from typing import Any, final

import msgspec

LEASE_DURATION_S = 15
"""So long nobody else takes a lease that was renewed: after a crash, this and up to 4.4 s pass until there is a new leader."""
RENEW_DEADLINE_S = 10.0
"""So long a leader goes on without a renewal."""
RETRY_PERIOD_S = 2.0
"""A leader renews as often; with the API down it has four more attempts before the deadline."""
JITTER_FACTOR = 1.2
"""Candidates ask every retry_period_s to 2.2 times that, by chance, so that they do not all ask at once."""


class LeaderOptions(msgspec.Struct, frozen=True):
    """The times of an election, client-go's unless said otherwise. All candidates for one lease need the same ones."""

    lease_duration_s: int = LEASE_DURATION_S
    """Whole seconds: so the API has it."""
    renew_deadline_s: float = RENEW_DEADLINE_S
    retry_period_s: float = RETRY_PERIOD_S

    def __post_init__(self) -> None:
        if not 0 < self.retry_period_s < math.inf:
            raise ValueError(f"retry_period_s is {self.retry_period_s:g}: choose more than 0 seconds")
        if not self.renew_deadline_s > JITTER_FACTOR * self.retry_period_s:
            raise ValueError(
                f"renew_deadline_s is {self.renew_deadline_s:g}: choose more than {JITTER_FACTOR:g} times retry_period_s"
                f" ({self.retry_period_s:g}), so that a leader can try again"
            )
        if not self.lease_duration_s > self.renew_deadline_s:
            raise ValueError(
                f"lease_duration_s is {self.lease_duration_s:g}: choose more than renew_deadline_s"
                f" ({self.renew_deadline_s:g}), so that a leader stops before others start"
            )
        if self.lease_duration_s != int(self.lease_duration_s):
            raise ValueError(f"lease_duration_s is {self.lease_duration_s:g}: choose whole seconds")


class LeaseRecord(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a lease says. The names are the API's; times are text, since nothing is decided by them."""

    holder_identity: str = ""
    """"": nobody's."""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0

    @classmethod
    def of(cls, lease: dict[str, Any]) -> LeaseRecord:
        """Out of a Lease. What is missing, or of another type, is taken for empty: such a lease is nobody's."""
        spec = lease.get("spec")
        if not isinstance(spec, dict):
            return cls()
        return cls(
            _text(spec.get("holderIdentity")),
            _count(spec.get("leaseDurationSeconds")),
            _text(spec.get("acquireTime")),
            _text(spec.get("renewTime")),
            _count(spec.get("leaseTransitions")),
        )

    def spec(self) -> dict[str, Any]:
        """The members of a Lease's spec."""
        return {
            "holderIdentity": self.holder_identity,
            "leaseDurationSeconds": self.lease_duration_seconds,
            "acquireTime": self.acquire_time,
            "renewTime": self.renew_time,
            "leaseTransitions": self.lease_transitions,
        }


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


@final
class Election:
    """What one candidate knows of a lease. Every `now` is in seconds of its own clock, which does not go back.

    Args:
        identity: the candidate's name, no other's: whoever finds its own name in the lease takes it for its own.
    """

    def __init__(self, identity: str, options: LeaderOptions) -> None:
        if not identity:
            raise ValueError("identity is empty: choose a name that no other candidate has")
        self.identity = identity
        self.options = options
        self.record: LeaseRecord | None = None
        """What the lease said last; None before it was read, and where there is none."""
        self._changed_at = -math.inf
        self._renewed_at = -math.inf

    @property
    def give_up_at(self) -> float:
        """A leader has to stop by then, unless it is renewed before; in the past where this is no leader."""
        return self._renewed_at + self.options.renew_deadline_s

    def is_leader(self, now: float) -> bool:
        """Whether this candidate may act."""
        return now < self.give_up_at and self.holds

    @property
    def holds(self) -> bool:
        """Whether the lease named this candidate when it was last read or written."""
        return self.record is not None and self.record.holder_identity == self.identity

    def expires_at(self) -> float:
        """When the lease may be taken from whoever holds it, by this candidate's clock; in the past where it is free."""
        if self.record is None or not self.record.holder_identity:
            return -math.inf
        return self._changed_at + self.record.lease_duration_seconds

    def observe(self, record: LeaseRecord | None, now: float) -> None:
        """A read that was answered at `now` showed `record`; None: there is no lease.

        Whoever led and reads another's name is no leader from here on.
        """
        if record != self.record:
            self.record = record
            self._changed_at = now
        if not self.holds:
            self._renewed_at = -math.inf

    def proposal(self, now: float, time_of_day: str) -> LeaseRecord | None:
        """What to write in order to lead, or to go on leading; None: another holds the lease, and it has not expired."""
        known = self.record or LeaseRecord()
        if not self.holds and now < self.expires_at():
            return None
        acquired, transitions = time_of_day, known.lease_transitions + (self.record is not None)
        if self.holds:
            acquired, transitions = known.acquire_time or time_of_day, known.lease_transitions
        return LeaseRecord(self.identity, int(self.options.lease_duration_s), acquired, time_of_day, transitions)

    def written(self, record: LeaseRecord, sent_at: float, now: float) -> None:
        """A write of `record` that was sent at `sent_at` has succeeded, as heard at `now`."""
        self.record = record
        self._changed_at = now
        self._renewed_at = sent_at if record.holder_identity == self.identity else -math.inf

    def release(self, time_of_day: str) -> LeaseRecord | None:
        """What to write so that another may lead at once; None: it is another's already.

        Only for whoever has stopped acting. This one is no leader from here on.
        """
        self._renewed_at = -math.inf
        if not self.holds or self.record is None:
            return None
        return LeaseRecord("", 1, time_of_day, time_of_day, self.record.lease_transitions)

    def retry_in_s(self, chance: float) -> float:
        """Seconds until a candidate asks again. `chance`: from [0, 1)."""
        return self.options.retry_period_s * (1 + chance * JITTER_FACTOR)
