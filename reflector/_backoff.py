"""How long to wait after a failure: seconds that double, are spread by chance, and start anew after a quiet time. Pure.

The arithmetic, for one client of a source that is down: waits of 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, … seconds,
each stretched by a factor drawn from [1, 2). The first minute sees about 6 requests; after that a wait is 45 s on
average, so 0.022 requests a second. 10,000 clients whose server was restarted ask 220 times a second together, spread
evenly: the stretch takes the herd apart, since the sixth wait of each ends somewhere between 50 and 101 s after the
restart.

Source: client-go tools/cache/reflector.go, NewReflectorWithOptions, and apimachinery pkg/util/wait/backoff.go.
Differs: since v1.36 client-go's waits start anew every two minutes, also in the midst of failures (DelayWithReset looks at
the last reset, and no longer at the last failure); here it takes two quiet minutes, as before and as its comments say.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

FIRST_S = 0.8
"""The first wait. Short: most failures are a restart behind a load balancer, and are over by then."""
FACTOR = 2.0
CAP_S = 30.0
"""Where doubling stops, before the stretch: a source that comes back is noticed within a minute."""
JITTER = 1.0
"""A wait is stretched by up to this share of itself: 1.0 is up to twice as long."""
RESET_AFTER_S = 120.0
"""So long without a failure, and the next one is the first again. Twice the longest wait: a wait is no quiet time."""


class Chance(Protocol):
    """What is needed of a `random.Random`."""

    def random(self) -> float:
        """From [0, 1)."""
        ...


class BackoffPolicy(msgspec.Struct, frozen=True):
    """The numbers of a Backoff; client-go's where nothing else is said."""

    first_s: float = FIRST_S
    factor: float = FACTOR
    cap_s: float = CAP_S
    jitter: float = JITTER
    reset_after_s: float = RESET_AFTER_S

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.cap_s:
            raise ValueError(f"first_s is {self.first_s:g}: choose 0 < first_s <= cap_s ({self.cap_s:g})")
        if self.factor < 1 or self.jitter < 0:
            raise ValueError(f"factor {self.factor:g}, jitter {self.jitter:g}: choose factor >= 1 and jitter >= 0")
        # The longest wait must not itself count as quiet, or the cap would never be reached.
        if self.reset_after_s < self.longest_s:
            raise ValueError(
                f"reset_after_s is {self.reset_after_s:g}: choose at least {self.longest_s:g}, the longest wait"
            )

    @property
    def longest_s(self) -> float:
        """No wait is longer."""
        return self.cap_s * (1 + self.jitter)


class Backoff:
    """The waits of one client. Each failure asks for the next one.

    >>> import random
    >>> backoff = Backoff(random.Random(7), BackoffPolicy(jitter=0))
    >>> [backoff.next(now) for now in (0, 1, 3, 7, 15, 30, 60, 100)]
    [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    >>> backoff.next(220.1)
    0.8
    """

    def __init__(self, random: Chance, policy: BackoffPolicy | None = None) -> None:
        self.policy = policy or BackoffPolicy()
        self._random = random
        self._base_s = self.policy.first_s
        self._asked_s: float | None = None

    def next(self, now: float) -> float:
        """Seconds to wait after a failure at `now`, in seconds of any clock that does not go back.

        From [base, base · (1 + jitter)), where base is first_s, and `factor` times the last one after each failure, up
        to cap_s; first_s again where the last failure is more than reset_after_s ago.
        """
        policy = self.policy
        if self._asked_s is not None and now - self._asked_s > policy.reset_after_s:
            self._base_s = policy.first_s
        self._asked_s = now
        base_s = self._base_s
        self._base_s = min(base_s * policy.factor, policy.cap_s)
        return base_s * (1 + policy.jitter * self._random.random())
