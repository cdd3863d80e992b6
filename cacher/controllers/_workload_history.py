"""The past templates of stateful sets and daemon sets: a ControllerRevision for each, numbered, and forgotten in the end. Pure.

Source: kubernetes pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from reflector import JSONObject, controller_reference

from ._workload_objects import (
    annotations_of,
    labels_of,
    meta,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
    with_metadata,
)
from ._workload_template import template_hash

REVISION_LABEL = "controller-revision-hash"
"""On pods (with the revision's name for stateful sets, its hash for daemon sets): which template they were made from."""
HASH_LABEL = "controller.kubernetes.io/hash"
_NAME_MAX = 223


class History(msgspec.Struct, frozen=True):
    """What the present template is among those there were, and what is to be written for that."""

    present: JSONObject
    """The revision of the present template: one of the old ones, or the one to be made."""
    create: bool = False
    renumber: bool = False
    """`present` is an old one with a new number: it is to be written."""


def data_of(owner: JSONObject) -> JSONObject:
    """What a revision keeps: a patch that puts the template back."""
    template = {"$patch": "replace", **(spec_of(owner).get("template") or {})}
    return {"spec": {"template": template}}


def owner_with(owner: JSONObject, revision: JSONObject) -> JSONObject:
    """The owner with the template of that revision. Differs: nothing else of a spec is kept in a revision."""
    kept = dict(((revision.get("data") or {}).get("spec") or {}).get("template") or {})
    kept.pop("$patch", None)
    return {**owner, "spec": {**spec_of(owner), "template": kept}}


def by_number(revisions: Sequence[JSONObject]) -> list[JSONObject]:
    """The oldest first."""
    return sorted(
        revisions,
        key=lambda one: (int(one.get("revision") or 0), meta(one).get("creationTimestamp", ""), name_of(one)),
    )


def history_of(
    owner: JSONObject, revisions: Sequence[JSONObject], api_version: str, kind: str, collisions: int | None
) -> History:
    """Which revision the owner's template is. A template that comes back gets the next number, and its revision stays one."""
    ordered, data = by_number(revisions), data_of(owner)
    number = int(ordered[-1].get("revision") or 0) + 1 if ordered else 1
    alike = [one for one in ordered if one.get("data") == data]
    if not alike:
        return History(_made(owner, data, number, api_version, kind, collisions), create=True)
    if alike[-1] is ordered[-1]:
        return History(alike[-1])
    return History({**alike[-1], "revision": number}, renumber=True)


def _made(
    owner: JSONObject, data: JSONObject, number: int, api_version: str, kind: str, collisions: int | None
) -> JSONObject:
    hashed = template_hash(data, collisions)
    made: JSONObject = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(owner)[:_NAME_MAX]}-{hashed}",
            "namespace": namespace_of(owner),
            "labels": {**labels_of(spec_of(owner).get("template") or {}), HASH_LABEL: hashed},
            "ownerReferences": [controller_reference(owner, api_version, kind)],
        },
        "data": data,
        "revision": number,
    }
    return with_metadata(made, annotations=dict(annotations_of(owner)))


def forgotten(owner: JSONObject, revisions: Sequence[JSONObject], live: Collection[str]) -> list[JSONObject]:
    """The oldest of those that nothing was made from, beyond what the owner keeps (10 where it does not say).

    Args:
        live: names of revisions that are in use.
    """
    limit = spec_of(owner).get("revisionHistoryLimit")
    unused = [one for one in by_number(revisions) if name_of(one) not in live]
    return unused[: max(0, len(unused) - (10 if limit is None else int(limit)))]


def is_own(revision: JSONObject, owner: JSONObject) -> bool:
    """Whether the owner made it."""
    return any(one.get("uid") == uid_of(owner) for one in meta(revision).get("ownerReferences") or ())
