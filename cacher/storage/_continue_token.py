"""Continue tokens: where the next page of a list begins, and at which revision. Byte for byte Kubernetes' own.

    base64url, unpadded, of {"v":"meta.k8s.io/v1","rv":42,"start":"team-a/web-1\\u0000"}

`start` is relative to the prefix of the list; the NUL makes it the first key after the last one read. A token holds no
selector and no limit, and any server, cached or not, can go on with another's. Pure.

Source: kubernetes/apiserver pkg/storage/continue.go.
"""

from __future__ import annotations

import base64
import string

import msgspec

from .._go_json import json_problem

VERSION = "meta.k8s.io/v1"

LATEST = -1
"""The revision in a token that goes on at whatever is current: handed out when the token's own revision was compacted."""

_ALPHABET = frozenset(string.ascii_letters + string.digits + "-_")
# Go's encoder writes these so that JSON may stand in HTML; others must find the very same bytes.
_HTML = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


class InvalidContinueToken(ValueError):
    """The token was not made by a list, or not by one of this prefix: list again from the start."""


class _Token(msgspec.Struct):
    v: str = ""
    rv: int = 0
    start: str = ""


def encode_continue(key: str, key_prefix: str, revision: int) -> str:
    """The token of a page that starts at `key`, which is below `key_prefix`, at `revision` (LATEST: the current one).

    Raises:
        ValueError: `key` is not below `key_prefix`.
    """
    start = key.removeprefix(key_prefix)
    if start == key:
        raise ValueError("unable to encode next field: the key and key prefix do not match")
    # Bytes of a key that are no UTF-8 are lost here, as they are in Go.
    start = start.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    text = msgspec.json.encode(_Token(VERSION, revision, start)).decode().translate(_HTML)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_continue(token: str, key_prefix: str) -> tuple[str, int]:
    """The first key of the page, below `key_prefix`, and the revision to read at (negative: the current one).

    Raises:
        InvalidContinueToken: it is none, or would leave the prefix.
    """
    raw = _debased(token)
    try:
        read = msgspec.json.decode(raw, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidContinueToken(f"continue key is not valid: {json_problem(raw) or error}") from error
    if read.v != VERSION:
        raise InvalidContinueToken(
            f"continue key is not valid: server does not recognize this encoded version {read.v}"
        )
    if not read.rv:
        raise InvalidContinueToken(
            f"continue key is not valid: incorrect encoded start resourceVersion (version {VERSION})"
        )
    if not read.start:
        raise InvalidContinueToken(f"continue key is not valid: encoded start key empty (version {VERSION})")
    start = read.start.removeprefix("/")
    # What cleaning the path would change might lead out of the prefix.
    if start and not {"", ".", ".."}.isdisjoint(start.split("/")):
        raise InvalidContinueToken(f"continue key is not valid: {read.start}")
    return key_prefix + start, read.rv


def _debased(token: str) -> bytes:
    """Base64 as Go reads it: line ends are skipped, anything else foreign is an error that names its place."""
    for index, char in enumerate(token):
        if char not in _ALPHABET and char not in "\r\n":
            raise InvalidContinueToken(f"continue key is not valid: illegal base64 data at input byte {index}")
    text = token.replace("\r", "").replace("\n", "")
    if len(text) % 4 == 1:
        raise InvalidContinueToken(f"continue key is not valid: illegal base64 data at input byte {len(token) - 1}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
