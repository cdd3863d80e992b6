"""JSON patch: a list of operations on a document, all of them or none.

The operations and pointers are the library's; here are Kubernetes' limits and answers.

Pure.
Source: RFC 6902; kubernetes/apiserver pkg/endpoints/handlers/patch.go.
Differs: an index is written as RFC 6901 has it; Kubernetes also counts from the end (-1).
"""

from __future__ import annotations

from typing import Any

import jsonpatch
import msgspec

from .._errors import BadRequest, RequestEntityTooLarge
from ._go import json_kind
from ._strategic import copied
from ._strategic_lists import rejected
from ._types import is_same

OPERATIONS_MAX = 10_000
"""More operations in a patch are refused."""
COPIED_BYTES_MAX = 3 * 1024 * 1024
"""All that the copy operations of a patch copy, together: a few copies of copies would make a document of any size."""

_FAILURES = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException)


def apply_json_patch(document: Any, patch: Any) -> Any:
    """The document after all operations; it need not be an object any more.

    Raises:
        BadRequest: the patch is no list of operations.
        RequestEntityTooLarge: it has more than `OPERATIONS_MAX`.
        Unprocessable: an operation failed: a test, a path that is not there, an operation that is not known, copies of more
            than `COPIED_BYTES_MAX`.
    Cost: O(size), and O(depth) an operation (O(length of the list) in lists).

    >>> apply_json_patch({"data": {"a/b": "1"}}, [{"op": "replace", "path": "/data/a~1b", "value": "2"}])
    {'data': {'a/b': '2'}}
    """
    operations = _operations(patch)
    out = copied(document)
    copied_bytes = 0
    for operation in operations:
        try:
            if operation.get("op") == "copy":
                copied_bytes += _size(out, operation)
                if copied_bytes > COPIED_BYTES_MAX:
                    raise rejected()
            out = _applied(out, operation)
        except _FAILURES as error:
            raise rejected() from error
    return out


def _operations(patch: Any) -> list[dict[str, Any]]:
    if patch is None:
        return []
    if not isinstance(patch, list):
        raise _unreadable(f"{json_kind(patch)} into Go value of type []handlers.jsonPatchOp")
    for operation in patch:
        if not isinstance(operation, dict):
            raise _unreadable(f"{json_kind(operation)} into Go value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from"):
            if not isinstance(operation.get(name, ""), str | None):
                kind = json_kind(operation[name])
                raise _unreadable(f"{kind} into Go struct field jsonPatchOp.{name} of type string")
    if len(patch) > OPERATIONS_MAX:
        text = f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(patch)}"
        raise RequestEntityTooLarge(f"Request entity too large: {text}")
    operations: list[dict[str, Any]] = copied(patch)
    return operations


def _unreadable(what: str) -> BadRequest:
    return BadRequest(f"error decoding patch: json: cannot unmarshal {what}")


def _applied(document: Any, operation: dict[str, Any]) -> Any:
    if operation.get("op") == "test":
        # The library finds 1 and true equal, as Python does.
        found = _found(document, operation, "path")
        if not is_same(found, operation.get("value")):
            raise rejected()
        return document
    if operation.get("op") == "move":
        _found(document, operation, "from")
    return jsonpatch.apply_patch(document, [operation], in_place=True)


def _size(document: Any, operation: dict[str, Any]) -> int:
    return len(msgspec.json.encode(_found(document, operation, "from")))


def _found(document: Any, operation: dict[str, Any], name: str) -> Any:
    """What stands where the operation's member points. The place behind a list's last item holds nothing."""
    found = jsonpatch.JsonPointer(_pointer(operation, name)).resolve(document)
    if not isinstance(found, dict | list | str | int | float | None):
        raise rejected()
    return found


def _pointer(operation: dict[str, Any], name: str) -> str:
    pointer = operation.get(name)
    if not isinstance(pointer, str):
        raise rejected()
    return pointer
