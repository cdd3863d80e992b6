"""Who set which fields, as `metadata.managedFields` has it: read, written, ordered, kept short.

An entry belongs to a manager's name, what it did (Apply or Update), through which subresource, and, for updates, in which
version; it says which fields, and when they last changed hands.

Pure: times come as text (RFC 3339, seconds, UTC), which is ordered as the times are.
Source: kubernetes/apimachinery pkg/util/managedfields/internal (managedfields.go, capmanagers.go).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from ._field_set import FieldSet

APPLY = "Apply"
UPDATE = "Update"
UPDATE_MANAGERS_MAX = 10
"""More managers that update than this are joined, oldest first, under one name a version."""
OLD_UPDATES = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"
"""Whoever set the fields that an object had when it was first applied to and nobody had kept book."""


class Manager(msgspec.Struct, frozen=True):
    """Whose entry it is. Who applies has one entry for all versions: `api_version` is empty then."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def text(self) -> str:
        """What managers are ordered by."""
        given = {"manager": self.name, "operation": self.operation, "apiVersion": self.api_version}
        given["subresource"] = self.subresource
        return json.dumps({name: value for name, value in given.items() if value}, separators=(",", ":"))


class Entry(msgspec.Struct, frozen=True):
    """What it says; `time` is None where nothing ever changed hands."""

    fields: FieldSet
    api_version: str
    time: str | None = None


Managed: TypeAlias = Mapping[Manager, Entry]


def applier(name: str, subresource: str) -> Manager:
    """The manager of this name when it applies."""
    return Manager(name or "unknown", APPLY, "", subresource)


def updater(name: str, api_version: str, subresource: str) -> Manager:
    """The manager of this name when it does anything else."""
    return Manager(name or "unknown", UPDATE, api_version, subresource)


def decode(entries: Any) -> Managed:
    """The managedFields of an object (JSON data; None: it has none).

    Raises:
        ValueError: an entry is not one; whoever wrote it must.
    """
    if entries is not None and not isinstance(entries, list):
        raise ValueError("managedFields is a list")
    return dict(_entry(at, entry) for at, entry in enumerate(entries or ()))


def _entry(at: int, entry: Any) -> tuple[Manager, Entry]:
    if not isinstance(entry, dict):
        raise ValueError(f"managed fields entry {at} is no object")
    operation, version = entry.get("operation", ""), entry.get("apiVersion", "")
    if operation not in (APPLY, UPDATE):
        raise ValueError("operation must be `Apply` or `Update`")
    if not version:
        raise ValueError("apiVersion must not be empty")
    kind = entry.get("fieldsType", "")
    if kind != "FieldsV1":
        problem = f'invalid fieldsType "{kind}"' if kind else "missing fieldsType"
        raise ValueError(f"{problem} in managed fields entry {at}")
    manager = Manager(
        entry.get("manager", ""), operation, "" if operation == APPLY else version, entry.get("subresource", "")
    )
    return manager, Entry(FieldSet.from_json(entry.get("fieldsV1") or {}), version, entry.get("time"))


def encode(managed: Managed) -> list[dict[str, Any]]:
    """The entries as JSON data, in Kubernetes' order: by operation, time, name, version, subresource."""
    return [_written(manager, entry) for manager, entry in sorted(managed.items(), key=_place)]


def _place(item: tuple[Manager, Entry]) -> tuple[str, str, str, str, str]:
    manager, entry = item
    return manager.operation, entry.time or "", manager.name, entry.api_version, manager.subresource


def _written(manager: Manager, entry: Entry) -> dict[str, Any]:
    out: dict[str, Any] = {"manager": manager.name, "operation": manager.operation, "apiVersion": entry.api_version}
    if entry.time is not None:
        out["time"] = entry.time
    out |= {"fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json()}
    if manager.subresource:
        out["subresource"] = manager.subresource
    return out


def is_reset(entries: Any) -> bool:
    """Whether these managedFields say "forget them": an empty list, or one empty entry."""
    return isinstance(entries, list) and entries in ([], [{}])


def capped(managed: Managed) -> Managed:
    """At most `UPDATE_MANAGERS_MAX` entries of updates: the oldest of a version are joined, under the newest time of theirs.

    Only two of one version can be joined; with that many versions there may stay more.
    """
    updaters = [manager for manager in managed if manager.operation == UPDATE]
    surplus = len(updaters) - UPDATE_MANAGERS_MAX
    if surplus <= 0:
        return managed
    out = dict(managed)
    first_of: dict[str, Manager] = {}
    for manager in sorted(updaters, key=lambda one: (managed[one].time or "", one.text())):
        if surplus <= 0:
            break
        entry = managed[manager]
        first = first_of.setdefault(entry.api_version, manager)
        bucket = Manager(OLD_UPDATES, UPDATE, entry.api_version)
        if manager in (first, bucket):
            continue
        if bucket not in out:
            out[bucket] = out.pop(first)
        out[bucket] = Entry(out.pop(manager).fields.union(out[bucket].fields), entry.api_version, entry.time)
        surplus -= 1
    return out


def with_managed(obj: dict[str, Any], managed: Managed) -> dict[str, Any]:
    """The object with these managedFields, and without the field where nobody manages anything."""
    metadata = {name: value for name, value in metadata_of(obj).items() if name != "managedFields"}
    if managed:
        metadata["managedFields"] = encode(managed)
    return {**obj, "metadata": metadata} if metadata or "metadata" in obj else obj


def metadata_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """An object's metadata, empty where it has none."""
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def keeping_times(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new`, but with the times of `old` where times of managedFields are all that differs: a write of nothing stays one.

    Source: kubernetes/apiserver pkg/endpoints/handlers/fieldmanager/equality.go.
    """
    before, after = metadata_of(old).get("managedFields"), metadata_of(new).get("managedFields")
    if before == after or not before or not after or len(before) != len(after):
        return new
    if any(_timeless(one) != _timeless(other) for one, other in zip(before, after, strict=True)):
        return new
    reverted = {**new, "metadata": {**metadata_of(new), "managedFields": before}}
    return reverted if reverted == old else new


def _timeless(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "time"}
