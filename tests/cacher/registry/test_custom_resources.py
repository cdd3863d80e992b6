"""Custom resources through their doors: what each verb makes of an object, by its definition."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from cacher.registry import (
    APIError,
    ApplyConflict,
    BadRequest,
    Conflict,
    GroupResource,
    Invalid,
    NotFound,
    PatchType,
    UnsupportedMediaType,
)
from tests.cacher.registry.widgets import INTEGER, NAME, TEXT, V1, V2, crd, open_server, version, widget
from tests.cacher.registry.world import run
from watch import EventType

MERGE, APPLY = PatchType.MERGE, PatchType.APPLY
both = pytest.mark.parametrize("cached", [False, True])
SCALE = {
    "specReplicasPath": ".spec.size",
    "statusReplicasPath": ".status.size",
    "labelSelectorPath": ".status.selector",
}


def served(*versions: dict[str, Any], cached: bool = False, **more: Any) -> Any:
    """A decorator: the test's body gets a server that serves widgets in these versions, and the door to the first."""

    def decorate(body: Any) -> Any:
        async def main() -> None:
            async with open_server(cached=cached) as server:
                definition = await server.define(crd(*versions, **more))
                await body(server, server.widgets(f"example.com/{definition['spec']['versions'][0]['name']}"))

        run(main)
        return body

    return decorate


# ---- bodies -----------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_dropped_and_told_refused_or_passed_over():
    @served()
    async def _(server, door):
        sent = widget(spec={"color": "red", "nope": 1}, extra=2, meta={"more": 3})
        told: list[str] = []
        made = await door.create(sent, "team-a", warn=told.append)
        assert told == ['unknown field "extra"', 'unknown field "metadata.more"', 'unknown field "spec.nope"']
        assert made["spec"] == {"color": "red"}
        assert "extra" not in made
        told.clear()
        await door.create({**sent, "metadata": {"name": "b"}}, "team-a", field_validation="Ignore", warn=told.append)
        assert told == []
        with pytest.raises(BadRequest) as caught:
            await door.create({**sent, "metadata": {"name": "c"}}, "team-a", field_validation="Strict")
        assert caught.value.message == (
            'Widget in version "v1" cannot be handled as a Widget: strict decoding error: unknown field "extra", '
            'unknown field "spec.nope"'
        )
        with pytest.raises(Invalid, match=r"unknown field"):
            await door.patch("a", {"spec": {"nope": 1}}, "team-a", type=MERGE, field_validation="Strict")
        obj, _ = await door.patch("a", {"spec": {"nope": 1, "size": 2}}, "team-a", type=MERGE)
        assert obj["spec"] == {"color": "red", "size": 2}


def test_a_body_of_another_kind_is_invalid_and_one_of_another_version_is_a_bad_request():
    @served(version(), version("v2", storage=False))
    async def _(server, door):
        with pytest.raises(Invalid) as caught:
            await door.create({**widget(), "kind": "Gadget"}, "team-a")
        assert (
            caught.value.message == 'Gadget.example.com "a" is invalid: kind: Invalid value: "Gadget": must be Widget'
        )
        with pytest.raises(
            BadRequest, match=r"\(example.com/v2\) does not match the expected API version \(example.com/v1\)"
        ):
            await door.create(widget(api_version=V2), "team-a")
        with pytest.raises(BadRequest, match="no JSON object"):
            await door.create([], "team-a")
        with pytest.raises(BadRequest, match=r"into Go struct field ObjectMeta\.labels of type string"):
            await door.create(widget(meta={"labels": {"l": 1}}), "team-a")


def test_metadata_is_kept_as_typed_metadata_are():
    @served()
    async def _(server, door):
        made = await door.create(widget(meta={"labels": {}, "annotations": None, "finalizers": []}), "team-a")
        assert sorted(made["metadata"]) == [
            "creationTimestamp",
            "generation",
            "name",
            "namespace",
            "resourceVersion",
            "uid",
        ]


def test_finalizers_with_names_of_no_domain_and_deprecated_versions_are_told():
    @served(version(deprecated=True, deprecationWarning="use something else"))
    async def _(server, door):
        told: list[str] = []
        await door.create(widget(meta={"finalizers": ["mine", "example.com/a"]}), "team-a", warn=told.append)
        assert told == [
            'metadata.finalizers: "mine": prefer a domain-qualified finalizer name including a path (/) to avoid accidental '
            "conflicts with other finalizer writers",
            "use something else",
        ]
        told.clear()
        await door.patch("a", {"metadata": {"labels": {"l": "1"}}}, "team-a", type=MERGE, warn=told.append)
        assert told == ["use something else"]


# ---- defaults, schema, rules -------------------------------------------------------------------------------------------


@both
def test_defaults_are_filled_in_by_every_write(cached):
    @served(version(spec={"color": {**TEXT, "default": "red"}, "size": INTEGER}), cached=cached)
    async def _(server, door):
        made = await door.create(widget(spec={}), "team-a")
        assert made["spec"] == {"color": "red"}
        made = await door.update({**made, "spec": {"size": 1}})
        assert made["spec"] == {"color": "red", "size": 1}
        made, _ = await door.patch("a", {"spec": {"color": None}}, "team-a", type=MERGE)
        assert made["spec"] == {"color": "red", "size": 1}
        made, _ = await door.patch("b", widget("b", spec={"size": 2}), "team-a", type=APPLY, field_manager="m")
        assert made["spec"] == {"color": "red", "size": 2}


def test_what_was_wrong_before_and_stays_as_it_is_is_overlooked():
    @served()
    async def _(server, door):
        await door.create(widget(spec={"size": 3, "color": "red"}), "team-a")
        await server.define(crd(version(spec={"size": {**INTEGER, "minimum": 5}, "color": TEXT})))
        made, _ = await door.patch("a", {"spec": {"color": "blue"}}, "team-a", type=MERGE)
        assert made["spec"] == {"size": 3, "color": "blue"}
        with pytest.raises(Invalid, match="should be greater than or equal to 5"):
            await door.patch("a", {"spec": {"size": 4}}, "team-a", type=MERGE)


def test_rules_see_the_object_as_it_was():
    rule = {"rule": "self >= oldSelf", "message": "never less"}
    spec = {"size": {**INTEGER, "x-kubernetes-validations": [rule]}, "color": TEXT}

    @served(version(spec=spec))
    async def _(server, door):
        made = await door.create(widget(spec={"size": 3}), "team-a")
        for refused in (
            lambda: door.update({**made, "spec": {"size": 2}}),
            lambda: door.patch("a", {"spec": {"size": 2}}, "team-a", type=MERGE),
            lambda: door.patch("a", widget(spec={"size": 2}), "team-a", type=APPLY, field_manager="m", force=True),
        ):
            with pytest.raises(Invalid, match="never less"):
                await refused()
        assert (await door.update({**made, "spec": {"size": 4}}))["metadata"]["generation"] == 2


def test_objects_within_objects_have_metadata_that_is_checked():
    inner = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}

    @served(version(spec={"inner": inner}))
    async def _(server, door):
        bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a/b", "labels": {"bad key": "1"}}}
        with pytest.raises(Invalid) as caught:
            await door.create(widget(spec={"inner": bad}), "team-a")
        fields = [error.field for error in caught.value.causes]
        assert fields == ["spec.inner.metadata.name", "spec.inner.metadata.labels"]
        good = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "b"}, "spec": {"x": 1}}
        assert (await door.create(widget(spec={"inner": good}), "team-a"))["spec"] == {"inner": good}


def test_metadata_errors_of_an_update_are_told_with_those_of_the_schema():
    @served()
    async def _(server, door):
        made = await door.create(widget(), "team-a")
        meta = {**made["metadata"], "labels": {"l": "-"}}
        with pytest.raises(Invalid) as caught:
            await door.update({**made, "metadata": meta, "spec": {"size": "x"}})
        assert {error.field for error in caught.value.causes} == {"metadata.labels", "spec.size"}


# ---- status and scale --------------------------------------------------------------------------------------------------


STATUS = {"phase": TEXT, "size": INTEGER, "selector": TEXT}
WITH_STATUS = version(status=STATUS, subresources={"status": {}, "scale": SCALE})


def test_the_status_is_written_by_itself_and_nothing_else_with_it():
    @served(WITH_STATUS)
    async def _(server, door):
        made = await door.create(widget(spec={"size": 1}, status={"phase": "A"}), "team-a")
        assert "status" not in made
        status = door.subresource("status")
        sent = {
            **made,
            "spec": {"size": 9},
            "status": {"phase": "B"},
            "metadata": {**made["metadata"], "labels": {"l": "1"}},
        }
        made = await status.update(sent, field_manager="m")
        assert (made["spec"], made["status"], made["metadata"].get("labels")) == ({"size": 1}, {"phase": "B"}, None)
        assert made["metadata"]["generation"] == 1
        owned = {one["manager"]: one["fieldsV1"] for one in made["metadata"]["managedFields"]}
        assert owned["m"] == {"f:status": {".": {}, "f:phase": {}}}
        with pytest.raises(Invalid, match="phase in body must be of type string"):
            await status.patch("a", {"status": {"phase": 1}}, "team-a", type=MERGE)
        with pytest.raises(Invalid, match="must be specified for an update"):
            await status.update(widget(status={"phase": "C"}), "team-a")
        made = await door.update({**made, "spec": {"size": 2}, "status": {"phase": "Z"}})
        assert (made["status"], made["metadata"]["generation"]) == ({"phase": "B"}, 2)


def test_the_scale_follows_its_paths_and_is_owned_where_it_leads():
    @served(WITH_STATUS)
    async def _(server, door):
        await door.create(widget(spec={"size": 2}), "team-a")
        scale = door.subresource("scale")
        assert (await scale.get("a", "team-a"))["spec"] == {"replicas": 2}
        changed, _ = await scale.patch("a", {"spec": {"replicas": 5}}, "team-a", type=MERGE, field_manager="scaler")
        assert (changed["kind"], changed["spec"]) == ("Scale", {"replicas": 5})
        found = await door.get("a", "team-a")
        assert (found["spec"], found["metadata"]["generation"]) == ({"size": 5}, 2)
        owned = {one["manager"]: one for one in found["metadata"]["managedFields"]}
        assert owned["scaler"]["fieldsV1"] == {"f:spec": {"f:size": {}}}
        assert owned["scaler"]["subresource"] == "scale"
        stale = {**changed, "metadata": {**changed["metadata"], "resourceVersion": "1"}}
        with pytest.raises(Conflict):
            await scale.update(stale)
        with pytest.raises(Invalid, match="should be a non-negative integer"):
            await scale.patch("a", {"spec": {"replicas": -1}}, "team-a", type=MERGE)
        with pytest.raises(UnsupportedMediaType):
            await scale.patch("a", {"spec": {"replicas": 1}}, "team-a", type=PatchType.STRATEGIC)
        with pytest.raises(NotFound):
            await scale.patch("z", {"spec": {"replicas": 1}}, "team-a", type=MERGE)
        with pytest.raises(BadRequest):
            await scale.update(widget(), "team-a")


def test_a_scale_without_replicas_cannot_be_read_and_can_be_given_some():
    @served(WITH_STATUS)
    async def _(server, door):
        await door.create(widget(spec={}), "team-a")
        scale = door.subresource("scale")
        with pytest.raises(APIError, match=r"the spec replicas field \".spec.size\" does not exist"):
            await scale.get("a", "team-a")
        with pytest.raises(BadRequest, match=r"the spec replicas field \".spec.size\" cannot be empty"):
            await scale.patch("a", {"spec": {}}, "team-a", type=MERGE)
        changed, _ = await scale.patch("a", {"spec": {"replicas": 1}}, "team-a", type=MERGE)
        assert changed["spec"] == {"replicas": 1}


# ---- lists, watches, selectors, tables --------------------------------------------------------------------------------


@both
def test_selectable_fields_select_in_lists_and_watches_by_what_is_shown(cached):
    fields = [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}]
    spec = {"color": {**TEXT, "default": "red"}, "size": INTEGER}

    @served(version(spec=spec, selectableFields=fields), cached=cached)
    async def _(server, door):
        await door.create(widget("a", spec={"size": 3}), "team-a")
        made = await door.create(widget("b", spec={"color": "blue"}), "team-a")
        names = lambda page: [obj.name for obj in page.objects]  # noqa: E731
        assert names(await door.list(fields="spec.color=red")) == ["a"]
        assert names(await door.list(fields="spec.color!=red,metadata.name=b")) == ["b"]
        assert names(await door.list(fields="spec.size=3")) == ["a"]
        assert names(await door.list(fields="spec.size=")) == ["b"]
        with pytest.raises(BadRequest, match=r"^field label not supported: spec\.other$"):
            await door.list(fields="spec.other=1")
        revision = made["metadata"]["resourceVersion"]
        async with door.watch(fields="spec.color=red", resource_version=revision) as stream:
            await door.patch("b", {"spec": {"color": "red"}}, "team-a", type=MERGE)
            await door.patch("a", {"spec": {"color": "blue"}}, "team-a", type=MERGE)
            events = [await stream.receive() for _ in range(2)]
        assert [(event.type, event.object.name) for event in events] == [
            (EventType.ADDED, "b"),
            (EventType.DELETED, "a"),
        ]


def test_an_object_whose_selected_field_is_something_else_has_none():
    @served()
    async def _(server, door):
        await server.define(crd(version(root={"properties": {"spec": TEXT}})))
        await door.create(widget(spec="text"), "team-a")
        await server.define(crd(version(selectableFields=[{"jsonPath": ".spec.color"}])))
        assert [obj.name for obj in (await door.list(fields="spec.color=")).objects] == ["a"]


def test_a_list_says_what_its_items_are_and_is_named_by_the_definition():
    @served(listKind="Widgetry")
    async def _(server, door):
        await door.create(widget(), "team-a")
        shown = door.shown(await door.list())
        assert (shown["kind"], shown["metadata"]["continue"]) == ("Widgetry", "")
        assert [item["kind"] for item in shown["items"]] == ["Widget"]


def test_a_table_has_the_columns_of_the_definition_and_the_age_where_it_has_none():
    columns = [{"name": "Color", "type": "string", "jsonPath": ".spec.color", "description": "its color"}]

    @served(version(additionalPrinterColumns=columns), version("v2", storage=False))
    async def _(server, door):
        await door.create(widget(spec={"color": "red"}), "team-a")
        await trio.sleep(90)
        objects = [obj.to_dict() for obj in (await door.list()).objects]
        table = door.storage.convert_to_table(objects)
        assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Color"]
        assert [row["cells"] for row in table["rows"]] == [["a", "red"]]
        table = server.widgets(V2).storage.convert_to_table(objects)
        assert [row["cells"] for row in table["rows"]] == [["a", "90s"]]


# ---- versions -----------------------------------------------------------------------------------------------------------


@both
def test_each_version_shows_the_same_objects_by_its_own_schema(cached):
    first = version(spec={"color": TEXT, "size": INTEGER})
    second = version("v2", spec={"color": TEXT, "weight": INTEGER}, storage=False)

    @served(first, second, cached=cached)
    async def _(server, door):
        other = server.widgets(V2)
        made = await door.create(widget(spec={"color": "red", "size": 1}), "team-a")
        seen = await other.get("a", "team-a")
        assert (seen["apiVersion"], seen["spec"]) == (V2, {"color": "red"})
        made = await other.create(widget("b", V2, spec={"color": "blue", "weight": 3}), "team-a")
        assert (made["apiVersion"], made["spec"]) == (V2, {"color": "blue"}), "v1 stores it, and knows no weight"
        again = await other.update(made)
        assert again == made, "a write that changes nothing writes nothing, in whatever version"
        assert [obj.parse()["apiVersion"] for obj in (await other.list()).objects] == [V2, V2]
        async with other.watch(resource_version=made["metadata"]["resourceVersion"]) as stream:
            await door.delete("a", "team-a")
            event = await stream.receive()
            assert (event.type, event.object.parse()["apiVersion"]) == (EventType.DELETED, V2)


def test_another_storage_version_takes_over_object_by_object():
    @served(version(), version("v2", storage=False))
    async def _(server, door):
        await door.create(widget("a", spec={"size": 1}), "team-a")
        await server.define(crd(version(storage=False), version("v2")))
        await door.create(widget("b", spec={"size": 2}), "team-a")
        etcd = server.world.etcd
        stored = [kv.value for kv in (await etcd.range("/registry/example.com/", b"/registry/example.com0")).kvs]
        assert [b'"apiVersion":"example.com/v2"' in raw for raw in stored] == [False, True]
        for version_ in (V1, V2):
            found = [obj.parse() for obj in (await server.widgets(version_).list()).objects]
            assert [(one["apiVersion"], one["spec"]["size"]) for one in found] == [(version_, 1), (version_, 2)]
        assert (await server.crds.get(NAME))["status"]["storedVersions"] == ["v1", "v2"]


# ---- apply ---------------------------------------------------------------------------------------------------------------


def test_apply_merges_lists_by_the_keys_of_the_schema_in_every_version():
    parts = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name"],
        "items": {"type": "object", "required": ["name"], "properties": {"name": TEXT, "n": INTEGER}},
    }

    @served(version(spec={"parts": parts}), version("v2", spec={"parts": parts}, storage=False))
    async def _(server, door):
        one = widget(spec={"parts": [{"name": "x", "n": 1}]})
        two = widget(api_version=V2, spec={"parts": [{"name": "y", "n": 2}]})
        await door.patch("a", one, "team-a", type=APPLY, field_manager="one")
        made, _ = await server.widgets(V2).patch("a", two, "team-a", type=APPLY, field_manager="two")
        assert [part["name"] for part in made["spec"]["parts"]] == ["x", "y"]
        with pytest.raises(ApplyConflict, match='conflict with "one"'):
            await door.patch(
                "a", widget(spec={"parts": [{"name": "x", "n": 5}]}), "team-a", type=APPLY, field_manager="two"
            )
        made, _ = await door.patch("a", widget(spec={}), "team-a", type=APPLY, field_manager="one")
        assert [part["name"] for part in made["spec"]["parts"]] == ["y"]


# ---- the whole ------------------------------------------------------------------------------------------------------------


def test_a_cluster_scoped_resource_takes_no_heed_of_a_namespace():
    @served(scope="Cluster")
    async def _(server, door):
        made = await door.create(widget(meta={"namespace": "team-a"}))
        assert "namespace" not in made["metadata"]
        assert (await door.get("a"))["metadata"]["uid"] == made["metadata"]["uid"]


def test_all_verbs_and_dry_runs_work_on_a_custom_resource():
    @served()
    async def _(server, door):
        assert door.storage.resource == GroupResource("example.com", "widgets")
        await door.create(widget("dry"), "team-a", dry_run=True)
        made = await door.create({"metadata": {"generateName": "w-"}}, "team-a")
        assert made["metadata"]["name"].startswith("w-")
        await door.update({**made, "spec": {"size": 1}}, dry_run=True)
        await door.delete(made["metadata"]["name"], "team-a", dry_run=True)
        assert [obj.to_dict() for obj in (await door.list()).objects] == [made]
        await door.create(widget("b", meta={"labels": {"l": "1"}}), "team-a")
        await door.delete_collection("team-a", labels="l=1")
        answer, is_gone = await door.delete(made["metadata"]["name"], "team-a")
        assert (answer["details"]["kind"], is_gone) == ("widgets", True)
        assert (await door.list()).objects == ()


def test_what_cannot_be_read_is_named_and_can_be_deleted_on_purpose():
    @served()
    async def _(server, door):
        etcd = server.world.etcd
        await etcd.put(
            "/registry/example.com/widgets/team-a/a", b'{"apiVersion":"example.com/v7","metadata":{"name":"a"}}'
        )
        with pytest.raises(APIError, match=r"stored as example.com/v7, which the definition does not have"):
            await door.get("a", "team-a")
        await door.delete("a", "team-a", ignore_read_errors=True)
        await etcd.put("/registry/example.com/widgets/team-a/a", b'{"metadata":{"name":"a"},"spec":{"x":1,"size":2}}')
        found = await door.get("a", "team-a")
        assert (found["metadata"]["generation"], found["spec"]) == (1, {"size": 2})
