"""Numbers, texts and JSON as the API's messages show them, where that is not as Python shows them.

Pure. Source: Go's fmt (%v of a float64, %q) and encoding/json.
"""

from __future__ import annotations

import json
from typing import Any

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
"""An integer outside of these is a floating-point number to the API."""

ROOT = "<nil>"
"""How a message names the object itself, where other messages have a path."""


def is_integer(value: Any) -> bool:
    """Whether the API reads this JSON value as an integer: neither a boolean nor one of more than 64 bits."""
    return type(value) is int and INT_MIN <= value <= INT_MAX


def is_number(value: Any) -> bool:
    """Whether this JSON value is a number."""
    return type(value) in (int, float)


def as_float(value: float) -> float:
    """The number as a float; one beyond any float is infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def compact(value: Any) -> str:
    """JSON with sorted names, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def at_root(path: str) -> str:
    """The path, as a message names it."""
    return path or ROOT


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; true is not 1, and 1 is 1.0.

    Cost: O(value).
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def is_whole(value: float) -> bool:
    """Whole, but for what floats cannot show."""
    if value != value or value in (float("inf"), float("-inf")) or abs(value) > 2**53 - 1:
        return False
    nearest = round(value)
    return value == nearest or abs(value - nearest) < 1e-9 * max(abs(value), abs(nearest))


def json_kind(value: Any) -> str:
    """What Go's JSON decoder calls a value that it cannot put where it is to go."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "null" if value is None else "array" if isinstance(value, list) else "object"
