"""What is left in a namespace that goes: as conditions of its status, and as how long to wait before looking again. Pure.

Source: kubernetes pkg/controller/namespace/deletion/namespaced_resources_deleter.go, status_condition_utils.go;
recorded namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ._conditions import Condition, with_conditions
from ._metadata import Metadata
from ._served import ServedResource

JSONObject = dict[str, Any]

FINALIZER_ESTIMATE_S = 15.0
"""What is held by finalizers is looked at again after about half of this."""
KUBERNETES = "kubernetes"
"""The finalizer in a namespace's spec that this controller takes."""


class Left(msgspec.Struct, frozen=True):
    """What is left of one resource after all that can be deleted was deleted."""

    resource: ServedResource
    count: int
    finalizers: Mapping[str, int]
    """How many objects each of them holds."""
    estimate_s: float = 0.0
    """When it may be gone; 0: it should be gone already."""

    @property
    def is_unexpected(self) -> bool:
        """Whether nothing accounts for its being there."""
        return not self.finalizers and self.estimate_s <= 0


class Report(msgspec.Struct, frozen=True):
    """One pass over a namespace."""

    namespace: str
    left: tuple[Left, ...] = ()
    failures: tuple[str, ...] = ()
    """What could not be listed or deleted, in words."""

    @property
    def is_empty(self) -> bool:
        """Whether the namespace may go."""
        return not self.left and not self.failures

    @property
    def wait_s(self) -> float:
        """When to look again if nothing tells before: after half of the longest estimate."""
        return max((one.estimate_s for one in self.left), default=0.0) / 2 + 1


def left_of(resource: ServedResource, found: Sequence[Metadata], pods_s: float = 0.0) -> Left | None:
    """What a list after the deletions shows; None: nothing.

    Args:
        pods_s: of pods: what is left of the longest time that one of them was given.
    """
    if not found:
        return None
    finalizers: dict[str, int] = {}
    for metadata in found:
        for name in metadata.finalizers or ():
            finalizers[name] = finalizers.get(name, 0) + 1
    estimate_s = max(0.0, pods_s) or (FINALIZER_ESTIMATE_S if finalizers else 0.0)
    return Left(resource, len(found), finalizers, estimate_s)


class _PodSpec(msgspec.Struct, rename="camel"):
    termination_grace_period_seconds: int | None = None


class _PodStatus(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


_POD = msgspec.json.Decoder(_Pod)


def longest_grace_s(pods: Iterable[bytes]) -> float:
    """The longest time that one of these pods, as they are stored, is given to end; 0 where all are over."""
    longest = 0
    for raw in pods:
        pod = _POD.decode(raw)
        if pod.status.phase not in ("Succeeded", "Failed"):
            longest = max(longest, pod.spec.termination_grace_period_seconds or 0)
    return float(longest)


def conditions(present: Sequence[JSONObject], report: Report, now: str) -> list[JSONObject]:
    """The conditions of a namespace after a pass; equal to `present` where nothing is new."""
    return with_conditions(
        present, (_DISCOVERED, _PARSED, _deletion(report), _content(report), _finalizers(report)), now
    )


# These two cannot be otherwise here: what is served is known, or the pass fails as a whole and is made again.
_DISCOVERED = Condition(
    "NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"
)
_PARSED = Condition(
    "NamespaceDeletionGroupVersionParsingFailure",
    "False",
    "ParsedGroupVersions",
    "All legacy kube types successfully parsed",
)


def _deletion(report: Report) -> Condition:
    problems = [*report.failures, *(_unexpected(report.namespace, one) for one in report.left if one.is_unexpected)]
    kind = "NamespaceDeletionContentFailure"
    if not problems:
        message = "All content successfully deleted, may be waiting on finalization"
        return Condition(kind, "False", "ContentDeleted", message)
    told = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    message = f"Failed to delete all resource types, {len(problems)} remaining: {told}"
    return Condition(kind, "True", "ContentDeletionFailed", message)


def _unexpected(namespace: str, left: Left) -> str:
    resource = left.resource
    name = f"{resource.group}/{resource.version.rpartition('/')[2]}, Resource={resource.plural}"
    return f"unexpected items still remain in namespace: {namespace} for gvr: {name}"


def _content(report: Report) -> Condition:
    kind = "NamespaceContentRemaining"
    counted = sorted(
        f"{one.resource.shown} has {one.count} resource instances" for one in report.left if not one.is_unexpected
    )
    if not counted:
        return Condition(kind, "False", "ContentRemoved", "All content successfully removed")
    return Condition(kind, "True", "SomeResourcesRemain", f"Some resources are remaining: {', '.join(counted)}")


def _finalizers(report: Report) -> Condition:
    kind = "NamespaceFinalizersRemaining"
    total: dict[str, int] = {}
    for one in report.left:
        for name, count in one.finalizers.items():
            total[name] = total.get(name, 0) + count
    if not total:
        return Condition(kind, "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    told = ", ".join(f"{name} in {total[name]} resource instances" for name in sorted(total))
    message = f"Some content in the namespace has finalizers remaining: {told}"
    return Condition(kind, "True", "SomeFinalizersRemain", message)


def without_kubernetes(namespace: JSONObject) -> JSONObject:
    """The namespace as it is finalized: without this controller's finalizer, and with everybody else's."""
    spec = namespace.get("spec") or {}
    kept = [name for name in spec.get("finalizers") or () if name != KUBERNETES]
    return {**namespace, "spec": {**spec, "finalizers": kept}}
