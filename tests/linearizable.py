"""Whether what clients of an etcd were answered can have happened: in one order, in which nothing is lost, doubled or stale.

Two checks, which share nothing but the operations that they look at:

    faults_by_revision   etcd numbers its writes, so the order is known: each answer is held against the store's own history
                         at its revision, and the revisions against the clock. Exact, and linear in the operations.
    faults_by_search     forgets revisions, and looks for any order of each key's operations that explains all answers and
                         keeps to real time (Wing and Gong, with Lowe's memory of what was tried). It believes no number
                         that etcd tells, and needs no history.

An operation whose answer never came has either happened, once, at any time since it was invoked, or not at all.

Every value is written once, so that it names its write. Every operation tells what it found under its key before it acted
(etcd's prev_kv, or a read in a transaction's other branch), so that a write which nobody saw can be left out of the search.

Source: J. M. Wing and C. Gong, "Testing and Verifying Concurrent Objects" (1993); G. Lowe, "Testing for Linearizability" (2017).
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

STATES_MAX = 2_000_000
"""The search of one key gives up here, loudly: no history of ours comes near it."""


class Act(enum.Enum):
    """What an operation does to its key."""

    READ = "read"
    PUT = "put"
    DELETE = "delete"
    SWAP = "swap"
    """Put, where what is there is `expected`; else only read."""


class Answer(msgspec.Struct, frozen=True):
    """What the store answered."""

    revision: int
    """The answer's: of the write, or, where it wrote nothing, the store's own when it answered."""
    found: bytes | None
    """What was under the key before; None: no key."""
    found_revision: int = 0
    """The mod revision of that; 0: no key."""
    swapped: bool = False
    """SWAP: whether it found what it expected."""


class Operation(msgspec.Struct, frozen=True):
    """One operation of one client. Times are seconds of one clock."""

    client: str
    act: Act
    key: bytes
    invoked_s: float
    returned_s: float = math.inf
    value: bytes | None = None
    """What PUT and SWAP write. No two operations write the same under one key."""
    expected: bytes | None = None
    """SWAP: what has to be there; None: no key."""
    answer: Answer | None = None
    """None: nobody knows whether it happened."""

    @property
    def wrote(self) -> bool:
        """Whether the answer says that it changed the key."""
        if self.answer is None:
            return False
        if self.act is Act.DELETE:
            return self.answer.found is not None
        return self.act is Act.PUT or (self.act is Act.SWAP and self.answer.swapped)

    def __str__(self) -> str:
        told = "no answer" if self.answer is None else f"found {self.answer.found!r} at {self.answer.revision}"
        what = f" {self.value!r}" if self.value is not None else ""
        return (
            f"{self.client}: {self.act.value} {self.key!r}{what} [{self.invoked_s:.4f}, {self.returned_s:.4f}] {told}"
        )


class Change(msgspec.Struct, frozen=True):
    """One change in the store's own history. `value` None: the key was deleted."""

    revision: int
    key: bytes
    value: bytes | None


# --- by revision ------------------------------------------------------------------------------------------------------


def faults_by_revision(operations: Sequence[Operation], history: Sequence[Change]) -> list[str]:
    """What cannot be, in words; nothing: all is well.

    Args:
        history: every change of the store while the operations ran, in order of revision, from an empty store on.
    Cost: O(n log n).
    """
    return [
        *_faults_of_writes(operations, history),
        *_faults_of_answers(operations, history),
        *_faults_of_real_time(operations, history),
    ]


def _faults_of_writes(operations: Sequence[Operation], history: Sequence[Change]) -> Iterator[str]:
    """Every acknowledged write is in the history, where it was said to be; and nothing else is, nor anything twice."""
    at = {(change.revision, change.key): change for change in history}
    if len(at) != len(history):
        yield "the history has two changes of one key at one revision"
    writers = {(op.key, op.value): op for op in operations if op.act in (Act.PUT, Act.SWAP)}
    claimed: dict[tuple[int, bytes], Operation] = {}
    for op in operations:
        if op.wrote:
            assert op.answer is not None
            place = (op.answer.revision, op.key)
            change = at.get(place)
            if change is None or change.value != (None if op.act is Act.DELETE else op.value):
                yield f"lost: the history has {change} for the acknowledged {op}"
            if place in claimed:
                yield f"two writes were acknowledged at one revision of one key: {claimed[place]} and {op}"
            claimed[place] = op
    yield from _faults_of_unclaimed(
        [change for place, change in at.items() if place not in claimed], writers, operations
    )


def _faults_of_unclaimed(
    changes: Sequence[Change], writers: dict[tuple[bytes, bytes | None], Operation], operations: Sequence[Operation]
) -> Iterator[str]:
    """What no acknowledgement explains must be what an unanswered operation did, once."""
    done: set[tuple[bytes, bytes | None]] = set()
    unanswered = Counter(op.key for op in operations if op.act is Act.DELETE and op.answer is None)
    for change in changes:
        name = (change.key, change.value)
        if change.value is None:
            unanswered[change.key] -= 1
            if unanswered[change.key] < 0:
                yield f"doubled, or never asked for: {change}"
        elif name not in writers:
            yield f"nobody wrote {change}"
        elif writers[name].answer is not None or name in done:
            yield f"doubled: {change} comes of {writers[name]}"
        done.add(name)


def _faults_of_answers(operations: Sequence[Operation], history: Sequence[Change]) -> Iterator[str]:
    """What an operation found is what was there: at its revision, or, where it made that revision, just before it."""
    by_key: dict[bytes, list[Change]] = {}
    for change in history:
        by_key.setdefault(change.key, []).append(change)
    for op in operations:
        if op.answer is None:
            continue
        at = op.answer.revision - op.wrote
        there = _latest(by_key.get(op.key, []), at)
        value, revision = (None, 0) if there is None or there.value is None else (there.value, there.revision)
        if (op.answer.found, op.answer.found_revision) != (value, revision):
            yield f"stale or wrong: there was {value!r} of {revision} at {at}, and this was answered: {op}"
        if op.act is Act.SWAP and op.answer.swapped != (value == op.expected):
            yield f"compared wrongly with {op.expected!r}: {op}"


def _latest(changes: Sequence[Change], revision: int) -> Change | None:
    low, high = 0, len(changes)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if changes[middle].revision <= revision else (low, middle)
    return changes[low - 1] if low else None


def _faults_of_real_time(operations: Sequence[Operation], history: Sequence[Change]) -> Iterator[str]:
    """Whoever asks after another was answered gets no older revision, and a write a newer one."""
    timed = [(op, op.answer.revision, op.wrote) for op in operations if op.answer is not None]
    timed += [(op, revision, True) for op, revision in _unanswered_that_happened(operations, history)]
    returned = sorted((row for row in timed if row[0].answer is not None), key=lambda row: row[0].returned_s)
    newest: tuple[int, Operation | None] = (0, None)
    done = 0
    for op, revision, wrote in sorted(timed, key=lambda row: row[0].invoked_s):
        while done < len(returned) and returned[done][0].returned_s < op.invoked_s:
            newest = max(newest, (returned[done][1], returned[done][0]), key=lambda row: row[0])
            done += 1
        if revision < newest[0] + wrote:
            yield f"reordered: {op} is of {revision}, and began after this was answered: {newest[1]}"


def _unanswered_that_happened(
    operations: Sequence[Operation], history: Sequence[Change]
) -> Iterator[tuple[Operation, int]]:
    made = {(change.key, change.value): change.revision for change in reversed(history) if change.value is not None}
    for op in operations:
        if op.answer is None and op.value is not None and (op.key, op.value) in made:
            yield op, made[op.key, op.value]


# --- by search --------------------------------------------------------------------------------------------------------


def faults_by_search(operations: Sequence[Operation]) -> list[str]:
    """The keys whose operations no order explains, each in words; nothing: all is well.

    Keys are independent of each other (linearizability is local), so each is searched by itself.
    Raises:
        RuntimeError: a key's search outgrew STATES_MAX; write to more keys, or for a shorter time.
    Cost: about linear where few operations of a key overlap; exponential in how many do.
    """
    by_key: dict[bytes, list[Operation]] = {}
    for op in operations:
        by_key.setdefault(op.key, []).append(op)
    return [fault for key, ops in by_key.items() if (fault := _fault_of_key(key, ops))]


def _fault_of_key(key: bytes, operations: Sequence[Operation]) -> str:
    seen = {op.answer.found for op in operations if op.answer is not None}
    needed = [op for op in operations if op.answer is not None or _may_matter(op, seen)]
    needed.sort(key=lambda op: op.invoked_s)
    stuck = _search(needed)
    return (
        "" if stuck is None else f"no order of the operations on {key!r} explains all answers; at the latest: {stuck}"
    )


def _may_matter(op: Operation, seen: set[bytes | None]) -> bool:
    """Whether an unanswered operation has to be thought of: not one whose value nobody ever found."""
    return op.act is Act.DELETE or (op.act is not Act.READ and op.value in seen)


def _search(operations: Sequence[Operation]) -> str | None:
    """None: an order was found. Else the operations that could not be placed when the search was furthest.

    Depth first: of those whose invocation is before every return that is not placed yet, any may be next. `tried` has the
    sets of placed operations, with the value that they leave, from which nothing was found.
    """
    answered = sum(1 << number for number, op in enumerate(operations) if op.answer is not None)
    start: tuple[int, bytes | None] = (0, None)
    tried = {start}
    stack = [start]
    furthest, furthest_count = start, -1
    while stack:
        placed, value = stack.pop()
        if placed & answered == answered:
            return None
        if (count := (placed & answered).bit_count()) > furthest_count:
            furthest, furthest_count = (placed, value), count
        for number in _candidates(operations, placed):
            fits, after = _apply(operations[number], value)
            following = (placed | 1 << number, after)
            if fits and following not in tried:
                tried.add(following)
                stack.append(following)
        if len(tried) > STATES_MAX:
            raise RuntimeError(f"over {STATES_MAX} states of one key: write to more keys, or for a shorter time")
    placed, value = furthest
    return f"with {value!r} there, none of " + "; ".join(str(operations[n]) for n in _candidates(operations, placed))


def _candidates(operations: Sequence[Operation], placed: int) -> list[int]:
    """Those not placed that began before any other of them had returned. Operations are in order of invocation."""
    first_return_s = math.inf
    found = []
    number = (~placed & (placed + 1)).bit_length() - 1  # the first that is not placed
    while number < len(operations) and operations[number].invoked_s <= first_return_s:
        if not placed >> number & 1:
            found.append(number)
            first_return_s = min(first_return_s, operations[number].returned_s)
        number += 1
    return [number for number in found if operations[number].invoked_s <= first_return_s]


def _apply(op: Operation, value: bytes | None) -> tuple[bool, bytes | None]:
    """Whether the answer fits `value`, and what is there after."""
    if op.answer is not None and op.answer.found != value:
        return False, None
    if op.act is Act.READ:
        return True, value
    if op.act is Act.DELETE:
        return True, None
    if op.act is Act.PUT:
        return True, op.value
    swaps = value == op.expected
    if op.answer is not None and op.answer.swapped != swaps:
        return False, None
    return True, op.value if swaps else value


def all_faults(operations: Sequence[Operation], history: Iterable[Change]) -> list[str]:
    """What either check finds."""
    return faults_by_revision(operations, list(history)) + faults_by_search(operations)
