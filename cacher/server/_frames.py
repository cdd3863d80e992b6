"""Events as the bytes of a watch stream, made once for all streams that show them in the same form. Pure.

    batch (shared by the watches of a view) ─ Frames ─► one line an event ─► one chunk, shared too

A batch of more than SLICE events is shown in parts, which are made once as well.

Limit: the newest MEMO_BATCHES batches of a form are remembered, up to MEMO_BYTES; what a slow stream takes later is made again.
Source: kubernetes/apiserver pkg/endpoints/handlers/watch.go, response.go (watchEmbeddedEncoder, watchListTransformer).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from watch import Batch, Event, EventType

from ..registry import APIError
from ._encoding import chunk, encode, shown
from ._request_metrics import Sizes, WatchEvents, sizes_of
from ._shapes import SLICE, Shape

MEMO_BATCHES = 64
MEMO_BYTES = 8 * 2**20
MEMO_PARTED = 4
PARTED_MAX = 4_096
"""Events of a batch whose parts are remembered. What has more is a state: one watch's own, and large."""

_TYPES = {kind: b'{"type":"%b","object":' % kind.value.encode() for kind in EventType}


class Frames:
    """The lines and chunks of one form. `events`: where they are counted as they are sent."""

    def __init__(self, shape: Shape, events: WatchEvents | None = None) -> None:
        self._shape = shape
        self._events = events
        self._made: OrderedDict[int, tuple[Batch, bytes, Sizes]] = OrderedDict()
        self._bytes = 0
        self._parts: OrderedDict[int, tuple[Batch, tuple[Batch, ...]]] = OrderedDict()

    def parts(self, batch: Batch) -> tuple[Batch, ...]:
        """The batch in parts of SLICE events, the same to everybody who asks while it is new: so their chunks are shared."""
        if len(batch) <= SLICE:
            return (batch,)
        known = self._parts.get(id(batch))
        if known is not None and known[0] is batch:
            return known[1]
        made = tuple(batch[start : start + SLICE] for start in range(0, len(batch), SLICE))
        if len(batch) > PARTED_MAX:
            return made
        self._parts[id(batch)] = (batch, made)
        if len(self._parts) > MEMO_PARTED:
            self._parts.popitem(last=False)
        return made

    def chunk(self, batch: Batch) -> bytes:
        """The batch's lines as one chunk. Cost: a lookup where another stream has shown it already."""
        known = self._made.get(id(batch))
        if known is not None and known[0] is batch:
            return known[1]
        lines = self.lines(batch)
        made = chunk(lines)
        self._made[id(batch)] = (batch, made, sizes_of(map(len, lines.split(b"\n")[:-1])))
        self._bytes += len(made)
        while len(self._made) > MEMO_BATCHES or self._bytes > MEMO_BYTES:
            _, (_, dropped, _) = self._made.popitem(last=False)
            self._bytes -= len(dropped)
        return made

    def sent(self, batch: Batch, data: bytes) -> None:
        """Count the batch, which went to a watch as `data`."""
        if self._events is None:
            return
        known = self._made.get(id(batch))
        is_known = known is not None and known[0] is batch
        # Else it was shown in another way, or so long ago that it is forgotten.
        sizes = known[2] if known is not None and is_known else sizes_of([len(data) // len(batch)] * len(batch))
        self._events.sent(sizes, len(data))

    def lines(self, batch: Batch, *, with_columns: bool = False) -> bytes:
        """The batch's events, a line each. `with_columns`: the first one is a stream's first, and says what a table's are."""
        return b"".join(self._line(event, with_columns and event is batch[0]) for event in batch)

    def is_of(self, shape: Shape) -> bool:
        """Whether they are of the same resource as it is served now: its definition may have changed."""
        return self._shape.door.storage is shape.door.storage

    @property
    def has_columns(self) -> bool:
        """Whether the first event of a stream differs from those that follow."""
        wanted = self._shape.transformation
        return wanted is not None and wanted.kind == "Table"

    def _line(self, event: Event, with_columns: bool) -> bytes:
        return _TYPES[event.type] + self._object(event, with_columns) + b"}\n"

    def _object(self, event: Event, with_columns: bool) -> bytes:
        shape = self._shape
        wanted = shape.transformation
        if wanted is None:
            return shown(event.object) if event.type is not EventType.BOOKMARK else encode(self._marked(event))
        obj = event.object.to_dict() if event.type is not EventType.BOOKMARK else self._marked(event)
        if wanted.kind != "Table":
            return encode(shape.object(obj))
        table: dict[str, Any] = shape.object(obj)
        if event.is_initial_events_end and shape.include == "None":
            table["rows"] = [{**row, "object": shape.partial(obj)} for row in table["rows"]]
        if not with_columns:
            table["columnDefinitions"] = None
        return encode(table)

    def _marked(self, event: Event) -> dict[str, Any]:
        version, kind = self._shape.door.kind
        return {"kind": kind, "apiVersion": version, **event.object.to_dict()}


def error_line(error: APIError) -> bytes:
    """An error as the last event of a stream."""
    return b'{"type":"ERROR","object":' + encode(error.status()) + b"}\n"
