"""Small traces and recordings in the shipped format, written as they are told; a test then spoils one of the files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def pod(name: str, *, namespace: str = "default", **members: Any) -> Json:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": namespace}, **members}


def pod_key(name: str, namespace: str = "default") -> str:
    return f"/registry/pods/{namespace}/{name}"


def write_lines(path: Path, rows: list[Json]) -> None:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


class TraceFiles:
    """Follows an etcd that is at `revision` and writes down what a recorder would; one second a revision."""

    def __init__(self, revision: int = 100) -> None:
        self.start = self.revision = revision
        self.state: dict[str, Json] = {}
        self.snapshot: list[Json] = []
        self.events: list[Json] = []
        self.outside: list[Json] = []

    def begins_with(
        self, key: str, value: Json, *, rev: int = 50, create: int = 40, version: int = 3, lease: int = 0
    ) -> None:
        row = {"rev": rev, "key": key, "create": create, "version": version, "lease": lease, "value": value}
        self.state[key] = row
        self.snapshot.append(row)

    @property
    def t(self) -> float:
        return float(self.revision - self.start)

    def put(self, key: str, value: Json, *, lease: int = 0) -> int:
        self.revision += 1
        self._put(key, value, lease)
        return self.revision

    def delete(self, *keys: str) -> int:
        """All of `keys` in one revision."""
        self.revision += 1
        for key in keys:
            self._delete(key)
        return self.revision

    def together(self, puts: dict[str, Json], *deletes: str) -> int:
        """Puts and deletions in one transaction."""
        self.revision += 1
        for key, value in puts.items():
            self._put(key, value, 0)
        for key in deletes:
            self._delete(key)
        return self.revision

    def elsewhere(self, key: str = "compact_rev_key") -> int:
        self.revision += 1
        self.outside.append({"key": key, "rev": self.revision, "t": self.t, "type": "PUT"})
        return self.revision

    def _put(self, key: str, value: Json, lease: int) -> None:
        before = self.state.get(key)
        row = {
            "rev": self.revision,
            "t": self.t,
            "type": "PUT",
            "key": key,
            "create": before["create"] if before else self.revision,
            "version": before["version"] + 1 if before else 1,
            "lease": lease,
            "prev": before["rev"] if before else 0,
            "resp": self.revision,
            "value": value,
        }
        self.state[key] = row
        self.events.append(row)

    def _delete(self, key: str) -> None:
        before = self.state.pop(key)
        row = {"rev": self.revision, "t": self.t, "type": "DELETE", "key": key, "create": 0, "version": 0, "lease": 0}
        self.events.append(row | {"prev": before["rev"], "resp": self.revision, "value": None})

    @property
    def meta(self) -> Json:
        return {
            "start_rev": self.start,
            "end_rev": self.revision,
            "events": len(self.events),
            "snapshot_keys": len(self.snapshot),
            "outside_registry": self.outside,
            "t_end": self.t,
        }

    def write(self, directory: Path, name: str = "small") -> Path:
        """The three files; returns their prefix."""
        prefix = directory / name
        header = {"count": len(self.snapshot), "prefix": "/registry/", "snapshot_rev": self.start, "t": 0.0}
        rows = sorted(self.snapshot, key=lambda row: str(row["key"]).encode())
        write_lines(directory / f"{name}.start.jsonl.gz", [header, *rows])
        write_lines(directory / f"{name}.etcd.jsonl.gz", self.events)
        (directory / f"{name}.meta.json").write_text(json.dumps(self.meta))
        return prefix


def small_trace() -> TraceFiles:
    """Two pods, of which one is there from before; a write outside; a pod that comes and goes."""
    files = TraceFiles()
    files.begins_with(pod_key("old"), pod("old", step=0))
    files.put(pod_key("new"), pod("new", step=1))
    files.put(pod_key("old"), pod("old", step=2))
    files.elsewhere()
    files.put(pod_key("new"), pod("new", step=3))
    files.delete(pod_key("new"))
    return files


def delivered(value: Json, revision: int) -> Json:
    """A stored object as the API shows it at `revision`."""
    return value | {"metadata": value["metadata"] | {"resourceVersion": str(revision)}}


class RecordingFiles:
    """What a client of a real API server would have written down: a list or a streamed state, then a watch."""

    def __init__(self, path: str = "/api/v1/pods", *, query: str = "", revision: int = 100) -> None:
        self.path = path
        self.query = query
        self.revision = revision
        self.initial: list[Json] = []
        self.rows: list[Json] = []
        self.listed_t: float | None = 0.1
        self.opened_t = 0.2
        self.stopped_t = 1000.0

    def shows(self, value: Json, revision: int) -> None:
        """An object of the initial state."""
        self.initial.append(delivered(value, revision))

    def event(self, kind: str, value: Json, revision: int) -> None:
        self.rows.append({"t": float(revision), "event": {"type": kind, "object": delivered(value, revision)}})

    def bookmark(self, revision: int) -> None:
        value = {"kind": "Pod", "apiVersion": "v1", "metadata": {}, "spec": {"containers": None}}
        self.event("BOOKMARK", value, revision)

    def error(self, code: int = 410, message: str = "too old resource version: 100 (128)") -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": code, "message": message}
        self.rows.append({"t": self.opened_t, "event": {"type": "ERROR", "object": status}})
        self.rows.append({"t": self.opened_t, "kind": "closed-by-server"})

    def lines(self) -> list[Json]:
        query = f"&{self.query}" if self.query else ""
        if self.listed_t is None:
            url = f"{self.path}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan{query}"
            head = [{"t": self.opened_t, "kind": "watch", "url": url, "status": 200}, *self._streamed()]
        else:
            url = f"{self.path}?watch=1&allowWatchBookmarks=true&resourceVersion={self.revision}{query}"
            head = [self._list(), {"t": self.opened_t, "kind": "watch", "url": url, "status": 200}]
        return [*head, *self.rows, {"t": self.stopped_t, "kind": "recording-stopped"}]

    def _list(self) -> Json:
        items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in self.initial]
        metadata = {"resourceVersion": str(self.revision)}
        body = {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}
        url = f"{self.path}?{self.query}" if self.query else self.path
        return {"t": self.listed_t, "kind": "list", "url": url, "status": 200, "body": body}

    def _streamed(self) -> list[Json]:
        state = [{"t": self.opened_t, "event": {"type": "ADDED", "object": item}} for item in self.initial]
        metadata = {"resourceVersion": str(self.revision), "annotations": {"k8s.io/initial-events-end": "true"}}
        end = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}
        return [*state, {"t": self.opened_t, "event": {"type": "BOOKMARK", "object": end}}]

    def write(self, directory: Path, what: str = "pods", name: str = "small") -> Path:
        path = directory / f"{name}.watch-{what}.jsonl.gz"
        write_lines(path, self.lines())
        return path
