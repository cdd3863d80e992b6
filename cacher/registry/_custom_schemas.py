"""What is known of custom resources, and of their definitions, before any rule is asked: how bodies are read. Pure.

A custom resource has no type that a strategic merge could go by; who owns which field is told by its structural schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._bodies import of_kind
from ._decode import decode_metadata
from ._errors import BadRequest
from ._meta import JSONObject
from ._scale import SCALE_KIND
from ._schemas import BuiltInSchemas, Endpoint, FieldManager
from .patch import FieldManager as BookKeeper
from .patch import FieldSet, Type, fields, kind_type
from .schema import BadMetadata, Definition, Version, shape_problem


class DefinitionSchemas(BuiltInSchemas):
    """Of customresourcedefinitions: a kind of the table whose schemas are looked at more closely."""

    def decoded(self, endpoint: Endpoint, body: Any) -> tuple[JSONObject, list[str]]:
        """See Schemas."""
        obj = of_kind(body, endpoint.api_version, endpoint.kind, is_known=_is_known)
        if problem := shape_problem(obj):
            raise _unreadable(endpoint.api_version, endpoint.kind, problem)
        return super().decoded(endpoint, obj)


class CustomSchemas(BuiltInSchemas):
    """Of one version of a definition, and of its scale.

    Args:
        schemas: the openAPIV3Schema of each version, by apiVersion.
    """

    def __init__(
        self,
        definition: Definition,
        version: Version,
        schemas: Mapping[str, Mapping[str, Any] | None],
        *,
        preserves_unknown: bool = False,
        keeps_managed_fields: bool = True,
    ) -> None:
        super().__init__(keeps_managed_fields=keeps_managed_fields)
        self._kind = definition.names.kind
        self._version = version
        self._schemas = schemas
        self._preserves_unknown = preserves_unknown

    def open_api(self, api_version: str) -> Mapping[str, Any] | None:
        """See DescribedSchemas."""
        return self._schemas.get(api_version)

    def type_of(self, endpoint: Endpoint) -> Type | None:
        """None, of the scale too: there are no strategic merges."""
        return None

    def field_manager(self, endpoint: Endpoint) -> FieldManager | None:
        """See Schemas."""
        if not self.keeps_managed_fields or _is_scale(endpoint):
            return super().field_manager(endpoint)
        return BookKeeper.custom(
            endpoint.api_version,
            endpoint.kind,
            self._schemas,
            subresource=endpoint.subresource,
            reset=FieldSet.of(fields(*path) for path in endpoint.reset),
            preserve=self._preserves_unknown,
        )

    def decoded(self, endpoint: Endpoint, body: Any) -> tuple[JSONObject, list[str]]:
        """See Schemas. A wrong kind is for validation to refuse."""
        if _is_scale(endpoint):
            return super().decoded(endpoint, body)
        version = self._version
        if not isinstance(body, dict):
            raise _unreadable(version.api_version, self._kind, "it is no JSON object")
        told = body.get("apiVersion") or version.api_version
        if told != version.api_version:
            expected = f"does not match the expected API version ({version.api_version})"
            raise BadRequest(f"the API version in the data ({told}) {expected}")
        try:
            obj, unknown = version.admit({**body, "apiVersion": told, "kind": body.get("kind") or self._kind})
        except BadMetadata as problem:
            raise _unreadable(version.api_version, self._kind, str(problem)) from None
        obj, more = decode_metadata(obj, version.api_version, self._kind)
        return obj, [*unknown, *more]


def _is_scale(endpoint: Endpoint) -> bool:
    return (endpoint.api_version, endpoint.kind) == SCALE_KIND


def _is_known(api_version: str, kind: str) -> bool:
    return kind_type(api_version, kind) is not None


def _unreadable(api_version: str, kind: str, problem: str) -> BadRequest:
    version = api_version.rpartition("/")[2]
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')
