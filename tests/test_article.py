"""docs/article.md is true: its classes are in its files, and a create goes through its layers in its order."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from cacher import CacherStorage
from cacher.registry import DeploymentStorage, DeploymentStrategy, Hooks, RegistryStore, ResourceDoor
from cacher.storage.etcd import EmbeddedEtcd, EtcdStorage
from tests import source
from tests.cacher.registry.world import DEPLOYMENTS, deployment, open_world, run

ARTICLE = (source.ROOT / "docs/article.md").read_text(encoding="utf-8")


def test_each_word_of_the_article_is_a_class_in_its_file():
    rows = re.findall(r"^\| (.+?) \| `(\w+)`.* \| `(cacher/\S+)` \|$", ARTICLE, flags=re.MULTILINE)
    words = [
        "RESTStorage",
        "RegistryStore",
        "Storage.Interface",
        "CacherStorage",
        "UnderlyingStorage",
        "DeploymentStorage",
    ]
    assert {*words, "BeforeFunc, AfterFunc"} <= {word for word, _, _ in rows}
    for _, name, file in rows:
        assert f"\nclass {name}" in (source.ROOT / file).read_text(encoding="utf-8"), (name, file)


class Tracer:
    """Notes calls, indented by what they were called from."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.lines.append("  " * self.depth + name)
            if inspect.iscoroutinefunction(function):
                return self._awaited(function(*args, **kwargs))
            return function(*args, **kwargs)

        return noted

    async def _awaited(self, call: Any) -> Any:
        self.depth += 1
        try:
            return await call
        finally:
            self.depth -= 1


def test_a_create_goes_through_the_layers_in_the_articles_order(monkeypatch):
    tracer = Tracer()
    for owner, name in (
        (ResourceDoor, "create"),
        (DeploymentStrategy, "default"),
        (RegistryStore, "create"),
        (DeploymentStrategy, "prepare_for_create"),
        (DeploymentStrategy, "validate"),
        (DeploymentStrategy, "canonicalize"),
        (CacherStorage, "create"),
        (EtcdStorage, "create"),
        (EmbeddedEtcd, "txn"),
    ):
        monkeypatch.setattr(owner, name, tracer.wrapped(f"{owner.__name__}.{name}", getattr(owner, name)))
    hooks = Hooks(
        begin_create=tracer.wrapped("begin_create", lambda *args: tracer.wrapped("finish", lambda success: None)),
        after_create=tracer.wrapped("after_create", lambda obj, options: None),
        decorator=tracer.wrapped("decorator", lambda obj: obj),
    )

    async def main() -> None:
        async with open_world(cached=True) as world:
            storage = await world.storage(DEPLOYMENTS)
            store = DeploymentStorage.of(storage, DEPLOYMENTS, world.environment).deployment
            store.hooks = hooks
            await ResourceDoor(DEPLOYMENTS, store, environment=world.environment).create(deployment(), "team-a")

    run(main)
    told = re.search(r"^```text\n(.*?)^```$", ARTICLE, flags=re.MULTILINE | re.DOTALL)
    assert told is not None
    assert tracer.lines == told[1].splitlines()
