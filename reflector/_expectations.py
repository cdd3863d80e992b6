"""Expectations: which of a controller's own writes its cache has yet to show.

A controller that makes three pods and reads its cache a moment later finds fewer, and would make more. So it says beforehand what
it is about to do, counts what its watch brings, and acts again when all has come:

    expect_creations("team-a/web", 3) ──► creation_observed ×3 ──► is_satisfied ──► reconcile
                                     └──► or 5 minutes have passed: what is missing by now was never made, or was missed

Expectations only hold a controller back and never make it act: a lost event costs five minutes and not correctness.

Source: kubernetes pkg/controller/controller_utils.go, ControllerExpectations and UIDTrackingControllerExpectations.
Differs: expectations end at their timeout and not just after it, so that whoever waits for `expires_in_s` finds them ended;
expecting creations also drops the ids whose deletions were waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import msgspec
import trio

TIMEOUT_S = 300.0
"""Expectations that are older no longer hold anybody back: longer than any watch is behind that will still catch up."""


class Expected(msgspec.Struct, frozen=True):
    """What a controller waits for."""

    creations: int
    """0 or less: nothing. Less than 0 where more was observed than was expected."""
    deletions: int
    age_s: float
    """Since it was last set; raising and lowering are no setting."""

    @property
    def is_fulfilled(self) -> bool:
        """Whether all has been observed."""
        return self.creations <= 0 and self.deletions <= 0


class _Counts:
    __slots__ = ("creations", "deletions", "set_at")

    def __init__(self, creations: int, deletions: int, set_at: float) -> None:
        self.creations = creations
        self.deletions = deletions
        self.set_at = set_at


@final
class Expectations:
    """Counts of creations and deletions by the key of the object whose controller makes them.

    One entry a key, until `forget`: call that when the object is gone. Time is trio's.

        expectations.expect_creations(key, 3)
        for _ in range(3):
            try:
                await create_pod()
            except CreateFailed:
                expectations.creation_observed(key)  # it will not come

    Args:
        timeout_s: how long expectations hold somebody back, in seconds.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s is {timeout_s:g}: choose more than 0 seconds")
        self._timeout_s = timeout_s
        self._counts: dict[str, _Counts] = {}

    def expect_creations(self, key: str, count: int) -> None:
        """`count` creations are about to be made, and nothing else is waited for any more."""
        self._set(key, count, 0)

    def expect_deletions(self, key: str, count: int) -> None:
        """`count` deletions are about to be made, and nothing else is waited for any more."""
        self._set(key, 0, count)

    def raise_by(self, key: str, *, creations: int = 0, deletions: int = 0) -> None:
        """So many more. Nothing where nothing was ever expected; the age stays."""
        self._change(key, creations, deletions)

    def lower_by(self, key: str, *, creations: int = 0, deletions: int = 0) -> None:
        """So many fewer: writes that were not made after all, or that failed. Nothing where nothing was ever expected."""
        self._change(key, -creations, -deletions)

    def creation_observed(self, key: str) -> None:
        """A creation came, or its write failed and it will not come."""
        self._change(key, -1, 0)

    def deletion_observed(self, key: str) -> None:
        """A deletion came, or its write failed and it will not come."""
        self._change(key, 0, -1)

    def is_satisfied(self, key: str) -> bool:
        """Whether the controller of `key` may act: all has come, or is given up, or nothing was ever expected."""
        return self.expires_in_s(key) <= 0

    def expires_in_s(self, key: str) -> float:
        """Seconds until `key` is satisfied if nothing comes any more; 0 where it is satisfied.

        Nobody is woken when expectations expire: `queue.add_after(key, expectations.expires_in_s(key))` sees to it.
        """
        counts = self._counts.get(key)
        if counts is None or (counts.creations <= 0 and counts.deletions <= 0):
            return 0.0
        # Where a sum of floats falls short of the end, the rest is exact: a second wait is the last one.
        return max(0.0, counts.set_at + self._timeout_s - trio.current_time())

    def expected(self, key: str) -> Expected | None:
        """What is waited for; None where nothing was ever expected."""
        counts = self._counts.get(key)
        if counts is None:
            return None
        return Expected(counts.creations, counts.deletions, trio.current_time() - counts.set_at)

    def forget(self, key: str) -> None:
        """The object is gone, and what was expected of its controller with it."""
        self._counts.pop(key, None)

    def __len__(self) -> int:
        """The keys that are remembered."""
        return len(self._counts)

    def _set(self, key: str, creations: int, deletions: int) -> None:
        if creations < 0 or deletions < 0:
            raise ValueError(f"{creations or deletions} writes cannot be expected of {key}: choose 0 or more")
        self._counts[key] = _Counts(creations, deletions, trio.current_time())

    def _change(self, key: str, creations: int, deletions: int) -> None:
        counts = self._counts.get(key)
        if counts is not None:
            counts.creations += creations
            counts.deletions += deletions


@final
class UidExpectations:
    """Expectations whose deletions are told apart: each counts once, however often and by whatever way it is seen.

    A pod that is being deleted is seen several times: with a deletion timestamp, by the deletion itself, as a tombstone. Counting
    each of them would satisfy the controller too early. Use it where `deletion_observed` is called for all of them.

    Memory: as of Expectations, and the ids that have not been observed.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._expectations = Expectations(timeout_s=timeout_s)
        self._unseen: dict[str, set[str]] = {}

    def expect_creations(self, key: str, count: int) -> None:
        """`count` creations are about to be made, and nothing else is waited for any more."""
        self._expectations.expect_creations(key, count)
        self._unseen.pop(key, None)

    def expect_deletions(self, key: str, ids: Iterable[str]) -> None:
        """The objects of these ids are about to be deleted, and nothing else is waited for any more.

        Args:
            ids: what tells the objects apart, the same that `deletion_observed` is to be told: uids, or "namespace/name".
        Raises:
            TypeError: `ids` is one text, whose letters would be waited for.
        """
        if isinstance(ids, str):
            raise TypeError(f"ids is the text {ids!r}: hand in a collection of ids")
        unseen = set(ids)
        self._expectations.expect_deletions(key, len(unseen))
        self._unseen[key] = unseen

    def creation_observed(self, key: str) -> None:
        """A creation came, or its write failed and it will not come."""
        self._expectations.creation_observed(key)

    def deletion_observed(self, key: str, deleted_id: str) -> None:
        """The deletion of `deleted_id` came, or its write failed. Nothing where it was not expected, or is known."""
        unseen = self._unseen.get(key)
        if unseen is not None and deleted_id in unseen:
            unseen.remove(deleted_id)
            self._expectations.deletion_observed(key)

    def unseen_deletions(self, key: str) -> frozenset[str]:
        """The ids whose deletions are waited for."""
        return frozenset(self._unseen.get(key, ()))

    def is_satisfied(self, key: str) -> bool:
        """As of Expectations."""
        return self._expectations.is_satisfied(key)

    def expires_in_s(self, key: str) -> float:
        """As of Expectations."""
        return self._expectations.expires_in_s(key)

    def expected(self, key: str) -> Expected | None:
        """As of Expectations."""
        return self._expectations.expected(key)

    def forget(self, key: str) -> None:
        """The object is gone, and what was expected of its controller with it."""
        self._expectations.forget(key)
        self._unseen.pop(key, None)

    def __len__(self) -> int:
        """The keys that are remembered."""
        return len(self._expectations)
