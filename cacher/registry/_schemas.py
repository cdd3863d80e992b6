"""What is known of a resource's objects beyond its strategy: their type, and who keeps their managedFields. Pure.

A built-in kind's type comes from the table of `patch`; a custom one's from its definition's schema, and a kind of which
nothing is known is taken as it comes.
Source: kubernetes/apimachinery pkg/util/managedfields (FieldManager).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from ._bodies import of_kind
from ._decode import decode, decode_metadata
from .patch import FieldManager as BookKeeper
from .patch import FieldSet, Type, fields, kind_type


class FieldManager(Protocol):
    """Keeps managedFields for one endpoint. Objects are not changed in place."""

    def update(self, live: dict[str, Any] | None, new: dict[str, Any], *, manager: str, now: str) -> dict[str, Any]:
        """`new`, which `manager` is about to write over `live` (None: nothing), with its managedFields."""
        ...

    def apply(
        self, live: dict[str, Any] | None, patch: Any, *, manager: str, now: str, force: bool = False
    ) -> dict[str, Any]:
        """What `live` (None: nothing) becomes when `manager` applies `patch`, with its managedFields.

        Raises:
            ApplyConflict: other managers own fields that the patch sets to other values, and `force` is False.
            APIError: the patch is none.
        """
        ...


class Endpoint(msgspec.Struct, frozen=True):
    """What bodies are sent to: a kind in one version, or a subresource of it."""

    api_version: str
    kind: str
    subresource: str = ""
    reset: tuple[tuple[str, ...], ...] = ()
    """Paths of what callers cannot set there: `("status",)` on the main one."""


class Schemas(Protocol):
    """What is known of objects, by endpoint."""

    def type_of(self, endpoint: Endpoint) -> Type | None:
        """What a body there is; None: nothing is known, and nothing is dropped."""
        ...

    def field_manager(self, endpoint: Endpoint) -> FieldManager | None:
        """Who keeps book there; None: managedFields are as clients send them."""
        ...

    def decoded(self, endpoint: Endpoint, body: Any) -> tuple[dict[str, Any], list[str]]:
        """The body as an object of the endpoint's kind, and the paths of what nobody knows, which it has no more.

        Raises:
            BadRequest: it is none.
        """
        ...


@runtime_checkable
class DescribedSchemas(Protocol):
    """What was said of objects in OpenAPI's words by whoever defined them."""

    def open_api(self, api_version: str) -> Mapping[str, Any] | None:
        """The openAPIV3Schema of a version's objects; None: nothing was said."""
        ...


class BuiltInSchemas:
    """The built-in kinds. Of others nothing is known but that their maps merge.

    Args:
        keeps_managed_fields: False leaves them to clients: half the bytes of an object, and no server-side apply.
    """

    def __init__(self, *, keeps_managed_fields: bool = True) -> None:
        self.keeps_managed_fields = keeps_managed_fields

    def type_of(self, endpoint: Endpoint) -> Type | None:
        """See Schemas."""
        return kind_type(endpoint.api_version, endpoint.kind)

    def decoded(self, endpoint: Endpoint, body: Any) -> tuple[dict[str, Any], list[str]]:
        """See Schemas."""
        version, kind = endpoint.api_version, endpoint.kind
        obj = of_kind(body, version, kind, is_known=_is_known)
        type_ = kind_type(version, kind)
        return decode_metadata(obj, version, kind) if type_ is None else decode(obj, type_, version, kind)

    def field_manager(self, endpoint: Endpoint) -> FieldManager | None:
        """See Schemas."""
        if not self.keeps_managed_fields:
            return None
        version, kind = endpoint.api_version, endpoint.kind
        reset = FieldSet.of(fields(*path) for path in endpoint.reset)
        if kind_type(version, kind) is None:
            return BookKeeper.custom(version, kind, {version: None}, subresource=endpoint.subresource, reset=reset)
        return BookKeeper.built_in(version, kind, subresource=endpoint.subresource, reset=reset)


def _is_known(api_version: str, kind: str) -> bool:
    return kind_type(api_version, kind) is not None
