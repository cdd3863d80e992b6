"""Objects as rows: by the columns of a built-in resource, or where there are none of its own. Pure.

Source: kubernetes/apiserver pkg/registry/rest/table.go (defaultTableConvertor); the descriptions are those of ObjectMeta.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._meta import JSONObject, name_of, text
from ._printers_objects import OBJECTS
from ._printers_workloads import WORKLOADS
from ._printing import Printer

PRINTERS: dict[tuple[str, str], Printer] = {**WORKLOADS, **OBJECTS}
"""Of the built-in resources, by group version and plural."""

DEFAULT_COLUMNS: tuple[JSONObject, ...] = (
    {"name": "Name", "type": "string", "format": "name", "description": "What the object is called.", "priority": 0},
    {"name": "Created At", "type": "date", "format": "", "description": "When it was created.", "priority": 0},
)


def default_table(objects: Sequence[JSONObject]) -> JSONObject:
    """Names and times of creation. `object` of a row is the whole object: who asked says how much of it is shown."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": [dict(column) for column in DEFAULT_COLUMNS],
        "rows": [{"cells": [name_of(obj), text(obj, "creationTimestamp")], "object": obj} for obj in objects],
    }
