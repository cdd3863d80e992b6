"""Custom resources as they are stored, and as one version of their definition shows them. Pure.

    Value ─encode─► the storage version, without what its schema does not know ─► etcd
    Object ◄─decode─ shown in the served version ◄─ with the stored version's defaults, without what it does not know

So a read, a list, a watch and a selector all see what the present schema makes of an object, whenever it was written; and an
object that would be stored with other bytes than it is, is written by the next update, though it looks the same.
Source: kubernetes/apiextensions-apiserver pkg/apiserver/customresource_handler.go (schemaCoercingDecoder,
schemaCoercingConverter, unstructuredDefaulter).
"""

from __future__ import annotations

import msgspec

from watch import Object, ObjectDecodeError

from ..storage import Codec, Value, read_value
from ._meta import JSONObject, generation_of, with_metadata
from .schema import BadMetadata, Definition, Version


class ShownObject(Object, frozen=True, gc=False):
    """An object that is stored in another form than it is shown in."""

    stored: bytes = b""
    """What is stored."""


class CustomResourceCodec(Codec):
    """The codec of one version of a definition.

    Args:
        definition: the whole of it: objects may be stored in any version that it has.
        version: the one in which objects are read and written here.
    """

    def __init__(self, definition: Definition, version: Version) -> None:
        super().__init__(group_version=definition.storage_version.api_version, kind=definition.names.kind)
        self._definition = definition
        self._version = version
        self._by_api_version = {one.api_version: one for one in definition.versions.values()}

    def encode(self, value: Value) -> bytes:
        """See Codec.encode."""
        kept = self._definition.storage_version
        obj = self._definition.converted(read_value(value), kept.name)
        if kept is not self._version:
            obj, _ = kept.prune(obj)
        return super().encode(obj)

    def decode(self, key: str, raw: bytes, revision: int) -> Object:
        """See Codec.decode. Cost: O(size), about 30 µs a KB: defaults are in the whole of it.

        Raises:
            watch.ObjectDecodeError: it is no object, or of a version that the definition does not have.
        """
        try:
            stored = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ObjectDecodeError(key, revision, str(error)) from error
        try:
            obj = self._shown(stored) if isinstance(stored, dict) else stored
        except (BadMetadata, _UnknownVersion) as error:
            raise ObjectDecodeError(key, revision, str(error)) from error
        is_same = obj == stored
        found = super().decode(key, raw if is_same else msgspec.json.encode(obj, order="deterministic"), revision)
        fields = {path: text for path, text in self._version.selectable(obj).items() if text}
        if not is_same:
            members = {name: getattr(found, name) for name in Object.__struct_fields__}
            return ShownObject(**{**members, "fields": fields, "stored": raw})
        return msgspec.structs.replace(found, fields=fields) if fields else found

    def is_stored_as(self, obj: Object, raw: bytes) -> bool:
        """See Codec.is_stored_as."""
        return (obj.stored if isinstance(obj, ShownObject) else obj.raw) == raw

    def _shown(self, stored: JSONObject) -> JSONObject:
        """Source: its defaults are those of the version in which it is stored, as in Kubernetes."""
        own = self._by_api_version.get(stored.get("apiVersion") or self._definition.storage_version.api_version)
        if own is None:
            raise _UnknownVersion(f"it is stored as {stored.get('apiVersion')}, which the definition does not have")
        obj: JSONObject = own.admit(stored).obj
        if own is not self._version:
            obj, _ = self._version.prune(self._definition.converted(obj, self._version.name))
        # Whoever wrote it past the API counted no generations.
        return obj if generation_of(obj) > 0 else with_metadata(obj, {"generation": 1})


class _UnknownVersion(Exception):
    """The object is of a version that the definition no longer has: whoever took it out must put it back, and migrate."""
