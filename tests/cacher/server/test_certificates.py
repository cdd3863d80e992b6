"""Certificates: real handshakes, in memory, by what is made here and by what is not."""

from __future__ import annotations

import ssl
import stat

import pytest
import trio

from cacher._clock import Clock
from cacher.server._auth import Authenticator, User
from cacher.server._certificates import (
    Authority,
    Certified,
    TLSFilesError,
    context_of_files,
    issue_client,
    issue_server,
    kept_authority,
    make_authority,
    server_context,
)

HOSTS = ("localhost", "127.0.0.1", "::1")


@pytest.fixture(scope="module")
def now_s():
    """The machine's time: OpenSSL goes by it, and what is made now has to hold now."""

    async def unix() -> float:
        return Clock.of_machine().unix()

    return trio.run(unix)


@pytest.fixture(scope="module")
def authority(now_s):
    return make_authority(now_s=now_s)


@pytest.fixture(scope="module")
def server(authority, now_s):
    return issue_server(authority, HOSTS, now_s=now_s)


def client_context(authority: Authority, own: Certified | None = None, directory=None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate)
    if own is not None:
        (directory / "c.crt").write_text(own.certificate)
        (directory / "c.key").write_text(own.key)
        context.load_cert_chain(directory / "c.crt", directory / "c.key")
    return context


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = "localhost") -> ssl.SSLObject:
    """Both sides of a connection, to the end of the handshake and one byte beyond; returns the server's."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=host)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [one.do_handshake, other.do_handshake]
    for _ in range(10):
        still = []
        for step in waiting:
            try:
                step()
            except ssl.SSLWantReadError:
                still.append(step)
        waiting = still
    assert not waiting, "the handshake does not end"
    other.write(b"x")
    assert one.read(1) == b"x"
    return other


@pytest.mark.parametrize("host", HOSTS)
def test_whoever_has_the_authority_knows_the_server_by_each_of_its_names(authority, server, host):
    done = handshake(client_context(authority), server_context(server), host)
    assert done.version() in ("TLSv1.2", "TLSv1.3")


def test_another_name_is_not_the_servers(authority, server):
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'example\\.com'"):
        handshake(client_context(authority), server_context(server), "example.com")


def test_another_authority_does_not_vouch_for_it(server, now_s):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(client_context(make_authority(now_s=now_s)), server_context(server))


def test_a_verified_client_is_named_by_its_certificate(authority, server, now_s, tmp_path):
    (tmp_path / "ca.crt").write_text(authority.certificate)
    context = server_context(server, client_ca=tmp_path / "ca.crt")
    own = issue_client(authority, "alice", ["system:masters", "dev"], now_s=now_s)
    done = handshake(client_context(authority, own, tmp_path), context)
    user = Authenticator({}).user("", done.getpeercert())
    assert user == User("alice", ("system:masters", "dev", "system:authenticated"))


def test_a_client_may_show_none_where_one_is_asked_for(authority, server, tmp_path):
    (tmp_path / "ca.crt").write_text(authority.certificate)
    done = handshake(client_context(authority), server_context(server, client_ca=tmp_path / "ca.crt"))
    assert not done.getpeercert()


@pytest.mark.parametrize("whose", ["of another authority", "of a server"])
def test_a_certificate_that_is_no_clients_is_refused(authority, server, now_s, tmp_path, whose):
    (tmp_path / "ca.crt").write_text(authority.certificate)
    other = issue_client(make_authority(now_s=now_s), "alice", [], now_s=now_s)
    own = other if whose == "of another authority" else server
    with pytest.raises(ssl.SSLError):
        handshake(client_context(authority, own, tmp_path), server_context(server, client_ca=tmp_path / "ca.crt"))


def test_old_versions_of_tls_are_refused(authority, server):
    old = client_context(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    context = server_context(server)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2  # whatever this OpenSSL would allow by itself
    with pytest.raises(ssl.SSLError):
        handshake(old, context)


def test_an_authority_is_kept_for_its_owner_alone_and_is_the_same_the_next_time(tmp_path, now_s):
    made = kept_authority(tmp_path / "pki", now_s=now_s)
    assert kept_authority(tmp_path / "pki", now_s=now_s + 86_400) == made
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


@pytest.mark.parametrize("spoilt", ["ca.crt", "ca.key"])
def test_an_authority_that_cannot_be_used_is_told(tmp_path, now_s, spoilt):
    kept_authority(tmp_path, now_s=now_s)
    (tmp_path / spoilt).write_text("nothing")
    with pytest.raises(TLSFilesError, match="move both files away"):
        kept_authority(tmp_path, now_s=now_s)
    (tmp_path / spoilt).unlink()
    with pytest.raises(TLSFilesError, match="move both files away"):
        kept_authority(tmp_path, now_s=now_s)


def test_an_authority_that_is_about_to_end_is_told(tmp_path, now_s):
    kept_authority(tmp_path, now_s=now_s)
    with pytest.raises(TLSFilesError, match="ends within a year"):
        kept_authority(tmp_path, now_s=now_s + 3400 * 86_400)


def test_files_that_are_no_certificate_are_told_with_their_names(tmp_path, server, authority):
    good, bad = tmp_path / "good", tmp_path / "bad"
    bad.write_text("nothing")
    good.write_text(server.certificate)
    with pytest.raises(TLSFilesError, match="no certificate with its key"):
        context_of_files(good, bad)
    with pytest.raises(TLSFilesError, match="no certificate with its key"):
        context_of_files(tmp_path / "missing", bad)
    with pytest.raises(TLSFilesError, match="no certificate with its key"):
        server_context(Certified(server.certificate, authority.key))
    with pytest.raises(TLSFilesError, match="no certificate of an authority"):
        server_context(server, client_ca=bad)
