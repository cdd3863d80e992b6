"""Recorded exchanges, told to a Registry without HTTP: method and path become a verb, the body is decoded, and that is all.

It makes no error of its own: what it answers with a status above 299 was raised by the registry.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from cacher.registry import APIError, PatchType, Registry, ResourceDoor
from cacher.storage import EventStream
from tests.conformance.story import JSON, tell, wirecheck


class Target:
    """What a path names: `/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE`."""

    def __init__(self, path: str) -> None:
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        self.group_version = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        self.namespace: str | None = None
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
            self.namespace, rest = rest[1], rest[2:]
        self.plural, self.name, self.part = ([*rest, "", ""])[:3]

    def door(self, registry: Registry) -> ResourceDoor:
        """Its door."""
        door = registry.resource(self.group_version, self.plural)
        return door.subresource(self.part) if self.part else door


def targets(case: dict[str, Any]) -> Iterator[Target]:
    """All that a case asks for."""
    for step in case["steps"]:
        if "path" in step:
            yield Target(wirecheck.fill(step["path"], {"ns": "ns", "x": "x"}))


async def play(case: dict[str, Any], registry: Registry, namespace: str) -> list[dict[str, Any]]:
    """The answers of all steps that have one, as `wirecheck.compare` takes them."""
    return await tell(case, namespace, partial(ask, registry), partial(open_watch, registry))


@asynccontextmanager
async def open_watch(registry: Registry, step: dict[str, Any]) -> AsyncIterator[tuple[EventStream, tuple[str, str]]]:
    """The watch that a step asks for, and what its objects are."""
    target, query = Target(step["path"]), step.get("query", {})
    door = target.door(registry)
    initial = {"true": True, "false": False, None: None}[query.get("sendInitialEvents")]
    bookmarks = query.get("allowWatchBookmarks") == "true"
    options = {name: value for name, value in _select(query).items() if name not in ("limit", "continue_token")}
    if initial is None and not options["match"] and options["resource_version"] in ("", "0"):
        initial, options["match"] = True, "NotOlderThan"  # as a server defaults it
    async with door.watch(target.namespace, bookmarks=bookmarks, send_initial_events=initial, **options) as stream:
        yield stream, door.kind


async def ask(registry: Registry, step: dict[str, Any]) -> dict[str, Any]:
    """What the registry answers to one request."""
    warnings: list[str] = []
    try:
        status, body = await _verb(registry, step, warnings)
    except APIError as error:
        answer: dict[str, Any] = {"status": error.code, "type": JSON, "body": error.status()}
        if error.retry_after_s:
            answer["retry_after"] = str(error.retry_after_s)
    else:
        answer = {"status": status, "type": JSON, "body": body}
    if warnings:
        answer["warnings"] = [f"299 - {json.dumps(text)}" for text in warnings]
    return answer


async def _verb(registry: Registry, step: dict[str, Any], warnings: list[str]) -> tuple[int, Any]:
    body: Any = step.get("body")
    target, query = Target(step["path"]), step.get("query", {})
    door, where, name = target.door(registry), target.namespace, target.name
    body = json.loads(body) if isinstance(body, str) else body
    write: dict[str, Any] = {
        "dry_run": [query["dryRun"]] if "dryRun" in query else False,
        "field_manager": query.get("fieldManager", ""),
        "field_validation": query.get("fieldValidation", ""),
        "warn": warnings.append,
    }
    match step["method"]:
        case "GET" if name:
            return 200, await door.get(name, where, resource_version=query.get("resourceVersion", ""))
        case "GET":
            return 200, door.shown(await door.list(where, **_select(query)))
        case "POST":
            return 201, await door.create(body, where, name=name, **write)
        case "PUT":
            obj, is_new = await door.replace(body, where, name=name, **write)
            return 201 if is_new else 200, obj
        case "PATCH":
            kind = PatchType(step["headers"]["Content-Type"].split(";")[0])
            force = {"true": True, "false": False, None: None}[query.get("force")]
            obj, is_new = await door.patch(name, body, where, type=kind, force=force, **write)
            return 201 if is_new else 200, obj
        case "DELETE" if name:
            answer, is_gone = await door.delete(name, where, **_delete_options(query, body or {}))
            return 200 if is_gone or (body or {}).get("orphanDependents") is not False else 202, answer
        case _:
            options = {**_delete_options(query, body or {}), **_select(query)}
            return 200, door.shown(await door.delete_collection(where, **options))


def _delete_options(query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    seconds = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    return {
        "grace_period_s": None if seconds is None else int(seconds),
        "uid": body.get("preconditions", {}).get("uid"),
        "resource_version": body.get("preconditions", {}).get("resourceVersion"),
        "propagation_policy": body.get("propagationPolicy", query.get("propagationPolicy")),
        "orphan_dependents": body.get("orphanDependents"),
        "dry_run": body.get("dryRun", [query["dryRun"]] if "dryRun" in query else False),
    }


def _select(query: dict[str, str]) -> dict[str, Any]:
    return {
        "labels": query.get("labelSelector"),
        "fields": query.get("fieldSelector"),
        "resource_version": query.get("resourceVersion", ""),
        "match": query.get("resourceVersionMatch", ""),
        "limit": int(query.get("limit", 0)),
        "continue_token": query.get("continue", ""),
    }
