"""The stored definitions as far as they are known: what a reflector brings, and what was written since. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from reflector import Changes, Replacement
from watch import EventType, Object

from ._meta import JSONObject, name_of, text


class DefinitionMirror:
    """A ReflectorStore of definitions, by name; what this server wrote itself is known before the watch tells it.

    Args:
        notify: called when something may have changed.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._objects: dict[str, Object] = {}
        self._definitions: dict[str, JSONObject] = {}
        self._written: dict[str, JSONObject] = {}
        self._revision = 0

    def present(self) -> Mapping[str, JSONObject]:
        """The definitions by name, each in its newest version. Cost: O(1), but for those written a moment ago."""
        self._written = {name: crd for name, crd in self._written.items() if _revision(crd) > self._revision}
        newer = {name: crd for name, crd in self._written.items() if name in self._definitions}
        return {**self._definitions, **newer} if newer else self._definitions

    def wrote(self, crd: JSONObject) -> None:
        """Take note of a definition as it was just stored."""
        self._written[name_of(crd)] = crd

    def has(self, revisions: Mapping[str, int]) -> bool:
        """Whether these definitions are here, not older, and no others."""
        present = self.present()
        return present.keys() == revisions.keys() and all(
            _revision(present[name]) >= revision for name, revision in revisions.items()
        )

    # ---- ReflectorStore ----------------------------------------------------------------------------------------------

    def objects(self) -> Sequence[Object]:
        """See ReflectorStore."""
        return list(self._objects.values())

    def replace(self, replacement: Replacement) -> None:
        """See ReflectorStore."""
        self._objects = {obj.name: obj for obj in replacement.objects}
        self._definitions = {obj.name: obj.to_dict() for obj in replacement.objects}
        self._revision = replacement.revision
        self._notify()

    def apply(self, changes: Changes) -> None:
        """See ReflectorStore."""
        for event in changes.events:
            if event.type is EventType.DELETED:
                self._objects.pop(event.object.name, None)
                self._definitions.pop(event.object.name, None)
            else:
                self._objects[event.object.name] = event.object
                self._definitions[event.object.name] = event.object.to_dict()
        self._revision = changes.revision
        self._notify()

    def bookmark(self, revision: int) -> None:
        """See ReflectorStore."""
        self._revision = revision


def _revision(crd: JSONObject) -> int:
    return int(text(crd, "resourceVersion") or 0)
