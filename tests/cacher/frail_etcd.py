"""An etcd that works, late and with its streams cut: what the storage and the cache above it have to live with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from cacher.storage.etcd import CompactedError, EmbeddedEtcd, EtcdWatch, WatchResponse


class FrailEtcd:
    """`etcd`, with `call_s` before and after each call, and each response of a watch `stream_s` late."""

    def __init__(self, etcd: EmbeddedEtcd) -> None:
        self.etcd = etcd
        self.call_s = 0.0
        self.stream_s = 0.0
        self._open: dict[_Stream, None] = {}

    def lose_streams(self) -> None:
        """As when the connection breaks: whoever watches may go on from where they were."""
        for stream in self._open:
            stream.end(trio.BrokenResourceError("the connection was lost"))

    def expire_streams(self) -> None:
        """As when they had fallen behind a compaction: whoever watches has to list again."""
        for stream in self._open:
            stream.end(CompactedError(self.etcd.revision))

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.etcd, name)
        if name not in ("range", "txn", "put", "delete", "compact"):
            return call

        async def late(*args: Any, **kwargs: Any) -> Any:
            await trio.sleep(self.call_s)
            answer = await call(*args, **kwargs)
            await trio.sleep(self.call_s)
            return answer

        return late

    @asynccontextmanager
    async def watch(self, *args: Any, **kwargs: Any) -> AsyncIterator[EtcdWatch]:
        async with self.etcd.watch(*args, **kwargs) as inner:
            stream = _Stream(self, inner)
            self._open[stream] = None
            try:
                yield stream
            finally:
                del self._open[stream]


class _Stream:
    def __init__(self, owner: FrailEtcd, inner: EtcdWatch) -> None:
        self._owner = owner
        self._inner = inner
        self._held: WatchResponse | None = None
        self._due_s = 0.0
        self._trouble: Exception | None = None
        self._scope = trio.CancelScope()

    def end(self, trouble: Exception) -> None:
        self._trouble = trouble
        self._scope.cancel()

    async def receive(self) -> WatchResponse:
        with trio.CancelScope() as self._scope:
            if self._trouble is None:
                if self._held is None:
                    asked_s = trio.current_time()
                    self._held = await self._inner.receive()
                    is_late = trio.current_time() > asked_s
                    # What was there already has waited while the one before it did: this is a delay, not a rate.
                    self._due_s = trio.current_time() + self._owner.stream_s * is_late
                await trio.sleep_until(self._due_s)
                response, self._held = self._held, None
                return response
        assert self._trouble is not None, "only `end` cancels this scope"
        raise self._trouble

    def request_progress(self) -> None:
        self._inner.request_progress()
