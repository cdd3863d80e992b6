"""CrashProof, CoalesceProof, NoOvershoot: what a controller comes to, whatever happened to it on its way.

The first two compare with a reference: the same workload, in which nothing went wrong. Both end states have their names, uids and
times made canonical first, so nothing else is masked.

Source: sieve's oracles (OSDI 2022, 3.5): end state, and the number of creations and deletions; k#129795 for overshooting.
"""

from __future__ import annotations

from typing import Any

from watch import Object

from .._acts import EndState, Wanted
from ._case import Case
from ._judge import Judge
from ._truth import NONE, StoreTruth
from ._verdict import Tally

DIFFERENCES_TOLD = 5


def difference(reference: EndState, end: EndState) -> list[str]:
    """How `end` differs from `reference`, in words: objects first, then how often they were created and deleted."""
    found = []
    unstable = {*reference.unstable, *end.unstable}
    for name in sorted({*reference.objects, *end.objects} - unstable):
        if name not in end.objects:
            found.append(f"{name} is missing")
        elif name not in reference.objects:
            found.append(f"{name} is there, and should not be")
        elif reference.objects[name] != end.objects[name]:
            found.append(f"{name} is {_cut(end.objects[name])}, and should be {_cut(reference.objects[name])}")
    for what, wanted, counted in (
        ("created", reference.creations, end.creations),
        ("deleted", reference.deletions, end.deletions),
    ):
        for name in sorted({*wanted, *counted} - unstable):
            if wanted.get(name, 0) != counted.get(name, 0):
                found.append(
                    f"{name} was {what} {counted.get(name, 0)} times, and {wanted.get(name, 0)} in the reference"
                )
    return found


def _cut(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    return text if len(text) <= 200 else f"{text[:200]}…"


def _compared(case: Case, tally: Tally, *, is_meant: bool) -> None:
    acts = case.history.acts
    if not is_meant or acts.reference is None or acts.end_state is None or acts.phases.settled_s is None:
        return
    tally.checked(len(acts.reference.objects) + 1)
    for facts in difference(acts.reference, acts.end_state)[:DIFFERENCES_TOLD]:
        tally.broke("world", facts, revision=case.history.end_revision, at_s=acts.phases.end_s)


def _crash_proof(case: Case, tally: Tally) -> None:
    acts = case.history.acts
    has_crashed = any(lived.what == "crashed" for lived in acts.lives)
    _compared(case, tally, is_meant=has_crashed and acts.plan in ("", "intermediate-state"))


def _coalesce_proof(case: Case, tally: Tally) -> None:
    acts = case.history.acts
    has_crashed = any(lived.what == "crashed" for lived in acts.lives)
    _compared(case, tally, is_meant=bool(acts.faults) and not has_crashed and acts.plan in ("", "unobserved-state"))


CRASH_PROOF = Judge(
    "CrashProof",
    "a controller that is stopped between any two writes and started again gets where it would have got",
    of_caches=_crash_proof,
)
COALESCE_PROOF = Judge(
    "CoalesceProof",
    "a controller that sees only the last of several states gets where it would have got",
    of_caches=_coalesce_proof,
)

# ---- NoOvershoot ---------------------------------------------------------------------------------------------------


def _no_overshoot(case: Case, tally: Tally) -> None:
    for wanted in case.history.acts.wanted:
        if wanted.owner_prefix in case.history.stores and wanted.child_prefix in case.history.stores:
            _Count(case, wanted, tally).run()


class _Count:
    """Who has how many, change by change.

    What is allowed is what was wanted last, or, while there are still more than that, what was wanted since there were not:
    whoever has just been told to want fewer is given the time to delete, and none to create.
    """

    def __init__(self, case: Case, wanted: Wanted, tally: Tally) -> None:
        self._case = case
        self._wanted = wanted
        self._tally = tally
        self._wants: dict[str, int] = {}
        self._allowed: dict[str, int] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._owner_of: dict[str, str] = {}

    def run(self) -> None:
        wanted, case = self._wanted, self._case
        owners, children = case.store(wanted.owner_prefix), case.store(wanted.child_prefix)
        self._begin(owners, children)
        changes = [(change.revision, 0, change.key, change.after, owners) for change in owners.changes]
        changes += [(change.revision, 1, change.key, change.after, children) for change in children.changes]
        for revision, is_child, key, after, truth in sorted(changes, key=lambda one: one[:3]):
            obj = truth.objects[after] if after != NONE else None
            if is_child:
                self._child(key, obj, revision)
            elif obj is not None:
                self._owner(obj)

    def _begin(self, owners: StoreTruth, children: StoreTruth) -> None:
        """What was there at first: a store that was restored begins with something."""
        for obj, made_by in zip(owners.objects, owners.made_by, strict=True):
            if made_by == NONE:
                self._owner(obj)
        for obj, made_by in zip(children.objects, children.made_by, strict=True):
            owner = _owner_uid(obj.parse()) if made_by == NONE and _counts(obj.parse()) else ""
            if owner:
                self._owner_of[obj.key] = owner
                self._children.setdefault(owner, {})[obj.key] = None

    def _owner(self, obj: Object) -> None:
        value = _at(obj.parse(), self._wanted.path)
        number = self._wants[obj.uid] = value if isinstance(value, int) else 1
        self._allow(obj.uid, number)

    def _allow(self, uid: str, number: int) -> None:
        have = len(self._children.get(uid, ()))
        before = self._allowed.get(uid, number)
        self._allowed[uid] = number if have <= number else max(number, before)

    def _child(self, key: str, obj: Object | None, revision: int) -> None:
        before = self._owner_of.pop(key, "")
        if before:
            self._children[before].pop(key, None)
        owner = "" if obj is None or not _counts(obj.parse()) else _owner_uid(obj.parse())
        if owner:
            self._owner_of[key] = owner
            self._children.setdefault(owner, {})[key] = None
        if owner and not before:
            self._grown(owner, key, revision)
        for uid in {before: None, owner: None}:
            if uid in self._wants:
                self._allow(uid, self._wants[uid])

    def _grown(self, owner: str, key: str, revision: int) -> None:
        if owner not in self._wants:
            return
        self._tally.checked(1)
        have, most = len(self._children[owner]), max(self._wants[owner], self._allowed[owner]) + self._wanted.surge
        if have > most:
            at_s = self._case.history.published_at_s.get(revision, 0.0)
            facts = f"{key} made {have} of the owner {owner}, which wanted {self._wants[owner]}"
            self._tally.broke("world", facts, revision=revision, at_s=at_s)


def _at(obj: Any, path: str) -> Any:
    for segment in path.split("."):
        obj = obj.get(segment) if isinstance(obj, dict) else None
    return obj


def _counts(obj: dict[str, Any]) -> bool:
    """Whether it is one of those that are wanted: not on its way out, and not done."""
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    return not metadata.get("deletionTimestamp") and status.get("phase") not in ("Succeeded", "Failed")


def _owner_uid(obj: dict[str, Any]) -> str:
    owners = (obj.get("metadata") or {}).get("ownerReferences") or ()
    return next((owner.get("uid") or "" for owner in owners if owner.get("controller")), "")


NO_OVERSHOOT = Judge(
    "NoOvershoot",
    "a controller never has more objects than it wants, however late its copy",
    of_caches=_no_overshoot,
)
