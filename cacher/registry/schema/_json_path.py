"""The JSON paths of custom resource definitions: where replicas are, what can be selected by, what a table shows.

    .spec.color   .metadata.labels['a.b']   .spec.ports[0].port   .spec.ports[*].port
    .status.conditions[?(@.type=="Ready")].status

Pure. Other forms of JSONPath (`..`, unions, slices with steps) are refused with a message that says so.
Source: kubernetes/client-go util/jsonpath.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from .._field_errors import FieldError, invalid
from ._structural import JSON

PATH_LENGTH_MAX = 4096
"""Letters."""


class BadJSONPath(Exception):
    """The text is no path that can be followed here; whoever wrote it must mend it."""


class _Field(msgspec.Struct, frozen=True):
    name: str


class _At(msgspec.Struct, frozen=True):
    at: int | None
    """None: all of them."""


class _Filter(msgspec.Struct, frozen=True):
    path: JSONPath
    compare: Callable[[Any, Any], bool] | None
    """None: it is enough that something is there."""
    value: JSON


class JSONPath(msgspec.Struct, frozen=True):
    """A path that was read."""

    text: str
    steps: tuple[_Field | _At | _Filter, ...]

    def find(self, value: JSON) -> list[JSON]:
        """What the path leads to; nothing where something on the way is missing.

        Cost: O(steps), or O(value) with `[*]` and filters.
        """
        found = [value]
        for step in self.steps:
            found = [below for one in found for below in _follow(step, one)]
        return found


_STEP = re.compile(
    r"""\.(?P<field>[^.\[\]'"(){}?@*,:\s]+) | \[\s*(?P<quote>['"])(?P<name>.*?)(?P=quote)\s*\] | \[\s*(?P<at>-?\d{1,9}|\*)\s*\]
    | (?P<all>\.\*) | \[\?\(\s*@(?P<path>[^=<>!\s)]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>"[^"]*"|'[^']*'|[^)\s]+)\s*)?\)\]""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def json_path(text: str) -> JSONPath:
    """The path that the text says.

    Raises:
        BadJSONPath: it says none that is supported.
    """
    if len(text) > PATH_LENGTH_MAX:
        raise BadJSONPath(f"a JSON path may have {PATH_LENGTH_MAX} letters; this one has {len(text)}")
    text_ = text.strip()
    return JSONPath(text, tuple(_steps(text_))) if text_ not in (".", "") else JSONPath(text, ())


def _steps(text: str) -> Iterator[_Field | _At | _Filter]:
    at = 0
    text = re.sub(r"\\\.", "\x00", text)
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise BadJSONPath(f"unrecognized JSON path {text!r}: nothing that is supported at {text[at:]!r}")
        at = found.end()
        if (name := found["field"] or found["name"]) is not None:
            yield _Field(name.replace("\x00", "."))
        elif found["path"] is not None:
            value = _literal(found["value"]) if found["op"] else None
            yield _Filter(json_path(found["path"]), _OPERATORS[found["op"]] if found["op"] else None, value)
        else:
            yield _At(None if found["all"] or found["at"] == "*" else int(found["at"]))


def _literal(text: str) -> JSON:
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise BadJSONPath(
            f"unrecognized value {text} in a JSON path: a text in quotes, a number, true or false"
        ) from None


def _follow(step: _Field | _At | _Filter, value: JSON) -> Iterator[JSON]:
    if isinstance(step, _Field):
        if isinstance(value, dict) and step.name in value:
            yield value[step.name]
        return
    items = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    if isinstance(step, _Filter):
        yield from (item for item in items if _passes(step, item))
    elif step.at is None:
        yield from items
    elif isinstance(value, list) and -len(value) <= step.at < len(value):
        yield value[step.at]


def _passes(step: _Filter, item: JSON) -> bool:
    found = step.path.find(item)
    if step.compare is None or not found:
        return bool(found)
    try:
        return bool(step.compare(found[0], step.value))
    except TypeError:
        return False


def simple_path_errors(text: str, path: str) -> list[FieldError]:
    """What the API says of a path that does not begin with a dot."""
    if not text:
        return [invalid(path, text, "must not be empty")]
    return [invalid(path, text, "must be a simple json path starting with .")] if text[0] != "." else []
