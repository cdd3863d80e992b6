"""Cron jobs: what they decide, and at work in virtual time."""

from __future__ import annotations

from typing import Any

import trio

from cacher.controllers import CronJobController, JobController
from cacher.controllers._cron_job_decision import plan_cron_job, with_job
from cacher.controllers._cron_times import read_schedule
from tests.cacher.controllers.living import EPOCH, living, set_phase
from tests.cacher.controllers.objects import at

EVERY_MINUTE = read_schedule("* * * * *")


def cron_job(**spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "v1"}]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "a", "uid": "cj", "creationTimestamp": at(0)},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}, **spec},
        "status": {},
    }


def job(name, ended="", started=0.0):
    status: dict[str, Any] = {"startTime": at(started)}
    if ended:
        status["conditions"] = [{"type": ended, "status": "True"}]
        status["completionTime"] = at(started + 5)
    return {"metadata": {"name": name, "namespace": "a", "uid": f"uid-{name}"}, "status": status}


def active(*jobs):
    made: dict[str, Any] = {}
    for one in jobs:
        made = with_job(made, one, EPOCH)
    return made


def test_a_time_that_has_come_makes_a_job_named_after_it():
    plan = plan_cron_job(cron_job(), [], EVERY_MINUTE, EPOCH + 61)
    assert plan.create is not None
    assert plan.create["metadata"]["name"] == f"tick-{int(EPOCH + 60) // 60}"
    assert plan.create["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == at(60)
    assert plan.again_in_s == 59.1
    assert plan_cron_job(cron_job(), [], EVERY_MINUTE, EPOCH + 59).create is None


def test_times_that_nobody_looked_at_are_made_up_for_by_the_latest_alone_if_it_is_not_too_late():
    plan = plan_cron_job(cron_job(), [], EVERY_MINUTE, EPOCH + 3605)
    assert plan.scheduled_s == EPOCH + 3600
    hourly = read_schedule("0 * * * *")
    late = cron_job(startingDeadlineSeconds=30)
    assert plan_cron_job(late, [], hourly, EPOCH + 3625).create is not None
    assert plan_cron_job(late, [], hourly, EPOCH + 3635).create is None


def test_a_job_that_still_runs_lets_the_next_one_begin_wait_or_take_its_place():
    running = job("tick-1")
    for policy, creates, replaces in (("Allow", True, 0), ("Forbid", False, 0), ("Replace", True, 1)):
        made = cron_job(concurrencyPolicy=policy)
        made["status"] = active(running)
        plan = plan_cron_job(made, [running], EVERY_MINUTE, EPOCH + 61)
        assert (plan.create is not None, len(plan.replace)) == (creates, replaces)


def test_a_suspended_one_and_one_that_goes_make_nothing():
    assert plan_cron_job(cron_job(suspend=True), [], EVERY_MINUTE, EPOCH + 61).create is None
    doomed = cron_job()
    doomed["metadata"]["deletionTimestamp"] = at(1)
    assert plan_cron_job(doomed, [], EVERY_MINUTE, EPOCH + 61).create is None


def test_what_ended_is_active_no_more_and_the_oldest_are_forgotten():
    done = [job(f"tick-{number}", "Complete", number) for number in range(5)]
    failed = [job(f"bad-{number}", "Failed", number) for number in range(3)]
    running = job("tick-9")
    made = cron_job()
    made["status"] = active(done[4], running)
    plan = plan_cron_job(made, [*done, *failed, running], EVERY_MINUTE, EPOCH + 30)
    assert [one["metadata"]["name"] for one in plan.forget] == ["tick-0", "tick-1", "bad-0", "bad-1"]
    assert [one["name"] for one in plan.status["active"]] == ["tick-9"]
    assert plan.status["lastSuccessfulTime"] == at(9)


def test_a_job_a_minute_and_three_are_kept(run_trio):
    async def main():
        async with living() as life:
            life.start(CronJobController, JobController)
            made = cron_job()
            made["metadata"] = {"name": "tick", "namespace": "a"}
            cron_jobs = life.cluster.resource("batch/v1", "cronjobs")
            await cron_jobs.create(made, "a")
            for _ in range(60):
                await trio.sleep(10)
                for pod in await life.objects("v1", "pods"):
                    if pod["status"]["phase"] == "Running":
                        await set_phase(life.cluster, pod["metadata"]["name"], "a", "Succeeded")
            jobs = await life.objects("batch/v1", "jobs")
            finished = [one for one in jobs if one["status"].get("completionTime")]
            assert len(finished) == 3
            names = [int(one["metadata"]["name"].removeprefix("tick-")) for one in jobs]
            assert max(names) - int(EPOCH) // 60 in (9, 10)
            status = (await cron_jobs.get("tick", "a"))["status"]
            assert status["lastSuccessfulTime"]
            assert status["lastScheduleTime"]
            life.assert_no_mistakes()

    run_trio(main)
