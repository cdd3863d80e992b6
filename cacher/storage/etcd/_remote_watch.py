"""RemoteWatch: a watch of a real etcd that outlives its streams.

    etcd ─► stream ─► pump: a thread ─► Assembly ─► Bridge ─► receive
              ▲                          whole        bounded: when full the pump stops reading, and etcd sending
              └── follow: a task that opens the next stream where the last whole revision ended

Each watch has a stream of its own, so that what a server says of the stream's progress is about this watch. A stream that
breaks, a member that loses its leader, a token that ran out: the next stream begins after the last whole revision, at the
next endpoint, and the reader sees a delay. What ends a watch is said by `receive`.
"""

from __future__ import annotations

import contextlib
import math
import queue
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from ._bridge import Bridge
from ._endpoints import Waits
from ._etcd3 import Message, grpc
from ._members import Member, Metadata, call_failed
from ._protocol import CompactedError, EtcdError, WatchFilter, WatchResponse
from ._remote_errors import Asked, CallFailed, Fate, error_of, meaning
from ._version import tells_progress
from ._watch_assembly import Assembly, merged
from ._wire import events, progress_request, watch_request

if TYPE_CHECKING:
    from ._connections import Connections

BRIDGE_BYTES_MAX = 8 * 1024 * 1024
"""What waits for a reader that stands still, in keys and values; the rest waits in etcd."""

EVENT_BYTES = 200
"""What an event weighs beside its keys and values."""

RESPONSES_AT_ONCE = 64
"""Responses taken over the bridge at once, and made into fewer."""

REQUESTS_MAX = 16
"""Progress requests that wait to be sent; more of them would bring no more answers."""

SHORT_STREAM_S = 1.0
"""A stream that ends sooner is one more failure: etcd is not asked without a pause to open streams that do not last."""

_END = None  # of a stream's requests


class Spec(msgspec.Struct, frozen=True):
    """What is watched, and how."""

    key: bytes
    range_end: bytes | None
    start_revision: int
    prev_kv: bool
    progress_notify: bool
    filters: tuple[WatchFilter, ...]

    def request(self, start_revision: int) -> Message:
        """What opens a stream of it."""
        return watch_request(
            self.key,
            self.range_end,
            start_revision,
            prev_kv=self.prev_kv,
            progress_notify=self.progress_notify,
            filters=self.filters,
        )


class RemoteWatch:
    """An open watch (see EtcdWatch). Made by `RemoteEtcd.watch`."""

    def __init__(self, connections: Connections, spec: Spec) -> None:
        self._connections = connections
        self._spec = spec
        self._assembly = Assembly(spec.start_revision)
        self._bridge: Bridge[WatchResponse] = Bridge(BRIDGE_BYTES_MAX)
        self._ready: deque[WatchResponse] = deque()
        self._stream: _Stream | None = None
        self._waits = Waits(len(connections.members.all), connections.random)
        self._failure: Exception | None = None
        self._has_begun = trio.Event()
        self._has_streamed = False
        self._has_logged_in = False
        self._is_ended = False
        self._is_closed = False
        self._is_receiving = False

    # --- the reader's side --------------------------------------------------------------------------------------------

    async def receive(self) -> WatchResponse:
        """The next response: whole revisions, or a progress notification. Cancelled, it has taken nothing.

        Raises:
            CompactedError: what is wanted next was compacted, perhaps while the connection was lost; or etcd was restored
                from a backup, and is behind what this watch has told. Read, and watch from there.
            trio.BrokenResourceError: no endpoint answered for as long as this client is patient. Nothing is lost: watch
                again from the revision after the last one received.
            PermissionDeniedError, UnauthenticatedError, InvalidRequestError, ServerError: etcd refused the watch.
            trio.EndOfChannel: this client was closed, or the watch had raised one of these; and all was received.
            trio.ClosedResourceError: the watch's context was left.
            trio.BusyResourceError: another task is receiving.
        """
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this watch: open one for each task")
        self._is_receiving = True
        try:
            if self._ready or not self._bridge.is_empty:
                # Somebody who only waits for what comes has given others their turn: a second one costs him 10 µs an event.
                await trio.lowlevel.checkpoint()
            if not self._ready:
                self._ready.extend(merged(await self._bridge.take(RESPONSES_AT_ONCE)))
            if not self._ready:
                self._raise_over()
            return self._ready.popleft()
        finally:
            self._is_receiving = False

    def request_progress(self) -> None:
        """Have `receive` say how far the watch is, after the events before that.

        Forgotten while there is no stream, and where the server is of a version that answers falsely.
        Raises:
            trio.ClosedResourceError: the watch's context was left.
        """
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed: open another")
        if self._stream is not None:
            self._stream.request_progress()

    async def begun(self) -> None:
        """Return once the first stream is there, and so the revision from which the watch counts.

        Raises:
            EtcdError: it cannot be had.
        """
        await self._has_begun.wait()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def close(self) -> None:
        """The reader has left."""
        self._is_closed = True
        self._ready.clear()
        self._stop()
        self._bridge.close()

    def end(self) -> None:
        """The client is being closed: what has come is still received."""
        self._stop()
        self._bridge.finish()

    def _stop(self) -> None:
        self._is_ended = True
        if self._stream is not None:
            self._stream.close()

    def _raise_over(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this watch was closed: open another")
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        raise trio.EndOfChannel("the watch is over: watch again from the last revision received, or read anew")

    # --- the task -----------------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Open one stream after another until the watch is left, or is over."""
        silent_since = trio.current_time()
        try:
            while not self._is_ended:
                began_at = trio.current_time()
                member = self._connections.members.current
                token = self._connections.token
                why = await self._stream_once(member)
                if trio.current_time() - began_at > SHORT_STREAM_S and self._has_streamed:
                    silent_since = trio.current_time()
                    self._waits.succeeded()
                if why is None:
                    return
                await self._recover(why, member, token, silent_since)
        except (EtcdError, trio.BrokenResourceError) as error:
            self._failure = error
        finally:
            self._is_ended = True
            self._has_begun.set()
            self._bridge.finish()

    async def _stream_once(self, member: Member) -> CallFailed | None:
        """A stream from its opening to its end, and why it ended; None: in order.

        Raises:
            CompactedError: what comes next was compacted.
        """
        self._has_streamed = False
        try:
            await self._connections.learn_version(member)
        except CallFailed as failed:
            return failed
        if self._is_ended:  # meanwhile; whoever ended it had no stream to close
            return None
        stream = _Stream(member, self._spec, self._assembly.next_revision, self._connections.metadata())
        self._stream = stream
        try:
            async with trio.open_nursery() as nursery:
                # As of now: once the pump runs, what was told may be newer than what a read that is under way will show.
                nursery.start_soon(self._attend, stream, self._assembly.told_revision)
                ended = await trio.to_thread.run_sync(
                    stream.pump, self._assembly, self._bridge, limiter=self._connections.limiter
                )
                nursery.cancel_scope.cancel()
        finally:
            self._stream = None
            stream.close()
        if isinstance(self._failure, CompactedError):
            raise self._failure
        if isinstance(ended, CompactedError):
            raise ended
        return ended

    async def _attend(self, stream: _Stream, told: int) -> None:
        """Give the stream up where it does not begin in time; close it in any case when this is cancelled.

        The pump is in a thread, which no cancellation reaches: only its stream's end does.
        """
        try:
            with trio.move_on_after(self._connections.request_timeout_s) as scope:
                await stream.has_begun.wait()
                scope.deadline = math.inf
                self._has_streamed, self._has_logged_in = True, False
                self._has_begun.set()
                if stream.began_at < told:
                    await self._check_history(stream, told)
                await trio.sleep_forever()
        finally:
            stream.close()

    async def _check_history(self, stream: _Stream, told: int) -> None:
        """A server behind what earlier streams told: a member that lags, which is well, or an etcd that lost history.

        That is one restored from a backup, which gives the same revisions to other writes. A watch that waited there for
        the next revision would miss those before it. Unseen where etcd passed the revision before the watch was back.
        """
        try:
            now = await self._connections.revision()
        except EtcdError:
            return  # the stream will not live long either, and then it is asked again
        if now < told:
            self._failure = CompactedError(now + 1)
            stream.close()

    async def _recover(self, why: CallFailed, member: Member, token: str, silent_since: float) -> None:
        """Return when the next stream may be opened.

        Raises:
            EtcdError: etcd refuses the watch.
            trio.BrokenResourceError: patience is at its end.
        """
        fate = meaning(why).fate
        # Old servers call a token that ran out a lack of permission.
        is_login = fate is Fate.LOGIN or "permission denied" in why.details
        if is_login and self._connections.user and not self._has_logged_in:
            self._has_logged_in = True
            await self._connections.log_in(stale=token)
            return
        error = error_of(why, Asked(), is_write=False, where=str(member.endpoint))
        if is_login or fate is Fate.REFUSED:
            raise error
        self._connections.failed(member)
        patience_s = self._connections.patience_s
        if trio.current_time() - silent_since >= patience_s:
            if not self._assembly.next_revision:
                raise error
            raise trio.BrokenResourceError(
                f"no endpoint of etcd kept this watch for {patience_s:g} s: watch again from revision "
                f"{self._assembly.next_revision} ({error})"
            ) from error
        await trio.sleep(self._waits.next())


class _Stream:
    """One grpc stream with one watch in it."""

    def __init__(self, member: Member, spec: Spec, start_revision: int, metadata: Metadata) -> None:
        self.has_begun = trio.Event()
        self.began_at = 0
        """The revision that the server was at."""
        self._token = trio.lowlevel.current_trio_token()
        self._tells_progress = tells_progress(member.version)
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._requests.put(spec.request(start_revision))
        self._call: Any = member.watch.Watch(iter(self._requests.get, _END), metadata=metadata)

    def request_progress(self) -> None:
        """Ask, unless the answer could be false."""
        if self._tells_progress and self._requests.qsize() < REQUESTS_MAX:
            self._requests.put(progress_request())

    def close(self) -> None:
        """End it, at both ends; the pump returns. No harm where it has ended."""
        self._requests.put(_END)
        self._call.cancel()

    # --- in a thread --------------------------------------------------------------------------------------------------

    def pump(self, assembly: Assembly, bridge: Bridge[WatchResponse]) -> CallFailed | CompactedError | None:
        """Carry what comes over the bridge until the stream ends; why it did, None: the server ended the watch."""
        try:
            for message in self._call:
                if message.canceled:
                    return _cancelled(message)
                if message.created:
                    self.began_at = message.header.revision
                    assembly.began(message.header.revision)
                    with contextlib.suppress(trio.RunFinishedError):
                        self._token.run_sync_soon(self.has_begun.set)
                elif not all(bridge.put(response, weight(response)) for response in _whole(assembly, message)):
                    return None
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            return call_failed(error)
        finally:
            self._requests.put(_END)
        return CallFailed("UNAVAILABLE", "the server ended the stream")


def _whole(assembly: Assembly, message: Message) -> list[WatchResponse]:
    if message.events:
        return assembly.events(events(message), more_follow=message.fragment)
    progress = assembly.progress(message.header.revision)
    return [] if progress is None else [progress]


def _cancelled(message: Message) -> CallFailed | CompactedError | None:
    if message.compact_revision:
        return CompactedError(message.compact_revision)
    return CallFailed("UNKNOWN", message.cancel_reason) if message.cancel_reason else None


def weight(response: WatchResponse) -> int:
    """What a response weighs on the bridge."""
    found = EVENT_BYTES
    for told in response.events:
        found += EVENT_BYTES + len(told.kv.key) + len(told.kv.value)
        if told.prev_kv is not None:
            found += len(told.prev_kv.value)
    return found
