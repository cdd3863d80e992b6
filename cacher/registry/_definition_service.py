"""Definitions: what makes a registry follow the customresourcedefinitions that are stored.

    stored definitions ─ Reflector ─► _look ─┬─ names accepted, or not                            written to the status
                                             ├─ a Serving for each: its storages, then its doors  then Established
                                             ├─ its spec changed: another Serving, and doors lead there; old watches end
                                             └─ deleted: its objects, its watches, its finalizer  (_clear, a task each)

One task looks at all definitions whenever one changes, and waits for nothing but writes of their status.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/controller/status/naming_controller.go,
pkg/controller/establish, pkg/controller/finalizer. Differs: what is deleted is looked after every second, not every five; a
definition's watches end before it is gone, not after.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random

import trio

from reflector import Reflector

from .._lister_watcher import StorageListerWatcher
from ..storage import ListOptions
from ._definition_mirror import DefinitionMirror
from ._definitions import DEFINITIONS
from ._errors import APIError, Conflict, InternalError, NotFound
from ._meta import JSONObject, deletion_timestamp_of, finalizers_of, name_of, text
from ._registry import Registry
from ._rest import Context
from ._schemas import BuiltInSchemas
from ._serving import OpenStorage, Serving
from ._store import RegistryStore
from .schema import (
    FINALIZER,
    BadDefinition,
    is_accepted,
    is_established,
    is_terminating,
    with_deletion_failed,
    with_deletion_in_progress,
    with_established,
    with_names_decided,
    with_objects_deleted,
)

MANAGER = "kube-apiserver"
"""Who writes the status of definitions, as managedFields tell it."""
RETRY_S = 1.0
"""After which a write that failed is tried again."""
FAILED_PERIOD_S = 10.0
"""After which a deletion of objects that failed, and said so in the status, is tried again."""
CHECK_PERIOD_S = 1.0
"""How often the objects of a deleted definition are deleted and counted again."""


class Definitions:
    """Serves what the stored definitions define, through `registry`, while `run` runs.

    Args:
        registry: where their resources are added and removed; a definition itself is one of its resources.
        open_storage: the objects of one version of a definition, for as long as its context is open; the codec must be used.
            What it opens must end its watches at the end, where these are a `watch.Watch`.
        random: draws the waits after failures.
    """

    def __init__(self, registry: Registry, open_storage: OpenStorage, *, random: Random) -> None:
        self.problems: dict[str, BadDefinition] = {}
        """Stored definitions that cannot be served, by name: who wrote them past the API must mend them."""
        self._registry = registry
        self._open_storage = open_storage
        self._random = random
        self._door = registry.resource(*DEFINITIONS)
        self._status = self._door.subresource("status")
        self._mirror = DefinitionMirror(self._wake)
        self._served: dict[str, Serving] = {}
        self._starting: dict[str, Serving] = {}
        self._clearing: set[str] = set()
        self._cleared: set[str] = set()
        self._woken = trio.Event()
        self._looked = trio.Event()
        self._is_settled = False
        known = registry.schemas
        self._keeps_managed_fields = not isinstance(known, BuiltInSchemas) or known.keeps_managed_fields

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the definitions until cancelled. Started once all that are there are served. Once only."""
        store = self._door.storage
        if not isinstance(store, RegistryStore):
            raise TypeError(
                f"customresourcedefinitions are kept by a {type(store).__name__}: keep them by a RegistryStore"
            )
        source = StorageListerWatcher(store.storage)
        reflector = Reflector(source, self._mirror, random=self._random, name=DEFINITIONS[1])
        has_started = False
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(reflector.run)
                while True:
                    woken = self._woken = trio.Event()
                    is_well = await self._look(nursery)
                    self._note(is_settled=is_well and not self._starting and not woken.is_set())
                    if self._is_settled and not has_started:
                        has_started = True
                        task_status.started()
                    with trio.move_on_after(math.inf if is_well else RETRY_S):
                        await woken.wait()
        finally:
            for name in list(self._served):
                self._retire(name)

    async def settled(self) -> None:
        """Return once every definition as it is stored now is served, or will not be; deletions are not waited for."""
        page = await self._door.list()
        versions = {obj.name: obj.revision for obj in page.objects}
        while not (self._is_settled and self._mirror.has(versions)):
            await self._looked.wait()

    def _wake(self) -> None:
        self._is_settled = False
        self._woken.set()

    def _note(self, *, is_settled: bool) -> None:
        self._is_settled = is_settled
        looked, self._looked = self._looked, trio.Event()
        looked.set()

    # ---- one look at all ---------------------------------------------------------------------------------------------

    async def _look(self, nursery: trio.Nursery) -> bool:
        """Do what the definitions ask for. False: something failed, and is to be tried again without being woken."""
        is_well = True
        for name in sorted(self._mirror.present()):
            try:
                await self._advance(name, nursery)
            except (Conflict, NotFound):
                pass  # somebody was faster, which the mirror will tell
            except APIError:
                is_well = False
        present = self._mirror.present()
        for name, serving in sorted(self._served.items()):
            if text(present.get(name, {}), "uid") != serving.uid:
                self._retire(name)
        for name, serving in sorted(self._starting.items()):
            if name not in present:
                serving.stop_as_gone()
                del self._starting[name]
        self.problems = {name: problem for name, problem in self.problems.items() if name in present}
        uids = {text(crd, "uid") for crd in present.values()}
        self._cleared &= uids
        return is_well

    async def _advance(self, name: str, nursery: trio.Nursery) -> None:
        crd = self._mirror.present().get(name)
        if crd is None:
            return  # it went while another was written
        decided = with_names_decided(crd, self._others(crd), now=self._now())
        if decided is not crd:
            crd = await self._write(decided)
        if (is_accepted(crd) or is_established(crd)) and text(crd, "uid") not in self._cleared:
            self._serve(crd, nursery)
            serving = self._served.get(name)
            if serving is not None and serving.is_of(crd):
                established = with_established(crd, now=self._now())
                if established is not crd:
                    crd = await self._write(established)
        uid = text(crd, "uid")
        if deletion_timestamp_of(crd) and FINALIZER in finalizers_of(crd) and uid not in self._clearing:
            self._clearing.add(uid)
            nursery.start_soon(self._clear, name, uid)

    def _others(self, crd: JSONObject) -> Iterable[JSONObject]:
        """The other definitions of its group."""
        group = crd["spec"].get("group")
        return (
            other
            for name, other in sorted(self._mirror.present().items())
            if name != name_of(crd) and other["spec"].get("group") == group
        )

    async def _write(self, crd: JSONObject) -> JSONObject:
        stored = await self._status.update(crd, field_manager=MANAGER)
        self._mirror.wrote(stored)
        return stored

    def _now(self) -> str:
        return self._registry.environment.now()

    # ---- serving -----------------------------------------------------------------------------------------------------

    def _serve(self, crd: JSONObject, nursery: trio.Nursery) -> None:
        """See to it that the definition is served as it is now, or will be: what is new has to be opened first."""
        name = name_of(crd)
        current = self._served.get(name)
        if current is not None and current.uid == text(crd, "uid"):
            current.life.is_terminating = is_terminating(crd)
        newest = self._starting.get(name, current)
        if newest is None or not newest.is_of(crd):
            if name in self._starting:
                self._starting.pop(name).stop_as_gone()
            if current is not None and current.is_of(crd):
                return  # it was changed, and changed back
            try:
                newest = self._starting[name] = Serving(
                    crd, self._registry.environment, notify=self._wake, keeps_managed_fields=self._keeps_managed_fields
                )
            except BadDefinition as problem:
                self.problems[name] = problem
                return
            self.problems.pop(name, None)
            nursery.start_soon(newest.run, self._open_storage)
        elif name in self._starting and newest.is_ready:
            self._switch(name, newest, is_terminating=is_terminating(crd))

    def _switch(self, name: str, new: Serving, *, is_terminating: bool) -> None:
        """Doors lead to what is new from this moment on."""
        del self._starting[name]
        old = self._served.get(name)
        self._served[name] = new
        new.life.is_terminating = is_terminating
        for info, maker, storage in new.resources():
            self._registry.add(info, maker, storage=storage)
        if old is not None:
            for known in sorted(set(old.known) - set(new.known)):
                self._registry.remove(*known)
            old.stop_as_changed(still=new.known)

    def _retire(self, name: str) -> None:
        """Serve it no more."""
        serving = self._served.pop(name)
        for known in serving.known:
            self._registry.remove(*known)
        serving.stop_as_gone()

    # ---- the end of one ----------------------------------------------------------------------------------------------

    async def _clear(self, name: str, uid: str) -> None:
        """Delete the definition's objects, stop serving it, and let it go."""
        try:
            while True:
                try:
                    await self._clear_once(name, uid)
                    return
                except Conflict:
                    await trio.lowlevel.checkpoint()  # somebody was faster: at once, with what is there now
                except NotFound:
                    return
                except APIError:
                    await trio.sleep(RETRY_S)
        finally:
            self._clearing.discard(uid)

    async def _clear_once(self, name: str, uid: str) -> None:
        crd = await self._door.get(name)
        if text(crd, "uid") != uid or FINALIZER not in finalizers_of(crd):
            return
        if uid not in self._cleared and is_established(crd):
            crd = await self._written(crd, with_deletion_in_progress(crd, now=self._now()))
            try:
                await self._delete_objects(name, uid)
            except APIError as error:
                await self._written(crd, with_deletion_failed(crd, error.message, now=self._now()))
                await trio.sleep(FAILED_PERIOD_S)
                raise
        self._cleared.add(uid)
        serving = self._served.get(name)
        if serving is not None and serving.uid == uid:
            self._retire(name)
            await serving.ended.wait()
        crd = await self._door.get(name)
        if text(crd, "uid") == uid:
            await self._write(with_objects_deleted(crd, now=self._now()))

    async def _written(self, before: JSONObject, after: JSONObject) -> JSONObject:
        return before if before == after else await self._write(after)

    async def _delete_objects(self, name: str, uid: str) -> None:
        """Return once there are none; those that finalizers hold are waited for."""
        while True:
            serving = self._served.get(name)
            if serving is None or serving.uid != uid:
                if name in self.problems:
                    raise InternalError(str(self.problems[name]))
                await self._looked.wait()
                continue
            serving.life.is_terminating = True
            await serving.drained()
            store = serving.store
            page = await store.list(Context(), ListOptions())
            for namespace in sorted({obj.namespace for obj in page.objects}):
                await store.delete_collection(Context(namespace), ListOptions())
            if not (await store.list(Context(), ListOptions(limit=1))).objects:
                return
            await trio.sleep(CHECK_PERIOD_S)
