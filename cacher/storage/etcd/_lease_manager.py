"""LeaseManager: short-lived objects share leases, so that etcd keeps one for many instead of one for each.

A lease is granted for a little longer than asked, and handed out again while it ends late enough, but not by more than that
little, for the next object:

    granted: ttl + reuse ───────────────────────────────► expires
    asked again:      now + ttl ≤ … < expires ≤ … ≤ now + ttl + reuse

So an object lives for its time to live, and up to `reuse` longer: a twentieth of it, at most a minute.

Source: kubernetes/apiserver pkg/storage/etcd3/lease_manager.go. Differs: there the second bound is exclusive; under a
virtual clock, where two calls can share a moment, no lease would then be shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from .._metrics import Histogram
from ._protocol import Etcd
from ._storage_errors import as_storage_errors

REUSE_FRACTION = 0.05
"""How much longer than asked a lease may last. Source: lease_manager.go, leaseReuseDurationPercent."""

REUSE_MAX_S = 60
"""Source: lease_manager.go, defaultLeaseReuseDurationSeconds."""

OBJECTS_A_LEASE_MAX = 1_000
"""Deleting a lease's keys is one transaction; more would make it long. Source: defaultLeaseMaxObjectCount."""


def reuse_duration_s(ttl_s: int, reuse_max_s: int = REUSE_MAX_S) -> int:
    """For how many seconds a lease for objects of `ttl_s` is handed out again."""
    return min(int(REUSE_FRACTION * ttl_s), reuse_max_s)


class LeaseManager:
    """Leases of one etcd.

    Args:
        reuse_max_s, objects_max: how much longer than asked a lease may last, and for how many objects.
        clock: seconds; only their differences matter.
        counts: is told, at each new lease, how many objects the one before was for.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        reuse_max_s: int = REUSE_MAX_S,
        objects_max: int = OBJECTS_A_LEASE_MAX,
        clock: Callable[[], float] = trio.current_time,
        counts: Histogram | None = None,
    ) -> None:
        self._etcd = etcd
        self._reuse_max_s = reuse_max_s
        self._objects_max = objects_max
        self._clock = clock
        self._counts = counts
        self._lock = trio.Lock()
        self._lease = 0
        self._expires_at_s = -math.inf
        self.object_count = 0
        """How often the present lease was handed out, whatever became of the writes."""

    async def lease_for(self, ttl_s: int) -> int:
        """A lease that lasts `ttl_s` seconds, and up to a twentieth or a minute longer."""
        async with self._lock:
            now = self._clock()
            reuse_s = reuse_duration_s(ttl_s, self._reuse_max_s)
            lasts = now + ttl_s < self._expires_at_s <= now + ttl_s + reuse_s
            self.object_count += 1
            if lasts and self.object_count <= self._objects_max:
                return self._lease
            with as_storage_errors(""):
                granted = await self._etcd.lease_grant(ttl_s + reuse_s)
            if self._counts is not None and self._lease:
                self._counts.observe(self.object_count - 1)
            self._lease, self._expires_at_s = granted.lease, now + ttl_s + reuse_s
            self.object_count = 1
            return granted.lease
