"""additionalPrinterColumns: the columns of a table of custom resources, and its cells.

Pure: the time is handed in.
Source: kubernetes/apiextensions-apiserver pkg/registry/customresource/tableconvertor/tableconvertor.go,
kubernetes/apimachinery pkg/util/duration/duration.go.
"""

from __future__ import annotations

import datetime as dt
import re

import msgspec

from .._field_errors import go_number
from ._go_text import as_float, is_number
from ._json_path import BadJSONPath, JSONPath, json_path
from ._structural import JSON

NAME_DESCRIPTION = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client "
    "to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and "
    "configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
"""Of the first column, in the words of the API's own documentation."""


class Column(msgspec.Struct, frozen=True):
    """One column. A path that cannot be followed leaves its cells empty."""

    name: str
    type: str
    format: str = ""
    description: str = ""
    priority: int = 0
    path: JSONPath | None = None

    def definition(self) -> dict[str, JSON]:
        """As a table describes it."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


_NAME = Column("Name", "string", "name", NAME_DESCRIPTION)
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def read_columns(raw: JSON) -> tuple[Column, ...]:
    """The columns of a version's additionalPrinterColumns: the name, and those; the age, where there are none."""
    listed = [one for one in raw if isinstance(one, dict)] if isinstance(raw, list) else []
    return (_NAME, *(_read(one) for one in listed or [_AGE]))


def _read(raw: dict[str, JSON]) -> Column:
    path = str(raw.get("jsonPath") or "")
    said = raw.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        str(raw.get("name") or ""),
        str(raw.get("type") or ""),
        str(raw.get("format") or ""),
        str(said) if raw is not _AGE else AGE_DESCRIPTION,
        raw["priority"] if isinstance(raw.get("priority"), int) else 0,
        _path(path),
    )


AGE_DESCRIPTION = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be "
    "set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 "
    "form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
"""Of the column that stands where a definition names none."""


def _path(text: str) -> JSONPath | None:
    try:
        return json_path(text)
    except BadJSONPath:
        return None


def cells(columns: tuple[Column, ...], obj: dict[str, JSON], *, now_s: float) -> list[JSON]:
    """The cells of an object's row, one a column; None where there is nothing to show.

    Args:
        now_s: seconds since the epoch, for ages.
    """
    metadata = obj.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return [name if column is _NAME else _cell(column, obj, now_s) for column in columns]


def _cell(column: Column, obj: dict[str, JSON], now_s: float) -> JSON:
    found = column.path.find(obj) if column.path is not None else []
    if not found:
        return None
    value = found[0]
    match column.type:
        case "string":
            return "<no value>" if value is None else _printed(value)
        case "integer":
            return int(as_float(value)) if is_number(value) and abs(as_float(value)) < 2**63 else None
        case "number":
            return as_float(value) if is_number(value) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now_s) if isinstance(value, str) else None
    return None


def _printed(value: JSON) -> str:
    """A value as Go prints it: a map is `map[a:1 b:2]`, a list `[1 2]`."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{_printed(value[name])}' for name in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "<nil>", True: "true", False: "false"}[value]
    return go_number(value)


def _age(text: str, now_s: float) -> str:
    try:
        then = dt.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        if then.tzinfo is None:
            return "<invalid>"
        return human_duration(now_s - then.timestamp())
    except (ValueError, OverflowError):
        return "<invalid>"


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """A length of time as a table shows it: two units at most, and the smaller one only where it says something.

    >>> human_duration(59), human_duration(119), human_duration(125), human_duration(9000), human_duration(90000)
    ('59s', '119s', '2m5s', '150m', '25h')
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{max(whole, 0)}s"
    for until, big, small in _UNITS:
        if until is None or whole < until:
            return _two(whole, big, small)
    raise AssertionError("the last unit has no end")


_NAMES = {1: "s", _MINUTE: "m", _HOUR: "h", _DAY: "d", _YEAR: "y"}
_UNITS: tuple[tuple[int | None, int, int | None], ...] = (
    (10 * _MINUTE, _MINUTE, 1),
    (3 * _HOUR, _MINUTE, None),
    (8 * _HOUR, _HOUR, _MINUTE),
    (2 * _DAY, _HOUR, None),
    (8 * _DAY, _DAY, _HOUR),
    (2 * _YEAR, _DAY, None),
    (8 * _YEAR, _YEAR, _DAY),
    (None, _YEAR, None),
)
"""Below how many seconds, which unit, and which beside it."""


def _two(whole: int, big: int, small: int | None) -> str:
    rest = whole % big // small if small is not None else 0
    shown = f"{whole // big}{_NAMES[big]}"
    return f"{shown}{rest}{_NAMES[small]}" if small is not None and rest else shown
