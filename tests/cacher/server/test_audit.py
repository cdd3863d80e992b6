"""The line for each write: what is in it, and that nobody can break it in two."""

from __future__ import annotations

import json

import msgspec
import pytest

from cacher.server._audit import TEXT_MAX, Audited, audit_line, is_audited
from cacher.server._auth import Attributes, User

WANTED = Attributes("patch", "/x", "apps", "deployments", "scale", "default", "web")
REQUEST = Audited(
    audit_id="a-1",
    user=User("alice", ("system:masters",)),
    wanted=WANTED,
    api_version="v1",
    request_uri="/apis/apps/v1/namespaces/default/deployments/web/scale?dryRun=All",
    source="127.0.0.1",
    user_agent="kubectl/v1.37.1",
    received="2026-11-23T10:00:00.000000Z",
    answered="2026-11-23T10:00:00.010000Z",
    code=200,
)


def test_a_line_says_who_did_what_to_which_object_and_how_it_ended():
    event = json.loads(audit_line(REQUEST))
    assert event == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": "/apis/apps/v1/namespaces/default/deployments/web/scale?dryRun=All",
        "verb": "patch",
        "user": {"username": "alice", "groups": ["system:masters"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kubectl/v1.37.1",
        "objectRef": {
            "resource": "deployments",
            "namespace": "default",
            "name": "web",
            "apiGroup": "apps",
            "apiVersion": "v1",
            "subresource": "scale",
        },
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-11-23T10:00:00.000000Z",
        "stageTimestamp": "2026-11-23T10:00:00.010000Z",
    }


def test_a_refusal_says_why():
    refused = msgspec.structs.replace(REQUEST, code=403, reason="Forbidden")
    assert json.loads(audit_line(refused))["responseStatus"] == {"metadata": {}, "code": 403, "reason": "Forbidden"}


@pytest.mark.parametrize("text", ['a\n{"verb":"get"}', "\r\n", '"', "\u2028", "x" * 100_000])
def test_whatever_a_client_sends_stays_in_one_bounded_line(text):
    line = audit_line(
        msgspec.structs.replace(
            REQUEST, user_agent=text, request_uri=text, wanted=msgspec.structs.replace(WANTED, name=text)
        )
    )
    assert len(line.encode("utf-8").splitlines()) == 1
    assert len(line) < 5 * TEXT_MAX
    assert json.loads(line)["userAgent"] == text[:TEXT_MAX]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Attributes("create", resource="pods"), True),
        (Attributes("deletecollection", resource="pods"), True),
        (Attributes("get", resource="pods"), False),
        (Attributes("watch", resource="pods"), False),
        (Attributes("create", "/version"), False),
    ],
)
def test_writes_are_audited_and_reads_are_not(wanted, expected):
    assert is_audited(wanted) is expected
