"""Jobs at work, on a cluster in this process and in virtual time."""

from __future__ import annotations

import trio

from cacher.controllers import JobController
from tests.cacher.controllers.living import living, set_phase


def job(**spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "v1"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "a"},
        "spec": {"template": template, **spec},
    }


class Work:
    def __init__(self, life):
        self.life = life
        self.jobs = life.cluster.resource("batch/v1", "jobs")

    async def end_running(self, phase):
        for pod in await self.life.objects("v1", "pods"):
            if pod["status"]["phase"] == "Running":
                await set_phase(self.life.cluster, pod["metadata"]["name"], "a", phase)

    async def conditions(self):
        found = await self.jobs.get("work", "a")
        return [one["type"] for one in found["status"].get("conditions", ())]

    async def goes_on_until(self, type_, phase="Succeeded"):
        async def claim():
            await self.end_running(phase)
            return type_ in await self.conditions()

        await self.life.until(claim, within_s=600)


def test_a_job_runs_to_its_end_and_each_pod_counts_once(run_trio):
    async def main():
        async with living() as life:
            life.start(JobController)
            work = Work(life)
            await work.jobs.create(job(completions=5, parallelism=2), "a")
            await work.goes_on_until("Complete")
            found = await work.jobs.get("work", "a")
            assert found["status"]["succeeded"] == 5
            assert found["status"]["uncountedTerminatedPods"] == {}
            pods = await life.objects("v1", "pods")
            assert len(pods) == 5
            assert not any(pod["metadata"].get("finalizers") for pod in pods)
            life.assert_no_mistakes()

    run_trio(main)


def test_a_job_that_fails_too_often_fails_after_growing_waits(run_trio):
    async def main():
        async with living() as life:
            life.start(JobController)
            work = Work(life)
            began = trio.current_time()
            await work.jobs.create(job(backoffLimit=2), "a")
            await work.goes_on_until("Failed", "Failed")
            assert (await work.jobs.get("work", "a"))["status"]["failed"] == 3
            assert 10 + 20 <= trio.current_time() - began < 60
            life.assert_no_mistakes()

    run_trio(main)


def test_a_finished_job_goes_when_it_said_so(run_trio):
    async def main():
        async with living() as life:
            life.start(JobController)
            work = Work(life)
            await work.jobs.create(job(ttlSecondsAfterFinished=60), "a")
            await work.goes_on_until("Complete")
            await trio.sleep(50)
            assert "deletionTimestamp" not in (await work.jobs.get("work", "a"))["metadata"]
            await trio.sleep(20)
            assert (await work.jobs.get("work", "a"))["metadata"]["finalizers"] == ["foregroundDeletion"]

    run_trio(main)


def test_pods_of_a_job_that_is_gone_are_not_held_by_its_finalizer(run_trio):
    async def main():
        async with living() as life:
            life.start(JobController)
            work = Work(life)
            pods = life.cluster.resource("v1", "pods")

            async def count(number):
                return len(await life.objects("v1", "pods")) == number

            await work.jobs.create(job(completions=2, parallelism=2), "a")
            await life.until(lambda: count(2))
            first, second = [pod["metadata"]["name"] for pod in await life.objects("v1", "pods")]
            await pods.delete(first, "a", grace_period_s=0)  # before the job is gone, and after
            await work.jobs.delete("work", "a", propagation_policy="Background")
            await pods.delete(second, "a", grace_period_s=0)
            await life.until(lambda: count(0))

    run_trio(main)


def test_a_suspended_job_has_no_pods_until_it_is_resumed(run_trio):
    async def main():
        async with living() as life:
            life.start(JobController)
            work = Work(life)
            await work.jobs.create(job(suspend=True), "a")
            await trio.sleep(5)
            assert await life.objects("v1", "pods") == []
            assert await work.conditions() == ["Suspended"]
            await work.jobs.patch("work", {"spec": {"suspend": False}}, "a")
            await work.goes_on_until("Complete")

    run_trio(main)
