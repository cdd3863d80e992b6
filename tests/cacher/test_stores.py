"""Which etcd a cluster stands on."""

from __future__ import annotations

from random import Random

import pytest
import trio

from cacher import StoreOptions, open_cluster
from cacher.storage.etcd import EmbeddedEtcd, RemoteEtcd, Snapshot, UnavailableError
from tests.etcd_binaries import each_etcd
from tests.etcd_server import open_etcd_server

ENDPOINT = "http://127.0.0.1:2379"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"endpoints": (ENDPOINT,), "data_dir": "x"}, "not both"),
        ({"cafile": "ca.pem"}, "cafile is for a real etcd"),
        ({"password": "secret"}, "password is for a real etcd"),
        ({"endpoints": ("gopher://x",)}, "gopher"),
        ({"endpoints": (ENDPOINT,), "user": "me"}, "give both"),
        ({"endpoints": ("https://h",), "certfile": "c.pem"}, "belong together"),
        ({"endpoints": (ENDPOINT,), "cafile": "ca.pem"}, "no use for certificates"),
        ({"prefix": "registry"}, "write it as /registry"),
        ({"prefix": "/"}, "write it as /registry"),
        ({"prefix": "/a//b"}, "write it as /registry"),
    ],
)
def test_what_excludes_each_other_is_refused_with_what_to_leave_out(options, says):
    with pytest.raises(ValueError, match=says):
        StoreOptions(**options)


def test_the_default_is_an_embedded_etcd_in_memory():
    async def main() -> None:
        async with open_cluster() as cluster:
            assert isinstance(cluster.etcd, EmbeddedEtcd)
            assert cluster.root == "/registry/"

    trio.run(main)


def test_a_cluster_in_a_directory_is_there_again_at_the_next_start(tmp_path):
    async def main() -> None:
        async with open_cluster(data_dir=tmp_path / "data") as cluster:
            await cluster.etcd.put("/registry/pods/a/one", b'{"metadata":{"name":"one"}}')
        async with open_cluster(data_dir=tmp_path / "data") as cluster:
            listed = await cluster.resource("v1", "pods").list()
            assert [(each.name, each.revision) for each in listed.objects] == [("one", 2)]

    trio.run(main)


def test_objects_below_another_prefix_are_found_by_name_and_by_prefix(run_trio):
    async def main() -> None:
        async with open_cluster(etcd=StoreOptions(prefix="/other/")) as cluster:
            await cluster.etcd.put("/other/apps.example.com/widgets/a/w", b'{"metadata":{"name":"w"}}')
            await cluster.etcd.put("/other/services/specs/a/s", b'{"metadata":{"name":"s"},"spec":{"clusterIP":"1"}}')
            await cluster.etcd.put("/registry/services/specs/a/no", b'{"metadata":{"name":"no"}}')
            services = cluster.resource("v1", "services")
            assert services.info.prefix == "/other/services/specs/"
            assert cluster.resource_at("/other/services/specs/") is services
            assert [obj.name for obj in (await services.list(fields="spec.clusterIP=1")).objects] == ["s"]
            assert [obj.name for obj in (await services.list()).objects] == ["s"]
            assert await services.find("s", "a") is not None
            widgets = cluster.resource("apps.example.com/v1", "widgets")
            assert [obj.key for obj in (await widgets.list()).objects] == ["/other/apps.example.com/widgets/a/w"]

    run_trio(main)


def test_a_real_etcd_begins_with_what_it_holds():
    async def main() -> None:
        with pytest.raises(ValueError, match="restore the snapshot there"):
            async with open_cluster(etcd=ENDPOINT, snapshot=Snapshot(5, ())):
                pass

    trio.run(main)


def test_an_etcd_that_is_not_there_is_named():
    async def main() -> None:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"):
            async with open_cluster(etcd="http://127.0.0.1:1"):
                pass

    trio.run(main)


@each_etcd()
def test_the_same_cluster_stands_on_a_real_etcd(binary, tmp_path):
    async def main() -> None:
        async with (
            open_etcd_server(binary, tmp_path, random=Random(1)) as server,
            open_cluster(etcd=server.endpoint) as cluster,
        ):
            assert isinstance(cluster.etcd, RemoteEtcd)
            pods = cluster.resource("v1", "pods")
            async with pods.watch(namespace="a", labels="app=web") as watch:
                for number in range(3):
                    value = b'{"metadata":{"name":"p","namespace":"a","labels":{"app":"web"}},"n":%d}' % number
                    await cluster.etcd.put("/registry/pods/a/p", value)
                found = [await watch.receive() for _ in range(3)]
            assert [event.type.value for event in found] == ["ADDED", "MODIFIED", "MODIFIED"]
            listed = await pods.list(labels="app")
            assert (listed.objects[0].revision, listed.revision) == (found[-1].revision, found[-1].revision)
            await cluster.etcd.put("/elsewhere", b"x")
            fresh = await pods.list()
            assert fresh.revision >= listed.revision + cluster.etcd.supports_progress

    trio.run(main)
