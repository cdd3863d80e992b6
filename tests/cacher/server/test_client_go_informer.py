"""A client-go informer against a server of ours: what its handlers are told, and what its store ends with.

It streams its list, as client-go does by default since 1.35, and in a second run lists.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import pytest
import trio

from cacher import Cluster, open_cluster
from cacher.server import ServerOptions, open_server
from tests.built_with_go import INFORMER, needs_informer

pytestmark = [pytest.mark.slow, needs_informer]
WAIT_S = 60.0
LINE_MAX = 1 << 20


class Informer:
    """The program, and all that it has said."""

    def __init__(self, process: trio.Process) -> None:
        self.said: list[dict[str, Any]] = []
        self._process = process
        self._changed = trio.Event()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        buffered = b""
        async for piece in self._process.stdout:
            *lines, buffered = (buffered + piece).split(b"\n")
            assert len(buffered) < LINE_MAX
            self.said += [json.loads(line) for line in lines]
            self._changed.set()
            self._changed = trio.Event()

    async def until(self, what: str, **wanted: Any) -> dict[str, Any]:
        """The first thing that it says of this kind, now or later."""
        with trio.fail_after(WAIT_S):
            while True:
                for said in self.said:
                    if said["what"] == what and all(said.get(name) == value for name, value in wanted.items()):
                        return said
                await self._changed.wait()

    async def store(self) -> dict[str, str]:
        """What its store holds now, by key: the resource version."""
        self.said = [said for said in self.said if said["what"] != "store"]
        assert self._process.stdin is not None
        await self._process.stdin.send_all(b"store\n")
        found: dict[str, str] = (await self.until("store")).get("store", {})
        return found

    async def until_store(self, wanted: dict[str, str]) -> None:
        with trio.fail_after(WAIT_S):
            while await self.store() != wanted:
                await trio.sleep(0.05)

    def told(self) -> list[tuple[Any, ...]]:
        """What its handlers were told, in order."""
        return [
            (said["what"], said["key"], said.get("initial", False) or said.get("tombstone", False))
            for said in self.said
            if said["what"] in ("add", "update", "delete")
        ]


@asynccontextmanager
async def open_informer(directory, url: str, *arguments: str, streams: bool = True) -> AsyncIterator[Informer]:
    assert INFORMER is not None
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    }
    kubeconfig = directory / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            [INFORMER, "-kubeconfig", str(kubeconfig), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            check=False,
            env={**os.environ, "KUBE_FEATURE_WatchListClient": str(streams).lower()},
        )
        process = await nursery.start(start)
        informer = Informer(process)
        nursery.start_soon(informer.listen)
        yield informer
        nursery.cancel_scope.cancel()


async def until_gone(port: int) -> None:
    """Return when nobody listens there."""
    with trio.fail_after(WAIT_S):
        while True:
            try:
                await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
            except OSError:
                return
            await trio.sleep(0.02)


def version(obj: dict[str, Any]) -> str:
    found: str = obj["metadata"]["resourceVersion"]
    return found


async def served(cluster: Cluster, plural: str, **selection: Any) -> dict[str, str]:
    listed = await cluster.resource("v1", plural).list(**selection)
    return {f"{obj.namespace}/{obj.name}": str(obj.revision) for obj in listed.objects}


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_go_informer_syncs_and_follows(tmp_path, streams):
    async def main() -> None:
        async with (
            open_cluster(random=Random(1), checks_namespaces=False) as cluster,
            open_server(cluster, random=Random(2), unix=cluster.clock.unix) as server,
        ):
            configmaps = cluster.resource("v1", "configmaps")
            for number in range(300):
                await configmaps.create({"metadata": {"name": f"c{number:03}"}}, "default")
            async with open_informer(tmp_path, server.url, streams=streams) as informer:
                synced = await informer.until("synced")
                assert (synced["objects"], synced.get("watchList", False)) == (300, streams)
                changed = await configmaps.patch("c001", {"data": {"x": "y"}}, "default")
                await configmaps.delete("c002", "default")
                made = await configmaps.create({"metadata": {"name": "new"}}, "default")
                await informer.until("update", key="default/c001", resourceVersion=version(changed))
                await informer.until("delete", key="default/c002")
                await informer.until("add", key="default/new", resourceVersion=version(made))
                assert await informer.store() == await served(cluster, "configmaps")
                told = informer.told()
            assert sorted(told[:300]) == [("add", f"default/c{number:03}", True) for number in range(300)]
            assert told[300:] == [
                ("update", "default/c001", False),
                ("delete", "default/c002", False),
                ("add", "default/new", False),
            ]

    trio.run(main)


@pytest.mark.parametrize("streams", [True, False])
def test_a_client_go_informer_of_some_labels_sees_objects_enter_and_leave(tmp_path, streams):
    def pod(name: str, app: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "nginx"}]},
        }

    async def main() -> None:
        async with (
            open_cluster(random=Random(1), checks_namespaces=False) as cluster,
            open_server(cluster, random=Random(2), unix=cluster.clock.unix) as server,
        ):
            pods = cluster.resource("v1", "pods")
            for name in ("a", "b", "c"):
                await pods.create(pod(name, "web"), "default")
            await pods.create(pod("d", "db"), "default")
            arguments = ("-resource", "pods", "-namespace", "default", "-labels", "app=web")
            async with open_informer(tmp_path, server.url, *arguments, streams=streams) as informer:
                assert (await informer.until("synced"))["objects"] == 3
                await pods.patch("a", {"metadata": {"labels": {"app": "db"}}}, "default")
                await pods.patch("d", {"metadata": {"labels": {"app": "web"}}}, "default")
                await informer.until("delete", key="default/a")
                await informer.until("add", key="default/d")
                assert await informer.store() == await served(cluster, "pods", labels="app=web")

    trio.run(main)


def test_a_client_go_informer_outlives_its_server(tmp_path):
    """The server goes, the cluster changes, another server comes at the same port: it ends with the truth."""

    async def serve(cluster, port, ends, task_status) -> None:
        options = ServerOptions(shutdown_grace_s=1.0)
        async with open_server(
            cluster, random=Random(2), unix=cluster.clock.unix, port=port, options=options
        ) as server:
            task_status.started(server)
            await ends.wait()

    async def main() -> None:
        async with open_cluster(random=Random(1), checks_namespaces=False) as cluster, trio.open_nursery() as nursery:
            configmaps = cluster.resource("v1", "configmaps")
            for name in ("stays", "goes"):
                await configmaps.create({"metadata": {"name": name}}, "default")
            ends = trio.Event()
            server = await nursery.start(serve, cluster, 0, ends)
            async with open_informer(tmp_path, server.url) as informer:
                await informer.until("synced")
                ends.set()
                await until_gone(server.addresses[0][1])
                await configmaps.delete("goes", "default")
                await configmaps.patch("stays", {"data": {"x": "y"}}, "default")
                await configmaps.create({"metadata": {"name": "comes"}}, "default")
                await nursery.start(serve, cluster, server.addresses[0][1], trio.Event())
                await informer.until_store(await served(cluster, "configmaps"))
                assert ("delete", "default/goes", False) in informer.told()
            nursery.cancel_scope.cancel()

    trio.run(main)
