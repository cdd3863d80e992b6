"""The door: who a request is from, whether they may, and the line that is left of a write. Before its body is read.

    head, peer ─► Access.admit ─► Request (who, and what about) ─► … answered … ─► Access.leave ─► an audit line

What a request is about is told by its method and path alone, in the same words as discovery's, so that whoever may not do it
is sent away without having been listened to.

Source: kubernetes/apiserver pkg/server/config.go (DefaultBuildHandlerChain), pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from ..registry import APIError
from ._audit import Audited, audit_line, is_audited
from ._auth import UNSECURED, Attributes, Authenticator, User, check_access, is_open
from ._query import is_true
from ._request import Head
from ._routes import group_version_of, read_target, split

_ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
"""Who was not known, as the audit tells it."""


class Peer(msgspec.Struct, frozen=True):
    """The other side of a connection."""

    address: str = ""
    certificate: Mapping[str, Any] | None = None
    """Which the TLS layer has verified, as ssl's `getpeercert` has it; None: none was shown."""


class Request(msgspec.Struct):
    """A request on its way: what the audit needs of it."""

    head: Head
    peer: Peer
    wanted: Attributes
    received_s: float
    user: User = _ANONYMOUS


class Access:
    """Who may come in.

    Args:
        authenticator: knows users; None: nobody is asked, and everybody may do all.
        audit: takes the line of each write; None: there are none.
        unix: the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        authenticator: Authenticator | None = None,
        *,
        audit: Callable[[str], None] | None = None,
        unix: Callable[[], float],
    ) -> None:
        self._authenticator = authenticator
        self._audit = audit
        self._unix = unix

    def begun(self, head: Head, peer: Peer) -> Request:
        """The request, before anything is known of who sent it."""
        return Request(head, peer, attributes_of(head), self._unix())

    def admit(self, request: Request) -> None:
        """Return where whoever sent it may do it.

        Raises:
            Unauthorized: nobody knows who it is.
            Forbidden: others may.
        """
        who = self._authenticator
        if who is None:
            request.user = UNSECURED
            return
        if is_open(request.head.path) and request.head.method in ("GET", "HEAD"):
            return
        request.user = who.user(request.head.header("authorization"), request.peer.certificate)
        check_access(request.user, request.wanted)

    def leave(self, request: Request, *, audit_id: str, code: int, error: APIError | None) -> None:
        """The request was answered. `code` 0: its sender had gone."""
        if self._audit is None or not is_audited(request.wanted):
            return
        head, version = request.head, group_version_of(split(request.head.path))
        self._audit(
            audit_line(
                Audited(
                    audit_id=audit_id,
                    user=request.user,
                    wanted=request.wanted,
                    api_version=version[0].rpartition("/")[2] if version is not None else "",
                    request_uri=f"{head.path}?{urlencode(head.query, doseq=True)}" if head.query else head.path,
                    source=request.peer.address,
                    user_agent=head.header("user-agent"),
                    received=_rfc3339(request.received_s),
                    answered=_rfc3339(self._unix()),
                    code=code,
                    reason=error.reason if error is not None else "",
                )
            )
        )


def attributes_of(head: Head) -> Attributes:
    """What the request is about, by its method, its path and whether it watches."""
    found = group_version_of(split(head.path))
    target = read_target(*found) if found is not None and found[1] else None
    if found is None or target is None:
        return Attributes(head.method.lower(), head.path)
    group = target.group_version.rpartition("/")[0]
    name = target.name
    namespace = name if target.plural == "namespaces" and not group else target.namespace
    verb = _verb(head, is_one=bool(name), is_old_watch=target.is_old_watch)
    return Attributes(verb, head.path, group, target.plural, target.part, namespace, name)


def _verb(head: Head, *, is_one: bool, is_old_watch: bool) -> str:
    match head.method:
        case "GET" | "HEAD":
            watch = head.parameter("watch")
            if is_old_watch or (watch is not None and is_true(watch) and not is_one):
                return "watch"
            return "get" if is_one else "list"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "patch"
        case "DELETE":
            return "delete" if is_one else "deletecollection"
    return head.method.lower()  # none that a resource knows: masters are told so


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
