"""RecordingClient: a client whose writes are kept in a journal, each with what its reconcile had read before it.

    reconcile ── reads ──► Lister, RecordingClient.get ──► noted in the reconcile's Reconciliation
              ── writes ─► RecordingClient ──► the client beneath ──► the answer, or an error
                                └─► Journal: the write, what came of it, and all that was noted so far

It changes nothing of what is asked and answered. Measured (`make bench`): about 5 µs a read and 20 µs a write of the processor's
time, where a reconcile that does nothing takes 15, and a patch of a small object in the same process 156. A write whose answer
never came is kept too, as one whose fate is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, final

import msgspec
import trio

from watch import APIError, PatchType

from ._client import Client, FieldsLike, JSONObject, LabelsLike, PartClient, ResourceClient
from ._journal import PATCH_SHOWN_MAX, Journal, Write
from ._lister_watcher import ListerWatcher
from ._reads import RECONCILIATION, Read, Written

_Answer = TypeVar("_Answer")  # an object, or of a deletion whether it is gone


@final
class RecordingClient:
    """`client`, with its writes in `journal`. A Client."""

    def __init__(self, client: Client, journal: Journal) -> None:
        self._client = client
        self.journal = journal

    @property
    def name(self) -> str:
        """As of the client beneath."""
        return self._client.name

    def resource(self, version: str, plural: str) -> RecordingResource:
        """The door to a resource."""
        return RecordingResource(self._client.resource(version, plural), self.name, self.journal)


@final
class RecordingResource:
    """A resource, with its reads and writes noted. A ResourceClient; the verbs are those of the resource beneath."""

    def __init__(self, resource: ResourceClient, server: str, journal: Journal) -> None:
        self._resource = resource
        self._pen = _Pen(f"{server}/{resource.group_version}/{resource.plural}", "", journal)

    @property
    def group_version(self) -> str:
        """As of the resource beneath."""
        return self._resource.group_version

    @property
    def plural(self) -> str:
        """As of the resource beneath."""
        return self._resource.plural

    def lister_watcher(
        self, *, namespace: str | None = None, labels: LabelsLike = None, fields: FieldsLike = None
    ) -> ListerWatcher:
        """As of the resource beneath: what a copy is told is noted when the copy is read."""
        return self._resource.lister_watcher(namespace=namespace, labels=labels, fields=fields)

    def subresource(self, name: str) -> RecordingPart:
        """The door to a part of each object, with its reads and writes noted."""
        return RecordingPart(self._resource.subresource(name), self._pen.part(name))

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """As of the resource beneath."""
        return await self._pen.read(self._resource.get(name, namespace), name, namespace)

    async def create(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """As of the resource beneath."""
        sent = self._resource.create(obj, namespace, field_manager=field_manager)
        return await self._pen.write("create", sent, obj, namespace)

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """As of the resource beneath."""
        sent = self._resource.update(obj, namespace, field_manager=field_manager)
        return await self._pen.write("update", sent, obj, namespace)

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject:
        """As of the resource beneath."""
        sent = self._resource.patch(name, patch, namespace, type=type, force=force, field_manager=field_manager)
        return await self._pen.write("patch", sent, _named(name, patch), namespace, patch=patch)

    async def delete(
        self,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_s: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation_policy: str | None = None,
    ) -> bool:
        """As of the resource beneath."""
        sent = self._resource.delete(
            name,
            namespace,
            grace_period_s=grace_period_s,
            uid=uid,
            resource_version=resource_version,
            propagation_policy=propagation_policy,
        )
        demanded = {"metadata": {"name": name, "uid": uid, "resourceVersion": resource_version}}
        return await self._pen.write("delete", sent, demanded, namespace)


@final
class RecordingPart:
    """A subresource, with its reads and writes noted. A PartClient."""

    def __init__(self, part: PartClient, pen: _Pen) -> None:
        self._part = part
        self._pen = pen

    async def get(self, name: str, namespace: str | None = None) -> JSONObject:
        """As of the part beneath."""
        return await self._pen.read(self._part.get(name, namespace), name, namespace)

    async def create(self, obj: JSONObject, namespace: str | None = None) -> JSONObject:
        """As of the part beneath."""
        return await self._pen.write("create", self._part.create(obj, namespace), obj, namespace)

    async def update(self, obj: JSONObject, namespace: str | None = None, *, field_manager: str = "") -> JSONObject:
        """As of the part beneath."""
        sent = self._part.update(obj, namespace, field_manager=field_manager)
        return await self._pen.write("update", sent, obj, namespace)

    async def patch(
        self,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the API's own word
        force: bool | None = None,
        field_manager: str = "",
    ) -> JSONObject:
        """As of the part beneath."""
        sent = self._part.patch(name, patch, namespace, type=type, force=force, field_manager=field_manager)
        return await self._pen.write("patch", sent, _named(name, patch), namespace, patch=patch)


@final
class _Pen:
    """Notes what is asked of one resource, or of one part of its objects, and what is answered."""

    def __init__(self, resource: str, part: str, journal: Journal) -> None:
        self._resource = resource
        self._part = part
        self._source = f"{resource}/{part}" if part else resource
        self._journal = journal

    def part(self, name: str) -> _Pen:
        return _Pen(self._resource, name, self._journal)

    async def read(self, asked: Awaitable[JSONObject], name: str, namespace: str | None) -> JSONObject:
        reconciliation = RECONCILIATION.get()
        if reconciliation is None:
            return await asked
        key = f"{namespace}/{name}" if namespace else name
        try:
            answer = await asked
        except APIError as error:
            if error.code == 404:
                reconciliation.read_answer("get", self._source, key, "", 0, found=False)
            raise
        metadata = _metadata(answer)
        reconciliation.read_answer("get", self._source, key, _uid(metadata), _revision(metadata), found=True)
        return answer

    async def write(
        self, verb: str, sent: Awaitable[_Answer], obj: Any, namespace: str | None, *, patch: Any = None
    ) -> _Answer:
        """What the server answers, once it is noted."""
        note = self._note(verb, obj, namespace, patch)
        try:
            answer = await sent
        except trio.Cancelled:
            note({}, "cancelled before it was answered: its fate is unknown")
            raise
        except Exception as error:
            note({}, f"{type(error).__name__}: {error}")
            raise
        note(_metadata(answer), "")
        return answer

    def _note(self, verb: str, obj: Any, namespace: str | None, patch: Any) -> Callable[[Mapping[str, Any], str], None]:
        """What is to be called with the metadata of the answer, or with a failure. What was read is fixed now."""
        reconciliation = RECONCILIATION.get()
        at_s, time = trio.current_time(), self._journal.time_of_day()
        known: list[Read] = [] if reconciliation is None else reconciliation.reads
        known_count, left_out = len(known), 0 if reconciliation is None else reconciliation.reads_left_out
        demanded = _metadata(obj)

        def note(metadata: Mapping[str, Any], failure: str) -> None:
            name = _text(metadata, "name") or _text(demanded, "name") or _text(demanded, "generateName")
            within = _text(metadata, "namespace") or namespace or _text(demanded, "namespace")
            key = f"{within}/{name}" if within else name
            uid, revision = _uid(metadata) or _uid(demanded), _revision(metadata)
            self._journal.add(
                Write(
                    at_s=at_s,
                    time=time,
                    controller="" if reconciliation is None else reconciliation.controller,
                    reconcile_key="" if reconciliation is None else reconciliation.key,
                    reconcile=0 if reconciliation is None else reconciliation.number,
                    began_at_s=at_s if reconciliation is None else reconciliation.began_at_s,
                    verb=verb,
                    source=self._source,
                    key=key,
                    uid=uid,
                    revision=revision,
                    demanded_uid=_uid(demanded),
                    demanded_revision=_text(demanded, "resourceVersion"),
                    failure=failure,
                    patch=_shown(patch),
                    known=known,
                    known_count=known_count,
                    left_out=left_out,
                )
            )
            if reconciliation is not None and not failure:
                reconciliation.writes.append(Written(self._resource, key, uid, revision, verb == "delete"))
                reconciliation.read_answer(verb, self._source, key, uid, revision, found=True)

        return note


_NOTHING: dict[str, Any] = {}


def _metadata(obj: Any) -> Mapping[str, Any]:
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    return metadata if isinstance(metadata, Mapping) else _NOTHING


def _text(metadata: Mapping[str, Any], member: str) -> str:
    value = metadata.get(member)
    return value if isinstance(value, str) else ""


def _uid(metadata: Mapping[str, Any]) -> str:
    return _text(metadata, "uid")


def _revision(metadata: Mapping[str, Any]) -> int:
    text = _text(metadata, "resourceVersion")
    return int(text) if text.isdecimal() else 0


def _named(name: str, patch: Any) -> JSONObject:
    """What a patch demands of the object: the uid and version that its metadata name, as Kubernetes takes them."""
    return {"metadata": {**_metadata(patch), "name": name}}


def _shown(patch: Any) -> str:
    if patch is None:
        return ""
    if not isinstance(patch, (str, bytes)):
        patch = msgspec.json.encode(patch)
    text = patch.decode("utf-8", "replace") if isinstance(patch, bytes) else patch
    return text if len(text) <= PATCH_SHOWN_MAX else f"{text[:PATCH_SHOWN_MAX]}…"
