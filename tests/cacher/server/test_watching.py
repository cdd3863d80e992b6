"""Watches as answers: what a stream is sent, how it ends, and what it costs when nobody reads it."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from cacher import Cluster, open_cluster
from cacher.server import (
    Limits,
    Server,
    ServerOptions,
    _verbs,
    issue_server,
    make_authority,
    open_server,
    server_context,
)
from cacher.server._frames import MEMO_BATCHES, MEMO_PARTED, PARTED_MAX, Frames
from cacher.server._negotiation import Accepted
from cacher.server._shapes import SLICE, Shape
from cacher.server._watching import WatchStream
from tests.cacher.server.serving import CONFIGS, Connection, Lines, config, serving
from watch import Event, EventType, Object, Watch, bookmark

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}


def names(events: list[Any]) -> list[str]:
    return [f"{event['type'][0]} {event['object']['metadata'].get('name', '')}".strip() for event in events]


# ---- what is sent ----------------------------------------------------------------------------------------------------


def test_a_stream_begins_with_the_state_and_goes_on_with_what_happens(run_trio):
    async def main() -> None:
        async with serving() as served:
            for name in "ba":
                await served.made(CONFIGS, config(name))
            async with served.watch(CONFIGS, query={"allowWatchBookmarks": "true"}) as lines:
                assert names(await lines.take(3)) == ["A a", "A b", "B"]
                await served.ask("DELETE", f"{CONFIGS}/a")
                await served.made(CONFIGS, config("c"))
                assert names(await lines.take(2)) == ["D a", "A c"]

    run_trio(main)


def test_a_large_state_is_sent_whole_and_in_order(run_trio):
    async def main() -> None:
        async with serving() as served:
            wanted = [f"c{number:04}" for number in range(2 * SLICE + 7)]
            for name in wanted:
                await served.made(CONFIGS, config(name))
            async with served.watch(CONFIGS, query={"allowWatchBookmarks": "true"}) as lines:
                events = await lines.take(len(wanted) + 1)
            assert [event["object"]["metadata"].get("name") for event in events] == [*wanted, None]

    run_trio(main)


def test_columns_stand_in_the_first_event_of_each_stream_alone(run_trio):
    async def main() -> None:
        async with serving() as served:
            async with served.watch(CONFIGS, headers=TABLE) as first, served.watch(CONFIGS, headers=TABLE) as second:
                await trio.testing.wait_all_tasks_blocked()
                for name in "ab":
                    await served.made(CONFIGS, config(name))
                for lines in (first, second):
                    one, other = await lines.take(2)
                    assert len(one["object"]["columnDefinitions"]) == 3
                    assert other["object"]["columnDefinitions"] is None

    run_trio(main)


def test_a_watch_ends_in_its_time_and_the_connection_serves_on(run_trio):
    async def main() -> None:
        async with serving() as served:
            connection = served.connect()
            started = trio.current_time()
            await connection.send("GET", CONFIGS, query={"watch": "1", "timeoutSeconds": "7"})
            assert (await connection.answer()).status == 200
            assert trio.current_time() - started == pytest.approx(7, abs=0.5)
            connection.next()
            await connection.send("GET", "/healthz")
            assert (await connection.answer()).body == b"ok"

    run_trio(main)


def test_a_watch_that_does_not_say_lasts_half_an_hour_to_an_hour(run_trio, monkeypatch):
    assert _verbs.WATCH_S == 1800
    monkeypatch.setattr(_verbs, "WATCH_S", 18.0)

    async def main() -> None:
        async with serving() as served:
            async with served.watch(CONFIGS) as lines:
                started = trio.current_time()
                with pytest.raises(trio.EndOfChannel):
                    await lines.next()
                assert 18 <= trio.current_time() - started <= 36.5

    run_trio(main)


def test_history_that_is_gone_is_an_error_event_and_the_end(run_trio):
    async def main() -> None:
        async with serving() as served:
            async with served.watch(CONFIGS, query={"resourceVersion": "1", "sendInitialEvents": "false",
                                                    "resourceVersionMatch": "NotOlderThan"}) as lines:  # fmt: skip
                pass
            async with served.watch("/api/v1/pods", query={"resourceVersion": "999999", "sendInitialEvents": "true",
                                                          "resourceVersionMatch": "NotOlderThan"}) as lines:  # fmt: skip
                error = await lines.next()
                assert (error["type"], error["object"]["code"]) == ("ERROR", 504)
                with pytest.raises(trio.EndOfChannel):
                    await lines.next()

    run_trio(main)


def test_who_hangs_up_is_forgotten_at_once(run_trio):
    async def main() -> None:
        async with serving() as served:
            async with served.watch(CONFIGS):
                assert served.server.watches == 1
            await trio.testing.wait_all_tasks_blocked()
            assert (served.server.watches, served.server.connections) == (0, 0)

    run_trio(main)


def test_the_next_request_may_be_sent_while_a_watch_is_open_but_not_endless_bytes(run_trio):
    async def main() -> None:
        async with serving() as served:
            connection = served.connect()
            await connection.send("GET", CONFIGS, query={"watch": "1", "timeoutSeconds": "3"})
            await connection.stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await connection.answer()
            connection.next()
            async with served.watch(CONFIGS) as lines:
                with pytest.raises(trio.BrokenResourceError):
                    for _ in range(100):
                        await lines.connection.stream.send_all(b"x" * 10_000)
                        await trio.testing.wait_all_tasks_blocked()
            assert served.server.watches == 0

    run_trio(main)


# ---- readers that do not read ----------------------------------------------------------------------------------------


def test_a_stream_that_takes_no_byte_is_cut_after_half_a_minute_and_others_go_on(run_trio):
    async def main() -> None:
        async with serving() as served:
            ours, theirs = trio.testing.lockstep_stream_pair()
            served.nursery.start_soon(served.server.serve, theirs)
            stalled = Connection(ours)
            await stalled.send("GET", CONFIGS, query={"watch": "1"})
            await stalled.head()
            async with served.watch(CONFIGS) as reading:
                started = trio.current_time()
                await served.made(CONFIGS, config("a"))
                await reading.next()
                while served.server.watches == 2:
                    await trio.sleep(0.5)
                assert trio.current_time() - started == pytest.approx(30, abs=1)
                await served.made(CONFIGS, config("b"))
                assert (await reading.next())["object"]["metadata"]["name"] == "b"

    run_trio(main)


def test_a_reader_that_lags_behind_the_ring_is_ended_without_an_event(run_trio, monkeypatch):
    """As one that Kubernetes evicts: it watches again, and is told 410 then."""
    streams: list[WatchStream] = []

    class Known(WatchStream):
        async def run(self) -> None:
            streams.append(self)
            await super().run()

    monkeypatch.setattr("cacher.server._verbs.WatchStream", Known)

    async def main() -> None:
        async with serving() as served:
            ours, theirs = trio.testing.lockstep_stream_pair()
            served.nursery.start_soon(served.server.serve, theirs)
            lagging = Connection(ours)
            await lagging.send("GET", CONFIGS, query={"watch": "1"})
            await lagging.head()
            for name in "abc":
                await served.made(CONFIGS, config(name))
            await trio.testing.wait_all_tasks_blocked()
            watch = streams[0]._stream
            assert isinstance(watch, Watch)
            watch.expire()  # as the ring does, while the first event is still being sent
            lines = Lines(lagging)
            assert (await lines.next())["type"] == "ADDED"
            with pytest.raises(trio.EndOfChannel):
                await lines.next()

    run_trio(main)


# ---- over sockets ----------------------------------------------------------------------------------------------------


NOW_S = 1_790_000_000.0
"""When the certificate is made: nobody here looks at its dates."""

TLS = pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])


@asynccontextmanager
async def listening(*, tls: bool = False, **limits: float) -> AsyncIterator[tuple[Cluster, Server]]:
    async with open_cluster(random=Random(1)) as cluster:
        options = ServerOptions(limits=Limits(**limits))  # type: ignore[arg-type]
        await cluster.resource("v1", "namespaces").create({"metadata": {"name": "team"}})
        context = server_context(issue_server(make_authority(now_s=NOW_S), ["localhost"], now_s=NOW_S)) if tls else None
        unix = cluster.clock.unix
        async with open_server(cluster, random=Random(2), unix=unix, options=options, tls=context) as server:
            yield cluster, server


async def opened(server: Server, *, buffer_bytes: int = 0) -> Lines:
    """A watch over a socket; `buffer_bytes`: how little its kernel keeps for it."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    await sock.connect(server.addresses[0])
    stream: trio.abc.Stream = trio.SocketStream(sock)
    if server.is_tls:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        stream = trio.SSLStream(stream, trusting, https_compatible=True)
    connection = Connection(stream)
    await connection.send("GET", CONFIGS, query={"watch": "1", "allowWatchBookmarks": "true"})
    assert (await connection.head()).status == 200
    return Lines(connection)


@pytest.mark.slow
@TLS
def test_over_a_socket_a_slow_reader_gets_all_in_order_and_a_fast_one_does_not_wait_for_it(tls):
    count, data = 400, "x" * 20_000

    async def main() -> None:
        async with listening(tls=tls) as (cluster, server):
            configs = cluster.resource("v1", "configmaps")
            slow, fast = await opened(server, buffer_bytes=4096), await opened(server)
            fast_got: list[Any] = []
            first: list[Any] = []

            async def read_fast() -> None:
                fast_got.extend(await fast.take(count + 1))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_fast)
                for number in range(count):
                    await configs.create(config(f"c{number:03}", k=data), "team")
                    if number == count // 2:
                        first = await slow.take(count // 4)
            rest = await slow.take(count + 1 - len(first))
            wanted = ["B", *(f"A c{number:03}" for number in range(count))]
            assert names(fast_got) == wanted
            assert names([*first, *rest]) == wanted
            for lines in (slow, fast):
                await lines.connection.stream.aclose()

    trio.run(main)


@TLS
def test_over_a_socket_events_are_sent_by_the_publisher_and_wake_no_task(monkeypatch, tls):
    async def main() -> None:
        async with listening(tls=tls) as (cluster, server):
            watches = [await opened(server) for _ in range(5)]
            for lines in watches:
                await lines.next()
            await trio.sleep(0.05)
            frames = []
            make = Frames.lines

            def counted(self: Frames, batch: Any, **options: Any) -> bytes:
                frames.append(batch)
                return make(self, batch, **options)

            async def woken(*_: object) -> None:
                raise AssertionError("a task sent what the publisher could have sent")

            monkeypatch.setattr(Frames, "lines", counted)
            monkeypatch.setattr("cacher.server._watching.WatchStream._send", woken)
            for name in "ab":
                await cluster.resource("v1", "configmaps").create(config(name), "team")
            for lines in watches:
                assert names(await lines.take(2)) == ["A a", "A b"]
            assert len(frames) == 2, "made once for all streams"
            for lines in watches:
                await lines.connection.stream.aclose()

    trio.run(main)


@pytest.mark.slow
@TLS
def test_over_a_socket_a_stream_that_takes_no_byte_is_cut(tls):
    async def main() -> None:
        async with listening(tls=tls, stall_s=0.3) as (cluster, server):
            stuck = await opened(server, buffer_bytes=4096)
            for number in range(400):
                await cluster.resource("v1", "configmaps").create(config(f"c{number}", k="x" * 20_000), "team")
            with trio.fail_after(20):
                while server.watches:
                    await trio.sleep(0.01)
            await stuck.connection.stream.aclose()

    trio.run(main)


# ---- frames ----------------------------------------------------------------------------------------------------------


def frames() -> Frames:
    async def main() -> Frames:
        async with open_cluster(random=Random(1)) as cluster:
            return Frames(Shape(cluster.registry.resource("v1", "configmaps"), Accepted()))

    return trio.run(main)


def event(number: int) -> Event:
    raw = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a%d"}}' % number
    return Event(EventType.ADDED, Object(f"/k/{number}", number, raw), number)


def test_a_batch_is_framed_once_and_old_ones_are_forgotten():
    made = frames()
    batches = [(event(number),) for number in range(MEMO_BATCHES + 10)]
    first = made.chunk(batches[0])
    assert made.chunk(batches[0]) is first
    for batch in batches[1:]:
        made.chunk(batch)
    again = made.chunk(batches[0])
    assert again == first
    assert again is not first


def test_a_line_is_an_event_and_a_bookmark_says_what_it_is_of():
    lines = frames().lines((event(7), bookmark(8, initial_events_end=True))).splitlines()
    added, marked = map(json.loads, lines)
    assert added == {
        "type": "ADDED",
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a7", "resourceVersion": "7"}},
    }
    assert marked["object"]["kind"] == "ConfigMap"
    assert marked["object"]["metadata"]["resourceVersion"] == "8"


def test_a_large_batch_is_cut_and_a_small_one_stays_what_it_is():
    small = tuple(event(number) for number in range(SLICE))
    assert frames().parts(small)[0] is small
    large = tuple(event(number) for number in range(2 * SLICE + 1))
    parts = frames().parts(large)
    assert [len(part) for part in parts] == [SLICE, SLICE, 1]
    assert sum(parts, ()) == large


def test_all_who_are_shown_a_large_batch_share_its_chunks_and_a_state_is_not_kept():
    made = frames()
    large, state = (tuple(event(number) for number in range(count)) for count in (SLICE + 1, PARTED_MAX + 1))
    first, again = ([made.chunk(part) for part in made.parts(large)] for _ in range(2))
    assert all(one is other for one, other in zip(first, again, strict=True))
    kept = made.parts(large)
    assert made.parts(large) is kept
    assert made.parts(state) is not made.parts(state)
    for number in range(MEMO_PARTED):
        made.parts(tuple(event(number) for _ in range(SLICE + 1)))
    assert made.parts(large) is not kept
