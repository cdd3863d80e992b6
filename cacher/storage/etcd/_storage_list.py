"""Lists over etcd: ranges, page after page at one revision, until the limit is full or the range is empty.

With a limit and a selector a page may hold too few that match; the next one is twice as large, up to 10,000. The
continue token names the key after the last one that was looked at, so that a page neither repeats nor skips.

Source: kubernetes/apiserver pkg/storage/etcd3/store.go (GetList), storage/continue.go (PrepareContinueToken).
"""

from __future__ import annotations

import trio

from watch import Expired, Object, ObjectDecodeError, TooLargeResourceVersion

from .._continue_token import LATEST, encode_continue
from .._errors import CAUSES_MAX, InternalError, StorageReadError
from .._interface import ListOptions, ListResult
from .._validation import ListPlan, plan_list
from ._protocol import CompactedError, FutureRevisionError, KeyValue, RangeResult, prefix_end
from ._storage_requests import Requests, corrupt

PAGE_SIZE_MAX = 10_000
"""What doubling stops at, and what is read at once of a whole state. A caller's own limit may be higher. Source: maxLimit."""

OBJECTS_A_STEP = 1_000
"""How many objects are decoded before others get a turn: about 3 ms."""

LIST_EXPIRED = "The resourceVersion for the provided list is too old."
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter."
)
CONTINUE_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


async def read_list(requests: Requests, prefix: str, options: ListOptions, resource: str) -> ListResult:
    """What `options` ask for of the keys under `prefix`, or of the one key `prefix` where they are not recursive.

    Args:
        resource: its name and group, for messages: `deployments.apps`.
    Raises:
        as Interface.get_list.
    """
    plan = plan_list(prefix, options)
    reading = _Reading(requests, prefix, options, plan, resource)
    try:
        return await reading.run()
    finally:
        reading.count()


class _Reading:
    """One list on its way."""

    def __init__(self, requests: Requests, prefix: str, options: ListOptions, plan: ListPlan, resource: str) -> None:
        self._requests = requests
        self._prefix = prefix
        self._options = options
        self._plan = plan
        self._resource = resource
        self._limit = max(0, options.limit)
        self._matches = options.selector.compile()
        self._revision = plan.revision
        self._start = plan.start_key or prefix
        self._last_key = ""
        self._objects: list[Object] = []
        self._unreadable: list[tuple[str, str]] = []
        self._fetched = self._decoded = 0

    async def run(self) -> ListResult:
        page_size = self._limit
        while True:
            page = await self._read_page(page_size)
            has_more = await self._take(page)
            if not has_more or not self._limit or len(self._objects) >= self._limit:
                break
            self._start = self._last_key + "\0"
            # Once more than PAGE_SIZE_MAX was asked for, that many are read each time.
            page_size = max(page_size, min(2 * page_size, PAGE_SIZE_MAX))
        if self._unreadable:
            raise self._read_error(is_complete=True)
        return self._result(page, has_more)

    def count(self) -> None:
        """Note in the metrics what it cost."""
        self._requests.metrics.lists.listed(fetched=self._fetched, evaluated=self._decoded, returned=len(self._objects))

    async def _read_page(self, limit: int) -> RangeResult:
        end = prefix_end(self._prefix.encode()) if self._options.recursive else None
        start = self._start.encode("utf-8", "surrogateescape")
        try:
            page = await self._requests.range("list", start, end, revision=self._revision, limit=limit)
        except FutureRevisionError as error:
            raise TooLargeResourceVersion(self._plan.revision, error.current, retry_after_s=0) from error
        except CompactedError as error:
            raise self._expired(error.compact_revision) from error
        if self._plan.minimum > page.revision:
            raise TooLargeResourceVersion(self._plan.minimum, page.revision, retry_after_s=0)
        if page.more and not page.kvs:
            raise InternalError("no results were found, but etcd indicated there were more values remaining")
        self._revision = self._revision or page.revision
        self._fetched += len(page.kvs)
        return page

    async def _take(self, page: RangeResult) -> bool:
        """Add what matches, up to the limit; True where keys are left that were not looked at."""
        full = self._limit or len(page.kvs) + len(self._objects)
        for index, kv in enumerate(page.kvs):
            if len(self._objects) >= full:
                return True
            if index % OBJECTS_A_STEP == OBJECTS_A_STEP - 1:
                await trio.lowlevel.checkpoint()
            self._look_at(kv)
        return page.more

    def _look_at(self, kv: KeyValue) -> None:
        key = self._last_key = text(kv.key)
        try:
            found = self._requests.decode(key, kv.value, kv.mod_revision)
        except ObjectDecodeError as error:
            self._unreadable.append((key, str(corrupt(key, error))))
            if len(self._unreadable) == CAUSES_MAX:
                raise self._read_error(is_complete=False) from error
            return
        self._decoded += 1
        if self._matches is None or self._matches(found):
            self._objects.append(found)

    def _result(self, page: RangeResult, has_more: bool) -> ListResult:
        token, remaining = "", None
        if has_more:
            token = encode_continue(self._last_key + "\0", self._prefix, self._revision)
            if self._options.selector.is_everything:
                remaining = page.count - self._limit
        return ListResult(tuple(self._objects), self._revision, token, remaining)

    def _expired(self, compact_revision: int) -> Expired:
        asked = self._plan.revision or self._revision
        if not self._options.continue_token:
            return Expired(asked, compact_revision, message=LIST_EXPIRED)
        try:
            token = encode_continue(self._start, self._prefix, LATEST)
        except ValueError:
            return Expired(asked, compact_revision, message=CONTINUE_EXPIRED)
        return Expired(asked, compact_revision, message=CONTINUE_INCONSISTENT, continue_token=token)

    def _read_error(self, *, is_complete: bool) -> StorageReadError:
        (_, first), *others = self._unreadable
        message = f"failed to read one or more {self._resource} from the storage: {first}"
        message += f" (and {len(others)} more)" if others else ""
        return StorageReadError(message, self._unreadable, is_complete=is_complete)


def text(key: bytes) -> str:
    """A key as text. One that is not UTF-8, which Kubernetes never writes, keeps its bytes and costs nobody the resource."""
    return key.decode("utf-8", "surrogateescape")
