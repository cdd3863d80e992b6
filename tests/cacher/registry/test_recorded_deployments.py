"""Every write that a real cluster made to its deployments in a rollout, made again as the call that it was.

Each recorded version is sent to the main verb, to status or to scale, as its managedFields name it, without what the server sets,
and on the main verb with a wrong status besides. After each call the object is the recorded one, generation and managedFields
included, but for its uid, its versions and the times of the server.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest
import trio

from cacher.registry import ResourceDoor
from tests import source
from tests.cacher.registry.world import DEPLOYMENTS, open_world, registry_of, run

DATA = source.ROOT / "scenarios/data"
SERVERS = ("generation", "uid", "resourceVersion", "creationTimestamp", "managedFields")
ENTRY = ("manager", "operation", "subresource")


def lines(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
        found = map(json.loads, file)
        return [line for line in found if str(line.get("key", "")).startswith(DEPLOYMENTS.prefix)]


def entries(obj: dict[str, Any] | None) -> dict[tuple[str, ...], dict[str, Any]]:
    managed = (obj or {}).get("metadata", {}).get("managedFields", [])
    return {tuple(entry.get(member, "") for member in ENTRY): entry for entry in managed}


def written_by(old: dict[str, Any] | None, new: dict[str, Any]) -> tuple[str, str]:
    """Manager and subresource of the write: the entry that is new, or has another time; else what changed tells."""
    before = entries(old)
    touched = [
        (manager, subresource)
        for (manager, operation, subresource), entry in entries(new).items()
        # An entry that a write of the scale adds bears no time.
        if entry.get("time") != before.get((manager, operation, subresource), {"time": "none"}).get("time")
    ]
    if old is not None and not touched and old["spec"]["replicas"] != new["spec"]["replicas"]:
        return next(manager for manager, _, subresource in entries(new) if subresource == "scale"), "scale"
    part = "status" if old is not None and old["spec"] == new["spec"] and old["status"] != new["status"] else ""
    is_scaled = old is not None and any(subresource == "scale" for _, subresource in touched)
    if old is not None and is_split(new) and not is_split(old):
        return next(entry["manager"] for entry in new["metadata"]["managedFields"] if "time" not in entry), "scale"
    fitting = [one for one in touched if one[1] == ("scale" if is_scaled else part)]
    if touched:
        return (fitting or touched)[0]
    # A write within the second of the one before leaves the time as it is.
    same = [(manager, subresource) for manager, _, subresource in entries(new) if subresource == part]
    return same[-1]


def without_servers(obj: dict[str, Any]) -> dict[str, Any]:
    meta = {name: value for name, value in obj["metadata"].items() if name not in SERVERS}
    return {**obj, "metadata": meta}


def is_split(obj: dict[str, Any]) -> bool:
    """Whether two entries have one identity: Kubernetes makes them of a manager who scales to what is there already.

    The next reader sees one of the two, and so forgets who set the replicas. Ours keeps the entry whole.
    """
    return len(entries(obj)) < len(obj["metadata"]["managedFields"])


def comparable(obj: dict[str, Any], *, has_replicas_owner: bool) -> dict[str, Any]:
    meta = {name: value for name, value in obj["metadata"].items() if name not in ("uid", "resourceVersion")}
    for moment in ("creationTimestamp", "deletionTimestamp"):
        if moment in meta:
            meta[moment] = "<time>"
    managed = [{name: value for name, value in entry.items() if name != "time"} for entry in meta["managedFields"]]
    if not has_replicas_owner:
        managed = json.loads(json.dumps(managed).replace('"f:replicas": {}, "f:', '"f:'))
        managed = [entry for entry in managed if entry["fieldsV1"] != {"f:spec": {"f:replicas": {}}}]
    meta["managedFields"] = sorted(managed, key=lambda entry: json.dumps(entry, sort_keys=True))
    return {**obj, "metadata": meta}


async def send(door: ResourceDoor, old: dict[str, Any] | None, new: dict[str, Any], sent: Counter[str]) -> None:
    """The call that made `new` of `old`."""
    manager, part = written_by(old, new)
    body = without_servers(new)
    wrong = {**body, "status": {"replicas": 99, "observedGeneration": 99}}
    name, namespace = new["metadata"]["name"], new["metadata"]["namespace"]
    assert old is None or "deletionTimestamp" not in new["metadata"], "none of these was held by a finalizer"
    sent[part if old is not None else "create"] += 1
    if old is None:
        await door.create(wrong, field_manager=manager)
    elif part == "scale":
        scale = {"metadata": {"name": name, "namespace": namespace}, "spec": {"replicas": new["spec"]["replicas"]}}
        await door.subresource("scale").update(scale, field_manager=manager)
    elif part == "status":
        await door.subresource("status").update(body, field_manager=manager)
    else:
        await door.update(wrong, field_manager=manager)


@pytest.mark.slow
def test_each_recorded_write_made_again_makes_the_recorded_object():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            present: dict[str, dict[str, Any]] = {}
            for line in lines("rollout.start.jsonl.gz"):
                await world.etcd.put(line["key"].encode(), json.dumps(line["value"]).encode())
                present[line["key"]] = line["value"]
            sent: Counter[str] = Counter()
            split: set[str] = set()
            for line in lines("rollout.etcd.jsonl.gz"):
                await trio.sleep(1)
                key, new = line["key"], line["value"]
                namespace, name = key.removeprefix(DEPLOYMENTS.prefix).split("/")
                if new is None:
                    await door.delete(name, namespace, propagation_policy="Background")
                    del present[key]
                    sent["delete"] += 1
                    continue
                await send(door, present.get(key), new, sent)
                present[key] = new
                split |= {key} if is_split(new) else set()
                owner = key not in split
                found = comparable(await door.get(name, namespace), has_replicas_owner=owner)
                assert found == comparable(new, has_replicas_owner=owner), (line["rev"], name)
            assert sent["create"] == 10
            assert min(sent["scale"], sent["status"], sent[""], sent["delete"]) > 0

    run(main)
