"""JSON as the values that an expression sees, by its schema; and how large they are, which bounds the work of an evaluation.

Fields that the schema does not know, and those whose names no expression can say, are not there; numbers are of the schema's
type; texts with the formats byte, date, date-time and duration are what they stand for.
Pure. Source: kubernetes/apiserver pkg/cel/common/valuesunstructured.go.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import Any

from ._cel_types import escaped
from ._go_text import is_number
from ._structural import JSON, Schema

Measured = tuple[Any, int, int]
"""A value, the letters of its longest text, and the items of its largest collection."""


def cel_value(schema: Schema, value: JSON, *, is_resource: bool = False) -> Measured:
    """The value as CEL has it.

    Cost: O(value).
    """
    reader = _Reader()
    if isinstance(value, str):
        return _text(schema, value), max(len(value), 1), 1
    made = reader.read(schema, value, is_resource=is_resource)
    return made, reader.longest, reader.largest


class _Reader:
    def __init__(self) -> None:
        self.longest = 1
        self.largest = 1

    def read(self, schema: Schema, value: JSON, *, is_resource: bool = False) -> Any:
        if value is None:
            return None
        if isinstance(value, str):
            self.longest = max(self.longest, len(value))
            made = _text(schema, value)
            return _as_text(made) if isinstance(made, dt.datetime | dt.timedelta) else made
        if isinstance(value, list):
            self.largest = max(self.largest, len(value))
            return [self.read(schema.items, one) for one in value] if schema.items is not None else []
        if isinstance(value, dict):
            self.largest = max(self.largest, len(value))
            return self._map(schema, value, is_resource=is_resource or schema.is_embedded)
        return _number(schema, value) if is_number(value) else value

    def _map(self, schema: Schema, value: dict[str, JSON], *, is_resource: bool) -> dict[str, Any]:
        if schema.additional is not None:
            self.longest = max(self.longest, *map(len, value), 1)
            return {name: self.read(schema.additional, one) for name, one in value.items()}
        made: dict[str, Any] = {}
        for name, one in value.items():
            below = (schema.properties or {}).get(name)
            said = escaped(name)
            if below is not None and said is not None and not (is_resource and name == "metadata"):
                made[said] = self.read(below, one)
        return {**made, **_metadata(value)} if is_resource else made


def _metadata(value: dict[str, JSON]) -> dict[str, Any]:
    """What every object has: its kind, its apiVersion and its names."""
    made: dict[str, Any] = {name: value[name] for name in ("kind", "apiVersion") if isinstance(value.get(name), str)}
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        names = ("name", "generateName")
        made["metadata"] = {name: metadata[name] for name in names if isinstance(metadata.get(name), str)}
    return made


def _number(schema: Schema, value: float) -> float:
    if schema.type == "number":
        return float(value)
    return int(value) if schema.type == "integer" and float(value).is_integer() else value


def _text(schema: Schema, value: str) -> Any:
    """What the text stands for; the text itself, where it stands for nothing."""
    if schema.type != "string" or not schema.format:
        return value
    try:
        if schema.format == "byte":
            return base64.b64decode(value, validate=True)
        if schema.format in ("date", "date-time"):
            return _time(value)
        return _duration(value) if schema.format == "duration" else value
    except (ValueError, OverflowError, binascii.Error):
        return value


def _as_text(value: dt.datetime | dt.timedelta) -> str:
    """A time within an object, in a form that every expression can read."""
    return value.isoformat() if isinstance(value, dt.datetime) else f"{value / dt.timedelta(seconds=1):f}s"


def _time(value: str) -> dt.datetime:
    made = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper()))
    return made if made.tzinfo is not None else made.replace(tzinfo=dt.UTC)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def _duration(value: str) -> dt.timedelta:
    parts = re.findall(r"([0-9]*\.?[0-9]+)\s*(ns|us|µs|ms|s|m|h|d|w)", value)
    if not parts:
        raise ValueError(value)
    seconds = sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    return dt.timedelta(seconds=-seconds if value.startswith("-") else seconds)
