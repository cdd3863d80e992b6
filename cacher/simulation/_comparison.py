"""What two streams of one watch differ in: recorded events beside delivered ones, whole objects beside whole objects.

Pure: documents and events in, findings in words out. `_verify.py` gets the events; `watchcache trace --verify` prints the lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from watch import Event, Object

from ._recording import Document

# Examples kept of one stream's differences; the rest is only counted.
_EXAMPLES_MAX = 5

# Characters shown of a differing value.
_BRIEF_LENGTH = 60


class Kind(Protocol):
    """What the API calls the objects of a resource."""

    @property
    def kind(self) -> str: ...
    @property
    def group_version(self) -> str: ...
    @property
    def prefix(self) -> str: ...


class StreamResult(msgspec.Struct, frozen=True):
    """What the comparison of one recording found."""

    name: str
    events: int
    """Recorded and compared."""
    events_equal: int
    initial: int
    """Objects of the recorded list, or of the streamed initial state."""
    initial_equal: int
    differences: int
    """Each event and object that is missing, additional or unequal, and a watch that ended by itself."""
    examples: tuple[str, ...] = ()
    """The first differences, in words."""
    not_comparable: str = ""
    """Why the events were not compared; "": they were."""

    def lines(self) -> list[str]:
        """One line, and below it the first differences."""
        if self.not_comparable:
            head = f"{self.name}: not comparable ({self.not_comparable})"
        else:
            head = f"{self.name}: {self.events_equal} of {self.events} events equal"
        if self.initial_equal != self.initial:
            head += f", {self.initial_equal} of {self.initial} objects of the initial state equal"
        rest = self.differences - len(self.examples)
        return [head, *(f"  {example}" for example in self.examples), *([f"  and {rest} more"] if rest > 0 else [])]


class Comparison(msgspec.Struct, frozen=True):
    """The results of all recordings of one trace."""

    streams: tuple[StreamResult, ...]

    @property
    def events(self) -> int:
        return sum(stream.events for stream in self.streams)

    @property
    def differences(self) -> int:
        return sum(stream.differences for stream in self.streams)

    def lines(self) -> list[str]:
        """A line a stream, and the sums as the last."""
        last = f"{len(self.streams)} streams, {self.events} events, {self.differences} differences"
        if not self.streams:
            last += " (nothing is recorded beside this trace, so nothing was compared)"
        return [line for stream in self.streams for line in stream.lines()] + [last]


class Findings:
    """Counts differences and keeps the first few."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.examples) < _EXAMPLES_MAX:
            self.examples.append(text)


class EventComparison:
    """Walks a recorded stream and ours side by side by revision, so that one lost event counts once and not as many.

    Whatever `got` holds out of order is found as missing in its place and additional in the wrong one.
    """

    def __init__(self, got: Sequence[Event], info: Kind, found: Findings, *, last_revision: int) -> None:
        self._got = got
        self._info = info
        self._found = found
        self._last_revision = last_revision
        self._next = 0
        self._expected = 0
        self._equal = 0

    def expect(self, kind: str, document: Document) -> None:
        """The recorded stream's next event."""
        revision = int(document["metadata"]["resourceVersion"])
        while self._next < len(self._got) and self._got[self._next].revision < revision:
            self._additional()
        where = f"event {self._expected}: {kind} {_name(document)} at {revision}"
        self._expected += 1
        if self._next == len(self._got) or self._got[self._next].revision > revision:
            self._found.add(f"{where}: did not come")
            return
        event = self._got[self._next]
        self._next += 1
        difference = _event_difference(kind, document, event, self._info)
        if difference:
            self._found.add(f"{where}: {difference}")
        else:
            self._equal += 1

    def finish(self) -> int:
        """How many events were equal, after all that still follow in ours have been counted."""
        while self._next < len(self._got):
            if self._got[self._next].revision > self._last_revision:
                self._next += 1
            else:
                self._additional()
        return self._equal

    def _additional(self) -> None:
        event = self._got[self._next]
        self._next += 1
        name = _name(shape(event.object, self._info))
        self._found.add(
            f"before event {self._expected}: {event.type.value} {name} at {event.revision}: came here and is not recorded"
        )


def _event_difference(kind: str, document: Document, event: Event, info: Kind) -> str:
    if event.type.value != kind:
        return f"came as {event.type.value}"
    if event.revision != event.object.revision:
        return f"the event says revision {event.revision} and its object {event.object.revision}"
    return _document_difference(document, shape(event.object, info))


def _document_difference(expected: Document, got: Document) -> str:
    """`first_difference`, for documents that are nearly always equal: sorted encodings are compared first."""
    if msgspec.json.encode(expected, order="deterministic") == msgspec.json.encode(got, order="deterministic"):
        return ""
    return first_difference(expected, got)


def compare_initial(expected: Sequence[Document], objects: Sequence[Object], info: Kind, found: Findings) -> int:
    """How many objects of the initial state are equal; found: each that is missing, additional, unequal, or misplaced."""
    shown = [shape(item, info) for item in objects]
    got = {_name(document): document for document in shown}
    names, ours_in_order = [_name(document) for document in expected], [_name(document) for document in shown]
    equal = 0
    for document in expected:
        ours = got.pop(_name(document), None)
        difference = "is not in it" if ours is None else _document_difference(document, ours)
        if difference:
            found.add(f"initial state: {_name(document)}: {difference}")
        else:
            equal += 1
    for name in got:
        found.add(f"initial state: {name}: came here and is not recorded")
    for name, count in Counter(ours_in_order).items():
        if count > 1:
            found.add(f"initial state: {name}: came {count} times")
    if names != ours_in_order and sorted(names) == sorted(ours_in_order):
        found.add("initial state: in another order than recorded")
    return equal


def shape(item: Object, info: Kind) -> Document:
    """The object as the API shows it: `kind` and `apiVersion` of its resource, `resourceVersion` from the revision."""
    document = item.to_dict()
    document["kind"], document["apiVersion"] = info.kind, info.group_version
    return document


def _name(document: Document) -> str:
    metadata = document.get("metadata") or {}
    return "/".join(part for part in (metadata.get("namespace"), metadata.get("name")) if part)


def first_difference(expected: object, got: object, path: str = "") -> str:
    """Where two JSON values first differ, with both values in brief; "" where they are equal. Cost: O(size)."""
    if isinstance(expected, dict) and isinstance(got, dict):
        pairs: Iterator[tuple[str, object, object]] = (
            (f"{path}.{key}", expected.get(key, _ABSENT), got.get(key, _ABSENT)) for key in sorted({*expected, *got})
        )
    elif isinstance(expected, list) and isinstance(got, list):
        longest = range(max(len(expected), len(got)))
        pairs = ((f"{path}[{i}]", _item(expected, i), _item(got, i)) for i in longest)
    elif type(expected) is type(got) and expected == got:
        return ""
    else:
        return f"{path or '.'}: expected {_brief(expected)}, got {_brief(got)}"
    return next((found for below, a, b in pairs if (found := first_difference(a, b, below))), "")


class _Absent:
    pass


_ABSENT = _Absent()


def _item(values: list[object], index: int) -> object:
    return values[index] if index < len(values) else _ABSENT


def _brief(value: object) -> str:
    if value is _ABSENT:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _BRIEF_LENGTH else text[: _BRIEF_LENGTH - 1] + "…"
