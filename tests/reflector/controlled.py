"""Doubles for the controllers' tests: an informer that tells what the test says, and short words for objects."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import trio
import trio.testing

from reflector import Controller, ExponentialLimiter, Lister, Replacement, Store
from watch import Object, ObjectReader

_READER = ObjectReader()


def made(name: str, namespace: str = "shop", *, revision: int = 1, uid: str = "", **more: Any) -> Object:
    """An object; `more` is metadata in the API's words, but `spec` and `status`, which stand beside it."""
    beside = {word: more.pop(word) for word in ("spec", "status", "data") if word in more}
    metadata = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}", **more}
    return _READER.read(
        f"/registry/things/{namespace}/{name}", json.dumps({"metadata": metadata, **beside}).encode(), revision
    )


class FakeRegistration:
    def __init__(self, informer: FakeInformer, handler: Any) -> None:
        self.informer = informer
        self.handler = handler

    async def wait_until_synced(self) -> None:
        await self.informer.wait_until_synced()

    async def remove(self) -> None:
        await trio.lowlevel.checkpoint()
        self.informer.registrations.remove(self)


class FakeInformer:
    """Synced and live unless the test says otherwise. What happens to its objects is told at once."""

    def __init__(self, name: str = "things", *, synced: bool = True) -> None:
        self.name = name
        self.store = Store()
        self.lister = Lister(self.store)
        self.registrations: list[FakeRegistration] = []
        self.heard_at = 0.0
        self._synced = trio.Event()
        if synced:
            self.sync()

    def sync(self, *objects: Object) -> None:
        self.heard_at = trio.current_time()
        self.store.replace(Replacement(objects, max([1, *[obj.revision for obj in objects]]), ()))
        self._synced.set()
        for registration in self.registrations:
            self._tell_all(registration)

    @property
    def has_synced(self) -> bool:
        return self._synced.is_set()

    @property
    def staleness_s(self) -> float:
        return trio.current_time() - self.heard_at

    def is_live(self, within_s: float = 90.0) -> bool:
        return self.staleness_s <= within_s

    async def wait_until_synced(self) -> None:
        await self._synced.wait()

    def add_handler(self, handler: Any) -> FakeRegistration:
        registration = FakeRegistration(self, handler)
        self.registrations.append(registration)
        self._tell_all(registration)
        return registration

    def _tell_all(self, registration: FakeRegistration) -> None:
        for obj in self.store.objects():
            registration.handler.on_add(obj, True)

    def adds(self, obj: Object) -> None:
        for registration in self.registrations:
            registration.handler.on_add(obj, False)

    def updates(self, old: Object, new: Object) -> None:
        for registration in self.registrations:
            registration.handler.on_update(old, new)

    def deletes(self, obj: Any) -> None:
        for registration in self.registrations:
            registration.handler.on_delete(obj)


class Script:
    """A reconcile that notes when it was called with what, and then does what its script says; beyond it, nothing."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.calls = []

    async def __call__(self, key):
        self.calls.append((trio.current_time(), key))
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, BaseException):
            raise step
        if callable(step):
            return await step()
        return step

    @property
    def keys(self):
        return [key for _, key in self.calls]


def controller_of(reconcile, **more):
    more.setdefault("limiter", ExponentialLimiter(1.0, 100.0))
    return Controller("things", reconcile, random=Random(7), **more)


async def running(nursery, controller):
    nursery.start_soon(controller.run)
    await trio.testing.wait_all_tasks_blocked()
    return controller
