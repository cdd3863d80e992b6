"""What a real control plane wrote, as the objects of one moment, or of every moment."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from cacher.simulation import Trace, find_trace, load_trace

JSONObject = dict[str, Any]


@functools.cache
def trace(name: str) -> Trace:
    return load_trace(find_trace(name))


def start(name: str) -> dict[str, JSONObject]:
    """The objects at the start, by key."""
    return {kv.key.decode(): _read(kv.value, kv.mod_revision) for kv in trace(name).snapshot.kvs}


def end(name: str) -> dict[str, JSONObject]:
    """The objects at the end, by key."""
    state = start(name)
    for change in changes(name):
        if change.new is None:
            state.pop(change.key, None)
        else:
            state[change.key] = change.new
    return state


class Change(NamedTuple):
    t: float
    key: str
    old: JSONObject | None
    new: JSONObject | None


def changes(name: str) -> Iterator[Change]:
    """Every event, with what was there before."""
    state = start(name)
    for event in trace(name).events:
        new = _read(event.value, event.revision) if event.value else None
        yield Change(event.t, event.key, state.get(event.key), new)
        if new is None:
            state.pop(event.key, None)
        else:
            state[event.key] = new


def of(state: dict[str, JSONObject], resource: str) -> list[JSONObject]:
    """All objects of a resource."""
    return [obj for key, obj in state.items() if key.startswith(f"/registry/{resource}/")]


def owned(objects: list[JSONObject], owner: JSONObject) -> list[JSONObject]:
    uid = owner["metadata"]["uid"]
    return [obj for obj in objects if any(one["uid"] == uid for one in obj["metadata"].get("ownerReferences", ()))]


def _read(value: bytes, revision: int) -> JSONObject:
    obj: JSONObject = msgspec.json.decode(value)
    if "metadata" in obj:
        obj["metadata"]["resourceVersion"] = str(revision)
    return obj
