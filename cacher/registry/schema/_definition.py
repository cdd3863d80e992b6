"""A customresourcedefinition, compiled: what its objects may be, for each version.

    definition = Definition.from_crd(crd)
    version = definition.versions["v1"]
    obj, unknown = version.admit(obj)            # decode: metadata, defaults, pruning
    obj = version.prepared_for_create(obj)
    errors = version.validate(obj)

Pure: objects are plain JSON and never change; what comes back shares with what went in.
Compile once and use many times: compiling is O(definition) and 0.2 ms a rule, every use O(object).
Source: kubernetes/apiextensions-apiserver pkg/registry/customresource/strategy.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .._field_errors import FieldError, FieldErrorType, child, invalid
from ._cel import RuleTree, rule_errors, rule_tree
from ._columns import Column, cells, read_columns
from ._correlation import UNRELATED, Old
from ._default import defaulted
from ._definition_errors import definition_errors
from ._go_text import ROOT
from ._json_path import BadJSONPath, JSONPath, json_path
from ._list_types import duplicate_errors
from ._metadata import CheckMetadata, embedded_errors, known_metadata, with_known_metadata
from ._prune import pruned
from ._scale import ScalePaths, read_scale
from ._shape import shape_problem
from ._structural import JSON, Schema, any_node, read_schema
from ._validate import value_errors


class BadDefinition(Exception):
    """The definition cannot be compiled; `errors` say why, and whoever wrote it must mend it."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("; ".join(map(str, errors)))


class Names(msgspec.Struct, frozen=True):
    """What a resource is called."""

    plural: str
    singular: str
    kind: str
    list_kind: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Admitted(msgspec.Struct, frozen=True):
    """An object as it was decoded, and the sorted paths of what was dropped for being unknown."""

    obj: dict[str, JSON]
    unknown: tuple[str, ...]

    def __iter__(self) -> Any:
        return iter((self.obj, self.unknown))


_BLOCKING = {
    FieldErrorType.NOT_SUPPORTED,
    FieldErrorType.REQUIRED,
    FieldErrorType.TOO_LONG,
    FieldErrorType.TOO_MANY,
    FieldErrorType.TYPE_INVALID,
}
"""An object with one of these is not what the rules were written for, and they are not asked."""

_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


class Version:
    """One version of a resource: everything that its objects are judged by."""

    def __init__(self, group: str, kind: str, raw: dict[str, JSON]) -> None:
        subresources = raw.get("subresources") or {}
        self.name = str(raw.get("name") or "")
        self.kind = kind
        self.api_version = f"{group}/{self.name}"
        self.is_served = raw.get("served") is True
        self.is_storage = raw.get("storage") is True
        self.is_deprecated = raw.get("deprecated") is True
        self.deprecation_warning = _warning(self.api_version, kind, raw) if self.is_deprecated else ""
        self.schema: Schema = read_schema((raw.get("schema") or {}).get("openAPIV3Schema"))
        self.has_status = isinstance(subresources.get("status"), dict)
        self.scale: ScalePaths | None = read_scale(subresources)
        self.columns: tuple[Column, ...] = read_columns(raw.get("additionalPrinterColumns"))
        self._selectable = _selectable_paths(raw.get("selectableFields"))
        self._has_embedded = any_node(self.schema, lambda one: one.is_embedded)
        self._has_list_types = any_node(self.schema, lambda one: one.list_type in ("set", "map"))
        self._rules: RuleTree | None = rule_tree(self.schema, is_resource=True)

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        """What can be selected by, beside metadata.name and metadata.namespace: `spec.color`."""
        return tuple(self._selectable)

    # --- what an object becomes

    def admit(self, obj: dict[str, JSON]) -> Admitted:
        """The object as it is decoded from a request: known metadata, defaults, and no unknown fields.

        Raises:
            BadMetadata: its metadata, or those of an object within it, have a wrong type.
        """
        made, unknown = with_known_metadata(self.schema, obj) if self._has_embedded else (obj, [])
        metadata = made.get("metadata")
        if metadata is not None:
            known, dropped = known_metadata(metadata)
            made = {**made, "metadata": known} if known != metadata else made
            unknown = unknown + dropped
        made, more = self.prune(self.default(made))
        return Admitted(made, tuple(sorted({*unknown, *more})))

    def default(self, obj: dict[str, JSON]) -> dict[str, JSON]:
        """The object with defaults, and without nulls that may not be; also done to what is read from the store."""
        made: dict[str, JSON] = defaulted(self.schema, obj)
        return made

    def prune(self, obj: dict[str, JSON]) -> tuple[dict[str, JSON], list[str]]:
        """The object without unknown fields, and the sorted paths of these."""
        return pruned(self.schema, obj, is_resource=True)

    def prepared_for_create(self, obj: dict[str, JSON]) -> dict[str, JSON]:
        """Generation 1, and no status where that is a subresource."""
        made = {**obj, "metadata": {**(obj.get("metadata") or {}), "generation": 1}}
        if self.has_status:
            made.pop("status", None)
        return made

    def prepared_for_update(self, new: dict[str, JSON], old: dict[str, JSON]) -> dict[str, JSON]:
        """The old status where that is a subresource, and a new generation where anything but metadata changed."""
        made = dict(new)
        if self.has_status:
            made.pop("status", None)
            if "status" in old:
                made["status"] = old["status"]
        generation = (old.get("metadata") or {}).get("generation") or 0
        changed = _without_metadata(made) != _without_metadata(old)
        made["metadata"] = {**(new.get("metadata") or {}), "generation": generation + changed}
        return made

    def prepared_for_status_update(self, new: dict[str, JSON], old: dict[str, JSON]) -> dict[str, JSON]:
        """The old object with the new status, and of the new metadata only the resource version and the managed fields."""
        metadata = dict(old.get("metadata") or {})
        given = new.get("metadata") or {}
        for name in ("resourceVersion", "managedFields", "uid", "name", "namespace"):
            if name in given:
                metadata[name] = given[name]
        made = {**old, "metadata": metadata}
        made.pop("status", None)
        return {**made, "status": new["status"]} if "status" in new else made

    # --- what is wrong with it

    def validate(
        self,
        new: dict[str, JSON],
        old: dict[str, JSON] | None = None,
        *,
        check_metadata: CheckMetadata | None = None,
        metadata_errors: list[FieldError] | None = None,
    ) -> list[FieldError]:
        """What is wrong with the object, in the order of the API's checks.

        Args:
            old: what it was before an update.
            check_metadata: checks the metadata of objects within this one.
            metadata_errors: what the caller found in the object's own metadata; it comes where the API names it, and may
                keep the rules from being asked.
        """
        found = self._type_errors(new)
        if found:
            return found
        found = list(metadata_errors or [])
        correlated = Old(self.schema, new, old, root=True) if old is not None else UNRELATED
        found += value_errors(self.schema, new, old=correlated)
        found += self.scale.errors(new) if self.scale is not None else []
        return found + self._shared_errors(found, new, old, check_metadata)

    def validate_status(
        self,
        new: dict[str, JSON],
        old: dict[str, JSON],
        *,
        check_metadata: CheckMetadata | None = None,
        metadata_errors: list[FieldError] | None = None,
    ) -> list[FieldError]:
        """What is wrong with the object after an update of its status: the status's schema, and the rules of the whole."""
        found = self._type_errors(new)
        if found:
            return found
        found = list(metadata_errors or [])
        status = (self.schema.properties or {}).get("status")
        if status is not None and "status" in new:
            correlated = Old(status, new["status"], old.get("status"))
            found += value_errors(status, new["status"], path="status", old=correlated)
        found += self.scale.errors(new, only_status=True) if self.scale is not None else []
        return found + self._shared_errors(found, new, old, check_metadata)

    def _shared_errors(
        self,
        before: list[FieldError],
        new: dict[str, JSON],
        old: dict[str, JSON] | None,
        check_metadata: CheckMetadata | None,
    ) -> list[FieldError]:
        found: list[FieldError] = []
        if self._has_embedded:
            found += embedded_errors(self.schema, new, check_metadata=check_metadata)
        if self._has_list_types and (old is None or not duplicate_errors(self.schema, old)):
            found += duplicate_errors(self.schema, new)
        if self._rules is None:
            return found
        if any(error.type in _BLOCKING for error in before + found):
            return [*found, invalid(ROOT, None, _UNCHECKED)]
        return found + rule_errors(self._rules, new, old)

    def _type_errors(self, obj: dict[str, JSON]) -> list[FieldError]:
        found: list[FieldError] = []
        if obj.get("kind") != self.kind:
            found.append(invalid("kind", obj.get("kind", ""), f"must be {self.kind}"))
        if obj.get("apiVersion") != self.api_version:
            found.append(invalid("apiVersion", obj.get("apiVersion", ""), f"must be {self.api_version}"))
        return found

    # --- what is seen of it

    def cells(self, obj: dict[str, JSON], *, now_s: float) -> list[JSON]:
        """The cells of the object's row in a table, one for each of `columns`.

        Args:
            now_s: seconds since the epoch.
        """
        return cells(self.columns, obj, now_s=now_s)

    def selectable(self, obj: dict[str, JSON]) -> dict[str, str]:
        """The object's values of the selectable fields, as text; "" where there is none."""
        return {name: _selected(path.find(obj)) for name, path in self._selectable.items()}


def _warning(api_version: str, kind: str, raw: dict[str, JSON]) -> str:
    given = raw.get("deprecationWarning")
    return given if isinstance(given, str) else f"{api_version} {kind} is deprecated"


def _selectable_paths(raw: JSON) -> dict[str, JSONPath]:
    found: dict[str, JSONPath] = {}
    for one in raw if isinstance(raw, list) else ():
        text = one.get("jsonPath") if isinstance(one, dict) else None
        if isinstance(text, str):
            try:
                found[text.removeprefix(".")] = json_path(text)
            except BadJSONPath as problem:
                raise BadDefinition([invalid("spec.selectableFields", text, str(problem))]) from None
    return found


def _selected(found: list[JSON]) -> str:
    if not found or found[0] is None:
        return ""
    return found[0] if isinstance(found[0], str) else str(found[0]).lower()


def _without_metadata(obj: dict[str, JSON]) -> dict[str, JSON]:
    return {name: value for name, value in obj.items() if name != "metadata"}


class Definition:
    """A definition that was found to be right: its names, its scope and its versions."""

    def __init__(self, crd: dict[str, JSON]) -> None:
        spec = crd["spec"]
        names = spec["names"]
        self.name = f"{names['plural']}.{spec['group']}"
        self.group: str = spec["group"]
        self.names = Names(
            names["plural"],
            names.get("singular") or names["kind"].lower(),
            names["kind"],
            names.get("listKind") or f"{names['kind']}List",
            tuple(names.get("shortNames") or ()),
            tuple(names.get("categories") or ()),
        )
        self.is_namespaced = spec["scope"] == "Namespaced"
        self.versions = {raw["name"]: Version(self.group, self.names.kind, raw) for raw in spec["versions"]}
        self.storage_version = next(one for one in self.versions.values() if one.is_storage)

    @classmethod
    def from_crd(cls, crd: JSON) -> Definition:
        """The compiled definition, of a customresourcedefinition with defaults and a status.

        Raises:
            BadDefinition: there is something wrong with it.
        """
        problem = shape_problem(crd)
        if problem is not None:
            raise BadDefinition([invalid(child("", "spec"), "", problem)])
        errors = definition_errors(crd)
        if errors:
            raise BadDefinition(errors)
        return cls(crd)

    @property
    def served(self) -> tuple[str, ...]:
        """The names of the versions that are served, as they are listed."""
        return tuple(name for name, version in self.versions.items() if version.is_served)

    def converted(self, obj: dict[str, JSON], version: str) -> dict[str, JSON]:
        """The object in another version: by the strategy None, which changes its apiVersion and nothing else."""
        return {**obj, "apiVersion": self.versions[version].api_version}
