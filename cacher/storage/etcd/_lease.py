"""Lessor: which leases there are, when each runs out, and which keys hang on it. Pure: times are handed in.

It sits beside the key store in the embedded etcd. It deletes nothing itself: it says which leases are due and which keys
they carry, and learns from the events of the writes which key hangs on which lease now.

    grant ──► alive ──(its time passes)──► due ──► revoke: gone, with its keys
                │  ▲                                  ▲
                │  └─ keep_alive (not once it is due) │
                └─────────────── revoke ──────────────┘

Source: etcd server/lease/lessor.go. Differs: etcd looks for due leases every 500 ms and takes 500 at a time; here a lease
is due at its very second.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable

import msgspec

from ._protocol import EtcdEvent, InvalidRequestError, KeyValue, LeaseExistsError, LeaseNotFoundError, LeaseResult

TTL_MIN_S = 1
"""The shortest time to live granted. etcd's is the larger half of its election timeout, 2 s by default."""

TTL_MAX_S = 9_000_000_000
"""etcd's MaxLeaseTTL: what its clock can still add to a date."""


class _Lease(msgspec.Struct):
    ttl_s: int
    expires_at_s: float


class Lessor:
    """The leases of one store. `lease in lessor` is true of granted ones that are not revoked yet, due or not.

    Args:
        draw_id: a number for a lease whose grantee left the choice to us; a draw that is 0 or taken is drawn again.
        ttl_min_s: a shorter time to live becomes this long.
    """

    def __init__(self, *, draw_id: Callable[[], int], ttl_min_s: int = TTL_MIN_S) -> None:
        self._draw_id = draw_id
        self._ttl_min_s = ttl_min_s
        self._leases: dict[int, _Lease] = {}
        # Which keys hang on which lease, also on one that is yet to be granted (keys of a snapshot name such leases).
        self._keys: dict[int, dict[bytes, None]] = {}
        self._lease_of: dict[bytes, int] = {}
        # At least one entry for each lease, none later than its expiry: a kept-alive lease moves when its entry comes up.
        self._queue: list[tuple[float, int]] = []

    def __contains__(self, lease: object) -> bool:
        return lease in self._leases

    def __len__(self) -> int:
        return len(self._leases)

    def grant(self, ttl_s: int, *, now_s: float, lease: int = 0) -> LeaseResult:
        """A new lease, `lease` or one drawn. Keys of a snapshot that name this id hang on it from now on.

        Raises:
            LeaseExistsError: the id is taken.
            InvalidRequestError: the time to live or the id is beyond what etcd can hold.
        """
        if ttl_s > TTL_MAX_S:
            raise InvalidRequestError(f"etcdserver: too large lease TTL: {ttl_s} s, at most {TTL_MAX_S}: grant less")
        if not -(2**63) <= lease < 2**63:
            raise InvalidRequestError(f"etcdserver: lease id {lease} does not fit 64 bits: choose a smaller one")
        if lease in self._leases:
            raise LeaseExistsError(lease)
        while not lease or lease in self._leases:
            lease = self._draw_id()
        granted_s = max(ttl_s, self._ttl_min_s)
        self._leases[lease] = _Lease(granted_s, now_s + granted_s)
        self._schedule(lease, now_s + granted_s)
        return LeaseResult(lease, granted_s, granted_s)

    def revoke(self, lease: int) -> list[bytes]:
        """Forget the lease and name the keys that hang on it, sorted, for the caller to delete.

        Raises:
            LeaseNotFoundError: no such lease.
        """
        if self._leases.pop(lease, None) is None:
            raise LeaseNotFoundError(lease)
        return sorted(self._keys.get(lease, ()))

    def keep_alive(self, lease: int, *, now_s: float) -> LeaseResult:
        """Start the time to live anew.

        Raises:
            LeaseNotFoundError: no such lease, or it is due: what is due is revoked, whatever comes in between.
        """
        held = self._leases.get(lease)
        if held is None or held.expires_at_s <= now_s:
            raise LeaseNotFoundError(lease)
        held.expires_at_s = now_s + held.ttl_s
        return LeaseResult(lease, held.ttl_s, held.ttl_s)

    def time_to_live(self, lease: int, *, now_s: float, keys: bool = False) -> LeaseResult:
        """What is left of a lease, in whole seconds, rounded down; `ttl_s` -1: there is no such lease."""
        held = self._leases.get(lease)
        if held is None:
            return LeaseResult(lease, -1)
        left_s = max(0, int(held.expires_at_s - now_s))
        return LeaseResult(lease, left_s, held.ttl_s, tuple(sorted(self._keys.get(lease, ()))) if keys else ())

    def next_due(self, now_s: float) -> int | None:
        """A lease whose time has passed and which is not revoked yet, the one due first; None: there is none."""
        return self._queue[0][1] if self.next_expiry() <= now_s else None

    def next_expiry(self) -> float:
        """When the next lease is due, in seconds of the clock whose times were handed in; infinity: never.

        Cost: O(log n) for each lease kept alive or revoked since.
        """
        self._settle()
        return self._queue[0][0] if self._queue else math.inf

    # --- keys ---------------------------------------------------------------------------------------------------------

    def restore(self, kvs: Iterable[KeyValue]) -> None:
        """Take note of the leases that the keys of a snapshot name. None of them is granted by this."""
        for kv in kvs:
            if kv.lease:
                self._attach(kv.key, kv.lease)

    def apply(self, events: Iterable[EtcdEvent]) -> None:
        """Take note of writes: a put hangs its key on its own lease, or on none; a delete takes it off. Cost: O(1) each."""
        for event in events:
            kv = event.kv
            if kv.lease or kv.key in self._lease_of:
                self._detach(kv.key)
                if kv.lease:
                    self._attach(kv.key, kv.lease)

    def _attach(self, key: bytes, lease: int) -> None:
        self._lease_of[key] = lease
        self._keys.setdefault(lease, {})[key] = None

    def _detach(self, key: bytes) -> None:
        lease = self._lease_of.pop(key, None)
        if lease is not None:
            keys = self._keys[lease]
            del keys[key]
            if not keys:
                del self._keys[lease]

    # --- the queue ----------------------------------------------------------------------------------------------------

    def _schedule(self, lease: int, at_s: float) -> None:
        # Entries of revoked leases stay until their time comes; where most are such, start afresh: O(1) a grant on average.
        if len(self._queue) > 2 * len(self._leases) + 64:
            self._queue = [(held.expires_at_s, id_) for id_, held in self._leases.items()]
            heapq.heapify(self._queue)
        else:
            heapq.heappush(self._queue, (at_s, lease))

    def _settle(self) -> None:
        """Make the queue's head speak the truth: drop what is gone, move what was kept alive."""
        queue = self._queue
        while queue:
            at_s, lease = queue[0]
            held = self._leases.get(lease)
            if held is None:
                heapq.heappop(queue)
            elif held.expires_at_s > at_s:
                heapq.heapreplace(queue, (held.expires_at_s, lease))
            else:
                return

    def _check(self) -> None:
        """Assert the whole invariant."""
        for key, lease in self._lease_of.items():
            assert key in self._keys.get(lease, {}), "a key is among those of its lease"
        assert sum(map(len, self._keys.values())) == len(self._lease_of), "a key hangs on one lease at most"
        assert all(self._keys.values()), "a lease without keys has no entry"
        for lease, held in self._leases.items():
            assert any(id_ == lease and at_s <= held.expires_at_s for at_s, id_ in self._queue), "each lease is queued"
