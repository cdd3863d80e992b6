"""Looking at an API, and never writing: a server's, or that of a store which no server has open.

    a store ─ cluster without caches ─ a server on a pair of sockets ─┐
    a server's URL, or a kubeconfig ──────────────────────────────────┴─► HTTPClient ─► Look: kinds, objects, tables, watches

So there is one way to look, and what is shown of a store is what its API server would show. Whoever looks sends GETs alone; a
cluster that is opened for it compacts nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import trio

from reflector import http
from watch import APIError

from ._assembly import open_cluster
from ._look_kinds import Kind, Kinds, kinds_of_aggregated, kinds_of_list
from ._stores import StoreOptions
from .server import Server, ServerOptions
from .storage._nursery import open_service_nursery

JSON = "application/json"
AGGREGATED = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON}"
TABLE = f"{JSON};as=Table;v=v1;g=meta.k8s.io,{JSON}"
Query = dict[str, str | int | bool | None]
PAGE = 500
"""Objects a page of a list. Source: kubectl's --chunk-size."""


class NothingThere(Exception):
    """There is no store, or nothing that is called so; the message says what to change."""


class Look:
    """An API that is looked at. Made by `open_look`."""

    def __init__(self, client: http.HTTPClient) -> None:
        self._client = client
        self.namespace = client.namespace or "default"
        """Where to look unless somebody says otherwise: what the kubeconfig's context says."""

    async def kinds(self) -> Kinds:
        """All resources. Raises APIError."""
        documents = [await self._client.get_path(path, accept=AGGREGATED) for path in ("/api", "/apis")]
        if all(document.get("kind") == "APIGroupDiscoveryList" for document in documents):
            return Kinds(kinds_of_aggregated(documents))
        versions = [*documents[0].get("versions", ())]
        versions += [group["preferredVersion"]["groupVersion"] for group in documents[1].get("groups", ())]
        found: list[Kind] = []
        for version in versions:
            path = f"/apis/{version}" if "/" in version else f"/api/{version}"
            found += kinds_of_list(version, await self._client.get_path(path))
        return Kinds(found)

    async def get(self, kind: Kind, namespace: str, name: str, *, as_table: bool = False) -> Any:
        """One object, or its table. Raises NotFound."""
        return await self._client.get_path(path_of(kind, namespace, name), accept=TABLE if as_table else JSON)

    async def select(
        self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "", as_table: bool = False
    ) -> dict[str, Any]:
        """What is selected, in pages, put together; the list's resourceVersion is that of its first page. Raises APIError.

        Args:
            namespace: "": all.
        """
        query: Query = {"labelSelector": labels, "fieldSelector": fields, "limit": PAGE}
        path, accept, member = path_of(kind, namespace), TABLE if as_table else JSON, "rows" if as_table else "items"
        whole: dict[str, Any]
        page: dict[str, Any]
        whole = page = await self._client.get_path(path, query, accept=accept)
        member = member if whole.get("kind") == "Table" else "items"
        whole[member] = whole.get(member) or []
        while token := (page.get("metadata") or {}).get("continue"):
            page = await self._client.get_path(path, {**query, "continue": token}, accept=accept)
            whole[member] += page.get(member) or []
        (whole.get("metadata") or {}).pop("continue", None)
        return whole

    @asynccontextmanager
    async def watch(
        self,
        kind: Kind,
        namespace: str,
        *,
        revision: str,
        labels: str = "",
        fields: str = "",
        as_table: bool = False,
    ) -> AsyncIterator[AsyncIterator[Any]]:
        """What happens after `revision`, event by event, until the server ends it. Raises APIError."""
        query: Query = {"watch": True, "labelSelector": labels, "fieldSelector": fields, "resourceVersion": revision}
        path, accept = path_of(kind, namespace), TABLE if as_table else JSON
        async with self._client.lines_of(path, query, accept=accept) as lines:
            yield lines

    async def events_of(self, obj: dict[str, Any]) -> list[dict[str, Any]]:
        """The events about an object, oldest first; none where they are not to be had."""
        metadata = obj.get("metadata") or {}
        about = {"name": metadata.get("name", ""), "uid": metadata.get("uid", "")}
        query = {"fieldSelector": ",".join(f"involvedObject.{key}={value}" for key, value in about.items() if value)}
        path = f"/api/v1/namespaces/{metadata.get('namespace') or 'default'}/events"
        try:
            found: list[dict[str, Any]] = (await self._client.get_path(path, query)).get("items") or []
        except APIError:
            return []
        return sorted(found, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")


def path_of(kind: Kind, namespace: str, name: str = "") -> str:
    """Where a resource's objects are; `namespace` "": all of them."""
    path = f"/apis/{kind.group_version}" if kind.group else f"/api/{kind.group_version}"
    if namespace and kind.namespaced:
        path += f"/namespaces/{namespace}"
    return f"{path}/{kind.plural}/{name}" if name else f"{path}/{kind.plural}"


def _is_there(directory: str | Path) -> bool:
    return Path(directory).is_dir()


@asynccontextmanager
async def open_look(
    store: StoreOptions | None = None,
    *,
    server: str | None = None,
    kubeconfig: str | None = None,
    context: str = "",
    token: str = "",
    token_file: str | None = None,
    certificate_authority: str | None = None,
    insecure: bool = False,
) -> AsyncIterator[Look]:
    """An API to look at, for as long as the context lasts.

    Args:
        store: a store that no server has open, or a real etcd; None: a server, see `reflector.connect`.
    Raises:
        NothingThere: there is no store at that place.
        EtcdError, OSError: the store cannot be opened. KubeconfigError, TLSError, ValueError: see `reflector.connect`.
    """
    if store is None:
        async with http.connect(
            server,
            kubeconfig=kubeconfig,
            context=context,
            token=token,
            token_file=token_file,
            certificate_authority=certificate_authority,
            insecure=insecure,
        ) as client:
            yield Look(client)
        return
    if store.data_dir is not None and not _is_there(store.data_dir):
        raise NothingThere(f"--data-dir {store.data_dir}: there is no such directory, and looking makes none")
    async with open_cluster(etcd=store, compaction_period_s=0, watch_cache=False) as cluster:
        await cluster.follow_definitions()
        serving = Server(
            cluster,
            options=ServerOptions(),
            random=Random(),
            unix=cluster.clock.unix,
            is_tls=False,
            protobuf=None,
        )
        async with open_service_nursery() as nursery:

            async def dial(host: str, port: int) -> trio.abc.Stream:
                ours, theirs = trio.socket.socketpair()
                nursery.start_soon(serving.serve, trio.SocketStream(theirs))
                await trio.lowlevel.checkpoint()
                return trio.SocketStream(ours)

            async with http.connect("http://store.localhost", dial=dial) as client:
                yield Look(client)
