"""A Case: one promise of Storage.Interface as an async function, and CASES, the list of them all.

A case is written as a function of a Fixture whose docstring's first line says which row of Kubernetes' own storage tests
it stands for, as in `[9.1 Create] a new object ...`; `docs/conformance.md` is made from these tags.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
import trio

from ._fixture import Fixture

CASE_S = 1200.0
"""The longest that a case may take; on a virtual clock it costs nothing. It is what ends a case that hangs."""

_TAG = re.compile(r"\[(9\.\d(?:\.\d)? [^\]]+)\]")

Check = Callable[[Fixture], Awaitable[None]]
OpenStorage = Callable[[], AbstractAsyncContextManager[Fixture]]
"""Opens a new, empty storage; the case has it to itself."""


class On(enum.Enum):
    """Which storages a case is about."""

    ALL = "all"
    CACHED = "cached"
    UNCACHED = "uncached"


class Case(msgspec.Struct, frozen=True):
    """One promise, to be awaited with a Fixture. It raises AssertionError, saying what was expected, where it is broken."""

    name: str
    rows: tuple[str, ...]
    """The rows of Kubernetes' tests that it stands for: `9.1 Create`."""
    promise: str
    check: Check
    on: On = On.ALL
    needs_etcd: bool = False
    """It must reach the etcd behind the storage: to spoil a value, to compact, to come between a read and a write."""

    async def __call__(self, store: Fixture) -> None:
        """Checks `store`, which must be new.

        Raises:
            AssertionError: the promise is broken.
            trio.TooSlowError: it did not come to an end within 20 minutes.
        """
        with trio.fail_after(CASE_S):
            await self.check(store)

    def runs_on(self, *, is_cached: bool, has_etcd: bool = True) -> bool:
        """Whether the promise is about such a storage."""
        if self.needs_etcd and not has_etcd:
            return False
        return self.on is On.ALL or (self.on is On.CACHED) is is_cached

    def __str__(self) -> str:
        return self.name


CASES: list[Case] = []
"""Every case, in the order of the files; a test runner takes them as parameters."""


def case(*, on: On = On.ALL, needs_etcd: bool = False) -> Callable[[Check], Check]:
    """Adds a function to CASES under its own name."""

    def add(check: Check) -> Check:
        add_case(check.__name__, check.__doc__ or "", check, on=on, needs_etcd=needs_etcd)
        return check

    return add


def add_case(name: str, doc: str, check: Check, *, on: On = On.ALL, needs_etcd: bool = False) -> None:
    """Adds one case; a table makes its rows into cases with it."""
    line = doc.strip().partition("\n")[0]
    rows = tuple(_TAG.findall(line))
    assert rows, f"the docstring of {name} does not begin with the row that it stands for"
    assert all(other.name != name for other in CASES), f"two cases are called {name}"
    CASES.append(Case(name, rows, _TAG.sub("", line).strip(), check, on, needs_etcd))


async def run(
    open_storage: OpenStorage, *, is_cached: bool = False, has_etcd: bool = True, cases: Sequence[Case] = CASES
) -> int:
    """Runs every case that is about such a storage, each on a new one; how many there were.

    Raises:
        ExceptionGroup: of what the broken ones raised, each with the case's name and row as a note.
    """
    applicable = [each for each in cases if each.runs_on(is_cached=is_cached, has_etcd=has_etcd)]
    broken: list[Exception] = []
    for each in applicable:
        try:
            async with open_storage() as store:
                await each(store)
        except Exception as error:  # noqa: BLE001 - raised again below, with all others
            error.add_note(f"{', '.join(each.rows)}: {each.name}")
            broken.append(error)
    if broken:
        raise ExceptionGroup(f"{len(broken)} of {len(applicable)} cases are broken", broken)
    return len(applicable)
