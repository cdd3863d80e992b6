"""The eviction of a pod: a deletion that asks the pod's disruption budget first.

    over, pending, or going ──► deleted, whatever budgets say
    no budget ──► deleted         several ──► refused: 500
    not ready, and its budget is met without it (or says AlwaysAllow) ──► deleted, if it is still not ready
    else the budget has a disruption left ──► counted, and deleted         none left ──► 429

Source: kubernetes pkg/registry/core/pod/storage/eviction.go.
Differs: policy/v1beta1 evictions are not taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import trio

from ..storage import Preconditions
from ._disruption_budgets import LIMIT_OF_DISRUPTED, denied, spent
from ._errors import (
    BadRequest,
    Cause,
    Conflict,
    Forbidden,
    GroupResource,
    StatusDetails,
    Timeout,
    TooManyRequests,
    quoted,
)
from ._label_selectors import read_selector
from ._meta import JSONObject, deletion_timestamp_of, generation_of, name_of, text
from ._pod_binding import created_status
from ._pods import FINISHED, is_ready, labels_of
from ._rest import Context, CreateOptions, DeleteOptions, ValidateObject, accept
from ._subresource import Part

if TYPE_CHECKING:
    from ._resource_door import ResourceDoor
    from ._store import RegistryStore

ATTEMPTS = 20
"""Of an eviction whose pod, or budget, others write meanwhile: ten seconds, and then somebody else's turn."""
PAUSE_S = 0.5
JITTER = 0.1
_MANAGER = "kube-apiserver"
_BUDGET = GroupResource("policy", "poddisruptionbudget")
_VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


class EvictionStore(Part):
    """The evictions of a store's pods.

    Args:
        budgets: the door to poddisruptionbudgets; asked for when it is first needed.
    """

    def __init__(self, pods: RegistryStore, budgets: Callable[[], ResourceDoor]) -> None:
        super().__init__(pods, ("policy/v1", "Eviction"))
        self._budgets = budgets

    async def create_named(
        self,
        context: Context,
        name: str,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """Deletes the pod as the eviction's deleteOptions say, if its budget has a disruption left. Returns a Status.

        Raises:
            TooManyRequests: the budget does not allow it now.
            NotFound; BadRequest: it names another pod; Conflict: a precondition does not hold.
        """
        if name_of(obj) != name:
            raise BadRequest("name in URL does not match name in Eviction object")
        asked = _delete_options(obj.get("deleteOptions") or {}, options)
        validate(obj)
        pod = await self._delete_unguarded(context, name, asked)
        if pod is None:
            return created_status()
        budgets = await self._budgets_of(pod, context)
        if len(budgets) > 1:
            return {**created_status(), "status": "Failure", "message": _SEVERAL, "code": 500}
        if budgets and _is_not_missed(pod, budgets[0]):
            return await self._delete_unready(context, pod, asked, name_of(budgets[0]))
        if budgets:
            await self._spend(context, budgets[0], name, dry_run=asked.dry_run)
        await self._store.delete(context, name, options=asked)
        return created_status()

    async def _delete_unguarded(self, context: Context, name: str, asked: DeleteOptions) -> JSONObject | None:
        """Deletes the pod if no budget guards it as it is; otherwise the pod."""
        attempts = ATTEMPTS if _version(asked) is None else 1
        for attempt in range(attempts):
            pod = await self._store.get(context, name)
            phase, is_going = (pod.get("status") or {}).get("phase"), bool(deletion_timestamp_of(pod))
            if phase not in (*FINISHED, "Pending") and not is_going:
                return pod
            # A pod that only waits may become ready: it is deleted as it was seen, or looked at again.
            options = asked if phase in FINISHED or is_going else _at_version(asked, pod)
            try:
                await self._store.delete(context, name, options=options)
            except Conflict:
                if attempt + 1 == attempts:
                    raise
                await self._pause()
            else:
                return None
        raise AssertionError("the last attempt returned or raised")

    async def _delete_unready(self, context: Context, pod: JSONObject, asked: DeleteOptions, budget: str) -> JSONObject:
        try:
            await self._store.delete(context, name_of(pod), options=_at_version(asked, pod))
        except Conflict as error:
            if _version(asked) is None:
                raise _busy(budget) from error
            raise
        return created_status()

    async def _budgets_of(self, pod: JSONObject, context: Context) -> list[JSONObject]:
        page = await self._budgets().list(context.namespace)
        budgets = (obj.to_dict() for obj in page.objects)
        return [budget for budget in budgets if _guards(budget, pod)]

    async def _spend(self, context: Context, budget: JSONObject, pod: str, *, dry_run: bool) -> None:
        """Counts a disruption of the budget, read again each time somebody else wrote it.

        Raises:
            TooManyRequests, Forbidden: there is none left. Timeout: it is written all the time.
        """
        door, name = self._budgets(), name_of(budget)
        for _ in range(ATTEMPTS):
            check_budget(budget)
            if dry_run:
                return
            now = self._store.environment.now()
            try:
                await door.subresource("status").update(
                    {**budget, "status": spent(budget.get("status") or {}, pod, now)},
                    context.namespace,
                    name=name,
                    field_manager=_MANAGER,
                )
            except Conflict:
                await self._pause()
                budget = await door.get(name, context.namespace)
            else:
                return
        why = f"Timeout: couldn't update PodDisruptionBudget {quoted(name)} due to conflicts"
        raise Timeout(why, StatusDetails(retry_after_s=10))

    async def _pause(self) -> None:
        await trio.sleep(PAUSE_S * (1 + JITTER * self._store.environment.random.random()))


def _delete_options(asked: JSONObject, options: CreateOptions) -> DeleteOptions:
    told = asked.get("preconditions") or {}
    preconditions = Preconditions(told.get("uid"), told.get("resourceVersion")) if told else None
    return DeleteOptions(
        grace_period_s=asked.get("gracePeriodSeconds"),
        preconditions=preconditions,
        orphan_dependents=asked.get("orphanDependents"),
        propagation_policy=asked.get("propagationPolicy"),
        dry_run=options.dry_run or bool(asked.get("dryRun")),
    )


def _version(options: DeleteOptions) -> str | None:
    return options.preconditions.resource_version if options.preconditions is not None else None


def _at_version(options: DeleteOptions, pod: JSONObject) -> DeleteOptions:
    """The options, for the pod as it is; as they were, where they name a version themselves."""
    if _version(options) is not None:
        return options
    uid = options.preconditions.uid if options.preconditions is not None else None
    return msgspec.structs.replace(options, preconditions=Preconditions(uid, text(pod, "resourceVersion")))


def _guards(budget: JSONObject, pod: JSONObject) -> bool:
    selector = (budget.get("spec") or {}).get("selector")
    matcher = read_selector(selector) if selector is not None else None
    return matcher is not None and matcher.matches(labels_of(pod))


def _is_not_missed(pod: JSONObject, budget: JSONObject) -> bool:
    """Whether the pod counts for nothing in the budget, which is met without it."""
    if is_ready(pod):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return desired > 0 and (status.get("currentHealthy") or 0) >= desired


def check_budget(budget: JSONObject) -> None:
    """Raises TooManyRequests or Forbidden where the budget has no disruption left, or does not know how many."""
    status, name = budget.get("status") or {}, name_of(budget)
    if (status.get("observedGeneration") or 0) < generation_of(budget):
        raise _busy(name)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise Forbidden(_BUDGET, name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or {}) > LIMIT_OF_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise Forbidden(_BUDGET, name, why)
    if allowed == 0:
        raise TooManyRequests(_VIOLATED, StatusDetails(causes=(Cause("DisruptionBudget", denied(budget)),)))


def _busy(budget: str) -> TooManyRequests:
    why = f"The disruption budget {budget} is still being processed by the server."
    return TooManyRequests(_VIOLATED, StatusDetails(causes=(Cause("DisruptionBudget", why),), retry_after_s=10))
