"""NoStaleDestruction: a controller destroys nothing on the word of a state that is over.

Two ways to go wrong, and what is asked of each deletion, and of each write that lowers a number of replicas:

    another one of the name   the object on whose word it was done was gone from the store before the destroyed one was made,
                              and is not what the destroyed one says that it belongs to, as an owner, in a label or annotation
    time travel               an earlier life of the process had been shown a newer, different state of what this one acted on

Both compare what the reconcile had read with the store's history; a lagging copy alone is no breach. Sieve's oracles see the
harm at the end; this sees the decision.

Source: sieve bugs rabbitmq#648, cassandra-operator#407, zookeeper-operator#314; KEP-5647 for the remedy.
"""

from __future__ import annotations

from typing import Any

from watch import EventType

from .._acts import Belief, Request, Written
from .._history import ClientHistory, Listed, Received
from ._case import Case
from ._judge import Judge
from ._truth import FOR_EVER, NONE, StoreTruth
from ._verdict import Tally


def _no_stale_destruction(case: Case, tally: Tally) -> None:
    acts = case.history.acts
    shown: _Shown | None = None
    for written in acts.written:
        if written.request < 0:
            continue
        request = acts.requests[written.request]
        if written.key != request.key or not _destroys(case, written, request):
            continue
        tally.checked(1)
        if not request.beliefs:
            continue
        shown = shown or _Shown(case)
        fault = _of_another(case, written, request.beliefs) or _of_the_past(case, shown, request, written.key)
        if fault:
            who = f"{request.process} in its life {request.incarnation}, on {request.server}"
            facts = f"{who}: {request.verb} {written.key} {fault}"
            tally.broke(request.process, facts, revision=written.revision, at_s=request.at_s)


def _destroys(case: Case, written: Written, request: Request) -> bool:
    """A deletion, also one that a grace period or a finalizer holds up; or a write that lowers a number of replicas."""
    if request.verb == "delete":
        return True
    if written.is_deletion or not written.previous_uid:
        return False
    truth = case.store(written.prefix)
    after = truth.numbers.get((written.key, written.revision), NONE)
    change = truth.made_by[after] if after != NONE else NONE
    before = truth.changes[change].before if change != NONE else NONE
    if before == NONE:
        return False
    few, many = _replicas(truth, after), _replicas(truth, before)
    return few is not None and many is not None and few < many


def _replicas(truth: StoreTruth, number: int) -> int | None:
    spec = truth.objects[number].parse().get("spec")
    value = spec.get("replicas") if isinstance(spec, dict) else None
    return value if isinstance(value, int) else None


# ---- another one of the name ---------------------------------------------------------------------------------------


def _of_another(case: Case, written: Written, beliefs: tuple[Belief, ...]) -> str:
    made = _made_at(case, written)
    owners = _named_uids(case, written)
    newest = {belief.key: belief for belief in sorted(beliefs, key=lambda one: one.revision)}
    for belief in newest.values():
        if not belief.uid or (belief.key == written.key and belief.uid == written.previous_uid):
            continue
        if belief.uid in owners:
            continue  # an orphan: a life that did not know of the owner's end made it, and one that does takes it away
        gone = _gone_at(case, belief)
        if gone is not None and gone < made:
            return (
                f"of uid {written.previous_uid}, made at {made}, on the word of {belief.key} of uid {belief.uid} at"
                f" {belief.revision}, which was gone at {gone}"
            )
    return ""


def _named_uids(case: Case, written: Written) -> frozenset[str]:
    """Whom the destroyed object names as what it belongs to: its owners, and whatever a label or an annotation says."""
    truth = case.store(written.prefix)
    uids: set[str] = set()
    for obj in truth.objects:
        if obj.key == written.key and obj.uid == written.previous_uid and obj.revision < written.revision:
            metadata = obj.parse()["metadata"]
            uids = {owner.get("uid", "") for owner in metadata.get("ownerReferences") or ()}
            for names in ("labels", "annotations"):
                uids.update((metadata.get(names) or {}).values())
    return frozenset(uids)


def _made_at(case: Case, written: Written) -> int:
    """The revision that created what was destroyed: that of its first version of this uid."""
    truth = case.store(written.prefix)
    made = written.revision
    for number, obj in enumerate(truth.objects):
        if obj.key == written.key and obj.uid == written.previous_uid:
            made = min(made, truth.began[number])
    return made


def _gone_at(case: Case, belief: Belief) -> int | None:
    """The revision at which the object of that uid was gone; None: it is there, or nothing is known of it."""
    prefix = _prefix_of(case, belief.key)
    if prefix is None:
        return None
    truth = case.store(prefix)
    last = NONE
    for number, obj in enumerate(truth.objects):
        if obj.key == belief.key and obj.uid == belief.uid:
            last = number
    if last == NONE or truth.ended[last] == FOR_EVER:
        return None
    return truth.ended[last]


def _prefix_of(case: Case, key: str) -> str | None:
    found = [prefix for prefix in case.history.stores if key.startswith(prefix)]
    return max(found, key=len) if found else None


# ---- time travel ---------------------------------------------------------------------------------------------------


class _Shown:
    """What each process was shown in each of its lives: the newest revision of each key."""

    def __init__(self, case: Case) -> None:
        self._newest: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for client in case.history.clients:
            for step in client.steps if client.process else ():
                if isinstance(step, Listed):
                    for obj in step.objects:
                        self._add(client, obj.key, obj.revision)
                elif isinstance(step, Received):
                    for event in step.batch:
                        if event.type in (EventType.ADDED, EventType.MODIFIED):
                            self._add(client, event.key, event.revision)

    def _add(self, client: ClientHistory, key: str, revision: int) -> None:
        self._newest.setdefault((client.process, key), []).append((client.incarnation, revision))

    def before(self, process: str, life: int, key: str) -> int:
        """The newest revision in the lives before `life`; 0: it was never shown."""
        return max((revision for one, revision in self._newest.get((process, key), ()) if one < life), default=0)


def _of_the_past(case: Case, shown: _Shown, request: Request, destroyed: str) -> str:
    """Within one life a copy never goes back, so what counts is what the lives before it had been shown. That the destroyed
    object was being deleted already is no other wish."""
    newest: dict[str, Belief] = {}
    for belief in request.beliefs:
        if belief.key not in newest or newest[belief.key].revision < belief.revision:
            newest[belief.key] = belief
    for belief in newest.values():
        seen = shown.before(request.process, request.incarnation, belief.key)
        if seen > belief.revision and (what := _difference(case, belief, seen, belief.key == destroyed)):
            return (
                f"on the word of {belief.key} at {belief.revision}, from {belief.server}; a life before it had been shown"
                f" {seen}, with another {what}"
            )
    return ""


def _difference(case: Case, belief: Belief, seen: int, is_destroyed: bool) -> str:
    """What of its wishes an object changed from the version believed to the one that had been seen; "" for nothing."""
    prefix = _prefix_of(case, belief.key)
    if prefix is None:
        return ""
    truth = case.store(prefix)
    numbers = [truth.numbers.get((belief.key, revision), NONE) for revision in (belief.revision, seen)]
    if NONE in numbers:
        return ""
    one, other = (_wishes(truth.objects[number].parse()) for number in numbers)
    told = (name for name in one if not (is_destroyed and name == "deletionTimestamp"))
    return next((name for name in told if one[name] != other[name]), "")


def _wishes(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj.get("metadata") or {}
    return {
        "uid": metadata.get("uid"),
        "deletionTimestamp": "deletionTimestamp" in metadata,  # a sooner end is no other wish
        "spec": obj.get("spec"),
        "data": obj.get("data"),
    }


NO_STALE_DESTRUCTION = Judge(
    "NoStaleDestruction",
    "a controller destroys nothing on the word of an older state, or of an object that only had the same name",
    of_caches=_no_stale_destruction,
)
