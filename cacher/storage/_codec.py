"""The codec and the versioner: an object as it is stored, and what is read back.

    Value ─encode─► JSON without resourceVersion and selfLink, kind filled in, members sorted ─► etcd: revision 42
    Object(revision=42) ◄─decode─ the same bytes

Equal contents are equal bytes, whoever wrote them: that is how an update that changes nothing is known. Pure.

Source: kubernetes/apiserver pkg/storage/api_object_versioner.go (PrepareObjectForStorage). Differs: Kubernetes stores
built-in resources as protobuf; JSON with its members sorted is what it does with custom resources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from watch import Object, ObjectReader

from ._errors import InvalidValue
from ._interface import Value

_NOT_STORED = ("resourceVersion", "selfLink")


class Codec:
    """Encodes and decodes one resource's objects.

    Args:
        group_version, kind: what an object gets as `apiVersion` and `kind` where it has none; "": nothing.
        fields, absent, read_from: the resource's selectable fields; see watch.ObjectReader.
    """

    def __init__(
        self,
        *,
        group_version: str = "",
        kind: str = "",
        fields: Sequence[str] = (),
        absent: Mapping[str, str] | None = None,
        read_from: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._group_version = group_version
        self._kind = kind
        self._reader = ObjectReader(fields, absent=absent, read_from=read_from)

    @property
    def group(self) -> str:
        """The API group of the objects: `apps`; "" is the core's."""
        return self._group_version.rpartition("/")[0]

    def encode(self, value: Value) -> bytes:
        """`value` as it is to be stored. What is handed in is not changed.

        Raises:
            InvalidValue: it is not a JSON object.
        Cost: O(size), about 10 µs a KB for bytes, which are decoded first.
        """
        whole = dict(read_value(value))
        if self._group_version and not whole.get("apiVersion"):
            whole["apiVersion"] = self._group_version
        if self._kind and not whole.get("kind"):
            whole["kind"] = self._kind
        metadata = whole.get("metadata")
        if isinstance(metadata, dict) and not metadata.keys().isdisjoint(_NOT_STORED):
            whole["metadata"] = {name: member for name, member in metadata.items() if name not in _NOT_STORED}
        try:
            return msgspec.json.encode(whole, order="deterministic")
        except (TypeError, ValueError, UnicodeEncodeError, RecursionError) as error:
            raise InvalidValue(f"the value cannot be written as JSON: {error}") from error

    def decode(self, key: str, raw: bytes, revision: int) -> Object:
        """What is stored under the (full) `key` and was written at `revision`.

        Raises:
            watch.ObjectDecodeError: it is no JSON object.
        Cost: O(size), about 1 µs a KB.
        """
        return self._reader.read(key, raw, revision)

    def is_stored_as(self, obj: Object, raw: bytes) -> bool:
        """True where `obj`, which this codec decoded, is stored as the encoded bytes `raw`: writing these changes nothing."""
        return obj.raw == raw

    def is_stale(self, raw: bytes) -> bool:
        """True of encoded bytes that the next update is to write anew, though it changes nothing. Here never."""
        return False


def read_value(value: Value) -> dict[str, Any]:
    """`value` as a dict: decoded anew, or the very one handed in.

    Raises:
        InvalidValue: it is not a JSON object.
    """
    if isinstance(value, dict):
        return value
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"the value is not JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise InvalidValue(f"the value is not a JSON object: {type(decoded).__name__}")
    return decoded


def carries_resource_version(value: Value) -> bool:
    """True where the object says at which revision it is: it was read, and is not new. One that is no number says nothing.

    Raises:
        InvalidValue: it is not a JSON object.
    """
    metadata = read_value(value).get("metadata")
    told = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    return isinstance(told, str) and told.isascii() and told.isdigit() and told.strip("0") != ""
