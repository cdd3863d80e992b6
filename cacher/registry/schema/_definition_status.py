"""What the API writes into a customresourcedefinition: its defaults, and its status from creation to removal.

    created ──► names accepted, being installed ──► established ──► deletion pending ──► deletion in progress ──► gone
                └► names conflict: not established, and asked again when another definition of the group goes

Pure: names, times and the other definitions are handed in, and nothing that is handed in changes.
Source: kubernetes/apiextensions-apiserver pkg/apis/apiextensions/v1/defaults.go, pkg/registry/customresourcedefinition/,
pkg/controller/status/naming_controller.go, pkg/controller/establish/, pkg/controller/finalizer/.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._go_text import compact
from ._structural import JSON

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
"""Holds a definition until its objects are gone."""

_NAMES = ("plural", "singular", "shortNames", "kind", "listKind", "categories")


def with_defaults(crd: dict[str, JSON]) -> dict[str, JSON]:
    """The definition with its singular, listKind and conversion."""
    spec = _map(crd.get("spec"))
    names = dict(_map(spec.get("names")))
    kind = names.get("kind") if isinstance(names.get("kind"), str) else ""
    if not names.get("singular") and kind:
        names["singular"] = kind.lower()
    if not names.get("listKind") and kind:
        names["listKind"] = f"{kind}List"
    conversion = spec.get("conversion") or {"strategy": "None"}
    return {**crd, "spec": {**spec, "names": names, "conversion": conversion}}


def prepared_for_create(crd: dict[str, JSON]) -> dict[str, JSON]:
    """As it is first stored: generation 1, nothing accepted yet."""
    metadata = {**_map(crd.get("metadata")), "generation": 1}
    stored = _storage_versions(crd)[:1]
    status = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored or None}
    return {**crd, "metadata": metadata, "status": status}


def prepared_for_update(crd: dict[str, JSON], old: dict[str, JSON]) -> dict[str, JSON]:
    """With the old status, a new generation where the spec changed, and each version that was ever stored."""
    status = dict(_map(old.get("status")))
    stored = status.get("storedVersions") or []
    status["storedVersions"] = stored + [name for name in _storage_versions(crd)[:1] if name not in stored]
    made = {**crd, "status": status}
    if crd.get("spec") != old.get("spec"):
        generation = _map(old.get("metadata")).get("generation") or 0
        made["metadata"] = {**_map(crd.get("metadata")), "generation": generation + 1}
    return made


def with_names_decided(crd: dict[str, JSON], others: Iterable[dict[str, JSON]], *, now: str) -> dict[str, JSON]:
    """With the names that are free accepted, and conditions that say so; the same definition if nothing is to decide.

    Args:
        others: the other definitions of the group.
        now: the time, as objects have it.
    """
    wanted = _map(_map(crd.get("spec")).get("names"))
    status = _map(crd.get("status"))
    accepted = _map(status.get("acceptedNames"))
    if _same_names(wanted, accepted):
        return crd
    names, problem = _decided(wanted, accepted, others)
    condition = problem or ("True", "NoConflicts", "no conflicts found")
    made = _with_condition({**status, "acceptedNames": names}, "NamesAccepted", *condition, now=now)
    established = _condition(status, "Established")
    if (established is None or established["status"] != "True") and problem is None:
        installing = ("False", "Installing", "the initial names have been accepted")
        made = _with_condition(made, "Established", *installing, now=now)
    elif established is None:
        made = _with_condition(made, "Established", "False", "NotAccepted", "not all names are accepted", now=now)
    return {**crd, "status": made}


def with_established(crd: dict[str, JSON], *, now: str) -> dict[str, JSON]:
    """Established, once its objects can be served; the same definition where its names are not accepted."""
    status = _map(crd.get("status"))
    accepted = _condition(status, "NamesAccepted")
    established = _condition(status, "Established")
    if (
        accepted is None
        or accepted["status"] != "True"
        or (established is not None and established["status"] == "True")
    ):
        return crd
    made = ("True", "InitialNamesAccepted", "the initial names have been accepted")
    return {**crd, "status": _with_condition(status, "Established", *made, now=now)}


def is_established(crd: dict[str, JSON]) -> bool:
    """Whether its objects are served."""
    return _is_true(crd, "Established")


def with_deletion_pending(crd: dict[str, JSON], *, now: str) -> dict[str, JSON]:
    """As a delete leaves it, while its finalizer holds it."""
    why = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
    return _terminating(crd, "InstanceDeletionPending", why, now=now)


def with_deletion_in_progress(crd: dict[str, JSON], *, now: str) -> dict[str, JSON]:
    """While its objects are being deleted."""
    return _terminating(crd, "InstanceDeletionInProgress", "CustomResource deletion is in progress", now=now)


def with_deletion_failed(crd: dict[str, JSON], problem: str, *, now: str) -> dict[str, JSON]:
    """While its objects cannot be deleted."""
    return _terminating(crd, "InstanceDeletionFailed", f"could not issue all deletes: {problem}", now=now)


def with_objects_deleted(crd: dict[str, JSON], *, now: str) -> dict[str, JSON]:
    """As it is let go: its objects are gone, or were never served, and its finalizer is too."""
    done = ("InstanceDeletionCompleted", "removed all instances")
    never = ("NeverEstablished", "resource was never established")
    made = _terminating(crd, *(done if is_established(crd) else never), now=now, state="False")
    metadata = _map(crd.get("metadata"))
    left = [name for name in metadata.get("finalizers") or [] if name != FINALIZER]
    kept = {name: value for name, value in metadata.items() if name != "finalizers"}
    return {**made, "metadata": {**kept, "finalizers": left} if left else kept}


def is_terminating(crd: dict[str, JSON]) -> bool:
    """Whether its objects are about to be deleted, and none may be created."""
    return _is_true(crd, "Terminating")


def is_accepted(crd: dict[str, JSON]) -> bool:
    """Whether all of its names are its own."""
    return _is_true(crd, "NamesAccepted")


def _is_true(crd: dict[str, JSON], type_: str) -> bool:
    condition = _condition(_map(crd.get("status")), type_)
    return condition is not None and condition["status"] == "True"


def _terminating(crd: dict[str, JSON], reason: str, message: str, *, now: str, state: str = "True") -> dict[str, JSON]:
    status = _with_condition(_map(crd.get("status")), "Terminating", state, reason, message, now=now)
    return {**crd, "status": status}


def _map(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _storage_versions(crd: dict[str, JSON]) -> list[str]:
    versions = _map(crd.get("spec")).get("versions")
    listed = [_map(one) for one in versions] if isinstance(versions, list) else []
    return [one["name"] for one in listed if one.get("storage") is True and isinstance(one.get("name"), str)]


def _same_names(one: dict[str, JSON], other: dict[str, JSON]) -> bool:
    return all((one.get(name) or None) == (other.get(name) or None) for name in _NAMES)


_Problem = tuple[str, str, str]
_CONFLICTS = {
    "plural": "PluralConflict",
    "singular": "SingularConflict",
    "shortNames": "ShortNamesConflict",
    "kind": "KindConflict",
    "listKind": "ListKindConflict",
}


def _decided(
    wanted: dict[str, JSON], accepted: dict[str, JSON], others: Iterable[dict[str, JSON]]
) -> tuple[dict[str, JSON], _Problem | None]:
    """The names that are accepted from now on, and the last conflict."""
    resources, kinds = _taken(others)
    names = {name: accepted[name] for name in _NAMES if accepted.get(name)}
    problem: _Problem | None = None
    for name, reason in _CONFLICTS.items():
        taken = kinds if name in ("kind", "listKind") else resources
        clashes = _clashes(wanted.get(name), accepted.get(name), taken)
        if clashes:
            shown = [f"{compact(text)} is already in use" for text in clashes]
            problem = ("False", reason, shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]")
        elif wanted.get(name):
            names[name] = wanted[name]
        else:
            names.pop(name, None)
    names.pop("categories", None)
    if wanted.get("categories"):
        names["categories"] = wanted["categories"]
    return {name: names.get(name, "") for name in _NAMES if name in names or name in ("plural", "kind")}, problem


def _clashes(wanted: JSON, accepted: JSON, taken: set[str]) -> list[str]:
    texts = wanted if isinstance(wanted, list) else [wanted]
    ours = accepted if isinstance(accepted, list) else [accepted]
    return [text for text in texts if isinstance(text, str) and text not in ours and text in taken]


def _taken(others: Iterable[dict[str, JSON]]) -> tuple[set[str], set[str]]:
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = _map(_map(other.get("status")).get("acceptedNames"))
        resources.update(str(names.get(name) or "") for name in ("plural", "singular"))
        resources.update(name for name in names.get("shortNames") or [] if isinstance(name, str))
        kinds.update(str(names.get(name) or "") for name in ("kind", "listKind"))
    return resources - {""}, kinds - {""}


def _condition(status: dict[str, JSON], type_: str) -> dict[str, JSON] | None:
    listed = status.get("conditions") or []
    return next((one for one in listed if isinstance(one, dict) and one.get("type") == type_), None)


def _with_condition(
    status: dict[str, JSON], type_: str, state: str, reason: str, message: str, *, now: str
) -> dict[str, JSON]:
    """The condition set; its time moves only where its state does."""
    before = _condition(status, type_)
    since = before["lastTransitionTime"] if before is not None and before.get("status") == state else now
    made = {"type": type_, "status": state, "lastTransitionTime": since, "reason": reason, "message": message}
    conditions = list(status.get("conditions") or [])
    if before is None:
        conditions.append(made)
    else:
        conditions[conditions.index(before)] = made
    return {**status, "conditions": conditions}
