"""A trace of about a minute in which everything that clients select by changes: labels, nodes, phases, namespaces, names."""

from __future__ import annotations

from pathlib import Path

from tests.cacher.simulation.trace_files import Json, TraceFiles, pod_key

PODS = 8


def busy_pod(number: int, turn: int) -> Json:
    labels = {"app": f"web-{number % 3}", "tier": "front" if (number + turn) % 2 else "back"}
    if turn % 3 == 0:
        labels["canary"] = "yes"
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": f"pod-{number}",
            "namespace": namespace_of(number),
            "uid": f"uid-{number}",
            "labels": labels,
        },
        "spec": {"nodeName": f"node-{number % 4}"},
        "status": {"phase": "Running" if turn % 4 else "Pending"},
    }


def namespace_of(number: int) -> str:
    return f"team-{'ab'[number % 2]}"


def busy_files(events: int = 50) -> TraceFiles:
    """Pods come, change and go; beside them deployments, nodes without a namespace, and a write outside the prefix."""
    files = TraceFiles()
    for number in range(PODS // 2):
        files.begins_with(pod_key(f"pod-{number}", namespace_of(number)), busy_pod(number, 0))
    files.begins_with("/registry/minions/node-0", {"metadata": {"name": "node-0"}, "kind": "Node", "apiVersion": "v1"})
    for turn in range(events):
        number = turn * 5 % PODS
        key = pod_key(f"pod-{number}", namespace_of(number))
        if turn % 10 == 9:
            files.elsewhere()
        if turn % 7 == 6 and key in files.state:
            files.delete(key)
        elif turn % 5 == 4:
            deployment = {
                "metadata": {"name": "web", "namespace": "team-a", "labels": {"turn": str(turn)}},
                "kind": "Deployment",
            }
            files.put("/registry/deployments/team-a/web", deployment)
        else:
            files.put(key, busy_pod(number, turn))
    return files


def write_busy_trace(directory: Path) -> Path:
    """Its files; returns their prefix."""
    return busy_files().write(directory, "busy")
