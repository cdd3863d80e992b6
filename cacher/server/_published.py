"""Discovery and OpenAPI as pages: which form of a document is sent, and when a client has it already.

    /api  /apis  /api/v1  /apis/GROUP[/VERSION]      whoever accepts the aggregated form gets it; all others get JSON or YAML
    /openapi/v2  /openapi/v3[/…]                     by entity tag, and by the hash that the index names

Source: kubernetes/apiserver pkg/endpoints/discovery/aggregated (etag.go, handler.go); kubernetes/kube-openapi pkg/handler3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import trio

from ._answers import GZIP_FROM_BYTES, NO_CACHE, Headers, compressed, is_pretty, wants_gzip
from ._answers import document as text_of
from ._discovery import AGGREGATED_TYPE, Discovery, Document
from ._negotiation import OBJECT_TYPES, check_route, negotiate_discovery
from ._openapi import INDEX_TYPE, V2_PROTOBUF, V2_PROTOBUF_ASKED, V2_PROTOBUF_TYPE, OpenAPI, hash_of
from ._request import JSON, Head, Response
from ._resolve import NoPage

if TYPE_CHECKING:
    from ..registry import Registry

Page = Callable[[Head, tuple[str, ...]], Awaitable[Response]]
_YEAR_S = 31_536_000
_VARIES = ("Vary", "Accept")


class Published:
    """The pages of one registry.

    Args:
        version: what OpenAPI says that this is.
        missing: why there is nothing of a group version.
    """

    def __init__(self, registry: Registry, *, version: str, missing: Callable[[str], Exception]) -> None:
        self._discovery = Discovery(registry)
        self._openapi = OpenAPI(registry, version=version)
        self._missing = missing

    def pages(self) -> dict[str, Page]:
        """By the first segment of their paths."""
        return {"api": self.discovery, "apis": self.discovery, "openapi": self.openapi}

    async def discovery(self, head: Head, segments: tuple[str, ...]) -> Response:
        """A document of discovery.

        Raises:
            NoPage, UnknownResource: nothing of that group, or version, is served.
            NotAcceptable: there is no form that the client accepts.
        """
        await trio.lowlevel.checkpoint()
        path = "/" + "/".join(segments)
        accept = head.header("accept")
        if len(segments) == 1:
            check_route(accept, OBJECT_TYPES)
        accepted = negotiate_discovery(accept)
        if accepted is None and len(segments) == 1:
            whole = self._discovery.document(path, aggregated=True)
            assert whole is not None, "both roots have an aggregated form"
            return _by_tag(head, whole, AGGREGATED_TYPE, (_VARIES, ("Cache-Control", "public")))
        found = self._discovery.document(path, server_address=head.header("host"))
        if found is None:
            is_group = segments[0] == "apis" and len(segments) == 2
            raise self._missing(f"{segments[1]}/" if is_group else "/".join(segments[1:]))
        media_type = accepted.media_type if accepted is not None else JSON
        value = msgspec.json.decode(found.body)
        return Response(200, text_of(value, media_type, pretty=is_pretty(head)), media_type, (NO_CACHE, _VARIES))

    async def openapi(self, head: Head, segments: tuple[str, ...]) -> Response:
        """A document of OpenAPI. Raises NoPage."""
        await trio.lowlevel.checkpoint()
        match segments[1:]:
            case ("v2",):
                return self._v2(head)
            case ("v3",):
                return _by_tag(head, self._openapi.index(), INDEX_TYPE, (_VARIES,))
            case ("v3", *rest):
                return self._v3(head, "/".join(rest))
        raise NoPage

    def _v2(self, head: Head) -> Response:
        wanted = [part.partition(";")[0].strip() for part in head.header("accept").split(",")]
        if wanted[0] in (V2_PROTOBUF_ASKED, V2_PROTOBUF_TYPE):
            return Response(200, V2_PROTOBUF, V2_PROTOBUF_TYPE, (_VARIES,))
        return _by_tag(head, self._openapi.v2(), JSON, (_VARIES,))

    def _v3(self, head: Head, path: str) -> Response:
        found = self._openapi.document(path)
        if found is None:
            raise NoPage
        named = head.parameter("hash")
        if named is not None and named != hash_of(found):
            moved = f"/openapi/v3/{path}?hash={hash_of(found)}"
            return Response(301, b"", JSON, (("Location", moved),))
        # What is named by its hash is the same for ever.
        lasting = (("Cache-Control", f"public, immutable, max-age={_YEAR_S}"),) if named is not None else ()
        return _by_tag(head, found, JSON, (_VARIES, *lasting))


def _by_tag(head: Head, found: Document, media_type: str, headers: Headers) -> Response:
    """The document, or that the client has it already."""
    headers = (*headers, ("ETag", found.etag))
    if found.etag in (tag.strip() for tag in head.header("if-none-match").split(",")):
        return Response(304, b"", media_type, headers)
    body = found.body
    if len(body) > GZIP_FROM_BYTES and wants_gzip(head):
        body = b"".join(compressed((body,), iter(())))
        headers = (*headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(200, body, media_type, headers)
