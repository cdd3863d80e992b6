"""What a user does to a world, as data: so that a tape can hold it, and leave one out to see whether it matters.

Resources are written as their group, version and plural: "v1/pods", "apps/v1/deployments", "example.com/v1/widgets".
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

JSONObject = dict[str, Any]

UNTIL_S = 60.0
"""What an Until waits at most unless it says otherwise: many times what a controller needs in a world without faults."""


class Operation(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """One thing that is done. Those of a workload are done one after the other."""


class Create(Operation, frozen=True):
    """Create `object`; its namespace is in its metadata. One that is there already is left as it is."""

    resource: str
    object: JSONObject


class Patch(Operation, frozen=True):
    """Merge `patch` into an object, or into its part `subresource`. One that is not there is left out."""

    resource: str
    name: str
    patch: JSONObject
    namespace: str = ""
    subresource: str = ""


class Delete(Operation, frozen=True):
    """Delete an object. One that is not there is left out."""

    resource: str
    name: str
    namespace: str = ""
    propagation_policy: str = ""
    grace_period_s: int | None = None


class Wait(Operation, frozen=True):
    """Let time pass."""

    seconds: float


class Until(Operation, frozen=True):
    """Wait until the store has such an object, or, with `exists=False`, has none; or until `within_s` have passed.

    A world with faults may not get there: then they stop, and it is waited for once more. If that does not help the workload
    goes on all the same, and says in the run's notes that it did.
    """

    resource: str
    name: str
    namespace: str = ""
    exists: bool = True
    where: Mapping[str, Any] = {}
    """What must stand at dotted paths of the object, such as {"status.phase": "Running"}."""
    within_s: float = UNTIL_S


AnyOperation = Create | Patch | Delete | Wait | Until


def split_resource(resource: str) -> tuple[str, str]:
    """Version and plural of a resource as operations and faults name it: ("apps/v1", "deployments").

    Raises:
        ValueError: there is no version in it.
    """
    version, slash, plural = resource.rpartition("/")
    if not slash or not version or not plural:
        raise ValueError(
            f"{resource!r} is no resource: write group, version and plural, such as v1/pods or apps/v1/deployments"
        )
    return version, plural


def value_at(obj: Mapping[str, Any] | None, path: str) -> Any:
    """What stands at a dotted path; None where nothing does. Lists are entered by number: `spec.containers.0.image`."""
    node: Any = obj
    for segment in path.split("."):
        if isinstance(node, Mapping):
            node = node.get(segment)
        elif isinstance(node, list) and segment.isdigit() and int(segment) < len(node):
            node = node[int(segment)]
        else:
            return None
    return node


def meets(obj: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether `obj` has all that `where` asks for at its paths."""
    return all(value_at(obj, path) == wanted for path, wanted in where.items())
