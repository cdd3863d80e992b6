"""Bodies as JSON data: by media type, and with what is doubtful in their text. Pure but for protobuf, which is handed in.

Source: sigs.k8s.io/json (duplicate fields), kubernetes/apimachinery pkg/runtime/serializer/json/json.go.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from .._go_json import json_problem
from ..registry import BadRequest
from ._negotiation import body_type
from ._request import PROTOBUF, YAML
from ._yaml import BadYAML, read_yaml

DecodeProtobuf = Callable[[bytes], dict[str, Any]]
"""Raises ValueError for what it cannot read."""

NESTED_MAX = 400
"""Objects and lists in each other that are read; Kubernetes reads 10,000, of which no object can have more than a few dozen."""
INTEGER_DIGITS_MAX = 19
_SURROGATE = re.compile("[\ud800-\udfff]")


class Body(msgspec.Struct, frozen=True):
    """What was sent."""

    value: Any
    doubles: tuple[str, ...] = ()
    """Paths of members that came twice; the last one counts."""

    @property
    def flaws(self) -> tuple[str, ...]:
        """What is wrong with the text, as warnings tell it."""
        return tuple(f'duplicate field "{path}"' for path in self.doubles)


class BadBody(ValueError):
    """The text is no document of its media type; `str()` says why."""


def read_body(content_type: str, raw: bytes, *, protobuf: DecodeProtobuf | None = None) -> Body:
    """An object that is sent.

    Raises:
        UnsupportedMediaType: objects are not read from it.
        BadBody: it is no document of that type.
    """
    media_type = body_type(content_type)
    if media_type == PROTOBUF:
        if protobuf is None:
            raise BadBody("protobuf is not read here")
        try:
            return Body(protobuf(raw))
        except ValueError as error:
            raise BadBody(str(error)) from error
    if media_type == YAML:
        return read_yaml_body(raw)
    return read_json(raw)


def read_yaml_body(raw: bytes) -> Body:
    """A body in YAML, of which JSON is a part. Raises BadBody."""
    try:
        return read_json(raw)
    except BadBody:
        pass
    try:
        value = read_yaml(raw)
    except BadYAML as error:
        raise BadBody(f"error converting YAML to JSON: {error}") from error
    _check_numbers(value)
    return Body(value)


def read_json(raw: bytes) -> Body:
    """A body in JSON. What is no UTF-8 in it is replaced, as Go does.

    Raises:
        BadBody: it is none, in Go's words.
    """
    text = raw.decode("utf-8", "replace")
    found: list[_Doubled] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        doubled = _Doubled(made)
        doubled.names = _repeated(name for name, _ in pairs)
        found.append(doubled)
        return doubled

    try:
        value = json.loads(
            text, object_pairs_hook=members, parse_int=_integer, parse_float=_float, parse_constant=_constant
        )
    except RecursionError:
        raise BadBody("exceeded max depth") from None
    except ValueError as error:
        raise BadBody(json_problem(raw) or str(error)) from error
    if text.count("{") + text.count("[") > NESTED_MAX and _is_deep(value):
        raise BadBody("exceeded max depth")
    if "\\u" in text:
        value = _without_surrogates(value)
    return Body(value, tuple(_paths(value, "")) if found else ())


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(NESTED_MAX):
        below: list[Any] = []
        for one in level:
            members = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
            below += [inner for inner in members if isinstance(inner, (dict, list))]
        if not below:
            return False
        level = below
    return True


class _Doubled(dict[str, Any]):
    """An object in which members came twice."""

    names: tuple[str, ...] = ()


def _repeated(names: Iterator[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    return tuple(name for name, count in seen.items() if count > 1)


def _paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        doubled = value.names if isinstance(value, _Doubled) else ()
        for name, inner in value.items():
            below = f"{path}.{name}" if path else name
            if name in doubled:
                yield below
            yield from _paths(inner, below)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, f"{path}[{index}]")


def _integer(text: str) -> int | float:
    if len(text) <= INTEGER_DIGITS_MAX - 1:
        return int(text)
    if len(text) <= INTEGER_DIGITS_MAX + 1 and -(2**63) <= (value := int(text)) < 2**63:
        return value
    return _float(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"json: cannot unmarshal number {text} into Go value of type float64")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"invalid character {text[0]!r} looking for beginning of value")


def _check_numbers(value: Any) -> None:
    """Raises BadBody for numbers that JSON does not have, and makes sure that others fit 64 bits."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadBody("error converting YAML to JSON: a number is too large, or none")
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        raise BadBody("error converting YAML to JSON: a number does not fit 64 bits")
    if isinstance(value, dict):
        for inner in value.values():
            _check_numbers(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner)


def _without_surrogates(value: Any) -> Any:
    """Half of a pair is no character: it is replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        made = {_SURROGATE.sub("\ufffd", name): _without_surrogates(inner) for name, inner in value.items()}
        if not isinstance(value, _Doubled):
            return made
        again = _Doubled(made)
        again.names = tuple(_SURROGATE.sub("\ufffd", name) for name in value.names)
        return again
    if isinstance(value, list):
        return [_without_surrogates(inner) for inner in value]
    return value


def unreadable(error: BadBody, *, custom_kind: str = "", raw: bytes = b"") -> BadRequest:
    """Why an object that was sent cannot be read. Custom resources show it."""
    problem = str(error)
    if not problem.startswith(("error converting YAML", "json: cannot")):
        problem = f"couldn't get version/kind; json parse error: {problem}"
    if not custom_kind:
        return BadRequest(problem)
    shown = raw[:1024].decode("utf-8", "replace")
    return BadRequest(f"the object provided is unrecognized (must be of type {custom_kind}): {problem} ({shown})")
