"""What a kube-apiserver answered, answered again by a registry in process: status, reason, details, message and object."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import trio
import trio.testing

from cacher import RESOURCES
from cacher.registry import Definitions, Registry
from tests.cacher.registry.world import open_world
from tests.conformance.in_process import play, targets
from tests.conformance.story import HERE, read, wirecheck

NAMESPACE = "t-0123456789"
DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
NAMES = sorted(path.stem for path in (HERE / "cases").glob("*.json"))
HTTP: dict[str, str] = tomllib.loads((HERE / "http_cases.toml").read_text(encoding="utf-8"))
# A single step, where the rule of the others is the registry's.
HTTP_STEPS = {name for name in HTTP if "/" in name}
REASONS = {"routing", "media type", "query", "body parsing"}


def told(name: str) -> list[str]:
    """How the registry's answers differ from the recorded ones."""
    case = read("cases", name)
    case["steps"] = [step for step in case["steps"] if f"{name}/{step.get('id')}" not in HTTP_STEPS]

    async def main() -> list[dict[str, Any]]:
        async with open_world(cached=True) as world:
            needed = {(target.group_version, target.plural) for target in targets(case)} | {("v1", "namespaces")}
            infos = [RESOURCES[known] for known in sorted(needed) if known in RESOURCES]
            storages = {info.prefix: await world.storage(info) for info in infos}
            registry = Registry(lambda info: storages[info.prefix], environment=world.environment)
            await registry.resource("v1", "namespaces").create({"metadata": {"name": NAMESPACE}})
            if DEFINITIONS in needed:
                definitions = Definitions(registry, world.open_storage, random=world.random)
                await world.nursery.start(definitions.run)
            return await play(case, registry, NAMESPACE)

    answers = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    found: list[str] = wirecheck.compare(case, read("recordings", name), answers)
    return [line for line in found if f"{name}/{line.partition('/')[0].partition(':')[0]}" not in HTTP_STEPS]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HTTP])
def test_the_registry_answers_as_a_kube_apiserver_did(name):
    assert told(name) == []


def test_a_case_is_left_to_http_for_one_of_four_reasons():
    assert set(HTTP.values()) <= REASONS
    assert {name.partition("/")[0] for name in HTTP} <= set(NAMES)


@pytest.mark.parametrize("told_to_http", sorted(HTTP_STEPS))
def test_a_step_that_is_left_to_http_is_one_of_its_case(told_to_http):
    name, _, step = told_to_http.partition("/")
    assert step in {one.get("id") for one in read("cases", name)["steps"]}


def test_the_adapter_is_small_and_makes_no_answer_of_its_own():
    text = (HERE / "in_process.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 150
    assert "raise " not in text
