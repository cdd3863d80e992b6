"""What is wrong with one field of an object, in the words of Kubernetes' validation.

Pure: a validator returns a list of these, in the order in which it looked; `Invalid` makes the answer of them.
Source: kubernetes/apimachinery pkg/util/validation/field (errors.go, path.go).
"""

from __future__ import annotations

import decimal
import enum
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from watch import Cause


class FieldErrorType(enum.Enum):
    """What kind of wrong it is: the reason of the cause, and how its text begins."""

    NOT_FOUND = ("FieldValueNotFound", "Not found")
    REQUIRED = ("FieldValueRequired", "Required value")
    DUPLICATE = ("FieldValueDuplicate", "Duplicate value")
    INVALID = ("FieldValueInvalid", "Invalid value")
    NOT_SUPPORTED = ("FieldValueNotSupported", "Unsupported value")
    FORBIDDEN = ("FieldValueForbidden", "Forbidden")
    TOO_LONG = ("FieldValueTooLong", "Too long")
    TOO_MANY = ("FieldValueTooMany", "Too many")
    INTERNAL = ("InternalError", "Internal error")
    TYPE_INVALID = ("FieldValueTypeInvalid", "Invalid value")

    @property
    def reason(self) -> str:
        """The cause's reason."""
        return self.value[0]


_WITHOUT_VALUE = frozenset(
    {FieldErrorType.REQUIRED, FieldErrorType.FORBIDDEN, FieldErrorType.TOO_LONG, FieldErrorType.INTERNAL}
)


class _Omitted(enum.Enum):
    OMITTED = "left out of the text"


OMITTED = _Omitted.OMITTED
"""In place of a value: one that is there, and that the text does not show."""


class InOrder(dict[str, Any]):
    """In place of a value: a map that the text shows in its own order, as Go shows a struct."""


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong. `field` is a path such as `spec.ports[0].name`, `value` what stands there (JSON)."""

    type: FieldErrorType
    field: str
    value: Any = None
    detail: str = ""

    @property
    def message(self) -> str:
        """The cause's text, without the field."""
        text = self.type.value[1]
        if self.type not in _WITHOUT_VALUE and self.value is not OMITTED:
            text += f": {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    @property
    def cause(self) -> Cause:
        """How the details of an answer tell it."""
        return Cause(self.type.reason, self.message, self.field)

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def _shown(value: Any) -> str:
    """A value as the answers show it: a text quoted, a number as %v has it, anything else as Go writes JSON, names sorted."""
    if isinstance(value, float):
        return go_number(value)
    if isinstance(value, str):
        return go_quoted(value)
    plain = _as_go_writes(value)
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_ESCAPED_IN_JSON) if isinstance(value, dict | list | tuple) else text


def go_quoted(text: str) -> str:
    """A text as Go's %q shows it.

    >>> print(go_quoted('say "hi"\\n\\x00'))
    "say \\"hi\\"\\n\\x00"
    """
    return f'"{"".join(_QUOTED.get(letter) or _go_letter(letter) for letter in text)}"'


_QUOTED = dict(zip('"\\\a\b\f\n\r\t\v', ('\\"', "\\\\", *(f"\\{letter}" for letter in "abfnrtv")), strict=True))


def _go_letter(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def go_number(value: float) -> str:
    """A number as Go's %v shows it.

    >>> go_number(9), go_number(9.0), go_number(0.5), go_number(1e12), go_number(1e-7)
    ('9', '9', '0.5', '1e+12', '1e-07')
    """
    if isinstance(value, int):
        return str(value)
    if value != value or value in (math.inf, -math.inf):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(value, "NaN")
    _, digits, exponent = decimal.Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) - 1 + int(exponent)
    if value == 0 or -4 <= power < EXPONENT_SHOWN_FROM:
        return f"{value:.0f}" if value.is_integer() else repr(value)
    shown = "".join(map(str, digits))
    shown = f"{shown[0]}.{shown[1:]}" if len(shown) > 1 else shown
    return f"{'-' if value < 0 else ''}{shown}e{power:+03d}"


EXPONENT_SHOWN_FROM = 6
"""From 1e+06 on."""


def _as_go_writes(value: Any) -> Any:
    """The value with floats that are whole as integers and names in order, which is how Go writes them in JSON."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        names = value if isinstance(value, InOrder) else sorted(value)
        return {name: _as_go_writes(value[name]) for name in names}
    return [_as_go_writes(one) for one in value] if isinstance(value, list | tuple) else value


_ESCAPED_IN_JSON = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def child(path: str, *names: str) -> str:
    """The path of a field below `path` ("" is the object)."""
    return ".".join((path, *names)) if path else ".".join(names)


def index(path: str, at: int) -> str:
    """The path of a list's element."""
    return f"{path}[{at}]"


def key(path: str, name: str) -> str:
    """The path of a map's value."""
    return f"{path}[{name}]"


def required(field: str, detail: str = "") -> FieldError:
    """The field must be there, and is not."""
    return FieldError(FieldErrorType.REQUIRED, field, "", detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    """The value is of the right type and still cannot be."""
    return FieldError(FieldErrorType.INVALID, field, value, detail)


def type_invalid(field: str, value: Any, detail: str) -> FieldError:
    """The value is of the wrong type."""
    return FieldError(FieldErrorType.TYPE_INVALID, field, value, detail)


def duplicate(field: str, value: Any) -> FieldError:
    """Something that must be unique is there twice."""
    return FieldError(FieldErrorType.DUPLICATE, field, value)


def forbidden(field: str, detail: str) -> FieldError:
    """The field may not be set, or not be changed, as things are."""
    return FieldError(FieldErrorType.FORBIDDEN, field, "", detail)


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    """The value is none of those that are known; they are named in the order given."""
    known = ", ".join(json.dumps(text, ensure_ascii=False) for text in supported)
    return FieldError(FieldErrorType.NOT_SUPPORTED, field, value, f"supported values: {known}" if known else "")


def not_found(field: str, value: Any) -> FieldError:
    """What the value names does not exist."""
    return FieldError(FieldErrorType.NOT_FOUND, field, value)


def too_long(field: str, limit: int) -> FieldError:
    """The text has more bytes than `limit`."""
    unit = "byte" if limit == 1 else "bytes"
    return FieldError(FieldErrorType.TOO_LONG, field, "", f"may not be more than {limit} {unit}")


def too_many(field: str, count: int, limit: int) -> FieldError:
    """The list has more items than `limit`."""
    unit = "item" if limit == 1 else "items"
    return FieldError(FieldErrorType.TOO_MANY, field, count, f"must have at most {limit} {unit}")


def internal(field: str, problem: str) -> FieldError:
    """The field could not be checked."""
    return FieldError(FieldErrorType.INTERNAL, field, "", problem)
