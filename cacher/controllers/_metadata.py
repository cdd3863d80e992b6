"""The part of an object's metadata that decides whether it stays: owners, finalizers, deletion. Pure.

Only these members are decoded: a collector reads the metadata of everything in the cluster, and the rest of nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

FOREGROUND = "foregroundDeletion"
"""The finalizer of an object that goes once what it owns is gone."""
ORPHAN = "orphan"
"""The finalizer of an object whose dependents are to be let go first."""


class OwnerReference(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One owner, as a dependent names it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    block_owner_deletion: bool | None = None
    """Whether an owner that goes in the foreground waits for this dependent."""


class Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """What decides whether an object stays."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    finalizers: tuple[str, ...] | None = None
    owner_references: tuple[OwnerReference, ...] | None = None

    @property
    def owners(self) -> tuple[OwnerReference, ...]:
        """Its owners; none where it names none."""
        return self.owner_references or ()

    @property
    def is_going(self) -> bool:
        """Whether somebody deleted it, and it is still there."""
        return self.deletion_timestamp is not None

    @property
    def waits_for_dependents(self) -> bool:
        """Whether it goes in the foreground: after what it owns."""
        return self.is_going and FOREGROUND in (self.finalizers or ())

    @property
    def orphans_dependents(self) -> bool:
        """Whether it goes, and what it owns is to stay."""
        return self.is_going and ORPHAN in (self.finalizers or ())


class _Head(msgspec.Struct, frozen=True, gc=False):
    metadata: Metadata = Metadata()


_DECODER = msgspec.json.Decoder(_Head)


def read_metadata(raw: bytes) -> Metadata:
    """The metadata of an object as it is stored. Cost: O(size), about 1 µs a KB.

    Raises:
        msgspec.ValidationError: it is no object's.
    """
    return _DECODER.decode(raw).metadata


def metadata_of(obj: Mapping[str, Any]) -> Metadata:
    """The metadata of an object as an API shows it.

    Raises:
        msgspec.ValidationError: it is no object's.
    """
    return msgspec.convert(obj.get("metadata") or {}, Metadata)
