"""Whether a value is what its schema says: each thing that is wrong, in the API's words.

Pure. Walks schema and value together, so the work is at most O(schema × value); a pattern takes linear time (`_patterns.py`).
With an old value, what is wrong in a part that the update leaves as it was is overlooked (ratcheting), as since Kubernetes 1.33.
Source: kubernetes/kube-openapi pkg/validation/validate, kubernetes/apiextensions-apiserver pkg/apiserver/validation.
"""

from __future__ import annotations

import msgspec

from .._field_errors import (
    FieldError,
    FieldErrorType,
    go_number,
    go_quoted,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from ._correlation import UNRELATED, Old
from ._formats import enforced_format, has_check, keeps_format
from ._go_text import as_float, at_root, compact, is_integer, is_number, is_whole, same
from ._patterns import BadPattern, compiled
from ._structural import JSON, Schema

ERRORS_MAX = 10_000
"""More of them are not looked for: nobody reads them, and a list of a million wrong items has a million."""


class _Found:
    """What is wrong so far, each text once, and how much was right, by which the nearest of alternatives is known."""

    __slots__ = ("errors", "matches")

    def __init__(self) -> None:
        self.errors: dict[tuple[str, str], FieldError] = {}
        self.matches = 0

    def add(self, text: str, error: FieldError) -> None:
        if len(self.errors) < ERRORS_MAX:
            self.errors.setdefault((error.field, text), error)

    def say(self, text: str) -> None:
        """Something that is wrong and belongs to no field."""
        self.add(text, invalid(at_root(""), "", text))

    def merge(self, other: _Found) -> None:
        if len(self.errors) < ERRORS_MAX:
            for name, error in other.errors.items():
                self.errors.setdefault(name, error)
        self.matches += other.matches


class _At(msgspec.Struct, frozen=True):
    """Where we are: the path as a message has it, and what stood there before."""

    path: str
    old: Old

    @property
    def field(self) -> str:
        """The path, as the cause of an error has it."""
        return at_root(self.path.removeprefix("."))


def value_errors(schema: Schema, value: JSON, *, path: str = "", old: Old = UNRELATED) -> list[FieldError]:
    """What is wrong with the value, in the order of checks; empty where nothing is.

    `path` stands before the field of each error and not in its text, as for the default of a schema.
    """
    found = _validate(schema, value, _At("", old))
    errors = list(found.errors.values())
    if not path:
        return errors
    return [msgspec.structs.replace(error, field=_below(path, error.field)) for error in errors]


def _below(path: str, field: str) -> str:
    return path if field == at_root("") else f"{path}.{field}"


def _validate(schema: Schema, value: JSON, at: _At) -> _Found:
    found = _Found()
    if value is None:
        _check_null(schema, at, found)
        return _unless_unchanged(found, at)
    _check_type(schema, value, at, found)
    _check_alternatives(schema, value, at, found)
    found.matches += 1
    if isinstance(value, str):
        _check_text(schema, value, at, found)
    elif is_number(value):
        _check_number(schema, value, at, found)
        found.matches += 1
    elif isinstance(value, list):
        _check_list(schema, value, at, found)
        found.matches += 1
    _check_enum(schema, value, at, found)
    found.matches += 1
    if isinstance(value, dict):
        _check_map(schema, value, at, found)
        found.matches += 1
    found.matches += 1
    return _unless_unchanged(found, at)


def _unless_unchanged(found: _Found, at: _At) -> _Found:
    """What was found, or nothing where the value is as it was."""
    if not found.errors or not at.old.is_unchanged():
        return found
    unchanged = _Found()
    unchanged.matches = found.matches
    return unchanged


# --- types ------------------------------------------------------------------------------------------------------------


def json_type(value: JSON) -> str:
    """What a schema calls this value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if is_integer(value) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _types(schema: Schema) -> tuple[str, ...]:
    if schema.is_int_or_string:
        return ("integer", "string")
    return (schema.type,) if schema.type else ()


def _wrong_type(at: _At, wanted: str, shown: str, found: _Found) -> None:
    text = f"{at.path} in body must be of type {wanted}: {go_quoted(shown)}"
    found.add(text, type_invalid(at.field, shown, text))


def _check_null(schema: Schema, at: _At, found: _Found) -> None:
    types = _types(schema)
    if types and not schema.nullable:
        _wrong_type(at, ",".join(types), "null", found)
    else:
        found.matches += 1
    _check_enum(schema, None, at, found)


def _check_type(schema: Schema, value: JSON, at: _At, found: _Found) -> None:
    types = _types(schema)
    format_ = enforced_format(schema.format, "" if schema.is_int_or_string else schema.type)
    if not types and not format_:
        return
    found.matches += 1
    is_ = json_type(value)
    whole = is_ == "number" and "integer" in types and is_whole(as_float(value))
    fits = is_ in types or whole or (is_ == "integer" and "number" in types)
    is_shapeless = is_ in ("string", "array")
    if format_ and not is_shapeless and not fits:
        _wrong_type(at, schema.format, _GO_FORMATS.get(is_, ""), found)
    elif format_ and is_shapeless and not {"number", "integer"} & {*types}:
        found.matches += 1  # as the API has it: a format is judged, and the type is not
    elif not fits:
        _wrong_type(at, ",".join(types), is_, found)
    else:
        found.matches += 1


_GO_FORMATS = {"integer": "int64", "number": "float64"}


# --- alternatives -----------------------------------------------------------------------------------------------------


def _check_alternatives(schema: Schema, value: JSON, at: _At, found: _Found) -> None:
    found.matches += 1
    if not (schema.any_of or schema.one_of or schema.all_of or schema.not_):
        return
    where = go_quoted(at.path)
    if schema.any_of:
        _check_any(schema.any_of, value, at, where, found)
    if schema.one_of:
        _check_one(schema.one_of, value, at, where, found)
    if schema.all_of:
        _check_all(schema.all_of, value, at, where, found)
    if schema.not_ is not None and not _validate_part(schema.not_, value, at).errors:
        found.say(f"{where} must not validate the schema (not)")


def _validate_part(schema: Schema, value: JSON, at: _At) -> _Found:
    """A restriction of the same value: nothing within it is overlooked for being unchanged, as in the API."""
    return _validate(schema, value, _At(at.path, UNRELATED))


def _nearest(results: list[_Found]) -> _Found:
    return max(results, key=lambda one: one.matches)


def _check_any(schemas: tuple[Schema, ...], value: JSON, at: _At, where: str, found: _Found) -> None:
    failed: list[_Found] = []
    for one in schemas:
        result = _validate_part(one, value, at)
        if not result.errors:
            found.merge(result)
            return
        failed.append(result)
    found.say(f"{where} must validate at least one schema (anyOf)")
    found.merge(_nearest(failed))


def _check_one(schemas: tuple[Schema, ...], value: JSON, at: _At, where: str, found: _Found) -> None:
    results = [_validate_part(one, value, at) for one in schemas]
    good = [one for one in results if not one.errors]
    if len(good) == 1:
        found.merge(good[0])
        return
    how = f"Found {len(good)} valid alternatives" if good else "Found none valid"
    found.say(f"{where} must validate one and only one schema (oneOf). {how}")
    if not good:
        found.merge(_nearest(results))


def _check_all(schemas: tuple[Schema, ...], value: JSON, at: _At, where: str, found: _Found) -> None:
    results = [_validate_part(one, value, at) for one in schemas]
    for one in results:
        found.merge(one)
    good = sum(not one.errors for one in results)
    if good != len(results):
        found.say(f"{where} must validate all the schemas (allOf){'' if good else '. None validated'}")


# --- scalars ----------------------------------------------------------------------------------------------------------


def _wrong(at: _At, value: JSON, claim: str, found: _Found) -> None:
    text = f"{at.path} in body {claim}"
    found.add(text, invalid(at.field, value, text))


def _check_text(schema: Schema, value: str, at: _At, found: _Found) -> None:
    _check_length_and_pattern(schema, value, at, found)
    found.matches += 1
    format_ = enforced_format(schema.format, "" if schema.is_int_or_string else schema.type)
    if format_ and has_check(format_):
        found.matches += 1
        if not keeps_format(value, format_):
            text = f"{at.path} in body must be of type {schema.format}: {go_quoted(value)}"
            found.add(text, type_invalid(at.field, value, text))


def _check_length_and_pattern(schema: Schema, value: str, at: _At, found: _Found) -> None:
    length = len(value)
    if schema.max_length is not None and length > schema.max_length:
        text = f"{at.path} in body should be at most {schema.max_length} chars long"
        found.add(text, _too_long(at.field, schema.max_length))
    elif schema.min_length is not None and length < schema.min_length:
        _wrong(at, value, f"should be at least {schema.min_length} chars long", found)
    elif schema.pattern:
        _check_pattern(schema.pattern, value, at, found)


def _too_long(field: str, limit: int) -> FieldError:
    return too_long(field, limit) if limit >= 0 else FieldError(FieldErrorType.TOO_LONG, field, "", "value is too long")


def _check_pattern(pattern: str, value: str, at: _At, found: _Found) -> None:
    try:
        matches = compiled(pattern).search(_encodable(value)) is not None
    except BadPattern as problem:
        _wrong(at, value, f"should match '{pattern}, but pattern is invalid: {problem}'", found)
        return
    if not matches:
        _wrong(at, value, f"should match '{pattern}'", found)


def _encodable(text: str) -> str:
    """The text as UTF-8 can hold it: half of a pair of surrogates, which JSON can name, is no letter."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _check_number(schema: Schema, value: float, at: _At, found: _Found) -> None:
    found.matches += 1
    _check_range(schema, value, "Checked", at, found)
    if schema.multiple_of is not None:
        exact = _check_range(schema, schema.multiple_of, "MultipleOf", at, found)
        _check_multiple(value, schema.multiple_of, at, found, as_integer=exact)
    if schema.maximum is not None:
        exact = _check_range(schema, schema.maximum, "Maximum boundary", at, found)
        high, limit = _comparable(value, schema.maximum, exact=exact)
        if high > limit or (schema.exclusive_maximum and high == limit):
            than = "less than" if schema.exclusive_maximum else "less than or equal to"
            _wrong(at, high, f"should be {than} {go_number(limit)}", found)
    if schema.minimum is not None:
        exact = _check_range(schema, schema.minimum, "Minimum boundary", at, found)
        low, limit = _comparable(value, schema.minimum, exact=exact)
        if low < limit or (schema.exclusive_minimum and low == limit):
            than = "greater than" if schema.exclusive_minimum else "greater than or equal to"
            _wrong(at, low, f"should be {than} {go_number(limit)}", found)


def _comparable(value: float, limit: float, *, exact: bool) -> tuple[float, float]:
    """An integer is compared with the whole part of the limit, anything else as a float."""
    if exact and is_integer(value) and abs(limit) < 2**63:
        return value, int(limit)
    return as_float(value), limit


_INT32 = (-(2**31), 2**31 - 1)


def _check_range(schema: Schema, value: float, what: str, at: _At, found: _Found) -> bool:
    """Whether the number is one of the schema's type and format."""
    type_ = "" if schema.is_int_or_string else schema.type
    format_ = enforced_format(schema.format, type_) if type_ in ("integer", "number") else ""
    if type_ == "integer":
        low, high = _INT32 if format_ == "int32" else (-(2**63), 2**63 - 1)
        fits = as_float(value).is_integer() and low <= value <= high
    else:
        fits = format_ != "float" or abs(as_float(value)) <= 3.4028235677973366e38
    if not fits:
        kind = f"of type {type_} with format {format_}" if format_ else f"of type {type_} (default format)"
        found.say(f"{what} value must be {kind} in {at.path}")
    return fits


def _check_multiple(value: float, factor: float, at: _At, found: _Found, *, as_integer: bool) -> None:
    if as_integer and is_integer(value):
        factor = int(factor) if abs(factor) < 2**63 else factor
    if factor <= 0:
        text = f"factor MultipleOf declared for {at.path} must be positive: {go_number(factor)}"
        found.add(text, invalid(at.field, factor, text))
        return
    if is_integer(factor) and is_integer(value):
        fits = value % factor == 0
    else:
        quotient = 1 / factor * as_float(value) if factor < 1 else as_float(value) / factor
        fits = is_whole(quotient)
    if not fits:
        _wrong(at, value, f"should be a multiple of {go_number(factor)}", found)


# --- enums ------------------------------------------------------------------------------------------------------------


def _check_enum(schema: Schema, value: JSON, at: _At, found: _Found) -> None:
    if not schema.enum or (value is not None and any(_is_one(value, one) for one in schema.enum)):
        return
    shown = [one if isinstance(one, str) else compact(one) for one in schema.enum]
    text = f"{at.path} in body should be one of [{' '.join(shown)}]"
    found.add(text, not_supported(at.field, value, shown))


def _is_one(value: JSON, one: JSON) -> bool:
    """Whether it is this one; of a number, what an integer can hold of it."""
    if isinstance(value, float) and is_integer(one) and abs(value) < 2**63:
        return bool(int(value) == one)
    return same(value, one)


# --- lists and maps ---------------------------------------------------------------------------------------------------


def _check_list(schema: Schema, value: list[JSON], at: _At, found: _Found) -> None:
    found.matches += 1
    if schema.items is not None:
        for number_, item in enumerate(value):
            below = _At(f"{at.path}[{number_}]", at.old.item(number_))
            found.merge(_validate(schema.items, item, below))
    if schema.min_items is not None and len(value) < schema.min_items:
        _wrong(at, len(value), f"should have at least {schema.min_items} items", found)
    if schema.max_items is not None and len(value) > schema.max_items:
        text = f"{at.path} in body should have at most {schema.max_items} items"
        found.add(text, _too_many(at.field, len(value), schema.max_items))
    if schema.unique_items and len({compact(item) for item in value}) < len(value):
        text = f"{at.path} in body shouldn't contain duplicates"
        found.add(text, invalid(at.field, "", text))


def _too_many(field: str, count: int, limit: int) -> FieldError:
    if limit >= 0:
        return too_many(field, count, limit)
    return FieldError(FieldErrorType.TOO_MANY, field, count, "has too many items")


def _check_map(schema: Schema, value: dict[str, JSON], at: _At, found: _Found) -> None:
    if schema.min_properties is not None and len(value) < schema.min_properties:
        _wrong(at, len(value), f"should have at least {schema.min_properties} properties", found)
    if schema.max_properties is not None and len(value) > schema.max_properties:
        text = f"{at.path} in body should have at most {schema.max_properties} properties"
        found.add(text, _too_many(at.field, len(value), schema.max_properties))
    properties = schema.properties or {}
    if schema.additional_allowed is False:
        for name in sorted(value.keys() - properties.keys()):
            text = f"{at.path}.{name} in body is a forbidden property"
            found.add(text, invalid(at.field, "", text))
    if schema.additional is not None:
        for name in sorted(value.keys() - properties.keys()):
            found.merge(_validate(schema.additional, value[name], _At(f"{at.path}.{name}", at.old.value(name))))
    for name, one in properties.items():
        if name in value:
            below = _At(f"{at.path}.{name}" if at.path else name, at.old.value(name))
            found.merge(_validate(one, value[name], below))
    for name in schema.required:
        if name not in value:
            text = f"{at.path}.{name} in body is required"
            found.add(text, required(at_root(f"{at.path}.{name}".removeprefix("."))))
