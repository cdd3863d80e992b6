"""Rows of tables: what columns a resource has, and the cells of an object's row. The resources are in `_printers_*`. Pure.

A cell function never fails: what an object lacks shows as Kubernetes shows it, and an empty object (a bookmark's) has a row too.
Source: kubernetes pkg/printers/internalversion/printers.go; the descriptions of columns are our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ._label_selectors import read_selector
from ._meta import JSONObject, parse_time, text
from .schema import human_duration

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"

Cells = Callable[[JSONObject, float], list[Any]]
"""The cells of an object's row, at a time in seconds since the epoch."""


class Printer(msgspec.Struct, frozen=True):
    """How one resource's objects are shown."""

    columns: tuple[JSONObject, ...]
    cells: Cells
    conditions: Callable[[JSONObject], list[JSONObject]] | None = None
    """What a row says of its object beside the cells."""

    def table(self, objects: Sequence[JSONObject], now_s: float) -> JSONObject:
        """Objects as a metav1.Table; `object` of a row is the whole object."""
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "columnDefinitions": [dict(column) for column in self.columns],
            "rows": [self._row(obj, now_s) for obj in objects],
        }

    def _row(self, obj: JSONObject, now_s: float) -> JSONObject:
        row: JSONObject = {"cells": self.cells(obj, now_s)}
        if self.conditions is not None and (conditions := self.conditions(obj)):
            row["conditions"] = conditions
        row["object"] = obj
        return row


def column(name: str, type_: str, description: str, *, priority: int = 0, format_: str = "") -> JSONObject:
    """A column's definition. Priority 1: in wide output alone."""
    return {"name": name, "type": type_, "format": format_, "description": description, "priority": priority}


NAME = column("Name", "string", "What the object is called: unique in its namespace.", format_="name")
AGE = column("Age", "string", "How long ago the object was created.")
CONTAINERS = column("Containers", "string", "The names of the template's containers.", priority=1)
IMAGES = column("Images", "string", "The images of the template's containers.", priority=1)
SELECTOR = column("Selector", "string", "Which pods it is about, by their labels.", priority=1)


def at(obj: Any, *path: str) -> Any:
    """What stands below a path of members; None where there is nothing."""
    for member in path:
        obj = obj.get(member) if isinstance(obj, Mapping) else None
    return obj


def word(obj: Any, *path: str) -> str:
    """A text below a path, "" where there is none."""
    found = at(obj, *path)
    return found if isinstance(found, str) else ""


def number(obj: Any, *path: str) -> int:
    """A whole number below a path, 0 where there is none."""
    found = at(obj, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def items(obj: Any, *path: str) -> list[Any]:
    """A list below a path, empty where there is none."""
    found = at(obj, *path)
    return found if isinstance(found, list) else []


def count(obj: Any, *path: str) -> int:
    """How many members a map below a path has."""
    found = at(obj, *path)
    return len(found) if isinstance(found, Mapping) else 0


def joined(obj: Any, *path: str) -> str:
    """The texts of a list below a path."""
    return ",".join(map(str, items(obj, *path)))


def since(when: str, now_s: float) -> str:
    """How long ago it was."""
    if not when:
        return UNKNOWN
    try:
        return human_duration(now_s - parse_time(when).timestamp())
    except ValueError:
        return UNKNOWN


def age(obj: JSONObject, now_s: float) -> str:
    """How long ago the object was created."""
    return since(text(obj, "creationTimestamp"), now_s)


def labels_text(labels: Any) -> str:
    """A map of labels as a selector of just these."""
    if not isinstance(labels, Mapping) or not labels:
        return NONE
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels))


def selector_text(selector: Any, *, empty: str = NONE) -> str:
    """A selector inside of an object as text."""
    found = read_selector(selector or {}) if isinstance(selector, Mapping | None) else None
    return "<error>" if found is None else str(found) or empty


def containers(template: Any) -> list[str]:
    """The names, and the images, of a template's containers."""
    listed = items(template, "spec", "containers")
    return [",".join(word(one, "name") for one in listed), ",".join(word(one, "image") for one in listed)]


def some(found: Iterable[str], limit: int = 3, *, empty: str = UNSET) -> str:
    """The first few, and how many more there are."""
    listed = list(found)
    shown = ",".join(listed[:limit])
    return f"{shown} + {len(listed) - limit} more..." if len(listed) > limit else shown or empty


def condition(obj: Any, type_: str) -> JSONObject | None:
    """The condition of that type in the object's status."""
    for one in items(obj, "status", "conditions"):
        if at(one, "type") == type_:
            return dict(one)
    return None


def is_true(obj: Any, type_: str) -> bool:
    """Whether the object's status says that the condition holds."""
    found = condition(obj, type_)
    return found is not None and found.get("status") == "True"
