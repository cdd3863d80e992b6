"""HTTP as clients of every kind speak it, and what a client can make the server wait for."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cacher.server import Limits, ServerOptions
from tests.cacher.server.serving import CONFIGS, Connection, config, serving

SMALL = ServerOptions(limits=Limits(head_bytes=2000, body_bytes=1000))


async def all_of(stream: trio.abc.ReceiveStream) -> bytes:
    said = b""
    while data := await stream.receive_some():
        said += data
    return said


def test_a_connection_serves_one_request_after_another(run_trio):
    async def main() -> None:
        async with serving() as served:
            connection = served.connect()
            for name in ("a", "b"):
                await connection.send("POST", CONFIGS, body=config(name))
                assert (await connection.answer()).status == 201
                connection.next()
            await connection.send("GET", f"{CONFIGS}/b")
            assert (await connection.answer()).json()["metadata"]["name"] == "b"
            assert served.server.connections == 1

    run_trio(main)


def test_requests_may_be_sent_before_the_answers_came(run_trio):
    async def main() -> bytes:
        async with serving() as served:
            stream = served.connect().stream
            one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await stream.send_all(one * 2 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return await all_of(stream)

    assert run_trio(main).count(b"HTTP/1.1 200") == 3


def test_an_old_client_gets_an_answer_that_ends_with_the_connection(run_trio):
    async def main() -> tuple[bytes, bytes]:
        async with serving() as served:
            await served.made(CONFIGS, config("a"))
            plain, watch = served.connect().stream, served.connect().stream
            await plain.send_all(f"GET {CONFIGS} HTTP/1.0\r\n\r\n".encode())
            await watch.send_all(f"GET {CONFIGS}?watch=1&timeoutSeconds=5 HTTP/1.0\r\n\r\n".encode())
            return await all_of(plain), await all_of(watch)

    plain, watch = run_trio(main)
    assert plain.startswith(b"HTTP/1.1 200")
    assert b"chunked" not in watch
    assert watch.endswith(b"}\n")
    assert b'\r\n\r\n{"type":"ADDED"' in watch


def test_a_client_that_waits_for_a_word_before_its_body_is_told_to_go_on(run_trio):
    async def main() -> bytes:
        async with serving() as served:
            stream = served.connect().stream
            body = b'{"metadata":{"name":"a"}}'
            await stream.send_all(
                f"POST {CONFIGS} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
            )
            said = await stream.receive_some()
            assert said.startswith(b"HTTP/1.1 100")
            await stream.send_all(body)
            return await all_of(stream)

    assert b"HTTP/1.1 201" in run_trio(main)


def test_a_head_asks_for_the_headers_alone(run_trio):
    async def main() -> None:
        async with serving() as served:
            answer = await served.ask("HEAD", "/version")
            assert (answer.status, answer.body) == (200, b"")
            assert int(answer.header("content-length")) > 10

    run_trio(main)


# ---- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1000, 431),
        (b"what?\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"HEAD /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ],
)
def test_what_is_no_request_is_answered_once_and_the_connection_ends(run_trio, request_, status):
    async def main() -> bytes:
        async with serving(SMALL) as served:
            stream = served.connect().stream
            await stream.send_all(request_)
            return await all_of(stream)

    said = run_trio(main)
    assert said.startswith(f"HTTP/1.1 {status}".encode())
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_413_and_the_connection_ends(run_trio, declared):
    async def main() -> bytes:
        async with serving(SMALL) as served:
            stream = served.connect().stream
            size = b"Content-Length: 2000" if declared else b"Transfer-Encoding: chunked"
            await stream.send_all(b"POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n" % (CONFIGS.encode(), size))
            await stream.send_all((b"x" if declared else b"1\r\nx\r\n") * 2000)
            return await all_of(stream)

    said = run_trio(main)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"Request entity too large: limit is 1000" in said


def test_a_client_that_never_asks_or_asks_slowly_is_hung_up_on(run_trio):
    async def main() -> None:
        async with serving() as served:
            limits = served.server.options.limits
            silent, slow = served.connect().stream, served.connect().stream
            started = trio.current_time()
            await slow.send_all(b"GET / HT")
            assert (await all_of(slow)).startswith(b"HTTP/1.1 408")
            assert await all_of(silent) == b""
            assert trio.current_time() - started == pytest.approx(limits.head_s, abs=2)

    run_trio(main)


def test_an_idle_connection_is_closed_and_one_whose_next_head_drips_too(run_trio):
    async def main() -> None:
        async with serving() as served:
            limits = served.server.options.limits
            idle, dripping = served.connect(), served.connect()
            for connection in (idle, dripping):
                await connection.send("GET", "/healthz")
                await connection.answer()
            started = trio.current_time()
            await trio.sleep(10)
            await dripping.stream.send_all(b"GET ")
            await all_of(dripping.stream)
            assert trio.current_time() - started == pytest.approx(10 + limits.head_s, abs=2)
            await all_of(idle.stream)
            assert trio.current_time() - started == pytest.approx(limits.idle_s, abs=2)

    run_trio(main)


def test_a_body_that_stops_coming_ends_the_connection(run_trio):
    async def main() -> None:
        async with serving() as served:
            stream = served.connect().stream
            await stream.send_all(b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
            started = trio.current_time()
            assert await all_of(stream) == b""
            assert trio.current_time() - started == pytest.approx(served.server.options.limits.body_s, abs=1)
            await trio.testing.wait_all_tasks_blocked()
            assert served.server.connections == 0

    run_trio(main)


def test_line_ends_in_what_is_answered_make_no_headers(run_trio):
    async def main() -> Connection:
        async with serving() as served:
            connection = served.connect()
            await connection.send("GET", "/healthz", headers={"Audit-Id": "x"})
            answer = await connection.answer()
            assert answer.header("audit-id") == "x"
            return connection

    run_trio(main)
