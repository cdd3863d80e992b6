"""What can be asked of an etcd, as data: scripts drawn by Hypothesis, with revisions that are relative to the moment.

A script is a list of steps. Where a step names a revision it has a code, so that the same script is played from any revision
on, and what is interesting (compacted, just written, yet to come) is drawn often:

    0: none (now)      1, 2: two and one ahead of the store's      3: the store's own      4, 5, 6 …: one, two, three before it
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from cacher.storage.etcd import Compare, CompareTarget, DeleteRange, Operation, Put, Range, Txn, WatchFilter

KEYS = (b"a", b"ab", b"b", b"c", b"\xff")
NEVER_GRANTED = 3
TTL_MAX_S = 9_000_000_000


class Call(msgspec.Struct, frozen=True):
    """One request, by the operation of the same name. A txn by itself is a Txn."""

    operation: Operation


class Compact(msgspec.Struct, frozen=True):
    code: int


class Grant(msgspec.Struct, frozen=True):
    lease: int
    ttl_s: int


class Revoke(msgspec.Struct, frozen=True):
    lease: int


class KeepAlive(msgspec.Struct, frozen=True):
    lease: int


class TimeToLive(msgspec.Struct, frozen=True):
    lease: int


class OpenWatch(msgspec.Struct, frozen=True):
    """One more watch."""

    key: bytes
    range_end: bytes | None
    code: int
    prev_kv: bool
    filters: tuple[WatchFilter, ...]


class CloseWatch(msgspec.Struct, frozen=True):
    """Number `which` of those open, counted around; none open: nothing."""

    which: int


class AskProgress(msgspec.Struct, frozen=True):
    """How far one of the open watches is, as for CloseWatch."""

    which: int


Step = Call | Compact | Grant | Revoke | KeepAlive | TimeToLive | OpenWatch | CloseWatch | AskProgress


def revision_of(code: int, now: int) -> int:
    """The revision that a code means when the store is at `now`."""
    return max(1, now + 3 - code) if code else 0


def resolved(operation: Operation, now: int) -> Operation:
    """`operation` with revisions for codes."""
    if isinstance(operation, Range):
        return msgspec.structs.replace(operation, revision=revision_of(operation.revision, now))
    if isinstance(operation, Txn):
        return Txn(
            tuple(_resolved_compare(compare, now) for compare in operation.compares),
            tuple(resolved(inner, now) for inner in operation.success),
            tuple(resolved(inner, now) for inner in operation.failure),
        )
    return operation


def _resolved_compare(compare: Compare, now: int) -> Compare:
    if compare.target in (CompareTarget.MOD, CompareTarget.CREATE):
        assert isinstance(compare.operand, int)
        return msgspec.structs.replace(compare, operand=revision_of(compare.operand, now))
    return compare


_keys = st.sampled_from(KEYS)
_some_keys = st.sampled_from([*KEYS, *KEYS, b""])  # etcd refuses the empty one
_values = st.sampled_from([b"", b"x", b"y"])
_leases = st.sampled_from([0, 0, 0, 1, 2, NEVER_GRANTED])
_codes = st.integers(0, 16)
_past = st.sampled_from([0, 0, 0, *range(1, 16)])
_ranges = st.one_of(
    st.tuples(_some_keys, st.none()),
    st.sampled_from(
        [(b"\0", b"\0"), (b"a", b"c"), (b"a", b"b"), (b"b", b"\0"), (b"c", b"b"), (b"a", b"a"), (b"", b"\0")]
    ),
)
_puts = st.builds(Put, _some_keys, _values, _leases, st.booleans())
_deletes = st.builds(lambda span, prev_kv: DeleteRange(span[0], span[1], prev_kv), _ranges, st.booleans())
_reads = st.builds(
    lambda span, code, limit, flags: Range(span[0], span[1], code, limit, flags[0], flags[1]),
    _ranges,
    _past,
    st.sampled_from([0, 0, 1, 2, 3]),
    st.sampled_from([(False, False), (False, False), (True, False), (False, True), (True, True)]),
)
_numbers = st.tuples(
    st.sampled_from([target for target in CompareTarget if target is not CompareTarget.VALUE]), st.integers(0, 8)
)
_compares = st.builds(
    lambda span, operator, row: Compare(span[0], row[0], operator, row[1], span[1]),
    _ranges,
    st.sampled_from(["=", "!=", "<", ">"]),
    st.one_of(_numbers, st.tuples(st.just(CompareTarget.VALUE), _values)),
)


def _branches(inner: st.SearchStrategy[Operation]) -> st.SearchStrategy[Operation]:
    branch = st.lists(inner, max_size=3).map(tuple)
    return st.builds(Txn, st.lists(_compares, max_size=2).map(tuple), branch, branch)


_flat: st.SearchStrategy[Operation] = st.one_of(_puts, _puts, _deletes, _reads)
_txns = st.recursive(_branches(_flat), lambda nested: _branches(st.one_of(_flat, nested)), max_leaves=4)
_watches = st.builds(
    lambda span, code, prev_kv, filters: OpenWatch(span[0], span[1], code, prev_kv, tuple(filters)),
    _ranges,
    _past,
    st.booleans(),
    st.lists(st.sampled_from(list(WatchFilter)), max_size=1),
)
_granted = st.integers(1, NEVER_GRANTED)

STEPS: st.SearchStrategy[Step] = st.one_of(
    _puts.map(Call),
    _puts.map(Call),
    _deletes.map(Call),
    _deletes.map(Call),
    _reads.map(Call),
    _txns.map(Call),
    _txns.map(Call),
    st.builds(Compact, st.integers(1, 12)),
    st.builds(Grant, st.integers(1, 2), st.sampled_from([60, 3600, TTL_MAX_S, TTL_MAX_S + 1])),
    st.builds(Revoke, _granted),
    st.builds(KeepAlive, _granted),
    st.builds(TimeToLive, _granted),
    _watches,
    _watches,
    st.builds(CloseWatch, st.integers(0, 3)),
    st.builds(AskProgress, st.integers(0, 3)),
)

SCRIPTS = st.lists(STEPS, max_size=30)
