"""A client that watches our server over TLS: what it spends on each event, ours beside kubernetes' own for Python.

    python -m benchmarks._clients ours|kubernetes EVENTS

Events are ConfigMaps of 1 KB, written as fast as etcd takes them; CPU is that of the client's process alone.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import msgspec
import trio

from cacher.storage.etcd import open_remote_etcd

from ._client_reader import Taken
from ._remote import etcd_server
from ._servers import START_S, TOKEN, etcd_binary, ours
from ._watched import KEYS, RUN_TIMEOUT_S, WRITERS, put_config_map, started_reader


async def _measure(who: str, events: int) -> Taken:
    binary = etcd_binary()
    assert binary is not None, "see _servers.CURE"
    with tempfile.TemporaryDirectory() as directory, etcd_server(binary) as endpoint, trio.fail_after(RUN_TIMEOUT_S):
        async with open_remote_etcd(endpoint, random=Random(1), opening_s=START_S) as etcd:
            async with ours(endpoint, Path(directory)) as server:
                for number in range(KEYS):
                    await put_config_map(etcd, number, 0)
                revision = (await etcd.range("/registry/configmaps/", count_only=True)).revision
                words = [who, str(server.port), str(revision), str(events), TOKEN]
                with started_reader([sys.executable, "-m", "benchmarks._client_reader", *words]) as stdout:
                    said = await stdout.receive_some()
                    assert said.startswith(b"ready"), said
                    numbers = iter(range(events))

                    async def write() -> None:
                        for number in numbers:
                            await put_config_map(etcd, number % KEYS, number)

                    async with trio.open_nursery() as nursery:
                        for _ in range(WRITERS):
                            nursery.start_soon(write)
                    told = b""
                    async for data in stdout:
                        told += data
    return msgspec.json.decode(told, type=Taken)


if __name__ == "__main__":
    measured = trio.run(_measure, sys.argv[1], int(sys.argv[2]))
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
