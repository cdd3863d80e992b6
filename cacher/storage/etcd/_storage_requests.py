"""Requests: what a storage asks of etcd, each counted and timed under the operation that it serves, and how it decodes.

Source: kubernetes/apiserver pkg/storage/etcd3/metrics/metrics.go (RecordEtcdRequest).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from watch import Object, ObjectDecodeError

from .._codec import Codec
from .._errors import CorruptObject, InternalError, RequestTooLarge, UndecodableObject
from .._metrics import EtcdMetrics
from ._protocol import Compare, Etcd, Operation, Range, RangeResult, RequestTooLargeError, TxnResult
from ._storage_errors import as_storage_errors


class Requests:
    """Calls `etcd` on behalf of one storage. `clock` gives seconds."""

    def __init__(self, etcd: Etcd, codec: Codec, metrics: EtcdMetrics, clock: Callable[[], float]) -> None:
        self.etcd = etcd
        self.codec = codec
        self.metrics = metrics
        self._clock = clock

    async def range(
        self,
        operation: str,
        key: str | bytes,
        range_end: bytes | None = None,
        *,
        revision: int = 0,
        limit: int = 0,
        count_only: bool = False,
    ) -> RangeResult:
        """See Etcd.range. `operation`: "get" or "list". Raises as `_storage_errors` says."""
        began_at, failed = self._clock(), True
        try:
            with as_storage_errors(_named(key)):
                result = await self.etcd.range(key, range_end, revision=revision, limit=limit, count_only=count_only)
            failed = False
        finally:
            self.metrics.request(operation, self._clock() - began_at, failed=failed)
        return result

    async def _txn(self, compare: Compare, change: Operation, failure: Sequence[Operation]) -> TxnResult:
        try:
            return await self.etcd.txn([compare], [change], failure)
        except RequestTooLargeError as error:
            raise RequestTooLarge from error

    async def swap(self, operation: str, compare: Compare, change: Operation, *, read: bool = True) -> TxnResult:
        """`change` if `compare` holds; else, with `read`, what is under its key. `operation`: "create", "update", "delete".

        Raises as `_storage_errors` says, and RequestTooLarge.
        """
        failure: Sequence[Operation] = [Range(compare.key)] if read else []
        began_at, failed = self._clock(), True
        try:
            with as_storage_errors(_named(compare.key)):
                result = await self._txn(compare, change, failure)
            failed = False
        finally:
            self.metrics.request(operation, self._clock() - began_at, failed=failed)
        return result

    def decode(self, key: str, raw: bytes, revision: int) -> Object:
        """What is stored under the full `key`.

        Raises:
            watch.ObjectDecodeError: it is no object.
        """
        try:
            return self.codec.decode(key, raw, revision)
        except ObjectDecodeError:
            self.metrics.decode_errors.value += 1
            raise

    def read(self, key: str, raw: bytes, revision: int) -> Object:
        """What is stored under the full `key`, for a watch.

        Raises:
            InternalError: it is no object.
        """
        try:
            return self.decode(key, raw, revision)
        except ObjectDecodeError as error:
            raise InternalError(undecodable(error)) from error

    def read_for_write(self, key: str, raw: bytes, revision: int) -> Object:
        """The same, for who writes it or did.

        Raises:
            UndecodableObject: it is no object.
        """
        try:
            return self.decode(key, raw, revision)
        except ObjectDecodeError as error:
            raise UndecodableObject(undecodable(error)) from error


def undecodable(error: ObjectDecodeError) -> str:
    """What Kubernetes says of a value that it cannot read. Source: etcd3/corrupt_obj_deleter.go, corruptObjectError."""
    return f"object not decodable revision={error.revision}: {error.problem}"


def corrupt(key: str, error: ObjectDecodeError) -> CorruptObject:
    """The same as a storage error about `key`."""
    return CorruptObject(key, detail=undecodable(error))


def _named(key: str | bytes) -> str:
    return key if isinstance(key, str) else key.decode("utf-8", "surrogateescape")
