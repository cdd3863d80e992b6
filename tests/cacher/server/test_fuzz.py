"""Whatever comes over the wire, the server answers, or hangs up, and goes on: no 500 of its own, no traceback, no task left."""

from __future__ import annotations

import json
import logging
import os
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
import trio

from tests.cacher.server.serving import CONFIGS, Served, config, serving

REQUESTS = int(os.environ.get("WATCHCACHE_FUZZ_REQUESTS", "1000"))
REQUESTS_LONG = 20_000
BATCH = 250
"""Requests to one server; then the next seed."""

METHODS = ("GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "FROB")
GROUPS = ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/api/v2", "/apis/example.com/v1", "/apis/apps", "/apis", "/")
PLURALS = (
    *("configmaps", "pods", "services", "deployments", "namespaces", "nodes", "secrets", "events", "jobs", "leases"),
    *("widgets", "watch/configmaps", "bogus", ""),
)
NAMES = ("a", "b", "c", "Not_Valid", "%25", "a%2Fb", "..", "%00", "%zz", "x" * 300, "ü", "%F0%9F%98%80")
PARTS = ("status", "scale", "binding", "eviction", "finalize", "log", "", "x/y")
ODD = (
    "",
    "0",
    "1",
    "-1",
    "99999999999999999999",
    "true",
    "false",
    "All",
    "abc",
    "%00",
    "a=b",
    "é",
    "🙂",
    "\x7f",
    "a,,b",
)
SELECTORS = (
    "a=b",
    "a in (b,c)",
    "!a",
    "a>1",
    "a in b",
    "-x=",
    "a=b=c",
    ",",
    "metadata.name=a",
    "spec.nodeName!=x",
    "\\",
    "a=\\x",
)
PARAMETERS = (
    *(
        "labelSelector",
        "fieldSelector",
        "resourceVersion",
        "resourceVersionMatch",
        "limit",
        "continue",
        "timeoutSeconds",
    ),
    *("watch", "allowWatchBookmarks", "sendInitialEvents", "dryRun", "fieldManager", "fieldValidation", "force"),
    *("gracePeriodSeconds", "propagationPolicy", "orphanDependents", "pretty", "timeout", "includeObject", "bogus"),
)
ACCEPTS = (
    *(
        "",
        "*/*",
        "application/json",
        "application/yaml",
        "text/html",
        "application/vnd.kubernetes.protobuf",
        ";;,",
        "*",
    ),
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;q=x",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
)
CONTENT_TYPES = (
    *("", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", ";"),
    *("application/merge-patch+json", "application/json-patch+json", "application/strategic-merge-patch+json"),
    *("application/apply-patch+yaml", "application/json; charset=utf-8"),
)
RAW_BODIES = (
    *(
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"1e999",
        b"nan",
        b"{}",
        b"\xff\xfe",
        b'{"a":1,"a":2}',
        b"a: [",
        b"a: &x [*x]",
    ),
    *(
        b'"\\ud800"',
        b'{"metadata":{"name":"\\ud800"}}',
        b"[" * 5000,
        b'{"a":' * 500 + b"1" + b"}" * 500,
        b"k8s\0\x0a\x01",
    ),
    *(
        b'{"metadata":null}',
        b'{"metadata":[]}',
        b'{"metadata":{"name":1}}',
        b'{"spec":"x"}',
        b"123456789012345678901234567890",
    ),
)
BROKEN = (
    *(b"\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /\x00 HTTP/1.1\r\n\r\n"),
    b"GET /api HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{}",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET /api/v1/configmaps HTTP/1.0\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET %s?watch=1 HTTP/1.0\r\n\r\n" % CONFIGS.encode(),
)


def any_json(chance: Random, depth: int = 0) -> Any:
    """A value, often one that objects have."""
    match chance.randrange(8 if depth < 4 else 5):
        case 0:
            return chance.choice(ODD)
        case 1:
            return chance.choice((0, 1, -1, 2**31, 2**63, 1.5, -0.0))
        case 2:
            return chance.choice((None, True, False))
        case 3 | 4:
            return chance.choice(("a", "b", "ConfigMap", "Pod", "v1"))
        case 5:
            return [any_json(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = (
        "apiVersion",
        "kind",
        "metadata",
        "name",
        "labels",
        "spec",
        "data",
        "replicas",
        "selector",
        "template",
        "op",
    )
    return {chance.choice(names): any_json(chance, depth + 1) for _ in range(chance.randrange(5))}


def any_body(chance: Random) -> bytes:
    match chance.randrange(6):
        case 0:
            return chance.choice(RAW_BODIES)
        case 1:
            return chance.randbytes(chance.randrange(200))
        case 2 | 3:
            body = config(chance.choice(("a", "b", "c")), k=chance.choice(ODD))
            path: Any = body
            if chance.random() < 0.7:
                path = chance.choice((body, body["metadata"]))
                path[chance.choice((*path, "labels", "annotations", "finalizers", "ownerReferences", "x"))] = any_json(
                    chance
                )
            return json.dumps(body).encode()
        case 4:
            operation = {"op": chance.choice(("add", "remove", "replace", "test", "x")), "path": chance.choice(ODD)}
            return json.dumps([{**operation, "value": any_json(chance)}]).encode()
    return json.dumps(any_json(chance)).encode("utf-8", "surrogatepass")


def any_path(chance: Random) -> str:
    if chance.random() < 0.1:
        return chance.choice(
            ("/healthz", "/livez/ping", "/readyz?verbose", "/metrics", "/version", "/openapi/v3", "/openapi/v2", "/x")
        )
    parts = [
        chance.choice(GROUPS),
        *(("namespaces", chance.choice(("team", "none", "%2F"))) if chance.random() < 0.7 else ()),
    ]
    parts.append(chance.choice(PLURALS))
    if chance.random() < 0.6:
        parts.append(chance.choice(NAMES))
        if chance.random() < 0.3:
            parts.append(chance.choice(PARTS))
    return "/" + "/".join(parts).lstrip("/").replace("ü", quote("ü"))


def any_request(chance: Random) -> bytes:
    """A request as bytes; now and then one that is none."""
    if chance.random() < 0.08:
        return chance.choice(BROKEN)
    method, path, body = chance.choice(METHODS), any_path(chance), b""
    values = (*ODD, *SELECTORS)
    query = "&".join(f"{chance.choice(PARAMETERS)}={quote(chance.choice(values))}" for _ in range(chance.randrange(4)))
    if chance.random() < 0.05:
        query += "&%zz=%g&;=;"
    headers = {"Host": "localhost", "Accept": chance.choice(ACCEPTS), "Content-Type": chance.choice(CONTENT_TYPES)}
    if chance.random() < 0.1:
        headers["Accept-Encoding"] = "gzip"
    if method not in ("GET", "HEAD", "OPTIONS"):
        body = any_body(chance)
        headers["Content-Length"] = str(len(body))
    lines = [
        f"{method} {path}{'&' if '?' in path else '?'}{query} HTTP/1.1",
        *(f"{k}: {v}" for k, v in headers.items() if v),
    ]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


async def told(served: Served, request: bytes, chance: Random) -> bytes:
    """What comes back, up to the end or for a while; a client that has had enough hangs up."""
    connection = served.connect()
    stream, said = connection.stream, b""
    with trio.move_on_after(chance.choice((0.0, 0.5, 4.0))):
        try:
            cut = chance.randrange(1, len(request) + 1) if chance.random() < 0.1 else len(request)
            await stream.send_all(request[:cut])
            if chance.random() < 0.1:
                await stream.send_eof()  # type: ignore[attr-defined]
            while data := await stream.receive_some():
                said += data
                if b"\r\n\r\n" in said and b"transfer-encoding" not in said.lower():
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
    await trio.aclose_forcefully(stream)
    return said


def problem_of(said: bytes) -> str:
    """What is wrong with an answer that came; "" where nothing is."""
    if not said:
        return ""
    if not said.startswith(b"HTTP/1."):
        return "no answer of HTTP"
    status = int(said.split(b" ", 2)[1])
    body = said.partition(b"\r\n\r\n")[2]
    if status == 500 and (b"InternalError" in body or b'"reason"' in body.replace(b"StorageReadError", b"")):
        return "an error of the server's own"
    return ""


def fuzz(run_trio: Any, seed: int, count: int) -> None:
    chance = Random(seed)

    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a", k="1"))
            for number in range(count):
                request = any_request(chance)
                problem = problem_of(said := await told(served, request, chance))
                assert not problem, f"seed {seed}, request {number}: {problem}: {request!r} -> {said[:2000]!r}"
                assert (await served.get("/healthz")).status == 200, f"seed {seed}, request {number}: {request!r}"
            await trio.sleep(1)
            assert served.server.connections == 0
            assert served.server.watches == 0
            assert (await served.get(CONFIGS)).status == 200

    run_trio(main)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(REQUESTS // BATCH))
def test_random_requests_leave_no_error_no_traceback_and_no_task(run_trio, caplog, seed):
    with caplog.at_level(logging.WARNING):
        fuzz(run_trio, seed, BATCH)
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1000 + REQUESTS_LONG // BATCH))
def test_many_more_random_requests(run_trio, caplog, seed):
    with caplog.at_level(logging.WARNING):
        fuzz(run_trio, seed, BATCH)
    assert [record.getMessage() for record in caplog.records] == []
