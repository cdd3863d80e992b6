"""Query parameters as Kubernetes reads them: Go's numbers and its own idea of a boolean; options of lists, watches and writes.

Source: kubernetes/apimachinery pkg/runtime/conversion.go, pkg/apis/meta/internalversion (defaults.go, validation/validation.go).
Pure.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..registry import BadRequest, FieldError, GroupResource, Invalid, forbidden, not_supported
from ._request import Head

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DURATION = re.compile(r"([0-9]*\.?[0-9]*)([^0-9.]*)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
TIMEOUT_MAX_S = 60.0
"""A request that is no watch takes no longer."""


class ListQuery(msgspec.Struct, frozen=True):
    """What a list or a watch is asked for, as it was sent."""

    labels: str = ""
    fields: str = ""
    resource_version: str = ""
    match: str = ""
    limit: int = 0
    continue_token: str = ""
    timeout_s: int | None = None
    is_watch: bool = False
    bookmarks: bool = False
    send_initial_events: bool | None = None


def read_integer(text: str, bits: int = 64) -> int:
    """As strconv.ParseInt reads it.

    Raises:
        BadRequest: it is none, or too large.
    """
    quoted = msgspec.json.encode(text).decode()
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f"strconv.ParseInt: parsing {quoted}: invalid syntax")
    digits = text.lstrip("+-").lstrip("0") or "0"
    value = -int(digits) if text[0] == "-" and len(digits) < 20 else int(digits) if len(digits) < 20 else 2**bits
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise BadRequest(f"strconv.ParseInt: parsing {quoted}: value out of range")
    return value


def is_true(text: str) -> bool:
    """A boolean parameter that is there is true, unless it says false or 0."""
    return text.lower() not in ("false", "0")


def boolean(head: Head, name: str) -> bool | None:
    """A boolean parameter; None where it is not there."""
    text = head.parameter(name)
    return None if text is None else is_true(text)


def integer(head: Head, name: str) -> int | None:
    """A whole number; None where it is not there. Raises BadRequest."""
    text = head.parameter(name)
    return None if text is None else read_integer(text)


def read_list_query(head: Head) -> ListQuery:
    """What a list, a watch or a deletion of many is asked for.

    Raises:
        BadRequest: a number is none.
    """
    return ListQuery(
        labels=head.parameter("labelSelector") or "",
        fields=head.parameter("fieldSelector") or "",
        resource_version=head.parameter("resourceVersion") or "",
        match=head.parameter("resourceVersionMatch") or "",
        limit=max(0, integer(head, "limit") or 0),
        continue_token=head.parameter("continue") or "",
        timeout_s=integer(head, "timeoutSeconds"),
        is_watch=bool(boolean(head, "watch")),
        bookmarks=bool(boolean(head, "allowWatchBookmarks")),
        send_initial_events=boolean(head, "sendInitialEvents"),
    )


def with_defaults(query: ListQuery) -> ListQuery:
    """A watch from anywhere is one that begins with the state, and says where that ends."""
    if query.send_initial_events is not None or query.match or query.resource_version not in ("", "0"):
        return query
    return msgspec.structs.replace(query, send_initial_events=True, match="NotOlderThan")


def check_list(query: ListQuery) -> None:
    """Raises Invalid where a list cannot be asked so."""
    wrong: list[FieldError] = []
    match = query.match
    if match:
        if not query.resource_version:
            wrong.append(_match("resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if query.continue_token:
            wrong.append(_match("resourceVersionMatch is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            wrong.append(not_supported("resourceVersionMatch", match, ("Exact", "NotOlderThan", "")))
        if match == "Exact" and query.resource_version == "0":
            wrong.append(_match('resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if query.send_initial_events is not None:
        wrong.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    _refuse(wrong)


def check_watch(query: ListQuery) -> None:
    """Raises Invalid where a watch cannot be asked so."""
    wrong: list[FieldError] = []
    match = query.match
    if query.send_initial_events is not None and match != "NotOlderThan":
        wrong.append(_match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if query.send_initial_events is None:
            wrong.append(_match("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        if match != "NotOlderThan":
            wrong.append(not_supported("resourceVersionMatch", match, ("NotOlderThan",)))
        if query.continue_token:
            wrong.append(_match("resourceVersionMatch is forbidden when continue is provided"))
    _refuse(wrong)


def _match(why: str) -> FieldError:
    return forbidden("resourceVersionMatch", why)


def _refuse(wrong: list[FieldError]) -> None:
    if wrong:
        raise Invalid(GroupResource("meta.k8s.io", "ListOptions"), "", wrong)


def write_options(head: Head) -> dict[str, Any]:
    """What all writes have, as the doors take it."""
    manager = head.parameter("fieldManager") or ""
    return {
        "dry_run": head.query.get("dryRun") or False,
        "field_manager": manager,
        "field_validation": head.parameter("fieldValidation") or "",
    }


MANAGER_LENGTH_MAX = 128


def manager_of(user_agent: str) -> str:
    """Who writes, where the request does not name a field manager: what the program calls itself."""
    name = "".join(letter for letter in user_agent.partition("/")[0] if letter.isprintable())
    return name.encode()[:MANAGER_LENGTH_MAX].decode("utf-8", "ignore")


def timeout_of(head: Head) -> float:
    """Seconds that a request which is no watch may take: `timeout`, up to TIMEOUT_MAX_S.

    Raises:
        BadRequest: it is no duration as Go writes them.
    """
    text = head.parameter("timeout") or ""
    if not text:
        return TIMEOUT_MAX_S
    try:
        seconds = duration_s(text)
    except ValueError as error:
        raise BadRequest(f"invalid timeout specified in the request URL - {error}") from error
    return seconds if 0 < seconds < TIMEOUT_MAX_S else TIMEOUT_MAX_S


def duration_s(text: str) -> float:
    """A length of time as Go's time.ParseDuration reads it: `1m30s`.

    Raises:
        ValueError: it is none, in Go's words.
    """
    quoted = msgspec.json.encode(text).decode()
    sign, rest = (-1.0 if text[:1] == "-" else 1.0), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted}")
    total, at = 0.0, 0
    while at < len(rest):
        found = _DURATION.match(rest, at)
        if found is None or found[1] in ("", ".") or not found[1].isascii():
            raise ValueError(f"time: invalid duration {quoted}")
        if not found[2]:
            raise ValueError(f"time: missing unit in duration {quoted}")
        if found[2] not in _UNITS_S:
            unit = msgspec.json.encode(found[2]).decode()
            raise ValueError(f"time: unknown unit {unit} in duration {quoted}")
        total += float(found[1]) * _UNITS_S[found[2]]
        at = found.end()
    return sign * total
