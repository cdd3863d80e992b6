"""python -m pytest examples: fails, and tells why. See the README."""

from __future__ import annotations

from flock import flocks

from cacher.simulation import Topology, World, custom_resource, simulate

FLOCKS = "example.com/v1/flocks"


@simulate(seeds=200, topology=Topology(definitions=(custom_resource(FLOCKS, "Flock"),)))
async def test_a_flock_never_has_more_birds_than_it_wants(world: World) -> None:
    """Three birds are wanted, and then four."""
    world.wants(FLOCKS, "spec.birds", "v1/pods")
    world.start(flocks)
    await world.create(FLOCKS, {"metadata": {"name": "geese", "namespace": "default"}, "spec": {"birds": 3}})
    await world.wait(10)
    await world.patch(FLOCKS, "geese", {"spec": {"birds": 4}})
    await world.settle()
