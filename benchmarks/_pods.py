"""Pods as a store has them: of 1 KB, as the peers' figures use, and as a real cluster had them."""

from __future__ import annotations

import functools
import json
from typing import Any

import msgspec

from cacher.simulation import find_trace, load_trace

PREFIX = "/registry/pods/"
PODS_MIN = 1_000
POD_BYTES = 1_000
RECORDED_BYTES = (3_500, 6_000)
"""Pods of the trace that are taken: those that run, with the managedFields of all who wrote them."""


def stored_pods(count: int, groups: int, *, is_recorded: bool = False) -> list[tuple[str, bytes]]:
    """Keys and JSON of `count` pods, or of one a group where that is more. A group has a node, a namespace and a label."""
    make = _recorded if is_recorded else _small
    return [make(number, number % groups) for number in range(max(count, groups))]


def _small(number: int, group: int) -> tuple[str, bytes]:
    pod = {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": f"ns-{group}",
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "labels": {"app": f"app-{group}", "tier": "backend", "track": "stable"},
        },
        "spec": {"nodeName": f"node-{group}", "containers": [{"name": "main", "image": "registry.example/app:1"}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "message": ""},
    }
    missing = POD_BYTES - len(json.dumps(pod, separators=(",", ":")))
    pod["status"]["message"] = "x" * max(0, missing)  # type: ignore[index]
    return f"{PREFIX}ns-{group}/pod-{number}", json.dumps(pod, separators=(",", ":")).encode()


def _recorded(number: int, group: int) -> tuple[str, bytes]:
    """One of the trace under a name of its own: where it is, and what it is selected by, is its group's."""
    samples = _samples()
    pod: dict[str, Any] = msgspec.json.decode(samples[number % len(samples)])
    pod["metadata"]["name"], pod["metadata"]["namespace"] = f"pod-{number}", f"ns-{group}"
    pod["metadata"].setdefault("labels", {})["app"] = f"app-{group}"
    pod["spec"]["nodeName"] = f"node-{group}"
    return f"{PREFIX}ns-{group}/pod-{number}", msgspec.json.encode(pod)


@functools.cache
def _samples() -> tuple[bytes, ...]:
    least, most = RECORDED_BYTES
    found = [event.value for event in load_trace(find_trace("rollout")).events if event.key.startswith(PREFIX)]
    taken = tuple(value for value in found if least <= len(value) <= most and b'"nodeName"' in value)
    assert taken, "the trace has pods of this size"
    return taken
