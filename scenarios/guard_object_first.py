"""guard-object-first: whether two objects are there is asked of the first of them.

A database needs two secrets: one for its users, and one for the TLS between its nodes. They are made one after the other where the
first is missing. A controller that dies between the two finds the first one there, and never makes the second: the database runs,
silently, without TLS (Percona K8SPSMDB-578 and 579, K8SPXC-896 and 897; none of the 71 tests there looked).

    no users' secret ─► make it │ crash │ users' secret is there: nothing to do        no TLS, for ever

The fix asks for each object whether it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from random import Random

from cacher.simulation import (
    AnyOperation,
    Crash,
    Create,
    Fault,
    Patch,
    Scenario,
    Topology,
    Until,
    Upon,
    Wait,
    World,
    custom_resource,
    keen_controller,
)
from reflector import Manager, controller_reference, owner_key
from watch import AlreadyExists

DATABASES = "example.com/v1/databases"
SECRETS = "v1/secrets"
PARTS = ("users", "tls")


def databases(manager: Manager, *, fixed: bool) -> None:
    """A Database has a secret for each of PARTS."""
    owners = manager.informers.informer("example.com/v1", "databases")
    secrets = manager.informers.informer("v1", "secrets")
    api = manager.client.resource("v1", "secrets")

    async def reconcile(key: str) -> None:
        namespace, name = key.split("/")
        database = owners.lister.find(name, namespace)
        if database is None:
            return
        if not fixed and secrets.lister.find(f"{name}-{PARTS[0]}", namespace) is not None:
            return  # they were made
        for part in PARTS:
            if secrets.lister.find(f"{name}-{part}", namespace) is None:
                owner = controller_reference(database, "example.com/v1", "Database")
                metadata = {"name": f"{name}-{part}", "ownerReferences": [owner]}
                with suppress(AlreadyExists):
                    await api.create({"metadata": metadata, "data": {}}, namespace)

    controller = keen_controller("databases", reconcile)
    manager.add(controller.watches(owners).watches(secrets, owner_key("Database")))


def every_part_is_there(world: World) -> str:
    """Each Database has its secrets."""
    secrets = {secret.name for secret in world.objects(SECRETS)}
    wanted = [f"{database.name}-{part}" for database in world.objects(DATABASES) for part in PARTS]
    missing = [name for name in wanted if name not in secrets]
    return f"{', '.join(missing)}: never made" if missing else ""


def start(world: World, variant: str) -> None:
    """One operator."""
    world.at_rest(every_part_is_there)
    world.start(partial(databases, fixed=variant == "fixed"), name="operator")


def workload(random: Random) -> Sequence[AnyOperation]:
    """Two Databases, one of which is touched later."""

    def database(name: str) -> dict[str, object]:
        return {"metadata": {"name": name, "namespace": "default"}, "spec": {"tls": True}}

    touch = {"metadata": {"annotations": {"seen": "yes"}}}
    return [
        Create(DATABASES, database("one")),
        Until(SECRETS, "one-users"),
        Create(DATABASES, database("two")),
        Until(SECRETS, "two-users"),
        Wait(5),
        Patch(DATABASES, "one", touch),
        Wait(5),
    ]


SCENARIO = Scenario(
    name="guard-object-first",
    title="whether two objects are there is asked of the first of them",
    source="percona/percona-server-mongodb-operator K8SPSMDB-578",
    guarantee="Checks",
    topology=Topology(servers=2, definitions=(custom_resource(DATABASES, "Database"),)),
    workload=workload,
    start=start,
    script=(Fault(Upon("after-write", SECRETS, change="created", who="operator"), Crash("operator")),),
)
