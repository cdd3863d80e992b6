"""Writing what depends on what is there: read, decide, and write only if nobody came between; else again.

    suggestion ──► decide ──refused──► read anew ──► decide
    or read            │  accepted                     │
                       ▼                               ▼
               txn: If mod(key) = revision ──no──► what the txn read instead ──► decide …

A suggestion, such as a cached object, may be out of date: a refusal on it counts only once a read has shown that it was not.

Source: kubernetes/apiserver pkg/storage/etcd3/store.go (GuaranteedUpdate, conditionalDelete), storage/interfaces.go
(Preconditions.Check).
"""

from __future__ import annotations

import msgspec

from watch import Object, ObjectDecodeError

from .._errors import InvalidObject, KeyNotFound
from .._interface import Preconditions, ResponseMeta, TryUpdate, Update, ValidateDeletion
from ._lease_manager import LeaseManager
from ._protocol import Compare, CompareTarget, DeleteRange, KeyValue, Put, RangeResult
from ._storage_requests import Requests


class Record(msgspec.Struct, frozen=True):
    """What is, or may be, under a key."""

    object: Object | None
    """None: nothing."""
    revision: int
    """0: nothing."""
    is_current: bool
    """False of a suggestion: the store may have moved on."""

    @classmethod
    def of(cls, suggestion: Object) -> Record:
        return cls(suggestion, suggestion.revision, is_current=False)


class Records:
    """Reads and swaps single keys."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    async def read(self, key: str, ignore_not_found: bool = False) -> Record:
        """What is there now.

        Raises:
            KeyNotFound: nothing is, and that was not to be ignored.
            UndecodableObject: it cannot be read.
        """
        return self._record(key, (await self.requests.range("get", key)).kvs, ignore_not_found)

    async def put(self, key: str, record: Record, raw: bytes, lease: int, ignore_not_found: bool) -> int | Record:
        """The revision at which `raw` was put over `record`; or what is there, where `record` is not. Raises as `read`."""
        outcome = await self._swap("update", key, record.revision, Put(key.encode(), raw, lease))
        return outcome if isinstance(outcome, int) else self._record(key, outcome, ignore_not_found)

    async def delete(self, key: str, record: Record) -> int | Record:
        """The revision at which `record` was deleted; or what is there, where `record` is not. Raises as `read`."""
        outcome = await self._swap("delete", key, record.revision, DeleteRange(key.encode()))
        return outcome if isinstance(outcome, int) else self._record(key, outcome, False)

    async def delete_unreadable(self, key: str, preconditions: Preconditions | None) -> None:
        """Delete what cannot be read. Nothing is known of it, so a precondition never holds.

        Raises:
            KeyNotFound: nothing is there.
            InvalidObject: it can be read, perhaps since somebody mended it just now; or there are preconditions.
        """
        kvs = (await self.requests.range("get", key)).kvs
        while True:
            if not kvs:
                raise KeyNotFound(key)
            self._check_unreadable(key, kvs[0])
            check_preconditions(preconditions, key, None)
            outcome = await self._swap("delete", key, kvs[0].mod_revision, DeleteRange(key.encode()))
            if isinstance(outcome, int):
                return
            kvs = outcome

    async def _swap(
        self, operation: str, key: str, revision: int, change: Put | DeleteRange
    ) -> int | tuple[KeyValue, ...]:
        compare = Compare(key.encode(), CompareTarget.MOD, "=", revision)
        result = await self.requests.swap(operation, compare, change)
        if result.succeeded:
            return result.revision
        found = result.responses[0]
        assert isinstance(found, RangeResult), "a range is answered by a RangeResult"
        return found.kvs

    def _check_unreadable(self, key: str, kv: KeyValue) -> None:
        try:
            self.requests.decode(key, kv.value, kv.mod_revision)
        except ObjectDecodeError:
            return
        raise InvalidObject(key, detail="unsafe deletion is not allowed because the object is decodable from storage")

    def _record(self, key: str, kvs: tuple[KeyValue, ...], ignore_not_found: bool) -> Record:
        if kvs:
            kv = kvs[0]
            found = self.requests.read_for_write(key, kv.value, kv.mod_revision)
            return Record(found, kv.mod_revision, is_current=True)
        if not ignore_not_found:
            raise KeyNotFound(key)
        return Record(None, 0, is_current=True)


async def update_record(
    records: Records,
    leases: LeaseManager,
    key: str,
    record: Record,
    try_update: TryUpdate,
    ignore_not_found: bool,
    preconditions: Preconditions | None,
) -> Object:
    """See Interface.guaranteed_update; `record` is where it starts."""
    while True:
        try:
            check_preconditions(preconditions, key, record.object)
        except InvalidObject:
            if record.is_current:
                raise
            record = await records.read(key, ignore_not_found)
            continue
        update = _attempt(record, try_update)
        if isinstance(update, Exception):
            record = await _reconsider(records, key, record, update, ignore_not_found)
            continue
        raw = records.requests.codec.encode(update.value)
        if _is_same(records, record, raw):
            if record.is_current:
                assert record.object is not None, "there is something that is the same"
                return record.object
            record = await records.read(key, ignore_not_found)
            if record.object is None or not records.requests.codec.is_stored_as(record.object, raw):
                continue
            if _is_same(records, record, raw):
                return record.object
        lease = await leases.lease_for(update.ttl_s) if update.ttl_s else 0
        written = await records.put(key, record, raw, lease, ignore_not_found)
        if isinstance(written, int):
            return records.requests.read_for_write(key, raw, written)
        record = written


async def delete_record(
    records: Records,
    key: str,
    record: Record,
    preconditions: Preconditions | None,
    validate: ValidateDeletion | None,
) -> tuple[Object, int]:
    """The object that was deleted, and at which revision; see Interface.delete."""
    while True:
        found = record.object
        assert found is not None, "a missing key has raised KeyNotFound"
        try:
            check_preconditions(preconditions, key, found)
            if validate is not None:
                await validate(found)
        except Exception as error:  # a cancellation is none, and goes through
            if record.is_current:
                raise
            record = await _reconsider(records, key, record, error)
            continue
        outcome = await records.delete(key, record)
        if isinstance(outcome, int):
            return found, outcome
        record = outcome


def check_preconditions(preconditions: Preconditions | None, key: str, found: Object | None) -> None:
    """Return if they hold of `found` (None: nothing is there).

    Raises:
        InvalidObject: one does not; the detail says which.
    """
    if preconditions is None:
        return
    uid, version = (found.uid, found.resource_version) if found is not None else ("", "")
    if preconditions.uid is not None and preconditions.uid != uid:
        raise InvalidObject(
            key,
            detail=f"Precondition failed: UID in precondition: {preconditions.uid}, UID in object meta: {uid}",
        )
    if preconditions.resource_version is not None and preconditions.resource_version != version:
        raise InvalidObject(
            key,
            detail=f"Precondition failed: ResourceVersion in precondition: {preconditions.resource_version}, "
            f"ResourceVersion in object meta: {version}",
        )


def _attempt(record: Record, try_update: TryUpdate) -> Update | Exception:
    """What is to be stored, or why not as far as a suggestion shows. On what is there the reason is raised."""
    try:
        return try_update(record.object, ResponseMeta(record.revision))
    except Exception as error:
        if record.is_current:
            raise
        return error


async def _reconsider(
    records: Records, key: str, record: Record, refusal: Exception, ignore_not_found: bool = False
) -> Record:
    """What is there instead of the suggestion that was refused; raises the refusal where it is the very same."""
    found = await records.read(key, ignore_not_found)
    if found.revision == record.revision:
        raise refusal
    return found


def _is_same(records: Records, record: Record, raw: bytes) -> bool:
    """Whether writing `raw` would change nothing."""
    codec = records.requests.codec
    return record.object is not None and codec.is_stored_as(record.object, raw) and not codec.is_stale(raw)
