"""TLS that a publisher can send by: what is sent arrives whole and in order, however it was cut on the way."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from cacher.server import issue_server, make_authority, server_context
from cacher.server._tls import TLSStream

NOW_S = 1_800_000_000.0
LARGE = bytes(range(256)) * 2_000


@pytest.fixture(scope="module")
def server() -> ssl.SSLContext:
    return server_context(issue_server(make_authority(now_s=NOW_S), ["localhost"], now_s=NOW_S))


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@asynccontextmanager
async def connected(
    server: ssl.SSLContext, client: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[TLSStream, trio.SSLStream[trio.SocketStream]]]:
    """Both ends, after the handshake. The kernel keeps little between them."""
    one, other = trio.socket.socketpair()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ours = TLSStream(trio.SocketStream(one), server)
    theirs = trio.SSLStream(trio.SocketStream(other), client or trusting())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.do_handshake)
        nursery.start_soon(ours.do_handshake)
    try:
        yield ours, theirs
    finally:
        await ours.aclose()
        await theirs.transport_stream.aclose()


async def taken(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = await stream.receive_some(count - len(data))
        assert piece, "the end came too soon"
        data += piece
    return bytes(data)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_are_told_what_the_other_says(server, version):
    async def main() -> None:
        async with connected(server, trusting(version)) as (ours, theirs):
            await theirs.send_all(b"what is there?")
            assert await ours.receive_some() == b"what is there?"
            assert ours.send_now(b"not much") is True
            assert await theirs.receive_some() == b"not much"
            await theirs.send_all(b"abc")
            assert [await ours.receive_some(2), await ours.receive_some(2)] == [b"ab", b"c"]

    trio.run(main)


def test_more_than_fits_at_once_arrives_whole(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs), trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, LARGE)
            assert await taken(theirs, len(LARGE)) == LARGE

    trio.run(main)


def test_what_was_sent_in_part_is_ended_before_anything_else_goes(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs), trio.open_nursery() as nursery:
            assert ours.send_now(LARGE) is False
            assert ours.send_now(b"lost") is None, "nothing may come between"
            nursery.start_soon(ours.send_all, b"the end")
            assert await taken(theirs, len(LARGE) + 7) == LARGE + b"the end"
            assert ours.send_now(b"again") is True
            assert await taken(theirs, 5) == b"again"

    trio.run(main)


def test_nothing_to_send_ends_what_was_sent_in_part(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs), trio.open_nursery() as nursery:
            assert ours.send_now(LARGE) is False
            nursery.start_soon(ours.send_all, b"")
            assert await taken(theirs, len(LARGE)) == LARGE

    trio.run(main)


def test_while_a_task_sends_the_publisher_does_not(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs), trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, LARGE)
            await trio.testing.wait_all_tasks_blocked()
            assert ours.send_now(b"lost") is None
            assert await taken(theirs, len(LARGE)) == LARGE

    trio.run(main)


def test_a_send_that_was_cut_off_goes_on_where_it_was(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.send_all, LARGE)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ours.send_all, b"and more")
                assert await taken(theirs, len(LARGE) + 8) == LARGE + b"and more"

    trio.run(main)


def test_who_receives_is_not_kept_by_who_sends(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs), trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, LARGE)
            await trio.testing.wait_all_tasks_blocked()
            await theirs.send_all(b"stop")
            assert await ours.receive_some() == b"stop"
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize("says_so", [True, False])
def test_the_end_is_the_end_said_or_not(server, says_so):
    async def main() -> None:
        async with connected(server) as (ours, theirs):
            ours.send_now(b"hello")
            assert await theirs.receive_some() == b"hello"
            await theirs.send_all(b"bye")
            await (theirs if says_so else theirs.transport_stream).aclose()
            assert await ours.receive_some() == b"bye"
            assert await ours.receive_some() == b""
            assert await ours.receive_some() == b""

    trio.run(main)


def test_its_end_is_said_and_not_taken_for_a_cut(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs):
            await ours.aclose()
            assert await theirs.receive_some() == b""

    trio.run(main)


def test_what_is_no_tls_is_refused_with_an_alert(server):
    async def main() -> None:
        one, other = trio.socket.socketpair()
        async with TLSStream(trio.SocketStream(one), server) as ours, trio.SocketStream(other) as theirs:
            await theirs.send_all(b"\x16\x03\x01\x00\x05hello")
            with pytest.raises(trio.BrokenResourceError):
                await ours.do_handshake()
            await ours.aclose()
            alert = await theirs.receive_some()
            assert alert[:1] == b"\x15"

    trio.run(main)


def test_who_goes_during_the_handshake_is_gone(server):
    async def main() -> None:
        one, other = trio.socket.socketpair()
        async with TLSStream(trio.SocketStream(one), server) as ours:
            other.close()
            with pytest.raises(trio.BrokenResourceError):
                await ours.do_handshake()

    trio.run(main)


def test_bytes_that_were_changed_on_the_way_break_the_connection(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs):
            await theirs.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            with pytest.raises(trio.BrokenResourceError):
                await ours.receive_some()

    trio.run(main)


def test_to_who_has_gone_nothing_is_sent(server):
    async def main() -> None:
        async with connected(server) as (ours, theirs):
            await theirs.transport_stream.aclose()
            assert ours.send_now(b"x") in (None, False)
            with pytest.raises(trio.BrokenResourceError):
                await ours.send_all(b"x")

    trio.run(main)
