"""The API's verbs on resources: from a request to the resource's door, and from what it answers to the wire.

Source: kubernetes/apiserver pkg/endpoints/handlers (get.go, create.go, update.go, patch.go, delete.go, watch.go).
Differs: a read waits while its cache is being filled, where Kubernetes answers 429.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import trio

from watch import FieldRequirement, FieldSelector, InvalidSelector, Operator, PatchType

from ..registry import (
    BadRequest,
    JSONObject,
    ObjectPage,
    StatusDetails,
    TableConvertor,
    Timeout,
    TooManyRequests,
    UnsupportedMediaType,
)
from ..storage import EventStream
from ._answers import GZIP_FROM_BYTES, NO_CACHE, Headers, compressed, document, is_pretty, wants_gzip, warning_headers
from ._bodies import BadBody, Body, DecodeProtobuf, read_body, read_json, read_yaml_body, unreadable
from ._deleting import read_delete_options
from ._frames import Frames
from ._http import Exchange
from ._negotiation import LIST_TYPES, OBJECT_TYPES, check_patch_type, check_route, negotiate
from ._query import (
    ListQuery,
    boolean,
    check_list,
    check_watch,
    manager_of,
    read_list_query,
    with_defaults,
    write_options,
)
from ._request import JSON, YAML, Head, Response
from ._request_metrics import WatchEvents
from ._resolve import Asked
from ._shapes import Shape, read_include
from ._watching import WatchStream

WRITE_S = 34.0
"""A write takes no longer. Source: kubernetes/apiserver pkg/endpoints/handlers/rest.go."""
WATCH_S = 1800.0
"""Of a watch that does not say: as long, up to twice as long. Source: kube-apiserver's --min-request-timeout."""
WATCH_OPEN_S = 30.0
"""In which a watch must have begun."""
FORMS_MAX = 256
"""Forms of watches whose frames are shared. The oldest is forgotten where there are more, and made anew for who comes."""


class Verbs:
    """Carries out what was asked of a resource.

    Args:
        random: draws how long watches last.
        closing: set when the server ends: watches end with it.
        protobuf: decodes objects that are sent so.
        watch_events: where the events of a resource's watches are counted, by group version and plural.
    """

    def __init__(
        self,
        *,
        random: Random,
        closing: trio.Event,
        protobuf: DecodeProtobuf | None = None,
        watch_events: Callable[[str, str], WatchEvents] | None = None,
    ) -> None:
        self._watch_events = watch_events
        self._random = random
        self._closing = closing
        self._opening: dict[trio.CancelScope, None] = {}
        self._protobuf = protobuf
        self._frames: dict[tuple[str, ...], Frames] = {}

    def close(self) -> None:
        """The server ends: a watch that waits for its beginning waits no more."""
        for scope in list(self._opening):
            scope.cancel()

    def check(self, asked: Asked, head: Head) -> None:
        """Raises where the router would refuse already: media types that the route does not know."""
        if asked.door.is_custom:
            return
        if asked.verb == "patch":
            check_patch_type(head.header("content-type"))
        check_route(head.header("accept"), LIST_TYPES if asked.verb in ("list", "watch") else OBJECT_TYPES)

    async def carry_out(self, exchange: Exchange, asked: Asked, headers: Headers, raw: bytes) -> None:
        """Answer the request.

        Raises:
            APIError: nothing has been sent.
            Gone: the client went.
        """
        head = exchange.head
        self.check(asked, head)
        if asked.verb == "watch":
            await self._watch(exchange, asked, headers)
            return
        shape = shape_of(asked, head)
        if asked.verb == "list":
            await send_page(exchange, shape, await _listed(asked, head), headers)
        elif asked.verb == "get":
            version = head.parameter("resourceVersion") or ""
            found = await asked.door.get(asked.target.name, asked.target.namespace, resource_version=version)
            await send_object(exchange, 200, shape, found, headers)
        else:
            await self._write(exchange, asked, shape, headers, raw)

    def read_object(self, head: Head, raw: bytes) -> Any:
        """What was sent, where it is no resource's. Raises BadRequest, UnsupportedMediaType."""
        try:
            return read_body(head.header("content-type"), raw, protobuf=self._protobuf).value
        except BadBody as error:
            raise unreadable(error) from error

    # ---- watches -----------------------------------------------------------------------------------------------------

    async def _watch(self, exchange: Exchange, asked: Asked, headers: Headers) -> None:
        head, door = exchange.head, asked.door
        query = with_defaults(read_list_query(head))
        check_watch(query)
        shape = shape_of(asked, head, is_stream=True)
        fields = _with_name(query.fields, asked.target.name)
        timeout_s = float(query.timeout_s or 0) if (query.timeout_s or 0) > 0 else WATCH_S * (1 + self._random.random())
        deadline = trio.current_time() + timeout_s
        async with _opened(asked, query, fields, deadline, self._opening) as stream:
            # What a client accepts as a stream it is told as plain JSON.
            await exchange.begin(200, [NO_CACHE, *headers, ("Content-Type", JSON)])
            target = asked.target
            frames = self._frames_of(shape, target.group_version, target.plural)
            watching = WatchStream(
                exchange, stream, frames, door, bookmarks=query.bookmarks, deadline=deadline, closing=self._closing
            )
            await watching.run()

    def _frames_of(self, shape: Shape, group_version: str, plural: str) -> Frames:
        frames = self._frames.pop(shape.key, None)
        if frames is None or not frames.is_of(shape):
            count = self._watch_events
            frames = Frames(shape, count(group_version, plural) if count is not None else None)
        self._frames[shape.key] = frames  # the newest is the last
        if len(self._frames) > FORMS_MAX:
            del self._frames[next(iter(self._frames))]
        return frames

    # ---- writes ------------------------------------------------------------------------------------------------------

    async def _write(self, exchange: Exchange, asked: Asked, shape: Shape, headers: Headers, raw: bytes) -> None:
        warnings: list[str] = []
        done: tuple[int, JSONObject | ObjectPage] | None = None
        with trio.move_on_after(WRITE_S):
            done = await self._written(exchange.head, asked, raw, warnings)
        if done is None:
            raise Timeout("Timeout: request did not complete within requested timeout - context deadline exceeded")
        headers = (*headers, *warning_headers(warnings))
        status, answer = done
        if isinstance(answer, ObjectPage):
            await send_page(exchange, shape, answer, headers)
        else:
            await send_object(exchange, status, shape, answer, headers)

    async def _written(
        self, head: Head, asked: Asked, raw: bytes, warnings: list[str]
    ) -> tuple[int, JSONObject | ObjectPage]:
        door, target = asked.door, asked.target
        if asked.verb == "deletecollection":
            return 200, await self._deleted_collection(head, asked, raw)
        if asked.verb == "delete":
            options = read_delete_options(head, raw, protobuf=self._protobuf)
            answer, is_gone = await door.delete(target.name, target.namespace, **options)
            return 200 if is_gone or options["orphan_dependents"] is not False else 202, answer
        options = write_options(head)
        if asked.verb == "patch":
            return await self._patched(head, asked, raw, options, warnings)
        options["field_manager"] = options["field_manager"] or manager_of(head.header("user-agent"))
        body = self._body(head, asked, raw)
        options |= {"flaws": body.flaws, "warn": warnings.append}
        if asked.verb == "create":
            name = target.name if target.part else ""
            return 201, await door.create(body.value, target.namespace, name=name, **options)
        obj, is_new = await door.replace(body.value, target.namespace, name=target.name, **options)
        return 201 if is_new else 200, obj

    async def _deleted_collection(self, head: Head, asked: Asked, raw: bytes) -> ObjectPage:
        query = read_list_query(head)
        check_list(query)
        options = read_delete_options(head, raw, protobuf=self._protobuf)
        del options["resource_version"], options["ignore_read_errors"]
        return await asked.door.delete_collection(
            asked.target.namespace,
            labels=query.labels,
            fields=query.fields,
            resource_version=query.resource_version,
            match=query.match,
            limit=query.limit,
            continue_token=query.continue_token,
            **options,
        )

    async def _patched(
        self, head: Head, asked: Asked, raw: bytes, options: dict[str, Any], warnings: list[str]
    ) -> tuple[int, JSONObject]:
        door, target = asked.door, asked.target
        kind = _patch_type(head.header("content-type"))
        if kind is not PatchType.APPLY:
            options["field_manager"] = options["field_manager"] or manager_of(head.header("user-agent"))
        patch = read_patch(kind, raw)
        obj, is_new = await door.patch(
            target.name,
            patch.value,
            target.namespace,
            type=kind,
            force=boolean(head, "force"),
            flaws=patch.flaws,
            warn=warnings.append,
            **options,
        )
        return 201 if is_new else 200, obj

    def _body(self, head: Head, asked: Asked, raw: bytes) -> Body:
        try:
            return read_body(head.header("content-type"), raw, protobuf=self._protobuf)
        except BadBody as error:
            raise unreadable(error, custom_kind=asked.door.kind[1] if asked.door.is_custom else "", raw=raw) from error


# ---- parts -----------------------------------------------------------------------------------------------------------


def shape_of(asked: Asked, head: Head, *, is_stream: bool = False) -> Shape:
    """How the answer is to be shown.

    Raises:
        NotAcceptable, BadRequest.
    """
    has_table = isinstance(asked.door.storage, TableConvertor)
    accepted = negotiate(head.header("accept"), is_stream=is_stream, has_table=has_table)
    is_table = accepted.transformation is not None and accepted.transformation.kind == "Table"
    return Shape(asked.door, accepted, read_include(head) if is_table else "")


async def _listed(asked: Asked, head: Head) -> ObjectPage:
    query = read_list_query(head)
    check_list(query)
    return await asked.door.list(
        asked.target.namespace,
        labels=query.labels,
        fields=query.fields,
        resource_version=query.resource_version,
        match=query.match,
        limit=query.limit,
        continue_token=query.continue_token,
    )


@asynccontextmanager
async def _opened(
    asked: Asked, query: ListQuery, fields: str | FieldSelector, deadline: float, opening: dict[trio.CancelScope, None]
) -> AsyncIterator[EventStream]:
    """The watch, once it has begun. `opening`: those that have not; who cancels one ends the wait.

    Raises:
        Timeout: it did not begin in time.
        TooManyRequests: the server ends, and does not wait for it.
    """
    watch = asked.door.watch(
        asked.target.namespace,
        labels=query.labels,
        fields=fields,
        resource_version=query.resource_version,
        match=query.match,
        bookmarks=query.bookmarks,
        send_initial_events=query.send_initial_events,
        deadline=deadline,
    )
    stream: EventStream | None = None
    with trio.move_on_after(WATCH_OPEN_S) as scope:
        opening[scope] = None
        try:
            stream = await watch.__aenter__()
        finally:
            del opening[scope]
    if stream is None:
        if trio.current_time() < scope.deadline:
            raise TooManyRequests("the apiserver is shutting down, please try again", StatusDetails(retry_after_s=1))
        raise Timeout("Timeout: request did not complete within the allotted timeout")
    try:
        yield stream
    finally:
        with trio.CancelScope(shield=True):
            await watch.__aexit__(None, None, None)


def _with_name(fields: str, name: str) -> str | FieldSelector:
    """The selector of a watch of one object.

    Raises:
        BadRequest: it names another one.
    """
    if not name:
        return fields
    try:
        requirements = FieldSelector.parse(fields).requirements
    except InvalidSelector as error:
        raise BadRequest(error.problem) from error
    for one in requirements:
        if one.path == "metadata.name" and one.operator is Operator.EQUALS and one.value != name:
            raise BadRequest("fieldSelector metadata.name doesn't match requested name")
    return FieldSelector.of([*requirements, FieldRequirement("metadata.name", Operator.EQUALS, name)])


def _patch_type(content_type: str) -> PatchType:
    bare = content_type.partition(";")[0].strip()
    try:
        return PatchType(bare)
    except ValueError:
        known = ", ".join(other for other in PatchType if other is not PatchType.STRATEGIC)
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {known}"
        ) from None


def read_patch(kind: PatchType, raw: bytes) -> Body:
    """A patch as JSON data.

    Raises:
        BadRequest: it is none.
    """
    try:
        return read_yaml_body(raw) if kind is PatchType.APPLY else read_json(raw)
    except BadBody as error:
        prefix = {PatchType.APPLY: "error decoding YAML: ", PatchType.MERGE: "error decoding patch: "}
        raise BadRequest(prefix.get(kind, "") + str(error)) from error


async def send_object(exchange: Exchange, status: int, shape: Shape, obj: JSONObject, headers: Headers) -> None:
    """Send one object in its shape. Raises NotAcceptable, Gone."""
    head, accepted = exchange.head, shape.accepted
    body = document(shape.object(obj), accepted.media_type, pretty=is_pretty(head, accepted.is_pretty))
    more = [NO_CACHE, *headers]
    if len(body) > GZIP_FROM_BYTES and wants_gzip(head):
        body = b"".join(compressed((body,), iter(())))
        more += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    await exchange.respond(Response(status, body, accepted.media_type, tuple(more)))


async def send_page(exchange: Exchange, shape: Shape, page: ObjectPage, headers: Headers) -> None:
    """Send a list, piece by piece where it is a long one. Raises NotAcceptable, Gone."""
    head, accepted = exchange.head, shape.accepted
    pieces = shape.page(page)
    if accepted.media_type == YAML or is_pretty(head, accepted.is_pretty):
        value = msgspec.json.decode(b"".join(pieces))
        body = document(value, accepted.media_type, pretty=True)
        await exchange.respond(Response(200, body, accepted.media_type, (NO_CACHE, *headers)))
        return
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > GZIP_FROM_BYTES:
            break
    else:
        await exchange.respond(Response(200, b"".join(first), accepted.media_type, (NO_CACHE, *headers)))
        return
    more = [NO_CACHE, *headers, ("Content-Type", accepted.media_type)]
    if wants_gzip(head):
        pieces = compressed(first, pieces)
        first = []
        more += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    await exchange.begin(200, more)
    if first:
        await exchange.write(b"".join(first))
    for piece in pieces:
        await exchange.write(piece)
    await exchange.finish()
