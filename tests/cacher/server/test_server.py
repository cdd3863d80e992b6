"""A server as a whole: who is answered and who is not, what takes too long, and how it ends."""

from __future__ import annotations

import gzip
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import trio.testing

from cacher import open_cluster
from cacher.server import ServerOptions, open_server
from cacher.server._tls import TLSStream
from tests.cacher.server.serving import CONFIGS, EPOCH_S, config, serving


def test_more_connections_than_there_may_be_are_closed_as_they_come(run_trio):
    async def main() -> None:
        async with serving(ServerOptions(connections_max=2)) as served:
            await trio.testing.wait_all_tasks_blocked()
            first, second = served.connect(), served.connect()
            for connection in (first, second):
                await connection.send("GET", "/healthz")
                assert (await connection.answer()).status == 200
            third = served.connect()
            assert await third.stream.receive_some() == b""
            await first.stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert (await served.get("/healthz")).status == 200

    run_trio(main)


def test_more_watches_than_there_may_be_are_asked_to_come_again(run_trio):
    async def main() -> None:
        async with serving(ServerOptions(watches_max=1)) as served:
            async with served.watch(CONFIGS):
                answer = await served.get(CONFIGS, query={"watch": "1"})
                assert (answer.status, answer.json()["reason"]) == (429, "TooManyRequests")
                assert answer.header("retry-after") == "1"
            await trio.testing.wait_all_tasks_blocked()
            async with served.watch(CONFIGS):
                pass

    run_trio(main)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1:8001"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "localhost"}, 200),
        ({"Host": "evil.example.com"}, 403),
        ({"Host": "127.0.0.1.example.com"}, 403),
        ({"Host": "localhost:8001", "Origin": "http://localhost:8001"}, 200),
        ({"Host": "localhost:8001", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:8001", "Origin": "http://["}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_pages_from_elsewhere_cannot_use_a_browser_here(run_trio, headers, status):
    async def main() -> None:
        async with serving(ServerOptions(loopback_only=True)) as served:
            assert (await served.get("/healthz", headers=headers)).status == status

    run_trio(main)


class Stuck(Exception):
    pass


def test_a_read_that_takes_a_minute_is_504_and_timeout_makes_it_less(run_trio, monkeypatch):
    async def main() -> None:
        async with serving() as served:
            door = served.cluster.registry.resource("v1", "configmaps")

            async def never(*_: object, **__: object) -> None:
                await trio.sleep_forever()

            monkeypatch.setattr(door, "list", never)
            for query, seconds in (({}, 60), ({"timeout": "5s"}, 5)):
                started = trio.current_time()
                answer = await served.get(CONFIGS, query=query)
                assert (answer.status, answer.json()["reason"]) == (504, "Timeout")
                assert trio.current_time() - started == pytest.approx(seconds, abs=1)

    run_trio(main)


def test_a_write_that_takes_34_seconds_is_504(run_trio, monkeypatch):
    async def main() -> None:
        async with serving() as served:

            async def never(*_: object, **__: object) -> None:
                await trio.sleep_forever()

            monkeypatch.setattr(served.cluster.registry.resource("v1", "configmaps"), "create", never)
            started = trio.current_time()
            answer = await served.ask("POST", CONFIGS, body=config("a"))
            assert answer.status == 504
            assert "context deadline exceeded" in answer.json()["message"]
            assert trio.current_time() - started == pytest.approx(34, abs=1)

    run_trio(main)


def test_a_fault_of_ours_is_a_500_with_a_traceback_in_the_log_and_nothing_else(run_trio, monkeypatch, caplog):
    async def main() -> None:
        async with serving() as served:

            async def fail(*_: object, **__: object) -> None:
                raise Stuck("inside")

            monkeypatch.setattr(served.cluster.registry.resource("v1", "configmaps"), "list", fail)
            answer = await served.get(CONFIGS)
            assert (answer.status, answer.json()["reason"]) == (500, "InternalError")
            assert b"inside" not in answer.body
            assert (await served.get("/healthz")).status == 200

    with caplog.at_level(logging.ERROR):
        run_trio(main)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [Stuck]


def test_large_answers_are_compressed_for_who_takes_that(run_trio):
    async def main() -> None:
        async with serving() as served:
            for number in range(300):
                await served.made(CONFIGS, config(f"c{number:03}", k="v" * 1000))
            plain = await served.get(CONFIGS)
            packed = await served.get(CONFIGS, headers={"Accept-Encoding": "br, gzip;q=0.5"})
            small = await served.get(f"{CONFIGS}/c001", headers={"Accept-Encoding": "gzip"})
            assert (plain.header("content-encoding"), small.header("content-encoding")) == ("", "")
            assert (packed.header("content-encoding"), packed.header("vary")) == ("gzip", "Accept-Encoding")
            assert gzip.decompress(packed.body) == plain.body
            assert len(packed.body) < len(plain.body) / 5
            assert [item["metadata"]["name"] for item in plain.json()["items"]] == [f"c{n:03}" for n in range(300)]

    run_trio(main)


# ---- health, metrics, version ----------------------------------------------------------------------------------------


def test_health_is_told_whole_and_by_check(run_trio):
    async def main() -> None:
        async with serving() as served:
            assert (await served.get("/healthz")).body == b"ok"
            verbose = (await served.get("/readyz", query={"verbose": ""})).body.decode()
            assert verbose == "[+]ping ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n"
            without = (await served.get("/livez", query={"verbose": "1", "exclude": "etcd"})).body.decode()
            assert without.splitlines()[1] == "[+]etcd excluded: ok"
            assert (await served.get("/livez/ping")).body == b"ok"
            assert (await served.get("/livez/none")).status == 404
            assert (await served.ask("POST", "/healthz", body={})).status == 405

    run_trio(main)


def test_a_store_that_does_not_answer_is_told(run_trio, monkeypatch):
    async def main() -> None:
        async with serving() as served:

            async def never(*_: object, **__: object) -> None:
                await trio.sleep_forever()

            monkeypatch.setattr(served.cluster.registry.resource("v1", "namespaces"), "list", never)
            answer = await served.get("/healthz")
            assert answer.status == 500
            assert answer.body.decode() == "[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed\n"
            assert (await served.get("/healthz/etcd")).status == 500

    run_trio(main)


def test_metrics_are_told_as_prometheus_reads_them(run_trio):
    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a"))
            answer = await served.get("/metrics")
            assert answer.header("content-type").startswith("text/plain; version=0.0.4")
            lines = answer.body.decode().splitlines()
            assert 'etcd_requests_total{group="",operation="create",resource="configmaps"} 1' in lines
            assert "# TYPE etcd_request_duration_seconds histogram" in lines
            assert len([line for line in lines if line.startswith("# TYPE etcd_requests_total ")]) == 1

    run_trio(main)


# ---- the end ---------------------------------------------------------------------------------------------------------


def test_at_the_end_watches_get_what_is_there_and_a_bookmark_and_end_cleanly(run_trio):
    async def main() -> None:
        async with serving() as served:
            made = await served.made(CONFIGS, config("a"))
            query = {"allowWatchBookmarks": "true", "resourceVersion": made["metadata"]["resourceVersion"]}
            async with served.watch(CONFIGS, query=query) as told, served.watch(CONFIGS, query={}) as plain:
                await plain.next()
                last = await served.made(CONFIGS, config("b"))
                started = trio.current_time()
                served.nursery.start_soon(served.server.close)
                events = []
                with pytest.raises(trio.EndOfChannel):
                    while True:
                        events.append(await told.next())
                assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
                assert events[1]["object"]["metadata"] == {"resourceVersion": last["metadata"]["resourceVersion"]}
                assert (await plain.next())["type"] == "ADDED"
                with pytest.raises(trio.EndOfChannel):
                    await plain.next()
                assert trio.current_time() - started < 1

    run_trio(main)


def test_at_the_end_a_write_under_way_is_answered_and_idle_connections_close(run_trio, monkeypatch):
    async def main() -> None:
        async with serving() as served:
            door = served.cluster.registry.resource("v1", "configmaps")
            create = door.create

            async def slowly(*arguments: object, **options: object) -> object:
                await trio.sleep(5)
                return await create(*arguments, **options)  # type: ignore[arg-type]

            monkeypatch.setattr(door, "create", slowly)
            idle, writing = served.connect(), served.connect()
            await idle.send("GET", "/healthz")
            await idle.answer()
            await writing.send("POST", CONFIGS, body=config("a"))
            await trio.sleep(1)
            started = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(served.server.close)
                assert await idle.stream.receive_some() == b""
                assert trio.current_time() == started
                answer = await writing.answer()
            assert answer.status == 201
            assert (await door.get("a", "team"))["metadata"]["name"] == "a"
            assert served.server.connections == 0

    run_trio(main)


def test_at_the_end_nobody_waits_for_a_handshake_or_for_a_watch_that_has_not_begun(run_trio, monkeypatch):
    """A client that has connected and says nothing, and one whose watch waits for a revision to come."""

    async def main() -> None:
        async with serving(ServerOptions(shutdown_grace_s=1000)) as served:
            began = trio.Event()

            @asynccontextmanager
            async def never(*_: object, **__: object) -> AsyncIterator[None]:
                began.set()
                await trio.sleep_forever()
                yield

            monkeypatch.setattr(served.cluster.registry.resource("v1", "configmaps"), "watch", never)
            one, other = trio.socket.socketpair()
            ours, context = trio.SocketStream(one), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            served.nursery.start_soon(served.server.serve, TLSStream(trio.SocketStream(other), context))
            opening = served.connect()
            await opening.send("GET", CONFIGS, query={"watch": "1"})
            await began.wait()
            await trio.testing.wait_all_tasks_blocked()
            started = trio.current_time()
            await served.server.close()
            assert trio.current_time() == started
            assert await ours.receive_some() == b""
            await ours.aclose()
            answer = await opening.answer()
            assert (answer.status, answer.header("retry-after")) == (429, "1")

    run_trio(main)


def test_at_the_end_nobody_is_waited_for_longer_than_the_grace(run_trio, monkeypatch):
    async def main() -> float:
        async with serving(ServerOptions(shutdown_grace_s=3)) as served:

            async def never(*_: object, **__: object) -> None:
                await trio.sleep_forever()

            monkeypatch.setattr(served.cluster.registry.resource("v1", "configmaps"), "list", never)
            stuck = served.connect()
            await stuck.send("GET", CONFIGS)
            await trio.testing.wait_all_tasks_blocked()
            started = trio.current_time()
        return trio.current_time() - started

    assert run_trio(main) == pytest.approx(3, abs=0.5)


def test_a_server_listens_where_it_says_and_is_gone_afterwards():
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            async with open_server(cluster, random=Random(2), unix=lambda: EPOCH_S) as server:
                host, port = server.addresses[0]
                assert server.url == f"http://127.0.0.1:{port}"
                stream = await trio.open_tcp_stream(host, port)
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert b"HTTP/1.1 200" in await stream.receive_some()
                await stream.aclose()
            with pytest.raises(OSError):
                await trio.open_tcp_stream(host, port)

    trio.run(main)


def test_what_is_raised_while_a_server_runs_is_raised_as_it_is():
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            async with open_server(cluster, random=Random(2), unix=lambda: EPOCH_S):
                raise Stuck("outside")

    with pytest.raises(Stuck, match="outside"):
        trio.run(main)


def test_an_address_that_is_taken_is_told():
    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            async with open_server(cluster, random=Random(2), unix=lambda: EPOCH_S) as server:
                port = server.addresses[0][1]
                async with open_server(cluster, random=Random(2), unix=lambda: EPOCH_S, port=port):
                    pass

    with pytest.raises(OSError):
        trio.run(main)


def test_jobs_are_selected_by_what_succeeded_and_events_by_who_says_so(run_trio):
    async def main() -> None:
        async with serving() as served:
            template = {"spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}
            jobs = "/apis/batch/v1/namespaces/team/jobs"
            for name in "ab":
                await served.made(jobs, {"metadata": {"name": name}, "spec": {"template": template}})
            patched = await served.ask(
                "PATCH",
                f"{jobs}/b/status",
                body={"status": {"succeeded": 2, "startTime": "2026-01-01T00:00:00Z"}},
                headers={"Content-Type": "application/merge-patch+json"},
            )
            assert patched.status == 200, patched.body
            for value, wanted in (("0", ["a"]), ("2", ["b"]), ("1", [])):
                page = (await served.get(jobs, query={"fieldSelector": f"status.successful={value}"})).json()
                assert [item["metadata"]["name"] for item in page["items"]] == wanted
            events = "/api/v1/namespaces/team/events"
            about = {"involvedObject": {"namespace": "team"}}
            await served.made(events, {**about, "metadata": {"name": "old"}, "source": {"component": "kubelet"}})
            new = {"reportingComponent": "sched", "reportingInstance": "s", "eventTime": "2026-01-01T00:00:00.000000Z"}
            more = {"action": "Bind", "reason": "x", "type": "Normal"}
            await served.made(events, {**about, "metadata": {"name": "new"}, **new, **more})
            for value, wanted in (("kubelet", ["old"]), ("sched", ["new"])):
                page = (await served.get(events, query={"fieldSelector": f"source={value}"})).json()
                assert [item["metadata"]["name"] for item in page["items"]] == wanted

    run_trio(main)
