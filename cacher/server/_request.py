"""What came in and what goes out, as values. Pure."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping

import msgspec

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TEXT = "text/plain; charset=utf-8"

Query = Mapping[str, list[str]]
"""Parameters with all of their values, as they came."""


class BadTarget(ValueError):
    """The request's target is no path: its sender must escape it."""


class Head(msgspec.Struct, frozen=True):
    """A request without its body."""

    method: str
    path: str
    """Decoded; with the slash that it starts with."""
    query: Query
    headers: Mapping[str, str]
    """By name in lower case; those that came several times are joined by commas."""
    is_http_1_1: bool = True

    def header(self, name: str) -> str:
        """Its value; "" where there is none."""
        return self.headers.get(name, "")

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter; None where there is none."""
        values = self.query.get(name)
        return values[0] if values else None


class Response(msgspec.Struct, frozen=True):
    """An answer whose body is whole."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def read_head(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]], *, is_http_1_1: bool = True) -> Head:
    """The head of a request, from what stands on the wire.

    Raises:
        BadTarget: the path is not escaped as it must be.
    """
    path, _, query = target.partition(b"?")
    if path.lower().startswith((b"http://", b"https://")):
        path = b"/" + path.split(b"/", 3)[3] if path.count(b"/") > 2 else b"/"
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        joined[key] = f"{joined[key]},{text}" if key in joined else text
    return Head(method, _path(path), read_query(query), joined, is_http_1_1)


def read_query(query: bytes) -> dict[str, list[str]]:
    """The parameters of a query, in their order. What is not escaped as it must be is left out, as Go does."""
    found: dict[str, list[str]] = {}
    for part in query.decode("latin-1").split("&"):
        name, _, value = part.partition("=")
        if not part or ";" in part or _is_unescaped(name) or _is_unescaped(value):
            continue
        found.setdefault(_plain(name), []).append(_plain(value))
    return found


def _plain(text: str) -> str:
    return urllib.parse.unquote(text.replace("+", " "), errors="replace")


def _path(path: bytes) -> str:
    text = path.decode("latin-1")
    if not text.startswith("/") or _is_unescaped(text):
        raise BadTarget(f"{text!r} is no path: escape it")
    return urllib.parse.unquote_to_bytes(text.encode("latin-1")).decode("utf-8", "replace")


_HEX = frozenset("0123456789abcdefABCDEF")


def _is_unescaped(text: str) -> bool:
    """Whether a percent sign stands before what is no pair of hexadecimal digits."""
    return any(len(rest) < 2 or rest[0] not in _HEX or rest[1] not in _HEX for rest in text.split("%")[1:])
