"""Leases: who holds something, and until when. A PUT creates one, and an update names the version that it replaces. Pure.

Source: kubernetes pkg/registry/coordination/lease/strategy.go; pkg/apis/coordination/validation/validation.go.
"""

from __future__ import annotations

import re

from ._errors import BadRequest, GroupResource
from ._field_errors import FieldError, invalid
from ._meta import JSONObject
from ._rest import Context
from ._strategy import Strategy

_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


class LeaseStrategy(Strategy):
    """The rules of leases."""

    allow_create_on_update = True
    allow_unconditional_update = False

    def __init__(self) -> None:
        super().__init__(GroupResource("coordination.k8s.io", "leases"), "Lease")

    def default(self, obj: JSONObject) -> JSONObject:
        """As it is.

        Raises:
            BadRequest: a time has not six digits behind its seconds.
        """
        for member in ("acquireTime", "renewTime"):
            moment = (obj.get("spec") or {}).get(member)
            if moment is not None:
                check_micro_time(moment, "Lease", "v1")
        return obj

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, the duration, and the count of transitions."""
        wrong, spec = super().validate(context, obj), obj.get("spec") or {}
        seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
        if seconds is not None and seconds <= 0:
            wrong.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
        if transitions is not None and transitions < 0:
            wrong.append(invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
        return wrong


def check_micro_time(moment: str, kind: str, version: str) -> None:
    """Raises BadRequest where a text is no time with microseconds."""
    if _MICRO_TIME.fullmatch(moment):
        return
    start = _SECONDS.match(moment)
    rest, layout = (moment[start.end() :], ".000000") if start else (moment, "2006")
    problem = f'parsing time "{moment}" as "{_LAYOUT}": cannot parse "{rest}" as "{layout}"'
    raise BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')
