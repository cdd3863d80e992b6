"""The words and the small protocol that the embedded etcd and a remote one share.

Names, meanings and errors are etcd's own (api/v3 rpc.proto, kv.proto; server/storage/mvcc). Keys and values are bytes;
`Etcd` methods take str for either and encode it as UTF-8.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class KeyValue(msgspec.Struct, frozen=True, gc=False):
    """One version of one key. A deleted key's tombstone has create_revision, version and lease 0 and an empty value."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


class EventKind(enum.Enum):
    """What became of a key."""

    PUT = "PUT"
    DELETE = "DELETE"


class EtcdEvent(msgspec.Struct, frozen=True, gc=False):
    """One change of one key."""

    kind: EventKind
    kv: KeyValue
    prev_kv: KeyValue | None = None
    """The version before, where the watch asked for it, there was one, and it has not been compacted."""

    @property
    def is_create(self) -> bool:
        return self.kind is EventKind.PUT and self.kv.create_revision == self.kv.mod_revision


class RangeResult(msgspec.Struct, frozen=True):
    """The answer to a Range."""

    kvs: tuple[KeyValue, ...]
    revision: int
    """The store's revision when it answered (the header's), also when an older revision was read."""
    count: int
    """How many keys the range holds at the revision read, whatever the limit."""
    more: bool


class WriteResult(msgspec.Struct, frozen=True):
    """The answer to a put or a deletion."""

    revision: int
    """The revision that this write made; where nothing was deleted, the current one."""
    deleted: int = 0
    prev_kvs: tuple[KeyValue, ...] = ()


class CompareTarget(enum.Enum):
    """Which property of a key a Compare looks at."""

    VERSION = "version"
    CREATE = "create"
    MOD = "mod"
    VALUE = "value"
    LEASE = "lease"


class Compare(msgspec.Struct, frozen=True):
    """`target` of `key` (0 where there is no key) `operator` `operand`. A missing key fails every VALUE compare."""

    key: bytes
    target: CompareTarget
    operator: str
    """One of "=", "!=", "<", ">"."""
    operand: int | bytes
    range_end: bytes | None = None
    """With it, the compare must hold of every key in the range; an empty range counts as one missing key."""


class Put(msgspec.Struct, frozen=True):
    """Write `value` under `key`, attached to `lease` (0: to none, and from any before)."""

    key: bytes
    value: bytes
    lease: int = 0
    prev_kv: bool = False


class DeleteRange(msgspec.Struct, frozen=True):
    """Delete one key, or all of a range."""

    key: bytes
    range_end: bytes | None = None
    prev_kv: bool = False


class Range(msgspec.Struct, frozen=True):
    """Read one key, or a range in key order: now, or as it was at `revision`."""

    key: bytes
    range_end: bytes | None = None
    revision: int = 0
    limit: int = 0
    keys_only: bool = False
    count_only: bool = False


class Txn(msgspec.Struct, frozen=True):
    """A transaction, usable as an operation of another one.

    All compares, also those of transactions inside it, are decided on the state before it. The operations of the branch
    taken run in order, each seeing the writes before it, and all writes share one revision.
    """

    compares: tuple[Compare, ...] = ()
    success: tuple[Operation, ...] = ()
    failure: tuple[Operation, ...] = ()


Operation = Put | DeleteRange | Range | Txn


class TxnResult(msgspec.Struct, frozen=True):
    """Which branch was taken, and the answers to its operations in order."""

    succeeded: bool
    revision: int
    """The revision that it made; where it wrote nothing, the current one."""
    responses: tuple[RangeResult | WriteResult | TxnResult, ...]


class LeaseResult(msgspec.Struct, frozen=True):
    """A lease as the store has it."""

    lease: int
    ttl_s: int
    """The whole seconds granted, or what is left of them; -1 for a lease that does not exist (time_to_live)."""
    granted_ttl_s: int = 0
    keys: tuple[bytes, ...] = ()
    """The keys that hang on the lease, where time_to_live was asked for them; in no promised order."""


class WatchResponse(msgspec.Struct, frozen=True):
    """What arrives at once on a watch: whole revisions, oldest first; no events: a progress notification."""

    events: tuple[EtcdEvent, ...]
    revision: int
    """Everything up to here that concerns this watch has been delivered. Never falls; with events: the last one's."""


class EtcdError(Exception):
    """The family of what etcd answers instead of a result."""


class CompactedError(EtcdError):
    """The revision asked for was compacted: read the present and go on from there."""

    def __init__(self, compact_revision: int) -> None:
        self.compact_revision = compact_revision
        super().__init__(
            f"etcdserver: mvcc: required revision has been compacted (up to {compact_revision}): read at a newer one"
        )


class FutureRevisionError(EtcdError):
    """The revision asked for is yet to come: read at the current one, or wait."""

    def __init__(self, asked: int, current: int) -> None:
        self.asked = asked
        self.current = current
        super().__init__(f"etcdserver: mvcc: required revision is a future revision: {asked}, current {current}")


class LeaseNotFoundError(EtcdError):
    """No such lease, or it has run out: grant one first."""

    def __init__(self, lease: int) -> None:
        self.lease = lease
        super().__init__(f"etcdserver: requested lease not found: {lease}: grant it first")


class LeaseExistsError(EtcdError):
    """The id asked for is taken: choose another, or 0 to be given one."""

    def __init__(self, lease: int) -> None:
        self.lease = lease
        super().__init__(f"etcdserver: lease already exists: {lease}: choose another id, or 0 to be given one")


class DuplicateKeyError(EtcdError):
    """A transaction would write one key twice: write it once."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        super().__init__(f"etcdserver: duplicate key given in txn request: {key!r}: write each key once")


class InvalidRequestError(EtcdError):
    """The request makes no sense (an empty key, a negative limit, too many operations); the message says what would."""


class RequestTooLargeError(InvalidRequestError):
    """The request is larger than etcd's --max-request-bytes (1.5 MiB): write less, or less at once."""


class EtcdWatch(Protocol):
    """An open watch."""

    async def receive(self) -> WatchResponse:
        """The next response. Cancelled, it has taken nothing: the response is still there for the next call.

        Raises:
            CompactedError: the revisions wanted next were compacted; the watch is over. `compact_revision` is the
                lowest revision that a watch may start from now; what was missed can only be learnt by reading.
            trio.EndOfChannel: the server ended the watch.
            trio.BrokenResourceError: the connection was lost.
            trio.BusyResourceError: another task is receiving from this watch.
            trio.ClosedResourceError: the watch's context was left.
        """
        ...

    def request_progress(self) -> None:
        """Ask for a response without events that says how far this watch is. It may be lost: ask again until heard.

        Never answered while the watch is behind, nor before the store has reached the watch's `start_revision`.
        """
        ...


class WatchFilter(enum.Enum):
    """Events that a watch leaves out."""

    NO_PUT = "NOPUT"
    NO_DELETE = "NODELETE"


class Etcd(Protocol):
    """The store, wherever it runs. `range_end`: None: the one key; b"\\0": all keys from `key` on; else exclusive.

    Every method can raise InvalidRequestError (the request makes no sense: change it) and trio.ClosedResourceError.
    """

    async def range(
        self,
        key: str | bytes,
        range_end: str | bytes | None = None,
        *,
        revision: int = 0,
        limit: int = 0,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> RangeResult:
        """The keys of the range in key order, at most `limit` of them (0: all), as they were at `revision` (0: now).

        Raises:
            CompactedError: `revision` is below the compact revision (at it is well); read at a newer one.
            FutureRevisionError: `revision` is yet to come.
        """
        ...

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """Write one key. It hangs on `lease` afterwards, and on none with 0, whatever it hung on before.

        Raises:
            LeaseNotFoundError: no such lease; grant it first.
        """
        ...

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """Delete the keys of the range under one revision; none of them there: no revision is made."""
        ...

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """Run `success` if all `compares` hold, else `failure`, as one step under one revision.

        Raises:
            DuplicateKeyError: a branch writes one key twice.
            LeaseNotFoundError, CompactedError, FutureRevisionError: from an operation of the branch; nothing was done.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget what only reads below `revision`, and watches from below it, would need.

        Raises:
            CompactedError: that far has been compacted already.
            FutureRevisionError: `revision` is yet to come.
        """
        ...

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """A lease for `ttl_s` seconds (or the server's minimum), with the id `lease` (0: the server chooses).

        Raises:
            LeaseExistsError: the id is taken.
        """
        ...

    async def lease_revoke(self, lease: int) -> WriteResult:
        """End the lease and delete its keys, in key order, under one revision (no keys: no revision).

        Raises:
            LeaseNotFoundError: no such lease.
        """
        ...

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """Start the lease's time to live anew.

        Raises:
            LeaseNotFoundError: no such lease, or it has run out.
        """
        ...

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """What is left of the lease; `ttl_s` is -1 where there is no such lease."""
        ...

    def watch(
        self,
        key: str | bytes,
        range_end: str | bytes | None = None,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        filters: Sequence[WatchFilter] = (),
    ) -> AbstractAsyncContextManager[EtcdWatch]:
        """Changes from `start_revision` on (inclusive; 0: from now on; a future one: nothing before it).

        A revision that was compacted shows at `receive`, not here. `progress_notify`: say every so often how far the
        watch is, also where nothing happens. An empty key means b"\\0", the first one.
        """
        ...


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` of all keys that start with `prefix`; b"\\0" (no end) where it has no successor."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else b"\0"


def exclusive_end(key: bytes, range_end: bytes | None) -> bytes | None:
    """The first key after the range that `key` and `range_end` name, as a plain bound; None: there is none."""
    if not range_end:
        return key + b"\0"
    return None if range_end == b"\0" else range_end
