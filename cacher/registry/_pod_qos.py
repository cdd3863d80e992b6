"""Which pods a node gives up last: Guaranteed, Burstable, BestEffort. Pure.

Source: kubernetes pkg/apis/core/helper/qos/qos.go (ComputePodQOS).
"""

from __future__ import annotations

from fractions import Fraction

from ._meta import JSONObject
from ._quantities import parse_quantity

_COMPUTE = ("cpu", "memory")


def qos_class(spec: JSONObject) -> str:
    """The class of a pod of this spec: Guaranteed where everything is limited to what it requests, BestEffort where nothing is."""
    requests: dict[str, Fraction] = {}
    limits: dict[str, Fraction] = {}
    whole = spec.get("resources")
    holders = [spec] if whole else [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    is_limited = True
    for holder in holders:
        resources = holder.get("resources") or {}
        _add(requests, resources.get("requests") or {})
        found = _add(limits, resources.get("limits") or {})
        is_limited = is_limited and found == len(_COMPUTE)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if is_limited and requests == limits else "Burstable"


def _add(total: dict[str, Fraction], amounts: JSONObject) -> int:
    """Add what counts; how many kinds were there."""
    found = 0
    for name in _COMPUTE:
        quantity = parse_quantity(amounts.get(name))
        if quantity is not None and quantity > 0:
            total[name] = total.get(name, Fraction(0)) + quantity
            found += 1
    return found
