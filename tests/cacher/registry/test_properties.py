"""Any sequence of verbs on one object keeps what an object may rely on; concurrent updates lose none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.registry import APIError, Conflict, NotFound, PatchType, ResourceDoor
from tests.cacher.registry.world import CONFIGMAPS, DEPLOYMENTS, configmap, deployment, open_world, registry_of, run

MERGE, APPLY = PatchType.MERGE, PatchType.APPLY
FINALIZERS = st.lists(st.sampled_from(["example.com/a", "example.com/b"]), max_size=2, unique=True)
REPLICAS = st.integers(0, 3)
LABELS = st.dictionaries(st.just("l"), st.sampled_from("12"), max_size=1)
POLICY = st.sampled_from([None, "Background", "Foreground", "Orphan"])
IS_STALE = st.booleans()

CREATE = st.tuples(st.just("create"), FINALIZERS, REPLICAS)
UPDATE = st.tuples(st.just("update"), FINALIZERS, REPLICAS, LABELS, IS_STALE)
PATCH = st.tuples(st.just("patch"), REPLICAS, LABELS)
FORGE = st.tuples(st.just("forge"), st.sampled_from(["uid", "deletionTimestamp", "generation", "resourceVersion"]))
STATUS = st.tuples(st.just("status"), REPLICAS)
SCALE = st.tuples(st.just("scale"), REPLICAS)
APPLYING = st.tuples(st.just("apply"), REPLICAS)
DELETE = st.tuples(st.just("delete"), POLICY)
DRY = st.tuples(st.just("dry"), REPLICAS)
STEPS = st.lists(st.one_of(CREATE, UPDATE, PATCH, FORGE, STATUS, SCALE, APPLYING, DELETE, DRY), min_size=1, max_size=12)
FORGERIES: dict[str, Any] = {
    "uid": "11111111-1111-1111-1111-111111111111",
    "deletionTimestamp": "2001-01-01T00:00:00Z",
    "generation": 99,
    "resourceVersion": "1",
}


async def act(door: ResourceDoor, step: tuple[Any, ...], present: dict[str, Any] | None) -> None:
    """One verb; what it is refused does not matter here."""
    match step:
        case ("create", finalizers, replicas):
            await door.create(deployment(meta={"finalizers": finalizers}, replicas=replicas), "team-a")
        case ("update", finalizers, replicas, labels, is_stale):
            meta = {"finalizers": finalizers, "labels": labels}
            if is_stale:
                meta["resourceVersion"] = "1"
            sent = deployment(meta=meta, replicas=replicas, status={"replicas": 9})
            await door.update(sent, "team-a")
        case ("patch", replicas, labels):
            patch = {"metadata": {"labels": labels or None}, "spec": {"replicas": replicas}, "status": {"replicas": 9}}
            await door.patch("web", patch, "team-a", type=MERGE)
        case ("forge", member):
            await door.patch("web", {"metadata": {member: FORGERIES[member]}}, "team-a", type=MERGE)
        case ("status", replicas):
            patch = {"status": {"replicas": replicas}, "spec": {"replicas": 77}, "metadata": {"labels": {"s": "1"}}}
            await door.subresource("status").patch("web", patch, "team-a", type=MERGE)
        case ("scale", replicas):
            await door.subresource("scale").patch("web", {"spec": {"replicas": replicas}}, "team-a", type=MERGE)
        case ("apply", replicas):
            config = deployment(replicas=replicas)
            await door.patch("web", config, "team-a", type=APPLY, field_manager="applier", force=True)
        case ("delete", policy):
            await door.delete("web", "team-a", propagation_policy=policy)
        case ("dry", replicas):
            await door.patch("web", {"spec": {"replicas": replicas}}, "team-a", type=MERGE, dry_run=True)
            await door.delete("web", "team-a", dry_run=True)
        case _:
            raise AssertionError(step)


def check(step: tuple[Any, ...], old: dict[str, Any] | None, new: dict[str, Any] | None, revision: int) -> None:
    """What holds between the object before and after one verb."""
    if new is not None:
        assert int(new["metadata"]["resourceVersion"]) <= revision
        terminating = "deletionTimestamp" in new["metadata"]
        assert not terminating or new["metadata"].get("finalizers"), "without finalizers it would be gone"
        assert ("deletionGracePeriodSeconds" in new["metadata"]) is terminating
    if old is None or new is None or old["metadata"]["uid"] != new["metadata"]["uid"]:
        if new is not None:
            assert new["metadata"]["generation"] == 1
            assert new["status"] == {}
        # Only a deletion, or an update that takes the last finalizer of a terminating object, makes one go.
        if old is not None and new is None:
            assert step[0] == "delete" or "deletionTimestamp" in old["metadata"]
        assert old is None or new is None, "a name was taken over by another object in one step"
        return
    before, after = old["metadata"], new["metadata"]
    assert after["creationTimestamp"] == before["creationTimestamp"]
    if new == old:
        return
    assert int(after["resourceVersion"]) > int(before["resourceVersion"])
    assert step[0] != "dry", "a dry run wrote"
    assert before.get("deletionTimestamp") in (None, after.get("deletionTimestamp")), "a deletion is never taken back"
    if "deletionTimestamp" in before:
        assert set(after["finalizers"]) <= {*before["finalizers"], "orphan", "foregroundDeletion"}
    marked = "deletionTimestamp" in after and "deletionTimestamp" not in before
    is_counted = new["spec"] != old["spec"] or after.get("annotations") != before.get("annotations") or marked
    assert after["generation"] == before["generation"] + is_counted
    if step[0] == "status":
        assert new["spec"] == old["spec"]
        assert after.get("labels") == before.get("labels")
    else:
        assert new["status"] == old["status"], "the status is written by its own verb alone"


@pytest.mark.parametrize("cached", [False, True])
@given(steps=STEPS)
@settings(max_examples=60)
def test_any_sequence_of_verbs_keeps_what_an_object_may_rely_on(cached, steps):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            old: dict[str, Any] | None = None
            for step in steps:
                await trio.sleep(1)
                revision = world.etcd.revision
                refused = False
                try:
                    await act(door, step, old)
                except APIError as error:
                    assert error.code < 500
                    refused = True
                try:
                    new = await door.get("web", "team-a")
                except NotFound:
                    new = None
                assert not (refused and new != old), "what is refused changes nothing"
                assert not (new == old and new is not None and world.etcd.revision != revision), "a no-op wrote"
                check(step, old, new, world.etcd.revision)
                old = new

    run(main)


@given(seed=st.integers(0, 2**32), writers=st.integers(2, 6), cached=st.booleans())
@settings(max_examples=40)
def test_concurrent_updaters_lose_no_update(seed, writers, cached):
    """Each reads, adds one, and sends the version back; who is refused reads again. Patches without a version never are."""

    async def main() -> None:
        async with open_world(cached=cached) as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            await door.create(configmap(data={"n": "0"}), "team-a")
            chance = Random(seed)

            async def update(rounds: int) -> None:
                for _ in range(rounds):
                    while True:
                        found = await door.get("a", "team-a")
                        await trio.sleep(chance.random())
                        found["data"]["n"] = str(int(found["data"]["n"]) + 1)
                        try:
                            await door.update(found)
                            break
                        except Conflict:
                            continue

            async def patch(name: str) -> None:
                for at in range(3):
                    await trio.sleep(chance.random())
                    await door.patch("a", {"data": {f"{name}{at}": "1"}}, "team-a", type=MERGE)

            async with trio.open_nursery() as nursery:
                for at in range(writers):
                    nursery.start_soon(update, 3)
                    nursery.start_soon(patch, f"p{at}-")
            data = (await door.get("a", "team-a"))["data"]
            assert data.pop("n") == str(3 * writers)
            assert len(data) == 3 * writers

    run(main)
