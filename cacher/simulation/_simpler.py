"""What is a little simpler than a fault or an operation: the candidates that shrinking tries inside of one. Pure.

Leaving whole faults and operations out comes to an end where one of them needs company: a ring cut to five entries needs five
more changes to lose something, one cut to a single entry needs one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ._faults import AnyAction, Fault, Upon
from ._operations import AnyOperation, Until, Wait

SECONDS = (0, 1, 2, 5, 10, 20, 40)
"""What a length is tried with, the shortest first."""


def fewer_seconds(seconds: float) -> Iterator[float]:
    """Whole numbers below `seconds`, the shortest first."""
    return (float(one) for one in SECONDS if one < seconds)


def simpler_faults(fault: Fault) -> Iterator[Fault]:
    """`fault` with one number smaller or one name fewer; of each detail the simplest first."""
    if fault.for_s:
        yield from (msgspec.structs.replace(fault, for_s=seconds) for seconds in fewer_seconds(fault.for_s))
    if isinstance(fault.when, Upon) and fault.when.occurrence > 1:
        yield msgspec.structs.replace(fault, when=msgspec.structs.replace(fault.when, occurrence=1))
    yield from (msgspec.structs.replace(fault, do=action) for action in _simpler_actions(fault.do))


def simpler_operations(operation: AnyOperation) -> Iterator[AnyOperation]:
    """Shorter waits, and a wait of a given length in place of one for what may never come."""
    match operation:
        case Wait(seconds):
            yield from (Wait(fewer) for fewer in fewer_seconds(seconds))
        case Until():
            yield from (Wait(float(seconds)) for seconds in SECONDS)


def _simpler_actions(action: AnyAction) -> Iterator[AnyAction]:
    for name in action.__struct_fields__:
        value = getattr(action, name)
        for smaller in fewer_seconds(value) if name.endswith("_s") else _smaller_values(value):
            yield msgspec.structs.replace(action, **{name: smaller})


def _smaller_values(value: object) -> Iterator[object]:
    match value:
        case bool():
            return
        case int():
            yield from range(1, min(value, 4))
        case tuple() if len(value) > 1:
            yield from (value[:number] + value[number + 1 :] for number in range(len(value)))
