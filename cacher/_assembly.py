"""Where the layers are joined: the only file that names the concrete classes of each.

    open_cluster ─ an etcd ─ for each resource asked for: EtcdStorage ─ CacherStorage ─ CachedReader ─ Resource
                             or, with its cache off:      EtcdStorage ───────────────── StoreReader ── Resource
                             and for its verbs:    the same storage ─ ReadyStorage ─ RegistryStore ─ ResourceDoor ─ Resource

A Resource is the door for code in this process: lists and watches from the cache, and the API's verbs with their rules. Its
cache, if any, starts when it is first used, and is filled by an EtcdListerWatcher: a watch of EtcdStorage would be
sent and decode each previous object, which the cache has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec
import trio

from watch import APIError, FieldSelector, LabelSelector, Object, ObjectReader, Selector, TooManyRequests

from ._cacher import CacherStatistics
from ._cacher_storage import CacherStorage
from ._clock import Clock
from ._consistency import PERIOD_S
from ._readers import CachedReader, ObjectList, Reader, StoreReader
from ._ready_storage import ReadyStorage
from ._resource_source import ResourceListerWatcher
from ._resources import RESOURCES, ROOT, ResourceInfo, find_resource, resource_at
from ._ring import Ring
from ._store_watch import ResourceWatch
from ._stores import StoreOptions, open_store
from ._writes import Writes
from .registry import DEFINITIONS, Definitions, Environment, Registry, ResourceDoor
from .storage import Codec, Interface, ListOptions, Match
from .storage._metrics import CacheMetrics, EtcdMetrics, MetricsRegistry, MetricsSnapshot
from .storage._nursery import open_service_nursery
from .storage.etcd import Compactor, Etcd, EtcdListerWatcher, EtcdStorage, Snapshot

COMPACTION_PERIOD_S = 300.0
"""History in the store is kept for one to two periods. Source: kubernetes/apiserver etcd3/compact.go."""

DEFINITIONS_RETRY_S = 1.0
"""How soon a store that would not say what is defined is asked again."""

NAME = "cluster"
"""What a cluster is called where nobody says otherwise."""

LabelsLike = str | LabelSelector | Mapping[str, str] | None
FieldsLike = str | FieldSelector | Mapping[str, str] | None


class Resource(Writes):
    """One resource of a cluster, read from its cache, or from the store where that is off. Made by `Cluster.resource`.

    `list`, `find` and `watch` bring Objects, which all readers share, and raise what a cache can say. The verbs of the API
    (`get`, `create`, `update`, `patch`, `delete`, `delete_collection`, and those of `subresource`) take and give JSON data,
    keep the resource's rules, and raise APIErrors.
    """

    def __init__(
        self,
        info: ResourceInfo,
        reader: Callable[[], Reader],
        find: Callable[[], ResourceDoor],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(find, settle)
        self.info = info
        self._find_reader = reader

    @property
    def _reader(self) -> Reader:
        return self._find_reader()

    @property
    def group_version(self) -> str:
        """Such as "v1" or "apps/v1"."""
        return self.info.group_version

    @property
    def plural(self) -> str:
        """Such as "pods"."""
        return self.info.plural

    @property
    def storage(self) -> Interface:
        """What is below: a CacherStorage, or an EtcdStorage where there is no cache. Not ready before `ready`."""
        return self._reader.storage

    @property
    def is_cached(self) -> bool:
        """Whether reads are answered from a cache."""
        return isinstance(self._reader, CachedReader)

    async def ready(self) -> None:
        """Return once lists are answered; starts the cache where this is its first use. What has just been defined is served.
        A store that answers nobody is waited for."""
        if not self.info.is_built_in:
            await _patiently(self._settle)
        await self._reader.ready()

    async def wait_until_fresh(self, revision: int, *, watch: ResourceWatch | None = None) -> None:
        """Return once all up to `revision` can be taken at once: by list and watch, or by this `watch` of the resource.

        A cache is fresh for all its watches alike. Without one, each watch that is open is waited for, or the given one, as
        long as it takes, also for a reader whose buffer is full.
        Raises:
            watch.TooLargeResourceVersion: the cache was not so far within 3 s.
            ProgressUntrusted: there is no cache, and this etcd's word on its progress is not to be trusted.
        """
        await self._reader.wait_until_fresh(revision, watch)

    async def list(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        resource_version: str | int = "",
        match: str = "",
    ) -> ObjectList:
        """What the selectors let through, in key order. Waits while the cache is filled anew.

        Args:
            resource_version: "": not older than this call; "0": what the cache has; N: not older than N, or with
                `match="Exact"` as it was at N.
        Raises:
            watch.InvalidSelector: the text says where.
            watch.Expired: `match="Exact"` at a revision that the store has compacted.
            watch.TooLargeResourceVersion: the cache did not get to N within 3 s.
            ValueError: a resource version or match that is none.
        """
        selector = self._selector(namespace, name, labels, fields)
        revision = _read_revision(resource_version)
        if match not in ("", "Exact", "NotOlderThan"):
            raise ValueError(f"match {match!r} is not one of 'Exact', 'NotOlderThan'")
        if (match and revision is None) or (match == "Exact" and not revision):
            raise ValueError(f"match={match!r} needs a resource_version to compare with")
        return await self._reader.list(
            ListOptions(resource_version=_text(revision), match=match and Match(match), selector=selector)
        )

    async def find(self, name: str, namespace: str | None = None) -> Object | None:
        """The object of that name, not older than this call; None where there is none. Always the store's answer.

        Raises:
            ValueError: a namespace is missing, or given where there is none.
        """
        return await self._reader.get(self.info.key(name, namespace))

    @asynccontextmanager
    async def watch(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: LabelsLike = None,
        fields: FieldsLike = None,
        resource_version: str | int | None = None,
        send_initial_events: bool | None = None,
        bookmarks: bool = False,
    ) -> AsyncIterator[ResourceWatch]:
        """A watch, closed at the end of the `async with`: a `watch.Watch`, where the resource has a cache.

        Args:
            resource_version: None, "" or "0": first the present state as ADDED, then changes; N: the changes after N.
            send_initial_events: True: the state first in any case, not older than `resource_version` (not older than this
                call where that is not set), and with `bookmarks` an annotated bookmark at its end; False: changes only.
            bookmarks: say about every minute how far the watch is.
        Raises:
            watch.Expired: on entering, where the history no longer reaches back to N: list again. Without a cache what goes
                wrong at the start is raised by the first receive.
            watch.InvalidSelector, watch.TooLargeResourceVersion, ValueError: as `list`.
        """
        selector = self._selector(namespace, name, labels, fields)
        revision = _read_revision("" if resource_version is None else resource_version)
        options = ListOptions(
            resource_version=_text(revision),
            selector=selector,
            send_initial_events=send_initial_events,
            allow_bookmarks=bookmarks,
        )
        async with self._reader.watch(options) as watch:
            yield watch

    def lister_watcher(
        self, *, namespace: str | None = None, labels: LabelsLike = None, fields: FieldsLike = None
    ) -> ResourceListerWatcher:
        """What an informer mirrors the selected objects by, over this resource's cache. Starts nothing.

        Raises:
            watch.InvalidSelector: the text says where.
            ValueError: a namespace is given where there is none.
        """
        selector = self._selector(namespace, None, labels, fields)
        return ResourceListerWatcher(self._find_reader, self.ready, selector, self.info.kind)

    def statistics(self) -> CacherStatistics:
        """The cache's figures now; all 0 where there is none."""
        return self._reader.statistics()

    def _selector(self, namespace: str | None, name: str | None, labels: LabelsLike, fields: FieldsLike) -> Selector:
        selector = Selector.of(namespace=namespace, name=name, labels=labels, fields=fields)
        selector.fields.check_supported(self.info.selectable)
        if namespace and not self.info.namespaced:
            raise ValueError(f"{self.info.plural} live in no namespace: leave it out")
        return selector


class Cluster:
    """A store and the caches over it. Made by `open_cluster`."""

    def __init__(
        self,
        etcd: Etcd,
        nursery: trio.Nursery,
        random: Random,
        *,
        root: str = ROOT,
        compactor: Compactor,
        clock: Clock | None = None,
        watch_cache: bool | Mapping[str, bool] = True,
        consistency_period_s: float = PERIOD_S,
        batch_interval_s: float = 0.0,
        checks_namespaces: bool = True,
        name: str = NAME,
        new_ring: Callable[[], Ring] = Ring,
    ) -> None:
        self.name = name
        """Which server this is, for those who read what a controller did."""
        self.etcd = etcd
        """The store itself, for raw puts and deletes."""
        self.root = root
        """What every object's key starts with: `/registry/`."""
        self._nursery = nursery
        self._random = random
        self._compactor = compactor
        self._watch_cache = watch_cache
        self._consistency_period_s = consistency_period_s
        self._batch_interval_s = batch_interval_s
        self._new_ring = new_ring
        self._resources: dict[str, Resource] = {}
        self._custom: dict[tuple[str, str], Reader] = {}
        """Of custom resources that are served, by group version and plural."""
        self._definitions: Definitions | None = None
        self._fills_at_once = False
        """Whether a custom resource's cache is filled when it is defined, not when it is first read."""
        self._metrics = MetricsRegistry()
        self.clock = clock if clock is not None else Clock(0)
        """The time of day here."""
        environment = Environment(self.clock.rfc3339, Random(random.getrandbits(64)))
        self.registry = Registry(self._storage_for, environment=environment, checks_namespaces=checks_namespaces)
        """The API's resources and their rules; `registry.add` serves another one."""

    def resource(self, version: str, plural: str) -> Resource:
        """The door to a resource, such as ("v1", "pods") or ("apps/v1", "deployments"). The same one each time.

        Raises:
            ValueError: a built-in group has no such resource; the message lists what it has.
        """
        return self._door(self._below_root(find_resource(version, plural)))

    def resource_at(self, prefix: str) -> Resource:
        """The door to whatever is stored under an etcd prefix such as "/registry/pods/".

        Raises:
            ValueError: `prefix` does not end in "/".
        """
        if not prefix.startswith(self.root):
            return self._door(resource_at(prefix))
        info = resource_at(ROOT + prefix.removeprefix(self.root))
        return self._door(msgspec.structs.replace(info, prefix=prefix))

    def resources(self) -> list[Resource]:
        """Those asked for so far, oldest first."""
        return list(self._resources.values())

    def metrics(self) -> MetricsSnapshot:
        """What storages and caches have counted, as it is now, under Kubernetes' names. Cost: O(samples and views)."""
        return self._metrics.snapshot()

    def _door(self, info: ResourceInfo) -> Resource:
        door = self._resources.get(info.prefix)
        if door is None:
            door = self._resources[info.prefix] = self._opened(info)
        return door

    def _opened(self, info: ResourceInfo) -> Resource:
        known = (info.group_version, info.plural)
        own = self._reader(info, self._nursery)
        return Resource(
            info,
            lambda: self._custom.get(known, own),
            lambda: self._api(known),
            self.follow_definitions,
        )

    def _api(self, known: tuple[str, str]) -> ResourceDoor:
        if known == DEFINITIONS:
            self._definitions_started()
        return self.registry.resource(*known)

    async def follow_definitions(self) -> None:
        """Return once what is defined now is served; what is defined later will be, too.

        Raises:
            watch.APIError: the store did not say what is defined; try again where its code is 429 or 500 and above.
        """
        await self._definitions_started().settled()

    async def prepare(self) -> None:
        """Return once the caches of all built-in resources are filled, and what is defined now is served. What is defined
        later has its cache filled before it is served. A store that answers nobody is waited for.

        Without it a cache begins with its first reader, who has no history from before: not even from the revision of the
        write that they were answered just now.
        """
        self._fills_at_once = True
        async with trio.open_nursery() as nursery:
            for known in RESOURCES:
                nursery.start_soon(self.resource(*known).ready)
            nursery.start_soon(_patiently, self.follow_definitions)

    def _definitions_started(self) -> Definitions:
        if self._definitions is None:
            random = Random(self._random.getrandbits(64))
            self._definitions = Definitions(self.registry, self._open_custom, random=random)
            self._nursery.start_soon(self._definitions.run, name="definitions")
        return self._definitions

    def _storage_for(self, info: ResourceInfo) -> Interface:
        """Where the registry keeps a resource's objects: where readers of that resource find them."""
        return ReadyStorage(self._door(self._below_root(info))._reader)

    @asynccontextmanager
    async def _open_custom(self, info: ResourceInfo, codec: Codec) -> AsyncIterator[Interface]:
        """The objects of a custom resource in one of its versions, as its definition has them; readers get the same."""
        known = (info.group_version, info.plural)
        async with open_service_nursery() as nursery:
            reader = self._reader(self._below_root(info), nursery, codec)
            self._custom[known] = reader
            try:
                if self._fills_at_once:
                    await reader.ready()
                yield ReadyStorage(reader)
            finally:
                if self._custom.get(known) is reader:
                    del self._custom[known]
                reader.end_watches()

    def _below_root(self, info: ResourceInfo) -> ResourceInfo:
        return msgspec.structs.replace(info, prefix=self.root + info.prefix.removeprefix(ROOT))

    def _reader(self, info: ResourceInfo, nursery: trio.Nursery, codec: Codec | None = None) -> Reader:
        """`codec`: of a custom resource; else objects are as they are stored."""
        random = Random(self._random.getrandbits(64))
        root, resource_prefix = self._split(info.prefix)
        supports_progress = self.etcd.supports_progress
        absent = dict(info.absent)
        labels = {"group": info.group_version.rpartition("/")[0], "resource": info.plural}
        store = EtcdStorage(
            self.etcd,
            resource_prefix=resource_prefix,
            resource=info.plural,
            root=root,
            codec=codec
            or Codec(
                group_version=info.group_version,
                kind=info.kind,
                fields=info.fields,
                absent=absent,
                read_from=dict(info.read_from),
            ),
            random=random,
            compactor=self._compactor,
            supports_progress=supports_progress,
            metrics=EtcdMetrics(self._metrics, **labels),
        )
        if not self._is_cached(info):
            return StoreReader(store, info.prefix, root, supports_progress=supports_progress)
        cached = CacherStorage(
            store,
            random=random,
            root=root,
            ring=self._new_ring(),
            indexed=info.indexed,
            supports_progress=supports_progress,
            metrics=CacheMetrics(self._metrics, **labels),
            lister_watcher=None if codec is not None else self._plain(info),
            consistency_period_s=self._consistency_period_s,
            batch_interval_s=self._batch_interval_s,
        )
        return CachedReader(cached, info.prefix, root, nursery)

    def _plain(self, info: ResourceInfo) -> EtcdListerWatcher:
        reader = ObjectReader(info.fields, absent=dict(info.absent), read_from=dict(info.read_from))
        return EtcdListerWatcher(self.etcd, info.prefix, reader, with_previous=False)

    def _split(self, prefix: str) -> tuple[str, str]:
        """Where a storage's root ends and its resource's prefix begins.

        Raises:
            ValueError: the prefix cannot be a storage's.
        """
        if not prefix.strip("/") or not prefix.startswith("/"):
            raise ValueError(f"{prefix!r} is not the prefix of a resource: start it with '/', and name something")
        root = self.root.rstrip("/") if prefix.startswith(self.root) else ""
        return root, prefix.removeprefix(root).rstrip("/")

    def _is_cached(self, info: ResourceInfo) -> bool:
        if isinstance(self._watch_cache, bool):
            return self._watch_cache
        return self._watch_cache.get(info.qualified_name, self._watch_cache.get(info.plural, True))


@asynccontextmanager
async def open_cluster(
    *,
    etcd: str | Sequence[str] | StoreOptions | None = None,
    data_dir: str | Path | None = None,
    snapshot: Snapshot | None = None,
    random: Random | None = None,
    ack_turns: Callable[[], int] | None = None,
    compaction_period_s: float = COMPACTION_PERIOD_S,
    consistency_period_s: float = PERIOD_S,
    batch_interval_s: float = 0.0,
    watch_cache: bool | Mapping[str, bool] = True,
    epoch_s: float | None = None,
    checks_namespaces: bool = True,
    name: str = NAME,
) -> AsyncIterator[Cluster]:
    """A cluster on an embedded etcd, or on a real one, for as long as the context lasts.

    Args:
        etcd: a real etcd's endpoint, `http://127.0.0.1:2379`, or several, also in one text with commas; StoreOptions
            where it wants certificates or a password, or keeps the objects elsewhere than under `/registry`.
        data_dir: where the embedded etcd is kept, to be there again at the next start; in memory alone by default.
        snapshot: what the embedded etcd holds at first, where nothing is kept yet; nothing by default.
        random: where all chance comes from; the system's by default.
        ack_turns: scheduler turns between a write and its acknowledgement, so that an event may come first; 1 by default.
        compaction_period_s: the store keeps history for one to two of these, which whoever shares it agree on through
            its `compact_rev_key`, a write each time; 0: it is left to others.
        consistency_period_s: seconds, up to half as many again, between two comparisons of a cache with the store; 0: none.
        batch_interval_s: seconds for which a watch may be given an event late, where it comes so soon after another, so that
            both go out together; 0: each as it comes. A server with many watches spends several times less on each event.
        watch_cache: False: no caches, every read goes to the store; or which resources have one, by name ("events",
            "deployments.apps"): those that are not named do.
        epoch_s: the Unix time at which the trio clock shows 0, for the times in objects; the machine's by default.
        checks_namespaces: whether what is written into a namespace that is not there, or is going, is refused.
        name: which server this is, for those who read what a controller did.
    Raises:
        ValueError: arguments that exclude each other; the message says which.
        EtcdError, OSError: the store cannot be opened; see open_remote_etcd and open_embedded_etcd.
    """
    options = _store_options(etcd, data_dir)
    chance = random if random is not None else Random()
    store_chance = Random(chance.getrandbits(64))
    async with (
        open_store(options, random=store_chance, snapshot=snapshot, ack_turns=ack_turns) as store,
        open_server(
            store,
            random=chance,
            clock=Clock.of_machine() if epoch_s is None else Clock(epoch_s),
            root=options.root,
            compaction_period_s=compaction_period_s,
            consistency_period_s=consistency_period_s,
            batch_interval_s=batch_interval_s,
            watch_cache=watch_cache,
            checks_namespaces=checks_namespaces,
            name=name,
        ) as cluster,
    ):
        yield cluster


@asynccontextmanager
async def open_server(
    store: Etcd,
    *,
    random: Random,
    clock: Clock,
    root: str = ROOT,
    compaction_period_s: float = COMPACTION_PERIOD_S,
    consistency_period_s: float = PERIOD_S,
    batch_interval_s: float = 0.0,
    watch_cache: bool | Mapping[str, bool] = True,
    checks_namespaces: bool = True,
    name: str = NAME,
    new_ring: Callable[[], Ring] = Ring,
) -> AsyncIterator[Cluster]:
    """A cluster over a store that somebody else has opened, and may share: one API server of several.

    Args:
        new_ring: makes the history of each cache.
        The others: see open_cluster.
    """
    async with open_service_nursery() as nursery:
        compactor = Compactor(store, interval_s=compaction_period_s)
        nursery.start_soon(compactor.run, name="compactor")
        yield Cluster(
            store,
            nursery,
            random,
            root=root,
            compactor=compactor,
            clock=clock,
            watch_cache=watch_cache,
            consistency_period_s=consistency_period_s,
            batch_interval_s=batch_interval_s,
            checks_namespaces=checks_namespaces,
            name=name,
            new_ring=new_ring,
        )


async def _patiently(follow_definitions: Callable[[], Awaitable[None]]) -> None:
    """As caches do: asked again as long as the store answers nobody."""
    while True:
        try:
            return await follow_definitions()
        except APIError as error:
            if error.code < 500 and error.code != TooManyRequests.code:
                raise
        await trio.sleep(DEFINITIONS_RETRY_S)


def _store_options(etcd: str | Sequence[str] | StoreOptions | None, data_dir: str | Path | None) -> StoreOptions:
    if isinstance(etcd, StoreOptions):
        return etcd if data_dir is None else msgspec.structs.replace(etcd, data_dir=data_dir)
    endpoints = etcd.split(",") if isinstance(etcd, str) else etcd or ()
    return StoreOptions(endpoints=tuple(endpoints), data_dir=data_dir)


def _text(revision: int | None) -> str:
    return "" if revision is None else str(revision)


def _read_revision(resource_version: str | int) -> int | None:
    """None: not set. Raises ValueError for what is no revision."""
    if resource_version == "":
        return None
    text = str(resource_version)
    if not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"invalid resource version: {resource_version!r}: a revision is digits, as a list or an event gave it"
        )
    return int(text)
