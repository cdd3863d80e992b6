"""One definition as it is served: a storage for each version, and how a registry makes resources of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

import trio

from watch import NotReady

from .._resources import ROOT, ResourceInfo
from ..storage import Codec, Interface
from ._custom_codec import CustomResourceCodec
from ._custom_resources import CustomResourceStore, CustomStatusStrategy, Life
from ._custom_scale import CustomScaleStore
from ._custom_schemas import CustomSchemas
from ._errors import UnknownResource
from ._makers import Installed, Maker
from ._meta import JSONObject, text
from ._served_storage import ServedStorage
from ._subresource import SubresourceStore
from .schema import Definition, Version

if TYPE_CHECKING:
    from ._rest import Environment, Storage

OpenStorage = Callable[[ResourceInfo, Codec], AbstractAsyncContextManager[Interface]]
"""Opens where the objects of a custom resource are, read and written by this codec: a storage, cached or not."""

END_GRACE_S = 1.0
"""How long a watch of a deleted definition that is not a cache's may bring nothing before it ends."""


def served_form(crd: JSONObject) -> tuple[Any, ...]:
    """What of a definition decides how it is served: where it changes, its storages are made anew."""
    return text(crd, "uid"), crd.get("spec"), (crd.get("status") or {}).get("acceptedNames")


class Serving:
    """A definition in one form.

    Args:
        notify: called once it is ready.
        keeps_managed_fields: False leaves them to clients.
    Raises:
        BadDefinition: it cannot be served.
    """

    def __init__(
        self,
        crd: JSONObject,
        environment: Environment,
        *,
        notify: Callable[[], None],
        keeps_managed_fields: bool = True,
    ) -> None:
        self.uid = text(crd, "uid")
        self.life = Life()
        self.is_ready = False
        self.ended = trio.Event()
        """Set once its storages are closed."""
        self._crd = crd
        self._form = served_form(crd)
        self._environment = environment
        self._notify = notify
        self._keeps_managed_fields = keeps_managed_fields
        self._definition = Definition.from_crd(_with_accepted_names(crd))
        self._schemas = {
            f"{self._definition.group}/{raw['name']}": (raw.get("schema") or {}).get("openAPIV3Schema")
            for raw in crd["spec"]["versions"]
        }
        self._storages: dict[str, ServedStorage] = {}
        self._stop = trio.Event()
        self._grace_s = 0.0

    @property
    def known(self) -> tuple[tuple[str, str], ...]:
        """What it serves: group versions, and the plural."""
        return tuple(self._known(self._definition.versions[name]) for name in self._definition.served)

    @property
    def store(self) -> CustomResourceStore:
        """All of its objects. Once it is ready."""
        version = self._definition.storage_version
        return self._store(self._storages[version.name], self._info(version), version, self._environment)

    def is_of(self, crd: JSONObject) -> bool:
        """Whether the definition is to be served in this very form."""
        if crd is self._crd:
            return True
        if served_form(crd) != self._form:
            return False
        self._crd = crd  # its next look is a short one
        return True

    async def run(self, open_storage: OpenStorage) -> None:
        """Keep its storages open until it is told to stop. Whoever watches is done with when it returns."""
        try:
            async with AsyncExitStack() as stack:
                for version in self._opened():
                    codec = CustomResourceCodec(self._definition, version)
                    opened = await stack.enter_async_context(open_storage(self._info(version), codec))
                    self._storages[version.name] = ServedStorage(opened)
                self.is_ready = True
                self._notify()
                await self._stop.wait()
        finally:
            self.stop_as_gone()
            for storage in self._storages.values():
                storage.end(grace_s=self._grace_s)
            self.ended.set()

    def stop_as_changed(self, still: Collection[tuple[str, str]]) -> None:
        """Another serves the definition from now on: calls to what is `still` there are to come again, and find that other."""
        gone = {name for name in self._storages if self._known(self._definition.versions[name]) not in still}
        self._close(gone, 0.0)

    def stop_as_gone(self) -> None:
        """Nobody serves the definition from now on."""
        self._close(self._storages, END_GRACE_S)

    async def drained(self) -> None:
        """Return once no write is under way that may create."""
        for storage in self._storages.values():
            await storage.drained()

    def resources(self) -> Iterator[tuple[ResourceInfo, Maker, Interface]]:
        """What a registry adds for it, once it is ready."""
        for name in self._definition.served:
            version = self._definition.versions[name]
            yield self._info(version), self._maker(version), self._storages[name]

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _opened(self) -> list[Version]:
        """The served versions, and the one in which objects are stored: when it goes, they go through that."""
        definition = self._definition
        return [one for one in definition.versions.values() if one.is_served or one is definition.storage_version]

    def _known(self, version: Version) -> tuple[str, str]:
        return version.api_version, self._definition.names.plural

    def _info(self, version: Version) -> ResourceInfo:
        definition = self._definition
        plural = definition.names.plural
        return ResourceInfo(
            version.api_version,
            definition.names.kind,
            plural,
            f"{ROOT}{definition.group}/{plural}/",
            namespaced=definition.is_namespaced,
            fields=version.selectable_fields,
        )

    def _maker(self, version: Version) -> Maker:
        def make(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
            store = self._store(storage, info, version, environment)
            parts: dict[str, Storage] = {}
            if version.has_status:
                parts["status"] = SubresourceStore(store, CustomStatusStrategy(store.strategy))
            if version.scale is not None:
                parts["scale"] = CustomScaleStore(store, self._definition, version.scale)
            preserves = self._crd["spec"].get("preserveUnknownFields") is True
            schemas = CustomSchemas(
                self._definition,
                version,
                self._schemas,
                preserves_unknown=preserves,
                keeps_managed_fields=self._keeps_managed_fields,
            )
            return Installed(store, parts, schemas)

        return make

    def _store(
        self, storage: Interface, info: ResourceInfo, version: Version, environment: Environment
    ) -> CustomResourceStore:
        return CustomResourceStore(storage, info, self._definition, version, self.life, environment=environment)

    def _close(self, gone: Collection[str], grace_s: float) -> None:
        if self._stop.is_set():
            return
        self._grace_s = grace_s
        for name, storage in self._storages.items():
            storage.close(self._gone if name in gone else _changed)
        self._stop.set()

    def _gone(self) -> Exception:
        names = self._definition.names
        return UnknownResource(f"{names.plural} of {self._definition.group}")


def _changed() -> Exception:
    return NotReady("its definition changed")


def _with_accepted_names(crd: JSONObject) -> JSONObject:
    """The definition as if it asked for the names that it got."""
    accepted = (crd.get("status") or {}).get("acceptedNames") or {}
    return {**crd, "spec": {**crd["spec"], "names": accepted}}
