"""Who is known, and who may what."""

from __future__ import annotations

import hmac

import pytest

from cacher.registry import Forbidden, Unauthorized
from cacher.server._auth import (
    FULL,
    READERS,
    UNSECURED,
    Attributes,
    Authenticator,
    TokenFileError,
    User,
    check_access,
    is_open,
    new_token,
    read_tokens,
)

ADMIN, READER, OTHER = User("root", (FULL,)), User("eve", (READERS,)), User("bob")
WRITES = ("create", "update", "patch", "delete", "deletecollection")


def known() -> Authenticator:
    return Authenticator({"secret-a": ADMIN, "secret-b": READER})


def subject(*parts: tuple[str, str]) -> dict[str, object]:
    return {"subject": tuple((part,) for part in parts)}


@pytest.mark.parametrize("header", ["Bearer secret-b", "bearer secret-b", " BEARER   secret-b "])
def test_a_token_says_who_it_is(header):
    assert known().user(header) == User("eve", (READERS, "system:authenticated"))


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer secret", "Bearer secret-bb", "Basic secret-b", "secret-b", "Bearer é"]
)
def test_whoever_shows_no_known_token_is_nobody(header):
    with pytest.raises(Unauthorized) as raised:
        known().user(header)
    assert raised.value.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


def test_every_token_is_compared_whether_one_was_found_or_not(monkeypatch):
    compared: list[tuple[bytes, bytes]] = []
    constant_time = hmac.compare_digest

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return constant_time(left, right)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    who = known()
    who.user("Bearer secret-a")
    with pytest.raises(Unauthorized):
        who.user("Bearer nothing")
    assert len(compared) == 4
    assert {len(left) for left, _ in compared} == {32}


def test_a_certificate_says_who_it_is_and_in_which_groups():
    certificate = subject(("organizationName", "a"), ("organizationName", "b"), ("commonName", "carol"))
    assert known().user("", certificate) == User("carol", ("a", "b", "system:authenticated"))


def test_a_certificate_without_a_name_is_none():
    with pytest.raises(Unauthorized):
        known().user("", subject(("organizationName", FULL)))
    assert known().user("Bearer secret-a", subject(("organizationName", "a"))).name == "root"


@pytest.mark.parametrize("verb", [*WRITES, "get", "list", "watch"])
def test_a_master_may_do_all(verb):
    check_access(ADMIN, Attributes(verb, resource="pods"))
    check_access(UNSECURED, Attributes(verb, resource="pods"))


@pytest.mark.parametrize("verb", WRITES)
def test_a_reader_writes_nothing(verb):
    with pytest.raises(Forbidden) as raised:
        check_access(READER, Attributes(verb, group="apps", resource="deployments", namespace="n", name="web"))
    assert raised.value.message == (
        f'deployments.apps "web" is forbidden: User "eve" cannot {verb} resource "deployments" in API group "apps" '
        'in the namespace "n"'
    )
    assert raised.value.status()["details"] == {"name": "web", "group": "apps", "kind": "deployments"}


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_a_reader_reads_all(verb):
    check_access(READER, Attributes(verb, resource="secrets"))
    check_access(READER, Attributes("get", "/metrics"))


@pytest.mark.parametrize("verb", [*WRITES, "get", "list", "watch"])
def test_one_of_neither_group_neither_reads_nor_writes(verb):
    with pytest.raises(Forbidden) as raised:
        check_access(OTHER, Attributes(verb, resource="nodes", subresource="status"))
    assert raised.value.message == (
        f'nodes is forbidden: User "bob" cannot {verb} resource "nodes/status" in API group "" at the cluster scope'
    )


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/apis/apps", "/openapi/v3", "/version", "/livez/ping"])
def test_everybody_known_is_told_what_is_served(path):
    check_access(OTHER, Attributes("get", path))


@pytest.mark.parametrize(("verb", "path"), [("get", "/metrics"), ("post", "/version"), ("get", "/apiserver")])
def test_other_paths_are_told_to_those_who_may_read(verb, path):
    with pytest.raises(Forbidden) as raised:
        check_access(OTHER, Attributes(verb, path))
    assert raised.value.message == f'forbidden: User "bob" cannot {verb} path "{path}"'
    assert raised.value.status()["details"] == {}


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/readyz/etcd"])
def test_health_is_open_to_all(path):
    assert is_open(path)


@pytest.mark.parametrize("path", ["/", "/api", "/version", "/metrics", "/healthzz", "/livez/../api"[:4], "//healthz"])
def test_nothing_else_is_open(path):
    assert not is_open(path)


def test_a_token_file_is_read_as_kubernetes_reads_it():
    found = read_tokens(
        ['tok1,alice,1,"system:masters,dev"\n', "\n", "tok2,bob,2\n", 'tok3,eve,3,"watchcache:readers"\n']
    )
    assert found == {
        "tok1": User("alice", (FULL, "dev"), "1"),
        "tok2": User("bob", (), "2"),
        "tok3": User("eve", (READERS,), "3"),
    }


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "nobody could come in"),
        (["tok,alice\n"], "line 1 is not"),
        (["tok,alice,1\n", ",bob,2\n"], "line 2 is not"),
        (["tok,alice,1,a,b\n"], "line 1 is not"),
        (["tok,alice,1\n", "tok,bob,2\n"], "line 2 has the token of a line before it"),
    ],
)
def test_a_token_file_that_cannot_be_read_is_told_without_a_token(lines, why):
    with pytest.raises(TokenFileError, match=why) as raised:
        read_tokens(lines)
    assert "tok," not in str(raised.value)
    assert "alice" not in str(raised.value)


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43  # 32 bytes
