"""What one client of a real watch cache received, its list and then its watch, as recorded beside a trace.

One gzipped file of JSON lines a client, PREFIX.watch-NAME.jsonl.gz; scenarios/data/README.md describes the lines. A
file is read once to check it and take its facts, and once more when it is compared, so no recorded object is held
during a run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec

from watch import INITIAL_EVENTS_END

from ._trace import TraceError, decode_line, read_lines

Document = dict[str, Any]
"""A decoded JSON object."""

_SUFFIX = ".jsonl.gz"

# /api/v1/… or /apis/GROUP/VERSION/…, then namespaces/NAME/ or not, the resource, and the name of one object or not.
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)"
    r"/(?:namespaces/(?P<namespace>[^/]+)/)?(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?"
)


class Request(msgspec.Struct, frozen=True):
    """What a recorded URL asked for, in the words of this library; None: not restricted."""

    group_version: str
    plural: str
    namespace: str | None = None
    name: str | None = None
    labels: str | None = None
    fields: str | None = None
    resource_version: str = ""
    sends_initial_events: bool = False


def read_url(url: str) -> Request:
    """The request behind a path and query of the Kubernetes API.

    Raises:
        ValueError: it is no path of a resource.
    """
    parts = urlsplit(url)
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise ValueError(
            f"{parts.path} is not the path of a resource, such as /api/v1/pods or /apis/GROUP/VERSION/PLURAL"
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    group, version = match["group"], match["version"]
    return Request(
        group_version=f"{group}/{version}" if group else version,
        plural=match["plural"],
        namespace=match["namespace"],
        name=match["name"],
        labels=query.get("labelSelector"),
        fields=query.get("fieldSelector"),
        resource_version=query.get("resourceVersion", ""),
        sends_initial_events=query.get("sendInitialEvents") == "true",
    )


class Refusal(msgspec.Struct, frozen=True):
    """The ERROR event, or the status, that ended a recorded watch."""

    code: int
    message: str


class Recording(msgspec.Struct, frozen=True):
    """The facts of one recorded client; its objects stay in the file until they are asked for."""

    path: Path
    name: str
    request: Request
    """Of the watch."""
    listed_t: float | None
    """When the client listed, in seconds of the scenario; None: it had its initial state streamed."""
    opened_t: float
    """When the watch was open."""
    stopped_t: float
    """When the stream or its recording ended."""
    revision: int
    """What the initial state shows; the watch brings what came after."""
    initial_count: int
    event_count: int
    """Without bookmarks and the initial state."""
    last_revision: int
    """Of the last event; `revision` where there is none."""
    refusal: Refusal | None = None
    translate: Callable[[Document], Document] | None = None
    """What a recorded object is here, where the trace was brought to other revisions."""

    def initial(self) -> list[Document]:
        """The initial state in its order, with the `kind` and `apiVersion` that a list leaves out. Reads the file."""
        if self.listed_t is None:
            return [document for _, document in self._changes()][: self.initial_count]
        line = next(line for line in _decoded(self.path, _CONTENT) if line.kind == "list")
        body: Document = msgspec.json.decode(line.body)
        shape = {"kind": str(body["kind"]).removesuffix("List"), "apiVersion": body["apiVersion"]}
        return [self._here(shape | item) for item in body.get("items") or []]

    def events(self) -> Iterator[tuple[str, Document]]:
        """Type and object of every event after the initial state, without bookmarks. Reads the file as it goes."""
        for index, change in enumerate(self._changes()):
            if self.listed_t is not None or index >= self.initial_count:
                yield change

    def _changes(self) -> Iterator[tuple[str, Document]]:
        for line in _decoded(self.path, _CONTENT):
            if line.event is not None and line.event.type in _CHANGES:
                yield line.event.type, self._here(msgspec.json.decode(line.event.object))

    def _here(self, document: Document) -> Document:
        return document if self.translate is None else self.translate(document)


def load_recordings(prefix: Path) -> list[Recording]:
    """The recordings beside a trace, by name.

    Raises:
        TraceError: one is damaged; it names file and line.
    """
    stem = f"{prefix.name}.watch-"
    paths = sorted(prefix.parent.glob(f"{stem}*{_SUFFIX}"))
    return [_load(path, path.name.removeprefix(stem).removesuffix(_SUFFIX)) for path in paths]


_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
_EventWord = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
_LineKind = Literal["", "list", "watch", "recording-stopped", "closed-by-server"]


class _Metadata(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815 - the API's spelling
    annotations: dict[str, str] | None = None


class _Head(msgspec.Struct):
    """Of a delivered object, or of the Status in an ERROR event."""

    metadata: _Metadata
    code: int = 0
    message: str = ""


class _FactEvent(msgspec.Struct):
    type: _EventWord
    object: _Head


class _FactBody(msgspec.Struct):
    kind: str
    apiVersion: str  # noqa: N815 - the API's spelling
    metadata: _Metadata
    items: list[msgspec.Raw] | None = None


class _FactLine(msgspec.Struct):
    """A line read for its facts: heads are decoded, objects skipped."""

    t: float
    kind: _LineKind = ""
    url: str = ""
    status: int = 200
    body: _FactBody | None = None
    event: _FactEvent | None = None


class _ContentEvent(msgspec.Struct):
    type: _EventWord
    object: msgspec.Raw


class _ContentLine(msgspec.Struct):
    """A line read for its objects."""

    kind: _LineKind = ""
    body: msgspec.Raw = msgspec.Raw()
    event: _ContentEvent | None = None


_FACTS = msgspec.json.Decoder(_FactLine)
_CONTENT = msgspec.json.Decoder(_ContentLine)


def _decoded(path: Path, decoder: msgspec.json.Decoder[_ContentLine]) -> Iterator[_ContentLine]:
    for line, text in read_lines(path):
        yield decode_line(path, line, text, decoder)


def _load(path: Path, name: str) -> Recording:
    facts = _Facts(path)
    for line, text in read_lines(path):
        facts.take(line, decode_line(path, line, text, _FACTS))
    return facts.recording(name)


class _Facts:
    """Follows one file line by line and says where it is not what a client can have received."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = 0
        self._request: Request | None = None
        self._listed: tuple[float, int, int] | None = None  # t, revision, objects
        self._streamed: tuple[int, int] | None = None  # revision, objects
        self._opened_t = 0.0
        self._stopped_t: float | None = None
        self._changes = 0
        self._last_revision = 0
        self._refusal: Refusal | None = None

    def take(self, line: int, row: _FactLine) -> None:
        self._line = line
        if row.event is not None:
            self._take_event(row.event)
        elif row.kind == "list":
            self._take_list(row)
        elif row.kind == "watch":
            self._take_watch(row)
        elif row.kind and self._stopped_t is None:
            self._stopped_t = row.t
        elif not row.kind:
            raise self._error("the line is neither an event nor of a known kind")

    def _take_list(self, row: _FactLine) -> None:
        if row.status != 200 or row.body is None:
            raise self._error(f"the list was answered with status {row.status}, so there is nothing to compare")
        self._listed = (row.t, self._revision(row.body.metadata.resourceVersion), len(row.body.items or []))

    def _take_watch(self, row: _FactLine) -> None:
        try:
            self._request = read_url(row.url)
        except ValueError as error:
            raise self._error(str(error)) from error
        self._opened_t = row.t
        if row.status != 200:
            self._refusal = Refusal(row.status, f"HTTP status {row.status}")

    def _take_event(self, event: _FactEvent) -> None:
        if self._request is None:
            raise self._error("an event comes before the watch was opened")
        if event.type == "ERROR":
            self._refusal = Refusal(event.object.code, event.object.message)
        elif event.type == "BOOKMARK":
            if INITIAL_EVENTS_END in (event.object.metadata.annotations or {}):
                self._streamed = (self._revision(event.object.metadata.resourceVersion), self._changes)
        else:
            self._changes += 1
            self._last_revision = self._revision(event.object.metadata.resourceVersion)

    def recording(self, name: str) -> Recording:
        """What was found, once the whole file has been taken."""
        if self._request is None or self._stopped_t is None:
            missing = "watch" if self._request is None else "recording-stopped"
            raise self._error(f"the file ends here without a line of kind {missing}")
        listed_t, revision, initial_count = self._initial_state(self._request)
        event_count = self._changes - (initial_count if listed_t is None else 0)
        return Recording(
            path=self._path,
            name=name,
            request=self._request,
            listed_t=listed_t,
            opened_t=self._opened_t,
            stopped_t=self._stopped_t,
            revision=revision,
            initial_count=initial_count,
            event_count=event_count,
            last_revision=self._last_revision if event_count else revision,
            refusal=self._refusal,
        )

    def _initial_state(self, request: Request) -> tuple[float | None, int, int]:
        """When it was listed (None: streamed), its revision, and how many objects it has."""
        if request.sends_initial_events:
            if self._streamed is None:
                raise self._error("the initial events were asked for and no bookmark says where they end")
            return None, *self._streamed
        if self._listed is None or request.resource_version != str(self._listed[1]):
            raise self._error("the watch does not start from a recorded list")
        return self._listed

    def _revision(self, resource_version: str) -> int:
        if not resource_version.isdecimal():
            raise self._error(f"resourceVersion {resource_version!r} is not a revision")
        return int(resource_version)

    def _error(self, problem: str) -> TraceError:
        return TraceError(self._path, self._line, problem)
