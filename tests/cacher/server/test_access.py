"""The door: what a request is about, by its method and path; who is let in; what is noted of it."""

from __future__ import annotations

import json

import pytest

from cacher.registry import Conflict, Forbidden, GroupResource, Unauthorized
from cacher.server._access import Access, Peer, attributes_of
from cacher.server._auth import FULL, READERS, Attributes, Authenticator, User
from cacher.server._request import Head, read_head


def head(method: str, target: str, **headers: str) -> Head:
    return read_head(method, target.encode(), [(name.encode(), value.encode()) for name, value in headers.items()])


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/pods", Attributes("list", resource="pods")),
        ("GET", "/api/v1/pods?watch=1", Attributes("watch", resource="pods")),
        ("GET", "/api/v1/pods?watch=false", Attributes("list", resource="pods")),
        ("GET", "/api/v1/watch/pods", Attributes("watch", resource="pods")),
        ("HEAD", "/api/v1/namespaces/n/pods/a", Attributes("get", resource="pods", namespace="n", name="a")),
        ("GET", "/api/v1/namespaces/n/pods/a?watch=1", Attributes("get", resource="pods", namespace="n", name="a")),
        ("POST", "/api/v1/namespaces/n/pods", Attributes("create", resource="pods", namespace="n")),
        ("POST", "/api/v1/namespaces/n/pods?watch=1", Attributes("create", resource="pods", namespace="n")),
        ("DELETE", "/api/v1/namespaces/n/pods", Attributes("deletecollection", resource="pods", namespace="n")),
        ("DELETE", "/api/v1/namespaces/n", Attributes("delete", resource="namespaces", namespace="n", name="n")),
        ("PUT", "/api/v1/nodes/x/status", Attributes("update", resource="nodes", subresource="status", name="x")),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/n/deployments/web/scale",
            Attributes("patch", group="apps", resource="deployments", subresource="scale", namespace="n", name="web"),
        ),
        ("BREW", "/api/v1/pods", Attributes("brew", resource="pods")),
        ("GET", "/metrics", Attributes("get")),
        ("POST", "/api/v1", Attributes("post")),
        ("DELETE", "/", Attributes("delete")),
    ],
)
def test_what_a_request_is_about_is_told_by_its_method_and_path(method, target, expected):
    found = attributes_of(head(method, target))
    assert found.path == target.partition("?")[0]
    assert (
        Attributes(found.verb, "", found.group, found.resource, found.subresource, found.namespace, found.name)
        == expected
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW", "get"])
@pytest.mark.parametrize(
    "target", ["/api/v1/pods", "/api/v1/watch/pods", "/api/v1/pods?watch=1", "/version", "//api", "/%2e"]
)
def test_nothing_but_get_and_head_is_ever_taken_for_a_read(method, target):
    assert attributes_of(head(method, target)).verb not in ("get", "list", "watch") or method == "get"
    reader = Access(Authenticator({"t": User("eve", (READERS,))}), unix=float)
    if method != "get":
        with pytest.raises(Forbidden):
            reader.admit(reader.begun(head(method, target, authorization="Bearer t"), Peer()))


def test_whoever_is_not_known_is_refused_before_what_they_may_is_asked():
    access = Access(Authenticator({"t": User("alice", (FULL,))}), unix=float)
    for target in ("/api/v1/pods", "/nothing", "/healthz2"):
        with pytest.raises(Unauthorized):
            access.admit(access.begun(head("GET", target), Peer()))
    access.admit(access.begun(head("GET", "/readyz"), Peer()))
    with pytest.raises(Unauthorized):
        access.admit(access.begun(head("POST", "/readyz"), Peer()))


def test_a_certificate_of_the_connection_counts_as_much_as_a_token():
    access = Access(Authenticator({}), unix=float)
    request = access.begun(
        head("DELETE", "/api/v1/nodes/a"),
        Peer("127.0.0.1", {"subject": ((("organizationName", FULL),), (("commonName", "carol"),))}),
    )
    access.admit(request)
    assert request.user.name == "carol"


def test_without_users_everybody_may_do_all_and_is_noted_as_nobody_in_particular():
    lines: list[str] = []
    access = Access(audit=lines.append, unix=lambda: 1_790_000_000.25)
    request = access.begun(head("POST", "/api/v1/namespaces?dryRun=All&x=%0a"), Peer("127.0.0.1"))
    access.admit(request)
    access.leave(request, audit_id="a", code=201, error=None)
    event = json.loads(lines[0])
    assert event["user"]["username"] == "system:unsecured"
    assert event["requestURI"] == "/api/v1/namespaces?dryRun=All&x=%0A"
    assert event["objectRef"] == {"resource": "namespaces", "apiVersion": "v1"}
    assert event["requestReceivedTimestamp"] == "2026-09-21T14:13:20.250000Z"


def test_an_error_is_noted_by_its_reason_and_a_read_is_not_noted():
    lines: list[str] = []
    access = Access(audit=lines.append, unix=float)
    write = access.begun(head("PUT", "/apis/apps/v1/namespaces/n/deployments/a"), Peer())
    error = Conflict(GroupResource("apps", "deployments"), "a", "it is stale")
    access.leave(write, audit_id="a", code=409, error=error)
    access.leave(access.begun(head("GET", "/api/v1/pods"), Peer()), audit_id="b", code=200, error=None)
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert event["responseStatus"] == {"metadata": {}, "code": 409, "reason": "Conflict"}
    assert event["user"]["username"] == "system:anonymous"
    assert event["objectRef"]["apiVersion"] == "v1"
