"""Who owns whom, as far as it has been seen; and what becomes of an object whose owners go. Pure.

    seen, changed ──► OwnerGraph.observe ──┐
    gone ───────────► OwnerGraph.forget ───┴─► uids to look at ──► verdict(…) ──► KEEP │ DETACH from owners │ DELETE

The graph is a copy and may be behind. So it only says *whom to look at*: what is written is decided by `verdict`, from the object
and from each of its owners as they were read a moment ago, by uid.

An owner that only references know has no node; those who name it are found all the same, whenever it appears or is found absent.
Source: kubernetes pkg/controller/garbagecollector/graph.go, graph_builder.go, garbagecollector.go (attemptToDeleteItem).
Differs: in place of virtual nodes, what names an owner that has not been seen is looked at itself, each with its own coordinates:
so a reference with a wrong kind, name or namespace cannot make another's owner look absent.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import final

import msgspec

from ._metadata import FOREGROUND, ORPHAN, Metadata, OwnerReference
from ._served import ServedResource, group_of


class Node(msgspec.Struct, frozen=True):
    """One object, as it was last seen."""

    resource: ServedResource
    metadata: Metadata

    @property
    def uid(self) -> str:
        """What the graph calls it."""
        return self.metadata.uid

    def is_named_by(self, reference: OwnerReference, namespace: str) -> bool:
        """Whether a dependent in `namespace` that has this reference means this very object."""
        metadata, resource = self.metadata, self.resource
        return (
            reference.uid == metadata.uid
            and reference.name == metadata.name
            and (group_of(reference.api_version), reference.kind) == (resource.group, resource.kind)
            and metadata.namespace in ("", namespace)
        )


_NOTHING: dict[str, None] = {}


@final
class OwnerGraph:
    """The objects of a cluster and their references, by uid. Each step returns the uids that are worth a look now, once each.

    Memory: a node an object, and an entry a reference.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, dict[str, None]] = {}  # by the owner's uid, whether it was seen or not

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, uid: str) -> Node | None:
        """The object, as it was last seen."""
        return self._nodes.get(uid)

    def dependents(self, uid: str) -> tuple[Node, ...]:
        """Those that name it as an owner, in the order in which they first did. Cost: O(dependents)."""
        return tuple(self._nodes[dependent] for dependent in self._dependents.get(uid, _NOTHING))

    def has_dependents(self, uid: str) -> bool:
        """Whether anything names it as an owner."""
        return uid in self._dependents

    def blocking(self, uid: str) -> tuple[Node, ...]:
        """The dependents that its deletion in the foreground waits for."""
        return tuple(
            dependent
            for dependent in self.dependents(uid)
            if any(owner.uid == uid and owner.block_owner_deletion for owner in dependent.metadata.owners)
        )

    def observe(self, resource: ServedResource, metadata: Metadata) -> tuple[str, ...]:
        """The object is there, and like this. Objects without a uid are passed over: nobody can own them, or be told apart.

        Cost: O(its owners); O(its dependents) when it is first seen, or begins to go.
        """
        uid = metadata.uid
        if not uid:
            return ()
        old, new = self._nodes.get(uid), Node(resource, metadata)
        self._nodes[uid] = new
        worth: dict[str, None] = {}
        before = old.metadata.owners if old is not None else ()
        if before != metadata.owners:
            self._name_owners(uid, before, metadata.owners)
            self._look_at_owners(new, before, worth)
        if old is None:
            self._look_at_strays(new, worth)
        was = old.metadata if old is not None else Metadata()
        if metadata.orphans_dependents and not was.orphans_dependents:
            worth[uid] = None
        elif metadata.waits_for_dependents and not was.waits_for_dependents:
            worth.update(self._dependents.get(uid, _NOTHING))
            worth[uid] = None
        return tuple(worth)

    def forget(self, uid: str) -> tuple[str, ...]:
        """The object is gone. Worth a look: what it owned, and owners that waited for it. Cost: O(owners and dependents)."""
        node = self._nodes.pop(uid, None)
        if node is None:
            return ()
        worth = dict(self._dependents.get(uid, _NOTHING))
        self._name_owners(uid, node.metadata.owners, ())
        for owner in node.metadata.owners:
            seen = self._nodes.get(owner.uid)
            if seen is not None and seen.metadata.waits_for_dependents:
                worth[owner.uid] = None
        return tuple(worth)

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _name_owners(self, uid: str, before: Sequence[OwnerReference], now: Sequence[OwnerReference]) -> None:
        kept = {owner.uid for owner in now}
        for owner in before:
            if owner.uid not in kept and (named := self._dependents.get(owner.uid)) is not None:
                named.pop(uid, None)
                if not named:
                    del self._dependents[owner.uid]
        for owner in now:
            self._dependents.setdefault(owner.uid, {})[uid] = None

    def _look_at_owners(self, node: Node, before: Sequence[OwnerReference], worth: dict[str, None]) -> None:
        """Its references changed. It may have an owner that is not there, and an owner may wait for it no longer."""
        namespace = node.metadata.namespace
        for owner in node.metadata.owners:
            seen = self._nodes.get(owner.uid)
            if seen is None or not seen.is_named_by(owner, namespace) or seen.metadata.waits_for_dependents:
                worth[node.uid] = None
        for owner in before:
            seen = self._nodes.get(owner.uid)
            if seen is not None and seen.metadata.waits_for_dependents:
                worth[owner.uid] = None

    def _look_at_strays(self, owner: Node, worth: dict[str, None]) -> None:
        """It is first seen: who named it before may have meant something else."""
        for dependent in self.dependents(owner.uid):
            for reference in dependent.metadata.owners:
                if reference.uid == owner.uid and not owner.is_named_by(reference, dependent.metadata.namespace):
                    worth[dependent.uid] = None

    def check(self) -> None:
        """Raises AssertionError where the two maps do not say the same: for tests. Cost: O(n)."""
        named = {
            (owner.uid, uid) for uid, node in self._nodes.items() for owner in node.metadata.owners
        }  # in any order: compared as a whole
        held = {(owner, uid) for owner, uids in self._dependents.items() for uid in uids}
        assert named == held, "each reference of a node is a dependent of its owner, and nothing else is"
        assert all(self._dependents.values()), "who owns nothing is not kept"


class OwnerState(enum.Enum):
    """What a live read said of an owner."""

    SOLID = "solid"
    """It is there, and stays; or nobody can say, which is the same to who may not delete."""
    WAITING = "waiting"
    """It is there, and goes in the foreground: it waits for its dependents."""
    ABSENT = "absent"
    """There is none of that kind, name and uid."""


def owner_state(reference: OwnerReference, found: Metadata | None) -> OwnerState:
    """What has been read under an owner's name, told apart by its uid. None: nothing is there."""
    if found is None or found.uid != reference.uid:
        return OwnerState.ABSENT
    return OwnerState.WAITING if found.waits_for_dependents else OwnerState.SOLID


class Fate(enum.Enum):
    """What becomes of an object."""

    KEEP = "keep"
    DETACH = "detach"
    """It stays, for its other owners; those that are absent or going are named no longer."""
    DELETE = "delete"


class Verdict(msgspec.Struct, frozen=True):
    """What is to be written."""

    fate: Fate
    policy: str = ""
    """Of a deletion: Foreground, Background or Orphan."""
    owners: tuple[OwnerReference, ...] = ()
    """Of DETACH: those that are to go from its references."""
    unblocks: bool = False
    """Of a deletion: its references are to block no owner any more, for one of its dependents waits for it, or it for itself."""


_KEEP = Verdict(Fate.KEEP)


def verdict(obj: Metadata, states: Mapping[OwnerReference, OwnerState], dependents: Sequence[Node]) -> Verdict:
    """What becomes of an object that is not going yet.

    Args:
        obj: as it was read a moment ago.
        states: of each of its owners.
        dependents: what names it as an owner, as far as it was seen.
    Raises:
        KeyError: an owner was not asked about: that is our bug, and nothing may be deleted.
    """
    by_state: dict[OwnerState, list[OwnerReference]] = {state: [] for state in OwnerState}
    for owner in obj.owners:
        by_state[states[owner]].append(owner)
    leaving = tuple(by_state[OwnerState.ABSENT] + by_state[OwnerState.WAITING])
    if not leaving:
        return _KEEP
    if by_state[OwnerState.SOLID]:
        return Verdict(Fate.DETACH, owners=leaving)
    if by_state[OwnerState.WAITING] and dependents:
        # What it owns goes first. Two that own each other would wait for ever: then it blocks nobody.
        in_a_circle = any(dependent.metadata.waits_for_dependents for dependent in dependents)
        return Verdict(Fate.DELETE, policy="Foreground", unblocks=in_a_circle)
    return Verdict(Fate.DELETE, policy=_asked_for(obj.finalizers or ()))


def _asked_for(finalizers: Sequence[str]) -> str:
    """The policy that an object's finalizers ask for."""
    if ORPHAN in finalizers:
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers else "Background"
