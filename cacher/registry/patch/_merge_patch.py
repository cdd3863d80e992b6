"""JSON merge patch: objects merge, null removes, everything else replaces.

Pure.
Source: RFC 7386; the answers are those of kubernetes/apiserver pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from typing import Any

from .._errors import BadRequest
from ._go import json_kind


def apply_merge_patch(document: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The document with the patch merged in; what neither touches is shared with them.

    Raises:
        BadRequest: the patch is no object; send one.
    Cost: O(size of the patch, and of the objects that it goes through).

    >>> apply_merge_patch({"data": {"k": "1", "x": "9"}}, {"data": {"x": None, "n": "2"}})
    {'data': {'k': '1', 'n': '2'}}
    """
    if not isinstance(patch, dict):
        problem = f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]interface {{}}"
        raise BadRequest(f"error decoding patch: {problem}")
    return _merged(document, patch)


def _merged(target: Any, patch: dict[str, Any]) -> dict[str, Any]:
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = _merged(out.get(name), value) if isinstance(value, dict) else value
    return out
