"""Who answers a read, decided by a table written down by hand beside the code's own."""

from __future__ import annotations

from itertools import product

import pytest

from cacher._delegation import (
    CacheView,
    Delegation,
    Unready,
    get_when_not_ready,
    list_when_not_ready,
    plan_watch,
    should_delegate,
    watch_when_not_ready,
)
from cacher.storage import ListOptions, Semantics, encode_continue
from watch import Selector

NEWEST, V1_22 = Semantics.NEWEST, Semantics.V1_22
OLDEST, CURRENT = 5, 8
TOKENS = {"": "", **{str(at): encode_continue("/p/a\0", "/p/", at) for at in (1, 5, 8, 9, -1)}}

# match        token  limit  rv      what it is; the first row that fits decides
ROWS = """
  Exact        *      *      *       exact rv
  NotOlderThan *      *      *       cache
  Nonsense     *      *      *       store
  -            1      *      *       exact 1
  -            5      *      *       exact 5
  -            8      *      *       exact 8
  -            9      *      *       exact 9
  -            -1     *      *       latest
  -            -      *      -       consistent
  -            -      *      0       cache
  -            -      no     *       cache
  -            -      yes    *       exact rv
"""

# snapshots progress recursive at       answer
EXACT = """
  no        *        *         *        store
  *         *        no        *        store
  yes       no       yes       later    store
  yes       yes      yes       later    cache
  yes       *        yes       known    cache
  yes       *        yes       older    store
"""


def fits(row: list[str], *seen: str) -> bool:
    return all(want in ("*", got or "-") for want, got in zip(row, seen, strict=False))


def first(table: str, *seen: str) -> str:
    rows = [line.split(maxsplit=len(seen)) for line in table.strip().splitlines()]
    return next(row[-1] for row in rows if fits(row, *seen))


def yes(flag: object) -> str:
    return "yes" if flag else "no"


def expected(options: ListOptions, token: str, *, snapshots: bool, progress: bool) -> Delegation:
    what = first(ROWS, options.match, token, yes(options.limit), options.resource_version)
    consistent = Delegation(to_storage=not progress, is_consistent=True)
    if what == "consistent":
        return consistent
    if what == "latest":
        return consistent if snapshots and options.recursive else Delegation(True)
    if what.startswith("exact"):
        at = int(what[6:]) if what != "exact rv" else int(options.resource_version or 0)
        when = "later" if at > CURRENT else "known" if at >= OLDEST else "older"
        what = first(EXACT, yes(snapshots), yes(progress), yes(options.recursive), when)
    return Delegation(what == "store")


@pytest.mark.parametrize("snapshots", [True, False])
@pytest.mark.parametrize("progress", [True, False])
def test_every_combination_of_options_is_answered_by_whom_the_table_says(snapshots, progress):
    """[9.3 TestShouldDelegateList] The full product, of combinations that no validation lets through too."""
    view = CacheView(CURRENT, OLDEST, snapshots=snapshots, progress=progress)
    seen = set()
    for rv, match, token, limit, recursive in product(
        ("", "0", "1", "4", "5", "8", "9"), ("", "Exact", "NotOlderThan", "Nonsense"), TOKENS, (0, 100), (True, False)
    ):
        options = ListOptions(
            resource_version=rv, match=match, continue_token=TOKENS[token], limit=limit, recursive=recursive
        )
        wanted = expected(options, token, snapshots=snapshots, progress=progress)
        assert should_delegate(options, view) == wanted, options
        seen.add((wanted.to_storage, wanted.is_consistent))
    assert (False, False) in seen
    assert (not progress, True) in seen


def test_nothing_is_known_exactly_before_the_first_list():
    view = CacheView(0, None)
    assert should_delegate(ListOptions(resource_version="0", match="Exact"), view).to_storage
    assert not should_delegate(ListOptions(resource_version="7", match="Exact"), view).to_storage, "it is waited for"


# ---- not ready -------------------------------------------------------------------------------------------------------

PODS_OF_A = Selector.of("a")
WEB = Selector.of(labels="app=web")
STORAGE, REFUSE, WAIT = Unready.STORAGE, Unready.REFUSE, Unready.WAIT


@pytest.mark.parametrize(
    ("options", "newest", "v1_22"),
    [
        (ListOptions(), REFUSE, STORAGE),
        (ListOptions(limit=500), STORAGE, STORAGE),
        (ListOptions(resource_version="0"), REFUSE, STORAGE),
        (ListOptions(resource_version="0", limit=500), STORAGE, STORAGE),
        (ListOptions(resource_version="7"), REFUSE, WAIT),
        (ListOptions(resource_version="7", limit=500), STORAGE, STORAGE),
        (ListOptions(resource_version="7", match="NotOlderThan"), REFUSE, WAIT),
        (ListOptions(resource_version="7", match="Exact"), REFUSE, STORAGE),
        (ListOptions(limit=500, selector=WEB), REFUSE, STORAGE),
        (ListOptions(limit=500, selector=PODS_OF_A), REFUSE, STORAGE),
        (ListOptions(resource_version="7", selector=WEB), REFUSE, WAIT),
        (ListOptions(continue_token=TOKENS["5"]), REFUSE, STORAGE),
    ],
)
def test_a_list_of_a_cache_that_is_not_ready(options, newest, v1_22):
    assert (list_when_not_ready(options, NEWEST), list_when_not_ready(options, V1_22)) == (newest, v1_22)


def test_a_get_and_a_watch_of_a_cache_that_is_not_ready():
    assert [get_when_not_ready(rv, NEWEST) for rv in ("", "0", "7")] == [STORAGE] * 3
    assert [get_when_not_ready(rv, V1_22) for rv in ("", "0", "7")] == [STORAGE, STORAGE, WAIT]
    assert (watch_when_not_ready(NEWEST), watch_when_not_ready(V1_22)) == (REFUSE, WAIT)


# ---- where a watch starts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bookmarks", [True, False])
@pytest.mark.parametrize("initial", [None, True, False])
@pytest.mark.parametrize("rv", ["", "0", "95"])
def test_the_revision_that_a_watch_starts_from(rv, initial, bookmarks):
    """[9.3 TestGetWatchCacheResourceVersion] The store's own is asked for where none is set but initial events are spoken of."""
    options = ListOptions(resource_version=rv, send_initial_events=initial, allow_bookmarks=bookmarks)
    plan = plan_watch(options, NEWEST)
    assert plan.asks_current is (rv == "" and initial is not None)
    assert plan.waits is (initial is True)
    assert not plan_watch(options, V1_22).asks_current, "v1.22 takes it for '0'"


@pytest.mark.parametrize(
    ("rv", "initial", "bookmarks", "has_state", "has_end"),
    [
        ("", None, False, True, False),
        ("", None, True, True, False),
        ("", True, True, True, True),
        ("", True, False, True, False),
        ("", False, False, False, False),
        ("", False, True, False, False),
        ("0", None, False, True, False),
        ("0", None, True, True, False),
        ("0", True, True, True, True),
        ("0", True, False, True, False),
        ("0", False, False, False, False),
        ("0", False, True, False, False),
        ("95", None, False, False, False),
        ("95", None, True, False, False),
        ("95", True, True, True, True),
        ("95", True, False, True, False),
        ("95", False, False, False, False),
        ("95", False, True, False, False),
    ],
)
def test_whether_a_watch_begins_with_the_state_and_is_told_its_end(rv, initial, bookmarks, has_state, has_end):
    """[9.3 TestGetBookmarkAfterResourceVersionLockedFunc] Told for initial events with bookmarks, in no other of the cases."""
    options = ListOptions(resource_version=rv, send_initial_events=initial, allow_bookmarks=bookmarks)
    plan = plan_watch(options, NEWEST)
    assert (plan.has_state, plan.has_end) == (has_state, has_end)
