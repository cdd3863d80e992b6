"""The job controller: pods that run to their end, as many as are to succeed, each counted once.

    jobs, pods ──► key ──► claim pods ─ plan ─► make or delete pods ─► status ─► finalizers

Source: kubernetes pkg/controller/job/job_controller.go.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import final

from reflector import Client, Controller, JSONObject, Result, SharedInformers, Tombstone
from watch import APIError, NotFound, Object

from .._clock import Clock
from ._job_counting import FINALIZER, is_tracked
from ._job_decision import JobOptions, JobPlan, is_finished, job_pod, plan_job
from ._times import unix_of
from ._workload_heads import find, no_key, owned_by, read_head
from ._workload_objects import MANAGER, name_of, namespace_of, selector_of, spec_of, status_of, uid_of, with_status
from ._workload_pod_control import PodControl


@final
class JobController:
    """Runs until cancelled. It makes no pods of a job whose last ones it has yet to see, and counts nothing twice."""

    name = "job-controller"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        clock: Clock,
        options: JobOptions = JobOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._clock = clock
        self._jobs = client.resource("batch/v1", "jobs")
        self._informer = informers.informer("batch/v1", "jobs")
        self.controller = Controller(self.name, self.reconcile, random=random, concurrency=options.workers)
        self.controller.watches(self._informer)
        self.pods = PodControl(
            client,
            informers,
            self._informer,
            self.controller.queue,
            api_version="batch/v1",
            kind="Job",
            resource="jobs",
        )
        self.controller.watches(self.pods.informer, no_key)

    async def run(self) -> None:
        """Know all pods, then reconcile until cancelled."""
        await self._informer.wait_until_synced()
        await self.pods.follow()
        self.pods.informer.add_handler(_Orphans(self.see_orphan), name="pods of jobs that are gone")
        self._informer.add_handler(_Orphans(None, self._see_job_gone), name="jobs that are gone")
        await self.controller.run()

    async def reconcile(self, key: str) -> Result | None:
        """Bring the job nearer to its end; or let go of what a job that is gone left behind."""
        namespace, _, orphans_of = key.partition("/")
        if orphans_of.startswith(_ORPHANS):
            await self._let_go(namespace, orphans_of.removeprefix(_ORPHANS))
            return None
        found = find(self._informer, key)
        if found is None:
            self.pods.forget(key)
            return None
        job = found.to_dict()
        selector = selector_of(job)
        if selector is None:
            return None
        wait_s = self.pods.wait_s(key, job)
        if wait_s > 0:
            return Result(requeue_after_s=wait_s)
        pods = await self.pods.claimed(job, selector)
        plan = plan_job(job, pods, self._clock.unix(), self.options)
        await self._carry_out(key, job, plan)
        if is_finished(job):
            return await self._expire(job)
        return Result(requeue_after_s=max(plan.again_in_s, 0.001)) if plan.again_in_s is not None else None

    async def _carry_out(self, key: str, job: JSONObject, plan: JobPlan) -> None:
        """Pods first, then what is said of them, and only then do finalizers go: what is not counted stays."""
        error: APIError | None = None
        if plan.delete:
            error = await self.pods.delete(key, plan.delete)
        if plan.create:
            error = await self.pods.create(key, [job_pod(job, index) for index in plan.create])
        if error is not None:
            raise error
        if plan.status is not None:
            changed = with_status(job, plan.status)
            try:
                await self._jobs.subresource("status").update(changed, namespace_of(changed), field_manager=MANAGER)
            except NotFound:
                return
        for pod in plan.release:
            await self.pods.release(pod, FINALIZER)

    async def _expire(self, job: JSONObject) -> Result | None:
        """A finished job goes when it said so. Source: kubernetes pkg/controller/ttlafterfinished."""
        seconds = spec_of(job).get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        ends = [
            unix_of(one.get("lastTransitionTime"))
            for one in status_of(job).get("conditions") or ()
            if one.get("type") in ("Complete", "Failed")
        ]
        left = max(ends) + int(seconds) - self._clock.unix()
        if left > 0:
            return Result(requeue_after_s=left)
        try:
            await self._jobs.delete(name_of(job), namespace_of(job), uid=uid_of(job), propagation_policy="Foreground")
        except NotFound:
            return None
        return None

    # ---- pods of jobs that are gone ----------------------------------------------------------------------------------

    def see_orphan(self, pod: Object) -> None:
        """A pod that goes while its job is gone waits for a finalizer that nobody else would take away."""
        owner, is_going = read_head(pod)
        if owner is None or owner.kind != "Job":
            return
        job = self._informer.store.get(f"{pod.namespace}/{owner.name}")
        if is_going and (job is None or job.uid != owner.uid):
            self.controller.queue.add(f"{pod.namespace}/{_ORPHANS}{owner.uid}")

    def _see_job_gone(self, job: Object) -> None:
        self.controller.queue.add(f"{job.namespace}/{_ORPHANS}{job.uid}")

    async def _let_go(self, namespace: str, job_uid: str) -> None:
        """Finalizers of pods that go; those that stay keep theirs until somebody deletes them."""
        for obj in owned_by(self.pods.informer, job_uid):
            pod = self.pods.views.of(obj)
            if is_tracked(pod) and pod.is_terminating:
                await self.pods.release(pod, FINALIZER)


_ORPHANS = "/"
"""No job's name begins so: the key "team-a//UID" is about what the job of that uid left behind."""


class _Orphans:
    """A handler that tells of objects that are there, or of those that are gone."""

    def __init__(self, see: Callable[[Object], None] | None, see_gone: Callable[[Object], None] | None = None) -> None:
        self._see, self._see_gone = see, see_gone

    def on_add(self, obj: Object, is_in_initial_list: bool) -> None:
        if self._see is not None:
            self._see(obj)

    def on_update(self, old: Object, new: Object) -> None:
        self.on_add(new, False)

    def on_delete(self, obj: Object | Tombstone) -> None:
        if self._see_gone is not None:
            self._see_gone(obj if isinstance(obj, Object) else obj.last_known)
