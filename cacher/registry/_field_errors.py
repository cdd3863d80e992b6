"""What is wrong with one field of an object, in the words of Kubernetes' validation.

Pure: a validator returns a list of these, in the order in which it looked; `Invalid` makes the answer of them.
Source: kubernetes/apimachinery pkg/util/validation/field (errors.go, path.go).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable
from typing import Any

import msgspec


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
        if self.type not in _WITHOUT_VALUE:
            text += f": {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def _shown(value: Any) -> str:
    """A value as the answers show it: JSON with Go's habits."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=isinstance(value, dict))


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
