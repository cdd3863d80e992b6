"""Quantities of resources, such as `500m` and `1Gi`: exact numbers, so that equal ones are equal however they are written. Pure.

Source: kubernetes/apimachinery pkg/api/resource/quantity.go, suffix.go.
"""

from __future__ import annotations

import re
from fractions import Fraction

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?")
_BINARY = {suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {suffix: Fraction(10) ** (3 * power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)}
_SMALL = {suffix: Fraction(1, 10 ** (3 * power)) for power, suffix in enumerate(("m", "u", "n"), 1)}
_FACTORS = {**_BINARY, **_DECIMAL, **_SMALL}
_EXPONENT_MAX = 100
"""Beyond which no cluster has anything, and a number would only cost memory."""


def parse_quantity(value: object) -> Fraction | None:
    """The number that a quantity stands for; None: it is none.

    >>> parse_quantity("1.5Gi") == parse_quantity("1536Mi"), parse_quantity("100m") == parse_quantity("0.1")
    (True, True)
    """
    match = _FORM.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if match is None:
        return None
    number, exponent, suffix = match.groups()
    if exponent is not None:
        power = int(exponent[1:])
        return Fraction(number) * Fraction(10) ** power if abs(power) <= _EXPONENT_MAX else None
    return Fraction(number) * _FACTORS.get(suffix, Fraction(1))
