"""The history that the matrix of list is asked of, and how one of its rows is asked (`_list_rows` has the rows).

Every row is asked of the same history. Keys in order, and the revisions at which they were written:

    first/bar      r0 created, r6 updated (node n1)
    second/bar     r1
    second/baz     r5 created, r7 deleted
    second/foo     r2
    third/barfoo   r3
    third/foo      r4
    compacted at r0, which is the write r8: nothing below r0 can be read any more

Source: kubernetes/apiserver pkg/storage/testing/store_tests.go, RunTestList.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import msgspec

from watch import Expired, Object, Selector

from .._interface import Match
from ._case import On
from ._expect import continue_token, expect_objects, expect_token, raises, shown
from ._fixture import Fixture

PAGES_TOO_OLD = "The provided continue parameter is too old to display a consistent list result"


class At(enum.IntEnum):
    """A moment of the history, by name; its value is its place in it."""

    W0 = 0
    W1 = 1
    W2 = 2
    W3 = 3
    W4 = 4
    W5 = 5
    UPDATE = 6
    DELETION = 7
    NOW = 8
    BEFORE = -1
    """Before the first write, and compacted."""
    FUTURE = 9
    """One above now."""


class Token(msgspec.Struct, frozen=True):
    """A continue token: go on after a key, at a moment (None: the latest; an int: that very number)."""

    after: str
    at: At | int | None = At.DELETION
    inclusive: bool = False
    """Go on at the key itself."""


class Row(msgspec.Struct, frozen=True):
    """What is asked, and what the answer must be. What is not given is not asked, or does not matter."""

    group: str
    """The row of Kubernetes' matrix that it belongs to."""
    name: str
    path: str = ""
    rv: At | str = ""
    match: str = Match.UNSET
    limit: int = 0
    token: Token | None = None
    fields: str = ""
    shows: str | None = None
    """The objects, by their names below and separated by blanks."""
    may_lag: bool = False
    """A cache may not have caught up; it may show nothing yet, or what was there before."""
    at: At | None = None
    """The list's revision is exactly this."""
    not_before: At | None = None
    goes_on_after: str | None = None
    """There is a continue token, for right after this key (relative to the path)."""
    goes_on: bool = False
    """There is one, and it does not matter for where."""
    remaining: int | None = None
    error: tuple[type[Exception], ...] = ()
    says: str = ""
    on: On = On.ALL


class History(msgspec.Struct, frozen=True):
    """What was written, and when."""

    objects: dict[str, Object]
    """By name: a, b, c, d, e, f as they were created in order, A the updated one."""
    revisions: tuple[int, ...]
    """Of every write, in order, up to now."""

    def revision(self, at: At) -> int:
        """The revision at a moment."""
        if at is At.BEFORE:
            return self.revisions[0] - 1
        return self.revisions[-1] + 1 if at is At.FUTURE else self.revisions[at]

    def named(self, names: str) -> list[Object]:
        """The objects by their names."""
        return [self.objects[name] for name in names.split()]


PATHS = {
    "a": "first/bar",
    "b": "second/bar",
    "c": "second/foo",
    "d": "third/barfoo",
    "e": "third/foo",
    "f": "second/baz",
}
EVERYTHING = "A b c d e"

# What the resource was exactly at each of its writes, in key order.
STATES = {
    At.W0: "a",
    At.W1: "a b",
    At.W2: "a b c",
    At.W3: "a b c d",
    At.W4: "a b c d e",
    At.W5: "a b f c d e",
    At.UPDATE: "A b f c d e",
    At.DELETION: EVERYTHING,
    At.NOW: EVERYTHING,
}


async def write_history(store: Fixture) -> History:
    """Writes the history above."""
    objects = {name: await store.create(path) for name, path in PATHS.items()}
    objects["A"] = await store.set(PATHS["a"], node="n1")
    deleted = await store.drop(PATHS["f"])
    revisions = [objects[name].revision for name in "abcdefA"] + [deleted.revision]
    await store.compact(revisions[0])
    return History(objects, (*revisions, deleted.revision + 1))


async def check_row(store: Fixture, row: Row) -> None:
    """Asks what `row` asks, of a new history."""
    history = await write_history(store)
    wanted: dict[str, Any] = {
        "rv": str(history.revision(row.rv)) if isinstance(row.rv, At) else row.rv,
        "match": row.match,
        "limit": row.limit,
        "token": _token(row.token, history) if row.token else "",
        "fields": row.fields or None,
    }
    if row.error:
        with raises(*row.error, says=row.says) as refused:
            await store.list(row.path, **wanted)
        if row.says == PAGES_TOO_OLD:
            _expect_way_on(refused.error, row)
        return
    page = await store.list(row.path, **wanted)
    if row.on is On.CACHED and not store.is_prompt:
        return  # a cache that is filling itself has the store answer
    _expect_shown(page.objects, row, history, may_lag=row.may_lag and store.is_cached)
    _expect_revision(page.revision, row, history)
    assert page.remaining == row.remaining, f"{page.remaining} are said to remain; {row.remaining} should be"
    _expect_token(page.continue_token, page.revision, row)


def _token(token: Token, history: History) -> str:
    start = token.after if token.inclusive or not token.after else token.after + "\0"
    if token.at is None:
        return continue_token(start, -1)
    return continue_token(start, history.revision(token.at) if isinstance(token.at, At) else token.at)


def _expect_shown(found: Sequence[Object], row: Row, history: History, *, may_lag: bool) -> None:
    assert row.shows is not None, "the row says neither what is shown nor that it is refused"
    wanted = history.named(row.shows)
    if not may_lag:
        expect_objects(found, wanted)
        return
    # Whatever it is, the whole of it was so at some moment.
    selector = Selector.of(fields=row.fields or None)
    moments: list[list[Object]] = [[]]
    for state in STATES.values():
        below = [obj for obj in history.named(state) if f"{obj.namespace}/{obj.name}".startswith(row.path)]
        moments.append([obj for obj in below if selector.matches(obj)])
    assert list(found) in moments, f"{[*map(shown, found)]} never was what this list shows"


def _expect_revision(found: int, row: Row, history: History) -> None:
    if row.at is not None:
        assert found == history.revision(row.at), f"the list is at {found}, not at {history.revision(row.at)}"
    if row.not_before is not None:
        assert found >= history.revision(row.not_before), f"the list is at {found}, below what was asked for"
    assert found > 0, "the list has no revision"


def _expect_token(token: str, revision: int, row: Row) -> None:
    goes_on = row.goes_on or row.goes_on_after is not None
    assert bool(token) is goes_on, f"the continue token is {token!r}"
    if row.goes_on_after is not None:
        expect_token(token, after=row.goes_on_after, revision=revision)


def _expect_way_on(error: Exception, row: Row) -> None:
    """The pages are gone, and the error says how to get the rest all the same."""
    assert isinstance(error, Expired), repr(error)
    assert row.token is not None, "there is no token to go on from"
    expect_token(error.continue_token, after=row.token.after, revision=-1)
