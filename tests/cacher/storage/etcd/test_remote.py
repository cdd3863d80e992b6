"""RemoteEtcd on real servers: the contract of every etcd, and what only a remote one promises: delays, not losses."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
import trio

from cacher.storage.etcd import (
    CompactedError,
    DeadlineError,
    FutureRevisionError,
    InvalidRequestError,
    LeaseNotFoundError,
    PermissionDeniedError,
    Put,
    Range,
    RequestTooLargeError,
    TooManyOperationsError,
    UnauthenticatedError,
    UnavailableError,
    _remote,
    open_remote_etcd,
)
from tests.cacher.storage.etcd.duel import keeps_deletions
from tests.cacher.storage.etcd.etcd_contract import CASES, OpenEtcd
from tests.etcd_binaries import each_etcd
from tests.etcd_server import EtcdServer, free_ports, open_etcd_server
from tests.remote_etcd import END, numbers, opened, put_numbers, run, shared_server, through_proxy, values
from tests.tcp_proxy import open_tcp_proxy

pytestmark = pytest.mark.slow
QUIET = "a_quiet_watch_says_how_far_it_is_when_asked"
DELETED = "a_delete_at_the_compact_revision_reaches_a_watch_from_there"

server = shared_server()


# --- the contract ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_contract(server, case: Callable[[OpenEtcd], Awaitable[None]]):
    """Of a server whose progress cannot be believed it is not asked for; one that forgets deletions may."""

    async def main() -> None:
        async with opened(server) as etcd:
            assert etcd.versions == {server.endpoint: server.binary.version}
            supports_progress = etcd.supports_progress
        if case.__name__ == QUIET and not supports_progress:
            await check_silent(server)
        elif case.__name__ == DELETED and not keeps_deletions(server.binary):
            with trio.move_on_after(2), contextlib.suppress(trio.TooSlowError):
                await case(lambda: opened(server))
        else:
            await case(lambda: opened(server))

    run(main)


async def check_silent(server: EtcdServer) -> None:
    """A quiet watch that is asked how far it is does not say."""
    async with opened(server) as etcd, etcd.watch("a/k") as watch:
        watch.request_progress()
        with trio.move_on_after(0.3) as scope:
            await watch.receive()
        assert scope.cancelled_caught


# --- calls ----------------------------------------------------------------------------------------------------------


def test_a_range_without_a_limit_is_read_in_pages_of_one_revision(server):
    async def main() -> None:
        async with opened(server) as etcd:
            await etcd.delete(b"a/", END)
            for number in range(25):
                await etcd.put(f"a/{number:02}", "")
            whole = await etcd.range(b"a/", END)
            with patch.object(_remote, "PAGE_KEYS", 7):
                assert await etcd.range(b"a/", END) == whole
                old = await etcd.range(b"a/", END, revision=whole.revision - 5, keys_only=True)
            assert ([kv.key for kv in old.kvs], old.count, old.more) == ([kv.key for kv in whole.kvs][:20], 20, False)

    run(main)


def test_a_range_whose_pages_are_compacted_begins_anew_and_one_at_a_revision_is_refused(server):
    async def main() -> None:
        async with opened(server) as etcd:
            await etcd.delete(b"a/", END)
            for number in range(10):
                await etcd.put(f"a/{number}", "")
            read = etcd._range
            has_compacted = False

            async def read_and_compact(asked: Range) -> object:
                nonlocal has_compacted
                page = await read(asked)
                if not has_compacted:
                    has_compacted = True
                    await etcd.compact((await etcd.put("a/0", "new")).revision)
                return page

            with patch.object(_remote, "PAGE_KEYS", 4), patch.object(etcd, "_range", read_and_compact):
                found = await etcd.range(b"a/", END)
                assert [kv.value for kv in found.kvs] == [b"new", *[b""] * 9]
                has_compacted = False
                with pytest.raises(CompactedError) as caught:
                    await etcd.range(b"a/", END, revision=found.revision)
            assert caught.value.compact_revision == found.revision + 1

    run(main)


def test_errors_have_the_numbers_that_etcd_leaves_out(server):
    async def main() -> None:
        async with opened(server) as etcd:
            now = (await etcd.put("a/k", "")).revision
            with pytest.raises(FutureRevisionError) as future:
                await etcd.range("a/k", revision=now + 7)
            assert (future.value.asked, future.value.current) == (now + 7, now)
            await etcd.compact(now)
            with pytest.raises(CompactedError) as compacted:
                await etcd.range("a/k", revision=now - 1)
            assert compacted.value.compact_revision == now
            with pytest.raises(LeaseNotFoundError) as lease:
                await etcd.txn(success=[Put(b"a/k", b""), Put(b"a/l", b"", 99)])
            assert lease.value.lease == 99

    run(main)


def test_what_is_beyond_the_limits_says_which(server):
    async def main() -> None:
        async with opened(server) as etcd:
            for size in (1_600_000, 3_000_000):  # refused by etcd, and by its grpc before it
                with pytest.raises(RequestTooLargeError):
                    await etcd.put("a/k", b"x" * size)
            with pytest.raises(TooManyOperationsError):
                await etcd.txn(success=[Range(b"a/k")] * 129)
            with pytest.raises(InvalidRequestError, match="does not fit"):
                await etcd.put("a/k", "", lease=2**63)
            with pytest.raises(InvalidRequestError):
                await etcd.lease_grant(10_000_000_000)

    run(main)


def test_a_cancelled_call_returns_at_once_and_harms_no_other(server):
    async def main() -> None:
        async with through_proxy(server) as (far, near, proxy):
            proxy.black_hole("up", "down")
            for call in (
                lambda: far.range("a/k"),
                lambda: far.put("a/k", "1"),
                lambda: far.lease_keep_alive(1),
                lambda: far.watch("a/k").__aenter__(),
            ):
                with trio.move_on_after(0.05) as scope:
                    await call()
                assert scope.cancelled_caught
            proxy.heal()
            await far.put("a/other", "2")  # the key of the write that was given up may yet be written
            assert (await near.range("a/other")).kvs[0].value == b"2"

    run(main)


def test_a_cancelled_call_is_given_up_on_the_way_too():
    class Future:
        is_cancelled = False

        def add_done_callback(self, callback: object) -> None:
            del callback

        def cancel(self) -> None:
            self.is_cancelled = True

    class Method:
        sent = Future()

        def future(self, *arguments: object, **options: object) -> Future:
            del arguments, options
            return self.sent

    async def main() -> None:
        from cacher.storage.etcd._members import call

        with trio.move_on_after(0.01) as scope:
            await call(Method(), None, str, metadata=(), timeout_s=1)
        assert scope.cancelled_caught
        assert Method.sent.is_cancelled

    run(main)


def test_a_write_whose_answer_is_lost_says_that_it_may_be_done_and_is_not_repeated(server):
    async def main() -> None:
        async with through_proxy(server, request_timeout_s=0.5) as (far, near, proxy):
            await far.put("a/k", "before")
            proxy.black_hole("down")
            with pytest.raises(DeadlineError) as unknown:
                await far.put("a/k", "after")
            assert unknown.value.outcome_unknown
            (kv,) = (await near.range("a/k")).kvs
            assert (kv.value, kv.version) == (b"after", 2)
            proxy.cut()
            proxy.heal()
            await trio.sleep(0.1)
            assert (await far.range("a/k")).kvs == (kv,), "a read is tried again"
            await far.put("a/k", "next")
            assert (await near.range("a/k")).kvs[0].version == 3

    run(main)


def test_what_was_never_sent_is_tried_again_writes_too(server):
    """The first endpoint has nobody, and later one comes to life."""

    async def main() -> None:
        (nobody,) = free_ports(1, Random(3))
        async with opened(server) as near:
            await near.put("a/k", "before")
            endpoints = [f"http://127.0.0.1:{nobody}", server.endpoint]
            async with open_remote_etcd(endpoints, random=Random(1)) as far:
                assert far.versions[endpoints[0]] == ""
                assert far.supports_progress == near.supports_progress
                before = (await near.range("a/k")).revision
                assert (await far.put("a/k", "1")).revision == before + 1

    run(main)


def test_opening_does_not_wait_for_an_endpoint_that_swallows_everything(server):
    """Nor does a call that finds itself there: it goes on to the next one when its time is up."""

    async def main() -> None:
        async with open_tcp_proxy(server.client_port, random=Random(2)) as proxy:
            proxy.black_hole()
            endpoints = [server.endpoint, f"http://127.0.0.1:{proxy.port}"]
            for order in (endpoints, endpoints[::-1]):
                async with open_remote_etcd(order, random=Random(1), request_timeout_s=3) as etcd:
                    await etcd.put("a/k", "1")
                    assert etcd.versions[endpoints[1]] == ""

    run(main)


def test_where_nobody_answers_opening_says_so_of_each_endpoint():
    async def main() -> None:
        ports = free_ports(2, Random(4))
        with pytest.raises(UnavailableError, match="no endpoint of etcd answers") as nobody:
            async with open_remote_etcd([f"127.0.0.1:{p}" for p in ports], random=Random(1), patience_s=0.3):
                raise AssertionError("opened")
        assert all(str(port) in str(nobody.value) for port in ports)

    run(main)


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"certfile": "x"}, "certfile and keyfile"),
        ({"user": "x"}, "give both, or neither"),
    ],
)
def test_half_of_what_belongs_together_is_refused(options, cure):
    async def main() -> None:
        with pytest.raises(ValueError, match=cure):
            async with open_remote_etcd("https://127.0.0.1:1", random=Random(1), **options):
                raise AssertionError("opened")

    run(main)


def test_a_closed_client_refuses_calls_and_ends_watches_after_what_they_have(server):
    async def main() -> None:
        async with opened(server) as etcd:
            context = etcd.watch("a/k")
            watch = await context.__aenter__()
            await etcd.put("a/k", "1")
            await watch.receive()
            waiting = etcd.watch("a/k")
            idle = await waiting.__aenter__()
            async with trio.open_nursery() as nursery:

                async def expect_end() -> None:
                    with pytest.raises(trio.EndOfChannel):
                        await idle.receive()

                nursery.start_soon(expect_end)
                await trio.sleep(0.01)
                etcd._end_watches()
        for call in (etcd.range("a/k"), etcd.put("a/k", ""), etcd.lease_keep_alive(1), etcd.watch("a").__aenter__()):
            with pytest.raises(trio.ClosedResourceError):
                await call
        with pytest.raises(trio.EndOfChannel):
            await watch.receive()
        await context.__aexit__(None, None, None)
        with pytest.raises(trio.ClosedResourceError):
            await watch.receive()
        await waiting.__aexit__(None, None, None)

    run(main)


# --- who asks -------------------------------------------------------------------------------------------------------


@each_etcd()
def test_a_token_that_runs_out_is_renewed_in_calls_and_in_watches(binary, tmp_path):
    async def main() -> None:
        flags = ["--auth-token-ttl=1"] if binary.numbers >= (3, 5) else []
        async with open_etcd_server(binary, tmp_path, random=Random(6), flags=flags) as own:
            for path, body in (
                ("role/add", {"name": "root"}),
                ("user/add", {"name": "root", "password": "secret"}),
                ("user/grant", {"user": "root", "role": "root"}),
                ("user/add", {"name": "nobody", "password": "secret"}),
                ("enable", {}),
            ):
                await own.ask(f"/v3/auth/{path}", body)
            async with open_remote_etcd(own.endpoint, random=Random(1)) as etcd:
                with pytest.raises(UnauthenticatedError):
                    await etcd.put("a/k", "1")
            async with open_remote_etcd(own.endpoint, random=Random(1), user="nobody", password="secret") as etcd:
                with pytest.raises(PermissionDeniedError):
                    await etcd.put("a/k", "1")
                with pytest.raises(PermissionDeniedError):
                    async with etcd.watch("a/k"):
                        raise AssertionError("opened")
            with pytest.raises(UnauthenticatedError):
                async with open_remote_etcd(own.endpoint, random=Random(1), user="root", password="wrong"):
                    raise AssertionError("opened")
            async with (
                open_tcp_proxy(own.client_port, random=Random(2)) as proxy,
                open_remote_etcd(
                    f"http://127.0.0.1:{proxy.port}", random=Random(1), user="root", password="secret"
                ) as etcd,
                etcd.watch("a/k") as watch,
            ):
                connections = etcd._connections
                await put_numbers(etcd, 0, 1)
                assert await values(watch, 1) == numbers(0, 1)
                connections.token = "run.out"  # as when its time had passed
                await put_numbers(etcd, 1, 2)
                assert connections.token != "run.out"
                connections.token = "run.out"
                proxy.cut()
                assert await values(watch, 1) == numbers(1, 2)
                await trio.sleep(0.1)  # a write on the connection that was cut would be of unknown outcome
                await put_numbers(etcd, 2, 3)
                assert await values(watch, 1) == numbers(2, 3)
                if flags:
                    await trio.sleep(3)
                    await put_numbers(etcd, 3, 4)
                    assert await values(watch, 1) == numbers(3, 4)

    run(main)


@each_etcd()
def test_tls_with_a_certificate_on_either_side(binary, tmp_path):
    async def main() -> None:
        pem = make_certificates(tmp_path)
        plain, peer, port = free_ports(3, Random(7))
        flags = [
            f"--listen-client-urls=http://127.0.0.1:{plain},https://127.0.0.1:{port}",
            f"--cert-file={pem / 'server.pem'}",
            f"--key-file={pem / 'server.key'}",
            f"--trusted-ca-file={pem / 'ca.pem'}",
            "--client-cert-auth",
        ]
        own = EtcdServer(binary, tmp_path, client_port=plain, peer_port=peer, flags=flags)
        try:
            await own.start()
            files: dict[str, Any] = {
                "cafile": pem / "ca.pem",
                "certfile": pem / "client.pem",
                "keyfile": pem / "client.key",
            }
            async with open_remote_etcd(f"https://127.0.0.1:{port}", random=Random(1), **files) as etcd:
                async with etcd.watch("a/k") as watch:
                    await put_numbers(etcd, 0, 3)
                    assert await values(watch, 3) == numbers(0, 3)
            wrongs: list[dict[str, Any]] = [{"cafile": pem / "ca.pem"}, {}]
            for wrong in wrongs:  # no certificate of ours; an authority that nobody trusts
                with pytest.raises(UnavailableError):
                    async with open_remote_etcd(f"https://127.0.0.1:{port}", random=Random(1), patience_s=0.5, **wrong):
                        raise AssertionError("opened")
        finally:
            own.end()

    run(main)


def make_certificates(directory: Path) -> Path:
    """An authority, and a certificate of its for the server and for the client."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make certificates with: apt-get install openssl")

    def make(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=directory, check=True, capture_output=True)

    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    make(*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    for name in ("server", "client"):
        make(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"]
        make("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return directory
