"""Between our words and etcd's messages. Decides nothing, keeps nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from ._etcd3 import Message, rpc
from ._protocol import (
    Compare,
    CompareTarget,
    DeleteRange,
    EtcdEvent,
    EventKind,
    KeyValue,
    LeaseResult,
    Operation,
    Put,
    Range,
    RangeResult,
    Txn,
    TxnResult,
    WatchFilter,
    WriteResult,
)

_RESULTS = {"=": 0, ">": 1, "<": 2, "!=": 3}
_TARGETS = {
    CompareTarget.VERSION: (0, "version"),
    CompareTarget.CREATE: (1, "create_revision"),
    CompareTarget.MOD: (2, "mod_revision"),
    CompareTarget.VALUE: (3, "value"),
    CompareTarget.LEASE: (4, "lease"),
}
_FILTERS = {WatchFilter.NO_PUT: 0, WatchFilter.NO_DELETE: 1}
_PUT, _DELETE = EventKind.PUT, EventKind.DELETE

# In one call of C for the six: of what an event costs between the socket and its reader, a sixth is saved.
_MEMBERS: Callable[[Message], tuple[bytes, bytes, int, int, int, int]] = attrgetter(*KeyValue.__struct_fields__)


# --- to etcd ----------------------------------------------------------------------------------------------------------


def range_request(asked: Range) -> Message:
    """A RangeRequest; linearizable."""
    return rpc.RangeRequest(
        key=asked.key,
        range_end=asked.range_end or b"",
        revision=asked.revision,
        limit=asked.limit,
        keys_only=asked.keys_only,
        count_only=asked.count_only,
    )


def put_request(asked: Put) -> Message:
    """A PutRequest."""
    return rpc.PutRequest(key=asked.key, value=asked.value, lease=asked.lease, prev_kv=asked.prev_kv)


def delete_request(asked: DeleteRange) -> Message:
    """A DeleteRangeRequest."""
    return rpc.DeleteRangeRequest(key=asked.key, range_end=asked.range_end or b"", prev_kv=asked.prev_kv)


def txn_request(asked: Txn) -> Message:
    """A TxnRequest, with those inside it."""
    return rpc.TxnRequest(
        compare=[_compare(compare) for compare in asked.compares],
        success=[_operation(operation) for operation in asked.success],
        failure=[_operation(operation) for operation in asked.failure],
    )


def watch_request(
    key: bytes,
    range_end: bytes | None,
    start_revision: int,
    *,
    prev_kv: bool,
    progress_notify: bool,
    filters: Sequence[WatchFilter],
) -> Message:
    """A WatchRequest that opens a watch, and lets etcd cut large responses into fragments."""
    create = rpc.WatchCreateRequest(
        key=key,
        range_end=range_end or b"",
        start_revision=start_revision,
        prev_kv=prev_kv,
        progress_notify=progress_notify,
        filters=[_FILTERS[left_out] for left_out in filters],
        fragment=True,
    )
    return rpc.WatchRequest(create_request=create)


def progress_request() -> Message:
    """A WatchRequest that asks how far the watches of its stream are."""
    return rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())


def _compare(asked: Compare) -> Message:
    target, operand = _TARGETS[asked.target]
    return rpc.Compare(
        key=asked.key,
        range_end=asked.range_end or b"",
        result=_RESULTS[asked.operator],
        target=target,
        **{operand: asked.operand},
    )


def _operation(asked: Operation) -> Message:
    if isinstance(asked, Put):
        return rpc.RequestOp(request_put=put_request(asked))
    if isinstance(asked, DeleteRange):
        return rpc.RequestOp(request_delete_range=delete_request(asked))
    if isinstance(asked, Range):
        return rpc.RequestOp(request_range=range_request(asked))
    return rpc.RequestOp(request_txn=txn_request(asked))


# --- from etcd --------------------------------------------------------------------------------------------------------


def key_value(kv: Message) -> KeyValue:
    """One version of a key."""
    return KeyValue(*_MEMBERS(kv))


def range_result(answer: Message, revision: int = 0) -> RangeResult:
    """Of a RangeResponse. `revision`, here and below: in a transaction, where the answer's own may say nothing."""
    kvs = tuple([KeyValue(*_MEMBERS(kv)) for kv in answer.kvs])
    return RangeResult(kvs, revision or answer.header.revision, answer.count, answer.more)


def put_result(answer: Message, revision: int = 0) -> WriteResult:
    """Of a PutResponse."""
    previous = (key_value(answer.prev_kv),) if answer.HasField("prev_kv") else ()
    return WriteResult(revision or answer.header.revision, 0, previous)


def delete_result(answer: Message, revision: int = 0) -> WriteResult:
    """Of a DeleteRangeResponse."""
    previous = tuple([key_value(kv) for kv in answer.prev_kvs])
    return WriteResult(revision or answer.header.revision, answer.deleted, previous)


def txn_result(answer: Message) -> TxnResult:
    """Of a TxnResponse. etcd gives transactions inside it no revision; it is found out here."""
    revision: int = answer.header.revision
    return _txn_result(answer, revision - _writes(answer), revision)


def _writes(answer: Message) -> bool:
    """Whether a transaction made a revision."""
    for each in answer.responses:
        kind = each.WhichOneof("response")
        if (
            kind == "response_put"
            or (kind == "response_delete_range" and each.response_delete_range.deleted)
            or (kind == "response_txn" and _writes(each.response_txn))
        ):
            return True
    return False


def _txn_result(answer: Message, before: int, after: int) -> TxnResult:
    """`before`: the revision that holds when its first operation begins; `after`: the one that its writes make."""
    responses: list[RangeResult | WriteResult | TxnResult] = []
    for each in answer.responses:
        kind = each.WhichOneof("response")
        if kind == "response_put":
            before = after
            responses.append(put_result(each.response_put, before))
        elif kind == "response_delete_range":
            before = after if each.response_delete_range.deleted else before
            responses.append(delete_result(each.response_delete_range, before))
        elif kind == "response_range":
            responses.append(range_result(each.response_range, before))
        else:
            nested = _txn_result(each.response_txn, before, after)
            before = nested.revision
            responses.append(nested)
    return TxnResult(answer.succeeded, before, tuple(responses))


def lease_granted(answer: Message) -> LeaseResult:
    """Of a LeaseGrantResponse or a LeaseKeepAliveResponse: the time to live has just begun."""
    return LeaseResult(answer.ID, answer.TTL, answer.TTL)


def lease_left(answer: Message) -> LeaseResult:
    """Of a LeaseTimeToLiveResponse."""
    return LeaseResult(answer.ID, answer.TTL, answer.grantedTTL, tuple(answer.keys))


def events(answer: Message) -> list[EtcdEvent]:
    """Of a WatchResponse. Cost: about 1 µs an event, and as much again for the version before."""
    return [
        EtcdEvent(
            _DELETE if told.type else _PUT,
            KeyValue(*_MEMBERS(told.kv)),
            KeyValue(*_MEMBERS(told.prev_kv)) if told.HasField("prev_kv") else None,
        )
        for told in answer.events
    ]
