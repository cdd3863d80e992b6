"""Requests: as whom, for how long, how often; connections used again; what a lost one means."""

from __future__ import annotations

from functools import partial
from random import Random

import pytest
import trio
import trio.testing

from reflector.http import _pool, connect
from tests.reflector.http.scripted_server import answer, hang, hang_up, open_client, open_server, pod, raw, refuse
from watch import APIError, NotFound, PlainServerError, ServiceUnavailable, Timeout, TooManyRequests, Unauthorized

OK = answer(200, pod("a", 3))


def play(run_trio, script, use, **options):
    """Runs `use(client, server)` against a server with this script."""

    async def main():
        async with open_server(*script) as server, open_client(server, **options) as client:
            return await use(client, server)

    return run_trio(main)


def get(client):
    return client.resource("v1", "pods").get("a", "ns")


def create(client):
    return client.resource("v1", "pods").create(pod("a", 0), "ns")


def test_a_request_says_who_asks_and_what_is_understood(run_trio):
    async def use(client, server):
        await create(client)
        return server.exchanges[0]

    asked = play(run_trio, [answer(201, pod("a", 3))], use, user_agent="mine/1", field_manager="me")
    assert asked.headers["host"] == "server"
    assert asked.headers["user-agent"] == "mine/1"
    assert asked.headers["accept"] == "application/json"
    assert asked.headers["content-type"] == "application/json"
    assert asked.query == {"fieldManager": "me"}
    assert "authorization" not in asked.headers


def test_a_connection_is_used_again(run_trio):
    async def use(client, server):
        await get(client)
        await create(client)
        await get(client)
        return len(server.dials)

    assert play(run_trio, [OK, OK, OK], use) == 1


def test_a_connection_that_was_closed_while_it_was_idle_is_not_used_for_a_write():
    """On a real socket, where the end can be seen before anything is sent: a write that went there would be lost."""
    requests = []

    async def serve(stream):
        requests.append(await stream.receive_some(65536))
        body = b'{"kind":"Pod","metadata":{"name":"a"}}'
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await stream.aclose()  # without having said so

    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            async with connect(f"http://127.0.0.1:{port}", random=Random(7)) as client:
                for _ in range(3):
                    await create(client)
                    await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert [request.split(b" ")[0] for request in requests] == [b"POST"] * 3


def test_calls_at_the_same_time_have_connections_of_their_own_up_to_a_limit(run_trio):
    async def slow(exchange):
        await trio.sleep(1)
        await exchange.answer(200, pod("a", 3))

    async def use(client, server):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(get, client)
        return len(server.dials), trio.current_time()

    assert play(run_trio, [slow] * 6, use, connections_max=3) == (3, 2.0)


def test_an_idle_connection_is_closed_before_the_server_would(run_trio):
    async def use(client, server):
        await get(client)
        await trio.sleep(_pool.IDLE_S + 1)
        await get(client)
        return len(server.dials)

    assert play(run_trio, [OK, OK], use) == 2


def test_a_connection_whose_server_closes_it_is_not_used_again(run_trio):
    closing = answer(200, pod("a", 3), [("Connection", "close")])

    async def use(client, server):
        await get(client)
        await get(client)
        return len(server.dials)

    assert play(run_trio, [closing, OK], use) == 2


def test_a_read_on_an_idle_connection_that_is_lost_is_asked_again_on_a_new_one_and_only_once(run_trio):
    async def use(client, server):
        await get(client)
        await get(client)  # lost, asked again
        server.answers += [hang_up, hang_up]
        with pytest.raises(ServiceUnavailable):
            await get(client)
        return len(server.exchanges), len(server.dials)

    assert play(run_trio, [OK, hang_up, OK], use) == (5, 3)


def test_a_write_that_is_lost_is_not_sent_again_and_says_that_its_fate_is_not_known(run_trio):
    async def use(client, server):
        await get(client)
        with pytest.raises(Timeout, match="whether the POST was carried out is not known") as caught:
            await create(client)
        return caught.value.code, len(server.exchanges)

    assert play(run_trio, [OK, hang_up], use) == (504, 2)


def test_a_server_that_is_not_there_is_a_service_that_is_unavailable(run_trio):
    async def use(client, server):
        server.is_refusing = True
        with pytest.raises(ServiceUnavailable, match="server cannot be reached: ConnectionRefusedError") as caught:
            await create(client)
        return caught.value.code

    assert play(run_trio, [], use) == 503


def test_a_server_that_does_not_take_connections_is_given_up_after_10_seconds(run_trio):
    async def dial(host, port):
        await trio.sleep_forever()

    async def main():
        async with open_server() as server:
            server.dial = dial  # type: ignore[method-assign]
            async with open_client(server) as client:
                with pytest.raises(ServiceUnavailable, match="did not answer within 10 s"):
                    await get(client)
        return trio.current_time()

    assert run_trio(main) == 10


@pytest.mark.parametrize(("use", "told"), [(get, "within 65 s$"), (create, "whether it was carried out is not known")])
def test_a_call_that_is_not_answered_ends_at_its_deadline(run_trio, use, told):
    async def failing(client, server):
        with pytest.raises(Timeout, match=told):
            await use(client)
        return trio.current_time()

    assert play(run_trio, [hang], failing) == 65


def test_a_deadline_of_ones_own(run_trio):
    async def use(client, server):
        with pytest.raises(Timeout):
            await get(client)
        return trio.current_time()

    assert play(run_trio, [hang], use, timeout_s=3) == 3


# --- patience --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "use", "times"),
    [
        (refuse(429, "TooManyRequests", "later", 1), get, 11),
        (refuse(429, "TooManyRequests", "later", 1), create, 11),
        (refuse(503, "ServiceUnavailable", "later", 1), create, 11),
        (refuse(500, "ServerTimeout", "later", 2), get, 11),
        (refuse(500, "ServerTimeout", "later", 2), create, 1),  # it may have been carried out
        (refuse(504, "Timeout", "later", 2), get, 1),
        (refuse(429, "TooManyRequests", "later"), get, 1),  # no time is named
        (answer(429, b"Too many requests, please try again later.", [("Retry-After", "1")]), get, 11),
        (answer(429, b"", [("Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT")]), get, 1),
        (answer(429, b"", [("Retry-After", "999999999999")]), get, 1),
        (refuse(409, "AlreadyExists", "later", 1), create, 1),
    ],
)
def test_only_what_was_not_carried_out_is_sent_again_and_not_for_ever(run_trio, reply, use, times):
    async def failing(client, server):
        server.always = reply
        with pytest.raises(APIError):
            await use(client)
        return len(server.exchanges)

    assert play(run_trio, [], failing) == times


def test_a_wait_that_would_outlast_the_call_is_not_begun(run_trio):
    async def use(client, server):
        with pytest.raises(TooManyRequests) as caught:
            await get(client)
        return caught.value.retry_after_s, trio.current_time()

    assert play(run_trio, [refuse(429, "TooManyRequests", "later", 90)], use) == (90, 0)


def test_waits_that_all_clients_were_told_are_spread(run_trio):
    async def use(client, server):
        await get(client)
        return server.exchanges[1].at_s

    waits = {play(run_trio, [refuse(429, "TooManyRequests", "later", 10), OK], use, random=Random(n)) for n in range(5)}
    assert len(waits) == 5
    assert all(10 < wait < 15 for wait in sorted(waits))


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (refuse(404, "NotFound", 'pods "a" not found'), NotFound, 'pods "a" not found'),
        (answer(404, b"404 page not found\n", content_type="text/plain"), NotFound, "404 page not found"),
        (answer(503, b"<html>no backend</html>"), ServiceUnavailable, "no backend"),
        (answer(418, b""), APIError, "the server answered 418 and nothing else"),
        (answer(404, {"kind": "Status", "details": "no", "message": 7}), NotFound, "NotFound"),
        (answer(200, b"{"), PlainServerError, "cannot be read"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), ServiceUnavailable, "in the midst of the answer"),
        (raw(b"SSH-2.0-OpenSSH\r\n"), ServiceUnavailable, "cannot be read"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000), ServiceUnavailable, "cannot be read"),
        (answer(307, b"", [("Location", "http://elsewhere/")]), APIError, "307"),
    ],
)
def test_whatever_a_server_answers_is_an_api_error(run_trio, reply, error, told):
    async def use(client, server):
        with pytest.raises(error, match=told) as caught:
            await get(client)
        return caught.value.code

    play(run_trio, [reply], use)


def test_an_answer_that_is_too_long_is_cut_off(run_trio, monkeypatch):
    monkeypatch.setattr("reflector.http._transport.BODY_MAX", 1_000_000)

    async def endless(exchange):
        await exchange.start()
        for _ in range(100):
            await exchange.chunk(b" " * 65536)
        await exchange.end()

    async def use(client, server):
        with pytest.raises(PlainServerError, match="longer than 1000000 bytes"):
            await get(client)

    play(run_trio, [endless], use)


def test_warnings_are_handed_on(run_trio):
    told: list[str] = []
    warned = answer(
        200,
        pod("a", 3),
        [("Warning", '299 - "unknown field \\"spec.x\\""'), ("Warning", "nonsense"), ("Warning", '299 - "old"')],
    )

    async def use(client, server):
        await get(client)

    play(run_trio, [warned], use, on_warning=told.append)
    assert told == ['unknown field "spec.x"', "old"]


def test_without_credentials_a_refusal_is_final(run_trio):
    async def use(client, server):
        with pytest.raises(Unauthorized):
            await get(client)
        return len(server.exchanges)

    assert play(run_trio, [refuse(401, "Unauthorized")], use) == 1


def test_cancellation_in_a_call_leaves_nothing_behind(run_trio):
    async def use(client, server):
        with trio.move_on_after(1):
            await get(client)
        await trio.testing.wait_all_tasks_blocked()
        await get(client)
        return len(server.dials)

    assert play(run_trio, [hang, OK], use) == 2
