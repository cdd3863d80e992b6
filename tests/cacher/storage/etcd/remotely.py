"""What tests of a real etcd begin with: a client, a client behind a proxy, and numbers written and read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import trio

from cacher.storage.etcd import Etcd, EtcdWatch, RemoteEtcd, open_remote_etcd, prefix_end
from tests.etcd_server import EtcdServer
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

HANG_S = 60.0
END = prefix_end(b"a/")


def run(async_fn: Callable[..., Awaitable[object]], *args: object) -> None:
    async def main() -> None:
        with trio.fail_after(HANG_S):
            await async_fn(*args)

    trio.run(main)


@asynccontextmanager
async def opened(server: EtcdServer, **options: Any) -> AsyncIterator[RemoteEtcd]:
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
    found: list[bytes] = []
    last = 0
    while len(found) < count:
        response = await watch.receive()
        assert all(event.kv.mod_revision > last for event in response.events)
        last = max(last, response.revision)
        found += [event.kv.value for event in response.events]
    return found


def numbers(first: int, after: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, after)]


async def put_numbers(etcd: Etcd, first: int, after: int) -> None:
    for number in range(first, after):
        await etcd.put("a/k", str(number))
