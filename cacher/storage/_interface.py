"""Storage.Interface: what every storage offers to the registry above it, whatever is below.

    registry ─► Interface ◄─ CacherStorage ─► Interface ◄─ EtcdStorage ─► Etcd

Keys are paths below the storage's root: `/pods/team-a/web-1`. Values are JSON without `metadata.resourceVersion`, which is
the revision. An implementation is right when it cannot be told from another by these methods: `conformance` asks.

Source: kubernetes/apiserver pkg/storage/interfaces.go (newest; `Semantics.V1_22` names what that release did otherwise).
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from watch import Batch, Event, Object, Selector

Value = bytes | dict[str, Any]
"""An object to be stored: JSON text, or what JSON decodes to. A resourceVersion in it is not stored."""


class Semantics(enum.Enum):
    """Whose rules decide, where releases differ."""

    NEWEST = "newest"
    V1_22 = "v1.22"


class Match(enum.StrEnum):
    """How a list's resource version is meant. Source: metav1.ResourceVersionMatch."""

    UNSET = ""
    EXACT = "Exact"
    NOT_OLDER_THAN = "NotOlderThan"


class Preconditions(msgspec.Struct, frozen=True):
    """What must be true of the stored object; None: anything."""

    uid: str | None = None
    resource_version: str | None = None


class ListOptions(msgspec.Struct, frozen=True):
    """How to list, or to watch. Texts are as the API has them; storages validate them."""

    resource_version: str = ""
    match: str = Match.UNSET
    """A Match, or what a client sent instead of one."""
    limit: int = 0
    """Objects a page; 0: all."""
    continue_token: str = ""
    recursive: bool = True
    """False: the object under the key itself, and nothing below it."""
    selector: Selector = Selector()
    send_initial_events: bool | None = None
    allow_bookmarks: bool = False
    progress_notify: bool = False
    """A storage's own bookmarks, for a cache above it."""
    deadline: float | None = None
    """When the reader will stop, in trio seconds; a bookmark comes 2 s before."""


class ListResult(msgspec.Struct, frozen=True):
    """A page of objects in key order, all as they were at `revision`."""

    objects: tuple[Object, ...]
    revision: int
    continue_token: str = ""
    """Hand it to the next call; "" means that there is no more."""
    remaining: int | None = None
    """How many objects follow this page; None where a selector makes that unknown, or nothing follows."""


class ResponseMeta(msgspec.Struct, frozen=True):
    """What is known of a stored object beside itself."""

    revision: int
    ttl_s: int = 0


class Update(msgspec.Struct, frozen=True):
    """What an update is to store. `ttl_s`: None keeps no lease, 0 asks for none, else seconds to live."""

    value: Value
    ttl_s: int | None = None


TryUpdate = Callable[[Object | None, ResponseMeta], Update]
"""Makes the new value from the present one (None: there is none). May be called again after a conflict; may raise to refuse."""

ValidateDeletion = Callable[[Object], Awaitable[None]]
"""Raises to refuse a deletion. May be called again after a conflict."""


class Stats(msgspec.Struct, frozen=True):
    """How much there is. `average_object_bytes`: of the stored values, 0 where there are none or sizes are not tracked."""

    object_count: int
    average_object_bytes: int = 0


class EventStream(Protocol):
    """An open watch. Errors are in the stream: `receive` raises them, and then it is over."""

    async def receive(self) -> Event:
        """The next event.

        Raises:
            watch.Expired: history does not reach back: list again.
            watch.TooLargeResourceVersion: the storage did not get to the asked revision in time.
            InternalError: what is stored cannot be shown.
            trio.EndOfChannel: the storage ended the watch: watch again from the last revision.
            trio.ClosedResourceError: its context was left.
        """
        ...

    async def receive_batch(self) -> Batch:
        """All that came at once; raises as `receive`."""
        ...


class Interface(Protocol):
    """A storage of one resource's objects. Every method but the synchronous ones is a checkpoint.

    Whatever takes a key raises InvalidKey for one that is not below `resource_prefix`, or climbs.
    """

    @property
    def resource_prefix(self) -> str:
        """What every key starts with: `/pods`."""
        ...

    async def create(self, key: str, value: Value, *, ttl_s: int = 0) -> Object:
        """Stores a new object and returns it as stored. `ttl_s`: 0: for ever.

        Raises:
            ResourceVersionSetOnCreate: the value carries a resourceVersion.
            InvalidValue: it is no JSON object.
            KeyExists: something is there already.
        """
        ...

    async def delete(
        self,
        key: str,
        *,
        preconditions: Preconditions | None = None,
        validate: ValidateDeletion | None = None,
        suggestion: Object | None = None,
        expect_decode_error: bool = False,
    ) -> Object | None:
        """Deletes an object and returns its last state, carrying the deletion's revision (None with `expect_decode_error`).

        `suggestion` may be stale: what fails on it is tried again on the stored object.
        Raises:
            KeyNotFound; InvalidObject (a precondition, or a decodable object with `expect_decode_error`);
            UndecodableObject (what is stored cannot be read); InternalError; what `validate` raised.
        """
        ...

    async def get(self, key: str, *, resource_version: str = "", ignore_not_found: bool = False) -> Object | None:
        """The object under `key`, not older than `resource_version` ("": than the call; "0": any). None only if ignored.

        Raises:
            KeyNotFound; watch.TooLargeResourceVersion; InternalError; BadRequest (a resource version that is none; of a cache
            InvalidResourceVersion).
        """
        ...

    async def get_list(self, key: str, options: ListOptions) -> ListResult:
        """The objects under `key` that the options ask for.

        Raises:
            BadRequest, UnknownMatch (options that make no sense); watch.Expired, watch.TooLargeResourceVersion,
            watch.NotReady; InternalError (StorageReadError, where stored objects cannot be read).
        """
        ...

    def watch(self, key: str, options: ListOptions) -> AbstractAsyncContextManager[EventStream]:
        """A watch of what is under `key`, of the moment of entering.

        Raises:
            InvalidKey, InvalidResourceVersion, watch.NotReady: on entering. All else is in the stream.
        """
        ...

    async def guaranteed_update(
        self,
        key: str,
        try_update: TryUpdate,
        *,
        ignore_not_found: bool = False,
        preconditions: Preconditions | None = None,
        suggestion: Object | None = None,
    ) -> Object:
        """Stores what `try_update` makes of the present object, again and again until nobody came between.

        Raises:
            KeyNotFound; InvalidObject (a precondition); UndecodableObject (what is stored cannot be read); InternalError;
            what `try_update` raised of a present object.
        """
        ...

    async def stats(self) -> Stats:
        """How many objects there are."""
        ...

    def readiness_check(self) -> None:
        """Raises watch.NotReady while reads cannot be answered."""
        ...

    async def request_watch_progress(self) -> None:
        """Asks the store to tell its watches how far they are. May be lost: ask until heard."""
        ...

    async def current_resource_version(self) -> int:
        """The store's revision now; not older than the call."""
        ...

    def compact_revision(self) -> int:
        """The newest compaction that was seen; 0: none."""
        ...
