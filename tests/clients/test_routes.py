"""Every route of a server, asked by those who may and by those who may not.

The routes are the server's own: each path and method of its OpenAPI documents, and what is in none of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.api import Api, api_of
from tests.clients.manifests import WIDGETS
from tests.clients.served import Served, open_served

pytestmark = pytest.mark.slow

TOKENS = 'full,alice,1,"system:masters"\nreads,eve,2,"watchcache:readers"\nnone,bob,3\n'
WRITES = ("post", "put", "patch", "delete")
TOLD = (
    "/api",
    "/api/v1",
    "/apis",
    "/apis/apps",
    "/apis/apps/v1",
    "/openapi/v2",
    "/openapi/v3",
    "/version",
    "/version/",
)
"""What every known user may ask."""
HEALTH = ("/healthz", "/livez", "/readyz", "/livez/ping", "/readyz/etcd")
OTHERS = (
    ("get", "/"),
    ("get", "/nothing"),
    ("get", "/metrics"),
    ("get", "/api/v1/watch/pods"),
    ("get", "/api/v1/watch/namespaces/default/pods/a"),
    ("get", "/apis/nothing.example.com/v1/things"),
    ("post", "/apis/nothing.example.com/v1/things"),
    ("put", "/api/v1/namespaces/default/pods/a/nothing"),
    ("delete", "/api"),
    ("post", "/version"),
    ("options", "/api/v1/pods"),
    ("post", "/healthz"),
)
"""Routes of no document, and some that are none: whoever is not known is not told the difference."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory: Path = tmp_path_factory.mktemp("routes")
    (directory / "tokens.csv").write_text(TOKENS, encoding="utf-8")
    with open_served(directory, "--token-file", str(directory / "tokens.csv")) as server:
        yield server


@pytest.fixture(scope="module")
def full(served: Served) -> Api:
    api = api_of(served.kubeconfig)
    assert not api.token, "a token of the file is nobody else's to tell"
    api.token = "full"
    assert api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS).code == 201
    api.wait(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        lambda _, crd: any(one["type"] == "Established" for one in (crd.get("status") or {}).get("conditions") or []),
    )
    for _ in range(3000):  # some milliseconds each
        if api("GET", "/openapi/v3/apis/shop.example.com/v1").code == 200:
            break
    return api


def other(full: Api, token: str) -> Api:
    found = Api(full.url.geturl(), token=token)
    found.context = full.context
    return found


@pytest.fixture(scope="module")
def routes(full: Api) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    index = full("GET", "/openapi/v3").json
    assert len(index["paths"]) >= 12
    for entry in index["paths"].values():
        document = full("GET", entry["serverRelativeURL"]).json
        for path, operations in document["paths"].items():
            filled = path.replace("{namespace}", "default").replace("{name}", "a")
            found += [(method, filled) for method in operations if method != "parameters"]
    assert ("patch", "/apis/shop.example.com/v1/namespaces/default/widgets/a/status") in found
    assert len(found) > 200
    return found


def test_whoever_shows_no_token_is_told_nothing_but_the_servers_health(full, routes):
    nobody, stranger = other(full, ""), other(full, "full2")
    wanted = [*routes, *OTHERS, *(("get", path) for path in TOLD)]
    for method, path in wanted:
        for api in (nobody, stranger):
            answer = api(method.upper(), path, {} if method in WRITES else None)
            assert answer.code == 401, f"{method} {path}: {answer.body!r}"
            assert answer.json["reason"] == "Unauthorized"
    for path in HEALTH:
        assert nobody("GET", path).code == 200
        assert nobody("HEAD", path).code == 200
        assert nobody("POST", path, {}).code == 401


def test_a_reader_reads_every_route_and_writes_none(full, routes):
    reader = other(full, "reads")
    for method, path in routes:
        answer = reader(method.upper(), path, {} if method in WRITES else None)
        if method in WRITES:
            assert answer.code == 403, f"{method} {path}: {answer.body!r}"
            assert answer.json["reason"] == "Forbidden"
            assert 'User "eve" cannot' in answer.json["message"]
        else:
            assert answer.code in (200, 404), f"{method} {path}: {answer.body!r}"
    for path in (*TOLD, "/metrics", *HEALTH):
        assert reader("GET", path).code == 200
    assert reader("POST", "/version", {}).code == 403


def test_one_who_may_nothing_is_told_what_is_served(full, routes):
    bob = other(full, "none")
    for method, path in routes:
        answer = bob(method.upper(), path, {} if method in WRITES else None)
        assert answer.code == 403, f"{method} {path}: {answer.body!r}"
    for path in (*TOLD, *HEALTH):
        assert bob("GET", path).code == 200
    assert bob("GET", "/metrics").code == 403


@pytest.mark.parametrize(
    ("token", "verb", "allowed"),
    [("full", "delete", True), ("reads", "list", True), ("reads", "delete", False), ("none", "get", False)],
)
def test_everybody_known_can_ask_what_they_may(full, token, verb, allowed):
    spec = {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}}
    answer = other(full, token)("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec})
    assert (answer.code, answer.json["status"]) == (201, {"allowed": allowed})
    who = other(full, token)("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    names = {"full": "alice", "reads": "eve", "none": "bob"}
    assert who.json["status"]["userInfo"]["username"] == names[token]


@pytest.mark.parametrize(
    "spec", [{}, {"resourceAttributes": {}, "nonResourceAttributes": {}}, {"resourceAttributes": {"verb": 1}}, [], "x"]
)
def test_a_question_that_is_none_is_refused(full, spec):
    answer = full("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": spec})
    assert (answer.code, answer.json["reason"]) == (400, "BadRequest")


def test_each_write_leaves_a_line_and_a_read_none(served, full):
    before = len(served.log.read_text(encoding="utf-8").splitlines())
    reader = other(full, "reads")
    assert full("POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "a"}}).code == 201
    assert reader("DELETE", "/api/v1/namespaces/default/configmaps/a").code == 403
    assert other(full, "")("DELETE", "/api/v1/namespaces/default/configmaps/a").code == 401
    assert reader("GET", "/api/v1/namespaces/default/configmaps/a").code == 200
    assert full("DELETE", "/api/v1/namespaces/default/configmaps/a").code == 200
    lines: list[str] = []
    for _ in range(3000):  # some milliseconds each: a line is written once the answer is
        lines = served.log.read_text(encoding="utf-8").splitlines()[before:]
        if len(lines) == 4 or full("GET", "/readyz").code != 200:
            break
    events = [json.loads(line) for line in lines]
    told = [(event["verb"], event["user"]["username"], event["responseStatus"]["code"]) for event in events]
    assert told == [
        ("create", "alice", 201),
        ("delete", "eve", 403),
        ("delete", "system:anonymous", 401),
        ("delete", "alice", 200),
    ]
    assert events[1]["responseStatus"]["reason"] == "Forbidden"
    assert not [line for line in lines if "full" in line and "Bearer" in line]
