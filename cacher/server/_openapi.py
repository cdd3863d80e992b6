"""What objects may be, as OpenAPI documents: one a version, an index of them, and all in one for those who know only v2.

    /openapi/v3                       the index: where each document is, with its hash
    /openapi/v3/apis/GROUP/VERSION    a version's paths and schemas: built-in ones, and what definitions say of custom ones
    /openapi/v2                       the same schemas in one document

kubectl reads of the paths which parameters a PATCH takes (with `fieldValidation`, it leaves validation to the server), and
`kubectl explain` reads the schemas. Documents of built-in versions are made once, those with custom resources when a
resource comes or goes.

Pure.
Source: kubernetes/kube-openapi pkg/handler3; kubernetes/apiextensions-apiserver pkg/controller/openapi/builder.
Differs: v2 in protobuf is an empty document, which is enough for those who ask for it: kubectl, where it has v3 as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..registry import JSONObject
from ._discovery import Document, verbs
from ._openapi_schemas import LIST_META, OBJECT_META, STATUS, kind_schema, ref, schema_name, with_references

if TYPE_CHECKING:
    from ..registry import Registry, ResourceDoor

V2_PROTOBUF_ASKED = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
V2_PROTOBUF_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What is answered to V2_PROTOBUF_ASKED: with a dot, since clients take what was asked for as no media type at all."""
V2_PROTOBUF = bytes.fromhex("0a03322e3012070a0174120276314200")
"""An empty document: swagger 2.0, a title, a version, no paths."""
INDEX_TYPE = "text/plain; charset=utf-8"
"""As a kube-apiserver labels the index, though it is JSON."""

Schemas = dict[str, JSONObject]


class OpenAPI:
    """The documents of one registry. `version`: what the documents say that this is."""

    def __init__(self, registry: Registry, *, version: str) -> None:
        self._registry = registry
        self._info = {"title": "Kubernetes", "version": version}
        self._generation = -1
        self._documents: dict[str, tuple[tuple[ResourceDoor, ...], Document]] = {}
        """By path; with the doors that it was made of."""
        self._whole: dict[str, Document] = {}
        """The index and v2, since the last change."""

    def index(self) -> Document:
        """The body at /openapi/v3. Cost: that of all documents, where a resource has come or gone."""
        documents = self._current()
        if "index" not in self._whole:
            paths = {
                path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={hash_of(document)}"}
                for path, (_, document) in documents.items()
            }
            self._whole["index"] = _document({"paths": paths})
        return self._whole["index"]

    def document(self, path: str) -> Document | None:
        """The document of a version, by its path: `api/v1`, `apis/apps/v1`; None: there is none."""
        found = self._current().get(path)
        return None if found is None else found[1]

    def v2(self) -> Document:
        """The body at /openapi/v2, as JSON."""
        documents = self._current()
        if "v2" not in self._whole:
            schemas: Schemas = {}
            for _, document in documents.values():
                schemas.update(msgspec.json.decode(document.body)["components"]["schemas"])
            definitions = {name: _as_v2(schemas[name]) for name in sorted(schemas)}
            self._whole["v2"] = _document(
                {"swagger": "2.0", "info": self._info, "paths": {}, "definitions": definitions}
            )
        return self._whole["v2"]

    def _current(self) -> dict[str, tuple[tuple[ResourceDoor, ...], Document]]:
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._whole.clear()
            self._documents = dict(self._made())
        return self._documents

    def _made(self) -> Iterator[tuple[str, tuple[tuple[ResourceDoor, ...], Document]]]:
        by_version: dict[str, list[ResourceDoor]] = {}
        for door in self._registry.resources():
            by_version.setdefault(door.info.group_version, []).append(door)
        for version in sorted(by_version):
            path = f"apis/{version}" if "/" in version else f"api/{version}"
            doors = tuple(by_version[version])
            held = self._documents.get(path)
            is_fixed = all(door.info.is_built_in for door in doors)
            if held is not None and is_fixed and held[0] == doors:
                yield path, held
            else:
                yield path, (doors, _document(_version_document(f"/{path}", doors, self._info)))


def hash_of(document: Document) -> str:
    """What the index names the document's present form by."""
    return document.etag.strip('"')


def _document(body: JSONObject) -> Document:
    text = msgspec.json.encode(body)
    return Document(text, f'"{hashlib.sha512(text).hexdigest().upper()}"')


def _version_document(root: str, doors: tuple[ResourceDoor, ...], info: Mapping[str, str]) -> JSONObject:
    paths: JSONObject = {}
    schemas: Schemas = {}
    for door in doors:
        name = _schema_name(door)
        schemas[name] = _schema(door, name)
        schemas[f"{name}List"] = _list_schema(door, name)
        for part in (door, *(door.subresource(one) for one in door.subresources)):
            _add_paths(paths, schemas, root, part)
    return {
        "openapi": "3.0.0",
        "info": info,
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": with_references(schemas)},
    }


# ---- schemas ---------------------------------------------------------------------------------------------------------


def _schema_name(door: ResourceDoor) -> str:
    """Of custom kinds: the group backwards, the version, the kind."""
    api_version, kind = door.info.group_version, door.info.kind
    known = schema_name(api_version, kind)
    if known is not None:
        return known
    group, _, version = api_version.rpartition("/")
    return ".".join([*reversed(group.split(".")), version, kind])


def _schema(door: ResourceDoor, name: str) -> JSONObject:
    api_version, kind = door.info.group_version, door.info.kind
    if schema_name(api_version, kind) is not None:
        return kind_schema(api_version, kind)
    given = door.open_api_schema
    made: JSONObject = {"type": "object", **(given or {"x-kubernetes-preserve-unknown-fields": True})}
    metadata = {"allOf": [ref(OBJECT_META)]}
    texts = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    made["properties"] = {**texts, **(made.get("properties") or {}), "metadata": metadata}
    return {**made, "x-kubernetes-group-version-kind": [_gvk(api_version, kind)]}


def _list_schema(door: ResourceDoor, name: str) -> JSONObject:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "apiVersion": text,
            "items": {"type": "array", "items": ref(name)},
            "kind": text,
            "metadata": {"allOf": [ref(LIST_META)]},
        },
        "required": ["items"],
        "x-kubernetes-group-version-kind": [_gvk(door.info.group_version, door.list_kind)],
    }


def _gvk(api_version: str, kind: str) -> JSONObject:
    group, _, version = api_version.rpartition("/")
    return {"group": group, "kind": kind, "version": version}


# ---- paths -----------------------------------------------------------------------------------------------------------


def _query(name: str, type_: str) -> JSONObject:
    return {"name": name, "in": "query", "schema": {"type": type_, "uniqueItems": True}}


def _in_path(name: str) -> JSONObject:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


_DRY_RUN = _query("dryRun", "string")
_WRITE = (_DRY_RUN, _query("fieldManager", "string"), _query("fieldValidation", "string"))
_LIST = (
    _query("allowWatchBookmarks", "boolean"),
    _query("continue", "string"),
    _query("fieldSelector", "string"),
    _query("labelSelector", "string"),
    _query("limit", "integer"),
    _query("resourceVersion", "string"),
    _query("resourceVersionMatch", "string"),
    _query("sendInitialEvents", "boolean"),
    _query("timeoutSeconds", "integer"),
    _query("watch", "boolean"),
)
_DELETE = (
    _DRY_RUN,
    _query("gracePeriodSeconds", "integer"),
    _query("orphanDependents", "boolean"),
    _query("propagationPolicy", "string"),
)

_JSON_TYPES = ("application/json", "application/yaml")
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"


class _Operation(msgspec.Struct, frozen=True):
    """A verb: its method, whether it is on one object, its parameters; what is sent and what is answered."""

    method: str
    verb: str
    on_one: bool
    parameters: tuple[JSONObject, ...] = ()
    sends: bool = False
    answers: str = ""
    """"": the object; "List": many of them; "Status"."""


_OPERATIONS = (
    _Operation("get", "list", on_one=False, parameters=_LIST, answers="List"),
    _Operation("post", "create", on_one=False, parameters=_WRITE, sends=True),
    _Operation("delete", "deletecollection", on_one=False, parameters=(*_LIST, *_DELETE), answers="Status"),
    _Operation("get", "get", on_one=True),
    _Operation("put", "update", on_one=True, parameters=_WRITE, sends=True),
    _Operation("patch", "patch", on_one=True, parameters=(*_WRITE, _query("force", "boolean"))),
    _Operation("delete", "delete", on_one=True, parameters=_DELETE, answers="Status"),
)


def _add_paths(paths: JSONObject, schemas: Schemas, root: str, door: ResourceDoor) -> None:
    api_version, kind = door.kind
    name = schema_name(api_version, kind) or _schema_name(door)
    if name not in schemas:  # of a part whose kind is another one: a Scale
        schemas[name] = kind_schema(api_version, kind)
    info = door.info
    namespace = "/namespaces/{namespace}" if info.namespaced else ""
    known = set(verbs(door))
    for operation in _OPERATIONS:
        # What is created below an object is sent to its part: /binding.
        on_one = operation.on_one or bool(door.name)
        if operation.verb not in known or (door.name and operation.answers == "List"):
            continue
        path = f"{root}{namespace}/{info.plural}{'/{name}' if on_one else ''}{f'/{door.name}' if door.name else ''}"
        entry = paths.setdefault(path, {})
        if not entry:
            parameters = [*([_in_path("name")] if on_one else []), *([_in_path("namespace")] if namespace else [])]
            entry.update({"parameters": parameters} if parameters else {})
        entry[operation.method] = _described(operation, door, name)
    if namespace and not door.name and "list" in known:
        everywhere = paths.setdefault(f"{root}/{info.plural}", {})
        everywhere["get"] = _described(_OPERATIONS[0], door, name)


def _described(operation: _Operation, door: ResourceDoor, name: str) -> JSONObject:
    is_patch = operation.method == "patch"
    answer = STATUS if operation.answers == "Status" else name + operation.answers
    made: JSONObject = {
        "parameters": list(operation.parameters),
        "responses": {"200": {"description": "OK", "content": _content(("application/json",), ref(answer))}},
        "x-kubernetes-action": operation.verb,
        "x-kubernetes-group-version-kind": _gvk(*door.kind),
    }
    if operation.sends:
        made["requestBody"] = {"required": True, "content": _content(_JSON_TYPES, ref(name))}
    if is_patch:
        types = (*_PATCHES, *((_STRATEGIC,) if door.info.is_built_in else ()))
        made["requestBody"] = {"required": True, "content": _content(types, {})}
    return made


def _content(media_types: tuple[str, ...], schema: JSONObject) -> JSONObject:
    return {media_type: {"schema": schema} for media_type in media_types}


# ---- v2 --------------------------------------------------------------------------------------------------------------

_ONLY_V3 = frozenset(("oneOf", "anyOf", "not", "nullable"))


def _as_v2(schema: Any) -> Any:
    """The schema without what v2 has no words for."""
    if isinstance(schema, list):
        return [_as_v2(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    all_of = schema.get("allOf")
    if isinstance(all_of, list) and len(all_of) == 1 and "$ref" in all_of[0]:
        rest = {name: value for name, value in schema.items() if name != "allOf"}
        return {**rest, **_as_v2(all_of[0])}
    out = {name: _as_v2(value) for name, value in schema.items() if name != "properties" and name not in _ONLY_V3}
    if isinstance(schema.get("properties"), dict):  # whose names are a type's own, and may be words of schemas
        out["properties"] = {name: _as_v2(value) for name, value in schema["properties"].items()}
    target = out.get("$ref")
    if isinstance(target, str):
        out["$ref"] = target.replace("#/components/schemas/", "#/definitions/")
    if "oneOf" in schema and "type" not in out:
        out["type"] = "string"  # an amount, or a number or a share
    return out
