"""How the controllers here hear of objects that they keep sums and graphs of. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import final

import msgspec

from reflector import Tombstone
from watch import Object

LOG = logging.getLogger("cacher.controllers")


def last_of(obj: Object | Tombstone) -> Object:
    """The last state that was seen of an object that is gone."""
    return obj if isinstance(obj, Object) else obj.last_known


def _nothing(obj: Object) -> None:
    return


@final
class Feed:
    """A handler made of two functions: an object is there, and like this; an object is gone.

    One that cannot be read, because it has not the shape of its kind, is passed over and told in the log: it is nobody's reason
    to stop, and nothing is decided about what was not understood.

    Args:
        who: for the log.
        see: called with the object before, if it was there, and as it is now.
        forget: called with the last state of what is gone.
    """

    def __init__(
        self, who: str, see: Callable[[Object | None, Object], object], forget: Callable[[Object], object] = _nothing
    ) -> None:
        self._who = who
        self._see = see
        self._forget = forget

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        """It is there."""
        self._tell(None, obj)

    def on_update(self, old: Object, new: Object) -> None:
        """It is another version."""
        self._tell(old, new)

    def on_delete(self, obj: Object | Tombstone) -> None:
        """It is gone, or was found to be."""
        self._forget(last_of(obj))

    def _tell(self, old: Object | None, new: Object) -> None:
        try:
            self._see(old, new)
        except msgspec.ValidationError as error:
            LOG.warning("%s passes over %s at revision %d: %s", self._who, new.key, new.revision, error)
