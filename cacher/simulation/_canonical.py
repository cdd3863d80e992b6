"""Two clusters compared that cannot be equal byte for byte: names, uids, times and nodes are chance, the rest is not. Pure.

    Deployment team-a/web-1
    └─ ReplicaSet team-a/web-1/0          children with made-up names are named by their owner and their order,
       └─ Pod team-a/web-1/0/1            which is that of what is said of them: revisions, sizes, states

What is said of an object is what Kubernetes decides: its owners, finalizers and labels, whether it is going, its conditions by
type, status and reason, its numbers of replicas, its revision. Two states are alike if every name says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

JSONObject = dict[str, Any]

NOT_COMPARED = frozenset({"Event", "Lease", "Node", "Endpoints", "IPAddress"})
"""What is about moments (events, leases), what kubelets say (nodes), what no controller here keeps (Endpoints), and what the
API notes for itself (addresses: the one here keeps them in one place)."""

_HASHES = ("pod-template-hash", "controller-revision-hash", "controller.kubernetes.io/hash", "batch.kubernetes.io/")
_CHANCE = (*_HASHES, "controller-uid", "topology.kubernetes.io/")
"""Labels whose values are hashes, uids, or the node's."""
_REVISIONS = "deployment.kubernetes.io/"
_SPEC_NUMBERS = ("replicas", "completions", "parallelism", "suspend", "paused")


def canonical_state(objects: Iterable[JSONObject], *, without: Iterable[str] = ()) -> dict[str, JSONObject]:
    """What is said of each object, by a name that says who made it.

    Args:
        objects: as the API stores them.
        without: names of objects that are left out wherever they are, such as "kube-root-ca.crt".
    Cost: O(n log n) of the objects.
    """
    left_out = set(without)
    kept = [one for one in objects if one.get("kind") not in NOT_COMPARED and _meta(one).get("name") not in left_out]
    return _Names(kept).said()


def state_differences(theirs: Mapping[str, JSONObject], ours: Mapping[str, JSONObject]) -> list[str]:
    """Where two canonical states differ, a line each; empty where they are alike."""
    lines = [f"{name}: only in theirs" for name in theirs if name not in ours]
    lines += [f"{name}: only in ours" for name in ours if name not in theirs]
    for name in theirs:
        if name in ours:
            lines += [
                f"{name}{path}: {one!r}, ours {other!r}" for path, one, other in _unlike(theirs[name], ours[name])
            ]
    return sorted(lines)


def _unlike(one: Any, other: Any, path: str = "") -> Iterable[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for member in sorted({*one, *other}):
            yield from _unlike(one.get(member), other.get(member), f"{path}.{member}")
    elif one != other:
        yield path, one, other


def _meta(obj: Mapping[str, Any]) -> JSONObject:
    return obj.get("metadata") or {}


class _Names:
    """Names from the roots down: an owner is named before what it owns."""

    def __init__(self, objects: list[JSONObject]) -> None:
        self._by_uid = {_meta(one).get("uid", ""): one for one in objects}
        self._names: dict[str, str] = {}
        self._objects = objects
        waiting = list(objects)
        while waiting:
            ready = [one for one in waiting if self._is_owner_named(one)]
            if not ready:  # owners in a ring, which only a mistake makes: they keep their own names
                ready = waiting
            self._name(ready)
            waiting = [one for one in waiting if _meta(one).get("uid", "") not in self._names]

    def said(self) -> dict[str, JSONObject]:
        """What is said of each, by its name, in the order of the names."""
        found = {self._names[_meta(one).get("uid", "")]: self._said(one) for one in self._objects}
        return dict(sorted(found.items()))

    def _owner(self, obj: JSONObject) -> JSONObject | None:
        """The controller, or the first owner, that is there."""
        references = sorted(_meta(obj).get("ownerReferences") or (), key=lambda one: not one.get("controller"))
        return next((self._by_uid[one["uid"]] for one in references if one.get("uid") in self._by_uid), None)

    def _is_owner_named(self, obj: JSONObject) -> bool:
        owner = self._owner(obj)
        return owner is None or _meta(owner).get("uid", "") in self._names

    def _name(self, objects: list[JSONObject]) -> None:
        groups: dict[str, list[JSONObject]] = {}
        for one in objects:
            if _is_made_up(one):
                groups.setdefault(self._place(one), []).append(one)
            else:
                self._names[_meta(one).get("uid", "")] = f"{one.get('kind')} {_own_name(one)}"
        for place, group in groups.items():
            group.sort(key=lambda one: (msgspec.json.encode(self._said(one), order="sorted"), _meta(one).get("name")))
            for number, one in enumerate(group):
                self._names[_meta(one).get("uid", "")] = f"{place}/{number}"

    def _place(self, obj: JSONObject) -> str:
        """Where its made-up name begins: at its owner."""
        owner = self._owner(obj)
        if owner is None:
            return f"{obj.get('kind')} {_meta(obj).get('namespace', '')}/~"
        return f"{obj.get('kind')} {self._names[_meta(owner).get('uid', '')].partition(' ')[2]}"

    # ---- what is said of one -----------------------------------------------------------------------------------------

    def _said(self, obj: JSONObject) -> JSONObject:
        metadata, spec, status = _meta(obj), obj.get("spec") or {}, obj.get("status") or {}
        if not isinstance(spec, dict) or not isinstance(status, dict):
            spec, status = {}, {}
        annotations = metadata.get("annotations") or {}
        said: JSONObject = {
            "owners": sorted(self._owner_said(one) for one in metadata.get("ownerReferences") or ()),
            "finalizers": sorted(metadata.get("finalizers") or ()),
            "labels": {name: text for name, text in (metadata.get("labels") or {}).items() if not _is_chance(name)},
            "revisions": {name: text for name, text in annotations.items() if name.startswith(_REVISIONS)},
            "is_going": "deletionTimestamp" in metadata,
            "spec": {name: spec[name] for name in _SPEC_NUMBERS if spec.get(name) is not None},
            "images": _images(spec),
            "data": obj.get("data") if obj.get("kind") == "ConfigMap" else None,
            "status": {name: value for name, value in status.items() if _is_number(name, value)},
            "phase": status.get("phase"),
            "conditions": _conditions(status.get("conditions")),
        }
        if "observedGeneration" in status:
            said["is_observed"] = status["observedGeneration"] == metadata.get("generation")
        if obj.get("kind") == "EndpointSlice":
            said["endpoints"] = sorted(
                str((one.get("conditions") or {}).get("ready")) for one in obj.get("endpoints") or ()
            )
        return {name: value for name, value in said.items() if value not in (None, [], {}, False)}

    def _owner_said(self, reference: Mapping[str, Any]) -> str:
        """The owner by its canonical name, and what the reference says of it."""
        uid = str(reference.get("uid", ""))
        name = self._names.get(uid) or f"{reference.get('kind')} that is not there"
        flags = [flag for flag in ("controller", "blockOwnerDeletion") if reference.get(flag)]
        return ", ".join([name, *flags])


def _is_made_up(obj: JSONObject) -> bool:
    """Whether a controller, or the API, chose its name."""
    metadata = _meta(obj)
    return (
        "generateName" in metadata
        or obj.get("kind") == "ControllerRevision"
        or "pod-template-hash" in (metadata.get("labels") or {})
    )


def _own_name(obj: JSONObject) -> str:
    """Namespace and name."""
    metadata = _meta(obj)
    return "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))


def _is_chance(label: str) -> bool:
    return label.startswith(_CHANCE)


def _is_number(name: str, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and name != "observedGeneration"


def _images(spec: Mapping[str, Any]) -> list[str]:
    template = (spec.get("template") or {}).get("spec") or spec
    return [str(one.get("image")) for one in template.get("containers") or ()]


def _conditions(conditions: Any) -> list[str]:
    if not isinstance(conditions, list):
        return []
    return sorted(f"{one.get('type')}={one.get('status')} {one.get('reason', '')}".rstrip() for one in conditions)
