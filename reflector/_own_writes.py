"""Which of its own writes a controller's copies have yet to show, by the key whose reconcile made them. Pure.

A controller that acts twice on one state makes things twice. So after a reconcile that wrote, the next one of that key waits
until the copies that the controller keeps show each write: a copy of a resource that was written has to be as new as the newest
revision written there; of what was deleted it has to show that it goes, or is gone. Other keys do not wait.

Source: Kubernetes' KEP-5647, kubernetes pkg/controller/util/consistency (ConsistencyStore: WroteAt, EnsureReady, Clear).
Differs: the key waits for the copy and not for a rate limiter; deletions are waited for, too; there is a bound, after which
the reconcile goes on: a copy that never gets there must not end all work; and what was made and is gone before any copy
showed it makes the key's turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, final

import msgspec

from watch import Object

from ._reads import Written
from ._store import Store


class CopyOfResource(Protocol):
    """What a controller reads: an informer."""

    @property
    def name(self) -> str:
        """Such as "cluster/v1/pods", or with what it selects behind it."""
        ...

    @property
    def store(self) -> Store:
        """The objects."""
        ...

    @property
    def last_revision(self) -> int:
        """The copy shows the state at this revision."""
        ...


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    deletion_timestamp: str | None = None


class _Head(msgspec.Struct, frozen=True):
    metadata: _Metadata | None = None


_READER = msgspec.json.Decoder(_Head)


def is_terminating(obj: Object) -> bool:
    """Whether `obj` has been deleted, and only waits for its time or its finalizers. Cost: O(size), about 1 µs a KB."""
    metadata = _READER.decode(obj.raw).metadata
    return metadata is not None and metadata.deletion_timestamp is not None


def is_copy_of(copy_name: str, source: str) -> bool:
    """Whether an informer of that name is one of the resource, whatever it selects.

    >>> is_copy_of("cluster/v1/pods/team-a", "cluster/v1/pods"), is_copy_of("cluster/v1/podtemplates", "cluster/v1/pods")
    (True, False)
    """
    return copy_name == source or copy_name.startswith(f"{source}/")


@final
class OwnWrites:
    """By key: the newest revision written of each resource, what was made, and what was deleted; until it is `settled`."""

    def __init__(self) -> None:
        self._revisions: dict[str, dict[str, int]] = {}
        self._made: dict[str, dict[tuple[str, str], None]] = {}  # (source, key of the object)
        self._deletions: dict[str, dict[tuple[str, str], str]] = {}  # of its uid

    def wrote(self, key: str, writes: Iterable[Written]) -> None:
        """A reconcile of `key` made these writes, in this order."""
        for write in writes:
            place = (write.source, write.key)
            if write.is_deletion:
                self._deletions.setdefault(key, {})[place] = write.uid
                self._made.get(key, {}).pop(place, None)
            elif write.revision:
                revisions = self._revisions.setdefault(key, {})
                revisions[write.source] = max(write.revision, revisions.get(write.source, 0))
                self._made.setdefault(key, {})[place] = None

    def revision_of(self, key: str, copy: CopyOfResource) -> int:
        """The copy has to be as new as this before `key` is reconciled; 0: as it is."""
        revisions = self._revisions.get(key)
        if not revisions:
            return 0
        return max([revision for source, revision in revisions.items() if is_copy_of(copy.name, source)], default=0)

    def shows_deletions(self, key: str, copy: CopyOfResource) -> bool:
        """Whether of what `key` deleted nothing is in the copy as if it were to stay. Cost: O(deletions of `key`)."""
        for (source, object_key), uid in self._deletions.get(key, {}).items():
            if is_copy_of(copy.name, source) and not _is_going(copy.store.get(object_key), uid):
                return False
        return True

    def is_shown(self, key: str, copy: CopyOfResource) -> bool:
        """Whether the copy shows all that `key` wrote of its resource."""
        return copy.last_revision >= self.revision_of(key, copy) and self.shows_deletions(key, copy)

    def has_vanished(self, key: str, copies: Sequence[CopyOfResource]) -> bool:
        """Whether something that `key` made is in none of the copies of its resource, though these are new enough.

        Then it was deleted again, and where a list made up for a gap in between, nobody was told: neither of the one nor of the
        other. (Or the copies do not select it.) Of whatever is there its watchers are told. Cost: O(objects made · copies).
        """
        for source, object_key in self._made.get(key, ()):
            of_resource = [copy for copy in copies if is_copy_of(copy.name, source)]
            if of_resource and all(copy.store.get(object_key) is None for copy in of_resource):
                return True
        return False

    def settled(self, key: str) -> None:
        """All is shown, or no longer waited for."""
        self._revisions.pop(key, None)
        self._made.pop(key, None)
        self._deletions.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self._revisions or key in self._deletions

    def __len__(self) -> int:
        """Keys with writes that may not be shown yet."""
        return len(self._revisions.keys() | self._deletions.keys())


def _is_going(obj: Object | None, uid: str) -> bool:
    return obj is None or bool(uid and obj.uid != uid) or is_terminating(obj)
