"""Members: the endpoints of an etcd, a grpc channel to each, and calls that a trio task can wait for.

A call is sent from the task, and its answer read and made into our words by grpc's own thread, which then wakes the task:
no thread waits anywhere, and a cancelled task cancels its call. Whoever is cancelled while a write is under way does not
know whether it was done.

Kept alive by a ping after 10 s of silence, which has 5 s to be answered: a peer that went away without a word is
found within 15 s wherever a stream is open. Source: grpc core's channel arguments (`grpc.http2.ping_timeout_ms` is the one
that decides, though its documentation points to the others).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import outcome
import trio

from ._endpoints import Endpoint, Rotation
from ._etcd3 import Message, grpc, rpc
from ._remote_errors import CallFailed

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

KEEPALIVE_S = 10
KEEPALIVE_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 5
RECONNECT_MAX_S = 1

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
    # etcd hangs up on whoever pings while nothing is under way.
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", CONNECT_TIMEOUT_S * 1000),  # which is also how long connecting may take
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_S * 1000),
    # Connections of our own: whoever else in this process talks to the same etcd does not share their fate.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class Certificates(msgspec.Struct, frozen=True):
    """What TLS is done with, as PEM; None: the system's authorities, no certificate of our own."""

    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None


class Member:
    """One endpoint."""

    def __init__(self, index: int, endpoint: Endpoint, certificates: Certificates) -> None:
        self.index = index
        self.endpoint = endpoint
        self.version: str = ""
        """What it said last of itself; "": nothing, so nothing is taken for granted of it."""
        if endpoint.is_secure:
            credentials = grpc.ssl_channel_credentials(
                certificates.authorities, certificates.key, certificates.certificate
            )
            self._channel = grpc.secure_channel(endpoint.address, credentials, OPTIONS)
        else:
            self._channel = grpc.insecure_channel(endpoint.address, OPTIONS)
        self.kv = rpc.KVStub(self._channel)
        self.watch = rpc.WatchStub(self._channel)
        self.lease = rpc.LeaseStub(self._channel)
        self.auth = rpc.AuthStub(self._channel)
        self.maintenance = rpc.MaintenanceStub(self._channel)

    def close(self) -> None:
        """Hang up, and end every call that is under way."""
        self._channel.close()


class Members:
    """All endpoints, and which of them is the current one."""

    def __init__(self, endpoints: Sequence[Endpoint], certificates: Certificates) -> None:
        self.all = [Member(index, endpoint, certificates) for index, endpoint in enumerate(endpoints)]
        self._rotation = Rotation(len(self.all))

    @property
    def current(self) -> Member:
        """The one to ask."""
        return self.all[self._rotation.current]

    def failed(self, member: Member) -> None:
        """It could not be reached, or could do nothing: the next one becomes the current one."""
        self._rotation.failed(member.index)

    def close(self) -> None:
        """Hang up everywhere."""
        for member in self.all:
            member.close()


async def call(
    method: Any, request: Message, read: Callable[[Message], T], *, metadata: Metadata, timeout_s: float
) -> T:
    """What `read` makes of the answer to one unary call; `read` runs in a thread of grpc's.

    Cancelled, it returns at once, and the call is given up wherever it is.
    Raises:
        CallFailed: there was no answer, or an error.
    """
    token, task = trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()
    future = method.future(request, timeout=timeout_s, metadata=metadata)
    has_left = False

    def deliver(answer: outcome.Outcome[T]) -> None:
        if not has_left:
            trio.lowlevel.reschedule(task, answer)

    def answered(future: Any) -> None:
        answer = outcome.capture(_read, future, read)
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(deliver, answer)

    def leave(_: object) -> trio.lowlevel.Abort:
        nonlocal has_left
        has_left = True
        future.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    future.add_done_callback(answered)
    found: T = await trio.lowlevel.wait_task_rescheduled(leave)
    return found


def _read(future: Any, read: Callable[[Message], T]) -> T:
    try:
        answer = future.result()
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        raise call_failed(error) from error
    return read(answer)


def call_failed(error: Any) -> CallFailed:
    """An error of grpc's, in words that need no grpc."""
    if isinstance(error, grpc.RpcError):
        return CallFailed(error.code().name, error.details() or "")
    return CallFailed("CANCELLED", "the channel was closed")


async def first_answer(
    method: Any,
    request: Message,
    read: Callable[[Message], T],
    *,
    metadata: Metadata,
    timeout_s: float,
    limiter: trio.CapacityLimiter,
) -> T:
    """As `call`, for a method that answers in a stream: the first answer. A thread waits for it."""
    stream = method(iter((request,)), timeout=timeout_s, metadata=metadata)

    def wait() -> T:
        try:
            return read(next(stream))
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            raise call_failed(error) from error
        except StopIteration:
            raise CallFailed("UNAVAILABLE", "the stream ended without an answer") from None

    try:
        return await trio.to_thread.run_sync(wait, limiter=limiter, abandon_on_cancel=True)
    finally:
        stream.cancel()
