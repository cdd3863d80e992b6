"""EtcdStorage: Storage.Interface straight over etcd. Every read is a quorum read, every write one transaction.

    create            If mod(key) = 0         Then put
    guaranteed_update If mod(key) = revision  Then put     Else get, and try again   (_storage_update)
    delete            If mod(key) = revision  Then delete  Else get, and try again   (_storage_update)
    get_list          ranges, page by page at one revision                           (_storage_list)
    watch             the state in pages, then an etcd watch                         (_storage_watch)

An object's resource version is its key's mod revision, a list's the revision that was read. It keeps nothing between calls
but the lease that its next short-lived object may hang on.

Source: kubernetes/apiserver pkg/storage/etcd3/store.go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from watch import Object, ObjectDecodeError, TooLargeResourceVersion

from .._codec import Codec, carries_resource_version, read_value
from .._errors import InternalError, KeyExists, KeyNotFound, ResourceVersionSetOnCreate, UnreadableObject
from .._interface import (
    ListOptions,
    ListResult,
    Preconditions,
    Semantics,
    Stats,
    TryUpdate,
    ValidateDeletion,
    Value,
)
from .._keys import check_resource_prefix, prepare_key, prepare_root
from .._metrics import EtcdMetrics, MetricsRegistry
from .._validation import parse_resource_version
from ._compactor import Compactor
from ._lease_manager import LeaseManager
from ._protocol import Compare, CompareTarget, Etcd, Put, prefix_end
from ._storage_list import PAGE_SIZE_MAX, read_list
from ._storage_requests import Requests, corrupt
from ._storage_update import Record, Records, delete_record, update_record
from ._storage_watch import EtcdEventStream, open_stream

if TYPE_CHECKING:
    from random import Random


class EtcdStorage:
    """The objects of one resource in etcd (see Interface).

    Args:
        resource_prefix: what every key starts with, such as `/pods`.
        resource: what messages and metrics call the resource; by default the end of its prefix.
        root: what every key in etcd starts with before that.
        leases, compactor: shared between the storages of one etcd. Without a compactor `compact_revision` stays 0; whoever
            hands one in runs it.
        supports_progress: whether the etcd's progress notifications can be trusted (3.4.31 and on, but 3.5.0 to 3.5.12).
        clock: seconds, for leases and metrics.
        metrics: what counts; one of its own by default.
        random: draws after how many seconds a watch that was too early is to come again.
    Raises:
        InvalidKey: the resource prefix is none.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        resource_prefix: str = "/pods",
        resource: str = "",
        codec: Codec,
        random: Random,
        root: str = "/registry",
        leases: LeaseManager | None = None,
        compactor: Compactor | None = None,
        semantics: Semantics = Semantics.NEWEST,
        supports_progress: bool = True,
        clock: Callable[[], float] = trio.current_time,
        metrics: EtcdMetrics | None = None,
    ) -> None:
        self.etcd = etcd
        self.codec = codec
        self.semantics = semantics
        self.supports_progress = supports_progress
        self._resource_prefix = check_resource_prefix(resource_prefix)
        self._root = prepare_root(root)
        self._name = resource or resource_prefix.strip("/").rpartition("/")[2]
        self.metrics = metrics if metrics is not None else EtcdMetrics(MetricsRegistry(), resource=self._name)
        self._random = random
        self._leases = (
            leases if leases is not None else LeaseManager(etcd, clock=clock, counts=self.metrics.lease_objects)
        )
        self._compactor = compactor
        self._requests = Requests(etcd, codec, self.metrics, clock)
        self._records = Records(self._requests)
        self._streams: dict[EtcdEventStream, None] = {}

    @property
    def resource_prefix(self) -> str:
        """What every key starts with: `/pods`."""
        return self._resource_prefix

    @property
    def prefix(self) -> str:
        """What the resource's keys in etcd start with: `/registry/pods/`."""
        return self.full_key(self._resource_prefix, recursive=True)

    def full_key(self, key: str, *, recursive: bool = False) -> str:
        """Where etcd keeps what the caller calls `key`; with `recursive`, what all keys below it start with.

        Raises:
            InvalidKey: it is no key of this storage.
        """
        return self._root + prepare_key(self._resource_prefix, key, recursive=recursive).removeprefix("/")

    # --- writes -------------------------------------------------------------------------------------------------------

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        """See Interface.create."""
        full = self.full_key(key)
        whole = read_value(value)
        if carries_resource_version(whole):
            raise ResourceVersionSetOnCreate
        raw = self.codec.encode(whole)
        lease = await self._leases.lease_for(ttl_s) if ttl_s else 0
        at = full.encode()
        absent = Compare(at, CompareTarget.MOD, "=", 0)
        result = await self._requests.swap("create", absent, Put(at, raw, lease), read=False)
        if not result.succeeded:
            raise KeyExists(full)
        return self._requests.read_for_write(full, raw, result.revision)

    async def guaranteed_update(
        self,
        key: str,
        try_update: TryUpdate,
        *,
        ignore_not_found: bool = False,
        preconditions: Preconditions | None = None,
        suggestion: Object | None = None,
    ) -> Object:
        """See Interface.guaranteed_update. Never gives up while others write in between: cancel it."""
        full = self.full_key(key)
        record = Record.of(suggestion) if suggestion else await self._records.read(full, ignore_not_found)
        return await update_record(
            self._records, self._leases, full, record, try_update, ignore_not_found, preconditions
        )

    async def delete(
        self,
        key: str,
        *,
        preconditions: Preconditions | None = None,
        validate: ValidateDeletion | None = None,
        suggestion: Object | None = None,
        expect_decode_error: bool = False,
    ) -> Object | None:
        """See Interface.delete. As of v1.22 the object keeps the revision of its last modification."""
        full = self.full_key(key)
        if expect_decode_error:
            await self._records.delete_unreadable(full, preconditions)
            return None
        record = Record.of(suggestion) if suggestion else await self._records.read(full)
        deleted, revision = await delete_record(self._records, full, record, preconditions, validate)
        return deleted if self.semantics is Semantics.V1_22 else deleted.at_revision(revision)

    # --- reads --------------------------------------------------------------------------------------------------------

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """See Interface.get. It is as of now, whatever the resource version."""
        full = self.full_key(key)
        result = await self._requests.range("get", full)
        minimum = parse_resource_version(resource_version)
        if minimum > result.revision:
            raise TooLargeResourceVersion(minimum, result.revision, retry_after_s=0)
        if result.kvs:
            try:
                return self._requests.decode(full, result.kvs[0].value, result.kvs[0].mod_revision)
            except ObjectDecodeError as error:
                raise UnreadableObject(str(corrupt(key, error))) from error
        if ignore_not_found:
            return None
        raise KeyNotFound(full)

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """See Interface.get_list. Cost: O(objects read); with a selector and a limit, all in the range where few match."""
        full = self.full_key(key, recursive=options.recursive)
        resource = f"{self._name}.{self.codec.group}" if self.codec.group else self._name
        return await read_list(self._requests, full, options, resource)

    @asynccontextmanager
    async def watch(self, key: str, options: ListOptions) -> AsyncIterator[EtcdEventStream]:
        """See Interface.watch. It is of the moment of entering; what goes wrong from there on is in the stream."""
        full = self.full_key(key, recursive=options.recursive)
        async with open_stream(self._requests, full, options, self._random) as stream:
            self._streams[stream] = None
            try:
                yield stream
            finally:
                del self._streams[stream]

    async def stats(self) -> Stats:
        """See Interface.stats. Exact. Cost: reads every object, 10,000 at a time, so ask seldom.

        Differs: Kubernetes remembers the sizes that lists and watches told it, and estimates.
        """
        start, end = self.prefix.encode(), prefix_end(self.prefix.encode())
        count = total_bytes = revision = 0
        while True:
            page = await self._requests.range("list", start, end, revision=revision, limit=PAGE_SIZE_MAX)
            revision = revision or page.revision
            count += len(page.kvs)
            total_bytes += sum(len(kv.value) for kv in page.kvs)
            if not page.more:
                break
            start = page.kvs[-1].key + b"\0"
        self.metrics.objects.value, self.metrics.size_estimate_bytes.value = count, total_bytes
        return Stats(count, total_bytes // count if count else 0)

    # --- the store itself ---------------------------------------------------------------------------------------------

    def readiness_check(self) -> None:
        """See Interface.readiness_check. Always ready."""

    async def request_watch_progress(self) -> None:
        """See Interface.request_watch_progress. Asks the watches that were opened with `progress_notify`."""
        await trio.lowlevel.checkpoint()
        for stream in list(self._streams):
            stream.request_progress()

    async def current_resource_version(self) -> int:
        """See Interface.current_resource_version. Cost: a read of one key that is never there."""
        revision = (await self._requests.range("get", self.prefix.removesuffix("/"))).revision
        if not revision:
            raise InternalError("the current resource version must be greater than 0")
        return revision

    def compact_revision(self) -> int:
        """See Interface.compact_revision."""
        return self._compactor.revision if self._compactor is not None else 0
