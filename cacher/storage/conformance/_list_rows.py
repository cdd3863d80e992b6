"""Cases: the matrix of list, resource version × match × limit × continue × selector: a table, and a case for each row.

`_list_matrix` has the history that they are asked of: the objects a to f, A (a, updated), and the moments of `At`.
Source: kubernetes/apiserver pkg/storage/testing/store_tests.go, RunTestList.
"""

from __future__ import annotations

from typing import Any

from watch import Expired, TooLargeResourceVersion

from .._errors import BadRequest, UnknownMatch
from .._interface import Match
from ._case import On, add_case
from ._fixture import Fixture
from ._list_matrix import EVERYTHING, PAGES_TOO_OLD, PATHS, STATES, At, Row, Token, check_row

FAR_FUTURE = str(2**63 - 1)
TOO_OLD = "The resourceVersion for the provided list is too old"
EXACT, NOT_OLDER = Match.EXACT, Match.NOT_OLDER_THAN
FIRST, SECOND = "first/", "second/"

# How much is asked for, and where from: rows name these.
ALL_NOW: Any = {"shows": EVERYTHING, "at": At.NOW}
PAGE: Any = {"path": SECOND, "limit": 1, "shows": "b", "goes_on_after": "bar", "remaining": 1}
NOT_OLDER_THAN_NOW: Any = {"rv": At.DELETION, "match": NOT_OLDER, "not_before": At.DELETION}
LAST_PAGE: Any = {"fields": "metadata.name=foo", "shows": "e", "at": At.DELETION}


def refused(group: str, name: str, path: str, error: type[Exception], says: str = "", **asked: Any) -> Row:
    """A row that is refused."""
    return Row(group, name, path, error=(error,), says=says, **asked)


RESOURCE_VERSIONS = [
    refused("garbage", "a resource version that is none", "", BadRequest, "invalid resource version", rv="abc"),
    refused("negative", "a negative resource version", "", BadRequest, "invalid resource version", rv="-1"),
    refused(
        "version beside continue",
        "a resource version beside a token",
        "",
        BadRequest,
        "specifying resource version is not allowed when using continue",
        rv="1",
        limit=1,
        token=Token("second/bar"),
    ),
    Row(
        "version beside continue",
        "0 beside a token does not count",
        SECOND,
        rv="0",
        limit=1,
        token=Token("foo", inclusive=True),
        shows="c",
        at=At.DELETION,
    ),
    refused("far future", "a revision far in the future", "", TooLargeResourceVersion, rv=FAR_FUTURE),
    refused("unknown match", "of 0", FIRST, UnknownMatch, "unknown ResourceVersionMatch", rv="0", match="Invalid"),
    refused(
        "unknown match", "of N", FIRST, UnknownMatch, "unknown ResourceVersionMatch", rv=At.BEFORE, match="Invalid"
    ),
    Row("unset", "a prefix", FIRST, shows="A", at=At.NOW),
    Row("unset", "a prefix without its slash", "second", shows="b c", at=At.NOW),
    Row("unset", "another name than the only one", FIRST, fields="metadata.name!=bar", shows="", at=At.NOW),
    Row("unset", "everything", **ALL_NOW),
    Row("zero", "a prefix", FIRST, rv="0", shows="A", may_lag=True),
    Row("zero", "a prefix, not older than", FIRST, rv="0", match=NOT_OLDER, shows="A", may_lag=True),
    Row("zero", "everything", rv="0", shows=EVERYTHING, may_lag=True),
    Row("zero", "one is selected", rv="0", fields="metadata.name=barfoo", limit=2, shows="d", may_lag=True),
    Row("not older", "than long ago", FIRST, rv=At.BEFORE, match=NOT_OLDER, shows="A", may_lag=True),
    Row("not older", "than now", FIRST, shows="A", **NOT_OLDER_THAN_NOW),
    Row("not older", "than now, match unset", FIRST, rv=At.DELETION, shows="A", not_before=At.DELETION),
    Row("not older", "everything", shows=EVERYTHING, **NOT_OLDER_THAN_NOW),
    Row("not older", "everything, match unset", rv=At.DELETION, shows=EVERYTHING, not_before=At.DELETION),
    Row("not older", "another name", FIRST, fields="metadata.name!=bar", shows="", **NOT_OLDER_THAN_NOW),
    refused("not older", "than what is to come", "", TooLargeResourceVersion, rv=At.FUTURE, match=NOT_OLDER),
    Row("nothing there", "a prefix of nothing", "missing/", shows="", at=At.NOW),
    Row("nothing there", "a prefix of nothing at 0", "missing/", rv="0", shows="", not_before=At.BEFORE),
    Row("nested", "a namespace, flat", SECOND, shows="b c", at=At.NOW),
    Row("nested", "a namespace, not older than now", SECOND, shows="b c", **NOT_OLDER_THAN_NOW),
    Row("newest", "the updated version", fields="spec.nodeName=n1", limit=5, shows="A", **NOT_OLDER_THAN_NOW),
    Row("newest", "not what was deleted", fields="metadata.name=baz", limit=5, shows="", **NOT_OLDER_THAN_NOW),
]

LIMITS = [
    Row("limit", "one of two", at=At.NOW, **PAGE),
    Row("legacy exact", "one of two at N", rv=At.DELETION, at=At.DELETION, **PAGE),
    Row("exact", "one of two", rv=At.DELETION, match=EXACT, at=At.DELETION, **PAGE),
    Row("limit, not older", "one of two", **NOT_OLDER_THAN_NOW, **PAGE),
    Row("exact", "a limit, before anything was there", SECOND, rv=At.W0, match=EXACT, limit=1, shows="", at=At.W0),
    Row("exact", "a limit, when all that was there fits", SECOND, rv=At.W1, match=EXACT, limit=1, shows="b", at=At.W1),
    Row("limit at zero", "unset", rv="0", not_before=At.DELETION, on=On.UNCACHED, **PAGE),
    Row("limit at zero", "not older", rv="0", match=NOT_OLDER, not_before=At.DELETION, on=On.UNCACHED, **PAGE),
    # A cache takes no notice of a limit at 0, and returns everything, as Kubernetes' does.
    Row("limit at zero", "a cache knows none", rv="0", limit=1, shows=EVERYTHING, may_lag=True, on=On.CACHED),
]

# The limit that is tried on the state at each moment.
LIMIT_AT = {At.W1: 1, At.W2: 2, At.W3: 4, At.W4: 1, At.W5: 2, At.UPDATE: 4, At.DELETION: 8, At.NOW: 1}


def path_of(name: str) -> str:
    """Where the object of that name is."""
    return PATHS[name.lower()]


def page(group: str, name: str, rest: list[str], limit: int, at: At, **asked: Any) -> Row:
    """A row whose answer is the first `limit` of `rest` (0: all), at `at`."""
    shown, left = (rest[:limit], rest[limit:]) if limit else (rest, [])
    return Row(
        group,
        name,
        limit=limit,
        shows=" ".join(shown),
        at=at,
        goes_on_after=path_of(shown[-1]) if left else None,
        remaining=len(left) or None,
        **asked,
    )


def exact_rows() -> list[Row]:
    """Everything, exactly as it was at each moment: whole, a page, and a page by the rule of old clients."""
    rows = [page("exact", f"at {at.name}", state.split(), 0, at, rv=at, match=EXACT) for at, state in STATES.items()]
    for at, limit in LIMIT_AT.items():
        state = STATES[at].split()
        rows.append(page("exact", f"a page at {at.name}", state, limit, at, rv=at, match=EXACT))
        rows.append(page("legacy exact", f"a page at {at.name}", state, limit, at, rv=at))
    return rows


EXACT_ROWS = [
    Row("exact", "a prefix, now", FIRST, rv=At.DELETION, match=EXACT, shows="A", at=At.DELETION),
    Row("exact", "a prefix before its update", FIRST, rv=At.W0, match=EXACT, shows="a", at=At.W0),
    Row("exact", "a prefix before its creation", SECOND, rv=At.W0, match=EXACT, shows="", at=At.W0),
    Row("exact", "a prefix at its creation", SECOND, rv=At.W1, match=EXACT, shows="b", at=At.W1),
    *exact_rows(),
    refused("exact, compacted", "a prefix", FIRST, Expired, TOO_OLD, rv=At.BEFORE, match=EXACT),
    refused("exact, compacted", "everything", "", Expired, TOO_OLD, rv=At.BEFORE, match=EXACT),
    refused("exact, future", "everything", "", TooLargeResourceVersion, rv=At.FUTURE, match=EXACT),
]


def rest_of(name: str, at: At | None, after: str, limit: int) -> Row:
    """A row that goes on after an object, at a moment (None: the latest)."""
    moment = At.NOW if at is None else at
    rest = [each for each in STATES[moment].split() if path_of(each) > path_of(after)]
    group = "continue at the latest" if at is None else "continue"
    return page(group, name, rest, limit, moment, token=Token(path_of(after), at))


CONTINUED = [
    rest_of("after the only object at W0", At.W0, "a", 1),
    rest_of("after the first at W1", At.W1, "a", 1),
    rest_of("after the second at W2", At.W2, "b", 2),
    rest_of("after the first at W4", At.W4, "a", 1),
    rest_of("after the second at W5, into what was deleted since", At.W5, "b", 2),
    rest_of("after the third at UPDATE", At.UPDATE, "c", 4),
    rest_of("after the first NOW", At.NOW, "a", 1),
    rest_of("after the first", None, "a", 0),
    rest_of("after the first, a page", None, "a", 2),
    rest_of("after the third", None, "c", 0),
    Row(
        "continue", "at the key itself", SECOND, limit=1, token=Token("foo", inclusive=True), shows="c", at=At.DELETION
    ),
    refused("continue, compacted", "a page", "", Expired, PAGES_TOO_OLD, limit=1, token=Token("first/bar", At.BEFORE)),
    refused("broken token", "without a start", "", BadRequest, "invalid continue token", token=Token("")),
    refused("broken token", "of revision 0", "", BadRequest, "invalid continue token", token=Token("first/bar", at=0)),
]


def filtered(name: str, selected: str, limit: int, shows: str, *, goes_on: bool = False) -> list[Row]:
    """A selector and a limit, by a consistent read and by one not older than now. What remains is not told with either."""
    asked: Any = {"fields": f"metadata.name={selected}", "limit": limit, "shows": shows, "goes_on": goes_on}
    return [
        Row("filter and limit", name, at=At.NOW, **asked),
        Row("filter and limit", f"{name}, not older than now", **NOT_OLDER_THAN_NOW, **asked),
    ]


FILTERED = [
    *filtered("one, and a key follows", "barfoo", 1, "d", goes_on=True),
    *filtered("one, and the limit reaches the end", "barfoo", 2, "d"),
    *filtered("two, and keys follow", "bar", 2, "A b", goes_on=True),
    *filtered("two, some pages apart", "foo", 2, "c e"),
    *filtered("two, and the limit is all there is", "foo", 5, "c e"),
    *filtered("one, and the limit is all there is", "barfoo", 5, "d"),
    Row("filter, last page", "not full", limit=2, token=Token("third/barfoo", inclusive=True), **LAST_PAGE),
    Row("filter, last page", "full", limit=1, token=Token("third/barfoo", inclusive=True), **LAST_PAGE),
    Row("filter, last page", "starts at the last", limit=2, token=Token("third/foo", inclusive=True), **LAST_PAGE),
]


def _add_cases() -> None:
    for row in (*RESOURCE_VERSIONS, *LIMITS, *EXACT_ROWS, *CONTINUED, *FILTERED):

        async def check(store: Fixture, row: Row = row) -> None:
            await check_row(store, row)

        doc = f"[9.1 List] [9.1.1 {row.group}] {row.name}"
        add_case(f"list: {row.group}: {row.name}", doc, check, on=row.on, needs_etcd=True)


_add_cases()
