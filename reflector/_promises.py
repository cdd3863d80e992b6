"""What a source must keep to, and what it is when it does not: a BrokenPromise, by which it is not believed. Pure.

    BrokenPromise
    ├── ObjectWithoutUid      an object that could not be told from another of its name
    ├── ObjectOfAnotherKind   a pod in a list of nodes
    └── EndlessList           a list, or a streamed state, that is larger than any can be, or goes nowhere

What came with it is dropped whole, and the source is asked anew after a wait, as after any other failure; a store shows what
it showed before. Whoever runs the source must mend it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import msgspec

from watch import Object, WatchError

from ._lister_watcher import Page

PAGES_SPARE = 100
"""Pages that a list may have beyond those that are needed."""


class BrokenPromise(WatchError):
    """The source said what its protocol rules out. It is not believed: what it sent is dropped and listed again."""


class ObjectWithoutUid(BrokenPromise):
    """An object has no uid: nobody could tell it from another that gets its name. The source must send `metadata.uid`."""

    def __init__(self, key: str, revision: int) -> None:
        self.key = key
        self.revision = revision
        super().__init__(f"the object {key!r} of revision {revision} has no uid", "have the source send metadata.uid")


class ObjectOfAnotherKind(BrokenPromise):
    """An object is of another kind than all that was asked for."""

    def __init__(self, key: str, found: str, wanted: str) -> None:
        self.key = key
        self.found = found
        self.wanted = wanted
        super().__init__(f"the object {key!r} is of kind {found!r}, and not {wanted!r}", "have the source mended")


class EndlessList(BrokenPromise):
    """A list that has no end, or more objects than its reader holds."""


class WatchSilent(TimeoutError):
    """A stream brought nothing, not even a bookmark, for longer than its reader waits: its connection is taken for lost.

    It is no lie: a connection whose other end has gone without a word looks just so. Where a source sends no bookmarks, choose
    a longer `inactivity_s`.
    """

    def __init__(self, silent_s: float) -> None:
        self.silent_s = silent_s
        super().__init__(f"nothing came for {silent_s:g} s: the connection is taken for lost")


class _Kind(msgspec.Struct, frozen=True):
    kind: str = ""


_decode_kind = msgspec.json.Decoder(_Kind).decode


@final
class ObjectCheck:
    """Whether what a source sends can be an object of what was asked for. Call it with each.

    >>> ObjectCheck(kind="Pod")(Object("/registry/pods/a", 7, b'{"kind":"Node"}', name="a", uid="u"))
    Traceback (most recent call last):
    reflector._promises.ObjectOfAnotherKind: the object '/registry/pods/a' is of kind 'Node', and not 'Pod': have the source mended

    Args:
        kind: what all are; "": nobody knows. An object that does not say what it is passes.
        requires_uid: refuse objects without a uid.
    """

    def __init__(self, *, kind: str = "", requires_uid: bool = True) -> None:
        self._kind = kind
        self._requires_uid = requires_uid
        name = kind.encode()
        # Where the kind stands first, or behind a known version, there is no need to read on: most objects by far.
        self._known: tuple[bytes, ...] = (b'{"kind":"' + name + b'"', b'{"kind": "' + name + b'"')

    def __call__(self, obj: Object) -> None:
        """Returns where nothing is wrong.

        Raises:
            ObjectWithoutUid, ObjectOfAnotherKind: do not believe the source.
        Cost: O(1) for objects that begin as one did before, about 0.2 µs; else O(size).
        """
        if self._requires_uid and not obj.uid:
            raise ObjectWithoutUid(obj.key, obj.revision)
        if self._kind and not obj.raw.startswith(self._known):
            self._look(obj)

    def _look(self, obj: Object) -> None:
        try:
            found = _decode_kind(obj.raw).kind
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BrokenPromise(f"the object {obj.key!r} cannot be read: {error}: have the source mended") from error
        if found and found != self._kind:
            raise ObjectOfAnotherKind(obj.key, found, self._kind)
        beginning = _up_to_kind(obj.raw, self._kind) if found else b""
        if beginning and len(self._known) < _BEGINNINGS_MAX:
            self._known = (*self._known, beginning)


_BEGINNINGS_MAX = 8
"""Ways in which objects of one resource begin: as several versions of an API wrote them."""


def _up_to_kind(raw: bytes, kind: str) -> bytes:
    """The beginning of `raw` up to its kind, where only an apiVersion stands before that; else b""."""
    for space in (b"", b" "):
        if not raw.startswith(b'{"apiVersion":' + space + b'"'):
            continue
        _, _, rest = raw.partition(b'{"apiVersion":' + space + b'"')
        version, _, _ = rest.partition(b'"')
        found = b'{"apiVersion":%b"%b",%b"kind":%b"%b"' % (space, version, space, space, kind.encode())
        if raw.startswith(found):
            return found
    return b""


def check_length(pages: Sequence[Sequence[Object]], page: Page, *, objects_max: int, page_size: int) -> None:
    """Returns while a list of these pages may have an end.

    Args:
        objects_max: 0: no limit.
        page_size: what was asked for. A server fills its pages: twice as many of them as `objects_max` needs are too many.
    Raises:
        EndlessList: more objects than that, or more pages.
    Cost: O(pages).
    """
    if not objects_max:
        return
    found = sum(map(len, pages)) + len(page.objects)
    if found > objects_max:
        raise EndlessList(f"a list of {found} objects and more", _RAISE.format(objects_max))
    pages_max = PAGES_SPARE + 2 * objects_max // (page_size or objects_max)
    if page.next_page and len(pages) >= pages_max:
        raise EndlessList(f"a list of {found} objects in {len(pages) + 1} pages and more", "have the source mended")


def check_state_length(objects: int, events: int, objects_max: int) -> None:
    """Returns while a streamed state of so many objects, by so many events, may have an end.

    Raises:
        EndlessList: more objects than `objects_max`, or more than twice as many events.
    """
    if objects_max and (objects > objects_max or events > 2 * objects_max):
        raise EndlessList(f"a state of {objects} objects, after {events} events", _RAISE.format(objects_max))


_RAISE = "where there really are so many, raise objects_max, which is {}"

Check = Callable[[Object], None]
"""Raises a BrokenPromise where an object is none that was asked for."""
