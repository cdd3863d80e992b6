"""OpenAPI: every document is whole, kubectl finds in it what it looks for, and it changes with what is served."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import cacher
from cacher.registry import PatchType
from cacher.registry.patch import kind_type
from cacher.server._openapi import V2_PROTOBUF, OpenAPI, hash_of
from cacher.server._openapi_schemas import _descriptions
from cacher.server._wire_types import wire_types

CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "crontabs.stable.example.com"},
    "spec": {
        "group": "stable.example.com",
        "scope": "Namespaced",
        "names": {"plural": "crontabs", "kind": "CronTab", "listKind": "CronTabs"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "When something is done.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "cron": {"type": "string", "nullable": True, "description": "As cron has it."},
                                    "jitter": {
                                        "x-kubernetes-int-or-string": True,
                                        "anyOf": [{"type": "integer"}, {"type": "string"}],
                                    },
                                },
                                "required": ["cron"],
                            }
                        },
                    }
                },
                "subresources": {"status": {}},
            },
            {
                "name": "v2",
                "served": True,
                "storage": False,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            },
        ],
    },
}  # fmt: skip
CRON_TAB = "com.example.stable.v1.CronTab"


@asynccontextmanager
async def opened(*definitions):
    async with cacher.open_cluster() as cluster:
        for crd in definitions:
            await cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(crd)
            await cluster.resource("stable.example.com/v1", "crontabs").ready()
        yield cluster, OpenAPI(cluster.registry, version="v1.36.0")


def read(api: OpenAPI, path: str):
    document = api.document(path)
    assert document is not None
    return json.loads(document.body)


def references(value) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def operations(document):
    for path, entry in document["paths"].items():
        for method, operation in entry.items():
            if method != "parameters":
                yield path, method, operation


def test_the_index_names_every_version_that_is_served_by_the_hash_of_its_document(run_trio):
    async def main():
        async with opened(CRD) as (cluster, api):
            paths = json.loads(api.index().body)["paths"]
            served = {door.info.group_version for door in cluster.registry.resources()}
            assert set(paths) == {f"apis/{one}" if "/" in one else f"api/{one}" for one in served}
            for path, entry in paths.items():
                document = api.document(path)
                assert document is not None
                assert entry["serverRelativeURL"] == f"/openapi/v3/{path}?hash={hash_of(document)}"
            assert api.document("apis/none/v1") is None

    run_trio(main)


def test_no_document_refers_to_what_it_does_not_have(run_trio):
    async def main():
        async with opened(CRD) as (_, api):
            for path in json.loads(api.index().body)["paths"]:
                document = read(api, path)
                there = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
                assert references(document) <= there, path
            v2 = json.loads(api.v2().body)
            assert references(v2) <= {f"#/definitions/{name}" for name in v2["definitions"]}
            assert references(v2)

    run_trio(main)


def test_every_resource_has_its_kind_at_a_path_and_as_a_schema(run_trio):
    """`kubectl explain` goes from the resource's path to its kind, and from the kind to its schema."""

    async def main():
        async with opened(CRD) as (cluster, api):
            for door in cluster.registry.resources():
                info = door.info
                group, _, version = info.group_version.rpartition("/")
                gvk = {"group": group, "version": version, "kind": info.kind}
                root = f"apis/{info.group_version}" if group else f"api/{version}"
                document = read(api, root)
                namespace = "/namespaces/{namespace}" if info.namespaced else ""
                path = f"/{root}{namespace}/{info.plural}"
                assert document["paths"][path]["get"]["x-kubernetes-group-version-kind"] == gvk
                assert document["paths"][f"/{root}/{info.plural}"]["get"]["x-kubernetes-action"] == "list"
                schemas = document["components"]["schemas"].values()
                own = [one for one in schemas if gvk in one.get("x-kubernetes-group-version-kind", [])]
                assert len(own) == 1, gvk
                assert {"apiVersion", "kind", "metadata"} <= own[0]["properties"].keys()

    run_trio(main)


def test_a_patch_takes_field_validation_and_dry_run_so_that_kubectl_leaves_both_to_the_server(run_trio):
    async def main():
        async with opened(CRD) as (_, api):
            for path in json.loads(api.index().body)["paths"]:
                for where, method, operation in operations(read(api, path)):
                    names = {one["name"] for one in operation["parameters"]}
                    if method == "patch":
                        assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= names, where
                        strategic = "application/strategic-merge-patch+json" in operation["requestBody"]["content"]
                        assert strategic is ("stable.example.com" not in where)
                    if method in ("post", "put"):
                        assert {"fieldValidation", "dryRun", "fieldManager"} <= names, where
                        assert "requestBody" in operation

    run_trio(main)


def test_paths_are_those_of_the_verbs_that_there_are(run_trio):
    async def main():
        async with opened() as (_, api):
            paths = read(api, "api/v1")["paths"]
            assert set(paths["/api/v1/namespaces"]) == {"get", "post"}  # all of them at once cannot be deleted
            assert set(paths["/api/v1/namespaces/{name}/finalize"]) == {"parameters", "put"}
            assert set(paths["/api/v1/namespaces/{namespace}/pods/{name}/binding"]) == {"parameters", "post"}
            assert set(paths["/api/v1/namespaces/{namespace}/pods/{name}/status"]) == {
                "parameters",
                "get",
                "put",
                "patch",
            }
            names = [one["name"] for one in paths["/api/v1/namespaces/{namespace}/pods/{name}"]["parameters"]]
            assert names == ["name", "namespace"]
            scale = read(api, "apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]
            assert scale["get"]["x-kubernetes-group-version-kind"] == {
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
            }

    run_trio(main)


def test_fields_have_their_types_and_say_how_their_values_merge(run_trio):
    async def main():
        async with opened() as (_, api):
            schemas = read(api, "api/v1")["components"]["schemas"]
            container = schemas["io.k8s.api.core.v1.Container"]
            assert container["required"] == ["name"]
            ports = container["properties"]["ports"]
            assert ports["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.ContainerPort"}
            assert ports["x-kubernetes-list-type"] == "map"
            assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
            assert ports["x-kubernetes-patch-merge-key"] == "containerPort"
            assert ports["x-kubernetes-patch-strategy"] == "merge"
            spec = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]
            assert spec["volumes"]["x-kubernetes-patch-strategy"] == "merge,retainKeys"
            assert schemas["io.k8s.api.core.v1.ConfigMapKeySelector"]["x-kubernetes-map-type"] == "atomic"
            # What Go has in a type of its own and JSON one level up stands beside the others.
            assert "name" in schemas["io.k8s.api.core.v1.ConfigMapEnvSource"]["properties"]
            assert "httpGet" in schemas["io.k8s.api.core.v1.Probe"]["properties"]
            limits = schemas["io.k8s.api.core.v1.ResourceRequirements"]["properties"]["limits"]
            assert limits["additionalProperties"] == {
                "$ref": "#/components/schemas/io.k8s.apimachinery.pkg.api.resource.Quantity"
            }

    run_trio(main)


def test_what_is_said_of_a_field_is_of_a_field_that_there_is():
    for name in _descriptions():
        type_, _, field = name.partition(".")
        if type_ == "TypeMeta":
            continue
        assert type_ in wire_types().types, name
        assert not field or field in {one.name for one in wire_types().fields_in_json(type_)}, name


def test_every_built_in_kind_says_what_it_is_for(run_trio):
    async def main():
        async with opened() as (cluster, api):
            for door in cluster.registry.resources():
                version = door.info.group_version
                document = read(api, f"apis/{version}" if "/" in version else f"api/{version}")
                schemas = document["components"]["schemas"]
                own = next(one for name, one in schemas.items() if name.endswith(f".{door.info.kind}"))
                assert own["description"]

    run_trio(main)


def test_a_custom_resource_has_the_schema_of_its_definition(run_trio):
    async def main():
        async with opened(CRD) as (_, api):
            schemas = read(api, "apis/stable.example.com/v1")["components"]["schemas"]
            given = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            made = schemas[CRON_TAB]
            assert made["description"] == "When something is done."
            assert made["properties"]["spec"] == given["properties"]["spec"]
            assert made["properties"]["metadata"] == {
                "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]
            }
            kinds = [one["kind"] for one in schemas[f"{CRON_TAB}List"]["x-kubernetes-group-version-kind"]]
            assert kinds == ["CronTabs"]
            other = read(api, "apis/stable.example.com/v2")["components"]["schemas"]["com.example.stable.v2.CronTab"]
            assert other["x-kubernetes-preserve-unknown-fields"] is True
            assert "/status" not in "".join(read(api, "apis/stable.example.com/v2")["paths"])

    run_trio(main)


def test_v2_has_no_words_of_v3(run_trio):
    async def main():
        async with opened(CRD) as (_, api):
            v2 = json.loads(api.v2().body)
            assert (v2["swagger"], v2["info"]["version"]) == ("2.0", "v1.36.0")
            of_schemas = v2["definitions"]["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"]
            assert {"oneOf", "anyOf", "allOf", "nullable", "not"} <= of_schemas["properties"].keys()
            others = {name: one for name, one in v2["definitions"].items() if one is not of_schemas}
            text = json.dumps(others)
            assert not [
                word for word in ('"oneOf"', '"anyOf"', '"allOf"', '"nullable"', "#/components") if word in text
            ]
            spec = v2["definitions"][CRON_TAB]["properties"]["spec"]["properties"]
            assert spec["cron"] == {"type": "string", "description": "As cron has it."}
            quantity = v2["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]
            assert quantity == {"type": "string"}
            template = v2["definitions"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["template"]
            assert template["$ref"] == "#/definitions/io.k8s.api.core.v1.PodTemplateSpec"

    run_trio(main)


def test_v2_in_protobuf_is_an_empty_document():
    assert len(V2_PROTOBUF) == 16
    assert V2_PROTOBUF.startswith(b"\x0a\x032.0")


def test_documents_change_with_what_is_served_and_only_those_that_it_concerns(run_trio):
    async def main():
        async with opened() as (cluster, api):
            before, core = api.index(), api.document("api/v1")
            assert api.index() is before
            v2 = api.v2()
            crds = cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
            await crds.create(CRD)
            await cluster.resource("stable.example.com/v1", "crontabs").ready()
            assert api.index().body != before.body
            assert api.document("api/v1") is core
            assert api.v2().body != v2.body
            first = api.document("apis/stable.example.com/v1")
            assert first is not None
            new = json.loads(json.dumps(CRD["spec"]))
            new["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "Something else."
            await crds.patch(
                "crontabs.stable.example.com", {"spec": {"versions": new["versions"]}}, type=PatchType.MERGE
            )
            now = first
            for _ in range(100):
                if (now := api.document("apis/stable.example.com/v1")) != first:
                    break
                await trio.sleep(0.1)
            assert now is not None
            assert b"Something else." in now.body
            await crds.delete("crontabs.stable.example.com")
            for _ in range(100):
                if api.index() == before:
                    break
                await trio.sleep(0.1)
            assert api.index() == before

    run_trio(main)


@pytest.mark.parametrize(("version", "kind"), [("v1", "Pod"), ("apps/v1", "Deployment")])
def test_what_merges_know_is_found_for_kinds_of_the_table(version, kind):
    assert kind_type(version, kind) is not None
    assert wire_types().kind(version, kind) is not None
    assert wire_types().kind(version, "Widget") is None
