"""Objects as the registry handles them: JSON data, read by these functions and never changed in place.

An object that was stored, or handed to a strategy, may be shared: whoever wants another one makes it with `with_metadata` or
`with_member`, which copy what they change and share the rest. A member that would be empty is left out, as Kubernetes' own
encoding leaves it out. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

JSONObject = dict[str, Any]
"""An object, or a part of one. Treat it as frozen unless you made it."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object's metadata; empty where it has none."""
    found = obj.get("metadata")
    return found if isinstance(found, dict) else _NOTHING


def text(obj: Mapping[str, Any], member: str) -> str:
    """A text of the metadata, such as `name` or `uid`; "" where there is none."""
    found = metadata(obj).get(member)
    return found if isinstance(found, str) else ""


def name_of(obj: Mapping[str, Any]) -> str:
    """`metadata.name`."""
    return text(obj, "name")


def generation_of(obj: Mapping[str, Any]) -> int:
    """`metadata.generation`; 0 where the resource has none."""
    found = metadata(obj).get("generation")
    return found if isinstance(found, int) else 0


def finalizers_of(obj: Mapping[str, Any]) -> list[str]:
    """`metadata.finalizers`."""
    return list(metadata(obj).get("finalizers") or ())


def deletion_timestamp_of(obj: Mapping[str, Any]) -> str:
    """When the object is, or was, to be gone; "" while nobody deleted it."""
    return text(obj, "deletionTimestamp")


def grace_period_of(obj: Mapping[str, Any]) -> int | None:
    """`metadata.deletionGracePeriodSeconds`."""
    found = metadata(obj).get("deletionGracePeriodSeconds")
    return found if isinstance(found, int) else None


def is_empty(value: object) -> bool:
    """Whether a member of this value is left out: null, "", [] and {}, but no number and no boolean."""
    return value is None or value == "" or value == [] or value == {}


def with_member(obj: Mapping[str, Any], member: str, value: object) -> JSONObject:
    """The object with another value there; without the member where that is None."""
    changed = dict(obj)
    if value is None:
        changed.pop(member, None)
    else:
        changed[member] = value
    return changed


def with_metadata(obj: Mapping[str, Any], changes: Mapping[str, Any]) -> JSONObject:
    """The object with other metadata; what is changed to something empty is left out."""
    changed = dict(metadata(obj))
    for member, value in changes.items():
        if is_empty(value):
            changed.pop(member, None)
        else:
            changed[member] = value
    return {**obj, "metadata": changed}


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def parse_time(moment: str) -> datetime:
    """The moment that an RFC 3339 text names, in UTC.

    Raises:
        ValueError: the text is none.
    """
    if not _RFC3339.fullmatch(moment):
        raise ValueError(f"{moment!r} is not a time such as 2006-01-02T15:04:05Z")
    return datetime.fromisoformat(moment).astimezone(UTC)


def format_time(moment: datetime) -> str:
    """The moment as objects carry it: to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_later(moment: str, seconds: int) -> str:
    """The time so many seconds after `moment` (before it, where negative)."""
    return format_time(parse_time(moment) + timedelta(seconds=seconds))
