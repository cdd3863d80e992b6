"""A scenario that is not the same twice: its controller walks over a set of texts, whose order is the hash seed's."""

from __future__ import annotations

from cacher.simulation import Scenario, Site, Topology, Wait, World


async def careless(site: Site) -> None:
    parents = site.client.resource("v1", "configmaps")
    for name in {f"name-{number}" for number in range(20)}:
        await parents.create({"metadata": {"name": name, "namespace": "default"}}, "default")


def start(world: World, variant: str) -> None:
    world.start(careless, name="careless")


SCENARIO = Scenario(
    name="unrepeatable",
    title="a set's order shows",
    start=start,
    workload=[Wait(1.0)],
    variants=("only",),
    topology=Topology(latency_s=0.0),
)
