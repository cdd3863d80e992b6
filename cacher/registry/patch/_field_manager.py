"""managedFields kept up to date by every write of one endpoint: `update` for create, update and patch, `apply` for apply.

    create ─────────┐
    update ─────────┤ update(live, new)      the new object, with its managedFields
    patch  ─────────┘
    apply ──────────► apply(live, patch)     the object merged, with its managedFields; or an ApplyConflict

Pure: objects are plain JSON data and are never changed, times are texts that are handed in.
Source: kubernetes/apimachinery pkg/util/managedfields/internal (fieldmanager.go and the managers that it stacks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import APIError, ApplyConflict, BadRequest, Cause, PlainServerError, quoted
from ._apply import Conflicts, Ownership
from ._check import check
from ._elements import TypedError
from ._field_set import NOTHING, FieldSet, fields, shown
from ._kinds import kind_type
from ._last_applied import allowed_conflicts, with_last_applied
from ._managed_fields import (
    BEFORE_FIRST_APPLY,
    UPDATE,
    Entry,
    Managed,
    Manager,
    applier,
    capped,
    decode,
    is_reset,
    metadata_of,
    updater,
    with_managed,
)
from ._structural import custom_type
from ._types import Type, canonical, differing

# What nobody manages: what an object is, and what the server alone writes.
_NEVER_OWNED = FieldSet.of(
    [fields("apiVersion"), fields("kind"), fields("metadata")]
    + [
        fields("metadata", name)
        for name in ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation")
    ]
    + [fields("metadata", name) for name in ("managedFields", "resourceVersion")]
)
_WRITING = Manager("current-operation", UPDATE, "")
_KUBECTL = "kubectl"  # the one manager that may take over what `kubectl apply` without --server-side had set


class FieldManager:
    """The book-keeper of one endpoint: a kind in one version, or a subresource of it.

    `reset` has the fields that the endpoint does not let callers set: `status` on the main one, `spec` on `status`.

    >>> manager = FieldManager.built_in("v1", "ConfigMap")
    >>> new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}}
    >>> manager.update(None, new, manager="me", now="2026-01-01T00:00:00Z")["metadata"]["managedFields"][0]["fieldsV1"]
    {'f:data': {'.': {}, 'f:k': {}}}
    """

    def __init__(
        self,
        api_version: str,
        kind: str,
        types: Mapping[str, Type],
        *,
        subresource: str = "",
        reset: FieldSet = NOTHING,
        is_typed: bool = True,
    ) -> None:
        self.api_version = api_version
        self.kind = kind
        self._type = types[api_version]
        self._subresource = subresource
        self._is_typed = is_typed
        self._rules = Ownership(types, reset)

    @staticmethod
    def built_in(api_version: str, kind: str, *, subresource: str = "", reset: FieldSet = NOTHING) -> FieldManager:
        """For a kind of the table.

        Raises:
            LookupError: the table has no such kind; make one from a type or a schema.
        """
        found = kind_type(api_version, kind)
        if found is None:
            raise LookupError(f"the table of kinds has no {kind} of {api_version}: use FieldManager.custom")
        return FieldManager(api_version, kind, {api_version: found}, subresource=subresource, reset=reset)

    @staticmethod
    def custom(
        api_version: str,
        kind: str,
        schemas: Mapping[str, Mapping[str, Any] | None],
        *,
        subresource: str = "",
        reset: FieldSet = NOTHING,
        preserve: bool = False,
    ) -> FieldManager:
        """For a custom resource: the schema of each served version (None: there is none), by apiVersion."""
        types = {version: custom_type(schema, preserve=preserve) for version, schema in schemas.items()}
        return FieldManager(api_version, kind, types, subresource=subresource, reset=reset, is_typed=False)

    def update(self, live: dict[str, Any] | None, new: dict[str, Any], *, manager: str, now: str) -> dict[str, Any]:
        """`new` with its managedFields: `manager` has what `new` changes of `live` (None: it is created), nobody else any more.

        Nothing is recorded on an object that nobody has kept book of since it was created, until somebody applies to it.
        The managedFields of `new` count where the caller may set them: an empty list, or one empty entry, forgets all. An
        object that is not of its type loses its managedFields; its validation will refuse it.
        Cost: O(size).
        """
        try:
            managed = self._book_of(live, new)
            bare = with_managed(new, {})
            if not managed and live is not None and metadata_of(live).get("uid"):
                return bare
            return with_managed(new, capped(self._updated(live or {}, bare, managed, manager, now)))
        except TypedError:
            return with_managed(new, {})

    def apply(
        self, live: dict[str, Any] | None, patch: Any, *, manager: str, now: str, force: bool = False
    ) -> dict[str, Any]:
        """The object that applying `patch` to `live` makes (None: it is created), with its managedFields.

        Where nothing changes, the object is that of `live`, and no time changes.

        Raises:
            ApplyConflict: other managers own what would change, and `force` is not set.
            BadRequest: `patch` is of another kind or version, or brings managedFields.
            PlainServerError: `patch` is not of its type; the message names the fields.
        Cost: O(size).
        """
        config = self._readable(patch)
        try:
            managed = decode(metadata_of(live or {}).get("managedFields"))
        except ValueError as error:
            raise PlainServerError(f"failed to decode managed fields: {error}") from error
        try:
            out = self._applied(live or {}, config, managed, manager, now, force)
        except Conflicts as conflicts:
            out = self._taken_over(live or {}, config, managed, manager, now, conflicts)
        return with_last_applied(out, config) if manager == _KUBECTL else out

    def _book_of(self, live: dict[str, Any] | None, new: dict[str, Any]) -> Managed:
        """The entries to go on from: those of `new` where it brings any, of `live` otherwise and on a subresource."""
        given = metadata_of(new).get("managedFields")
        if not self._subresource:
            if is_reset(given):
                return {}
            if managed := _decoded(given):
                return managed
        return _decoded(metadata_of(live or {}).get("managedFields"))

    def _updated(
        self, live: dict[str, Any], new: dict[str, Any], managed: Managed, manager: str, now: str
    ) -> dict[Manager, Entry]:
        """Everybody's entries after an update; `new` has no managedFields."""
        before, after = differing(with_managed(live, {}), new)
        old_value, new_value = self._value(before), self._value(after)
        check(self._type, new_value, duplicates=True)
        check(self._type, old_value, duplicates=True)
        settled = self._rules.update(old_value, new_value, managed, version=self.api_version, workflow=_WRITING)
        out = _without_unowned(settled, _WRITING)
        current = out.pop(_WRITING, None)
        if current is not None:
            own = updater(manager, self.api_version, self._subresource)
            before = out[own].fields if own in out else NOTHING
            out[own] = Entry(current.fields.union(before), self.api_version, now)
        return out

    def _readable(self, patch: Any) -> dict[str, Any]:
        if not isinstance(patch, dict):
            what = "array" if isinstance(patch, list) else "string" if isinstance(patch, str) else "number"
            problem = f"json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
            raise BadRequest(f"error decoding YAML: {problem}")
        if (patch.get("apiVersion"), patch.get("kind")) != (self.api_version, self.kind):
            raise BadRequest(f"invalid object type: {kind_text(patch.get('apiVersion'), patch.get('kind'))}")
        if isinstance(metadata_of(patch).get("managedFields"), list):
            raise BadRequest("metadata.managedFields must be nil")
        return patch

    def _applied(
        self, live: dict[str, Any], config: dict[str, Any], managed: Managed, manager: str, now: str, force: bool
    ) -> dict[str, Any]:
        bare = with_managed(live, {})
        if not managed:
            managed = self._updated({}, bare, {}, BEFORE_FIRST_APPLY, now)
        own = applier(manager, self._subresource)
        value = self._value(bare)
        try:
            check(self._type, config)
        except TypedError as error:
            raise PlainServerError(f"failed to create typed patch object ({self._named(config)}): {error}") from error
        try:
            merged, settled = self._rules.apply(
                value, config, managed, version=self.api_version, workflow=own, force=force
            )
        except TypedError as error:
            raise PlainServerError(f"failed to merge config: {error}") from error
        is_changed = merged is not value
        out = _without_unowned(settled, own)
        if is_changed and own in out:
            out[own] = Entry(out[own].fields, out[own].api_version, now)
        obj = merged if is_changed and isinstance(merged, dict) else bare
        return with_managed(canonical(self._type, obj) if self._is_typed and is_changed else obj, out)

    def _taken_over(
        self, live: dict[str, Any], config: dict[str, Any], managed: Managed, manager: str, now: str, found: Conflicts
    ) -> dict[str, Any]:
        """The object, where `kubectl` conflicts with nothing but what it had itself applied from its side before."""
        conflicts = found.conflicts
        if manager == _KUBECTL and (allowed := allowed_conflicts(self._type, self.api_version, live)) is not None:
            conflicts = [(other, path) for other, path in conflicts if not allowed.has(path)]
            if not conflicts:
                return self._applied(live, config, managed, manager, now, True)
        raise _conflict(Conflicts(conflicts)) from found

    def _value(self, obj: dict[str, Any]) -> Any:
        return canonical(self._type, obj, nulls=True) if self._is_typed else obj

    def _named(self, obj: dict[str, Any]) -> str:
        metadata = metadata_of(obj)
        where = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        return f"{where}; {kind_text(self.api_version, self.kind)}"


def kind_text(api_version: object, kind: object) -> str:
    """A kind as Go's schema.GroupVersionKind shows itself: `apps/v1, Kind=Deployment`."""
    group, _, version = str(api_version or "").rpartition("/")
    return f"{group}/{version}, Kind={kind or ''}"


def _decoded(entries: Any) -> Managed:
    try:
        return decode(entries)
    except ValueError:
        return {}


def _without_unowned(managed: Managed, manager: Manager) -> dict[Manager, Entry]:
    """The entries, of which `manager`'s has nothing that is never owned."""
    out = dict(managed)
    if manager in out:
        left = out[manager].fields.difference(_NEVER_OWNED)
        if left.is_empty():
            del out[manager]
        else:
            out[manager] = Entry(left, out[manager].api_version, out[manager].time)
    return out


def _conflict(found: Conflicts) -> APIError:
    """The answer, with a cause for each field."""
    conflicts = found.conflicts
    causes = [Cause("FieldManagerConflict", f"conflict with {_shown(one)}", shown(path)) for one, path in conflicts]
    if len(conflicts) == 1:
        manager, path = conflicts[0]
        return ApplyConflict(f"Apply failed with 1 conflict: conflict with {_shown(manager)}: {shown(path)}", causes)
    lines: list[str] = []
    for manager in dict.fromkeys(manager for manager, _ in conflicts):
        lines.append(f"conflicts with {_shown(manager)}:")
        lines += [f"- {shown(path)}" for other, path in conflicts if other == manager]
    return ApplyConflict(f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines), causes)


def _shown(manager: Manager) -> str:
    text = quoted(manager.name)
    if manager.subresource:
        text += f" with subresource {quoted(manager.subresource)}"
    return f"{text} using {manager.api_version}" if manager.operation == UPDATE else text
