"""Plans for any controller: from a run in which nothing goes wrong, every place where something should be tried. Pure.

    intermediate-state   crash right after each write
    stale-state          freeze another server where it had shown what made the controller destroy something; when that is there
                         again, start the controller anew on that server
    unobserved-state     keep from the controller what a later change undid, from the one to the other

What a write was decided on is known (its beliefs), so a plan is only made where what is perturbed was read before a write.

Source: Sieve, OSDI 2022, 3.3 and 3.4: the patterns and the pruning by causality.
Differs: the causes are the recorded reads of the reconcile, not all notifications before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from watch import Object

from ._acts import Request
from ._faults import BlockEvents, Change, Crash, Fault, Later, PauseCache, Upon
from ._history import History

INTERMEDIATE, STALE, UNOBSERVED = "intermediate-state", "stale-state", "unobserved-state"
PATTERNS = (INTERMEDIATE, STALE, UNOBSERVED)
RECONNECT_AFTER_S = 10.0
STALE_FOR_S = 20.0
"""How long after a thing is there again the controller starts anew, and how long it then sees the past. Source: Sieve's plans."""
CANCELS_WITHIN = 8
"""A change is undone, if at all, by one of the next so many of the same object."""

WRITES = ("create", "update", "patch", "delete")


class Plan(msgspec.Struct, frozen=True):
    """Faults to play a workload with, and why."""

    name: str
    pattern: str
    faults: tuple[Fault, ...]
    why: str
    """What it disturbs, in words."""


def derive_plans(history: History, *, server: str) -> list[Plan]:
    """All plans for the processes of a faultless run, in the order of the run.

    Args:
        history: of a run without faults.
        server: the one that is frozen for stale states: not the one that the processes talk to.
    Cost: O(writes * reads + changes).
    """
    seen = _Seen(history)
    plans = [*_intermediate(history), *_stale(history, seen, server), *_unobserved(history, seen)]
    distinct: dict[tuple[Fault, ...], Plan] = {}
    for plan in plans:
        distinct.setdefault(plan.faults, plan)
    return list(distinct.values())


class _Made(msgspec.Struct, frozen=True):
    """One change of an object, and which of its kind it is: what an Upon needs to find it again."""

    key: str
    resource: str
    change: Change
    revision: int
    occurrence: int
    before: Object | None
    after: Object | None
    at_s: float

    def upon(self, point: Any, who: str) -> Upon:
        """The trigger that is met when this is seen at `point`."""
        last = self.after if self.after is not None else self.before
        assert last is not None, "a change has something before it or after it"
        return Upon(
            point,
            self.resource,
            self.change,
            name=last.name,
            namespace=last.namespace,
            who=who,
            occurrence=self.occurrence,
        )

    def __str__(self) -> str:
        return f"{self.key} {self.change} at {self.revision}"


class _Seen:
    """Every change of a run, by key and by revision."""

    def __init__(self, history: History) -> None:
        self.by_key: dict[str, list[_Made]] = {}
        self.by_place: dict[tuple[str, int], _Made] = {}
        resources = {
            request.key.rpartition("/")[0]: request.resource for request in history.acts.requests if request.key
        }
        named = {client.prefix: client.resource for client in history.clients if client.resource}
        for prefix, store in history.stores.items():
            resource = named.get(prefix) or next(
                (name for folder, name in resources.items() if folder.startswith(prefix.rstrip("/"))), ""
            )
            self._read(resource, store.changes, history.published_at_s)

    def _read(self, resource: str, changes: Any, at_s: dict[int, float]) -> None:
        current: dict[str, Object] = {}
        counts: dict[tuple[str, str], int] = {}
        for change in changes:
            before, after = current.get(change.key), change.object
            kind: Change = "deleted" if after is None else "created" if before is None else "updated"
            number = counts[change.key, kind] = counts.get((change.key, kind), 0) + 1
            made = _Made(
                change.key, resource, kind, change.revision, number, before, after, at_s.get(change.revision, 0.0)
            )
            self.by_key.setdefault(change.key, []).append(made)
            self.by_place[change.key, change.revision] = made
            if after is None:
                current.pop(change.key, None)
            else:
                current[change.key] = after


# ---- crash after each write ------------------------------------------------------------------------------------------


def _intermediate(history: History) -> Iterator[Plan]:
    counts: dict[str, int] = {}
    for request in _writes(history):
        number = counts[request.process] = counts.get(request.process, 0) + 1
        fault = Fault(Upon("after-write", who=request.process, occurrence=number), Crash(request.process))
        what = f"{request.verb} {request.key or request.resource}"
        yield Plan(
            f"{INTERMEDIATE}/{request.process}/{number}",
            INTERMEDIATE,
            (fault,),
            f"crash {request.process} after {what}",
        )


def _writes(history: History) -> Iterator[Request]:
    for request in history.acts.requests:
        if request.outcome == "ok" and request.verb.partition("/")[0] in WRITES and request.process:
            yield request


# ---- a past that was acted on ----------------------------------------------------------------------------------------


def _stale(history: History, seen: _Seen, server: str) -> Iterator[Plan]:
    written = {one.request: one for one in history.acts.written if one.request >= 0}
    number = 0
    for request in _writes(history):
        one = written.get(request.number)
        if one is None or not request.beliefs:
            continue
        destroyed = seen.by_place.get((one.key, one.revision))
        if destroyed is None or not _destroys(destroyed, request):
            continue
        again = _again(seen, destroyed)
        if again is None:
            continue
        for belief in request.beliefs:
            cause = seen.by_place.get((belief.key, belief.revision))
            if cause is None or not cause.resource:
                continue
            number += 1
            faults = (
                Fault(
                    cause.upon("server-received", server),
                    PauseCache(server, cause.resource),
                    until=Later(again.upon("written", ""), RECONNECT_AFTER_S + STALE_FOR_S),
                ),
                Fault(Later(again.upon("written", ""), RECONNECT_AFTER_S), Crash(request.process, restart_on=server)),
            )
            why = f"{request.process} is shown {cause} again, on which {destroyed} was decided, after {again}"
            yield Plan(f"{STALE}/{request.process}/{number}", STALE, faults, why)


def _destroys(made: _Made, request: Request) -> bool:
    if request.verb == "delete":
        return True
    few, many = _replicas(made.after), _replicas(made.before)
    return few is not None and many is not None and few < many


def _again(seen: _Seen, destroyed: _Made) -> _Made | None:
    """The first later change that brings back what was destroyed; None: nothing does."""
    later = [made for made in seen.by_key[destroyed.key] if made.revision > destroyed.revision]
    few = _replicas(destroyed.after)
    if destroyed.change == "updated" and few is not None and _replicas(destroyed.before) != few:
        return next((made for made in later if (_replicas(made.after) or 0) > few), None)
    return next((made for made in later if made.change == "created"), None)


def _replicas(obj: Object | None) -> int | None:
    spec = obj.parse().get("spec") if obj is not None else None
    value = spec.get("replicas") if isinstance(spec, dict) else None
    return value if isinstance(value, int) else None


# ---- what was undone before it was seen ------------------------------------------------------------------------------


def _unobserved(history: History, seen: _Seen) -> Iterator[Plan]:
    requests = history.acts.requests
    authors = {
        (one.key, one.revision): requests[one.request].process for one in history.acts.written if one.request >= 0
    }
    number = 0
    for process, key, revision in _causes(history):
        made = seen.by_place.get((key, revision))
        if made is None or not made.resource:
            continue
        undone = _undone_by(seen, made)
        if undone is None or authors.get((undone.key, undone.revision)) == process:
            continue  # what it would have to do itself, having seen it
        number += 1
        fault = Fault(
            made.upon("before-received", process),
            BlockEvents(process, made.resource),
            until=Later(undone.upon("written", ""), 1.0),
        )
        yield Plan(
            f"{UNOBSERVED}/{process}/{number}", UNOBSERVED, (fault,), f"{process} never sees {made}, only {undone}"
        )


def _causes(history: History) -> list[tuple[str, str, int]]:
    """What each process had read before any of its writes: process, key and revision, each once."""
    found: dict[tuple[str, str, int], None] = {}
    for request in _writes(history):
        for belief in request.beliefs:
            found[request.process, belief.key, belief.revision] = None
    return list(found)


def _undone_by(seen: _Seen, made: _Made) -> _Made | None:
    """The next change after which the object is as it was before `made`, or gone where `made` set it going."""
    changes = seen.by_key[made.key]
    start = changes.index(made) + 1
    for later in changes[start : start + CANCELS_WITHIN]:
        if later.after is None and (made.before is None or _is_going(made)):
            return later
        if made.before is not None and later.after is not None and _wishes(later.after) == _wishes(made.before):
            return later if _wishes(made.before) != _wishes(made.after) else None
    return None


def _is_going(made: _Made) -> bool:
    """Whether this change is what set the object going."""
    after = _wishes(made.after) if made.after is not None else {}
    before = _wishes(made.before) if made.before is not None else {}
    return bool(after.get("deletionTimestamp")) and not before.get("deletionTimestamp")


def _wishes(obj: Object | None) -> dict[str, Any]:
    """What somebody wants of it: what counts as undoing is a change back to these."""
    if obj is None:
        return {}
    value = obj.parse()
    return {
        "spec": value.get("spec"),
        "data": value.get("data"),
        "deletionTimestamp": (value.get("metadata") or {}).get("deletionTimestamp"),
    }
