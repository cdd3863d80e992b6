"""TLS: whom a client believes, what it shows, and that it says so where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from reflector.http import ServerIdentity, ServerSettings, TLSError, connect
from tests.reflector.http.conftest import NAME
from tests.reflector.http.scripted_server import answer, open_server, pod
from watch import ServiceUnavailable, Unauthorized


def get(run_trio, tls, *, asks_for_certificate=False, **options):
    async def main():
        context = tls.server(asks_for_certificate=asks_for_certificate)
        async with (
            open_server(answer(200, pod("a", 3)), tls=context) as server,
            tls.client(server, **options) as client,
        ):
            await client.resource("v1", "pods").get("a", "ns")
            return server.dials[0]

    return run_trio(main)


def test_a_server_is_believed_whose_certificate_the_authority_signed(run_trio, tls):
    assert get(run_trio, tls) == (NAME, 6443)


def test_files_do_as_well(run_trio, tls, tmp_path):
    (tmp_path / "ca.crt").write_bytes(tls.pem)
    (tmp_path / "me.pem").write_bytes(tls.certificate + tls.key)
    get(
        run_trio,
        tls,
        asks_for_certificate=True,
        certificate_authority=str(tmp_path / "ca.crt"),
        client_certificate=tmp_path / "me.pem",
    )


def test_nobody_else_is_believed(run_trio, tls):
    with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
        get(run_trio, tls, certificate_authority=trustme.CA().cert_pem.bytes())
    with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
        get(run_trio, tls, certificate_authority=None)


def test_a_name_that_is_not_in_the_certificate_is_not_believed_unless_it_is_told(run_trio, tls):
    def settings(**identity):
        return ServerSettings("https://10.0.0.1", ServerIdentity(authority=tls.pem, **identity))

    async def main(found):
        async with (
            open_server(answer(200, pod("a", 3)), tls=tls.server()) as server,
            connect(found, dial=server.dial) as client,
        ):
            await client.resource("v1", "pods").get("a", "ns")

    with pytest.raises(ServiceUnavailable, match="certificate verify failed"):
        run_trio(main, settings())
    run_trio(main, settings(server_name=NAME))


def test_anybody_is_believed_where_it_is_asked_for(run_trio, tls):
    get(run_trio, tls, certificate_authority=None, insecure=True)


def test_a_client_certificate_is_shown_to_a_server_that_asks(run_trio, tls):
    get(run_trio, tls, asks_for_certificate=True, client_certificate=tls.certificate, client_key=tls.key)


def test_a_server_that_gets_no_certificate_hangs_up(run_trio, tls):
    with pytest.raises(ServiceUnavailable):
        get(run_trio, tls, asks_for_certificate=True)


def test_what_is_no_certificate_is_told(run_trio, tls):
    with pytest.raises(TLSError, match="authority cannot be used"):
        get(run_trio, tls, certificate_authority=b"nonsense")
    with pytest.raises(TLSError, match="/nowhere cannot be read"):
        get(run_trio, tls, certificate_authority=Path("/nowhere"))
    with pytest.raises(Unauthorized, match="client certificate and its key cannot be used"):
        get(run_trio, tls, client_certificate=tls.certificate, client_key=trustme.CA().private_key_pem.bytes())
    with pytest.raises(Unauthorized, match="/nowhere cannot be read"):
        get(run_trio, tls, client_certificate="/nowhere")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"server": "https://h", "kubeconfig": "x"}, "choose one of"),
        ({"server": "https://h", "in_cluster": True}, "choose one of"),
        ({"server": "http://h", "token": "t"}, "would be sent over plain HTTP"),
        ({"server": "https://h", "client_key": b"k"}, "a client_key without a client_certificate"),
    ],
)
def test_what_contradicts_itself_is_refused_at_once(run_trio, options, told):
    async def main():
        async with connect(**options):
            raise AssertionError("it is connected")

    with pytest.raises(ValueError, match=told):
        run_trio(main)


def test_what_is_said_goes_before_what_the_kubeconfig_says(run_trio, tls, tmp_path):
    config = tmp_path / "config"
    config.write_text(
        f"""
current-context: c
clusters: [{{name: c, cluster: {{server: "https://{NAME}", certificate-authority: nowhere.crt}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
users: [{{name: u, user: {{token: theirs}}}}]
"""
    )

    async def main():
        async with (
            open_server(answer(200, pod("a", 3)), tls=tls.server()) as server,
            connect(kubeconfig=config, token="ours", certificate_authority=tls.pem, dial=server.dial) as client,
        ):
            await client.resource("v1", "pods").get("a", "ns")
            return client.name, server.exchanges[0].headers["authorization"]

    assert run_trio(main) == ("c", "Bearer ours")
