"""The README shows a controller that breaks under faults, and a few lines that mend it: they do, under the same seeds."""

from __future__ import annotations

from textwrap import indent
from typing import Any

import pytest

from cacher.simulation import Broken, Topology, World, custom_resource, simulate
from tests import source
from tests.docs.documents import blocks

SEEDS = 40
FLOCKS = "example.com/v1/flocks"
LOOP = """        for _ in range(wanted - len(mine)):
            await api.create(bird(name, controller_reference(flock, "example.com/v1", "Flock")), namespace)
"""
"""What the README's lines stand in place of, in examples/flock.py."""
REST = """
from contextlib import suppress
from watch import AlreadyExists

def names_of(pods):
    return {pod.name for pod in pods}

def named_bird(name, flock, owner):
    made = bird(flock, owner)
    del made["metadata"]["generateName"]
    return {**made, "metadata": {**made["metadata"], "name": name}}
"""
"""What they leave to the reader."""


def flock(*, is_cured: bool) -> dict[str, Any]:
    """The example's module, as it is or with the README's lines in it."""
    text = (source.ROOT / "examples/flock.py").read_text(encoding="utf-8")
    assert LOOP in text
    if is_cured:
        lines = next(block.text for block in blocks() if block.name.startswith("for number in range(wanted):"))
        lines = lines.replace("bird(", "named_bird(")
        lines = lines.replace("…", 'name, controller_reference(flock, "example.com/v1", "Flock")')
        text = text.replace(LOOP, indent(lines, "        ")) + REST
    module: dict[str, Any] = {"__name__": "flock"}
    exec(compile(text, "examples/flock.py", "exec"), module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("is_cured", [False, True])
def test_the_cure_of_the_readme_holds_where_the_example_breaks(is_cured):
    @simulate(seeds=SEEDS, topology=Topology(definitions=(custom_resource(FLOCKS, "Flock"),)))
    async def a_flock_has_as_many_birds_as_it_wants(world: World) -> None:
        world.wants(FLOCKS, "spec.birds", "v1/pods")
        world.start(flock(is_cured=is_cured)["flocks"])
        await world.create(FLOCKS, {"metadata": {"name": "geese", "namespace": "default"}, "spec": {"birds": 3}})
        await world.wait(10)
        await world.patch(FLOCKS, "geese", {"spec": {"birds": 4}})
        await world.settle()

    if is_cured:
        a_flock_has_as_many_birds_as_it_wants()
    else:
        with pytest.raises(Broken, match="NoOvershoot"):
            a_flock_has_as_many_birds_as_it_wants()
