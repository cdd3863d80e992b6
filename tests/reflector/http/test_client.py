"""The verbs: what each asks, what it makes of the answer; an HTTPClient is what a controller wants of any API."""

from __future__ import annotations

import pytest

from cacher import ResourceInfo
from cacher._resources import RESOURCES
from reflector import Client, PartClient, ResourceClient
from reflector.http import HTTPClient
from reflector.http._client import is_gone
from reflector.http._fields import Selectable, selectable
from tests.reflector.http.scripted_server import answer, hang_up, open_client, open_server, pod, refuse
from watch import BadRequest, NotFound, PatchType, UnknownResource, UnsupportedMediaType

RESOURCES_OF_V1 = answer(
    200,
    {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": []},
            {"name": "pods/eviction", "namespaced": True, "kind": "Eviction", "group": "policy", "version": "v1"},
            {"name": "nodes", "namespaced": False, "kind": "Node"},
        ],
    },
)


def play(run_trio, script, use):
    async def main():
        async with open_server(*script) as server, open_client(server) as client:
            return await use(client), server.exchanges

    return run_trio(main)


def test_it_is_a_client(run_trio):
    """mypy holds the protocols; these lines are what it looks at."""

    async def use(client: HTTPClient) -> str:
        resource: ResourceClient = client.resource("apps/v1", "deployments")
        part: PartClient = resource.subresource("scale")
        some: Client = client
        assert (resource.group_version, resource.plural, part is not None) == ("apps/v1", "deployments", True)
        return some.name

    assert play(run_trio, [], use)[0] == "server"


def pods_of(client):
    return client.resource("v1", "pods")


POD = pod("a", 3)
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "ns"}}


@pytest.mark.parametrize(
    ("use", "asked"),
    [
        (lambda c: pods_of(c).get("a", "ns"), ("GET", "/api/v1/namespaces/ns/pods/a", {}, None)),
        (lambda c: c.resource("v1", "nodes").get("n"), ("GET", "/api/v1/nodes/n", {}, None)),
        (
            lambda c: c.resource("apps/v1", "deployments").create(DEPLOYMENT, field_manager="me", dry_run=True),
            ("POST", "/apis/apps/v1/namespaces/ns/deployments", {"fieldManager": "me", "dryRun": "All"}, DEPLOYMENT),
        ),
        (
            lambda c: pods_of(c).create(POD, "other", field_validation="Strict"),
            ("POST", "/api/v1/namespaces/other/pods", {"fieldValidation": "Strict"}, POD),
        ),
        (lambda c: pods_of(c).update(POD), ("PUT", "/api/v1/namespaces/ns/pods/a", {}, POD)),
        (
            lambda c: pods_of(c).subresource("status").update(POD, field_manager="me"),
            ("PUT", "/api/v1/namespaces/ns/pods/a/status", {"fieldManager": "me"}, POD),
        ),
        (
            lambda c: pods_of(c).subresource("binding").create(POD),
            ("POST", "/api/v1/namespaces/ns/pods/a/binding", {}, POD),
        ),
        (
            lambda c: c.resource("apps/v1", "deployments").subresource("scale").get("web", "ns"),
            ("GET", "/apis/apps/v1/namespaces/ns/deployments/web/scale", {}, None),
        ),
        (
            lambda c: c.resource("rbac.authorization.k8s.io/v1", "clusterroles").get("system:node"),
            ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node", {}, None),
        ),
    ],
)
def test_a_verb_is_a_request(run_trio, use, asked):
    _, exchanges = play(run_trio, [answer(200, POD)], use)
    found = exchanges[0]
    assert (found.method, found.path, found.query, found.body) == asked


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PatchType.JSON, [{"op": "add", "path": "/metadata/labels", "value": {}}]),
        (PatchType.MERGE, {"metadata": {"labels": None}}),
        (PatchType.STRATEGIC, {"spec": {"$patch": "replace"}}),
        (PatchType.APPLY, POD),
    ],
)
def test_a_patch_is_sent_as_its_type(run_trio, kind, body):
    async def use(client):
        return await pods_of(client).patch("a", body, "ns", type=kind, force=True, field_manager="me")

    patched, exchanges = play(run_trio, [answer(200, POD)], use)
    found = exchanges[0]
    assert patched == POD
    assert (found.method, found.headers["content-type"], found.body) == ("PATCH", kind.value, body)
    assert found.query == {"fieldManager": "me", "force": "true"}


def test_an_object_that_does_not_say_what_it_is_is_told_by_discovery_once(run_trio):
    async def use(client):
        for name in ("a", "b"):
            await pods_of(client).create({"metadata": {"name": name}}, "ns")
        await pods_of(client).subresource("eviction").create({"metadata": {"name": "a"}}, "ns")

    _, exchanges = play(run_trio, [RESOURCES_OF_V1] + [answer(201, POD)] * 3, use)
    assert [(exchange.method, exchange.path) for exchange in exchanges] == [
        ("GET", "/api/v1"),
        ("POST", "/api/v1/namespaces/ns/pods"),
        ("POST", "/api/v1/namespaces/ns/pods"),
        ("POST", "/api/v1/namespaces/ns/pods/a/eviction"),
    ]
    assert exchanges[1].body == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    assert exchanges[3].body == {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}


def test_a_resource_that_nobody_has_is_asked_for_again_since_it_may_be_defined_meanwhile(run_trio):
    async def use(client):
        widgets = client.resource("v1", "widgets")
        for _ in range(2):
            with pytest.raises(UnknownResource):
                await widgets.create({"metadata": {"name": "a"}}, "ns")

    unknown = refuse(404, "NotFound", "the server could not find the requested resource")
    _, exchanges = play(run_trio, [RESOURCES_OF_V1, unknown] * 2, use)
    assert [exchange.path for exchange in exchanges] == ["/api/v1", "/api/v1/namespaces/ns/widgets"] * 2
    assert "kind" not in exchanges[1].body


@pytest.mark.parametrize("reply", [refuse(403, "Forbidden"), answer(200, b"["), hang_up])
def test_an_object_is_sent_as_it_is_where_discovery_does_not_tell_its_kind(run_trio, reply):
    async def use(client):
        await pods_of(client).create({"metadata": {"name": "a"}}, "ns")

    _, exchanges = play(run_trio, [reply, answer(201, POD)], use)
    assert exchanges[1].body == {"metadata": {"name": "a"}}


def test_a_missing_namespace_is_told_as_that(run_trio):
    async def use(client):
        with pytest.raises(BadRequest, match="pods live in a namespace: say which"):
            await pods_of(client).get("a")
        with pytest.raises(NotFound):
            await client.resource("v1", "nodes").get("n")

    play(run_trio, [refuse(404, "NotFound"), RESOURCES_OF_V1, refuse(404, "NotFound")], use)


def test_a_missing_namespace_is_what_the_server_said_where_it_tells_nothing_else(run_trio):
    async def use(client):
        with pytest.raises(NotFound):
            await pods_of(client).get("a")

    play(run_trio, [refuse(404, "NotFound"), hang_up, hang_up], use)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb"])
def test_a_name_that_would_make_another_path_is_refused_before_it_is_sent(run_trio, name):
    async def use(client):
        with pytest.raises(BadRequest):
            await pods_of(client).get(name, "ns")
        with pytest.raises(BadRequest):
            await pods_of(client).delete(name, "ns")
        if name:
            with pytest.raises(BadRequest):
                await pods_of(client).get("a", name)

    assert not play(run_trio, [], use)[1]


def test_a_name_with_anything_else_in_it_arrives_as_it_is(run_trio):
    async def use(client):
        await pods_of(client).get("a b?c#d&é", "ns")

    _, exchanges = play(run_trio, [answer(200, POD)], use)
    assert exchanges[0].target == "/api/v1/namespaces/ns/pods/a%20b%3Fc%23d%26%C3%A9"


def test_an_error_of_the_server_keeps_its_class(run_trio):
    async def use(client):
        with pytest.raises(UnsupportedMediaType, match="unknown format"):
            await pods_of(client).patch("a", {}, "ns")

    play(run_trio, [refuse(415, "UnsupportedMediaType", "the body of the request was in an unknown format")], use)


# --- deletions -------------------------------------------------------------------------------------------------------


def test_a_deletion_says_what_it_wants(run_trio):
    async def use(client):
        first = await pods_of(client).delete(
            "a", "ns", grace_period_s=0, uid="u", resource_version="3", propagation_policy="Orphan", dry_run=True
        )
        return first, await pods_of(client).delete("a", "ns")

    done = answer(200, {"kind": "Status", "status": "Success"})
    gone, exchanges = play(run_trio, [done, done], use)
    assert gone == (True, True)
    assert exchanges[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": "u", "resourceVersion": "3"},
        "propagationPolicy": "Orphan",
        "dryRun": ["All"],
    }
    assert exchanges[1].body == {"apiVersion": "v1", "kind": "DeleteOptions"}


@pytest.mark.parametrize(
    ("kind", "metadata", "spec", "gone"),
    [
        ("Service", {}, {}, True),
        ("ConfigMap", {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 0, "finalizers": ["x"]}, {}, False),
        ("ConfigMap", {"finalizers": ["x"]}, {}, True),  # as it was: whoever holds it would have it marked
        ("Pod", {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 30}, {}, False),
        ("Pod", {"deletionTimestamp": "t", "deletionGracePeriodSeconds": 0}, {}, True),
        ("Namespace", {"deletionTimestamp": "t"}, {"finalizers": ["kubernetes"]}, False),
        ("Namespace", {"deletionTimestamp": "t"}, {}, True),
    ],
)
def test_the_object_that_answers_a_deletion_tells_whether_it_is_gone(kind, metadata, spec, gone):
    assert is_gone({"kind": kind, "metadata": metadata, "spec": spec}) is gone


# --- heads -----------------------------------------------------------------------------------------------------------


def test_the_fields_in_heads_are_those_that_our_servers_select_by():
    ours: list[ResourceInfo] = list(RESOURCES.values())
    for info in ours:
        assert selectable(info.group_version, info.plural) == Selectable(info.fields, info.absent, info.read_from)
    assert selectable("v1", "pods").fields


def test_fields_of_a_custom_resource_are_in_heads_where_they_are_told_or_selected_by(run_trio):
    widget = {"kind": "Widget", "metadata": {"name": "a", "resourceVersion": "3"}, "spec": {"color": "red", "size": 2}}
    body = {
        "kind": "WidgetList",
        "apiVersion": "example.com/v1",
        "metadata": {"resourceVersion": "9"},
        "items": [widget],
    }

    async def use(client):
        widgets = client.resource("example.com/v1", "widgets", selectable=["spec.color"])
        return (await widgets.lister_watcher(fields="spec.size=2").list()).objects[0]

    obj, _ = play(run_trio, [answer(200, body)], use)
    assert obj.fields == {"spec.color": "red", "spec.size": "2"}
    assert obj.key == "a"
