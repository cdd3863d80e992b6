"""Objects, lists and watch events as an API server writes them. Pure.

On the wire an object carries its revision as `metadata.resourceVersion`; here the bytes are as they are stored, without it, and
the revision stands beside them. Items of lists often do not say what they are, since their list does: it is filled in. So an
object is the same whether it was listed, watched, or read in the same process.

Memory: of a stream, what has arrived of one incomplete line, at most LINE_MAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from watch import APIError, Event, EventType, Object, ObjectDecodeError, ObjectReader, error_from_status

from ._answers import BadAnswer
from ._fields import Selectable

LINE_MAX = 32 * 1024 * 1024
"""Bytes of a watch event: more than twenty times what etcd stores in one value."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

_Members = dict[str, msgspec.Raw]


class _Frame(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class _ListMetadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class _List(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    api_version: str = ""
    metadata: _ListMetadata = _ListMetadata()
    items: list[msgspec.Raw] | None = None


class _BookmarkMetadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: _BookmarkMetadata = _BookmarkMetadata()


_FRAME = msgspec.json.Decoder(_Frame)
_LIST = msgspec.json.Decoder(_List)
_BOOKMARK = msgspec.json.Decoder(_Bookmark)
_MEMBERS = msgspec.json.Decoder(_Members)
_STRING = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_EVENT_TYPES: Mapping[str, EventType] = {
    kind.value: kind for kind in (EventType.ADDED, EventType.MODIFIED, EventType.DELETED)
}


class Bookmark(msgspec.Struct, frozen=True):
    """Everything up to `revision` has been sent."""

    revision: int
    ends_initial_events: bool = False


class WireReader:
    """Reads the objects of one resource.

    Args:
        selectable: its fields that are to be in the objects' heads.
    """

    def __init__(self, selectable: Selectable = Selectable()) -> None:  # noqa: B008 - a frozen value
        self._reader = ObjectReader(
            selectable.fields, absent=dict(selectable.absent), read_from=dict(selectable.read_from)
        )

    def object(self, wire: bytes | msgspec.Raw, *, kind: str = "", api_version: str = "") -> Object:
        """The object, its key as a Store has it: "namespace/name", or "name".

        Args:
            kind, api_version: what it is, where it does not say so.
        Raises:
            BadAnswer: it is no object, or has no name or no revision.
        Cost: O(size): four passes over the bytes, none of which makes objects of what stands below the metadata.
        """
        try:
            members = _MEMBERS.decode(wire)
            metadata = _MEMBERS.decode(members["metadata"])
            revision = read_revision(_STRING.decode(metadata.pop("resourceVersion")))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError) as error:
            raise BadAnswer(f"an object of the server cannot be read: {_problem(error)}") from error
        members["metadata"] = msgspec.Raw(_ENCODER.encode(metadata))
        if kind and "kind" not in members:
            typed = {
                "apiVersion": msgspec.Raw(_ENCODER.encode(api_version)),
                "kind": msgspec.Raw(_ENCODER.encode(kind)),
            }
            members = {**typed, **members}
        try:
            read = self._reader.read("", _ENCODER.encode(members), revision)
        except ObjectDecodeError as error:
            raise BadAnswer(f"an object of the server cannot be read: {error.problem}") from error
        if not read.name:
            raise BadAnswer(f"an object of the server at revision {revision} has no name")
        key = f"{read.namespace}/{read.name}" if read.namespace else read.name
        return Object(key, revision, read.raw, read.name, read.namespace, read.uid, read.labels, read.fields)

    def event(self, line: bytes) -> Event | Bookmark | APIError:
        """A line of a watch: what happened, how far the server is, or why it stops.

        Raises:
            BadAnswer: it is no event that is known.
        """
        try:
            frame = _FRAME.decode(line)
            if frame.type == EventType.BOOKMARK:
                said = _BOOKMARK.decode(frame.object).metadata
                is_end = (said.annotations or {}).get(INITIAL_EVENTS_END) == "true"
                return Bookmark(read_revision(said.resource_version), is_end)
            if frame.type == "ERROR":
                status: Any = msgspec.json.decode(frame.object)
                return error_from_status(status if isinstance(status, dict) else {})
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadAnswer(f"a line of the watch is no event: {error}") from error
        kind = _EVENT_TYPES.get(frame.type)
        if kind is None:
            # Passed over, it would be a gap that nobody sees.
            raise BadAnswer(f"the watch brought an event of type {frame.type!r}, which is not known")
        obj = self.object(frame.object)
        return Event(kind, obj, obj.revision)


class ListBody(msgspec.Struct, frozen=True):
    """A list as it came; its items are yet to be read."""

    kind: str
    """Of the items."""
    api_version: str
    items: list[msgspec.Raw]
    revision: int
    next_page: str


def read_list(body: bytes) -> ListBody:
    """The list in `body`. Cost: O(size); nothing is copied.

    Raises:
        BadAnswer: it is no list.
    """
    try:
        found = _LIST.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadAnswer(f"the server's list cannot be read: {error}") from error
    if not found.kind.endswith("List"):
        raise BadAnswer(f"the server answered with a {found.kind or 'thing of no kind'}, and no list")
    revision = read_revision(found.metadata.resource_version)
    return ListBody(
        found.kind.removesuffix("List"), found.api_version, found.items or [], revision, found.metadata.continue_ or ""
    )


def read_revision(text: str) -> int:
    """A resourceVersion as a number: they are compared.

    Raises:
        BadAnswer: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadAnswer(f"the resourceVersion {text!r} is no number: it cannot be told what is newer")
    return int(text)


class Lines:
    """Cuts a stream of bytes into lines. Holds what has come of the one that is not complete."""

    def __init__(self, line_max: int = LINE_MAX) -> None:
        self._line_max = line_max
        self._pending: list[bytes] = []
        self._length = 0

    @property
    def is_between_lines(self) -> bool:
        """Whether nothing of a line is waiting for its end."""
        return not self._length

    def feed(self, data: bytes) -> Iterable[bytes]:
        """The lines that `data` completes; empty ones are nothing. Cost: O(its length).

        Raises:
            BadAnswer: a line is longer than `line_max`.
        """
        *complete, rest = data.split(b"\n")
        if complete and self._length:
            complete[0] = b"".join((*self._pending, complete[0]))
        if complete:
            self._pending, self._length = [], 0
        if rest:
            self._pending.append(rest)
            self._length += len(rest)
        if self._length > self._line_max:
            raise BadAnswer(f"a line of the watch is longer than {self._line_max} bytes")
        return [line for line in complete if line.strip()]


def _problem(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)
