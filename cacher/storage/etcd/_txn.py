"""What a transaction may say, whatever the store holds: its size, its keys, its compares, no key written twice. Pure.

Source: etcd server/etcdserver/api/v3rpc/key.go, checkTxnRequest and checkIntervals; api/v3rpc/rpctypes for the wording.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence

from ._protocol import (
    Compare,
    CompareTarget,
    DeleteRange,
    DuplicateKeyError,
    InvalidRequestError,
    KeyValue,
    Operation,
    Put,
    Range,
    TooManyOperationsError,
    Txn,
    exclusive_end,
)

# An operator holds where the stored value is below (-1), equal to (0) or above (1) the operand as it lists.
_OPERATORS = {"=": (0,), "!=": (-1, 1), "<": (-1,), ">": (1,)}
_TARGETS: dict[CompareTarget, Callable[[KeyValue], int | bytes]] = {
    CompareTarget.VERSION: operator.attrgetter("version"),
    CompareTarget.CREATE: operator.attrgetter("create_revision"),
    CompareTarget.MOD: operator.attrgetter("mod_revision"),
    CompareTarget.VALUE: operator.attrgetter("value"),
    CompareTarget.LEASE: operator.attrgetter("lease"),
}

_Interval = tuple[bytes, bytes | None]


def check_key(key: bytes) -> None:
    """Every request names a key."""
    if not key:
        raise InvalidRequestError("etcdserver: key is not provided: name at least one byte")


def check_range(request: Range) -> None:
    """Differs: etcd takes a negative limit or revision for 0, which hides mistakes."""
    check_key(request.key)
    if request.limit < 0 or request.revision < 0:
        raise InvalidRequestError(
            f"etcdserver: negative limit {request.limit} or revision {request.revision}: 0 means all, or now"
        )


def check_txn(txn: Txn, *, operations_max: int) -> None:
    """Refuses what no state of the store could make right, in both branches and at every depth.

    Args:
        operations_max: for the compares and for each branch; a transaction inside has what its parent left over.
    Cost: O(puts × deletes), both bounded by `operations_max`.
    """
    _check_shape(txn, operations_max)
    _written(txn.success)
    _written(txn.failure)


def request_bytes(request: Operation) -> int:
    """The bytes of keys and values in a request, as the limit on requests counts them (etcd adds a few of framing)."""
    if isinstance(request, Put):
        return len(request.key) + len(request.value)
    if isinstance(request, Txn):
        compares = sum(len(c.key) + (len(c.operand) if isinstance(c.operand, bytes) else 8) for c in request.compares)
        return compares + sum(map(request_bytes, request.success)) + sum(map(request_bytes, request.failure))
    return len(request.key) + len(request.range_end or b"")


def compare_holds(compare: Compare, kvs: Sequence[KeyValue]) -> bool:
    """True if the compare holds of every one of `kvs`, the keys of its range. Source: server/etcdserver/txn/txn.go."""
    if not kvs:
        # A missing key counts as all zeros; but a missing value is not an empty one, so nothing holds of it.
        if compare.target is CompareTarget.VALUE:
            return False
        kvs = (KeyValue(compare.key, b"", 0, 0, 0),)
    target, holding = _TARGETS[compare.target], _OPERATORS[compare.operator]
    return all(_order(target(kv), compare.operand) in holding for kv in kvs)


def _order(stored: int | bytes, operand: int | bytes) -> int:
    if isinstance(stored, bytes):
        assert isinstance(operand, bytes)
        return (stored > operand) - (stored < operand)
    assert isinstance(operand, int)
    return (stored > operand) - (stored < operand)


def _check_shape(txn: Txn, operations_max: int) -> None:
    count = max(len(txn.compares), len(txn.success), len(txn.failure))
    if count > operations_max:
        raise TooManyOperationsError(
            f"etcdserver: too many operations in txn request: {count}, at most {operations_max}: split it"
        )
    for compare in txn.compares:
        _check_compare(compare)
    for request in (*txn.success, *txn.failure):
        if isinstance(request, Txn):
            _check_shape(request, operations_max - count)
        elif isinstance(request, Range):
            check_range(request)
        else:
            check_key(request.key)


def _check_compare(compare: Compare) -> None:
    check_key(compare.key)
    if compare.operator not in _OPERATORS:
        raise InvalidRequestError(f"etcdserver: compare {compare.operator!r}: use one of {', '.join(_OPERATORS)}")
    wanted = bytes if compare.target is CompareTarget.VALUE else int
    if not isinstance(compare.operand, wanted):
        raise InvalidRequestError(
            f"etcdserver: {compare.target.value} compared with {compare.operand!r}: compare it with {wanted.__name__}"
        )


def _written(branch: Sequence[Operation]) -> tuple[dict[bytes, None], list[_Interval]]:
    """The keys put and the ranges deleted in one branch, at every depth.

    A put may not meet another put, nor a delete, of the same branch. The two branches of a transaction inside exclude
    each other, so they may both put one key. Deletes may overlap: the second finds nothing. As in etcd, a delete in a
    nested transaction is not held against the puts of the nested ones before it: they run in order.

    Differs: a delete with no upper bound counts like any other (etcd up to 3.6 overlooks it, PR #22395).
    """
    puts: dict[bytes, None] = {}
    deletes = [(d.key, exclusive_end(d.key, d.range_end)) for d in branch if isinstance(d, DeleteRange)]
    for nested in branch:
        if isinstance(nested, Txn):
            success_puts, success_deletes = _written(nested.success)
            failure_puts, failure_deletes = _written(nested.failure)
            either = {**success_puts, **failure_puts}
            _refuse_duplicates(either, puts, deletes)
            puts.update(either)
            deletes += success_deletes + failure_deletes
    for request in branch:
        if isinstance(request, Put):
            _refuse_duplicates((request.key,), puts, deletes)
            puts[request.key] = None
    return puts, deletes


def _refuse_duplicates(keys: Iterable[bytes], puts: dict[bytes, None], deletes: list[_Interval]) -> None:
    for key in keys:
        if key in puts or any(start <= key and (end is None or key < end) for start, end in deletes):
            raise DuplicateKeyError(key)
