"""What all controllers here read from informers. Pure."""

from __future__ import annotations

from reflector import Tombstone
from watch import Object


def last_of(obj: Object | Tombstone) -> Object:
    """The last state that was seen of an object that is gone."""
    return obj if isinstance(obj, Object) else obj.last_known
