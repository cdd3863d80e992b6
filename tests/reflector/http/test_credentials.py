"""Credentials: tokens from files that change, what plugins print and how long it holds, and a second try after a 401."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import trio

from reflector.http import ExecPlugin, Login, ServerIdentity
from reflector.http._credentials import Credentials
from tests.reflector.http.scripted_server import answer, open_server, pod, refuse
from watch import Unauthorized

V1 = "client.authentication.k8s.io/v1"
HERE = ("https://h", ServerIdentity(authority=b"CA", server_name="n"))


def credentials(login, *, unix=lambda: 0.0):
    return Credentials(login, unix=unix, server=HERE)


def authorization(caller):
    return dict(caller.headers).get("Authorization")


def test_nobody_sends_nothing(run_trio):
    assert run_trio(credentials(Login()).current).headers == ()


def test_a_token_and_a_password_are_headers(run_trio):
    assert authorization(run_trio(credentials(Login(token="t")).current)) == "Bearer t"
    assert authorization(run_trio(credentials(Login(username="me", password="p")).current)) == "Basic bWU6cA=="


def test_a_token_that_cannot_stand_in_a_header_is_refused_and_not_shown(run_trio):
    with pytest.raises(Unauthorized, match="holds characters") as caught:
        run_trio(credentials(Login(token="hush\r\nX: y")).current)
    assert "hush" not in str(caught.value)


# --- token files -----------------------------------------------------------------------------------------------------


def test_a_token_file_is_read_again_every_minute(run_trio, tmp_path):
    file = tmp_path / "token"
    file.write_text("one\n")

    async def main():
        kept = credentials(Login(token_file=file))
        seen = [authorization(await kept.current())]
        file.write_text("two\n")
        seen.append(authorization(await kept.current()))
        await trio.sleep(61)
        seen.append(authorization(await kept.current()))
        return seen

    assert run_trio(main) == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_refused_token_is_read_again_at_once_and_the_same_one_is_not_tried_twice(run_trio, tmp_path):
    file = tmp_path / "token"
    file.write_text("one")

    async def main():
        kept = credentials(Login(token_file=file))
        first = await kept.current()
        same = await kept.renewed(first)
        file.write_text("two")
        second = await kept.renewed(first)
        late = await kept.renewed(first)  # another task's refusal, which came later
        return same, authorization(second), authorization(late)

    assert run_trio(main) == (None, "Bearer two", "Bearer two")


def test_a_token_file_that_is_being_replaced_costs_nothing_and_one_that_is_missing_is_told(run_trio, tmp_path):
    file = tmp_path / "token"
    file.write_text("one")

    async def main():
        kept = credentials(Login(token_file=file))
        await kept.current()
        file.unlink()
        await trio.sleep(61)
        held = authorization(await kept.current())
        file.write_text("")
        await trio.sleep(61)
        return held, authorization(await kept.current())

    assert run_trio(main) == ("Bearer one", "Bearer one")
    file.unlink()
    with pytest.raises(Unauthorized, match="cannot be read"):
        run_trio(credentials(Login(token_file=file)).current)
    file.write_text(" \n")
    with pytest.raises(Unauthorized, match="is empty"):
        run_trio(credentials(Login(token_file=file)).current)


# --- plugins: real processes, on the real clock ----------------------------------------------------------------------


def plugin(tmp_path, code, *, env=(), **options):
    """A plugin that runs this Python, with `count` of its runs so far, and `say(status)`."""
    script = tmp_path / "plugin.py"
    script.write_text(f"""
import json, os, pathlib, sys
runs = pathlib.Path({str(tmp_path / "runs")!r})
count = len(runs.read_text()) if runs.exists() else 0
runs.write_text("x" * (count + 1))
def say(status, kind="ExecCredential", version={V1!r}):
    print(json.dumps({{"apiVersion": version, "kind": kind, "status": status}}))
{code}
""")
    return Login(plugin=ExecPlugin(sys.executable, V1, (str(script),), tuple(env), **options))


def runs(tmp_path):
    return len((tmp_path / "runs").read_text())


def test_a_plugin_prints_a_token_which_holds_until_it_expires(tmp_path):
    now = [0.0]
    login = plugin(tmp_path, 'say({"token": f"t{count}", "expirationTimestamp": "1970-01-01T00:01:40Z"})')

    async def main():
        kept = credentials(login, unix=lambda: now[0])
        seen = []
        for now[0] in (0.0, 89.0, 91.0):
            seen.append(authorization(await kept.current()))
        return seen

    assert trio.run(main) == ["Bearer t0", "Bearer t0", "Bearer t1"]


def test_a_plugin_runs_once_for_all_who_wait_and_again_after_a_refusal(tmp_path):
    login = plugin(tmp_path, 'say({"token": f"t{count}"})')

    async def main():
        kept = credentials(login)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(kept.current)
        once = runs(tmp_path)
        refused = await kept.current()
        callers = []

        async def renew():
            callers.append(authorization(await kept.renewed(refused)))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(renew)
        return once, callers, runs(tmp_path)

    assert trio.run(main) == (1, ["Bearer t1"] * 5, 2)


def test_a_plugin_is_told_what_it_is_for(tmp_path):
    code = 'say({"token": json.dumps([os.environ["KUBERNETES_EXEC_INFO"], os.environ["A"]]).encode().hex()})'
    login = plugin(tmp_path, code, env=[("A", "b")], tells_cluster=True)
    told = authorization(trio.run(credentials(login).current)).removeprefix("Bearer ")
    info, variable = json.loads(bytes.fromhex(told))
    assert variable == "b"
    assert json.loads(info) == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": "https://h", "certificate-authority-data": "Q0E=", "tls-server-name": "n"},
        },
    }


def test_a_plugin_may_print_a_certificate(tmp_path):
    login = plugin(tmp_path, 'say({"clientCertificateData": "C", "clientKeyData": "K"})')
    caller = trio.run(credentials(login).current)
    assert (caller.headers, caller.certificate.certificate, caller.certificate.key) == ((), b"C", b"K")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ('print("hush", file=sys.stderr); sys.exit(3)', "failed with exit code 3: hush"),
        ('print("{")', "printed no ExecCredential"),
        ('say({"token": "t"}, kind="Secret")', "printed a Secret of"),
        ('say({"token": "t"}, version="client.authentication.k8s.io/v1beta1")', "v1beta1, and no ExecCredential of"),
        ("say({})", "neither a token nor a certificate"),
        ("say(None)", "neither a token nor a certificate"),
        ('say({"clientCertificateData": "C"})', "a certificate or a key, and not the other"),
    ],
)
def test_a_plugin_that_does_not_do_it_is_told_in_words(tmp_path, code, told):
    with pytest.raises(Unauthorized, match=told):
        trio.run(credentials(plugin(tmp_path, code)).current)


def test_a_plugin_that_is_not_there_is_told_with_how_to_get_it():
    login = Login(plugin=ExecPlugin("/nowhere/login", V1, install_hint="buy it"))
    with pytest.raises(Unauthorized, match=r"cannot be run: .*buy it"):
        trio.run(credentials(login).current)


def test_a_plugin_that_hangs_is_given_up_and_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("reflector.http._credentials.PLUGIN_TIMEOUT_S", 0.5)
    login = plugin(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(Unauthorized, match=r"printed nothing within 0\.5 s"):
        trio.run(credentials(login).current)


# --- on the way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_watch", [False, True])
def test_a_request_that_is_refused_for_an_old_token_is_sent_again_with_the_new_one(run_trio, tmp_path, tls, is_watch):
    file = tmp_path / "token"
    file.write_text("old")

    async def refuse_and_replace(exchange):
        file.write_text("new")
        await refuse(401, "Unauthorized")(exchange)

    async def main():
        async with (
            open_server(refuse_and_replace, answer(200, pod("a", 3)), tls=tls.server()) as server,
            tls.client(server, token_file=file) as client,
        ):
            pods = client.resource("v1", "pods")
            if is_watch:
                async with pods.lister_watcher().watch(5):
                    pass
            else:
                await pods.create(pod("a", 0), "ns")
            return [exchange.headers["authorization"] for exchange in server.exchanges]

    assert run_trio(main) == ["Bearer old", "Bearer new"]


def test_a_token_that_stays_refused_is_refused(run_trio, tmp_path, tls):
    file = tmp_path / "token"
    file.write_text("old")

    async def main():
        async with (
            open_server(*[refuse(401, "Unauthorized")] * 9, tls=tls.server()) as server,
            tls.client(server, token_file=file) as client,
        ):
            with pytest.raises(Unauthorized):
                await client.resource("v1", "pods").get("a", "ns")
            return len(server.exchanges)

    assert run_trio(main) == 1


def test_credentials_that_cannot_be_had_are_an_api_error_to_those_who_call(run_trio, tls):
    async def main():
        async with open_server(tls=tls.server()) as server, tls.client(server, token_file=Path("/nowhere")) as client:
            with pytest.raises(Unauthorized, match="cannot be read"):
                await client.resource("v1", "pods").get("a", "ns")

    run_trio(main)
