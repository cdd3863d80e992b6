"""A real etcd that a whole file of tests shares, and a clock that runs faster than the server's.

    server = shared_server()           a fixture: once for every etcd found; skipped, with the cure, where there is none
    run_fast(async_fn, *args)          trio with a clock 20 times as fast as the wall's

What waits for minutes under the virtual clock waits for seconds here. The server's own times (leases, progress) are real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from cacher.storage.etcd import Etcd, EtcdWatch, RemoteEtcd, open_remote_etcd, prefix_end
from tests.etcd_binaries import CURE, EtcdBinary, etcd_binaries
from tests.etcd_server import EtcdServer, start_etcd_server
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

RATE = 20.0
HANG_S = 60.0
END = prefix_end(b"a/")
"""Tests write below `a/`."""


def shared_server(*, flags: Callable[[EtcdBinary], Sequence[str]] = lambda _: ()) -> Any:
    """A fixture, of the scope of a module: a server of each etcd found, with `flags`."""
    found = [pytest.param(binary, id=str(binary)) for binary in etcd_binaries()]
    none = pytest.param(None, id="no-etcd", marks=pytest.mark.skip(reason=CURE))

    @pytest.fixture(scope="module", params=found or [none])
    def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
        directory = tmp_path_factory.mktemp("etcd")
        start = partial(start_etcd_server, request.param, directory, random=Random(1), flags=flags(request.param))
        running = trio.run(start)
        yield running
        running.end()

    return server


def frequent_progress(binary: EtcdBinary) -> Sequence[str]:
    """Flags with which a quiet watch hears of its progress twice a second, and not every ten minutes."""
    name = (
        "watch-progress-notify-interval" if binary.numbers >= (3, 6) else "experimental-watch-progress-notify-interval"
    )
    return [f"--{name}=500ms"]


def run_fast(async_fn: Callable[..., Awaitable[Any]], *args: object) -> Any:
    """`async_fn` run to its end under a clock that is RATE times as fast as the wall's."""
    return trio.run(async_fn, *args, clock=trio.testing.MockClock(rate=RATE))


@asynccontextmanager
async def open_emptied(server: EtcdServer) -> AsyncIterator[RemoteEtcd]:
    """A client of `server`, whose keys are all gone; its revisions and what was compacted are not."""
    # Times of the server's.
    async with open_remote_etcd(
        server.endpoint, random=Random(1), request_timeout_s=10 * RATE, patience_s=30 * RATE
    ) as etcd:
        await etcd.delete(b"\0", b"\0")
        yield etcd


def run(async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
    """`async_fn` run to its end under the real clock; within a minute, or it hangs."""

    async def main() -> None:
        with trio.fail_after(HANG_S):
            await async_fn(*args)

    trio.run(main)


@asynccontextmanager
async def opened(server: EtcdServer, **options: Any) -> AsyncIterator[RemoteEtcd]:
    """A client of `server`."""
    async with open_remote_etcd(server.endpoint, random=Random(1), **options) as etcd:
        yield etcd


@asynccontextmanager
async def through_proxy(server: EtcdServer, **options: Any) -> AsyncIterator[tuple[RemoteEtcd, RemoteEtcd, TcpProxy]]:
    """A client behind a proxy, one that has none, and the proxy."""
    async with (
        open_tcp_proxy(server.client_port, random=Random(2)) as proxy,
        open_remote_etcd(f"http://127.0.0.1:{proxy.port}", random=Random(1), **options) as far,
        opened(server) as near,
    ):
        await near.delete(b"a/", END)
        yield far, near, proxy


async def values(watch: EtcdWatch, count: int) -> list[bytes]:
    """What the next `count` events wrote, each of a revision that was not there before."""
    found: list[bytes] = []
    last = 0
    while len(found) < count:
        response = await watch.receive()
        assert all(event.kv.mod_revision > last for event in response.events)
        last = max(last, response.revision)
        found += [event.kv.value for event in response.events]
    return found


def numbers(first: int, after: int) -> list[bytes]:
    """What `put_numbers` writes."""
    return [b"%d" % number for number in range(first, after)]


async def put_numbers(etcd: Etcd, first: int, after: int) -> None:
    for number in range(first, after):
        await etcd.put("a/k", str(number))
