"""The door: bodies as their kinds, options, admission, owners, patches; and a resource of one's own behind it."""

from __future__ import annotations

from typing import Any

import pytest

from cacher import RESOURCES, ResourceInfo
from cacher.registry import (
    AlreadyExists,
    APIError,
    ApplyConflict,
    BadRequest,
    BuiltInSchemas,
    Conflict,
    Context,
    FieldError,
    Forbidden,
    GroupResource,
    Installed,
    Invalid,
    MethodNotAllowed,
    NotFound,
    PatchType,
    RegistryStore,
    StatusStrategy,
    Strategy,
    SubresourceStore,
    UnknownResource,
    Unprocessable,
    UnsupportedMediaType,
    invalid,
)
from cacher.registry._decode import DEPTH_MAX, check_depth
from tests.cacher.registry.world import CONFIGMAPS, DEPLOYMENTS, configmap, deployment, open_world, registry_of, run

MERGE, JSON, APPLY, STRATEGIC = PatchType.MERGE, PatchType.JSON, PatchType.APPLY, PatchType.STRATEGIC
LEASES = RESOURCES["coordination.k8s.io/v1", "leases"]
NAMESPACES = RESOURCES["v1", "namespaces"]
EVENTS = RESOURCES["v1", "events"]


def told(warnings: list[str], text: str) -> bool:
    return any(text in warning for warning in warnings)


def test_a_body_may_leave_its_kind_out_and_is_told_what_nobody_knows_of_it():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            body = {"metadata": {"name": "a", "nope": 1, "labels": {}}, "data": None, "bogus": {"x": 1}}
            warned: list[str] = []
            made = await door.create(body, "team-a", warn=warned.append)
            assert warned == ['unknown field "metadata.nope"', 'unknown field "bogus"']
            assert made.keys() == {"apiVersion", "kind", "metadata"}
            assert "labels" not in made["metadata"]
            with pytest.raises(BadRequest) as caught:
                await door.create({**body, "metadata": {"name": "b"}}, "team-a", field_validation="Strict")
            assert caught.value.message == (
                'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "bogus"'
            )
            quiet: list[str] = []
            other = {**body, "metadata": {"name": "c"}}
            await door.create(other, "team-a", field_validation="Ignore", warn=quiet.append)
            assert quiet == []

    run(main)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"data": {"k": 1}}, "cannot unmarshal number into Go struct field ConfigMap.data.k of type string"),
        ({"data": []}, "cannot unmarshal array into Go struct field ConfigMap.data"),
        ({"immutable": "yes"}, "cannot unmarshal string into Go struct field ConfigMap.immutable of type bool"),
        ({"metadata": "x"}, "cannot unmarshal string into Go struct field ConfigMap.metadata"),
        ({"kind": "Secret"}, "converting (v1.Secret) to (core.ConfigMap): unknown conversion"),
        ({"kind": "Nonsense"}, 'no kind "Nonsense" is registered for version "v1"'),
        ({"apiVersion": "v1beta1"}, "does not match the expected API version (v1)"),
    ],
)
def test_a_body_of_another_type_is_refused(body, says):
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            with pytest.raises(BadRequest) as caught:
                await door.create({"metadata": {"name": "a"}, **body}, "team-a")
            assert says in caught.value.message

    run(main)


def test_a_body_may_be_as_deep_as_kubernetes_reads_and_no_deeper():
    nested: Any = {}
    for _ in range(DEPTH_MAX):
        nested = {"a": nested}
    check_depth(nested)
    with pytest.raises(BadRequest, match="exceeded max depth"):
        check_depth({"a": nested})


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"dry_run": ["Some"]}, "dryRun"),
        ({"field_manager": "x" * 129}, "fieldManager"),
        ({"field_validation": "Maybe"}, "fieldValidation"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_else(options, field):
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            await door.create(configmap(), "team-a", dry_run=["All"], field_manager="x" * 128, field_validation="Warn")
            calls = [
                door.create(configmap(), "team-a", **options),
                door.update(configmap(), "team-a", **options),
                door.patch("a", {}, "team-a", type=MERGE, **options),
            ]
            for call, kind in zip(calls, ("CreateOptions", "UpdateOptions", "PatchOptions"), strict=True):
                with pytest.raises(Invalid) as caught:
                    await call
                assert caught.value.causes[0].field == field
                assert caught.value.message.startswith(f'{kind}.meta.k8s.io "" is invalid')

    run(main)


def test_an_update_is_about_the_object_that_it_names():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            await door.create(configmap(), "team-a")
            with pytest.raises(
                BadRequest, match=r"the name of the object \(a\) does not match the name on the URL \(b\)"
            ):
                await door.update(configmap(), "team-a", name="b")
            with pytest.raises(BadRequest, match="name must be provided"):
                await door.update({"data": {}}, "team-a", name="a")
            with pytest.raises(BadRequest, match="does not match the namespace on the request"):
                await door.update(configmap(meta={"namespace": "team-b"}), "team-a")

    run(main)


def test_an_owner_named_twice_counts_once_with_a_warning():
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "1"}

    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            warned: list[str] = []
            meta = {"ownerReferences": [owner, {**owner, "uid": "2"}, owner]}
            made = await door.create(configmap(meta=meta), "team-a", warn=warned.append)
            assert [one["uid"] for one in made["metadata"]["ownerReferences"]] == ["1", "2"]
            assert told(warned, "duplicate UID(s) observed: 1")

    run(main)


def test_patches_of_each_type_change_the_present_object():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS, DEPLOYMENTS)
            door = registry.resource("v1", "configmaps")
            await door.create(configmap(data={"k": "1", "x": "1"}), "team-a")
            merged, is_new = await door.patch("a", {"data": {"x": None, "n": "2"}}, "team-a", type=MERGE)
            assert (merged["data"], is_new) == ({"k": "1", "n": "2"}, False)
            operations = [{"op": "replace", "path": "/data/k", "value": "3"}]
            assert (await door.patch("a", operations, "team-a", type=JSON))[0]["data"] == {"k": "3", "n": "2"}
            with pytest.raises(Unprocessable):
                await door.patch("a", [{"op": "remove", "path": "/data/none"}], "team-a", type=JSON)
            with pytest.raises(Invalid, match=r"data.bad key"):
                await door.patch("a", {"data": {"bad key": "1"}}, "team-a", type=MERGE)
            with pytest.raises(Conflict):
                await door.patch("a", {"metadata": {"resourceVersion": "1"}}, "team-a", type=MERGE)
            with pytest.raises(NotFound):
                await door.patch("none", {}, "team-a", type=MERGE)
            pods = registry.resource("apps/v1", "deployments")
            await pods.create(deployment(), "team-a")
            containers = [{"name": "c", "image": "example.com/app:2"}, {"name": "d", "image": "i:1"}]
            strategic = {"spec": {"template": {"spec": {"containers": containers}}}}
            changed, _ = await pods.patch("web", strategic, "team-a", type=STRATEGIC)
            images = {one["name"]: one["image"] for one in changed["spec"]["template"]["spec"]["containers"]}
            assert images == {"c": "example.com/app:2", "d": "i:1"}

    run(main)


def test_an_apply_creates_and_then_conflicts_with_other_managers_unless_forced():
    async def main() -> None:
        async with open_world() as world:
            door = (await registry_of(world, CONFIGMAPS)).resource("v1", "configmaps")
            config = configmap(data={"k": "1"})
            made, is_new = await door.patch("a", config, "team-a", type=APPLY, field_manager="one")
            assert is_new
            assert made["metadata"]["managedFields"][0]["operation"] == "Apply"
            theirs = configmap(data={"k": "2"})
            with pytest.raises(ApplyConflict):
                await door.patch("a", theirs, "team-a", type=APPLY, field_manager="two")
            taken, is_new = await door.patch("a", theirs, "team-a", type=APPLY, field_manager="two", force=True)
            assert (taken["data"], is_new) == ({"k": "2"}, False)
            with pytest.raises(Invalid, match="is required for apply patch"):
                await door.patch("a", config, "team-a", type=APPLY)
            with pytest.raises(Invalid, match="may not be specified for non-apply patch"):
                await door.patch("a", {}, "team-a", type=MERGE, force=True)
            with pytest.raises(Conflict, match="uid mismatch"):
                await door.patch("b", configmap("b", meta={"uid": "1"}), "team-a", type=APPLY, field_manager="one")

    run(main)


def test_without_a_book_of_fields_there_is_no_apply_and_objects_are_as_sent():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS, schemas=BuiltInSchemas(keeps_managed_fields=False))
            door = registry.resource("v1", "configmaps")
            made = await door.create(configmap(), "team-a")
            assert "managedFields" not in made["metadata"]
            with pytest.raises(MethodNotAllowed):
                await door.patch("a", configmap(), "team-a", type=APPLY, field_manager="one")

    run(main)


def test_nothing_is_written_into_a_namespace_that_is_missing_or_about_to_go():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS, LEASES, NAMESPACES, checks_namespaces=True)
            door, leases = registry.resource("v1", "configmaps"), registry.resource("coordination.k8s.io/v1", "leases")
            with pytest.raises(NotFound, match='namespaces "team-a" not found'):
                await door.create(configmap(), "team-a")
            namespaces = registry.resource("v1", "namespaces")
            await namespaces.create({"metadata": {"name": "team-a", "finalizers": ["example.com/hold"]}})
            await door.create(configmap(), "team-a")
            await namespaces.delete("team-a")
            with pytest.raises(Forbidden, match="because it is being terminated"):
                await door.create(configmap("b"), "team-a")
            await door.update(configmap(data={"k": "1"}), "team-a")
            with pytest.raises(Forbidden):
                await leases.update({"metadata": {"name": "a"}, "spec": {}}, "team-a")
            with pytest.raises(Forbidden):
                await door.patch("b", configmap("b"), "team-a", type=APPLY, field_manager="one")
            await door.delete("a", "team-a")

    run(main)


def test_a_lease_and_an_event_may_be_created_by_an_update():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, LEASES, EVENTS)
            leases = registry.resource("coordination.k8s.io/v1", "leases")
            lease = {"metadata": {"name": "a"}, "spec": {"holderIdentity": "me"}}
            made, is_new = await leases.replace(lease, "team-a")
            assert is_new
            with pytest.raises(Invalid, match="must be specified for an update"):
                await leases.update(lease, "team-a")
            made["spec"]["renewTime"] = "2024-01-01T00:00:01.500000Z"
            await leases.update(made)
            with pytest.raises(BadRequest, match="cannot parse"):
                await leases.update({**made, "spec": {"renewTime": "2024-01-01T00:00:01Z"}})
            event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "team-a"}}
            _, is_new = await registry.resource("v1", "events").replace(event, "team-a")
            assert is_new

    run(main)


def test_doors_are_one_a_resource_and_unknown_ones_are_not_found():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS)
            door = registry.resource("v1", "configmaps")
            assert registry.resource("v1", "configmaps") is door
            for group_version, plural in (("v1", "gadgets"), ("example.com/v1", "gadgets")):
                with pytest.raises(UnknownResource):
                    registry.resource(group_version, plural)
            with pytest.raises(UnknownResource):
                door.subresource("status")

    run(main)


# ---- a resource of one's own -----------------------------------------------------------------------------------------


class WidgetStrategy(Strategy):
    """Ten lines make a resource: what is filled in, and what is checked."""

    def default(self, obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {"size": 1, **obj.get("spec", {})}}

    def validate(self, context: Context, obj: dict[str, Any]) -> list[FieldError]:
        size = obj["spec"]["size"]
        wrong = [] if size > 0 else [invalid("spec.size", size, "must be greater than 0")]
        return super().validate(context, obj) + wrong


WIDGETS = ResourceInfo("example.com/v1", "Widget", "widgets", "/registry/example.com/widgets/")


def make_widgets(storage, info, environment):
    strategy = WidgetStrategy(GroupResource("example.com", "widgets"), "Widget", empty_status={})
    store = RegistryStore(storage, info, strategy, environment=environment)
    return Installed(store, {"status": SubresourceStore(store, StatusStrategy(strategy))})


@pytest.mark.parametrize(
    "meta", ["x", {"name": 5}, {"labels": "x"}, {"labels": {"a": 1}}, {"finalizers": [1]}, {"ownerReferences": ["x"]}]
)
def test_the_metadata_of_any_resource_is_of_its_type(meta):
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, WIDGETS)
            door = registry.add(WIDGETS, make_widgets)
            with pytest.raises(BadRequest, match="cannot unmarshal"):
                await door.create({"metadata": meta}, "team-a")
            warned: list[str] = []
            made = await door.create(
                {"metadata": {"name": "w", "nope": 1}, "extra": None}, "team-a", warn=warned.append
            )
            assert warned == ['unknown field "metadata.nope"']
            assert "nope" not in made["metadata"]
            assert made["extra"] is None, "what a null means is for who knows the type"

    run(main)


def test_a_resource_of_ones_own_has_all_verbs():
    async def main() -> None:
        async with open_world(cached=True) as world:
            registry = await registry_of(world, WIDGETS)
            door = registry.add(WIDGETS, make_widgets)
            made = await door.create({"metadata": {"name": "w"}, "status": {"ready": True}}, "team-a")
            assert (made["spec"], made["status"], made["metadata"]["generation"]) == ({"size": 1}, {}, 1)
            with pytest.raises(AlreadyExists, match=r'widgets.example.com "w" already exists'):
                await door.create({"metadata": {"name": "w"}}, "team-a")
            with pytest.raises(Invalid, match=r'Widget.example.com "w" is invalid: spec.size'):
                await door.patch("w", {"spec": {"size": 0}}, "team-a", type=MERGE)
            grown, _ = await door.patch("w", {"spec": {"size": 2}}, "team-a", type=MERGE)
            assert grown["metadata"]["generation"] == 2
            ready, _ = await door.subresource("status").patch("w", {"status": {"ready": True}}, "team-a", type=MERGE)
            assert (ready["status"], ready["metadata"]["generation"]) == ({"ready": True}, 2)
            with pytest.raises(UnsupportedMediaType):
                await door.patch("w", {}, "team-a", type=STRATEGIC)
            applied = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "v"}, "spec": {"size": 3}}
            _, is_new = await door.patch("v", applied, "team-a", type=APPLY, field_manager="me")
            assert is_new
            shown = door.shown(await door.list("team-a"))
            assert [item["kind"] for item in shown["items"]] == ["Widget", "Widget"]
            await door.delete_collection("team-a")
            assert (await door.list("team-a")).objects == ()
            registry.remove("example.com/v1", "widgets")
            with pytest.raises(APIError):
                registry.resource("example.com/v1", "widgets")

    run(main)
