"""`watchcache serve`: what it accepts, what it says, what it leaves behind, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import stat
from random import Random

import pytest
import trio

from cacher import _cli
from cacher._clock import Clock
from cacher.server import issue_client, make_authority
from tests.clients.api import api_of
from tests.clients.served import ServeFailed, open_served
from tests.etcd_binaries import CURE, etcd_binaries
from tests.etcd_server import open_etcd_server


def refused(capsys, *arguments: str) -> str:
    """What is said of flags that cannot be; nothing is on standard output."""
    try:
        code = _cli.main(["serve", *arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    captured = capsys.readouterr()
    assert (code, captured.out) == (64, "")
    return str(captured.err)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--listen", "nowhere"], "is not HOST:PORT"),
        (["--listen", ":6443"], "is not HOST:PORT"),
        (["--listen", "::1:6443"], "is not HOST:PORT"),
        (["--listen", "[127.0.0.1]:6443"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:65536"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:-1"], "is not HOST:PORT"),
        (["--http", "--listen", "0.0.0.0:0"], "loopback alone: --listen 127.0.0.1:0"),
        (["--http", "--listen", "example.com:80"], "loopback alone"),
        (["--http", "--token-file", "x"], "leave --token-file out, or --http"),
        (["--http", "--client-ca", "x"], "leave --client-ca out, or --http"),
        (["--tls-cert", "x"], "give both or neither"),
        (["--tls-key", "x"], "give both or neither"),
        (["--shutdown-grace", "-1"], "is no number of seconds"),
        (["--shutdown-grace", "soon"], "is no number of seconds"),
        (["--etcd", "http://127.0.0.1:1", "--data-dir", "x"], "exclude each other"),
        (["--nothing"], "unrecognized arguments"),
    ],
)
def test_flags_that_cannot_be_are_told_with_what_to_change(capsys, monkeypatch, flags, why):
    monkeypatch.setattr("cacher._cli_serve.trio.run", lambda *_: pytest.fail("it was about to serve"))
    assert why in refused(capsys, *flags)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), ("", "nobody could come in"), ("a,b\n", "line 1 is not"), ("\0", "--token-file")],
)
def test_a_token_file_that_cannot_be_read_is_told(capsys, tmp_path, content, why):
    path = tmp_path / "tokens.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    err = refused(capsys, "--listen", "127.0.0.1:0", "--kubeconfig", str(tmp_path / "k"), "--token-file", str(path))
    assert why in err
    assert not (tmp_path / "k").exists()


def test_files_of_tls_that_are_none_are_told(capsys, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing", encoding="utf-8")
    where = ("--listen", "127.0.0.1:0", "--kubeconfig", str(tmp_path / "k"))
    assert "no certificate with its key" in refused(capsys, *where, "--tls-cert", str(bad), "--tls-key", str(bad))
    assert "no certificate of an authority" in refused(capsys, *where, "--client-ca", str(bad))


def test_a_kubeconfig_of_somebody_else_is_not_replaced(capsys, tmp_path):
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n", encoding="utf-8")
    assert "was not written by this command" in refused(capsys, "--kubeconfig", str(path))
    assert path.read_text(encoding="utf-8") == "apiVersion: v1\n"


def test_an_address_that_is_taken_is_told(capsys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        err = refused(capsys, "--listen", f"127.0.0.1:{port}", "--kubeconfig", str(tmp_path / "k"))
    assert "in use" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_in_one_line_where_it_is_and_ends_well_when_told_to(tmp_path, number):
    with open_served(tmp_path, "--shutdown-grace", "2") as served:
        assert served.url.startswith("https://127.0.0.1:")
        assert served.kubeconfig == tmp_path / "watchcache.kubeconfig"
        assert stat.S_IMODE(served.kubeconfig.stat().st_mode) == 0o600
        api = api_of(served.kubeconfig)
        names = [one["metadata"]["name"] for one in api("GET", "/api/v1/namespaces").json["items"]]
        assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
        assert served.stop(number) == 0
        assert served.process.stdout is not None
        assert served.process.stdout.read() == ""
    assert "Traceback" not in served.log.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once_though_a_request_is_still_under_way(tmp_path, second):
    with open_served(tmp_path, "--http", "--shutdown-grace", "600") as served:
        url = api_of(served.kubeconfig).url
        where = (url.hostname or "", url.port or 0)
        with socket.create_connection(where) as caller:
            caller.sendall(b"POST /api/v1/namespaces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n")
            caller.sendall(b"Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
            assert caller.recv(12) == b"HTTP/1.1 100", "it is being read"
            served.process.send_signal(signal.SIGTERM)
            while _listens(where):
                pass
            assert served.process.poll() is None, "it waits for the rest"
            served.process.send_signal(second)
            assert served.process.wait(20) == -second
    assert "Traceback" not in served.log.read_text(encoding="utf-8")


def _listens(where: tuple[str, int]) -> bool:
    try:
        socket.create_connection(where).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_watches_end_with_a_bookmark_when_it_is_told_to_stop(tmp_path):
    with open_served(tmp_path, "--http") as served:
        api = api_of(served.kubeconfig)
        seen: list[str] = []

        def note(kind: str, obj: object) -> bool:
            seen.append(kind)
            if len(seen) == 4:  # all four namespaces have come
                served.process.send_signal(signal.SIGTERM)
            return kind == "BOOKMARK"

        last = api.wait("/api/v1/namespaces", note, allowWatchBookmarks="true")
        assert seen == ["ADDED"] * 4 + ["BOOKMARK"]
        assert int(last["metadata"]["resourceVersion"]) > 0
        assert served.process.wait(20) == 0


@pytest.mark.slow
def test_plain_http_says_so_and_answers_this_machine_alone(tmp_path):
    with open_served(tmp_path, "--http") as served:
        assert "without TLS or users" in served.ready
        api = api_of(served.kubeconfig)
        assert api("GET", "/api/v1/pods").code == 200
        assert api("GET", "/api/v1/pods", Host="evil.example").code == 403
        assert api("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}, Origin="http://evil.example").code == 403
        assert api("GET", "/api/v1/namespaces/x").code == 404


@pytest.mark.slow
def test_a_data_directory_keeps_objects_the_authority_and_the_token(tmp_path):
    data = tmp_path / "data"
    with open_served(tmp_path, "--data-dir", str(data)) as first:
        api = api_of(first.kubeconfig)
        made = api("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}, "data": {"k": "v"}})
        assert made.code == 201
        assert first.kubeconfig == data / "watchcache.kubeconfig"
        before = first.kubeconfig.read_text(encoding="utf-8")
        assert first.stop() == 0
    port = api.url.port
    with open_served(tmp_path, "--data-dir", str(data), "--listen", f"127.0.0.1:{port}") as again:
        assert again.kubeconfig.read_text(encoding="utf-8") == before
        assert api("GET", "/api/v1/namespaces/default/configmaps/a").json == made.json
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (data / "server").iterdir()}
    assert modes == {"ca.crt": 0o600, "ca.key": 0o600, "token": 0o600}


@pytest.mark.slow
def test_an_acknowledged_write_outlives_a_kill(tmp_path):
    data = tmp_path / "data"
    with open_served(tmp_path, "--data-dir", str(data)) as first:
        api = api_of(first.kubeconfig)
        maps = "/api/v1/namespaces/default/configmaps"
        for number in range(20):
            assert api("POST", maps, {"metadata": {"name": f"a{number}"}}).code == 201
        first.process.kill()
        first.process.wait()
    with open_served(tmp_path, "--data-dir", str(data)) as again:
        assert len(api_of(again.kubeconfig)("GET", maps).json["items"]) == 20


@pytest.mark.slow
def test_a_token_nobody_was_given_is_in_no_line_and_no_process_list(tmp_path):
    with open_served(tmp_path) as served:
        token = served.token
        api = api_of(served.kubeconfig)
        assert api("POST", "/api/v1/namespaces", {"metadata": {"name": "x"}}).code == 201
        assert token not in served.ready
        log = ""
        for _ in range(1000):
            if "verb" in (log := served.log.read_text(encoding="utf-8")):
                break
        assert token not in log
        assert log.startswith("the page for people")
        assert json.loads(log.splitlines()[1])["verb"] == "create"


@pytest.mark.slow
def test_it_does_not_start_where_it_is_told_what_cannot_be(tmp_path):
    with pytest.raises(ServeFailed, match="give both or neither"):
        with open_served(tmp_path, "--tls-cert", "x"):
            pass


@pytest.mark.slow
def test_clients_come_in_by_certificates_of_the_authority_that_was_named(tmp_path):
    async def unix() -> float:
        return Clock.of_machine().unix()

    now_s = trio.run(unix)
    authority = make_authority(now_s=now_s)
    (tmp_path / "ca.crt").write_text(authority.certificate, encoding="ascii")
    with open_served(tmp_path, "--client-ca", str(tmp_path / "ca.crt")) as served:
        codes = {}
        for user, group in (("alice", "system:masters"), ("eve", "watchcache:readers"), ("bob", "dev")):
            api = api_of(served.kubeconfig)
            api.token = ""
            own = issue_client(authority, user, [group], now_s=now_s)
            (tmp_path / user).write_text(own.certificate + own.key, encoding="ascii")
            assert api.context is not None
            api.context.load_cert_chain(tmp_path / user)
            made = api("POST", "/api/v1/namespaces", {"metadata": {"name": user}})
            codes[user] = (made.code, api("GET", "/api/v1/namespaces").code, api("GET", "/version").code)
        assert codes == {"alice": (201, 200, 200), "eve": (403, 200, 200), "bob": (403, 403, 200)}
        assert api_of(served.kubeconfig)("GET", "/api/v1/namespaces/alice").code == 200  # the token is good as well


@pytest.mark.slow
@pytest.mark.parametrize(
    "binary", etcd_binaries() or [pytest.param(None, marks=pytest.mark.skip(reason=CURE))], ids=str
)
def test_it_serves_a_real_etcd_which_several_servers_may_share(tmp_path, binary):
    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(7)) as etcd:
            await trio.to_thread.run_sync(share, etcd.endpoint)

    def share(endpoint: str) -> None:
        maps = "/api/v1/namespaces/default/configmaps"
        with (
            open_served(tmp_path / "one", "--http", "--etcd", endpoint) as one,
            open_served(tmp_path / "two", "--http", "--etcd", endpoint) as two,
        ):
            made = api_of(one.kubeconfig)("POST", maps, {"metadata": {"name": "a"}, "data": {"k": "v"}})
            assert made.code == 201
            assert api_of(two.kubeconfig)("GET", f"{maps}/a").json == made.json
            assert api_of(two.kubeconfig)("DELETE", f"{maps}/a").code == 200
            gone = api_of(one.kubeconfig)("GET", maps)
            assert (gone.code, gone.json["items"]) == (200, [])

    trio.run(main)
