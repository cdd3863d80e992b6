"""The client against a real kube-apiserver: verbs, patches, informers, lost connections, pages, compaction, custom resources.

On the real clock. With an etcd below 3.5.13 the server refuses to stream lists, so both ways are tried where both are there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import NamedTuple

import pytest
import trio

from reflector import JSONObject, Reflector, SharedInformers, Store, connect
from reflector.http import HTTPClient
from tests.built_with_go import needs_kube_apiserver
from tests.etcd_binaries import etcd_binaries
from tests.etcd_server import EtcdServer, open_etcd_server
from tests.kube_apiserver import KubeAPIServer, open_kube_apiserver
from tests.reflector.http.test_against_our_server import DEFINITION, DEPLOYMENT, pod, shown, story
from watch import (
    AlreadyExists,
    APIError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    InvalidSelector,
    NotFound,
    PatchType,
    Unauthorized,
    UnknownResource,
    UnsupportedMediaType,
)

pytestmark = [pytest.mark.slow, needs_kube_apiserver]
WAIT_S = 60.0
PAGES_FROM_ETCD = ("--feature-gates=ListFromCacheSnapshot=false",)
"""Or its cache would go on serving pages that etcd has forgotten."""


class Real(NamedTuple):
    etcd: EtcdServer
    server: KubeAPIServer
    client: HTTPClient
    streams: list[trio.abc.Stream]
    """The client's connections so far."""


@asynccontextmanager
async def open_real(binary, tmp_path) -> AsyncIterator[Real]:
    streams: list[trio.abc.Stream] = []

    async def dial(host: str, port: int) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(host, port)
        streams.append(stream)
        return stream

    async with (
        open_etcd_server(binary, tmp_path, random=Random(1)) as etcd,
        open_kube_apiserver(etcd.endpoint, tmp_path, flags=PAGES_FROM_ETCD) as server,
        connect(
            server.url, token=server.token, certificate_authority=server.authority, random=Random(2), dial=dial
        ) as client,
    ):
        yield Real(etcd, server, client, streams)


async def until(condition) -> None:
    with trio.fail_after(WAIT_S):
        while not condition():
            await trio.sleep(0.02)


@pytest.mark.parametrize("binary", etcd_binaries(), ids=str)
def test_a_real_kube_apiserver(binary, tmp_path):
    """One server for all of it, since it takes seconds to start."""

    async def main() -> None:
        async with open_real(binary, tmp_path) as real:
            for part in (verbs, errors, credentials, informers, losses, pages, custom_resources, compaction):
                with trio.fail_after(WAIT_S * 3):
                    await part(real)

    trio.run(main)


async def verbs(real: Real) -> None:
    """The same story as our own server tells. What differs is known, and small."""
    told = await story(real.client)
    assert [entry for entry in told if isinstance(entry, bool)] == [False, True, False, True, True, False]
    kinds = [entry[0] for entry in told if not isinstance(entry, bool) and isinstance(entry[0], str)]
    assert kinds == ["Deployment"] * 5 + ["Scale"] * 2 + ["Deployment", "Pod", "Pod", "Node", "Namespace"]
    refusals = [entry[0] for entry in told if not isinstance(entry, bool) and isinstance(entry[0], type)]
    assert refusals == [AlreadyExists, Invalid, Conflict, NotFound, NotFound, Conflict, NotFound]


async def errors(real: Real) -> None:
    pods = real.client.resource("v1", "pods")
    with pytest.raises(APIError, match="live in a namespace: say which"):
        await pods.get("a")
    with pytest.raises(UnknownResource):
        await real.client.resource("v1", "widgets").get("a", "default")
    with pytest.raises(InvalidSelector):
        await pods.lister_watcher(fields="spec.nonsense=1").list()
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", **DEPLOYMENT}
    with pytest.raises(Invalid):  # nobody says who applies
        await real.client.resource("apps/v1", "deployments").patch("web", deployment, "default", type=PatchType.APPLY)
    assert (await real.client.get_path("/version"))["major"] == "1"


async def credentials(real: Real) -> None:
    server = real.server
    async with connect(
        server.url,
        certificate_authority=server.authority,
        client_certificate=server.certificate,
        client_key=server.key,
    ) as client:
        assert (await client.resource("v1", "namespaces").get("default"))["kind"] == "Namespace"
    async with connect(server.url, insecure=True) as nobody:
        with pytest.raises((Forbidden, APIError)) as caught:
            await nobody.resource("v1", "secrets").get("a", "default")
        assert caught.value.code in (401, 403)
    async with connect(server.url, certificate_authority=server.authority, token="wrong") as client:
        with pytest.raises(Unauthorized):
            await client.resource("v1", "namespaces").get("default")


async def informers(real: Real) -> None:
    pods = real.client.resource("v1", "pods")
    for number in range(30):
        await pods.create(pod(f"p{number:02}", app="web" if number % 2 else "db"), "default")
    async with trio.open_nursery() as nursery:
        shared = SharedInformers(real.client, random=Random(3))
        every, some = (
            shared.informer("v1", "pods"),
            shared.informer("v1", "pods", namespace="default", labels="app=web"),
        )
        nursery.start_soon(shared.run)
        await shared.wait_until_synced()
        for number in range(30):
            if number % 3 == 0:
                await pods.delete(f"p{number:02}", "default", grace_period_s=0)
            elif number % 3 == 1:
                await pods.patch(f"p{number:02}", {"metadata": {"labels": {"app": "web"}}}, "default")
            else:
                binding = {"metadata": {"name": f"p{number:02}"}, "target": {"kind": "Node", "name": "n1"}}
                await pods.subresource("binding").create(binding, "default")
        last = await pods.create(pod("last", app="web"), "default")
        for informer in (every, some):
            await informer.wait_until_revision(int(last["metadata"]["resourceVersion"]))
            selected = informer.store.objects()
            labels = {} if informer is every else {"labels": "app=web"}
            listed = await pods.lister_watcher(namespace="default", **labels).list()
            assert shown(selected) == shown(listed.objects)
        assert len(every.store.objects()) == 21
        nursery.cancel_scope.cancel()


async def losses(real: Real) -> None:
    """Every connection is cut, again and again: the informer resumes, and lists once."""
    configmaps = real.client.resource("v1", "configmaps")
    store = Store()
    source = configmaps.lister_watcher(namespace="default")
    reflector = Reflector(source, store, random=Random(5), streams=True, first_list="0")
    async with trio.open_nursery() as nursery:
        await nursery.start(reflector.run)
        for number in range(5):
            await configmaps.create({"metadata": {"name": f"a{number}"}}, "default")
            for stream in real.streams:
                await trio.aclose_forcefully(stream)
            real.streams.clear()
            made = await created(real, f"b{number}")
            revision = int(made["metadata"]["resourceVersion"])
            await until(lambda revision=revision: store.revision >= revision)
        nursery.cancel_scope.cancel()
    listed = await source.list()
    assert shown(store.objects()) == shown(listed.objects)
    assert reflector.statistics().lists == 1


async def created(real: Real, name: str) -> JSONObject:
    """A configmap, made in spite of connections that are cut."""
    with trio.fail_after(WAIT_S):
        while True:
            try:
                return await real.client.resource("v1", "configmaps").create({"metadata": {"name": name}}, "default")
            except APIError as error:
                assert error.code in (503, 504), error


async def pages(real: Real) -> None:
    source = real.client.resource("v1", "configmaps").lister_watcher(namespace="default")
    whole = await source.list()
    page = await source.list(page_size=3)
    found = [*page.objects]
    while page.next_page:
        page = await source.list(page_size=3, page=page.next_page)
        assert len(page.objects) <= 3
        found += page.objects
    assert shown(found) == shown(whole.objects)
    assert len(found) == 10


async def custom_resources(real: Real) -> None:
    """Defined while an informer already asks for it."""
    store = Store()
    widgets = real.client.resource("example.com/v1", "widgets", selectable=["spec.color"])
    reflector = Reflector(widgets.lister_watcher(), store, random=Random(5))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reflector.run)
        await until(lambda: reflector.statistics().failures > 0)
        await real.client.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(DEFINITION)
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    await widgets.create({"metadata": {"name": "w"}, "spec": {"color": "red"}}, "default")
                    break
                except APIError:
                    await trio.sleep(0.1)
        await until(lambda: len(store.objects()) == 1)
        with pytest.raises(UnsupportedMediaType):
            await widgets.patch("w", {"spec": {}}, "default", type=PatchType.STRATEGIC)
        nursery.cancel_scope.cancel()
    assert [(obj.key, obj.fields, obj.parse()["kind"]) for obj in store.objects()] == [
        ("default/w", {"spec.color": "red"}, "Widget")
    ]


async def compaction(real: Real) -> None:
    """A page whose revision was compacted, and a watch of the distant past."""
    source = real.client.resource("v1", "configmaps").lister_watcher(namespace="default")
    page = await source.list(page_size=3)
    made = await real.client.resource("v1", "configmaps").create({"metadata": {"name": "later"}}, "default")
    await real.etcd.ask("/v3/kv/compaction", {"revision": made["metadata"]["resourceVersion"], "physical": True})
    with pytest.raises(Expired) as caught:
        while page.next_page:
            page = await source.list(page_size=3, page=page.next_page)
    assert caught.value.continue_token
    younger = real.client.resource(
        "example.com/v1", "widgets"
    ).lister_watcher()  # its cache began long after revision 1
    with pytest.raises(Expired):
        async with younger.watch(1) as stream:
            await stream.receive()
