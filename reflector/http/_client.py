"""An API server over HTTP as a `Client`: its resources, their verbs, their parts.

    HTTPClient ─ resource("apps/v1", "deployments") ─► HTTPResource ─ subresource("scale") ─► HTTPPart

The verbs take and give what they do in the same process (see ResourceClient), and raise the same classes. What stands
between us and the server is an APIError too: ServiceUnavailable where the request was not carried out, Timeout where
that is not known.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec

from watch import (
    APIError,
    BadRequest,
    MethodNotAllowed,
    NotFound,
    PatchType,
    PlainServerError,
    Selector,
    ServiceUnavailable,
    Timeout,
    UnknownResource,
)

from .._backoff import Chance
from .._client import FieldsLike, JSONObject, LabelsLike
from ._answers import BadAnswer
from ._connection import Connection, ConnectionLost
from ._discovery import Discovery
from ._fields import selectable as selectable_fields
from ._lister_watcher import HTTPListerWatcher
from ._paths import Query, resource_path
from ._transport import Transport
from ._wire import Lines, WireReader

JSON = "application/json"


class HTTPClient:
    """An API server. A Client; made by `connect`, and good until its context ends."""

    def __init__(
        self, transport: Transport, *, name: str, namespace: str, random: Chance, field_manager: str = ""
    ) -> None:
        self.name = name
        """The context's name, or the host."""
        self.namespace = namespace
        """What the kubeconfig's context, or the pod, says; nothing here uses it."""
        self._api = _API(transport, field_manager)
        self._random = random

    def resource(self, version: str, plural: str, *, selectable: Sequence[str] = ()) -> HTTPResource:
        """The door to a resource such as ("v1", "pods"). Whether the server has it, it says when it is asked.

        Args:
            selectable: fields of a custom resource that objects are to have in their heads, for indexes by field.
        """
        return HTTPResource(self._api, version, plural, random=self._random, selectable=tuple(selectable))

    async def get_path(self, path: str, query: Query | None = None, *, accept: str = JSON) -> Any:
        """What the server has at a path, such as "/version", as JSON data.

        Args:
            accept: the media types that may come, all of them JSON: a Table, all of discovery in one document.
        Raises:
            APIError: what the server answered; ServiceUnavailable where it was not reached.
        """
        return await self._api.ask("GET", path, query, accept=accept)

    @asynccontextmanager
    async def lines_of(self, path: str, query: Query, *, accept: str = JSON) -> AsyncIterator[AsyncIterator[Any]]:
        """What a watch at a path brings, event by event as JSON data, for as long as the context lasts.

        It is asked once, and ends when the server ends it; a Reflector, and not this, is for who must miss nothing.
        Raises:
            APIError: on entering, what the server answered. While it is read: ServiceUnavailable, where it broke off.
        """
        try:
            async with (
                self._api.transport.stream(path, query, accept=accept) as connection,
                aclosing(_decoded_lines(connection)) as lines,
            ):
                yield lines
        except ConnectionLost as error:
            raise _unreachable(error, "GET") from error


class _API:
    """What all doors share: requests as JSON, and failures as APIErrors."""

    def __init__(self, transport: Transport, field_manager: str) -> None:
        self.transport = transport
        self.discovery = Discovery(transport)
        self.field_manager = field_manager

    async def ask(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Any:
        """The answer's body, as JSON data."""
        data = b"" if body is None else msgspec.json.encode(body)
        try:
            response = await self.transport.call(
                method, path, query, body=data, content_type=content_type if data else "", accept=accept
            )
            return msgspec.json.decode(response.body)
        except ConnectionLost as error:
            raise _unreachable(error, method) from error
        except (BadAnswer, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PlainServerError(f"the answer to {method} {path} cannot be read: {error}") from error

    async def typed(self, obj: JSONObject, group_version: str, name: str) -> JSONObject:
        """The object with its apiVersion and kind, which servers want to see of custom resources.

        As it is, where discovery does not tell them: what is wrong with that is the server's to say.
        """
        if obj.get("kind") and obj.get("apiVersion"):
            return obj
        try:
            found = await self.discovery.find(group_version, name)
        except (APIError, BadAnswer, ConnectionLost):
            return obj
        return {"apiVersion": found.api_version(group_version), "kind": found.kind, **obj}


class _Door:
    """What a resource and its parts have in common."""

    def __init__(self, api: _API, group_version: str, plural: str, part: str = "") -> None:
        self._api = api
        self._group_version = group_version
        self._plural = plural
        self._part = part

    @property
    def group_version(self) -> str:
        """Such as "v1" or "apps/v1"."""
        return self._group_version

    @property
    def plural(self) -> str:
        """Such as "pods"."""
        return self._plural

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """The object, or its part, as it is now, and not as a cache has it. Raises NotFound."""
        found: JSONObject = await self._ask("GET", _needed(name), namespace)
        return found

    async def update(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
    ) -> JSONObject:
        """The object (of a scale, the scale) as it was stored; see ResourceClient. Raises Conflict, NotFound, Invalid, …"""
        name, namespace = _named(obj), namespace or _namespace_of(obj)
        body = await self._typed(obj)
        query = self._options(field_manager, dry_run, field_validation)
        stored: JSONObject = await self._ask("PUT", name, namespace, query, body=body)
        return stored

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
    ) -> JSONObject:
        """The object as it was stored with the patch applied; see ResourceClient."""
        if type is PatchType.APPLY and isinstance(patch, dict):
            patch = await self._typed(patch)
        query = {**self._options(field_manager, dry_run, field_validation), "force": force}
        stored: JSONObject = await self._ask(
            "PATCH", _needed(name), namespace, query, body=patch, content_type=type.value
        )
        return stored

    async def _typed(self, obj: JSONObject) -> JSONObject:
        name = f"{self._plural}/{self._part}" if self._part else self._plural
        return await self._api.typed(obj, self._group_version, name)

    def _options(self, field_manager: str, dry_run: bool, field_validation: str) -> dict[str, str | bool | None]:
        return {
            "fieldManager": field_manager or self._api.field_manager,
            "dryRun": "All" if dry_run else "",
            "fieldValidation": field_validation,
        }

    async def _ask(
        self,
        method: str,
        name: str,
        namespace: str | None,
        query: Query | None = None,
        *,
        body: Any = None,
        content_type: str = JSON,
    ) -> Any:
        path = resource_path(self._group_version, self._plural, namespace, name, self._part if name else "")
        try:
            return await self._api.ask(method, path, query, body=body, content_type=content_type)
        except (NotFound, UnknownResource, MethodNotAllowed) as error:
            if namespace or not await self._is_namespaced():
                raise
            raise BadRequest(f"{self._plural} live in a namespace: say which") from error

    async def _is_namespaced(self) -> bool:
        """Whether a path without a namespace leads nowhere. False where the server does not say."""
        try:
            return (await self._api.discovery.find(self._group_version, self._plural)).namespaced
        except (APIError, BadAnswer, ConnectionLost):
            return False


class HTTPPart(_Door):
    """A subresource of an API server's resource. A PartClient."""

    async def create(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
    ) -> JSONObject:
        """What came of it: of `binding` and `eviction`, whose names are in `obj`."""
        body = await self._typed(obj)
        query = self._options(field_manager, dry_run, field_validation)
        made: JSONObject = await self._ask("POST", _named(obj), namespace or _namespace_of(obj), query, body=body)
        return made


class HTTPResource(_Door):
    """A resource of an API server. A ResourceClient, whose lists can also be streamed."""

    def __init__(
        self, api: _API, group_version: str, plural: str, *, random: Chance, selectable: tuple[str, ...]
    ) -> None:
        super().__init__(api, group_version, plural)
        self._random = random
        self._selectable = selectable

    def lister_watcher(
        self, *, namespace: str | None = None, labels: LabelsLike = None, fields: FieldsLike = None
    ) -> HTTPListerWatcher:
        """What a Reflector mirrors the selected objects by; see ResourceClient.

        Raises:
            InvalidSelector: correct the text where the message points.
        """
        selector = Selector.of(labels=labels, fields=fields)
        asked = tuple(requirement.path for requirement in selector.fields.requirements)
        in_head = selectable_fields(self._group_version, self._plural).with_fields(*self._selectable, *asked)
        return HTTPListerWatcher(
            self._api.transport,
            resource_path(self._group_version, self._plural, namespace),
            WireReader(in_head),
            random=self._random,
            labels=selector.labels,
            fields=selector.fields,
        )

    def subresource(self, name: str) -> HTTPPart:
        """The door to a part of each object: `status`, `scale`, `binding`, `eviction`."""
        return HTTPPart(self._api, self._group_version, self._plural, name)

    async def create(
        self,
        obj: JSONObject,
        namespace: str | None = None,
        *,
        field_manager: str = "",
        dry_run: bool = False,
        field_validation: str = "",
    ) -> JSONObject:
        """The new object as it was stored. Raises AlreadyExists, Invalid, …; Timeout: whether it was made is not known."""
        body = await self._typed(obj)
        query = self._options(field_manager, dry_run, field_validation)
        made: JSONObject = await self._ask("POST", "", namespace or _namespace_of(obj), query, body=body)
        return made

    async def delete(
        self,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation_policy: str | None = None,
        dry_run: bool = False,
    ) -> bool:
        """Whether it is gone, and not held by finalizers or given time to end; see ResourceClient. Raises NotFound, Conflict."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {member: value for member, value in wanted.items() if value is not None}
        options = {
            "gracePeriodSeconds": grace_period_s,
            "preconditions": preconditions or None,
            "propagationPolicy": propagation_policy,
            "dryRun": ["All"] if dry_run else None,
        }
        body = {"apiVersion": "v1", "kind": "DeleteOptions"} | {
            member: value for member, value in options.items() if value is not None
        }
        return is_gone(await self._ask("DELETE", _needed(name), namespace, body=body))


def is_gone(answer: Any) -> bool:
    """Whether what a deletion was answered by says that the object is no more. Pure.

    It is a Status, or the object: as it was, if it is gone; marked, if it is held by a finalizer or given time.
    """
    if not isinstance(answer, dict) or answer.get("kind") == "Status":
        return True
    metadata, spec = answer.get("metadata") or {}, answer.get("spec") or {}
    is_held = bool(metadata.get("finalizers")) or (answer.get("kind") == "Namespace" and bool(spec.get("finalizers")))
    return not metadata.get("deletionTimestamp") or not (is_held or metadata.get("deletionGracePeriodSeconds"))


async def _decoded_lines(connection: Connection) -> AsyncGenerator[Any, None]:
    lines = Lines()
    while data := await connection.read():
        try:
            for line in lines.feed(data):
                yield msgspec.json.decode(line)
        except (BadAnswer, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PlainServerError(f"what the watch brought cannot be read: {error}") from error


def _needed(name: str) -> str:
    if not name:
        raise BadRequest("resource name may not be empty")
    return name


def _named(obj: JSONObject) -> str:
    return _needed((obj.get("metadata") or {}).get("name") or "")


def _namespace_of(obj: JSONObject) -> str | None:
    return (obj.get("metadata") or {}).get("namespace") or None


def _unreachable(error: ConnectionLost, method: str) -> APIError:
    """What a lost connection is to whoever called a verb."""
    if error.was_sent and method != "GET":
        return Timeout(f"{error}; whether the {method} was carried out is not known: read before it is tried again")
    return ServiceUnavailable(str(error))
