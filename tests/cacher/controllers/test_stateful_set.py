"""Stateful sets at work, on a cluster in this process and in virtual time."""

from __future__ import annotations

import trio

from cacher.controllers import StatefulSetController
from tests.cacher.controllers.living import living, workload


def stateful_set(**spec):
    return workload("apps/v1", "StatefulSet", "db", serviceName="db", **spec)


class Db:
    def __init__(self, life):
        self.life = life
        self.sets = life.cluster.resource("apps/v1", "statefulsets")

    async def is_complete(self):
        found = await self.sets.get("db", "a")
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas", "currentReplicas")]
        return (
            counts == [wanted] * 4
            and status["observedGeneration"] == found["metadata"]["generation"]
            and status["currentRevision"] == status["updateRevision"]
        )

    async def images(self):
        pods = await self.life.objects("v1", "pods")
        return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in pods}

    async def set_image(self, image):
        spec = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
        await self.sets.patch("db", {"spec": spec}, "a")


def test_members_come_one_after_the_other_are_updated_from_the_highest_and_keep_their_claims(run_trio):
    async def main():
        async with living() as life:
            life.start(StatefulSetController)
            db = Db(life)
            wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            claim = {"metadata": {"name": "data"}, "spec": wanted}
            await db.sets.create(stateful_set(replicas=3, volumeClaimTemplates=[claim]), "a")
            await life.until(db.is_complete)
            pods = await life.objects("v1", "pods")
            born = {pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in pods}
            assert born["db-0"] < born["db-1"] < born["db-2"]
            claims = [one["metadata"]["name"] for one in await life.objects("v1", "persistentvolumeclaims")]
            assert claims == ["data-db-0", "data-db-1", "data-db-2"]

            await db.set_image("v2")
            await life.until(db.is_complete)
            assert await db.images() == {"db-0": "v2", "db-1": "v2", "db-2": "v2"}
            pods = await life.objects("v1", "pods")
            born = {pod["metadata"]["name"]: pod["metadata"]["creationTimestamp"] for pod in pods}
            assert born["db-2"] < born["db-1"] < born["db-0"]
            revisions = await life.objects("apps/v1", "controllerrevisions")
            assert sorted(one["revision"] for one in revisions) == [1, 2]

            await db.sets.patch("db", {"spec": {"replicas": 1}}, "a")
            await life.until(db.is_complete)
            assert list(await db.images()) == ["db-0"]
            assert len(await life.objects("v1", "persistentvolumeclaims")) == 3
            life.assert_no_mistakes()

    run_trio(main)


def test_only_as_many_old_revisions_are_kept_as_are_asked_for(run_trio):
    async def main():
        async with living() as life:
            life.start(StatefulSetController)
            db = Db(life)
            await db.sets.create(stateful_set(replicas=1, revisionHistoryLimit=2), "a")
            for number in range(2, 7):
                await life.until(db.is_complete)
                await db.set_image(f"v{number}")
                await trio.sleep(1)
            await life.until(db.is_complete)
            await trio.sleep(1)
            revisions = await life.objects("apps/v1", "controllerrevisions")
            assert sorted(one["revision"] for one in revisions) == [4, 5, 6]
            life.assert_no_mistakes()

    run_trio(main)
