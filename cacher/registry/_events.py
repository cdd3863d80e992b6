"""Events: what happened to an object, told for an hour. Pure.

Source: kubernetes pkg/registry/core/event/strategy.go, storage/storage.go; cmd/kube-apiserver (--event-ttl).
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError, invalid
from ._meta import JSONObject, text
from ._rest import Context
from ._strategy import Strategy

TTL_S = 3600
"""Seconds that an event lives after each of its writes."""


def live_an_hour(obj: JSONObject, left_s: int, is_update: bool) -> int:
    """The seconds to live of an event: a hook's `ttl_s`."""
    return TTL_S


class EventStrategy(Strategy):
    """The rules of events."""

    allow_create_on_update = True

    def __init__(self) -> None:
        super().__init__(GroupResource("", "events"), "Event")

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, and that an event of an object is where the object is; those of objects without one may be anywhere."""
        wrong = super().validate(context, obj)
        about, where = (obj.get("involvedObject") or {}).get("namespace") or "", text(obj, "namespace")
        if about and about != where:
            why = "does not match event.namespace"
            wrong.append(invalid("involvedObject.namespace", about, why))
        return wrong
