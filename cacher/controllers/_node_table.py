"""Which node a pod goes to: what is left on each node is kept as pods come and go, and a pod looks at a few nodes. Pure.

    nodes that the placement allows (remembered) ── from where the last search ended ── the first that fit ── the best of these

The best has the fewest pods of the same owner, then the fewest of them in its zone, then the least of itself in use. As each
search starts where the one before ended, pods without an owner are spread as well.

Source: kubernetes pkg/scheduler/schedule_one.go (findNodesThatPassFilters, numFeasibleNodesToFind), framework/plugins.
Differs: pods' affinities to each other, volumes, host ports and topologySpreadConstraints are not looked at, and no pod makes room
for another; of a large cluster fewer nodes are compared.
"""

from __future__ import annotations

from collections import Counter
from typing import final

import msgspec

from ._placement import Amounts, NodeFacts, Placement, PodWants

COMPARED = 32
"""So many nodes with room are compared. Kubernetes takes a hundred at least, which costs three times as long."""
PLACEMENTS_MAX = 256
"""So many placements' nodes are remembered, 40 kB each at 5,000 nodes."""


class Choice(msgspec.Struct, frozen=True):
    """Where a pod goes: `node`, or nowhere, and `why`."""

    node: str = ""
    why: str = ""


@final
class _Row:
    """One node, and what is on it. A node that is gone keeps its row while pods are bound to it."""

    __slots__ = ("facts", "free", "groups", "used")

    def __init__(self) -> None:
        self.facts: NodeFacts | None = None
        self.used: dict[str, int] = {}
        self.free: dict[str, int] = {}
        self.groups: dict[str, int] = {}

    def settle(self) -> None:
        """What is free, from what there is and what is used."""
        allocatable: Amounts = self.facts.allocatable if self.facts is not None else {}
        self.free = {name: value - self.used.get(name, 0) for name, value in allocatable.items()}

    def add(self, pod: PodWants, sign: int) -> None:
        """The pod is there, or (`sign` -1) gone."""
        for name, value in pod.requests:
            self.used[name] = self.used.get(name, 0) + sign * value
            if name in self.free:
                self.free[name] -= sign * value

    def has_room(self, pod: PodWants) -> bool:
        free = self.free
        return all(free.get(name, 0) >= value for name, value in pod.requests)

    def load(self) -> float:
        """The share of its processors and memory in use, from 0 to 2."""
        facts, free = self.facts, self.free
        assert facts is not None, "only nodes that are there are compared"
        load = 0.0
        for name in ("cpu", "memory"):
            if there := facts.allocatable.get(name):
                load += 1 - free[name] / there
        return load


@final
class NodeTable:
    """The nodes of a cluster and what is on them.

    >>> table = NodeTable()
    >>> table.put_node(NodeFacts("n", {}, (), False, {"pods": 1}))
    True
    >>> pod = PodWants("u", (("pods", 1),), Placement(), "", "", "", False, False, False)
    >>> table.choose(pod).node, table.put_pod(pod, "n"), table.choose(pod).why
    ('n', True, '0/1 nodes are available: 1 Too many pods.')
    """

    def __init__(self, compared: int = COMPARED) -> None:
        if compared < 1:
            raise ValueError(f"compared is {compared}: choose 1 or more")
        self._compared = compared
        self._rows: dict[str, _Row] = {}
        self._pods: dict[str, tuple[PodWants, str]] = {}  # by uid, with the node
        self._zones: Counter[tuple[str, str]] = Counter()  # pods of a group in a zone
        self._allowed: dict[Placement, list[str]] = {}
        self._next = 0
        self._there = 0

    @property
    def nodes(self) -> int:
        """How many there are."""
        return self._there

    def node_of(self, uid: str) -> str:
        """Where the pod is; "" where it is not known to be anywhere."""
        found = self._pods.get(uid)
        return found[1] if found is not None else ""

    def put_node(self, facts: NodeFacts) -> bool:
        """The node is there, and like this. Returns whether that is news: pods that found no place may find one now."""
        row = self._rows.setdefault(facts.name, _Row())
        if row.facts == facts:
            return False
        self._move_zone(row, facts)
        self._there += row.facts is None
        row.facts = facts
        row.settle()
        self._allowed.clear()
        return True

    def remove_node(self, name: str) -> None:
        """The node is gone. Pods that are bound to it stay counted, in case it comes back."""
        row = self._rows.get(name)
        if row is None or row.facts is None:
            return
        self._move_zone(row, None)
        self._there -= 1
        row.facts = None
        row.settle()
        self._allowed.clear()
        self._drop_if_empty(name, row)

    def put_pod(self, pod: PodWants, node: str) -> bool:
        """The pod is on the node, or is about to be. Returns whether it was not known to be there."""
        before = self._pods.get(pod.uid)
        if before is not None:
            if before[1] == node and before[0].requests == pod.requests:
                return False
            self.remove_pod(pod.uid)
        row = self._rows.setdefault(node, _Row())
        self._pods[pod.uid] = pod, node
        row.add(pod, 1)
        if pod.group:
            row.groups[pod.group] = row.groups.get(pod.group, 0) + 1
            self._count_zone(row, pod.group, 1)
        return True

    def remove_pod(self, uid: str) -> bool:
        """The pod takes no room any more. Returns whether it did."""
        found = self._pods.pop(uid, None)
        if found is None:
            return False
        pod, node = found
        row = self._rows[node]
        row.add(pod, -1)
        if pod.group:
            row.groups[pod.group] -= 1
            if not row.groups[pod.group]:
                del row.groups[pod.group]
            self._count_zone(row, pod.group, -1)
        self._drop_if_empty(node, row)
        return True

    def choose(self, pod: PodWants) -> Choice:
        """The node for a pod. It is not put there: do so at once, before the next one chooses.

        Cost: O(compared) where nodes have room, O(nodes) where they do not or where the placement is new.
        """
        allowed = self._allowed_by(pod.placement)
        count = len(allowed)
        best, best_rank = "", (0, 0, 0.0)
        found = looked = 0
        start = self._next % count if count else 0
        for at in range(count):
            looked += 1
            name = allowed[start + at - count if start + at >= count else start + at]
            row = self._rows[name]
            if not row.has_room(pod):
                continue
            rank = self._rank(row, pod)
            if not best or rank < best_rank:
                best, best_rank = name, rank
            found += 1
            if found >= self._compared:
                break
        self._next = start + looked
        return Choice(best) if best else Choice(why=self._why_not(pod))

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _rank(self, row: _Row, pod: PodWants) -> tuple[int, int, float]:
        """The lower the better."""
        if not pod.group:
            return 0, 0, row.load()
        zone = row.facts.zone if row.facts is not None else ""
        return row.groups.get(pod.group, 0), self._zones[pod.group, zone] if zone else 0, row.load()

    def _allowed_by(self, placement: Placement) -> list[str]:
        names = placement.names
        if names is not None:
            present = [(name, self._rows.get(name)) for name in names]
            return [name for name, row in present if row is not None and _allows(placement, row)]
        allowed = self._allowed.get(placement)
        if allowed is None:
            if len(self._allowed) >= PLACEMENTS_MAX:
                del self._allowed[next(iter(self._allowed))]
            allowed = [name for name, row in self._rows.items() if _allows(placement, row)]
            self._allowed[placement] = allowed
        return allowed

    def _why_not(self, pod: PodWants) -> str:
        """In a scheduler's words. Cost: O(nodes)."""
        if not self._there:
            return "no nodes available to schedule pods"
        reasons: Counter[str] = Counter()
        for row in self._rows.values():
            if row.facts is None:
                continue
            refusal = pod.placement.refuses(row.facts)
            lacking = [name for name, value in pod.requests if row.free.get(name, 0) < value]
            reasons.update([refusal] if refusal else [_insufficient(name) for name in lacking])
        told = sorted(f"{count} {reason}" for reason, count in reasons.items())
        return f"0/{self._there} nodes are available: {', '.join(told)}."

    def _count_zone(self, row: _Row, group: str, by: int) -> None:
        zone = row.facts.zone if row.facts is not None else ""
        if zone:
            self._zones[group, zone] += by
            if not self._zones[group, zone]:
                del self._zones[group, zone]

    def _move_zone(self, row: _Row, facts: NodeFacts | None) -> None:
        """What is on a row counts for another zone."""
        before = row.facts
        for group, count in row.groups.items():
            self._count_zone(row, group, -count)
            row.facts = facts
            self._count_zone(row, group, count)
            row.facts = before

    def _drop_if_empty(self, name: str, row: _Row) -> None:
        if row.facts is None and not row.groups and not any(row.used.values()):
            del self._rows[name]

    def check(self) -> None:
        """Raises AssertionError where the sums are not those of the pods: for tests. Cost: O(pods + nodes)."""
        for name, row in self._rows.items():
            pods = [pod for pod, node in self._pods.values() if node == name]
            used: Counter[str] = Counter()
            for pod in pods:
                used.update(dict(pod.requests))
            assert +Counter(row.used) == +used, f"what is used of {name}"
            assert row.groups == Counter(pod.group for pod in pods if pod.group), f"the owners of what is on {name}"
            allocatable = row.facts.allocatable if row.facts is not None else {}
            assert row.free == {one: value - used[one] for one, value in allocatable.items()}, f"what is free on {name}"
        zones: Counter[tuple[str, str]] = Counter()
        for pod, node in self._pods.values():
            facts = self._rows[node].facts
            if pod.group and facts is not None and facts.zone:
                zones[pod.group, facts.zone] += 1
        assert self._zones == zones, "pods of an owner, by zone"


def _allows(placement: Placement, row: _Row) -> bool:
    return row.facts is not None and not placement.refuses(row.facts)


def _insufficient(resource: str) -> str:
    return "Too many pods" if resource == "pods" else f"Insufficient {resource}"
