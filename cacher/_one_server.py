"""One process that serves: a store, the API over it, and the controllers that make its cluster live.

    store ─ cluster ─ the namespaces that are always there ─ controllers, where this process leads them ─ server

Whoever shares an etcd with others runs the controllers only while it holds the lease LEASE: two sets of them would undo each
other's work. An embedded etcd is nobody else's, and has no election.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from typing import final

import trio

from reflector import LeaderElector, LeaderOptions, LeadershipLost

from ._assembly import Cluster, open_cluster
from ._overview import overview
from ._serve_options import ServeOptions
from .controllers import cluster_controllers
from .registry import AlreadyExists
from .server import (
    Access,
    Authenticator,
    Listening,
    MetricsSnapshot,
    Page,
    Server,
    ServerOptions,
    open_server,
)
from .storage._nursery import open_service_nursery

LOG = logging.getLogger("cacher.serve")

SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Namespaces that are always there. Source: kubernetes pkg/controlplane/controller/systemnamespaces."""
LEASE = "watchcache-controllers"
"""In kube-system: who holds it runs the controllers of all servers on one etcd."""


@asynccontextmanager
async def open_one(
    options: ServeOptions,
    *,
    tls: ssl.SSLContext | None,
    authenticator: Authenticator | None,
    audit: Callable[[str], None],
    identity: str,
    listening: Listening | None = None,
    gather: Callable[[MetricsSnapshot], Awaitable[MetricsSnapshot]] | None = None,
    has_page: bool = False,
) -> AsyncIterator[Server]:
    """A server as `options` say, ready, for as long as the context lasts.

    Args:
        identity: this process's name in the election of who runs the controllers, which no other process has.
        listening: where connections come from; None: it listens itself.
        gather: makes of this process's metrics those of all; None: it is alone.
        has_page: whether there is a page for people.
    Raises:
        EtcdError, OSError: the store cannot be opened, or the address is taken.
    """
    async with (
        open_cluster(etcd=options.store, batch_interval_s=options.batch_interval_s) as cluster,
        AsyncExitStack() as stack,
    ):
        await make_system_namespaces(cluster)
        if options.has_controllers:
            await stack.enter_async_context(_controllers(cluster, identity if options.store.is_remote else ""))
        server = await stack.enter_async_context(
            open_server(
                cluster,
                random=Random(),
                unix=cluster.clock.unix,
                host=options.host,
                port=options.port,
                tls=tls,
                options=ServerOptions(shutdown_grace_s=options.shutdown_grace_s, loopback_only=options.is_plain),
                access=Access(authenticator, audit=audit, unix=cluster.clock.unix),
                listening=listening,
                gather=gather,
                page=Page(partial(overview, cluster), now=trio.current_time, is_tls=tls is not None)
                if has_page
                else None,
            )
        )
        yield server


async def make_system_namespaces(cluster: Cluster) -> None:
    """The namespaces that are always there are there."""
    namespaces = cluster.resource("v1", "namespaces")
    for name in SYSTEM_NAMESPACES:
        try:
            await namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        except AlreadyExists:
            continue


def make_identity(random: Random) -> str:
    """A name for this process that no other has, on whatever machine: what an election needs."""
    return f"{socket.gethostname()}_{random.getrandbits(64):016x}"


@asynccontextmanager
async def _controllers(cluster: Cluster, identity: str) -> AsyncIterator[None]:
    """The controllers, while the context is open. `identity`: of a candidate; "": nobody else is on this store."""
    if not identity:
        async with cluster_controllers(cluster, random=Random(), clock=cluster.clock):
            yield
        return
    async with open_service_nursery() as nursery:
        nursery.start_soon(LeadControllers(cluster, identity).run, name="election of controllers")
        yield


@final
class LeadControllers:
    """Runs the controllers while this process holds the lease, term after term. In each, they start from nothing."""

    def __init__(self, cluster: Cluster, identity: str, *, options: LeaderOptions | None = None) -> None:
        self._cluster = cluster
        self.elector = LeaderElector(
            cluster, LEASE, identity, random=Random(), clock=cluster.clock, options=options or LeaderOptions()
        )

    async def run(self) -> None:
        """Until cancelled; then the lease is released, and another may lead at once."""
        while True:
            try:
                await self.elector.run(partial(_run_controllers, self._cluster))
            except LeadershipLost as error:
                LOG.warning("%s", error)


async def _run_controllers(cluster: Cluster) -> None:
    async with cluster_controllers(cluster, random=Random(), clock=cluster.clock):
        await trio.sleep_forever()
