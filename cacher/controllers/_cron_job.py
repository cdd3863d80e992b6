"""The cron job controller: a job whenever it is time.

    cronjobs, jobs ──► key ──► plan ─► forget, replace, make jobs ─► status ─► again at the next time

Source: kubernetes pkg/controller/cronjob/cronjob_controllerv2.go.
"""

from __future__ import annotations

from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, GiveUp, JSONObject, Result, SharedInformers, owner_key
from watch import AlreadyExists, APIError, NotFound

from .._clock import Clock
from ._cron_job_decision import CronJobPlan, plan_cron_job, with_job
from ._cron_times import read_schedule
from ._workload_heads import find, owned_by, with_owner_index
from ._workload_objects import MANAGER, is_controlled_by, name_of, namespace_of, spec_of, status_of, uid_of, with_status
from ._workload_pod_control import is_namespace_going


class CronJobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How fast it works."""

    workers: int = 5


@final
class CronJobController:
    """Runs until cancelled. A time that passed while nobody looked is made up for once, if its deadline allows."""

    name = "cronjob-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: CronJobOptions = CronJobOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._cron_jobs = client.resource("batch/v1", "cronjobs")
        self._jobs = client.resource("batch/v1", "jobs")
        self._informer = informers.informer("batch/v1", "cronjobs")
        self._job_informer = with_owner_index(informers.informer("batch/v1", "jobs"))
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer).watches(self._job_informer, owner_key("CronJob"))

    async def run(self) -> None:
        """Reconcile until cancelled."""
        await self.controller.run()

    async def reconcile(self, key: str) -> Result | None:
        """Make a job, if it is time."""
        found = find(self._informer, key)
        if found is None:
            return None
        cron_job = found.to_dict()
        jobs = [one.to_dict() for one in owned_by(self._job_informer, found.uid)]
        try:
            schedule = read_schedule(str(spec_of(cron_job).get("schedule", "")))
        except ValueError as error:
            raise GiveUp(str(error)) from error
        plan = plan_cron_job(cron_job, jobs, schedule, self._clock.unix())
        await self._carry_out(cron_job, plan)
        return Result(requeue_after_s=plan.again_in_s) if plan.again_in_s is not None else None

    async def _carry_out(self, cron_job: JSONObject, plan: CronJobPlan) -> None:
        for one in (*plan.forget, *plan.replace):
            await self._delete(one)
        status = plan.status
        gone = [uid_of(one) for one in plan.replace]
        if gone:
            status = {**status, "active": [one for one in status.get("active") or () if one["uid"] not in gone]}
        if plan.create is not None:
            made = await self._created(cron_job, plan.create)
            if made is not None:
                status = with_job(status, made, plan.scheduled_s)
        if status != status_of(cron_job):
            changed = with_status(cron_job, status)
            try:
                part = self._cron_jobs.subresource("status")
                await part.update(changed, namespace_of(changed), field_manager=MANAGER)
            except NotFound:
                return

    async def _created(self, cron_job: JSONObject, job: JSONObject) -> JSONObject | None:
        """The job; the one that was made before and not told of; None where its name is another's, or all goes."""
        try:
            return await self._jobs.create(job, namespace_of(job), field_manager=MANAGER)
        except AlreadyExists:
            found = await self._jobs.get(name_of(job), namespace_of(job))
            return found if is_controlled_by(found, cron_job) else None
        except APIError as error:
            if is_namespace_going(error):
                return None
            raise

    async def _delete(self, job: JSONObject) -> None:
        try:
            await self._jobs.delete(name_of(job), namespace_of(job), uid=uid_of(job), propagation_policy="Background")
        except NotFound:
            return
