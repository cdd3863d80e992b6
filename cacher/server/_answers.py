"""Answers: objects, Statuses and plain pages as responses, with the headers that all have. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers/responsewriters, pkg/endpoints/filters/warning.go.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ..registry import APIError
from ._encoding import encode
from ._negotiation import accepts_gzip, error_type
from ._request import JSON, TEXT, YAML, Head, Response
from ._yaml import write_yaml

GZIP_FROM_BYTES = 128 * 1024
"""Smaller answers are not compressed. Source: kubernetes/apiserver responsewriters/writers.go."""
GZIP_LEVEL = 1
WARNING_CODE = 299
WARNINGS_LENGTH_MAX = 4096
"""Characters of all warnings together; beyond it each is cut to WARNING_CUT."""
WARNING_CUT = 256
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NO_CACHE = ("Cache-Control", "no-cache, private")
Headers = tuple[tuple[str, str], ...]


def is_pretty(head: Head, wanted: bool = False) -> bool:
    """Whether a person reads the answer."""
    text = head.parameter("pretty")
    if text is not None:
        return text.lower() not in ("false", "0")
    return wanted or head.header("user-agent").startswith(("curl", "Wget", "Mozilla/5.0"))


def document(value: Any, media_type: str = JSON, *, pretty: bool = False) -> bytes:
    """JSON data as the text of a media type."""
    if media_type == YAML:
        return write_yaml(value)
    raw = encode(value)
    return (msgspec.json.format(raw, indent=2) if pretty else raw) + b"\n"


def error_response(error: APIError, head: Head, headers: Headers = ()) -> Response:
    """An error as its Status."""
    media_type = error_type(head.header("accept"))
    more = [NO_CACHE, *headers]
    if error.retry_after_s > 0:
        more.append(("Retry-After", str(error.retry_after_s)))
    body = document(error.status(), media_type, pretty=is_pretty(head))
    return Response(error.code, body, media_type, tuple(more))


def page_not_found() -> Response:
    """Nothing is there, and no API to say it."""
    return Response(404, b"404 page not found\n", TEXT, (("X-Content-Type-Options", "nosniff"),))


def text_response(status: int, text: str, headers: Headers = ()) -> Response:
    """A plain page."""
    return Response(status, text.encode(), TEXT, (NO_CACHE, ("X-Content-Type-Options", "nosniff"), *headers))


def warning_headers(warnings: Iterable[str]) -> Headers:
    """Warnings as headers, each once; those that no header can carry are left out."""
    kept = [text for text in dict.fromkeys(warnings) if text and not _CONTROL.search(text)]
    if sum(map(len, kept)) > WARNINGS_LENGTH_MAX:
        kept = [text[:WARNING_CUT] for text in kept]
    found: list[tuple[str, str]] = []
    total = 0
    for text in kept:
        total += len(text)
        if total > WARNINGS_LENGTH_MAX:
            break
        found.append(("Warning", f"{WARNING_CODE} - {json.dumps(text, ensure_ascii=False)}"))
    return tuple(found)


def compressed(pieces: Sequence[bytes], more: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces and those that follow as one gzip stream."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    for piece in _chain(pieces, more):
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def _chain(pieces: Sequence[bytes], more: Iterator[bytes]) -> Iterator[bytes]:
    yield from pieces
    yield from more


def wants_gzip(head: Head) -> bool:
    """Whether a large answer to this request is compressed."""
    return head.method == "GET" and accepts_gzip(head.header("accept-encoding"))
