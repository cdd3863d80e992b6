"""What is served, as clients ask for it before they ask for anything else: groups, versions, resources, verbs.

    /api  /apis                           the groups and their versions; or, where a client asks for it, all in one document
    /api/v1  /apis/GROUP/VERSION          the resources of a version and their parts
    /apis/GROUP                           one group

All is read off the registry's doors, so that what is served and what is told of it are one. Documents are kept until
a resource is added or removed.

Pure.
Source: kubernetes/apiserver pkg/endpoints/discovery (also aggregated), pkg/endpoints/installer.go; apiextensions-apiserver
customresource_discovery_controller.go; the order of groups: pkg/controlplane/apiserver (priorities of API services).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ..registry import (
    CategoriesProvider,
    JSONObject,
    ShortNamesProvider,
    SingularNameProvider,
    StorageVersionProvider,
)

if TYPE_CHECKING:
    from ..registry import Registry, ResourceDoor

AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""What the answer's Content-Type has to say, to the letter: a client takes any other for the legacy form."""

_GROUPS = (
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
)
"""Groups in the order in which clients look for a name. Others follow by their names."""

_CUSTOM_ORDER = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""The verbs of custom resources, as Kubernetes happens to list them; others are listed by name."""

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


class Document(msgspec.Struct, frozen=True):
    """A body, and its entity tag, by which a client that has it already need not be sent it again."""

    body: bytes
    etag: str


def verbs(door: ResourceDoor) -> tuple[str, ...]:
    """What can be done with a resource, or with a part of one, in discovery's order."""
    is_custom = not door.info.is_built_in and not door.name
    return tuple(verb for verb in _CUSTOM_ORDER if verb in door.verbs) if is_custom else door.verbs


class Discovery:
    """The documents of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._generation = -1
        self._documents: dict[tuple[str, bool], Document | None] = {}
        self._groups: dict[str, dict[str, list[ResourceDoor]]] = {}

    def document(self, path: str, *, aggregated: bool = False, server_address: str = "") -> Document | None:
        """The document at a path, with or without a slash at its end; None: there is none, or no aggregated form of it.

        Args:
            server_address: by what name the client found the server, `127.0.0.1:6443`, which one of the documents tells.
        Cost: O(1) once it was asked for, until a resource comes or goes; then O(resources).
        """
        if self._generation != self._registry.generation:
            self._generation = self._registry.generation
            self._documents.clear()
            self._groups = _by_group(self._registry)
        known = (path.rstrip("/"), aggregated)
        if known == ("/api", False):
            return _document(self._core_versions(server_address))
        if known not in self._documents:
            found = self._aggregated(known[0]) if aggregated else self._legacy(known[0])
            if found is None:
                return None  # not kept: there is no end of paths that lead nowhere
            self._documents[known] = _document(found)
        return self._documents[known]

    # ---- one document a version ------------------------------------------------------------------------------------

    def _legacy(self, path: str) -> JSONObject | None:
        match path.split("/")[1:]:
            case ["apis"]:
                named = [self._group(name) for name in self._groups if name]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group] if group and group in self._groups:
                return {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
            case ["apis", group, version] if group:
                return self._resources(group, version)
        return None

    def _core_versions(self, server_address: str) -> JSONObject:
        # Without an apiVersion, as it was before there were any.
        return {
            "kind": "APIVersions",
            "versions": list(self._groups[""]),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
        }

    def _group(self, name: str) -> JSONObject:
        versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in self._groups[name]]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, version: str) -> JSONObject | None:
        doors = self._groups.get(group, {}).get(version)
        if doors is None:
            return None
        entries = [entry for door in doors for entry in _legacy_entries(door)]
        if not group:
            return {"kind": "APIResourceList", "groupVersion": version, "resources": entries}
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{group}/{version}",
            "resources": entries,
        }

    # ---- one document for all --------------------------------------------------------------------------------------

    def _aggregated(self, path: str) -> JSONObject | None:
        if path not in ("/api", "/apis"):
            return None
        names = [name for name in self._groups if bool(name) == (path == "/apis")]
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [self._aggregated_group(name) for name in names],
        }

    def _aggregated_group(self, name: str) -> JSONObject:
        versions = [
            {"version": version, "resources": [_aggregated_entry(door) for door in doors], "freshness": "Current"}
            for version, doors in self._groups[name].items()
        ]
        return {"metadata": {"name": name} if name else {}, "versions": versions}


def _document(body: JSONObject) -> Document:
    text = msgspec.json.encode(body)
    return Document(text, f'"{hashlib.sha512(text).hexdigest().upper()}"')


def _by_group(registry: Registry) -> dict[str, dict[str, list[ResourceDoor]]]:
    """The doors by group and version, both in the order in which they are told; the core group is the first."""
    found: dict[str, dict[str, list[ResourceDoor]]] = {}
    for door in registry.resources():
        group, _, version = door.info.group_version.rpartition("/")
        found.setdefault(group, {}).setdefault(version, []).append(door)
    ranks = {name: rank for rank, name in enumerate(("", *_GROUPS))}
    return {
        group: {
            version: sorted(found[group][version], key=lambda door: door.info.plural)
            for version in sorted(found[group], key=_version_rank)
        }
        for group in sorted(found, key=lambda name: (ranks.get(name, len(ranks)), name))
    }


def _version_rank(version: str) -> tuple[int, int, int, str]:
    """v2 before v1 before v2beta1 before v1alpha1 before what is no version of that form."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return 3, 0, 0, version
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return stage, -int(match[1]), -int(match[3] or 0), ""


def _parts(door: ResourceDoor) -> Iterator[ResourceDoor]:
    """Its subresources, by name; those of custom resources with the status first."""
    names = door.subresources
    for name in sorted(names, key=lambda name: (name != "status" and not door.info.is_built_in, name)):
        yield door.subresource(name)


def _names(door: ResourceDoor) -> JSONObject:
    storage, out = door.storage, {}
    if isinstance(storage, ShortNamesProvider) and storage.short_names:
        out["shortNames"] = list(storage.short_names)
    if isinstance(storage, CategoriesProvider) and storage.categories:
        out["categories"] = list(storage.categories)
    return out


def _singular(door: ResourceDoor) -> str:
    storage = door.storage
    return (storage.singular_name if isinstance(storage, SingularNameProvider) else "") or door.info.kind.lower()


def _storage_hash(door: ResourceDoor) -> str:
    """By which a migration sees in which version objects are stored."""
    group, _, version = door.info.group_version.rpartition("/")
    if isinstance(door.storage, StorageVersionProvider):
        version = door.storage.storage_version
    digest = hashlib.sha256(f"{group}/{version}/{door.info.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode("ascii")


def _legacy_entries(door: ResourceDoor) -> Iterator[JSONObject]:
    info = door.info
    yield {
        "name": info.plural,
        "singularName": _singular(door),
        "namespaced": info.namespaced,
        "kind": info.kind,
        "verbs": list(verbs(door)),
        **_names(door),
        "storageVersionHash": _storage_hash(door),
    }
    for part in _parts(door):
        api_version, kind = part.kind
        group, _, version = api_version.rpartition("/")
        other = {"group": group, "version": version} if api_version != info.group_version else {}
        yield {
            "name": f"{info.plural}/{part.name}",
            "singularName": "",
            "namespaced": info.namespaced,
            **other,
            "kind": kind,
            "verbs": list(verbs(part)),
        }


def _aggregated_entry(door: ResourceDoor) -> JSONObject:
    info = door.info
    entry: JSONObject = {
        "resource": info.plural,
        "responseKind": _response_kind(door),
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": _singular(door),
        "verbs": list(verbs(door)),
        **_names(door),
    }
    parts = [
        {"subresource": part.name, "responseKind": _response_kind(part), "verbs": list(verbs(part))}
        for part in _parts(door)
    ]
    return {**entry, "subresources": parts} if parts else entry


def _response_kind(door: ResourceDoor) -> JSONObject:
    """A built-in kind of the resource's own version is told without it, as Kubernetes tells it."""
    api_version, kind = door.kind
    if door.info.is_built_in and api_version == door.info.group_version:
        return {"group": "", "version": "", "kind": kind}
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}
