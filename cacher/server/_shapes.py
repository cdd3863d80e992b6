"""Objects, and pages of them, in the form that was asked for: as they are, as a Table, or as their metadata alone. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers/response.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..registry import (
    BadRequest,
    JSONObject,
    NotAcceptable,
    ObjectPage,
    ResourceDoor,
    TableConvertor,
)
from ._encoding import encode, shown
from ._negotiation import Accepted, Transformation
from ._request import Head

INCLUDES = ("", "Metadata", "Object", "None")
SLICE = 256
"""Objects of a list that are encoded between two moments in which others may run."""


class Shape:
    """How what `door` answers is shown.

    Args:
        include: how much of an object stands beside its row: `Metadata`, `Object`, `None`.
    """

    def __init__(self, door: ResourceDoor, accepted: Accepted, include: str = "") -> None:
        self.door = door
        self.accepted = accepted
        self.transformation: Transformation | None = accepted.transformation
        self.include = include or "Metadata"

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for shapes that show the same objects in the same way."""
        if self.transformation is None:
            return self.door.kind
        include = self.include if self.transformation.kind == "Table" else ""
        return (*self.door.kind, self.door.info.plural, self.transformation.kind, self.transformation.version, include)

    def object(self, obj: JSONObject) -> JSONObject:
        """One object.

        Raises:
            NotAcceptable: it cannot be shown so.
        """
        wanted = self.transformation
        if wanted is None or obj.get("kind") == "Status":
            return obj
        if wanted.kind == "Table":
            table = self.table([obj])
            version = (obj.get("metadata") or {}).get("resourceVersion")
            table["metadata"] = {"resourceVersion": version} if version else {}
            return table
        if wanted.kind == "PartialObjectMetadata":
            return self.partial(obj)
        raise NotAcceptable(
            f"you requested PartialObjectMetadataList, but the requested object is not a list ({self._go_type()})"
        )

    def page(self, page: ObjectPage) -> Iterator[bytes]:
        """A page as JSON, in pieces of some objects.

        Raises:
            NotAcceptable: it cannot be shown so.
        """
        wanted = self.transformation
        if wanted is None:
            return self._plain_page(page)
        if wanted.kind == "PartialObjectMetadata":
            raise NotAcceptable(
                f"you requested PartialObjectMetadata, but the requested object is a list ({self._go_type()}List)"
            )
        if wanted.kind == "Table":
            return self._table_page(page)
        return self._partial_page(page, wanted)

    def _plain_page(self, page: ObjectPage) -> Iterator[bytes]:
        door = self.door
        head = {"kind": door.list_kind, "apiVersion": door.kind[0], "metadata": list_metadata(page, door)}
        yield encode(head)[:-1] + b',"items":['
        yield from _joined(page, lambda obj: shown(obj, with_types=door.is_custom))
        yield b"]}\n"

    def _table_page(self, page: ObjectPage) -> Iterator[bytes]:
        objects = page.objects
        table = self.table([obj.to_dict() for obj in objects[:SLICE]])
        rows = table.pop("rows")
        table["metadata"] = list_metadata(page)
        yield encode(table)[:-1] + b',"rows":[' + b",".join(map(encode, rows))
        for start in range(SLICE, len(objects), SLICE):
            more = self.table([obj.to_dict() for obj in objects[start : start + SLICE]])["rows"]
            yield b"," + b",".join(map(encode, more))
        yield b"]}\n"

    def _partial_page(self, page: ObjectPage, wanted: Transformation) -> Iterator[bytes]:
        head = {"kind": wanted.kind, "apiVersion": wanted.api_version, "metadata": list_metadata(page)}
        yield encode(head)[:-1] + b',"items":['
        yield from _joined(page, lambda obj: encode(self.partial(obj.to_dict())))
        yield b"]}\n"

    def table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """Objects as a Table, each row with what was asked for of its object."""
        storage, wanted = self.door.storage, self.transformation
        assert isinstance(storage, TableConvertor), "looked at when the form was chosen"
        assert wanted is not None, "a table was asked for"
        table = storage.convert_to_table(objects)
        table["apiVersion"] = wanted.api_version
        table["rows"] = [{**row, "object": self._beside(row["object"])} for row in table["rows"]]
        return table

    def partial(self, obj: JSONObject) -> JSONObject:
        """The object's metadata, as an object."""
        assert self.transformation is not None, "a part was asked for"
        version = self.transformation.api_version
        return {"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": obj.get("metadata") or {}}

    def _beside(self, obj: JSONObject) -> JSONObject | None:
        if self.include == "Object":
            return obj
        return self.partial(obj) if self.include == "Metadata" else None

    def _go_type(self) -> str:
        """What Kubernetes calls such objects inside: its errors show it."""
        if self.door.is_custom:
            return "*unstructured.Unstructured"
        group = self.door.kind[0].rpartition("/")[0].partition(".")[0] or "core"
        return f"*{group}.{self.door.kind[1]}"


def read_include(head: Head) -> str:
    """How much of an object a row of a table is to have.

    Raises:
        BadRequest: no such amount.
    """
    include = head.parameter("includeObject") or ""
    if include not in INCLUDES:
        wrong = f"includeObject: Invalid value: {encode(include).decode()}"
        raise BadRequest(
            f"Unable to convert to Table as requested: {wrong}: must be 'Metadata', 'Object', 'None', or empty"
        )
    return include


def list_metadata(page: ObjectPage, door: ResourceDoor | None = None) -> dict[str, Any]:
    """The metadata of a list; of custom resources it always has a `continue`."""
    found: dict[str, Any] = {"resourceVersion": str(page.revision)}
    if page.continue_token or (door is not None and door.is_custom):
        found["continue"] = page.continue_token
    if page.remaining is not None:
        found["remainingItemCount"] = page.remaining
    return found


def _joined(page: ObjectPage, encoded: Any) -> Iterator[bytes]:
    objects = page.objects
    for start in range(0, len(objects), SLICE):
        piece = b",".join(map(encoded, objects[start : start + SLICE]))
        yield b"," + piece if start else piece
