"""A server of ours and a client of it, over streams in memory: under the virtual clock, and the same run for the same seed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

import trio
import trio.testing

from cacher import Cluster, open_cluster
from cacher.server import open_server
from cacher.storage._nursery import open_service_nursery
from reflector import connect
from reflector.http import HTTPClient


class Both(NamedTuple):
    """What is served, and who asks over HTTP."""

    cluster: Cluster
    client: HTTPClient
    streams: list[trio.abc.Stream]
    """The client's ends of the connections so far."""


@asynccontextmanager
async def open_both(*, seed: int = 1, **options: Any) -> AsyncIterator[Both]:
    streams: list[trio.abc.Stream] = []
    async with (
        open_cluster(random=Random(seed), checks_namespaces=False, **options) as cluster,
        open_service_nursery() as nursery,
        open_server(cluster, random=Random(seed + 1), unix=cluster.clock.unix) as server,
    ):

        async def dial(host: str, port: int) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(server.serve, theirs)
            streams.append(ours)
            return ours

        async with connect("http://127.0.0.1", dial=dial, random=Random(seed + 2)) as client:
            yield Both(cluster, client, streams)
