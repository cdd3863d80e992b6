"""Which reads the cache answers and which go to the store: decisions alone, without the reads. Pure.

    a list        ─ should_delegate ─► the store │ the cache, once it has caught up with the store │ the cache as it is
    a cache that is not ready ─ *_when_not_ready ─► the store │ refuse: 429 │ wait
    a watch       ─ plan_watch ─► from which revision, with or without the state before it

The rules of `should_delegate`, by what a list asks for:

    exact        exactly at R: by match, by a continue token, or by an R with a limit (as releases before matches did)
    consistent   not older than the call: R unset, or a continue token that says "latest"
    otherwise    the cache: R is "0", or a lower bound

Source: kubernetes/apiserver pkg/storage/cacher/delegator/interface.go (ShouldDelegateList), delegator.go, cacher.go (Watch).
"""

from __future__ import annotations

import enum

import msgspec

from .storage import ListOptions, Match, Semantics, decode_continue


class CacheView(msgspec.Struct, frozen=True):
    """What of a cache decides."""

    revision: int
    oldest_exact: int | None
    """The lowest revision that the cache can show exactly; None: none (nothing listed yet, or its history is distrusted)."""
    snapshots: bool = True
    """Whether the cache shows past revisions at all."""
    progress: bool = True
    """Whether the store tells on request how far its watch is, so that waiting for a revision makes sense."""


class Delegation(msgspec.Struct, frozen=True):
    """Who answers a list."""

    to_storage: bool
    is_consistent: bool = False
    """It is to be not older than the call: the cache must first reach the store's revision."""


_STORAGE, _CACHE = Delegation(True), Delegation(False)


def is_as_it_is(options: ListOptions) -> bool:
    """Whether a list at "0" with these options reads the present state whole, however old it is: the cache, and no pages."""
    return options.recursive and not options.match and not options.continue_token


def should_delegate(options: ListOptions, cache: CacheView) -> Delegation:
    """Who answers a list with `options`, which have been validated.

    Raises:
        InvalidContinueToken: they have not.
    """
    revision = options.resource_version
    match options.match:
        case Match.EXACT:
            return _exact(options, int(revision or 0), cache)
        case Match.NOT_OLDER_THAN:
            return _CACHE
        case Match.UNSET:
            if options.continue_token:
                return _continued(options, cache)
            if options.limit > 0 and revision not in ("", "0"):
                return _exact(options, int(revision), cache)
            return _consistent(cache) if not revision else _CACHE
        case _:
            return _STORAGE


def _exact(options: ListOptions, revision: int, cache: CacheView) -> Delegation:
    if not options.recursive or not cache.snapshots:
        return _STORAGE
    if revision > cache.revision:
        return _CACHE if cache.progress else _STORAGE
    return _CACHE if cache.oldest_exact is not None and cache.oldest_exact <= revision else _STORAGE


def _continued(options: ListOptions, cache: CacheView) -> Delegation:
    if not options.recursive or not cache.snapshots:
        return _STORAGE
    _, revision = decode_continue(options.continue_token, "/")
    return _exact(options, revision, cache) if revision > 0 else _consistent(cache)


def _consistent(cache: CacheView) -> Delegation:
    return Delegation(not cache.progress, is_consistent=True)


# ---- a cache that is not ready ---------------------------------------------------------------------------------------


class Unready(enum.Enum):
    """What becomes of a read that the cache should answer, and cannot yet."""

    STORAGE = "storage"
    REFUSE = "refuse"
    WAIT = "wait"


def list_when_not_ready(options: ListOptions, semantics: Semantics) -> Unready:
    """V1_22 waits where a lower bound was given. NEWEST refuses all but pages of everything, which the store has cheaply."""
    if semantics is Semantics.V1_22:
        is_exact = options.match == Match.EXACT or options.limit > 0 or options.continue_token
        return Unready.STORAGE if is_exact or options.resource_version in ("", "0") else Unready.WAIT
    return Unready.STORAGE if options.selector.is_everything and options.limit > 0 else Unready.REFUSE


def get_when_not_ready(resource_version: str, semantics: Semantics) -> Unready:
    """A single object never burdens the store; V1_22 waits where a lower bound was given."""
    waits = semantics is Semantics.V1_22 and resource_version not in ("", "0")
    return Unready.WAIT if waits else Unready.STORAGE


def watch_when_not_ready(semantics: Semantics) -> Unready:
    """A watch never falls to the store: thousands would."""
    return Unready.WAIT if semantics is Semantics.V1_22 else Unready.REFUSE


# ---- where a watch starts --------------------------------------------------------------------------------------------


class WatchPlan(msgspec.Struct, frozen=True):
    """How a watch begins."""

    has_state: bool
    """It begins with the present state as ADDED; else with what the history has after its revision."""
    asks_current: bool = False
    """Its revision is the store's own, to be asked for."""
    waits: bool = False
    """The cache must first reach that revision."""
    has_end: bool = False
    """The annotated bookmark follows the state."""


def plan_watch(options: ListOptions, semantics: Semantics) -> WatchPlan:
    """How a watch with `options` begins. V1_22 takes an unset revision for "0"."""
    initial = options.send_initial_events
    is_any = options.resource_version in ("", "0")
    return WatchPlan(
        has_state=initial is True or (initial is None and is_any),
        asks_current=initial is not None and not options.resource_version and semantics is Semantics.NEWEST,
        waits=initial is True,
        has_end=initial is True and options.allow_bookmarks,
    )
