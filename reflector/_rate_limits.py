"""How long a key waits before it is tried again: by its own failures, and by how many keys fail at all. Pure.

The arithmetic, of one key that always fails under `default_limiter`: 5, 10, 20, 40 ms … are 5.1 s after ten tries and eleven
minutes after seventeen; from the eighteenth retry on it is 1,000 s each. Of 1,000 keys that begin to fail at once, the bucket lets
100 through with their own waits and spreads the rest over 90 s, ten a second.

Source: client-go util/workqueue/default_rate_limiters.go; the bucket is golang.org/x/time/rate, Reserve().Delay().
Differs: no limiter holds a lock or reads a clock; `now` is handed in, in seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar, final

FIRST_S = 0.005
"""The first retry. Most failures are write conflicts, which the next read cures."""
CAP_S = 1000.0
"""No key waits longer: what is mended by hand is noticed within 17 minutes."""
QPS = 10.0
BURST = 100

K = TypeVar("K", bound=Hashable)
K_contra = TypeVar("K_contra", bound=Hashable, contravariant=True)


class RateLimiter(Protocol[K_contra]):
    """What a WorkQueue asks before it adds a key again."""

    def when(self, key: K_contra, now: float) -> float:
        """Seconds that `key` is to wait; the asking counts as a failure of it."""
        ...

    def forget(self, key: K_contra) -> None:
        """`key` has succeeded, or is given up: its next failure is its first."""
        ...

    def num_requeues(self, key: K_contra) -> int:
        """How many failures of `key` are remembered."""
        ...


@final
class ExponentialLimiter(Generic[K]):
    """Waits that double with each failure of a key: first_s · 2ⁿ, cap_s at most.

    It remembers a number for each key that failed and was not forgotten: `forget` keys that are gone, too.

    >>> limiter = ExponentialLimiter[str]()
    >>> [limiter.when("default/web", now=0.0) for _ in range(4)]
    [0.005, 0.01, 0.02, 0.04]
    >>> limiter.forget("default/web")
    >>> limiter.when("default/web", now=9.0)
    0.005
    """

    def __init__(self, first_s: float = FIRST_S, cap_s: float = CAP_S) -> None:
        if not 0 < first_s <= cap_s < math.inf:
            raise ValueError(f"first_s is {first_s:g}, cap_s is {cap_s:g}: choose 0 < first_s <= cap_s, both finite")
        self._first_s = first_s
        self._cap_s = cap_s
        self._doublings_max = math.log2(cap_s) - math.log2(first_s)  # beyond it 2ⁿ need not be known, and may overflow
        self._failures: dict[K, int] = {}

    def when(self, key: K, now: float) -> float:
        """Seconds to wait; `now` does not matter."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        if failures >= self._doublings_max:
            return self._cap_s
        return math.ldexp(self._first_s, failures)

    def forget(self, key: K) -> None:
        """The next failure of `key` waits `first_s`."""
        self._failures.pop(key, None)

    def num_requeues(self, key: K) -> int:
        """Failures of `key` since it was last forgotten."""
        return self._failures.get(key, 0)


@final
class BucketLimiter(Generic[K]):
    """All keys together get `qps` a second, and `burst` at once after a quiet time; whoever is over waits for its turn.

    >>> limiter = BucketLimiter[str](qps=10, burst=2)
    >>> [round(limiter.when(key, now=0.0), 3) for key in "abcd"]
    [0.0, 0.0, 0.1, 0.2]
    """

    def __init__(self, qps: float = QPS, burst: int = BURST) -> None:
        if not (0 < qps < math.inf and burst >= 1):
            raise ValueError(f"qps is {qps:g}, burst is {burst}: choose a finite qps > 0 and burst >= 1")
        self._qps = qps
        self._burst = burst
        self._tokens = float(burst)  # below zero: promised to those who wait
        self._counted_at: float | None = None

    def when(self, key: K, now: float) -> float:
        """Seconds until a token is there for it; the token is taken at once, whoever asks."""
        if self._counted_at is not None:
            gained = max(0.0, now - self._counted_at) * self._qps
            self._tokens = min(float(self._burst), self._tokens + gained)
        self._counted_at = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens / self._qps)

    def forget(self, key: K) -> None:
        """Nothing: a bucket knows no keys."""

    def num_requeues(self, key: K) -> int:
        """0: a bucket knows no keys."""
        return 0


@final
class MaxOfLimiter(Generic[K]):
    """The longest wait of several limiters. Each is asked every time, so each counts every failure."""

    def __init__(self, *limiters: RateLimiter[K]) -> None:
        if not limiters:
            raise ValueError("MaxOfLimiter takes the longest wait of its limiters: hand in one at least")
        self._limiters = limiters

    def when(self, key: K, now: float) -> float:
        """The longest of their waits."""
        return max([limiter.when(key, now) for limiter in self._limiters])

    def forget(self, key: K) -> None:
        """All of them forget `key`."""
        for limiter in self._limiters:
            limiter.forget(key)

    def num_requeues(self, key: K) -> int:
        """The most that any of them remembers."""
        return max(limiter.num_requeues(key) for limiter in self._limiters)


def default_limiter() -> MaxOfLimiter[Hashable]:
    """What client-go's controllers have: each key's own doubling waits, and ten retries a second of all keys together."""
    return MaxOfLimiter[Hashable](ExponentialLimiter[Hashable](), BucketLimiter[Hashable]())
