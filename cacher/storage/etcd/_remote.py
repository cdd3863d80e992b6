"""RemoteEtcd: an etcd out there, one server or a cluster, behind the protocol that the embedded one keeps.

    open_remote_etcd ─► RemoteEtcd ─► Connections: endpoints in turn, who we are, patience
                            │              └─ Members: a grpc channel to each
                            └─ watch ─► RemoteWatch: one stream each, resumed

Reads are linearizable. A stopped server, a change of leader or a cut network is a delay, for reads and for watches alike, up
to the client's patience. A write that may have been done when its answer was lost is never sent again: it raises, and
says so (`outcome_unknown`).

Source: etcd api/etcdserverpb/rpc.proto; client/v3 for what is tried again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import trio

from .._nursery import open_service_nursery
from ._endpoints import parse_endpoints
from ._protocol import (
    CompactedError,
    Compare,
    DeleteRange,
    FutureRevisionError,
    InvalidRequestError,
    KeyValue,
    LeaseNotFoundError,
    LeaseResult,
    Operation,
    Put,
    Range,
    RangeResult,
    TooManyRequestsError,
    Txn,
    TxnResult,
    WatchFilter,
    WriteResult,
    exclusive_end,
)
from ._remote_errors import Asked
from ._txn import check_key, check_range, check_txn

if TYPE_CHECKING:
    from random import Random

    from ._connections import Connections
    from ._etcd3 import Message
    from ._members import Certificates, Member
    from ._remote_watch import RemoteWatch

T = TypeVar("T")
Asked_ = TypeVar("Asked_")

PAGE_KEYS = 10_000
"""A range without a limit is read so many keys at a time. Source: kube-apiserver's storageWatchListPageSize."""

REQUEST_TIMEOUT_S = 10.0
"""For one attempt. etcd itself gives up after 7 s."""

PATIENCE_S = 30.0
"""For a call with all its attempts, and for a watch that has no stream: a leader is elected, or a server restarted."""

WATCHES_MAX = 900
"""Each has a thread that waits for it; the rest of THREADS_MAX is for leases that are kept alive."""

_FIRST_KEY = b"\0"
_OPERATIONS_MAX = 2**31  # how many a transaction may have is etcd's to say
_COMPACT_REVISION_S = 2.0
_NOT_ASKED = Asked()


class RemoteEtcd:
    """The store (see Etcd), open until the context of `open_remote_etcd` ends. Made by that function.

    A call that is cancelled returns at once. Whether a write among them was done is then not known, unlike with the
    embedded etcd: the request may be on its way. After closing every call raises trio.ClosedResourceError, and watches
    end with trio.EndOfChannel.

    Beside what the protocol names, every method can raise
        UnavailableError, NoLeaderError, DeadlineError: no endpoint could do it, for as long as patience lasts; or a write
            may have been done (`outcome_unknown`).
        UnauthenticatedError, PermissionDeniedError, NoSpaceError, TooManyRequestsError, ServerError: see each.
    """

    def __init__(self, connections: Connections, nursery: trio.Nursery) -> None:
        from . import _wire
        from ._etcd3 import rpc

        self._wire = _wire
        self._rpc = rpc
        self._connections = connections
        self._nursery = nursery
        self._watches: dict[RemoteWatch, None] = {}

    @property
    def supports_progress(self) -> bool:
        """Whether the progress of watches can be believed: every member's version allows it (see `_version`).

        Where it is False `EtcdWatch.request_progress` is never answered, and consistent reads must go to etcd.
        """
        return self._connections.tells_progress

    @property
    def versions(self) -> dict[str, str]:
        """The version that each endpoint said it has, "" where it has said nothing since it was reached last."""
        return {str(member.endpoint): member.version for member in self._connections.members.all}

    # --- keys ---------------------------------------------------------------------------------------------------------

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
        """See Etcd.range. Never older than the call. Cost: without a limit, a request for each 10,000 keys."""
        end = None if range_end is None else _bytes(range_end)
        asked = Range(_bytes(key), end, revision, limit, keys_only, count_only)
        check_range(asked)
        if not asked.range_end or limit or count_only:
            return await self._range(asked)
        return await self._range_in_pages(asked)

    async def put(self, key: str | bytes, value: str | bytes, *, lease: int = 0, prev_kv: bool = False) -> WriteResult:
        """See Etcd.put."""
        asked = Put(_bytes(key), _bytes(value), lease, prev_kv)
        check_key(asked.key)
        request = _made(self._wire.put_request, asked)
        return await self._call(
            lambda member: member.kv.Put, request, self._wire.put_result, is_write=True, asked=Asked(lease=lease)
        )

    async def delete(
        self, key: str | bytes, range_end: str | bytes | None = None, *, prev_kv: bool = False
    ) -> WriteResult:
        """See Etcd.delete."""
        asked = DeleteRange(_bytes(key), None if range_end is None else _bytes(range_end), prev_kv)
        check_key(asked.key)
        request = _made(self._wire.delete_request, asked)
        return await self._call(lambda member: member.kv.DeleteRange, request, self._wire.delete_result, is_write=True)

    async def txn(
        self, compares: Sequence[Compare] = (), success: Sequence[Operation] = (), failure: Sequence[Operation] = ()
    ) -> TxnResult:
        """See Etcd.txn. One that only reads is tried again as a read is."""
        txn = Txn(tuple(compares), tuple(success), tuple(failure))
        check_txn(txn, operations_max=_OPERATIONS_MAX)
        request = _made(self._wire.txn_request, txn)
        operations = list(_operations(txn))
        asked = Asked(
            max((each.revision for each in operations if isinstance(each, Range)), default=0),
            next((each.lease for each in operations if isinstance(each, Put) and each.lease), 0),
        )
        is_write = any(isinstance(each, Put | DeleteRange) for each in operations)
        return await self._call(
            lambda member: member.kv.Txn, request, self._wire.txn_result, is_write=is_write, asked=asked
        )

    async def compact(self, revision: int) -> None:
        """See Etcd.compact."""
        request = _made(lambda to: self._rpc.CompactionRequest(revision=to), revision)
        await self._call(
            lambda member: member.kv.Compact, request, lambda _: None, is_write=True, asked=Asked(revision)
        )

    # --- leases -------------------------------------------------------------------------------------------------------

    async def lease_grant(self, ttl_s: int, *, lease: int = 0) -> LeaseResult:
        """See Etcd.lease_grant."""
        request = _made(lambda ttl: self._rpc.LeaseGrantRequest(TTL=ttl, ID=lease), ttl_s)
        return await self._call(
            lambda member: member.lease.LeaseGrant,
            request,
            self._wire.lease_granted,
            is_write=True,
            asked=Asked(lease=lease),
        )

    async def lease_revoke(self, lease: int) -> WriteResult:
        """See Etcd.lease_revoke. How many keys went, etcd does not tell: `deleted` is 0."""
        request = _made(lambda number: self._rpc.LeaseRevokeRequest(ID=number), lease)
        return await self._call(
            lambda member: member.lease.LeaseRevoke,
            request,
            lambda answer: WriteResult(answer.header.revision),
            is_write=True,
            asked=Asked(lease=lease),
        )

    async def lease_keep_alive(self, lease: int) -> LeaseResult:
        """See Etcd.lease_keep_alive."""
        request = _made(lambda number: self._rpc.LeaseKeepAliveRequest(ID=number), lease)
        found = await self._connections.stream(
            lambda member: member.lease.LeaseKeepAlive, request, self._wire.lease_granted, asked=Asked(lease=lease)
        )
        if found.ttl_s <= 0:
            raise LeaseNotFoundError(lease)
        return found

    async def lease_time_to_live(self, lease: int, *, keys: bool = False) -> LeaseResult:
        """See Etcd.lease_time_to_live."""
        request = _made(lambda number: self._rpc.LeaseTimeToLiveRequest(ID=number, keys=keys), lease)
        return await self._call(lambda member: member.lease.LeaseTimeToLive, request, self._wire.lease_left)

    # --- watches ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def watch(
        self,
        key: str | bytes,
        range_end: str | bytes | None = None,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        filters: Sequence[WatchFilter] = (),
    ) -> AsyncIterator[RemoteWatch]:
        """See Etcd.watch. From now on means: from the moment of entering, which waits for etcd's answer.

        Entered with a revision it does not wait. Either way it outlives lost connections, see RemoteWatch.
        Raises:
            TooManyRequestsError: 900 watches are open on this client: open another client, or fewer watches.
        """
        from ._remote_watch import RemoteWatch, Spec

        self._connections.check_open()
        if len(self._watches) >= WATCHES_MAX:
            raise TooManyRequestsError(f"{WATCHES_MAX} watches are open here: close some, or open another client")
        end = None if range_end is None else _bytes(range_end)
        spec = Spec(_bytes(key) or _FIRST_KEY, end, start_revision, prev_kv, progress_notify, tuple(filters))
        _check_watch(spec.key, end, start_revision)
        watch = RemoteWatch(self._connections, spec)
        self._watches[watch] = None
        self._nursery.start_soon(watch.follow, name=f"etcd watch {spec.key!r}")
        try:
            if start_revision:
                await trio.lowlevel.checkpoint()
            else:
                await watch.begun()
            yield watch
        finally:
            watch.close()
            self._watches.pop(watch, None)

    def _end_watches(self) -> None:
        for watch in self._watches:
            watch.end()

    # --- what etcd leaves out -----------------------------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[[Member], object],
        request: Message,
        read: Callable[[Message], T],
        *,
        is_write: bool = False,
        asked: Asked = _NOT_ASKED,
    ) -> T:
        """As Connections.call, with the numbers in errors that etcd's words leave out, for the price of asking."""
        try:
            return await self._connections.call(method, request, read, is_write=is_write, asked=asked)
        except CompactedError:
            raise CompactedError(await self._compact_revision(asked.revision)) from None
        except FutureRevisionError:
            raise FutureRevisionError(asked.revision, await self._connections.revision()) from None

    async def _compact_revision(self, asked: int) -> int:
        """What was compacted last: only a watch from before it is told."""
        with trio.move_on_after(_COMPACT_REVISION_S):
            async with self.watch(_FIRST_KEY, start_revision=1) as watch:
                try:
                    await watch.receive()
                except CompactedError as error:
                    return error.compact_revision
        return asked

    async def _range(self, asked: Range) -> RangeResult:
        request = _made(self._wire.range_request, asked)
        return await self._call(
            lambda member: member.kv.Range, request, self._wire.range_result, asked=Asked(asked.revision)
        )

    async def _range_in_pages(self, asked: Range) -> RangeResult:
        """All keys, page after page at the revision of the first; a compaction in between begins it anew."""
        while True:
            first = await self._range(msgspec.structs.replace(asked, limit=PAGE_KEYS))
            pinned = asked.revision or first.revision
            kvs: list[KeyValue] = list(first.kvs)
            page = first
            try:
                while page.more:
                    page = await self._range(
                        msgspec.structs.replace(asked, key=kvs[-1].key + b"\0", revision=pinned, limit=PAGE_KEYS)
                    )
                    kvs += page.kvs
            except CompactedError:
                if asked.revision:
                    raise
                continue
            return RangeResult(tuple(kvs), first.revision, first.count, more=False)


@asynccontextmanager
async def open_remote_etcd(
    endpoints: str | Sequence[str],
    *,
    random: Random,
    cafile: str | Path = "",
    certfile: str | Path = "",
    keyfile: str | Path = "",
    user: str = "",
    password: str = "",
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    patience_s: float = PATIENCE_S,
) -> AsyncIterator[RemoteEtcd]:
    """A client of the etcd at `endpoints` for as long as the context lasts.

    Args:
        endpoints: `http://127.0.0.1:2379`, several of them separated by commas or in a sequence; https with TLS.
        random: draws how long to wait after failures.
        cafile, certfile, keyfile: PEM files: the authorities to trust instead of the system's; our own certificate.
        user, password: who we are, where etcd asks. Tokens are renewed as they run out.
        request_timeout_s: for one attempt.
        patience_s: for a call with all its attempts, for a watch that has no stream, and for the first answer here.
    Raises:
        ValueError: an argument makes no sense; the message says what would.
        OSError: a file cannot be read.
        UnavailableError: no endpoint answered.
        UnauthenticatedError: the user or the password is wrong.
    """
    # Only who talks to a real etcd pays for grpc: 0.2 s, threads, and memory.
    from ._connections import Connections

    found = parse_endpoints(endpoints, has_certificates=bool(cafile or certfile or keyfile))
    if bool(certfile) != bool(keyfile):
        raise ValueError("a certificate and its key belong together: give certfile and keyfile, or neither")
    if bool(user) != bool(password):
        raise ValueError("a user and a password belong together: give both, or neither")
    certificates = _read_certificates(cafile, certfile, keyfile)
    connections = Connections(
        found,
        certificates,
        user=user,
        password=password,
        request_timeout_s=request_timeout_s,
        patience_s=patience_s,
        random=random,
    )
    try:
        await connections.learn_versions()
        if user:
            await connections.log_in()
            await connections.learn_versions()  # from those who tell it only to whom they know
        async with open_service_nursery() as nursery:
            etcd = RemoteEtcd(connections, nursery)
            try:
                yield etcd
            finally:
                connections.hang_up()
                etcd._end_watches()
    finally:
        connections.close()


def _read_certificates(cafile: str | Path, certfile: str | Path, keyfile: str | Path) -> Certificates:
    from ._members import Certificates

    authorities, certificate, key = (Path(file).read_bytes() if file else None for file in (cafile, certfile, keyfile))
    return Certificates(authorities, certificate, key)


def _made(make: Callable[[Asked_], Message], asked: Asked_) -> Message:
    """A message; what does not fit into one, such as a number of more than 64 bits, is the caller's mistake."""
    try:
        return make(asked)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidRequestError(f"the request does not fit etcd's messages: {error}") from error


def _check_watch(key: bytes, range_end: bytes | None, start_revision: int) -> None:
    end = exclusive_end(key, range_end)
    if end is not None and end <= key:
        raise InvalidRequestError(f"mvcc: watcher range is empty: {range_end!r} is not after {key!r}")
    if start_revision < 0:
        raise InvalidRequestError(f"mvcc: negative start revision {start_revision}: 0 means now")


def _operations(txn: Txn) -> Iterator[Put | DeleteRange | Range]:
    """All that it may do, in either branch and at every depth."""
    for each in (*txn.success, *txn.failure):
        if isinstance(each, Txn):
            yield from _operations(each)
        else:
            yield each


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
