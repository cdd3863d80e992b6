"""What is wrong with a customresourcedefinition.

What all versions share (schema, subresources, columns, selectable fields) is looked at once and named as the field above the
versions that older API versions had: `spec.validation`, `spec.subresources` and so on.
Pure. The metadata are the registry's to check but for the name, which is the plural's and the group's.
Source: kubernetes/apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go.
Differs: a conversion other than None is refused, because none is carried out here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import msgspec

from .._field_errors import (
    FieldError,
    child,
    duplicate,
    forbidden,
    index,
    invalid,
    key,
    not_supported,
    required,
    too_many,
)
from ._default_errors import default_errors
from ._dns_names import label_problems, subdomain_problems
from ._field_path import BadPath, field_path
from ._go_text import compact
from ._json_path import BadJSONPath, json_path, simple_path_errors
from ._openapi_errors import openapi_errors
from ._structural import JSON, Schema, any_node, read_schema
from ._structural_errors import structural_errors, unreadable

SELECTABLE_FIELDS_MAX = 8
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")


class _Part(msgspec.Struct, frozen=True):
    """A version's own part, or the one that all versions share, and what its fields are called."""

    raw: dict[str, JSON]
    path: str
    schema_name: str
    has_status: bool

    @property
    def selectable_when(self) -> str:
        """When there may be selectable fields, in the API's words, which say the opposite for a version's own."""
        if self.schema_name == "validation":
            return "validations.schema is included"
        return "`version.schema.openAPIV3Schema` is not included"


def definition_errors(crd: dict[str, JSON], old: dict[str, JSON] | None = None) -> list[FieldError]:
    """What is wrong with the definition, as it would be stored: with defaults, and a status.

    Args:
        old: what it was before an update.
    Cost: O(definition), and 0.2 ms for each rule.
    """
    spec = _map(crd.get("spec"))
    status = _map(crd.get("status"))
    found = _name_errors(crd, spec) if old is None else []
    found += _spec_errors(spec, old)
    if old is not None:
        found += _changes(spec, old)
    found += _names_errors(_map(status.get("acceptedNames")), "status.acceptedNames")
    found += _stored_errors(_list(status.get("storedVersions")), _versions(spec))
    found += _approval_errors(crd, old)
    if spec.get("preserveUnknownFields") is True and not (
        old is not None and _map(old.get("spec")).get("preserveUnknownFields") is True
    ):
        why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        found.append(invalid("spec.preserveUnknownFields", True, why))
    return found


def definition_status_errors(crd: dict[str, JSON]) -> list[FieldError]:
    """What is wrong with the definition's status alone."""
    return list(_names_errors(_map(_map(crd.get("status")).get("acceptedNames")), "status.acceptedNames"))


def _map(value: JSON) -> dict[str, JSON]:
    return value if isinstance(value, dict) else {}


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []


def _text(raw: dict[str, JSON], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def _versions(spec: dict[str, JSON]) -> list[dict[str, JSON]]:
    return [_map(one) for one in _list(spec.get("versions"))]


def _name_errors(crd: dict[str, JSON], spec: dict[str, JSON]) -> list[FieldError]:
    name = _text(_map(crd.get("metadata")), "name")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    problems = subdomain_problems(name)
    if name != f"{_text(_map(spec.get('names')), 'plural')}.{_text(spec, 'group')}":
        problems.append('must be spec.names.plural+"."+spec.group')
    return [invalid("metadata.name", name, problem) for problem in problems]


# --- the spec ---------------------------------------------------------------------------------------------------------


def _spec_errors(spec: dict[str, JSON], old: dict[str, JSON] | None) -> list[FieldError]:
    shared, parts = _parts(spec)
    found = [*_group_errors(_text(spec, "group")), *_scope_errors(_text(spec, "scope"))]
    for at, version in enumerate(_versions(spec)):
        if _schema_of(version) is None:
            found.append(required(child(index("spec.versions", at), "schema", "openAPIV3Schema")))
    if spec.get("preserveUnknownFields") is True and any(_has_defaults(version) for version in _versions(spec)):
        why = "must be false in order to use defaults in the schema"
        found.append(invalid("spec.preserveUnknownFields", True, why))
    for at, (version, part) in enumerate(zip(_versions(spec), parts, strict=True)):
        found += _version_errors(version, part, index("spec.versions", at))
    names = [_text(version, "name") for version in _versions(spec)]
    shown = spec.get("versions")
    if len(set(names)) < len(names):
        found.append(invalid("spec.versions", shown, "must contain unique version names"))
    if sum(version.get("storage") is True for version in _versions(spec)) != 1:
        found.append(invalid("spec.versions", shown, "must have exactly one version marked as storage version"))
    if names and (problems := label_problems(names[0])) and names[0]:
        found.append(invalid("spec.version", names[0], ",".join(problems)))
    found += _required_names(_map(spec.get("names")))
    found += _names_errors(_map(spec.get("names")), "spec.names")
    found += _part_errors(shared)
    conversion = _map(spec.get("conversion"))
    if spec.get("preserveUnknownFields") is True and conversion.get("strategy", "None") != "None":
        why = "must be None if spec.preserveUnknownFields is true"
        found.append(invalid("spec.conversion.strategy", conversion["strategy"], why))
    found += _conversion_errors(conversion)
    return found


def _parts(spec: dict[str, JSON]) -> tuple[_Part, list[_Part]]:
    """What all versions share, and what each has of its own."""
    versions = _versions(spec)
    shared = {
        name: versions[0][name]
        for name in _SHARED
        if versions and versions[0].get(name) and all(one.get(name) == versions[0][name] for one in versions)
    }
    own = [{name: one[name] for name in _SHARED if one.get(name) and name not in shared} for one in versions]
    has_status = any(_has_status(one) for one in versions)
    parts = [
        _Part(part, index("spec.versions", at), "schema", _has_status(versions[at])) for at, part in enumerate(own)
    ]
    return _Part(shared, "spec", "validation", has_status), parts


def _has_status(version: dict[str, JSON]) -> bool:
    return isinstance(_map(version.get("subresources")).get("status"), dict)


def _has_defaults(version: dict[str, JSON]) -> bool:
    return any_node(read_schema(_schema_of(version)), lambda one: one.default is not None)


def _schema_of(raw: dict[str, JSON]) -> JSON:
    return _map(raw.get("schema")).get("openAPIV3Schema")


def _group_errors(group: str) -> Iterator[FieldError]:
    if not group:
        yield required("spec.group")
    elif problems := subdomain_problems(group):
        yield invalid("spec.group", group, ",".join(problems))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _scope_errors(scope: str) -> Iterator[FieldError]:
    if not scope:
        yield required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield not_supported("spec.scope", scope, ("Cluster", "Namespaced"))


def _version_errors(version: dict[str, JSON], part: _Part, path: str) -> Iterator[FieldError]:
    name = _text(version, "name")
    if problems := label_problems(name):
        yield invalid(child(path, "name"), name, ",".join(problems))
    warning = version.get("deprecationWarning")
    if isinstance(warning, str):
        for problem in _warning_problems(warning, is_deprecated=version.get("deprecated") is True):
            yield invalid(child(path, "deprecationWarning"), warning, problem)
    yield from _part_errors(part)


def _warning_problems(warning: str, *, is_deprecated: bool) -> list[str]:
    if not is_deprecated:
        return ["can only be set for deprecated versions"]
    found = ["must be <= 256 characters long"] if len(warning.encode("utf-8", "replace")) > 256 else []
    if not warning:
        found.append("must not be an empty string")
    for at, letter in enumerate(warning):
        if unicodedata.category(letter)[0] in "CZ" and letter != " ":
            offset = len(warning[:at].encode("utf-8", "replace"))
            found.append(
                f"must only contain printable UTF-8 characters; non-printable character found at index {offset}"
            )
            break
    return found


def _required_names(names: dict[str, JSON]) -> list[FieldError]:
    wanted = ("plural", "singular", "kind", "listKind")
    return [required(child("spec.names", name)) for name in wanted if not _text(names, name)]


def _names_errors(names: dict[str, JSON], path: str) -> Iterator[FieldError]:
    for name in ("plural", "singular", "kind", "listKind"):
        text = _text(names, name)
        is_mixed = name in ("kind", "listKind")
        problems = label_problems(text.lower() if is_mixed else text) if text else []
        if problems:
            why = ",".join(problems)
            mixed = "may have mixed case, but should otherwise match: "
            yield invalid(child(path, name), text, f"{mixed}{why}" if is_mixed else why)
    yield from _labels(_list(names.get("shortNames")), child(path, "shortNames"))
    if _text(names, "kind") and names["kind"] == names.get("listKind"):
        yield invalid(child(path, "listKind"), names["listKind"], "kind and listKind may not be the same")
    yield from _labels(_list(names.get("categories")), child(path, "categories"))


def _labels(texts: list[JSON], path: str) -> Iterator[FieldError]:
    for at, text in enumerate(texts):
        if isinstance(text, str) and (problems := label_problems(text)):
            yield invalid(index(path, at), text, ",".join(problems))


def _conversion_errors(conversion: dict[str, JSON]) -> Iterator[FieldError]:
    strategy = _text(conversion, "strategy")
    if not conversion:
        return
    if not strategy:
        yield required("spec.conversion.strategy")
    elif strategy not in ("None", "Webhook"):
        yield not_supported("spec.conversion.strategy", strategy, ("None", "Webhook"))
    elif strategy == "Webhook":
        yield forbidden("spec.conversion.strategy", "conversion by webhook is not carried out here; use None")
    elif conversion.get("webhook") is not None:
        where = "spec.conversion.webhookClientConfig"
        yield forbidden(where, "should not be set when strategy is not set to Webhook")


# --- what versions have, or share -------------------------------------------------------------------------------------


def _part_errors(part: _Part) -> Iterator[FieldError]:
    raw = _schema_of(part.raw)
    schema = read_schema(raw)
    where = child(part.path, part.schema_name, "openAPIV3Schema")
    if isinstance(raw, dict):
        yield from _schema_errors(schema, where, has_status=part.has_status)
    yield from _subresource_errors(_map(part.raw.get("subresources")), child(part.path, "subresources"))
    for at, column in enumerate(_list(part.raw.get("additionalPrinterColumns"))):
        yield from _column_errors(_map(column), index(child(part.path, "additionalPrinterColumns"), at))
    fields = _list(part.raw.get("selectableFields"))
    if fields and raw is None:
        why = f"may only be set when {part.selectable_when}"
        yield invalid(child(part.path, "selectableFields"), "", why)
    elif fields:
        if (problem := unreadable(schema)) is not None:
            yield invalid(child(part.path, "schema", "openAPIV3Schema"), "", problem)
        yield from _selectable_errors(fields, schema, child(part.path, "selectableFields"))


_AT_ROOT_WITH_STATUS = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength",
    "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties",
    "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_INTERNAL_NAMES = {
    "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields",
    "x-kubernetes-validations": "XValidations",
}


def _schema_errors(schema: Schema, path: str, *, has_status: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if has_status:
        found += _root_errors(schema, path)
    if schema.nullable:
        found.append(forbidden(child(path, "nullable"), "nullable cannot be true at the root"))
    unread = unreadable(schema)
    structure = structural_errors(schema, path) if unread is None else []
    if unread is None and not structure:
        structure = default_errors(schema.as_resource(), path)
    found += structure
    found += openapi_errors(schema, path, has_rules=unread is None and not structure)
    if not found and unread is not None:
        found.append(invalid(path, "", unread))
    return found


def _root_errors(schema: Schema, path: str) -> Iterator[FieldError]:
    """With a status subresource the schema of the status is cut out of the whole: nothing at the root may reach into it."""
    if schema.type not in ("", "object"):
        why = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        yield invalid(child(path, "type"), schema.type, why)
        return
    for name, value in schema.raw.items():
        internal = _INTERNAL_NAMES.get(name, name[:1].upper() + name[1:])
        is_set = value is not None if name == "default" else bool(value)
        if is_set and internal not in _AT_ROOT_WITH_STATUS:
            listed = " ".join(_AT_ROOT_WITH_STATUS)
            why = f"only [{listed}] fields are allowed at the root of the schema if the status subresource is enabled"
            yield invalid(path, schema.raw, why)
            return


def _subresource_errors(raw: dict[str, JSON], path: str) -> Iterator[FieldError]:
    scale = raw.get("scale")
    if not isinstance(scale, dict):
        return
    below = {
        "specReplicasPath": (".spec.",),
        "statusReplicasPath": (".status.",),
        "labelSelectorPath": (".spec.", ".status."),
    }
    says = {
        "specReplicasPath": "should be a json path under .spec",
        "statusReplicasPath": "should be a json path under .status",
        "labelSelectorPath": "should be a json path under either .spec or .status",
    }
    for name, starts in below.items():
        text = _text(scale, name)
        where = child(path, "scale", name)
        if not text:
            if name != "labelSelectorPath":
                yield required(where)
        elif wrong := simple_path_errors(text, where):
            yield from wrong
        elif not text.startswith(starts):
            yield invalid(where, text, says[name])


def _column_errors(column: dict[str, JSON], path: str) -> Iterator[FieldError]:
    if not _text(column, "name"):
        yield required(child(path, "name"))
    type_, format_, text = _text(column, "type"), _text(column, "format"), _text(column, "jsonPath")
    if not type_:
        yield required(child(path, "type"), f"must be one of {','.join(COLUMN_TYPES)}")
    elif type_ not in COLUMN_TYPES:
        yield invalid(child(path, "type"), type_, f"must be one of {','.join(COLUMN_TYPES)}")
    if format_ and format_ not in COLUMN_FORMATS:
        yield invalid(child(path, "format"), format_, f"must be one of {','.join(COLUMN_FORMATS)}")
    where = child(path, "JSONPath")
    if not text:
        yield required(where)
    elif wrong := simple_path_errors(text, where):
        yield from wrong
    elif (problem := _unsupported(text)) is not None:
        yield invalid(where, text, problem)


def _unsupported(text: str) -> str | None:
    """Why no cell can be found by this path; None if one can. Kubernetes takes any, and leaves the cells empty."""
    if re.search(r"\.\.|\[[^\]]*[,:]", text) is None:
        return None
    try:
        json_path(text)
    except BadJSONPath as problem:
        return str(problem)
    return None


def _selectable_errors(fields: list[JSON], schema: Schema, path: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for at, one in enumerate(fields):
        text = _text(_map(one), "jsonPath")
        where = child(index(path, at), "jsonPath")
        if not text:
            yield required(where)
            continue
        try:
            leads = field_path(text, schema, may_index=False)
        except BadPath as problem:
            yield invalid(where, text, f"is an invalid path: {problem}")
            continue
        if leads.root == "metadata":
            yield invalid(where, text, "must not point to fields in metadata")
        if leads.schema is None or leads.schema.type not in ("string", "boolean", "integer"):
            yield invalid(
                where,
                text,
                "must point to a field of type string, boolean or integer. "
                "Enum string fields and strings with formats are allowed.",
            )
        if leads.text in seen:
            yield duplicate(where, text)
        seen.add(leads.text)
    if len(seen) > SELECTABLE_FIELDS_MAX:
        yield too_many(path, len(seen), SELECTABLE_FIELDS_MAX)


# --- the rest ---------------------------------------------------------------------------------------------------------


def _changes(spec: dict[str, JSON], old: dict[str, JSON]) -> Iterator[FieldError]:
    """What may not change: the group and the plural ever, scope and kind once objects can be there."""
    before = _map(old.get("spec"))
    names, names_before = _map(spec.get("names")), _map(before.get("names"))
    if _is_established(old):
        yield from _immutable("spec.scope", spec.get("scope"), before.get("scope"))
        yield from _immutable("spec.names.kind", names.get("kind"), names_before.get("kind"))
    yield from _immutable("spec.group", spec.get("group"), before.get("group"))
    yield from _immutable("spec.names.plural", names.get("plural"), names_before.get("plural"))


def _immutable(path: str, new: JSON, old: JSON) -> list[FieldError]:
    return [] if new == old else [invalid(path, new, "field is immutable")]


def _is_established(crd: dict[str, JSON]) -> bool:
    conditions = [_map(one) for one in _list(_map(crd.get("status")).get("conditions"))]
    return any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions)


def _stored_errors(stored: list[JSON], versions: list[dict[str, JSON]]) -> Iterator[FieldError]:
    path = "status.storedVersions"
    if not stored:
        yield invalid(path, None, "must have at least one stored version")
        return
    unmatched = {name: at for at, name in enumerate(stored) if isinstance(name, str)}
    for version in versions:
        name = _text(version, "name")
        if version.get("storage") is True and name not in unmatched:
            yield invalid(path, stored, f"must have the storage version {name}")
        unmatched.pop(name, None)
    for name, at in unmatched.items():
        yield invalid(
            index(path, at),
            name,
            f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until "
            f"a storage migration ensures no data remains persisted in {name} and removes {name} from "
            "status.storedVersions",
        )


_APPROVED = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def _approval_errors(crd: dict[str, JSON], old: dict[str, JSON] | None) -> list[FieldError]:
    """Groups of the Kubernetes community need its approval."""
    group = _text(_map(crd.get("spec")), "group")
    if re.search(r"(^|\.)(k8s|kubernetes)\.io$", group) is None:
        return []
    state, text = _approval(crd)
    path = key("metadata.annotations", _APPROVED)
    if state == "approved" or (old is not None and _approval(old)[0] == state):
        return []
    if state == "missing":
        return [required(path, f"protected groups must have approval annotation {compact(_APPROVED)}, {_SEE}")]
    why = f'{compact(_APPROVED)} with either a URL or a reason starting with "unapproved", {_SEE}'
    return [invalid(path, text, f"protected groups must have approval annotation {why}")]


def _approval(crd: dict[str, JSON]) -> tuple[str, str]:
    text = _text(_map(_map(crd.get("metadata")).get("annotations")), _APPROVED)
    if not text:
        return "missing", text
    is_url = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/]+", text) is not None
    return ("approved" if text.startswith("unapproved") or is_url else "invalid"), text
