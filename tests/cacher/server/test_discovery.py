"""Discovery: as a kube-apiserver was recorded, and changing as resources come and go."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import cacher
from cacher.server._discovery import Discovery

RECORDINGS = Path(__file__).parents[2] / "conformance" / "recordings"

NOT_SERVED = {
    "pods": {"attach", "ephemeralcontainers", "exec", "log", "portforward", "proxy", "resize"},
    "nodes": {"proxy"},
    "services": {"proxy"},
    "serviceaccounts": {"token"},
}
"""Parts of resources that need a kubelet, or tokens of a kind of their own."""
WITHOUT_STATUS = (
    "apiservices", "flowschemas", "ingresses", "prioritylevelconfigurations", "replicationcontrollers", "resourcequotas",
    "servicecidrs",
)  # fmt: skip
"""Resources that have the rules that all share, and no parts."""


def widgets(*versions: str, group: str = "stable.example.com", plural: str = "widgets", subresources: bool = True):
    kind = plural.removesuffix("s").capitalize()
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    parts = {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": ["wd"], "categories": ["all"]},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[0],
                    "schema": schema,
                    **({"subresources": parts} if subresources else {}),
                }
                for version in versions
            ],
        },
    }


@asynccontextmanager
async def cluster_with(*definitions):
    async with cacher.open_cluster() as cluster:
        for crd in definitions:
            await cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(crd)
            for version in crd["spec"]["versions"]:
                name = f"{crd['spec']['group']}/{version['name']}"
                await cluster.resource(name, crd["spec"]["names"]["plural"]).ready()
        yield cluster


def body(discovery: Discovery, path: str, *, aggregated: bool = False):
    document = discovery.document(path, aggregated=aggregated)
    return None if document is None else json.loads(document.body)


def recorded(name: str, step: str):
    answers = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return next(answer["body"] for answer in answers if answer["id"] == step)


def resources(document) -> dict[tuple[str, str, str], dict]:
    return {
        (group["metadata"].get("name", ""), version["version"], resource["resource"]): resource
        for group in document["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }


def test_each_resource_is_told_as_a_kube_apiserver_tells_it(run_trio):
    async def main():
        async with cacher.open_cluster() as cluster:
            discovery = Discovery(cluster.registry)
            for path, step in (("/apis", "s1"), ("/api", "s2")):
                theirs = resources(recorded("discovery-aggregated", step))
                ours = resources(body(discovery, path, aggregated=True))
                assert ours
                for known, told in ours.items():
                    expected = dict(theirs[known])
                    missing = NOT_SERVED.get(known[2], set())
                    if known[2] in WITHOUT_STATUS:
                        missing = {"scale", "status"}
                    parts = [one for one in expected.pop("subresources", []) if one["subresource"] not in missing]
                    assert told == {**expected, **({"subresources": parts} if parts else {})}

    run_trio(main)


@pytest.mark.parametrize("path", ["/apis/apps/v1", "/apis/apps/v1/"])
def test_the_resources_of_a_version_are_as_recorded_with_the_hashes_of_their_storage(run_trio, path):
    async def main():
        async with cacher.open_cluster() as cluster:
            assert body(Discovery(cluster.registry), path) == recorded("discovery-apps-resources", "s1")

    run_trio(main)


def test_groups_are_in_the_order_in_which_clients_look_for_a_name(run_trio):
    async def main():
        async with cluster_with(widgets("v1", group="b.example.com"), widgets("v1", group="a.example.com")) as cluster:
            discovery = Discovery(cluster.registry)
            theirs = [group["metadata"]["name"] for group in recorded("discovery-aggregated", "s1")["items"]]
            ours = [group["name"] for group in body(discovery, "/apis")["groups"]]
            built_in = [name for name in theirs if name in ours]
            assert ours == [*built_in, "a.example.com", "b.example.com"]
            items = body(discovery, "/apis", aggregated=True)["items"]
            assert [item["metadata"]["name"] for item in items] == ours

    run_trio(main)


def test_the_core_group_has_a_form_of_its_own(run_trio):
    async def main():
        async with cacher.open_cluster() as cluster:
            discovery = Discovery(cluster.registry)
            for path in ("/api", "/api/"):
                document = discovery.document(path, server_address="127.0.0.1:16543")
                assert document is not None
                assert json.loads(document.body) == recorded("discovery-api", "s1")
            assert "apiVersion" not in body(discovery, "/api/v1")
            assert body(discovery, "/api/v1")["groupVersion"] == "v1"

    run_trio(main)


def test_a_custom_resource_is_told_with_all_its_names_and_parts(run_trio):
    async def main():
        async with cluster_with(widgets("v1")) as cluster:
            discovery = Discovery(cluster.registry)
            assert body(discovery, "/apis/stable.example.com/v1") == {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": "stable.example.com/v1",
                "resources": [
                    {
                        "name": "widgets",
                        "singularName": "widget",
                        "namespaced": True,
                        "kind": "Widget",
                        "verbs": ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
                        "shortNames": ["wd"],
                        "categories": ["all"],
                        "storageVersionHash": "2vCiI1Gcs2s=",
                    },
                    {
                        "name": "widgets/status",
                        "singularName": "",
                        "namespaced": True,
                        "kind": "Widget",
                        "verbs": ["get", "patch", "update"],
                    },
                    {
                        "name": "widgets/scale",
                        "singularName": "",
                        "namespaced": True,
                        "group": "autoscaling",
                        "version": "v1",
                        "kind": "Scale",
                        "verbs": ["get", "patch", "update"],
                    },
                ],
            }
            told = resources(body(discovery, "/apis", aggregated=True))["stable.example.com", "v1", "widgets"]
            assert told["responseKind"] == {"group": "stable.example.com", "version": "v1", "kind": "Widget"}
            assert [part["subresource"] for part in told["subresources"]] == ["status", "scale"]

    run_trio(main)


def test_versions_are_told_newest_and_most_stable_first(run_trio):
    async def main():
        versions = ["v1alpha1", "foo", "v2", "v10beta2", "v1", "v11beta1", "v10", "v2alpha1"]
        async with cluster_with(widgets(*versions)) as cluster:
            group = body(Discovery(cluster.registry), "/apis/stable.example.com")
            told = [version["version"] for version in group["versions"]]
            assert told == ["v10", "v2", "v1", "v11beta1", "v10beta2", "v2alpha1", "v1alpha1", "foo"]
            assert group["preferredVersion"] == group["versions"][0]
            assert (group["kind"], group["apiVersion"], group["name"]) == ("APIGroup", "v1", "stable.example.com")

    run_trio(main)


def test_all_versions_of_a_resource_have_the_hash_of_the_one_that_is_stored(run_trio):
    async def main():
        async with cluster_with(widgets("v1", "v2")) as cluster:
            discovery = Discovery(cluster.registry)
            hashes = {
                body(discovery, f"/apis/stable.example.com/{version}")["resources"][0]["storageVersionHash"]
                for version in ("v1", "v2")
            }
            assert hashes == {"2vCiI1Gcs2s="}

    run_trio(main)


def test_what_is_told_changes_as_resources_come_and_go_and_is_kept_meanwhile(run_trio):
    async def main():
        async with cluster_with() as cluster:
            discovery = Discovery(cluster.registry)
            before = discovery.document("/apis", aggregated=True)
            assert before is discovery.document("/apis/", aggregated=True)
            crds = cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
            await crds.create(widgets("v1"))
            door = cluster.resource("stable.example.com/v1", "widgets")
            await door.ready()
            during = discovery.document("/apis", aggregated=True)
            assert before is not None
            assert during is not None
            assert during.etag != before.etag
            assert discovery.document("/apis/stable.example.com/v1") is not None
            await crds.delete("widgets.stable.example.com")
            for _ in range(200):
                if discovery.document("/apis/stable.example.com") is None:
                    break
                await trio.sleep(0.1)
            assert discovery.document("/apis", aggregated=True) == before

    run_trio(main)


@pytest.mark.parametrize(
    "path",
    ["/", "", "/apis/none.example.com", "/apis/apps/v9", "/api/v2", "/apis//v1", "/apis/apps/v1/deployments", "/x"],
)
def test_there_is_nothing_where_nothing_is_served(run_trio, path):
    async def main():
        async with cacher.open_cluster() as cluster:
            discovery = Discovery(cluster.registry)
            assert [discovery.document(path, aggregated=one) for one in (False, True, False)] == [None] * 3

    run_trio(main)


def test_an_entity_tag_is_the_hash_of_the_body(run_trio):
    async def main():
        async with cacher.open_cluster() as cluster:
            document = Discovery(cluster.registry).document("/apis", aggregated=True)
            assert document is not None
            assert len(document.etag) == 130
            assert document.etag == document.etag.upper()
            assert document.etag[0] == document.etag[-1] == '"'

    run_trio(main)
