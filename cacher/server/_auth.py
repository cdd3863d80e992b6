"""Who asks, and what they may: tokens, client certificates, three ranks of users.

    a token, or a certificate ─► User ─► full (all) │ reader (reads all, secrets too) │ other (is told what is served)
    none of either            ─► 401, but for /healthz, /livez and /readyz

Ranks are groups: `system:masters` may do all, as in Kubernetes; `watchcache:readers` may read. A certificate's common name is
the user and its organizations are the groups, as in Kubernetes; a token file is Kubernetes' too: `token,user,uid,"group,…"`.

Tokens are kept as digests and compared in a time that does not depend on what they are.

Source: kubernetes/apiserver pkg/authentication/token/tokenfile, pkg/authentication/request/x509, pkg/endpoints/handlers/
responsewriters/errors.go (the texts).
Differs: groups are the only rules; there are no roles to be bound.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ..registry import APIError, Forbidden, GroupResource, StatusDetails, Unauthorized

FULL = "system:masters"
"""The group that may do all."""
READERS = "watchcache:readers"
"""The group that may read all."""
HEALTH = ("/healthz", "/livez", "/readyz")
"""What everybody may ask, with what is below: whoever restarts a server that is not well has no token."""

_TOLD = ("/api", "/apis", "/openapi", "/version", *HEALTH)
"""What every known user may ask, with what is below: what is served. Source: the role system:discovery."""
_READS = frozenset(("get", "list", "watch"))
_ABOUT_ONESELF = frozenset(("selfsubjectaccessreviews", "selfsubjectreviews"))
_TOKEN_BYTES = 32


class User(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


UNSECURED = User("system:unsecured", (FULL, "system:authenticated"))
"""Everybody, where nobody is asked who they are."""


class Attributes(msgspec.Struct, frozen=True):
    """What a request is about to do. `resource` "" means that it is about the `path` alone."""

    verb: str
    """As discovery has them: get, list, watch, create, update, patch, delete, deletecollection; the method for a path."""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class TokenFileError(ValueError):
    """A token file cannot be read; the text says which line, and what it has to be."""


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def read_tokens(lines: Iterable[str]) -> dict[str, User]:
    """The users of a token file, by token.

    Raises:
        TokenFileError: a line that is not `token,user,uid` or `token,user,uid,"group,…"`, or a token that comes twice.
    """
    found: dict[str, User] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) not in (3, 4) or not (cells[0] and cells[1]):
            raise TokenFileError(f'line {number} is not token,user,uid or token,user,uid,"group,…"')
        if cells[0] in found:
            raise TokenFileError(f"line {number} has the token of a line before it: give every user another one")
        groups = tuple(group.strip() for group in (cells[3].split(",") if len(cells) == 4 else ()) if group.strip())
        found[cells[0]] = User(cells[1], groups, cells[2])
    if not found:
        raise TokenFileError("it has no line: nobody could come in")
    return found


class Authenticator:
    """Knows users by their tokens, and by certificates that the TLS layer has verified.

    Args:
        tokens: users by token.
    """

    def __init__(self, tokens: Mapping[str, User]) -> None:
        self._users = tuple((_digest(token), user) for token, user in tokens.items())

    def user(self, authorization: str, certificate: Mapping[str, Any] | None = None) -> User:
        """Who sent a request.

        Args:
            authorization: its header; "" where there is none.
            certificate: of the connection, as ssl's `getpeercert` has it; None or empty: it showed none.
        Raises:
            Unauthorized: nobody that is known.
        Cost: O(tokens), whatever the token is.
        """
        user = _certified(certificate) if certificate else None
        if user is None:
            user = self._bearer(authorization)
        if user is None:
            raise Unauthorized("Unauthorized")
        return msgspec.structs.replace(user, groups=(*user.groups, "system:authenticated"))

    def _bearer(self, authorization: str) -> User | None:
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        shown, found = _digest(token.strip()), None
        for digest, user in self._users:  # all of them, so that the time does not tell which it was
            if hmac.compare_digest(digest, shown):
                found = user
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _certified(certificate: Mapping[str, Any]) -> User | None:
    """The user that a verified certificate names; None: it has no common name."""
    parts = [pair for group in certificate.get("subject", ()) for pair in group]
    name = next((value for key, value in parts if key == "commonName" and value), "")
    if not name:
        return None
    return User(name, tuple(value for key, value in parts if key == "organizationName"))


def is_open(path: str) -> bool:
    """Whether everybody may ask for it, known or not: the server's health."""
    return any(_is_below(path, root) for root in HEALTH)


def check_access(user: User, wanted: Attributes) -> None:
    """Return where the user may do it.

    Raises:
        Forbidden: another user may.
    """
    if FULL in user.groups:
        return
    if wanted.resource:
        is_read = wanted.verb in _READS and READERS in user.groups
        is_about_oneself = wanted.verb == "create" and wanted.resource in _ABOUT_ONESELF
        if is_read or is_about_oneself:
            return
    elif wanted.verb in ("get", "head") and (
        READERS in user.groups or any(_is_below(wanted.path, root) for root in _TOLD)
    ):
        return
    raise _forbidden(user, wanted)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root + "/")


def _forbidden(user: User, wanted: Attributes) -> Forbidden:
    who = f'User "{user.name}" cannot {wanted.verb}'
    if wanted.resource:
        what = f"{wanted.resource}/{wanted.subresource}" if wanted.subresource else wanted.resource
        where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
        resource = GroupResource(wanted.group, wanted.resource)
        return Forbidden(resource, wanted.name, f'{who} resource "{what}" in API group "{wanted.group}" {where}')
    return _PathForbidden(f'{who} path "{wanted.path}"')


class _PathForbidden(Forbidden):
    """What is refused is no resource, but a path."""

    def __init__(self, why: str) -> None:
        APIError.__init__(self, f"forbidden: {why}", StatusDetails())
