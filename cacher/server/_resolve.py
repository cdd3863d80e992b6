"""From a method and a path to a door and a verb, or to the answer why there is none. Pure but for the registry that is asked.

Built-in groups have routes: a path that is none is 404, a method that a path lacks 405, both without details. Groups of custom
resources have one handler, which answers in other words, and leaves what it does not know to a plain page.
Source: kubernetes/apiserver pkg/endpoints/installer.go; apiextensions-apiserver pkg/apiserver/customresource_handler.go.
"""

from __future__ import annotations

import msgspec

from .._resources import RESOURCES
from ..registry import (
    APIError,
    GroupResource,
    MethodNotAllowed,
    NotFound,
    Registry,
    ResourceDoor,
    StatusDetails,
    UnknownResource,
)
from ._routes import Target


class NoPage(Exception):
    """Nothing is there, not even an API that could say so: a plain 404."""


class Asked(msgspec.Struct, frozen=True):
    """What is to be done."""

    door: ResourceDoor
    """To the resource, or to the part of it that is meant."""
    verb: str
    target: Target


class MethodUnknown(APIError):
    """A path that is there does not know the method."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(self) -> None:
        super().__init__("the server does not allow this method on the requested resource", StatusDetails())


_ITEM_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_PART_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}


def resolve(registry: Registry, method: str, target: Target, *, is_watch: bool) -> Asked:
    """What the request asks for.

    Raises:
        NoPage, UnknownResource, NotFound: nothing is there.
        MethodUnknown, MethodNotAllowed: it is there, and cannot do this.
    """
    built_in = is_built_in_group(target.group_version)
    try:
        door = registry.resource(target.group_version, target.plural)
    except UnknownResource:
        if built_in:
            raise
        raise NoPage from None
    asked = _routed(door, method, target) if built_in else _handled(door, method, target)
    if asked.verb == "list" and (is_watch or target.is_old_watch):
        return msgspec.structs.replace(asked, verb="watch")
    return asked


_BUILT_IN_GROUPS = frozenset(version.rpartition("/")[0] for version, _ in RESOURCES)


def is_built_in_group(group_version: str) -> bool:
    """Whether the group is one of Kubernetes' own."""
    return group_version.rpartition("/")[0] in _BUILT_IN_GROUPS


def _routed(door: ResourceDoor, method: str, target: Target) -> Asked:
    if target.beyond or (target.namespace and not door.is_namespaced) or not _has_place(door, target):
        raise UnknownResource(target.plural)
    if target.is_old_watch:
        if target.part or "watch" not in door.verbs:
            raise UnknownResource(target.plural)
        return _allowed(door, {"GET": "list"}, method, target)
    if target.part:
        return _allowed(door.subresource(target.part), _PART_VERBS, method, target)
    if target.name:
        return _allowed(door, _ITEM_VERBS, method, target)
    across = door.is_namespaced and not target.namespace
    return _allowed(door, {"GET": "list"} if across else _COLLECTION_VERBS, method, target)


def _has_place(door: ResourceDoor, target: Target) -> bool:
    """Whether an object that is named has its namespace beside it, where it lives in one."""
    return not target.name or not door.is_namespaced or bool(target.namespace)


def _allowed(door: ResourceDoor, verbs: dict[str, str], method: str, target: Target) -> Asked:
    verb = verbs.get(method)
    if verb is None or verb not in door.verbs:
        raise MethodUnknown
    return Asked(door, verb, target)


_CUSTOM_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_PART_ALLOWED = ("get", "update", "patch")


def _handled(door: ResourceDoor, method: str, target: Target) -> Asked:
    """As the one handler of custom resources does."""
    verb = _CUSTOM_VERBS.get(method, "")
    if not target.name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if bool(target.namespace) != door.is_namespaced and (target.namespace or verb != "list"):
        raise NoPage
    resource = GroupResource(target.group_version.rpartition("/")[0], target.plural)
    if target.part:
        try:
            part = door.subresource(target.part)
        except UnknownResource:
            raise NotFound(resource, target.name) from None
        if verb not in _PART_ALLOWED:
            raise MethodNotAllowed(resource, verb)
        return Asked(part, verb, target)
    if not verb:
        raise MethodNotAllowed(resource, verb)
    return Asked(door, verb, target)
