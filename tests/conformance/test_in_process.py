"""What a kube-apiserver answered, answered again by a registry in process: status, reason, details, message and object."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import trio
import trio.testing

from cacher import RESOURCES
from cacher.registry import Registry
from tests.cacher.registry.world import open_world
from tests.conformance.in_process import HERE, play, read, targets, wirecheck

NAMESPACE = "t-0123456789"
# Those of custom resources come with the definitions of these.
NAMES = sorted(path.stem for path in (HERE / "cases").glob("*.json") if not path.stem.startswith("crd-"))
HTTP: dict[str, str] = tomllib.loads((HERE / "http_cases.toml").read_text(encoding="utf-8"))
REASONS = {"routing", "media type", "query", "body parsing"}

# Not there yet. A case that passes has to be taken from the list.
LATER = {
    "errors-object-too-large-for-the-store",
}


def told(name: str) -> list[str]:
    """How the registry's answers differ from the recorded ones."""
    case = read("cases", name)

    async def main() -> list[dict[str, Any]]:
        async with open_world(cached=True) as world:
            needed = {(target.group_version, target.plural) for target in targets(case)} | {("v1", "namespaces")}
            infos = [RESOURCES[known] for known in sorted(needed) if known in RESOURCES]
            storages = {info.prefix: await world.storage(info) for info in infos}
            registry = Registry(lambda info: storages[info.prefix], environment=world.environment)
            await registry.resource("v1", "namespaces").create({"metadata": {"name": NAMESPACE}})
            return await play(case, registry, NAMESPACE)

    answers = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    found: list[str] = wirecheck.compare(case, read("recordings", name), answers)
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HTTP and name not in LATER])
def test_the_registry_answers_as_a_kube_apiserver_did(name):
    assert told(name) == []


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_is_not_there_yet_is_still_not_there(name):
    """So that the list of what is missing shrinks with it."""
    assert told(name)


def test_a_case_is_left_to_http_for_one_of_four_reasons():
    assert set(HTTP.values()) <= REASONS
    assert set(HTTP) <= set(NAMES)


def test_the_adapter_is_small_and_makes_no_answer_of_its_own():
    text = (HERE / "in_process.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert "raise " not in text
