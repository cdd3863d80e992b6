"""What a write does to everybody's fields: who conflicts, who loses what, what an apply takes away.

Fields have one owner or several. An update takes what it changes from all others. An apply may only change what nobody else
owns, unless it is forced; what it names it owns, together with those who already do; what it named last time and no longer
names goes, unless somebody else owns it.

Pure.
Source: kubernetes-sigs/structured-merge-diff merge/update.go, typed/reconcile_schema.go.
Differs: an object is the same in all its versions but for their schemas, as everywhere in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ._compare import Comparison, compare, fields_of
from ._field_set import NOTHING, FieldSet, Path
from ._managed_fields import Entry, Managed, Manager
from ._merge import merge, remove, with_named_fields
from ._reconcile import reconciled
from ._types import DEDUCED, Type, differing, is_same


class Conflicts(Exception):
    """Others own fields that an apply would change: leave these out, agree with the owner, or force."""

    def __init__(self, conflicts: list[tuple[Manager, Path]]) -> None:
        self.conflicts = conflicts
        super().__init__(f"{len(conflicts)} conflicts")


class Ownership(msgspec.Struct, frozen=True):
    """The rules for one kind.

    Attributes:
        types: the kind's type in each version; managers of another version are forgotten.
        reset: fields that the endpoint does not let its callers set: they are neither owned through it nor do they conflict.
    """

    types: Mapping[str, Type]
    reset: FieldSet = NOTHING

    def update(self, old: Any, new: Any, managed: Managed, *, version: str, workflow: Manager) -> Managed:
        """Who manages what after `old` became `new` by an update. `workflow` gets all that changed.

        Raises:
            TypedError: a value is not of its type.
        """
        current, compared = self._settle(old, new, self._reconciled(old, managed), version, workflow, force=True)
        own = current[workflow].fields if workflow in current else NOTHING
        fields = own.difference(compared.removed).union(compared.changed()).recursive_difference(self.reset)
        return _with_entry(current, workflow, Entry(fields, version, _time_of(managed, workflow)))

    def apply(
        self, live: Any, applied: Any, managed: Managed, *, version: str, workflow: Manager, force: bool
    ) -> tuple[Any, Managed]:
        """The object after an apply, and who manages what in it.

        Raises:
            Conflicts: others own what would change, and `force` is not set.
            TypedError: a value is not of its type.
        """
        current = dict(self._reconciled(live, managed))
        type_ = self.types.get(version, DEDUCED)
        merged = merge(type_, live, applied)
        last = current.get(workflow)
        fields = fields_of(type_, applied).recursive_difference(self.reset)
        current[workflow] = Entry(fields, version, _time_of(managed, workflow))
        pruned = self._pruned(merged, current, last)
        settled, _ = self._settle(live, pruned, current, version, workflow, force=force)
        return (live if is_same(live, pruned) else pruned), settled

    def _reconciled(self, live: Any, managed: Managed) -> Managed:
        """Every entry as the schema of today has its fields; without those of versions that are gone."""
        return {
            manager: Entry(reconciled(self.types[entry.api_version], entry.fields), entry.api_version, entry.time)
            for manager, entry in managed.items()
            if entry.api_version in self.types
        }

    def _settle(
        self, old: Any, new: Any, managed: Managed, version: str, workflow: Manager, *, force: bool
    ) -> tuple[dict[Manager, Entry], Comparison]:
        """Everybody's entry after the change, those without fields left out; and the change in `version`."""
        before, after = differing(old, new)
        compared = compare(self.types.get(version, DEDUCED), before, after)
        by_version = {version: compared.without(self.reset)}
        out: dict[Manager, Entry] = {}
        conflicts: list[tuple[Manager, Path]] = []
        for manager in sorted(managed, key=Manager.text):
            entry = managed[manager]
            if manager == workflow:
                out[manager] = entry
                continue
            if entry.api_version not in by_version:
                other = compare(self.types[entry.api_version], before, after)
                by_version[entry.api_version] = other.without(self.reset)
            seen = by_version[entry.api_version]
            taken = entry.fields.intersection(seen.changed())
            conflicts += [(manager, path) for path in taken.paths()]
            out[manager] = Entry(entry.fields.difference(taken).difference(seen.removed), entry.api_version, entry.time)
        if conflicts and not force:
            raise Conflicts(conflicts)
        return {manager: entry for manager, entry in out.items() if not entry.fields.is_empty()}, compared

    def _pruned(self, merged: Any, managed: Managed, last: Entry | None) -> Any:
        """`merged` without what the applier named last time, but for what anybody names now."""
        if last is None or last.fields.is_empty():
            return merged
        type_ = self.types[last.api_version]
        pruned = remove(type_, merged, with_named_fields(type_, last.fields))
        owned_in: dict[str, FieldSet] = {}
        for manager in sorted(managed, key=lambda one: (managed[one].api_version != last.api_version, one.text())):
            entry = managed[manager]
            owned_in[entry.api_version] = owned_in.get(entry.api_version, NOTHING).union(entry.fields)
        for version, owned in owned_in.items():
            pruned = _with_owned(self.types[version], merged, pruned, owned)
        return _with_dangling(type_, merged, pruned, last.fields)


def _with_owned(type_: Type, merged: Any, pruned: Any, owned: FieldSet) -> Any:
    """What was taken away put back where somebody owns it."""
    everything = with_named_fields(type_, fields_of(type_, merged))
    kept = with_named_fields(type_, fields_of(type_, pruned)).union(with_named_fields(type_, owned))
    return remove(type_, merged, everything.difference(kept))


def _with_dangling(type_: Type, merged: Any, pruned: Any, last: FieldSet) -> Any:
    """What went along with its parent, though it was not the applier's, put back."""
    everything = with_named_fields(type_, fields_of(type_, merged))
    kept = with_named_fields(type_, fields_of(type_, pruned))
    gone = everything.difference(kept).intersection(with_named_fields(type_, last))
    return remove(type_, merged, gone)


def _time_of(managed: Managed, manager: Manager) -> str | None:
    return managed[manager].time if manager in managed else None


def _with_entry(managed: Mapping[Manager, Entry], manager: Manager, entry: Entry) -> Managed:
    others = {other: kept for other, kept in managed.items() if other != manager}
    return others if entry.fields.is_empty() else {**others, manager: entry}
