"""A line for each write: who did what to which object, and how it ended. Pure.

A line is an audit event of Kubernetes at the level Metadata, in JSON: the tools that read those read these, and whatever
somebody sends as a name or a user agent stays one value in one line. Bodies are in none.

Source: kubernetes/apiserver pkg/apis/audit/v1/types.go.
"""

from __future__ import annotations

import msgspec

from ..registry import JSONObject
from ._auth import Attributes, User

TEXT_MAX = 1_000
"""Characters of a text that a client chose which are kept."""

_WRITES = frozenset(("create", "update", "patch", "delete", "deletecollection"))


class Audited(msgspec.Struct, frozen=True):
    """A request, as it was when it was answered."""

    audit_id: str
    user: User
    wanted: Attributes
    api_version: str
    """The version without its group: `v1`."""
    request_uri: str
    source: str
    """The address that it came from."""
    user_agent: str
    received: str
    """When it came, and below when it was answered: RFC 3339, with microseconds."""
    answered: str
    code: int
    reason: str = ""
    """Of a refusal."""


def is_audited(wanted: Attributes) -> bool:
    """Whether it may change something, and so gets a line, also where it is refused."""
    return wanted.verb in _WRITES and bool(wanted.resource)


def audit_line(request: Audited) -> str:
    """The event as one line, without its end."""
    wanted = request.wanted
    event: JSONObject = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": request.audit_id[:TEXT_MAX],
        "stage": "ResponseComplete",
        "requestURI": request.request_uri[:TEXT_MAX],
        "verb": wanted.verb,
        "user": {"username": request.user.name, "groups": list(request.user.groups)},
        "sourceIPs": [request.source],
        "userAgent": request.user_agent[:TEXT_MAX],
        "objectRef": _object(wanted, request.api_version),
        "responseStatus": {
            "metadata": {},
            "code": request.code,
            **({"reason": request.reason} if request.reason else {}),
        },
        "requestReceivedTimestamp": request.received,
        "stageTimestamp": request.answered,
    }
    return msgspec.json.encode(event).decode("utf-8")


def _object(wanted: Attributes, api_version: str) -> JSONObject:
    told = {
        "resource": wanted.resource,
        "namespace": wanted.namespace[:TEXT_MAX],
        "name": wanted.name[:TEXT_MAX],
        "apiGroup": wanted.group,
        "apiVersion": api_version,
        "subresource": wanted.subresource,
    }
    return {name: value for name, value in told.items() if value}
