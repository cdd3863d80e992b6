"""Requests to one server: as whom, for how long, how often, and what came of it.

    call:   deadline ( who asks ─ connection ─ exchange ─ 401: ask who we are again, once ─ Retry-After: wait, and again )
    stream: the same until the head of the answer is there; then its bytes, as they come

Every call ends: it has a deadline, and an answer that is too long is cut off.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import trio

from watch import Timeout

from .._backoff import Chance
from ._answers import BadAnswer, answered_error, repeat_after_s
from ._connection import Connection, ConnectionLost, Request, ResponseHead
from ._credentials import Caller, Credentials
from ._paths import Query, target
from ._pool import Pool
from ._settings import Endpoint

REPEATS_MAX = 10
"""How often a request is sent again because the server asked for patience. Source: client-go rest/request.go, maxRetries."""
BODY_MAX = 1 << 30
"""Bytes of an answer: a list of 200,000 pods; more is cut off."""
ERROR_BODY_MAX = 1 << 20
SPREAD = 0.5
"""A wait that a server asked for is stretched by up to this share: all its clients were told the same number."""

JSON = "application/json"

_WARNING = re.compile(r'^\s*299 \S+ "((?:[^"\\]|\\.)*)"')

OnWarning = Callable[[str], None]


class Response(msgspec.Struct, frozen=True):
    """A whole answer below 300."""

    head: ResponseHead
    body: bytes


class Transport:
    """The way to one server.

    Args:
        timeout_s: of a call as a whole, its waits and repetitions included.
        random: chance for the waits.
        on_warning: called with each warning that the server gives.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        credentials: Credentials,
        *,
        user_agent: str,
        timeout_s: float,
        random: Chance,
        on_warning: OnWarning | None = None,
    ) -> None:
        self.pool = pool
        self.timeout_s = timeout_s
        self._endpoint = endpoint
        self._credentials = credentials
        self._user_agent = user_agent
        self._random = random
        self._on_warning = on_warning

    async def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: bytes = b"",
        content_type: str = "",
        accept: str = JSON,
    ) -> Response:
        """The answer, once the server has one that is no error and no plea for patience.

        Raises:
            watch.APIError: what the server answered; Timeout after `timeout_s`; Unauthorized without credentials.
            ConnectionLost: the server was not reached, or was lost.
            BadAnswer: the answer is longer than BODY_MAX.
        """
        with trio.move_on_after(self.timeout_s) as scope:
            return await self._call(method, self._target(path, query), body, content_type, accept, scope)
        unknown = "" if method == "GET" else ": whether it was carried out is not known"
        raise Timeout(f"{method} {path} was not answered within {self.timeout_s:g} s{unknown}")

    @asynccontextmanager
    async def stream(self, path: str, query: Query, *, accept: str = JSON) -> AsyncIterator[Connection]:
        """An answer of 200, to be read as it comes, for as long as the context lasts. Raises as `call`, on entering.

        It is asked for once: whoever watches has a state to go back to, and waits on his own.
        """
        caller = await self._credentials.current()
        is_second = False
        while True:
            async with self.pool.connection(caller, is_counted=False, is_fresh=is_second) as connection:
                head = await self._opened(connection, path, query, caller, accept)
                if head is not None and head.status == 200:
                    yield connection
                    return
                error = None if head is None else answered_error(head, await self._refusal(connection), path)
            renewed = await self._renewed(caller, head) if head is not None and not is_second else None
            if error is not None and renewed is None:
                raise error
            caller, is_second = renewed or caller, True

    # ---- one call --------------------------------------------------------------------------------------------------

    async def _call(
        self, method: str, target: str, body: bytes, content_type: str, accept: str, scope: trio.CancelScope
    ) -> Response:
        caller = await self._credentials.current()
        is_renewed = is_fresh = False
        repeats = 0
        while True:
            request = self._request(method, target, caller, body, content_type, accept)
            answer = await self._exchange(request, caller, is_fresh=is_fresh)
            if answer is None:
                is_fresh = True
                continue
            if answer.head.status < 300:
                self._warn(answer.head)
                return answer
            renewed = None if is_renewed else await self._renewed(caller, answer.head)
            if renewed is not None:
                caller, is_renewed = renewed, True
                continue
            wait_s = repeat_after_s(method, answer.head) * (1 + SPREAD * self._random.random())
            if not wait_s or repeats == REPEATS_MAX or trio.current_time() + wait_s >= scope.deadline:
                raise answered_error(answer.head, answer.body, target)
            repeats += 1
            await trio.sleep(wait_s)

    async def _exchange(self, request: Request, caller: Caller, *, is_fresh: bool) -> Response | None:
        """None: the connection had been idle and was lost; a read may be asked again on a new one.

        A write may not: the server may have carried it out before it went.
        """
        async with self.pool.connection(caller, is_fresh=is_fresh) as connection:
            was_used = connection.exchanges > 0
            try:
                head = await connection.send(request)
                body = await _read(connection, ERROR_BODY_MAX if head.status >= 300 else BODY_MAX)
            except ConnectionLost:
                if was_used and request.method == "GET" and not is_fresh:
                    return None
                raise
            return Response(head, body)

    async def _opened(
        self, connection: Connection, path: str, query: Query, caller: Caller, accept: str
    ) -> ResponseHead | None:
        """None as of `_exchange`."""
        was_used = connection.exchanges > 0
        try:
            with trio.move_on_after(self.timeout_s):
                return await connection.send(self._request("GET", self._target(path, query), caller, b"", "", accept))
        except ConnectionLost:
            if was_used:
                return None
            raise
        raise Timeout(f"GET {path} was not answered within {self.timeout_s:g} s")

    async def _refusal(self, connection: Connection) -> bytes:
        with trio.move_on_after(self.timeout_s):
            return await _read(connection, ERROR_BODY_MAX)
        return b""

    async def _renewed(self, caller: Caller, head: ResponseHead) -> Caller | None:
        return await self._credentials.renewed(caller) if head.status == 401 else None

    def _target(self, path: str, query: Query | None) -> str:
        return target(self._endpoint.path, path, query or {})

    def _request(
        self, method: str, target: str, caller: Caller, body: bytes, content_type: str, accept: str
    ) -> Request:
        headers = [
            ("Host", self._endpoint.authority),
            ("User-Agent", self._user_agent),
            ("Accept", accept),
            *caller.headers,
        ]
        if content_type:
            headers.append(("Content-Type", content_type))
        return Request(method, target, tuple(headers), body)

    def _warn(self, head: ResponseHead) -> None:
        if self._on_warning is not None:
            for text in head.all_of("warning"):
                if found := _WARNING.match(text):
                    self._on_warning(re.sub(r"\\(.)", r"\1", found[1]))


async def _read(connection: Connection, bytes_max: int) -> bytes:
    """The whole body. Raises BadAnswer: it is longer than `bytes_max`."""
    pieces: list[bytes] = []
    length = 0
    while piece := await connection.read():
        pieces.append(piece)
        length += len(piece)
        if length > bytes_max:
            raise BadAnswer(f"the server's answer is longer than {bytes_max} bytes")
    return b"".join(pieces)
