"""Several processes as one server: what each shares with the others, and what is left when one dies. On a real etcd."""

from __future__ import annotations

import http.client
import json
import os
import pickle
import re
import signal
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio
import trio.lowlevel

from cacher import _cli, _workers
from cacher._credentials import Credentials
from cacher._serve_options import ServeError, ServeOptions
from cacher._stores import StoreOptions
from cacher._worker_link import Ask, Failed, Giver, Link, Ready, Stop, Taker
from reflector import BackoffPolicy
from tests.clients.api import Api, api_of
from tests.clients.served import Served, ServeFailed, open_served
from tests.etcd_binaries import CURE, etcd_binaries
from tests.etcd_server import open_etcd_server

MAPS = "/api/v1/namespaces/default/configmaps"
REMOTE = ServeOptions(store=StoreOptions(endpoints=("http://127.0.0.1:1",)), port=0, is_plain=True, workers=2)
WAIT_S = 40.0

with_etcd = pytest.mark.parametrize(
    "binary", etcd_binaries()[:1] or [pytest.param(None, marks=pytest.mark.skip(reason=CURE))], ids=str
)


def on_etcd(binary, directory: Path, play: Callable[[str], None]) -> None:
    """Play it in a thread, with the endpoint of an etcd that runs meanwhile."""

    directory.mkdir()

    async def main() -> None:
        async with open_etcd_server(binary, directory, random=Random(7)) as etcd:
            await trio.to_thread.run_sync(play, etcd.endpoint)

    trio.run(main)


def processes(served: Served) -> list[int]:
    """The workers of a server, oldest first."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if (
                int(entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
                == served.process.pid
            ):
                found.append(int(entry.parent.name))
    return sorted(found)


OPENED: list[Kept] = []


@pytest.fixture(autouse=True)
def _all_closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


class Kept:
    """A connection that is kept, and so stays with one worker."""

    def __init__(self, api: Api) -> None:
        assert api.url.hostname is not None
        self.token = api.token
        host, port = api.url.hostname, api.url.port
        self.connection = (
            http.client.HTTPSConnection(host, port, timeout=WAIT_S, context=api.context)
            if api.context is not None
            else http.client.HTTPConnection(host, port, timeout=WAIT_S)
        )
        self.answer: http.client.HTTPResponse | None = None
        OPENED.append(self)
        self.connection.connect()

    def close(self) -> None:
        if self.answer is not None:
            self.answer.close()
        self.connection.close()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def is_alive(self) -> bool:
        try:
            return self.ask("GET", "/version")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


class Watching(Kept):
    """A watch that is open."""

    def __init__(self, api: Api) -> None:
        super().__init__(api)
        self.connection.request("GET", f"{MAPS}?watch=1&resourceVersion=0")
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200

    def next(self) -> tuple[str, str]:
        """The type and the name of the next event; "" twice where it has ended."""
        assert self.answer is not None
        try:
            line = self.answer.readline()
        except (OSError, http.client.HTTPException):
            line = b""
        if not line:
            return "", ""
        event = json.loads(line)
        return event["type"], event["object"]["metadata"].get("name", "")


def metric(text: str, name: str, *labels: str) -> float:
    """The sum of the samples of a name that carry these labels."""
    found = [line for line in text.splitlines() if re.match(rf"{name}[ {{]", line)]
    return sum(float(line.rpartition(" ")[2]) for line in found if all(label in line for label in labels))


# ---- the whole -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@with_etcd
def test_two_workers_are_one_server_also_when_one_of_them_is_killed(binary, tmp_path):
    def play(endpoint: str) -> None:
        flags = ("--http", "--etcd", endpoint, "--workers", "2", "--shutdown-grace", "5")
        with open_served(tmp_path / "served", *flags) as served:
            api = api_of(served.kubeconfig)
            one, other = Kept(api), Kept(api)
            check_reads_through_the_other_are_fresh(one, other)
            check_metrics_are_of_both(one, other)
            watches = [Watching(api) for _ in range(8)]
            for watch in watches:
                assert {watch.next()[1] for _ in range(20)} == {f"a{number}" for number in range(20)}
            check_one_is_killed(served, api, one, other, watches)
            last = processes(served)
            assert served.stop() == 0
            assert not any(Path(f"/proc/{worker}").exists() for worker in last)
        log = served.log.read_text(encoding="utf-8")
        assert "died (by SIGKILL), and is started again" in log
        assert "Traceback" not in log

    on_etcd(binary, tmp_path / "etcd", play)


def check_reads_through_the_other_are_fresh(one: Kept, other: Kept) -> None:
    """Whoever reads after a write was answered, sees it: also through the worker that did not write it."""
    for number in range(20):
        writer, reader = (one, other) if number % 2 else (other, one)
        assert writer.ask("POST", MAPS, {"metadata": {"name": f"a{number}"}})[0] == 201
        code, body = reader.ask("GET", MAPS)
        assert (code, len(json.loads(body)["items"])) == (200, number + 1)
        assert reader.ask("GET", f"{MAPS}/a{number}")[0] == 200


def check_metrics_are_of_both(one: Kept, other: Kept) -> None:
    """Each half of the writes was counted by another process; whoever is asked tells of all."""
    for asked in (one, other):
        text = asked.ask("GET", "/metrics")[1].decode()
        assert metric(text, "etcd_requests_total", 'operation="create"', 'resource="configmaps"') == 20
        assert metric(text, "watchcache_workers") == 2
        assert metric(text, "apiserver_resource_objects", 'resource="configmaps"') in (0, 20)  # and not 40


def check_one_is_killed(served: Served, api: Api, one: Kept, other: Kept, watches: list[Watching]) -> None:
    first, second = processes(served)
    os.kill(first, signal.SIGKILL)
    kept = [connection for connection in (one, other) if connection.is_alive()]
    assert len(kept) == 1, "the two connections were with two workers"
    assert kept[0].ask("POST", MAPS, {"metadata": {"name": "late"}})[0] == 201
    seen = [watch.next() for watch in watches]
    assert sorted(seen) == [("", "")] * 4 + [("ADDED", "late")] * 4, "half of the watches were with each"
    before = metric(
        kept[0].ask("GET", "/metrics")[1].decode(), "etcd_requests_total", 'operation="create"', "configmaps"
    )
    assert before == 21, "what the dead one had told stays in the sum"
    while metric(api("GET", "/metrics").body.decode(), "watchcache_workers") < 2:
        pass
    alive = processes(served)
    assert second in alive
    assert first not in alive
    assert len(alive) == 2
    again = [Kept(api) for _ in range(4)]  # the new one has the fewest
    assert all(json.loads(each.ask("GET", MAPS)[1])["items"][-1]["metadata"]["name"] == "late" for each in again)
    text = api("GET", "/metrics").body.decode()
    assert metric(text, "watchcache_worker_restarts_total") == 1
    assert metric(text, "etcd_requests_total", 'operation="create"', 'resource="configmaps"') == 21


@pytest.mark.slow
@with_etcd
def test_all_workers_show_one_certificate_believe_one_token_and_end_with_their_parent(binary, tmp_path):
    def play(endpoint: str) -> None:
        with open_served(tmp_path / "served", "--etcd", endpoint, "--workers", "2") as served:
            api = api_of(served.kubeconfig)
            kept = [Kept(api), Kept(api)]
            shown = set()
            for each in kept:
                assert each.ask("GET", MAPS)[0] == 200
                assert isinstance(each.connection.sock, ssl.SSLSocket)
                shown.add(each.connection.sock.getpeercert(binary_form=True))
            assert len(shown) == 1
            workers = processes(served)
            assert len(workers) == 2
            served.process.kill()
            served.process.wait()
            while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
                pass  # the limit is the test's

    on_etcd(binary, tmp_path / "etcd", play)


@pytest.mark.slow
@with_etcd
def test_servers_on_one_etcd_have_one_set_of_controllers_and_another_leads_when_one_ends(binary, tmp_path):
    def play(endpoint: str) -> None:
        flags = ("--http", "--etcd", endpoint, "--controllers", "--shutdown-grace", "1")
        with open_served(tmp_path / "one", *flags) as one, open_served(tmp_path / "two", *flags) as two:
            apis = [api_of(one.kubeconfig), api_of(two.kubeconfig)]
            holders = {holder(api) for api in apis}
            assert len(holders) == 1
            assert "" not in holders
            check_a_deployment_runs(apis[1], "first")
            assert one.stop() == 0  # it came first, and leads
            apis[1].wait(LEASES, lambda _, lease: lease["spec"].get("holderIdentity", "") not in (*holders, ""))
            check_a_deployment_runs(apis[1], "second")
            assert two.stop() == 0

    on_etcd(binary, tmp_path / "etcd", play)


LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def holder(api: Api) -> str:
    lease = api.wait(LEASES, lambda _, lease: bool(lease["spec"].get("holderIdentity")))
    assert lease["metadata"]["name"] == "watchcache-controllers"
    return str(lease["spec"]["holderIdentity"])


def check_a_deployment_runs(api: Api, name: str) -> None:
    labels = {"app": name}
    spec = {
        "replicas": 3,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    assert api("POST", deployments, {"metadata": {"name": name}, "spec": spec}).code == 201
    api.wait(
        deployments, lambda _, one: one["metadata"]["name"] == name and one["status"].get("availableReplicas") == 3
    )
    sets = api("GET", f"/apis/apps/v1/namespaces/default/replicasets?labelSelector=app%3D{name}").json["items"]
    pods = api("GET", f"/api/v1/namespaces/default/pods?labelSelector=app%3D{name}").json["items"]
    assert (len(sets), len(pods)) == (1, 3)


# ---- what cannot be ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--workers", "2"], "--workers needs --etcd"),
        (["--workers", "2", "--data-dir", "x"], "--workers needs --etcd"),
        (["--workers", "0"], "is no number of processes"),
        (["--workers", "two"], "is no number of processes"),
        (["--workers", "65", "--etcd", "http://127.0.0.1:1"], "choose 1 to 64"),
    ],
)
def test_workers_that_cannot_be_are_told_with_what_to_change(capsys, monkeypatch, flags, why):
    monkeypatch.setattr("cacher._cli_serve.trio.run", lambda *_: pytest.fail("it was about to serve"))
    try:
        code = _cli.main(["serve", *flags])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    captured = capsys.readouterr()
    assert (code, captured.out) == (64, "")
    assert why in captured.err


@pytest.mark.slow
def test_what_a_worker_cannot_begin_with_is_told_as_by_one_process(tmp_path):
    with pytest.raises(ServeFailed, match=r"watchcache: .*127\.0\.0\.1:1"):
        with open_served(tmp_path, "--http", "--workers", "2", "--etcd", "http://127.0.0.1:1"):
            pass


# ---- deaths, without an etcd -----------------------------------------------------------------------------------------------


def played_by(said: Ready | Failed, then: str) -> tuple[str, ...]:
    """A worker that says this and then does that, instead of serving."""
    data = pickle.dumps(said)
    script = (
        "import os, socket, sys, time\n"
        "link = socket.socket(fileno=int(sys.argv[1]))\n"
        f"link.sendall({struct.pack('!I', len(data)) + data!r})\n"
        f"{then}"
    )
    return (sys.executable, "-S", "-c", script)


@pytest.mark.slow
def test_a_worker_that_dies_again_and_again_ends_the_server_with_the_reason(monkeypatch):
    monkeypatch.setattr(_workers, "RESTART", BackoffPolicy(first_s=0.001, cap_s=0.001, reset_after_s=1))
    monkeypatch.setattr(_workers, "DEATHS_MAX", 2)
    notes: list[str] = []
    command = played_by(Ready(), "time.sleep(0.5); os._exit(3)")

    async def main() -> None:
        async with _workers.open_workers(REMOTE, Credentials(), identity="i", note=notes.append, command=command):
            await trio.sleep_forever()

    with pytest.raises(_workers.WorkersFailed, match=r"died 3 times within 300 s.*with exit code 3"):
        trio.run(main)
    assert len(notes) >= 2
    assert "died (with exit code 3), and is started again in 0.0 s" in notes[0]


@pytest.mark.slow
def test_a_worker_that_fails_before_all_were_ready_ends_the_start_in_its_own_words():
    command = played_by(Failed("no such etcd"), "os._exit(1)")

    async def main() -> None:
        async with _workers.open_workers(REMOTE, Credentials(), identity="i", note=pytest.fail, command=command):
            pytest.fail("it is not ready")

    with pytest.raises(ServeError, match="no such etcd"):
        trio.run(main)


@pytest.mark.slow
def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(_workers, "END_S", 0.1)
    options = ServeOptions(store=REMOTE.store, port=0, is_plain=True, workers=2, shutdown_grace_s=0)

    async def main() -> None:
        command = played_by(Ready(), "time.sleep(1000)")
        async with _workers.open_workers(options, Credentials(), identity="i", note=pytest.fail, command=command):
            pass

    trio.run(main)  # and returns


# ---- the links -----------------------------------------------------------------------------------------------------------


def test_messages_arrive_whole_and_in_order_and_the_end_is_told():
    async def main() -> None:
        ends = socket.socketpair()
        one, other = map(Link, ends)
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one.send, Ask(number))
            numbers = [message.number for _ in range(100) if isinstance(message := await other.receive(), Ask)]
        assert sorted(numbers) == list(range(100))
        await one.aclose()
        assert await other.receive() is None
        assert not await other.send(Stop())
        await other.aclose()

    trio.run(main)


def test_a_connection_is_handed_over_counted_and_told_when_it_ends():
    async def main() -> None:
        giving, taking = socket.socketpair()
        giver, taker = Giver(giving), Taker(taking)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(giver.count)
            client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
            accepted = await listener.accept()
            assert giver.give(accepted)
            await accepted.aclose()
            assert (giver.open, giver.given) == (1, 1)
            taken = await taker.accept()
            await client.send_all(b"hello")
            assert await taken.receive_some() == b"hello"
            await taken.aclose()
            taker.left()
            assert await client.receive_some() == b""
            while giver.open:
                await trio.lowlevel.checkpoint()
            await taker.aclose()
        assert not giver.give(client), "it has gone"
        giver.close()
        await listener.aclose()
        await client.aclose()

    trio.run(main)


def test_a_worker_whose_queue_is_full_is_given_no_more_and_nobody_waits():
    async def main() -> None:
        giving, taking = socket.socketpair()
        giver = Giver(giving)
        ours, theirs = socket.socketpair()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        while giver.give(stream):
            pass
        assert giver.open > 10
        for end in (taking, theirs):
            end.close()
        giver.close()
        await stream.aclose()

    trio.run(partial(main))
