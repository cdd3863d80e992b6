"""ListerWatcher: the one door through which a Reflector sees its source.

An etcd prefix, a watch cache in this process and an API server over HTTP all fit behind it, so the same Reflector feeds
the server's cache and every controller. Source: kubernetes/apiserver pkg/storage/cacher/lister_watcher.go and client-go
tools/cache/listwatch.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import msgspec

from watch import Event, Object


class Page(msgspec.Struct, frozen=True):
    """One page of a list. All pages of one list are of one revision."""

    objects: tuple[Object, ...]
    """In key order."""
    revision: int
    """The source's revision that the list shows; watch from here."""
    next_page: str = ""
    """Hand this to `list` for the next page; "" means that there is none."""


class Changes(msgspec.Struct, frozen=True):
    """What a watch brings at once: whole revisions, oldest first, and how far it speaks."""

    events: tuple[Event, ...]
    """ADDED, MODIFIED and DELETED; empty in a pure bookmark. `previous` may be None: a store knows its own past."""
    revision: int
    """Everything up to here has been delivered on this stream. Never falls."""


class ChangeStream(Protocol):
    """An open watch at the source."""

    async def receive(self) -> Changes:
        """The next changes; a revision is never split over two.

        Raises:
            watch.Expired: the history after the watched revision is gone; list again.
            trio.EndOfChannel, trio.BrokenResourceError: the stream ended or was lost; watch again from the last
            revision.
        """
        ...


class ListerWatcher(Protocol):
    """Something that can be listed, a page at a time, and watched from a revision."""

    async def list(self, *, resource_version: str = "", page_size: int = 0, page: str = "") -> Page:
        """One page, at most `page_size` objects (0: all), continuing at `page` (a former page's `next_page`).

        Args:
            resource_version: "": the latest; "0": whatever the source has; N: not older than N. Ignored with `page`.
        Raises:
            watch.Expired: the revision of `page`, or the one asked for, was compacted; list from the start.
            watch.TooLargeResourceVersion: the source has not got there yet.
        """
        ...

    def watch(self, revision: int) -> AbstractAsyncContextManager[ChangeStream]:
        """The changes after `revision` (exclusive), from now until the context ends."""
        ...

    async def request_progress(self) -> None:
        """Ask the open watch to say how far it is, by Changes without events. May be lost: ask again until heard."""
        ...


@runtime_checkable
class StreamingListerWatcher(ListerWatcher, Protocol):
    """One that can also send its state through a watch, as it goes on afterwards: an API server, or a cache like its own.

    Source: KEP-3157, client-go tools/cache/reflector.go, watchList.
    """

    def watch(self, revision: int, *, timeout_s: float | None = None) -> AbstractAsyncContextManager[ChangeStream]:
        """As ListerWatcher.watch. `timeout_s`: when the reader will leave: a bookmark just before is worth sending."""
        ...

    def watch_list(
        self, *, resource_version: str = "", timeout_s: float | None = None
    ) -> AbstractAsyncContextManager[ChangeStream]:
        """The state, not older than `resource_version` ("": than the call), and then the changes after it.

        The state is sent as events, in Changes of revision 0: nothing is complete yet. The first Changes with a revision end
        it, their own events included; what follows is as of `watch`.
        Raises:
            watch.Expired, watch.TooLargeResourceVersion, watch.NotReady: as `list`.
            watch.WatchError: any other, such as for a source that cannot do this after all: it is listed instead.
        """
        ...


@runtime_checkable
class OfOneKind(Protocol):
    """A source that knows what kind its objects are, so that another kind among them is noticed."""

    @property
    def kind(self) -> str:
        """Such as "Pod"; "" where it is not known."""
        ...


class Replacement(msgspec.Struct, frozen=True):
    """The result of a (re)list, and what it says disappeared since."""

    objects: tuple[Object, ...]
    revision: int
    gone: tuple[Object, ...]
    """What the store held and the list does not: deleted at an unknown revision, seen only now."""


class ReflectorStore(Protocol):
    """What a Reflector writes into. Every method is one synchronous step: a reader sees all of it or nothing.

    What a step returns is for others who call it, such as an informer; a Reflector does not look at it.
    """

    def objects(self) -> Sequence[Object]:
        """What the store holds now."""
        ...

    def replace(self, replacement: Replacement) -> object:
        """Take a complete new state."""
        ...

    def apply(self, changes: Changes) -> object:
        """Take changes newer than all before."""
        ...

    def bookmark(self, revision: int) -> object:
        """Take note that nothing else happened up to `revision`."""
        ...
