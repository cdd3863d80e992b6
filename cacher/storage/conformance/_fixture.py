"""A Fixture: the storage under test, what stands behind it, and short ways to write, spoil, list and watch its objects.

Objects are pods, named by a path below the resource's prefix: `team-a/web-1`, so their namespace is its first segment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from watch import Expired, Object, Selector

from .._interface import Interface, ListOptions, ListResult, Match, Preconditions, ResponseMeta, Update, Value
from ..etcd import KeyValue, Range
from ._expect import PATIENCE_S, Reader
from ._tapped_etcd import TappedEtcd

COMPACT_KEY = "compact_rev_key"
"""Where API servers tell each other how far they have compacted. Source: etcd3/compact.go."""
UNREADABLE = b"\x00this is no object"

Pod = dict[str, Any]


def pod(
    path: str,
    *,
    node: str = "",
    phase: str = "",
    uid: str = "",
    labels: Mapping[str, str] | None = None,
    **annotations: str,
) -> Pod:
    """A pod's value; what is not given is left out."""
    namespace, _, name = path.rpartition("/")
    metadata: dict[str, Any] = {"name": name}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"uid": uid} if uid else {}
    metadata |= {"labels": dict(labels)} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    value: Pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
    value |= {"spec": {"nodeName": node}} if node else {}
    value |= {"status": {"phase": phase}} if phase else {}
    return value


class Fixture:
    """A storage as a case gets it: new, empty, and nobody else's.

    Args:
        storage: its objects are pods; `spec.nodeName` must be selectable.
        etcd: what the storage stands on; None leaves out the cases that must reach it. The storage itself must use this one.
        root: where in etcd its keys begin.
        is_cached: a cache answers, so a read at resource version "0" may be old, and bookmarks come.
        supports_progress: the etcd tells watches how far they are when asked, so a cache can give consistent reads.
        is_prompt: nothing delays or breaks the cache, on purpose or by a network; cases count retries and seconds then.
    """

    def __init__(
        self,
        storage: Interface,
        *,
        etcd: TappedEtcd | None = None,
        root: str = "/registry",
        is_cached: bool = False,
        supports_progress: bool = True,
        is_prompt: bool = True,
    ) -> None:
        self.storage = storage
        self._etcd = etcd
        self.root = root.rstrip("/")
        self.is_cached = is_cached
        self.supports_progress = supports_progress
        self.is_prompt = is_prompt

    # ---- names ----

    @property
    def prefix(self) -> str:
        """What every key starts with: `/pods`."""
        return self.storage.resource_prefix

    @property
    def etcd(self) -> TappedEtcd:
        """What the storage stands on; for cases that need it."""
        assert self._etcd is not None, "this case needs the etcd behind the storage"
        return self._etcd

    def key(self, path: str = "") -> str:
        """The storage's key of a path; of "", the whole resource."""
        return f"{self.prefix}/{path}"

    def etcd_key(self, path: str = "") -> str:
        """Where etcd has it."""
        return f"{self.root}{self.key(path)}"

    # ---- writing ----

    async def create(self, path: str, *, ttl_s: int = 0, **members: Any) -> Object:
        """Creates `pod(path, **members)`."""
        return await self.storage.create(self.key(path), pod(path, **members), ttl_s=ttl_s)

    async def set(self, path: str, **members: Any) -> Object:
        """Makes the object `pod(path, **members)`, whatever there was."""
        return await self.update(path, lambda _: pod(path, **members), ignore_not_found=True)

    async def update(
        self,
        path: str,
        change: Callable[[Object | None], Value],
        *,
        ttl_s: int | None = None,
        ignore_not_found: bool = False,
        preconditions: Preconditions | None = None,
        suggestion: Object | None = None,
    ) -> Object:
        """A guaranteed update to what `change` makes of the object."""

        def try_update(present: Object | None, _: ResponseMeta) -> Update:
            return Update(change(present), ttl_s)

        return await self.storage.guaranteed_update(
            self.key(path),
            try_update,
            ignore_not_found=ignore_not_found,
            preconditions=preconditions,
            suggestion=suggestion,
        )

    async def delete(self, path: str, *, suggestion: Object | None = None) -> Object:
        """Deletes the object, which must be there; its last state."""
        deleted = await self.storage.delete(self.key(path), suggestion=suggestion)
        assert deleted is not None, "only an unsafe deletion returns nothing"
        return deleted

    # ---- behind the storage's back ----

    async def stored(self, path: str) -> KeyValue | None:
        """What etcd holds of it."""
        kvs = (await self.etcd.range(self.etcd_key(path))).kvs
        return kvs[0] if kvs else None

    async def put_raw(self, path: str, value: Pod, *, before: bytes = b"") -> int:
        """Writes the object past the storage, its bytes preceded by `before`; the revision of it."""
        raw = before + msgspec.json.encode(value, order="deterministic")
        return (await self.etcd.put(self.etcd_key(path), raw)).revision

    async def spoil(self, path: str) -> int:
        """Puts something under the object's key that nobody can read; the revision of it."""
        return (await self.etcd.put(self.etcd_key(path), UNREADABLE)).revision

    async def write_elsewhere(self) -> int:
        """A write that concerns no pod; its revision, which is the store's."""
        return (await self.etcd.put("/elsewhere", b"{}")).revision

    async def compact(self, revision: int) -> None:
        """Compacts as an API server does: it tells the others first, which is a write, then asks etcd. Returns once seen."""
        await self.etcd.put(COMPACT_KEY, str(revision))
        await self.etcd.compact(revision)
        seen = self.storage.compact_revision
        await self.eventually(lambda: seen() >= revision, f"the compaction at {revision} is not seen")

    async def eventually_forgotten(self, revision: int) -> None:
        """Returns when a list at `revision` is refused: a cache may show for a while what the store has compacted."""
        with trio.move_on_after(PATIENCE_S):
            while True:
                try:
                    await self.list(rv=revision, match=Match.EXACT)
                except Expired:
                    return
                await trio.sleep(1)
        raise AssertionError(f"revision {revision} was compacted, and is shown {PATIENCE_S:g} s later")

    def intervene(self, act: Callable[[], Awaitable[object]]) -> None:
        """Runs `act` when the storage's next transaction has been decided on and is about to be sent."""

        async def intervene() -> None:
            await act()

        self.etcd.before_txn = intervene

    def page_reads(self) -> list[Range]:
        """The reads of ranges of this resource's keys that etcd got since the last call."""
        prefix = self.etcd_key().encode()
        found = [read for read in self.etcd.reads if read.range_end is not None and read.key.startswith(prefix)]
        self.etcd.reads.clear()
        return found

    # ---- reading ----

    async def get(self, path: str, **options: Any) -> Object | None:
        """The object under a path."""
        return await self.storage.get(self.key(path), **options)

    async def list(self, path: str = "", rv: str | int = "", **wanted: Any) -> ListResult:
        """A list of what is below `path`; see `list_options`."""
        return await self.storage.get_list(self.key(path), list_options(rv, **wanted))

    async def now(self) -> int:
        """The revision of a consistent list of everything."""
        return (await self.list()).revision

    async def eventually(self, claim: Callable[[], bool], what: str) -> None:
        """Claims that something will be so before long."""
        with trio.move_on_after(PATIENCE_S):
            while not claim():
                await trio.sleep(0.01)
        assert claim(), f"{what}, even after {PATIENCE_S:g} s"

    @asynccontextmanager
    async def watching(self, path: str = "", rv: str | int = "", **wanted: Any) -> AsyncIterator[Reader]:
        """A watch of what is below `path`, from `rv`; see `list_options`."""
        async with self.storage.watch(self.key(path), list_options(rv, **wanted)) as stream:
            yield Reader(stream)


def list_options(
    rv: str | int = "",
    match: str = Match.UNSET,
    *,
    limit: int = 0,
    token: str = "",
    recursive: bool = True,
    labels: str | None = None,
    fields: str | None = None,
    initial: bool | None = None,
    bookmarks: bool = False,
    **others: Any,
) -> ListOptions:
    """ListOptions in few words."""
    return ListOptions(
        str(rv),
        match,
        limit,
        token,
        recursive,
        Selector.of(labels=labels, fields=fields),
        initial,
        bookmarks,
        **others,
    )


def stored_value(kv: KeyValue) -> dict[str, Any]:
    """The JSON that etcd holds."""
    value: dict[str, Any] = msgspec.json.decode(kv.value)
    return value
