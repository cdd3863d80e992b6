"""A TappedEtcd: an etcd that passes everything on, notes what was read, and lets a case come between a read and a write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from ..etcd import (
    Compare,
    Etcd,
    EtcdWatch,
    LeaseResult,
    Operation,
    Range,
    RangeResult,
    TxnResult,
    WatchFilter,
    WriteResult,
)


class TappedEtcd:
    """Another Etcd, seen through. A storage that stands on one can be asked what it reads, and be interrupted.

    `reads` holds the requests since it was last cleared: it grows with what is read, so it is for tests alone.
    """

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self.reads: list[Range] = []
        self.before_txn: Callable[[], Awaitable[None]] | None = None
        """Awaited once, when the next transaction is about to be sent."""

    @property
    def revision(self) -> int:
        return self._etcd.revision

    @property
    def supports_progress(self) -> bool:
        return self._etcd.supports_progress

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
        """See Etcd.range; noted in `reads`."""
        end = None if range_end is None else _bytes(range_end)
        self.reads.append(Range(_bytes(key), end, revision, limit, keys_only, count_only))
        return await self._etcd.range(
            key, range_end, revision=revision, limit=limit, keys_only=keys_only, count_only=count_only
        )

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Etcd.put."""
        return await self._etcd.put(key, value, lease=lease, prev_kv=prev_kv)

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """See Etcd.delete."""
        return await self._etcd.delete(key, range_end, prev_kv=prev_kv)

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """See Etcd.txn; `before_txn` comes first."""
        if self.before_txn is not None:
            intervene, self.before_txn = self.before_txn, None
            await intervene()
        return await self._etcd.txn(compares, success, failure)

    async def compact(self, revision: int) -> None:
        """See Etcd.compact."""
        await self._etcd.compact(revision)

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """See Etcd.lease_grant."""
        return await self._etcd.lease_grant(ttl_s, lease=lease)

    async def lease_revoke(self, lease: int) -> WriteResult:
        """See Etcd.lease_revoke."""
        return await self._etcd.lease_revoke(lease)

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """See Etcd.lease_keep_alive."""
        return await self._etcd.lease_keep_alive(lease)

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """See Etcd.lease_time_to_live."""
        return await self._etcd.lease_time_to_live(lease, keys=keys)

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
        """See Etcd.watch."""
        return self._etcd.watch(
            key,
            range_end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            filters=filters,
        )


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
