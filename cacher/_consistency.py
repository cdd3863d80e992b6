"""The consistency checker: is the cache at revision R what the store was at R? Asked every few minutes, of every object.

    cache, as it is now ────────────────► revision R, digest ─┐
    store, exactly at R, page by page ──────────► digest ─────┴─► equal? ─► the cache is told, and a metric

A watch that loses a single event leaves a cache wrong until its next list, and nothing else would ever notice. What a failed
check changes: the cache stops answering lists of past revisions from its own history, until a later check finds it right.

Source: kubernetes/apiserver pkg/storage/cacher/delegator.go, consistencyChecker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import Protocol

import msgspec
import trio

from watch import Object, WatchError

from .storage._errors import StatusError, StorageError
from .storage._interface import Interface, ListOptions, ListResult, Match
from .storage._metrics import CacheMetrics

PERIOD_S = 300.0
"""That of etcd's compaction, so that the cache's revision can still be read; ten times what a list may take."""
PERIOD_JITTER = 0.5
"""A period lasts 1 to 1.5 × PERIOD_S, so that the caches of many resources and servers do not all list at once."""
PAGE_SIZE = 10_000
"""Objects a page from the store: what a cache fills itself with."""
SLICE_OBJECTS = 500
"""Objects between two checkpoints: digesting them takes about 1 ms."""

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


def fnv1_64(text: bytes, state: int = FNV_OFFSET) -> int:
    """The 64-bit FNV-1 hash of `text`, continuing from `state`. Cost: O(length), about 60 ns a byte.

    >>> f"{fnv1_64(b'foobar'):x}"
    '340d8765a4dda9c2'
    """
    for byte in text:
        state = (state * FNV_PRIME & _MASK) ^ byte
    return state


def digest_of(objects: Iterable[Object], state: int = FNV_OFFSET) -> int:
    """The digest of a list: FNV-1 over "namespace/name/revision" of each object in order, continuing from `state`."""
    for obj in objects:
        state = fnv1_64(f"{obj.namespace}/{obj.name}/{obj.revision}".encode("utf-8", "surrogateescape"), state)
    return state


class Difference(msgspec.Struct, frozen=True):
    """Where two lists part. None: that list has ended there."""

    index: int
    cached: Object | None
    stored: Object | None

    def __str__(self) -> str:
        return f"object {self.index}: cache has {_named(self.cached)}, store has {_named(self.stored)}"


def first_difference(cached: Sequence[Object], stored: Sequence[Object], start: int = 0) -> Difference | None:
    """Where `cached` from index `start` on and `stored` part first, by namespace, name and revision; None: nowhere.

    A list that goes on where the other ended counts as parting only in `cached` before the end of `stored`: pages of it
    may follow. `end_difference` tells the rest.
    """
    for offset, theirs in enumerate(stored):
        ours = cached[start + offset] if start + offset < len(cached) else None
        if ours is None or _identity(ours) != _identity(theirs):
            return Difference(start + offset, ours, theirs)
    return None


def end_difference(cached: Sequence[Object], stored_count: int) -> Difference | None:
    """What `cached` has after the store's last object, where everything before was equal."""
    return Difference(stored_count, cached[stored_count], None) if len(cached) > stored_count else None


class ConsistencyResult(msgspec.Struct, frozen=True):
    """One comparison that could be made."""

    revision: int
    cache_digest: str
    storage_digest: str
    cached: int
    """Objects in the cache."""
    stored: int
    difference: Difference | None

    @property
    def is_consistent(self) -> bool:
        """Whether both digests agree."""
        return self.cache_digest == self.storage_digest


class MarkConsistent(Protocol):
    """A cache that wants to know whether it can trust its past."""

    def mark_consistent(self, is_consistent: bool, /) -> None:
        """False: serve no list of a past revision from here on. True: begin to again, from now on."""
        ...


class CheckImpossible(Exception):
    """The store did not answer for the revision that it was asked for, so that nothing was compared: check again."""


class ConsistencyChecker:
    """Compares a cache with the store below it, again and again. Starts nothing until `run` is called.

    Args:
        cache: lists at "0" what it has now, and is told the outcome by `mark`.
        storage: what the cache is a copy of; lists exactly at a revision.
        random: draws the length of each period.
    """

    def __init__(
        self,
        cache: Interface,
        storage: Interface,
        *,
        mark: MarkConsistent,
        random: Random,
        metrics: CacheMetrics | None = None,
        period_s: float = PERIOD_S,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._cache = cache
        self._storage = storage
        self._mark = mark
        self._random = random
        self._metrics = metrics
        self._period_s = period_s
        self._page_size = page_size
        self._key = storage.resource_prefix.rstrip("/") + "/"
        self.successes = 0
        self.failures = 0
        self.errors = 0
        self.last: ConsistencyResult | None = None
        """The newest comparison that could be made."""
        self.last_error: Exception | None = None
        """Why the newest check could not be made; None where it could."""

    async def run(self) -> None:
        """Check after each period, the first time after one, until cancelled."""
        while True:
            await trio.sleep(self._period_s * (1 + PERIOD_JITTER * self._random.random()))
            await self.check()

    async def check(self) -> ConsistencyResult | None:
        """Compare once and tell the cache; None where it could not be done, which tells the cache nothing.

        Cost: O(objects), in slices with checkpoints between them; the cache's list is held until the end.
        """
        try:
            self._cache.readiness_check()
            result = await self._compare()
        except (CheckImpossible, WatchError, StatusError, StorageError, trio.BrokenResourceError, OSError) as error:
            self.errors += 1
            self.last_error = error
            self._count("error")
            return None
        self.last, self.last_error = result, None
        if result.is_consistent:
            self.successes += 1
        else:
            self.failures += 1
        self._count("success" if result.is_consistent else "failure")
        self._mark.mark_consistent(result.is_consistent)
        return result

    async def _compare(self) -> ConsistencyResult:
        # The cache first: its revision is then one that the store has reached.
        ours = await self._cache.get_list(self._key, ListOptions(resource_version="0", match=Match.NOT_OLDER_THAN))
        cache_digest = await _digest_in_slices(ours.objects, FNV_OFFSET)
        storage_digest, stored, difference = FNV_OFFSET, 0, None
        page = await self._page(ours.revision, "")
        while True:
            storage_digest = await _digest_in_slices(page.objects, storage_digest)
            difference = difference or first_difference(ours.objects, page.objects, stored)
            stored += len(page.objects)
            if not page.continue_token:
                break
            page = await self._page(ours.revision, page.continue_token)
        return ConsistencyResult(
            revision=ours.revision,
            cache_digest=f"{cache_digest:x}",
            storage_digest=f"{storage_digest:x}",
            cached=len(ours.objects),
            stored=stored,
            difference=difference or end_difference(ours.objects, stored),
        )

    async def _page(self, revision: int, token: str) -> ListResult:
        if token:
            options = ListOptions(continue_token=token, limit=self._page_size)
        else:
            options = ListOptions(resource_version=str(revision), match=Match.EXACT, limit=self._page_size)
        page = await self._storage.get_list(self._key, options)
        if page.revision != revision:
            raise CheckImpossible(f"the store answered at revision {page.revision}, not at {revision}: check again")
        return page

    def _count(self, status: str) -> None:
        if self._metrics is not None:
            self._metrics.consistency_check(status)


async def _digest_in_slices(objects: Sequence[Object], state: int) -> int:
    for start in range(0, len(objects), SLICE_OBJECTS):
        state = digest_of(objects[start : start + SLICE_OBJECTS], state)
        await trio.lowlevel.checkpoint()
    return state


def _identity(obj: Object) -> tuple[str, str, int]:
    return obj.namespace, obj.name, obj.revision


def _named(obj: Object | None) -> str:
    return f"{obj.namespace}/{obj.name} at {obj.revision}" if obj is not None else "nothing"
