"""Replica sets, stateful sets, daemon sets, jobs, cron jobs, their revisions and budgets: what is filled in, checked and kept."""

from __future__ import annotations

from typing import Any

import pytest

from cacher import RESOURCES
from cacher.registry import APIError
from cacher.registry._cron_schedule import schedule_problem
from tests.cacher.registry.world import open_world, registry_of, run

NS = "team-a"
KINDS = {
    "replicasets": "apps/v1",
    "statefulsets": "apps/v1",
    "daemonsets": "apps/v1",
    "controllerrevisions": "apps/v1",
    "jobs": "batch/v1",
    "cronjobs": "batch/v1",
    "poddisruptionbudgets": "policy/v1",
}
WEB = {"matchLabels": {"app": "web"}}


def template(**spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "example.com/app:1"}]
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **spec}}


def workload(**spec: Any) -> dict[str, Any]:
    whole = {"selector": WEB, "template": template(), **spec}
    return {"metadata": {"name": "web"}, "spec": {name: value for name, value in whole.items() if value is not None}}


def job(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "work"}, "spec": {"template": template(restartPolicy="Never"), **spec}}


def cron_job(schedule: str = "0 * * * *", **spec: Any) -> dict[str, Any]:
    inner = {"spec": {"template": template(restartPolicy="Never")}}
    return {"metadata": {"name": "work"}, "spec": {"schedule": schedule, "jobTemplate": inner, **spec}}


def tell(plural: str, main: Any) -> None:
    async def whole():
        async with open_world() as world:
            registry = await registry_of(world, RESOURCES[KINDS[plural], plural])
            await main(registry.resource(KINDS[plural], plural))

    run(whole)


async def refusal(call: Any) -> str:
    with pytest.raises(APIError) as caught:
        await call
    assert caught.value.code == 422
    return caught.value.message


def with_spec(obj: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**obj, "spec": {**obj["spec"], **spec}}


@pytest.mark.parametrize(
    ("plural", "filled_in"),
    [
        ("replicasets", {"replicas": 1}),
        (
            "statefulsets",
            {
                "replicas": 1,
                "podManagementPolicy": "OrderedReady",
                "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            },
        ),
        (
            "daemonsets",
            {
                "revisionHistoryLimit": 10,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
            },
        ),
    ],
)
def test_a_workload_gets_defaults_and_counts_the_generations_of_its_spec(plural, filled_in):
    async def main(door):
        made = await door.create({**workload(), "status": {"replicas": 5}}, NS)
        assert {name: made["spec"].get(name) for name in filled_in} == filled_in
        assert made["metadata"]["generation"] == 1
        assert made["status"].get("replicas", 0) == 0
        labelled = await door.update({**made, "metadata": {**made["metadata"], "labels": {"l": "1"}}}, NS)
        assert labelled["metadata"]["generation"] == 1
        changed = await door.update(with_spec(labelled, minReadySeconds=3), NS)
        assert changed["metadata"]["generation"] == 2
        status = {**changed["status"], "observedGeneration": 2}
        answer = await door.subresource("status").update({**changed, "spec": made["spec"], "status": status}, NS)
        assert (answer["metadata"]["generation"], answer["spec"]["minReadySeconds"]) == (2, 3)
        assert answer["status"]["observedGeneration"] == 2

    tell(plural, main)


@pytest.mark.parametrize(
    ("plural", "why"),
    [
        ("replicasets", 'spec.selector: Invalid value: {"matchLabels":{"app":"db"}}: field is immutable'),
        (
            "statefulsets",
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
            "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are "
            "forbidden",
        ),
        ("daemonsets", 'spec.selector: Invalid value: {"matchLabels":{"app":"db"}}: field is immutable'),
    ],
)
def test_the_selector_of_a_workload_stays(plural, why):
    async def main(door):
        made = await door.create(workload(), NS)
        other = template()
        other["metadata"]["labels"] = {"app": "db"}
        changed = with_spec(made, selector={"matchLabels": {"app": "db"}}, template=other)
        assert why in await refusal(door.update(changed, NS))

    tell(plural, main)


@pytest.mark.parametrize("plural", ["replicasets", "statefulsets", "daemonsets"])
@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"selector": {"matchLabels": {"app": "db"}}}, "does not match template `labels`"),
        (
            {"template": template(restartPolicy="Never")},
            'restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        ({"minReadySeconds": -1}, "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"),
        ({"template": {"metadata": {"labels": {"app": "web"}}, "spec": {}}}, "containers: Required value"),
    ],
)
def test_what_is_no_workload_is_refused(plural, spec, why):
    async def main(door):
        assert why in await refusal(door.create(workload(**spec), NS))

    tell(plural, main)


@pytest.mark.parametrize("plural", ["replicasets", "statefulsets"])
def test_replicas_are_scaled_and_a_status_that_counts_below_zero_is_refused(plural):
    async def main(door):
        made = await door.create(workload(), NS)
        scale = await door.subresource("scale").get("web", NS)
        assert (scale["spec"], scale["kind"]) == ({"replicas": 1}, "Scale")
        await door.subresource("scale").update({**scale, "spec": {"replicas": 4}}, NS)
        found = await door.get("web", NS)
        assert (found["spec"]["replicas"], found["metadata"]["generation"]) == (4, 2)
        status = {**made["status"], "replicas": -1}
        assert "status.replicas: Invalid value: -1" in await refusal(
            door.subresource("status").update({**found, "status": status}, NS)
        )

    tell(plural, main)


def test_a_revision_is_never_rewritten():
    async def main(door):
        body = {"metadata": {"name": "r"}, "revision": 1, "data": {"spec": {}}}
        made = await door.create(body, NS)
        assert "data: Invalid value" in await refusal(door.update({**made, "data": {"spec": {"a": 1}}}, NS))
        assert "revision" in (await door.update({**made, "revision": 2}, NS))
        assert "data: Required value: data is mandatory" in await refusal(
            door.create({"metadata": {"name": "s"}, "revision": 1}, NS)
        )

    tell("controllerrevisions", main)


def test_a_job_gets_a_selector_and_labels_of_its_own_uid():
    async def main(door):
        made = await door.create(job(), NS)
        uid = made["metadata"]["uid"]
        assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = made["spec"]["template"]["metadata"]["labels"]
        assert labels == {
            "app": "web",
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": "work",
            "controller-uid": uid,
            "job-name": "work",
        }
        assert {
            name: made["spec"][name] for name in ("completions", "parallelism", "backoffLimit", "completionMode")
        } == {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 6,
            "completionMode": "NonIndexed",
        }
        assert made["metadata"]["generation"] == 1
        # Suspending it is a generation; completions do not change.
        assert (await door.update(with_spec(made, suspend=True), NS))["metadata"]["generation"] == 2

    tell("jobs", main)


def test_a_job_that_chooses_its_selector_has_to_say_that_it_does():
    async def main(door):
        assert "`selector` not auto-generated" in await refusal(door.create(job(selector=WEB), NS))
        made = await door.create(job(selector=WEB, manualSelector=True), NS)
        assert made["spec"]["selector"] == WEB
        assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web"}

    tell("jobs", main)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"completions": 2}, "spec.completions: Invalid value: 2: field is immutable"),
        ({"backoffLimit": -1}, "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"),
        ({"completionMode": "Indexed"}, "spec.completionMode: Invalid value"),
        ({"template": template(restartPolicy="Always")}, "spec.template.spec.restartPolicy"),
    ],
)
def test_what_of_a_job_does_not_change(change, why):
    async def main(door):
        made = await door.create(job(), NS)
        assert why in await refusal(door.update(with_spec(made, **change), NS))

    tell("jobs", main)


def test_a_cron_job_gets_defaults():
    async def main(door):
        made = await door.create(cron_job(), NS)
        assert {
            name: made["spec"][name]
            for name in ("concurrencyPolicy", "suspend", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
        } == {
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        }
        assert made["metadata"]["generation"] == 1
        assert (await door.update(with_spec(made, suspend=True), NS))["metadata"]["generation"] == 2

    tell("cronjobs", main)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"schedule": ""}, "spec.schedule: Required value"),
        (
            {"schedule": "61 * * * *"},
            'spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61',
        ),
        ({"schedule": "TZ=UTC 0 * * * *"}, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"),
        ({"timeZone": ""}, "spec.timeZone"),
        ({"timeZone": "Nowhere/There"}, "unknown time zone Nowhere/There"),
        ({"concurrencyPolicy": "Maybe"}, 'spec.concurrencyPolicy: Unsupported value: "Maybe"'),
        ({"startingDeadlineSeconds": -1}, "spec.startingDeadlineSeconds: Invalid value: -1"),
    ],
)
def test_what_is_no_cron_job_is_refused(spec, why):
    async def main(door):
        assert why in await refusal(door.create(cron_job(**spec), NS))

    tell("cronjobs", main)


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("* * * * *", ""),
        ("*/5 0-6,12 1 JAN-mar mon", ""),
        ("? ? ? ? ?", ""),
        ("@hourly", ""),
        ("@every 1h30m", ""),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/1/2 * * * *", "too many slashes: */1/2"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
    ],
)
def test_a_schedule_is_read_as_the_library_reads_it(schedule, problem):
    assert schedule_problem(schedule) == problem


def test_a_budget_says_one_of_two_things_and_its_status_is_its_own():
    async def main(door):
        body = {"metadata": {"name": "b"}, "spec": {"selector": WEB}}
        assert "minAvailable and maxUnavailable cannot be both set" in await refusal(
            door.create(with_spec(body, minAvailable=1, maxUnavailable=1), NS)
        )
        assert "must be a numeric string followed by an ending '%'" in await refusal(
            door.create(with_spec(body, minAvailable="some"), NS)
        )
        made = await door.create({**with_spec(body, minAvailable="50%"), "status": {"disruptionsAllowed": 9}}, NS)
        assert made["status"]["disruptionsAllowed"] == 0
        assert (await door.update(with_spec(made, minAvailable=2), NS))["metadata"]["generation"] == 2

    tell("poddisruptionbudgets", main)
