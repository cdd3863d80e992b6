"""Tables and objects as people read them: columns as kubectl sets them, an object as an outline. Pure.

Source: kubernetes/cli-runtime pkg/printers/tableprinter.go, tabwriter.go (columns of at least six, three spaces between them);
kubectl pkg/describe (the outline of an object whose kind has none of its own).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

GAP = "   "
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that has the whole object again, secrets too. It is left out, as kubectl does."""
HIDDEN_OF_METADATA = ("managedFields", "name", "namespace", "labels", "annotations")
KEYS_OF_USERS = (
    *("annotations", "labels", "matchLabels", "nodeSelector", "selector"),
    *("binaryData", "data", "stringData", "limits", "requests"),
)
"""Members whose own members are named by users, and are shown as they are."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Columns:
    """Rows in columns. The widths are those of the rows that are shown first; what comes later and is wider, pushes.

    Args:
        definitions: the table's `columnDefinitions`.
        with_namespace: whether each row begins with its object's namespace.
        is_wide: whether all columns are shown, and not those of priority 0 alone.
        prefix: what stands before each name: `pod/`.
    """

    def __init__(
        self,
        definitions: Sequence[Mapping[str, Any]],
        *,
        with_namespace: bool = False,
        is_wide: bool = False,
        prefix: str = "",
    ) -> None:
        self._shown = [i for i, column in enumerate(definitions) if is_wide or not column.get("priority")]
        self._names = [i for i, column in enumerate(definitions) if column.get("format") == "name"]
        self._with_namespace = with_namespace
        self._prefix = prefix
        self._header = [str(definitions[i]["name"]).upper() for i in self._shown]
        self._widths: list[int] = []

    def lines(self, rows: Iterable[Mapping[str, Any]], *, with_header: bool = True) -> Iterator[str]:
        """The rows as lines, under the names of their columns."""
        cells = [self._cells(row) for row in rows]
        header = ["NAMESPACE", *self._header] if self._with_namespace else self._header
        table = [header, *cells] if with_header else cells
        if not self._widths:
            self._widths = [max(len(row[i]) for row in [header, *cells]) for i in range(len(header))]
        for line in table:
            yield GAP.join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip()

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        values = row.get("cells") or []
        cells = [self._cell(i, values[i] if i < len(values) else None) for i in self._shown]
        if not self._with_namespace:
            return cells
        metadata = (row.get("object") or {}).get("metadata") or {}
        return [metadata.get("namespace") or "", *cells]

    def _cell(self, index: int, value: Any) -> str:
        prefix = self._prefix if index in self._names else ""
        return prefix + shown(value)


def shown(value: Any) -> str:
    """A value on one line, with nothing in it that a terminal would obey."""
    if value is None:
        return "<none>"
    if isinstance(value, bool):
        return str(value).lower()
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], str(value))


def table_of(objects: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A table of what a server without tables lists: names, and when they were made."""
    definitions = [{"name": "Name", "format": "name"}, {"name": "Created At"}]
    rows = []
    for obj in objects:
        metadata = obj.get("metadata") or {}
        rows.append({"cells": [metadata.get("name"), metadata.get("creationTimestamp")], "object": obj})
    return {"kind": "Table", "columnDefinitions": definitions, "rows": rows}


def without_managed_fields(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without the book-keeping that nobody reads."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


# ---- describe --------------------------------------------------------------------------------------------------------


def outline(obj: Mapping[str, Any], events: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """The object as an outline, and what was reported of it. Of a secret's data the sizes alone are told."""
    if (obj.get("apiVersion"), obj.get("kind")) == ("v1", "Secret"):
        obj = {**obj, "data": {name: _size(value) for name, value in (obj.get("data") or {}).items()}}
    metadata = obj.get("metadata") or {}
    head: list[tuple[str, Any]] = [("Name", metadata.get("name"))]
    if metadata.get("namespace"):
        head.append(("Namespace", metadata["namespace"]))
    pairs = {
        "Labels": [f"{name}={value}" for name, value in sorted((metadata.get("labels") or {}).items())],
        "Annotations": [
            f"{name}: {value}"
            for name, value in sorted((metadata.get("annotations") or {}).items())
            if name != LAST_APPLIED
        ],
    }
    for title, value in head:
        yield f"{title + ':':<14}{shown(value)}"
    for title, lines in pairs.items():
        for number, line in enumerate(lines or ["<none>"]):
            yield f"{title + ':' if not number else '':<14}{shown(line)}"
    yield f"{'API Version:':<14}{shown(obj.get('apiVersion'))}"
    yield f"{'Kind:':<14}{shown(obj.get('kind'))}"
    yield "Metadata:"
    rest = {name: value for name, value in metadata.items() if name not in HIDDEN_OF_METADATA}
    yield from _members(rest, 1)
    for name, value in obj.items():
        if name not in ("apiVersion", "kind", "metadata"):
            yield from _member(name, value, 0)
    yield from _events(events)


def _size(encoded: str) -> str:
    return f"{len(encoded.rstrip('=')) * 3 // 4} bytes"


def _members(value: Mapping[str, Any], depth: int, *, is_titled: bool = True) -> Iterator[str]:
    for name in sorted(value):
        yield from _member(name, value[name], depth, is_titled=is_titled)


def _member(name: str, value: Any, depth: int, *, is_titled: bool = True) -> Iterator[str]:
    indent, title = "  " * depth, _title(name) if is_titled else shown(name)
    if isinstance(value, dict):
        yield f"{indent}{title}:" if value else f"{indent}{title}:  <none>"
        yield from _members(value, depth + 1, is_titled=name not in KEYS_OF_USERS)
    elif isinstance(value, list):
        yield f"{indent}{title}:" if value else f"{indent}{title}:  <none>"
        yield from _items(value, depth + 1)
    elif isinstance(value, str) and "\n" in value:
        yield f"{indent}{title}:"
        yield from (f"{indent}  {shown(line)}" for line in value.splitlines())
    else:
        yield f"{indent}{title}:  {shown(value)}"


def _items(values: Sequence[Any], depth: int) -> Iterator[str]:
    for value in values:
        lines = list(_members(value, 0)) if isinstance(value, dict) else [shown(value)]
        for number, line in enumerate(lines or ["<none>"]):
            yield f"{'  ' * depth}{'- ' if not number else '  '}{line}"


def _title(name: str) -> str:
    """`creationTimestamp` as `Creation Timestamp`; what is no such name as it is."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", name):
        return shown(name)
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    return " ".join(word[0].upper() + word[1:] for word in words)


def _events(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not events:
        yield "Events:       <none>"
        return
    yield "Events:"
    columns = Columns([{"name": name} for name in ("Type", "Reason", "Last seen", "From", "Message")])
    rows = [
        {
            "cells": [
                event.get("type"),
                event.get("reason"),
                event.get("lastTimestamp") or event.get("eventTime"),
                (event.get("source") or {}).get("component") or event.get("reportingComponent"),
                " ".join(str(event.get("message", "")).split()),
            ]
        }
        for event in events
    ]
    yield from (f"  {line}" for line in columns.lines(rows))
