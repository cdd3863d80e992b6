"""What is no resource: discovery, OpenAPI, health, metrics, the version.

Source: kubernetes/apiserver pkg/endpoints/discovery, pkg/server/routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from ..registry import APIError, UnknownResource
from ..storage._metrics import MetricsSnapshot
from ._answers import NO_CACHE, document
from ._health import PLACES, Check, health
from ._metrics_text import CONTENT_TYPE, metrics_text
from ._negotiation import check_route
from ._published import Published
from ._request import JSON, Head, Response
from ._resolve import MethodUnknown, NoPage, is_built_in_group

if TYPE_CHECKING:
    from ._server import Backend

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.0+watchcache",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
"""Whose API this is, as clients understand it."""

Gather = Callable[[MetricsSnapshot], Awaitable[MetricsSnapshot]]
"""Makes of one process's metrics those of all that serve together."""
Page = Callable[[Head, tuple[str, ...]], Awaitable[Response]]


class Documents:
    """Answers what is no resource."""

    def __init__(
        self,
        backend: Backend,
        *,
        own_metrics: Callable[[], MetricsSnapshot],
        gather: Gather | None = None,
        closing: trio.Event,
    ) -> None:
        self._backend = backend
        self._own_metrics = own_metrics
        self._gather = gather
        self._closing = closing
        self._checks: dict[str, Check] = {"ping": _well, "etcd": self._check_store}
        self._pages: dict[str, Page] = {
            "version": self._version,
            "metrics": self._metrics,
            **dict.fromkeys(PLACES, self._health),
            **Published(backend.registry, version=VERSION["gitVersion"], missing=self.unknown).pages(),
        }

    async def answer(self, head: Head, segments: tuple[str, ...]) -> Response:
        """The document at a path.

        Raises:
            NoPage: there is none.
            APIError: it is not to be had so.
        """
        page = self._pages.get(segments[0]) if segments else None
        if page is None:
            raise NoPage
        if head.method not in ("GET", "HEAD"):
            raise MethodUnknown
        return await page(head, segments)

    def unknown(self, group_version: str) -> Exception:
        """Why there is nothing of that group version."""
        return UnknownResource(group_version) if is_built_in_group(group_version) else NoPage()

    def metrics(self) -> MetricsSnapshot:
        """What this process has counted."""
        return MetricsSnapshot((*self._backend.metrics().samples, *self._own_metrics().samples))

    async def _version(self, head: Head, segments: tuple[str, ...]) -> Response:
        if len(segments) > 1:
            raise NoPage
        check_route(head.header("accept"), (JSON,))
        await trio.lowlevel.checkpoint()
        return Response(200, document(VERSION, pretty=True), JSON, (NO_CACHE,))

    async def _metrics(self, head: Head, segments: tuple[str, ...]) -> Response:
        if len(segments) > 1:
            raise NoPage
        await trio.lowlevel.checkpoint()
        found = self.metrics()
        text = metrics_text((found if self._gather is None else await self._gather(found),))
        return Response(200, text.encode(), CONTENT_TYPE, (NO_CACHE,))

    async def _health(self, head: Head, segments: tuple[str, ...]) -> Response:
        checks = dict(self._checks)
        if segments[0] == "readyz":
            checks["shutdown"] = self._check_open
        return await health(head, segments, checks)

    async def _check_open(self) -> str:
        await trio.lowlevel.checkpoint()
        return "it is shutting down" if self._closing.is_set() else ""

    async def _check_store(self) -> str:
        try:
            await self._backend.registry.resource("v1", "namespaces").list(limit=1)
        except APIError as error:
            return error.message
        return ""


async def _well() -> str:
    await trio.lowlevel.checkpoint()
    return ""
