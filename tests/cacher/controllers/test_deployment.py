"""Deployments and ReplicaSets at work, on a cluster in this process and in virtual time."""

from __future__ import annotations

import pytest
import trio

from cacher.controllers import DeploymentController, ReplicaSetController, restart_rollout, undo_rollout
from tests.cacher.controllers.living import living, workload
from watch import Forbidden, GroupResource

REVISION = "deployment.kubernetes.io/revision"


def deployment(replicas=3, **spec):
    return workload("apps/v1", "Deployment", replicas=replicas, **spec)


def conditions(obj):
    return {one["type"]: (one["status"], one["reason"]) for one in obj["status"].get("conditions", ())}


class Web:
    """The deployment of a test, and what users do to it."""

    def __init__(self, life):
        self.life = life
        self.deployments = life.cluster.resource("apps/v1", "deployments")

    async def get(self):
        return await self.deployments.get("web", "a")

    async def patch(self, spec):
        await self.deployments.patch("web", {"spec": spec}, "a")

    async def set_image(self, image):
        await self.patch({"template": {"spec": {"containers": [{"name": "main", "image": image}]}}})

    async def sizes(self):
        sets = await self.life.objects("apps/v1", "replicasets")
        found = {one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"] for one in sets}
        return {image: size for image, size in found.items() if size}

    async def is_complete(self):
        found = await self.get()
        status, wanted = found["status"], found["spec"]["replicas"]
        counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
        return (
            counts == [wanted] * 3
            and status.get("observedGeneration") == found["metadata"]["generation"]
            and conditions(found).get("Progressing", ("", ""))[1] == "NewReplicaSetAvailable"
        )


def story(test, **options):
    """A test with a deployment that is complete."""

    async def main():
        async with living(**options) as life:
            life.start(DeploymentController, ReplicaSetController)
            web = Web(life)
            await web.deployments.create(deployment(), "a")
            await life.until(web.is_complete)
            await test(life, web)
            life.assert_no_mistakes()

    return main


def test_a_deployment_gets_its_set_its_pods_its_revision_and_its_conditions(run_trio):
    async def test(life, web):
        found = await web.get()
        assert found["metadata"]["annotations"] == {REVISION: "1"}
        assert found["metadata"]["generation"] == 1
        assert conditions(found) == {
            "Available": ("True", "MinimumReplicasAvailable"),
            "Progressing": ("True", "NewReplicaSetAvailable"),
        }
        [one] = await life.objects("apps/v1", "replicasets")
        [owner] = one["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Deployment", found["metadata"]["uid"], True)
        pods = await life.objects("v1", "pods")
        assert len(pods) == 3
        for pod in pods:
            assert pod["metadata"]["ownerReferences"][0]["uid"] == one["metadata"]["uid"]
            assert pod["metadata"]["labels"]["pod-template-hash"] == one["metadata"]["labels"]["pod-template-hash"]
            assert pod["metadata"]["name"].startswith(one["metadata"]["name"] + "-")
        writers = {(entry["manager"], entry.get("subresource")) for entry in found["metadata"]["managedFields"]}
        assert ("kube-controller-manager", "status") in writers

    run_trio(story(test))


def test_an_image_is_rolled_out_undone_and_scaled(run_trio):
    async def test(life, web):
        await web.set_image("v2")
        await life.until(web.is_complete)
        assert await web.sizes() == {"v2": 3}
        await undo_rollout(life.cluster, "web", "a")
        await life.until(web.is_complete)
        assert await web.sizes() == {"v1": 3}
        assert (await web.get())["metadata"]["annotations"][REVISION] == "3"
        await web.patch({"replicas": 50})
        await life.until(web.is_complete)
        assert len(await life.objects("v1", "pods")) == 50
        await web.patch({"replicas": 2})
        await life.until(web.is_complete)
        assert len(await life.objects("v1", "pods")) == 2

    run_trio(story(test))


def test_undoing_a_paused_deployment_is_refused_and_an_unknown_revision_is_told(run_trio):
    async def test(life, web):
        with pytest.raises(LookupError, match="no revision 9: its ReplicaSets have 1"):
            await undo_rollout(life.cluster, "web", "a", to_revision=9)
        await web.patch({"paused": True})
        with pytest.raises(ValueError, match="resume it"):
            await undo_rollout(life.cluster, "web", "a")

    run_trio(story(test))


def test_a_restart_makes_all_pods_anew(run_trio):
    async def test(life, web):
        before = {pod["metadata"]["uid"] for pod in await life.objects("v1", "pods")}
        await restart_rollout(life.cluster, "web", "a", life.cluster.clock.rfc3339())
        await life.until(web.is_complete)
        after = {pod["metadata"]["uid"] for pod in await life.objects("v1", "pods")}
        assert len(after) == 3
        assert not before & after

    run_trio(story(test))


def test_a_paused_rollout_waits_and_goes_on_when_it_is_resumed(run_trio):
    async def test(life, web):
        await web.patch({"paused": True})
        await web.set_image("v2")
        await trio.sleep(30)
        assert await web.sizes() == {"v1": 3}
        assert conditions(await web.get())["Progressing"] == ("Unknown", "DeploymentPaused")
        await web.patch({"paused": None})
        await life.until(web.is_complete)
        assert await web.sizes() == {"v2": 3}

    run_trio(story(test))


def test_recreate_lets_all_old_pods_go_before_the_first_new_one(run_trio):
    async def test(life, web):
        await web.patch({"strategy": {"type": "Recreate", "rollingUpdate": None}})
        await life.until(web.is_complete)
        async with life.cluster.resource("v1", "pods").watch() as watch:
            await web.set_image("v2")
            await life.until(web.is_complete)
            images = set()
            seen: dict[str, str | None] = {}
            while len(seen) < 6 or any(image == "v1" for image in seen.values() if image):
                for event in await watch.receive_batch():
                    image = event.object.parse()["spec"]["containers"][0]["image"]
                    seen[event.object.uid] = None if event.type.value == "DELETED" else image
                    images = {image for image in seen.values() if image}
                    assert len(images) <= 1
        assert await web.sizes() == {"v2": 3}

    run_trio(story(test))


def test_pods_that_die_or_are_deleted_are_made_anew_and_nothing_is_made_twice(run_trio):
    async def test(life, web):
        pods = life.cluster.resource("v1", "pods")
        for pod in (await life.objects("v1", "pods"))[:2]:
            await pods.delete(pod["metadata"]["name"], "a", grace_period_s=0)

        async def whole():
            found = await life.objects("v1", "pods")
            assert len(found) <= 3
            return len(found) == 3 and await web.is_complete()

        await life.until(whole)

    run_trio(story(test))


def test_a_pod_that_loses_its_labels_is_let_go_and_one_that_gets_them_is_taken_in(run_trio):
    async def test(life, web):
        pods = life.cluster.resource("v1", "pods")
        first, *_ = await life.objects("v1", "pods")
        name = first["metadata"]["name"]
        await pods.patch(name, {"metadata": {"labels": {"pod-template-hash": None}}}, "a")
        await life.until(lambda: _count(life, 4))
        assert "ownerReferences" not in (await pods.get(name, "a"))["metadata"]
        labels = {"pod-template-hash": first["metadata"]["labels"]["pod-template-hash"]}
        await pods.patch(name, {"metadata": {"labels": labels}}, "a")
        await life.until(lambda: _count(life, 3))

    run_trio(story(test))


async def _count(life, number):
    return len(await life.objects("v1", "pods")) == number


def test_a_set_that_nobody_has_is_adopted_with_its_pods(run_trio):
    """As in the recorded trace: the deployment goes and leaves its set, and one of its name takes it over."""

    async def test(life, web):
        before = {pod["metadata"]["uid"] for pod in await life.objects("v1", "pods")}
        sets = life.cluster.resource("apps/v1", "replicasets")
        await web.deployments.delete("web", "a", propagation_policy="Background")
        [one] = await life.objects("apps/v1", "replicasets")
        await sets.patch(one["metadata"]["name"], {"metadata": {"ownerReferences": None}}, "a")
        await web.deployments.create(deployment(), "a")
        await life.until(web.is_complete)
        assert {pod["metadata"]["uid"] for pod in await life.objects("v1", "pods")} == before
        [adopted] = await life.objects("apps/v1", "replicasets")
        owner = (await web.get())["metadata"]["uid"]
        assert adopted["metadata"]["ownerReferences"][0]["uid"] == owner

    run_trio(story(test))


def test_a_name_that_is_taken_by_another_set_is_passed_by(run_trio):
    async def main():
        async with living() as life:
            life.start(DeploymentController, ReplicaSetController)
            web = Web(life)
            await web.deployments.create(deployment(), "a")
            await life.until(web.is_complete)
            [one] = await life.objects("apps/v1", "replicasets")
            await web.deployments.delete("web", "a", propagation_policy="Background")
            sets = life.cluster.resource("apps/v1", "replicasets")
            stranger = {"kind": "Other", "name": "x", "uid": "x", "apiVersion": "v1", "controller": True}
            await sets.patch(one["metadata"]["name"], {"metadata": {"ownerReferences": [stranger]}}, "a")
            await web.deployments.create(deployment(), "a")
            await life.until(web.is_complete)
            assert (await web.get())["status"]["collisionCount"] == 1
            assert len(await life.objects("apps/v1", "replicasets")) == 2

    run_trio(main)


def test_a_deadline_that_passes_is_told_though_nothing_happens(run_trio):
    async def main():
        async with living(start_after_s=None) as life:
            life.start(DeploymentController, ReplicaSetController)
            web = Web(life)
            await web.deployments.create(deployment(progressDeadlineSeconds=60), "a")

            async def told():
                return conditions(await web.get()).get("Progressing") == ("False", "ProgressDeadlineExceeded")

            await life.until(told, within_s=70)
            life.assert_no_mistakes()

    run_trio(main)


def test_a_pod_is_available_after_min_ready_seconds_though_nothing_happens(run_trio):
    async def test(life, web):
        began = trio.current_time()
        await web.patch({"minReadySeconds": 20})
        await web.set_image("v2")
        await life.until(web.is_complete, within_s=300)
        assert trio.current_time() - began >= 3 * 20

    run_trio(story(test))


def test_pods_that_cannot_be_made_are_told_as_a_failure_and_tried_slowly(run_trio, monkeypatch):
    async def main():
        async with living() as life:
            life.start(DeploymentController, ReplicaSetController)
            web = Web(life)
            pods = life.cluster.resource("v1", "pods")
            create, attempts = pods.create, []

            async def refused(body, namespace=None, **options):
                attempts.append(trio.current_time())
                raise Forbidden(GroupResource("", "pods"), "x", "exceeded quota")

            monkeypatch.setattr(pods, "create", refused)
            await web.deployments.create(deployment(100), "a")

            async def told():
                found = await web.get()
                return conditions(found).get("ReplicaFailure") == ("True", "FailedCreate")

            await life.until(told)
            assert len(attempts) < 12, "one failed write ends the batches"
            monkeypatch.setattr(pods, "create", create)
            await life.until(web.is_complete, within_s=600)
            assert "ReplicaFailure" not in conditions(await web.get())

    run_trio(main)
