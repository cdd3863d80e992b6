"""Deployments: what is filled in, what counts a generation, status and scale by themselves, and the rollback of old (5.10)."""

from __future__ import annotations

import pytest

from cacher.registry import (
    BadRequest,
    Conflict,
    Context,
    CreateOptions,
    DeploymentStorage,
    Invalid,
    KindProvider,
    MethodNotAllowed,
    NamedCreater,
    NotFound,
    Patcher,
    PatchType,
    Registry,
    Replacement,
    StandardStorage,
    UnknownResource,
)
from cacher.registry._deployment_defaults import default_deployment
from cacher.registry._deployment_validation import validate_deployment_spec, validate_deployment_status
from cacher.registry._pod_defaults import default_pod_spec, pull_policy
from tests.cacher.registry.world import DEPLOYMENTS, TEAM, deployment, open_world, registry_of, run

MERGE = PatchType.MERGE


def whole(**spec):
    """A valid deployment's spec, with these members instead of its own."""
    return {**default_deployment(deployment())["spec"], **spec}


def problems(spec):
    return [f"{error.field}: {error.message}" for error in validate_deployment_spec(spec)]


def test_what_a_client_leaves_out_is_filled_in_and_nothing_is_filled_in_twice():
    made = default_deployment(deployment())
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert default_deployment(made) == made
    recreated = default_deployment(deployment(spec={"strategy": {"type": "Recreate"}}, replicas=0))
    assert recreated["spec"]["strategy"] == {"type": "Recreate"}
    assert recreated["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("host:5000/a", "Always"),
        ("host:5000/a:1", "IfNotPresent"),
        ("a@sha256:00", "IfNotPresent"),
    ],
)
def test_an_image_that_may_change_is_pulled_always(image, policy):
    assert pull_policy(image) == policy


def test_a_template_gets_the_defaults_of_its_containers_volumes_and_probes():
    spec = default_pod_spec(
        {
            "hostNetwork": True,
            "serviceAccountName": "robot",
            "containers": [
                {
                    "name": "c",
                    "image": "a:1",
                    "ports": [{"containerPort": 80}],
                    "resources": {"limits": {"cpu": "1"}},
                    "livenessProbe": {"httpGet": {"port": 80}},
                    "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                }
            ],
            "volumes": [
                {"name": "v"},
                {"name": "s", "secret": {"secretName": "s"}},
                {"name": "h", "hostPath": {"path": "/"}},
            ],
        }
    )
    container = spec["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"] == {"limits": {"cpu": "1"}}
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "failureThreshold": 3,
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}},
        {"name": "h", "hostPath": {"path": "/", "type": ""}},
    ]
    assert spec["serviceAccount"] == "robot"


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        (whole(), []),
        (whole(replicas=-1), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            whole(selector={}),
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (
            whole(selector={"matchLabels": {"app": "other"}}),
            [
                'spec.template.metadata.labels: Invalid value: {"app":"web"}: '
                "`selector` does not match template `labels`"
            ],
        ),
        (
            whole(strategy={"type": "Recreate", "rollingUpdate": {}}),
            [
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
            ],
        ),
        (
            whole(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
            [
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0',
            ],
        ),
        (
            whole(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "101%"}}),
            [
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
            ],
        ),
        (
            whole(minReadySeconds=600),
            ["spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"],
        ),
        (
            whole(revisionHistoryLimit=-1),
            ["spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"],
        ),
    ],
)
def test_a_spec_is_checked_in_kubernetes_words(spec, wrong):
    assert problems(spec) == wrong


def test_the_pods_of_a_deployment_always_start_again():
    spec = whole()
    pods = {**spec["template"]["spec"], "restartPolicy": "Never", "activeDeadlineSeconds": 5}
    found = problems({**spec, "template": {**spec["template"], "spec": pods}})
    assert found == [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
    ]


def test_a_status_counts_nothing_below_zero_and_no_more_than_there_is():
    def found(status, old=None):
        return [error.field for error in validate_deployment_status(status, old or {})]

    assert found({"replicas": 2, "readyReplicas": 2, "availableReplicas": 2}) == []
    assert found({"replicas": 1, "readyReplicas": 2}) == ["status.readyReplicas"]
    assert found({"replicas": 3, "readyReplicas": 1, "availableReplicas": 2}) == ["status.availableReplicas"]
    assert found({"collisionCount": 1}, {"collisionCount": 2}) == ["status.collisionCount"]


def test_a_generation_counts_spec_and_annotations_and_no_write_of_the_main_verb_touches_the_status():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            made = await door.create(deployment(status={"replicas": 9}), "team-a")
            assert (made["metadata"]["generation"], made["status"]) == (1, {})
            status = door.subresource("status")
            await status.patch("web", {"status": {"replicas": 1}}, "team-a", type=MERGE)

            async def patched(patch):
                obj, _ = await door.patch("web", patch, "team-a", type=MERGE)
                assert obj["status"] == {"replicas": 1}
                return obj["metadata"]["generation"]

            assert await patched({"metadata": {"labels": {"l": "1"}}}) == 1
            assert await patched({"spec": {"replicas": 2}, "status": {"replicas": 7}}) == 2
            assert await patched({"metadata": {"annotations": {"n": "1"}}}) == 3
            assert await patched({"metadata": {"generation": 77}}) == 3

    run(main)


def test_a_status_is_written_by_itself_with_annotations_and_nothing_else():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            await door.create(deployment(meta={"labels": {"keep": "1"}}), "team-a")
            sent = deployment(
                replicas=9,
                meta={"labels": {"l": "1"}, "annotations": {"n": "1"}},
                status={"replicas": 2, "observedGeneration": 1},
            )
            new = await door.subresource("status").update(sent, "team-a")
            assert new["status"] == {"replicas": 2, "observedGeneration": 1}
            assert new["spec"]["replicas"] == 1
            assert new["metadata"]["labels"] == {"keep": "1"}
            assert new["metadata"]["annotations"] == {"n": "1"}
            assert new["metadata"]["generation"] == 1
            with pytest.raises(NotFound):
                await door.subresource("status").update(deployment("none"), "team-a")
            with pytest.raises(Invalid, match=r"cannot be greater than status.replicas"):
                wrong = {"status": {"replicas": 1, "readyReplicas": 2}}
                await door.subresource("status").patch("web", wrong, "team-a", type=MERGE)

    run(main)


def test_the_selector_never_changes():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            await door.create(deployment(), "team-a")
            other = deployment(spec={"selector": {"matchLabels": {"app": "web", "x": "1"}}})
            other["spec"]["template"]["metadata"]["labels"]["x"] = "1"
            with pytest.raises(Invalid, match=r"spec.selector: .*field is immutable"):
                await door.update(other, "team-a")

    run(main)


def test_a_name_that_is_no_label_is_warned_of():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            warned: list[str] = []
            dotted = deployment("a.b", spec={"selector": {"matchLabels": {"app": "x"}}})
            dotted["spec"]["template"]["metadata"]["labels"] = {"app": "x"}
            await door.create(dotted, "team-a", warn=warned.append)
            assert len(warned) == 1
            assert warned[0].endswith("a DNS label is recommended: [must not contain dots]")

    run(main)


# ---- scale -----------------------------------------------------------------------------------------------------------


def scale(replicas: int, **meta):
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "web", "namespace": "team-a", **meta},
        "spec": {"replicas": replicas},
    }


def test_a_scale_shows_the_deployment_and_changes_its_replicas_alone():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            made = await door.create(deployment(meta={"labels": {"l": "1"}}, replicas=2), "team-a")
            shown = await door.subresource("scale").get("web", "team-a")
            kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            assert shown == {
                "apiVersion": "autoscaling/v1",
                "kind": "Scale",
                "metadata": {name: made["metadata"][name] for name in kept},
                "spec": {"replicas": 2},
                "status": {"replicas": 0, "selector": "app=web"},
            }
            shown["spec"]["replicas"] = 5
            await door.subresource("scale").update(shown)
            scaled = await door.get("web", "team-a")
            assert scaled["spec"]["replicas"] == 5
            assert scaled["metadata"]["generation"] == 2
            assert scaled["metadata"]["labels"] == {"l": "1"}
            with pytest.raises(Conflict, match="the object has been modified"):
                await door.subresource("scale").update(shown)

    run(main)


def test_a_scale_without_a_version_is_unconditional_and_one_of_another_uid_is_refused():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            await door.create(deployment(), "team-a")
            part = door.subresource("scale")
            assert (await part.update(scale(3), "team-a"))["spec"] == {"replicas": 3}
            assert (await part.update(scale(0), "team-a"))["spec"] == {}
            with pytest.raises(Conflict, match="Precondition failed: UID in precondition: 1,"):
                await part.update(scale(4, uid="1"), "team-a")
            with pytest.raises(Invalid, match=r'Scale.autoscaling "web" is invalid: spec.replicas'):
                await part.update(scale(-1), "team-a")
            with pytest.raises(NotFound):
                await part.update({**scale(1), "metadata": {"name": "none"}}, "team-a")
            patched, _ = await part.patch("web", {"spec": {"replicas": 6}}, "team-a", type=MERGE)
            assert patched["spec"] == {"replicas": 6}

    run(main)


def test_whoever_scales_owns_the_replicas():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            await door.create(deployment(replicas=1), "team-a", field_manager="author")
            await door.subresource("scale").update(scale(3), "team-a", field_manager="scaler")
            found = await door.get("web", "team-a")
            owners = {entry["manager"]: entry for entry in found["metadata"]["managedFields"]}
            assert owners["scaler"]["subresource"] == "scale"
            assert owners["scaler"]["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
            assert "f:replicas" not in owners["author"]["fieldsV1"]["f:spec"]

    run(main)


# ---- rollback --------------------------------------------------------------------------------------------------------


def rollback(name: str = "web", revision: int = 3, **members):
    return {"kind": "DeploymentRollback", "name": name, "rollbackTo": {"revision": revision}, **members}


def test_a_rollback_is_noted_on_the_deployment_without_asking_its_rules():
    async def main() -> None:
        async with open_world() as world:
            storage = await world.storage(DEPLOYMENTS)
            storages = DeploymentStorage.of(storage, DEPLOYMENTS, world.environment, serve_rollback=True)
            assert storages.rollback is not None
            made = await storages.deployment.create(TEAM, storages.deployment.default(deployment()))
            asked = rollback(updatedAnnotations={"n": "1"})
            dry = CreateOptions(dry_run=True)
            assert (await storages.rollback.create_named(TEAM, "web", asked, options=dry))["status"] == "Success"
            assert await storages.deployment.get(TEAM, "web") == made
            answer = await storages.rollback.create_named(TEAM, "web", asked)
            assert answer["message"] == 'rollback request for deployment "web" succeeded'
            noted = await storages.deployment.get(TEAM, "web")
            assert noted["metadata"]["annotations"] == {"n": "1", "deprecated.deployment.rollback.to": "3"}
            assert noted["metadata"]["generation"] == 1
            assert noted["spec"] == made["spec"]

    run(main)


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"kind": "Deployment"}, BadRequest, "not a DeploymentRollback"),
        (rollback(name="other"), BadRequest, "name in URL does not match name in DeploymentRollback object"),
        (rollback(name=""), Invalid, "name is required"),
        (rollback(revision=-1), Invalid, "rollback.version: Invalid value: -1"),
        (rollback(updatedAnnotations={"x y": "1"}), Invalid, "updatedAnnotations"),
        (rollback(), NotFound, 'deployments.apps "web" not found'),
    ],
)
def test_a_rollback_that_cannot_be_is_refused(asked, error, text):
    async def main() -> None:
        async with open_world() as world:
            storage = await world.storage(DEPLOYMENTS)
            storages = DeploymentStorage.of(storage, DEPLOYMENTS, world.environment, serve_rollback=True)
            assert storages.rollback is not None
            with pytest.raises(error, match=text):
                await storages.rollback.create_named(TEAM, "web", asked)

    run(main)


def test_the_rollback_is_not_served_unless_it_is_asked_for():
    async def main() -> None:
        async with open_world() as world:
            storage = await world.storage(DEPLOYMENTS)
            assert DeploymentStorage.of(storage, DEPLOYMENTS, world.environment).rollback is None
            door = (await registry_of(world, DEPLOYMENTS)).resource("apps/v1", "deployments")
            assert door.subresources == ("status", "scale")
            with pytest.raises(UnknownResource):
                door.subresource("rollback")

    run(main)


def test_each_storage_offers_the_verbs_that_kubernetes_routes_to_it():
    """5.9: which protocols a storage satisfies is what a server offers."""

    async def main() -> None:
        async with open_world() as world:
            storage = await world.storage(DEPLOYMENTS)
            storages = DeploymentStorage.of(storage, DEPLOYMENTS, world.environment, serve_rollback=True)
            assert isinstance(storages.deployment, StandardStorage)
            assert isinstance(storages.status, Patcher)
            assert isinstance(storages.scale, Patcher)
            assert isinstance(storages.scale, KindProvider)
            assert isinstance(storages.rollback, NamedCreater)
            for part in (storages.status, storages.scale, storages.rollback):
                assert not isinstance(part, StandardStorage)
            assert storages.deployment.short_names == ("deploy",)
            assert storages.deployment.categories == ("all",)
            assert storages.deployment.singular_name == "deployment"
            registry = Registry(lambda info: storage, environment=world.environment, checks_namespaces=False)
            door = registry.resource("apps/v1", "deployments")
            with pytest.raises(MethodNotAllowed):
                await door.subresource("status").create(deployment(), "team-a")
            with pytest.raises(MethodNotAllowed):
                await door.subresource("scale").delete("web", "team-a")

    run(main)


def test_an_update_through_the_store_can_be_made_without_a_door():
    async def main() -> None:
        async with open_world() as world:
            storage = await world.storage(DEPLOYMENTS)
            store = DeploymentStorage.of(storage, DEPLOYMENTS, world.environment).deployment
            await store.create(TEAM, store.default(deployment()))
            new, _ = await store.update(Context("team-a"), "web", Replacement(store.default(deployment(replicas=4))))
            assert (new["spec"]["replicas"], new["metadata"]["generation"]) == (4, 2)

    run(main)
