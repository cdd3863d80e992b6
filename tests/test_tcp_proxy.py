"""The proxy mistreats connections as it says, and nothing more: otherwise a test of faults would test something else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from tests.tcp_proxy import DOWN, UP, TcpProxy, open_tcp_proxy

PATIENCE_S = 20.0
"""What must happen has so long; it takes milliseconds."""
QUIET_S = 0.15
"""What must not happen is given so long to happen. Too short a time makes a test blind for once, never red."""


class Echo:
    """A server that sends back what it gets, and notes it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.port = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            async for chunk in stream:
                self.got += chunk
                await stream.send_all(chunk)
            await stream.send_eof()
        except (OSError, trio.BrokenResourceError):
            pass


@asynccontextmanager
async def open_world(label_of: Callable[[bytes], str] = lambda _: "") -> AsyncIterator[tuple[TcpProxy, Echo]]:
    echo = Echo()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            echo.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, echo.serve, listeners)
            async with open_tcp_proxy(echo.port, random=Random(7), label_of=label_of) as proxy:
                yield proxy, echo
            nursery.cancel_scope.cancel()


async def connect(proxy: TcpProxy) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", proxy.port)


async def receive_exactly(stream: trio.SocketStream, count: int) -> bytes:
    got = b""
    while len(got) < count:
        chunk = await stream.receive_some()
        assert chunk, "it ended early"
        got += chunk
    return got


async def is_silent(stream: trio.SocketStream) -> bool:
    with trio.move_on_after(QUIET_S):
        await stream.receive_some()
        return False
    return True


def real(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test with real sockets, and so with the real clock."""

    def run() -> None:
        trio.run(test)

    run.__name__ = test.__name__
    return pytest.mark.slow(run)


@real
async def test_what_is_sent_arrives_whole_and_in_order_and_so_does_the_end() -> None:
    async with open_world() as (proxy, echo), await connect(proxy) as stream, trio.open_nursery() as nursery:
        sent = bytes(range(256)) * 4096
        nursery.start_soon(stream.send_all, sent)
        assert await receive_exactly(stream, len(sent)) == sent
        await stream.send_eof()
        assert await stream.receive_some() == b""
        assert bytes(echo.got) == sent


@real
async def test_a_delay_is_kept_and_leaves_the_order() -> None:
    async with open_world() as (proxy, _), await connect(proxy) as stream:
        proxy.delay(0.02, 0.06)
        began_s = trio.current_time()
        for number in range(10):
            await stream.send_all(b"%d" % number)
            await trio.sleep(0.001)
        assert await receive_exactly(stream, 10) == b"0123456789"
        assert trio.current_time() - began_s >= 0.04, "late on the way up, and on the way down"


@real
async def test_a_cut_resets_both_sides_and_new_connections_are_welcome() -> None:
    async with open_world() as (proxy, _):
        async with await connect(proxy) as stream:
            await stream.send_all(b"x")
            await receive_exactly(stream, 1)
            assert proxy.cut() == 1
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        async with await connect(proxy) as stream:
            await stream.send_all(b"y")
            assert await receive_exactly(stream, 1) == b"y"
        assert proxy.connections == 2


@real
async def test_a_proxy_that_refuses_resets_new_connections_until_it_heals() -> None:
    async with open_world() as (proxy, _):
        proxy.refuse()
        with pytest.raises((OSError, trio.BrokenResourceError)):
            async with await connect(proxy) as stream:
                await stream.receive_some()
                raise trio.BrokenResourceError("an end is as good as a reset where the connection was never served")
        proxy.heal()
        async with await connect(proxy) as stream:
            await stream.send_all(b"x")
            assert await receive_exactly(stream, 1) == b"x"


@real
async def test_a_black_hole_swallows_silently_and_what_it_held_arrives_when_it_heals() -> None:
    async with open_world() as (proxy, echo), await connect(proxy) as stream:
        await stream.send_all(b"before")
        await receive_exactly(stream, 6)
        proxy.black_hole()
        await stream.send_all(b"after")
        assert await is_silent(stream)
        assert bytes(echo.got) == b"before"
        async with await connect(proxy) as late:  # accepted, and kept waiting
            await late.send_all(b"late")
            assert await is_silent(late)
            proxy.heal()
            assert await receive_exactly(late, 4) == b"late"
        assert await receive_exactly(stream, 5) == b"after"


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "arrived"), [(UP, b""), (DOWN, b"x")])
def test_a_half_open_connection_carries_one_way(direction, arrived):
    async def main() -> None:
        async with open_world() as (proxy, echo), await connect(proxy) as stream:
            proxy.half_open(direction)
            await stream.send_all(b"x")
            assert await is_silent(stream)
            assert bytes(echo.got) == arrived
            proxy.heal()
            assert await receive_exactly(stream, 1) == b"x"

    trio.run(main)


@real
async def test_connections_of_one_label_can_be_held_alone() -> None:
    async with open_world(label_of=lambda first: first[:1].decode()) as (proxy, _):
        async with await connect(proxy) as a, await connect(proxy) as b:
            for stream, name in ((a, b"a"), (b, b"b")):
                await stream.send_all(name)
                await receive_exactly(stream, 1)
            proxy.black_hole(labels=frozenset("a"))
            await a.send_all(b"1")
            await b.send_all(b"2")
            assert await receive_exactly(b, 1) == b"2"
            assert await is_silent(a)


@real
async def test_a_server_that_is_not_there_is_a_reset_connection() -> None:
    async with open_world() as (proxy, _):
        with trio.socket.socket() as unused:
            await unused.bind(("127.0.0.1", 0))
            proxy.target_port = unused.getsockname()[1]
            with pytest.raises((OSError, trio.BrokenResourceError)):
                async with await connect(proxy) as stream:
                    await stream.receive_some()
                    raise trio.BrokenResourceError("an end will do")


@real
async def test_leaving_closes_every_connection() -> None:
    async with open_world() as (proxy, _):
        stream = await connect(proxy)
        await stream.send_all(b"x")
        await receive_exactly(stream, 1)
        assert proxy.open_connections == 1
    assert proxy.open_connections == 0
    await stream.aclose()
