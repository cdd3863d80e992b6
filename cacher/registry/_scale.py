"""The scale subresource: how many replicas an object wants and has, as an autoscaling/v1 Scale.

    GET  object ─► Scale                    PUT, PATCH  old Scale ─► new Scale ─► object's replicas, and nothing else of it

A Scale has the object's own uid and version: the one that is sent back guards the object. The update goes through the rules
of the object, so that a generation is counted.
Source: kubernetes pkg/registry/apps/deployment/storage/storage.go (ScaleREST, scaleUpdatedObjectInfo).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ._errors import BadRequest, Conflict, GroupResource, Invalid, NotFound
from ._field_errors import FieldError, invalid
from ._label_selectors import read_selector
from ._meta import JSONObject, metadata, name_of, parse_time, text, with_metadata
from ._names import name_is_subdomain
from ._printers_workloads import SCALE
from ._rest import (
    Context,
    UpdatedObjectInfo,
    UpdateOptions,
    ValidateObject,
    ValidateObjectUpdate,
    accept,
    accept_update,
)
from ._subresource import Part
from ._validation_meta import validate_core_meta
from ._workload_validation import NON_NEGATIVE
from .patch import fields, from_scale, to_scale

if TYPE_CHECKING:
    from ..storage import Preconditions
    from ._store import RegistryStore

SCALE_KIND = ("autoscaling/v1", "Scale")
_INVALID_KIND = GroupResource("autoscaling", "Scale")
_SHARED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def selector_text(obj: JSONObject) -> str:
    """`spec.selector` as text.

    Raises:
        BadRequest: it is none.
    """
    selector = (obj.get("spec") or {}).get("selector")
    found = read_selector(selector or {})
    if found is None:
        raise BadRequest(f"{selector} is not a valid label selector")
    return str(found)


class ScaleShape(msgspec.Struct, frozen=True):
    """Where an object keeps what a Scale shows. Paths are members from the top."""

    spec_replicas: tuple[str, ...] = ("spec", "replicas")
    status_replicas: tuple[str, ...] = ("status", "replicas")
    selector: Callable[[JSONObject], str] = selector_text

    def to_scale(self, obj: JSONObject) -> JSONObject:
        """The object's Scale."""
        wanted, present, selector = _at(obj, self.spec_replicas), _at(obj, self.status_replicas), self.selector(obj)
        status: JSONObject = {"replicas": present or 0, **({"selector": selector} if selector else {})}
        return {
            "apiVersion": SCALE_KIND[0],
            "kind": SCALE_KIND[1],
            "metadata": {name: value for name, value in metadata(obj).items() if name in _SHARED},
            "spec": {"replicas": wanted} if wanted else {},
            "status": status,
        }

    def with_replicas(self, obj: JSONObject, replicas: int) -> JSONObject:
        """The object, wanting so many."""
        return _with(obj, self.spec_replicas, replicas)


def _at(obj: JSONObject, path: tuple[str, ...]) -> Any:
    found: Any = obj
    for member in path:
        found = found.get(member) if isinstance(found, dict) else None
    return found


def _with(obj: JSONObject, path: tuple[str, ...], value: object) -> JSONObject:
    member, *rest = path
    return {**obj, member: _with(obj.get(member) or {}, tuple(rest), value) if rest else value}


def validate_scale(scale: JSONObject) -> list[FieldError]:
    """What is wrong with a Scale."""
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    wrong = validate_core_meta(scale, namespaced=True, name_check=name_is_subdomain)
    return wrong + ([invalid("spec.replicas", replicas, NON_NEGATIVE)] if replicas < 0 else [])


class ScaleStore(Part):
    """The scales of a resource's objects."""

    def __init__(self, store: RegistryStore, shape: ScaleShape = ScaleShape()) -> None:  # noqa: B008 - a frozen value
        super().__init__(store, SCALE_KIND)
        self.shape = shape

    def convert_to_table(self, objects: Sequence[JSONObject]) -> JSONObject:
        """Wanted and present replicas."""
        return SCALE.table(objects, parse_time(self._store.environment.now()).timestamp())

    async def get(self, context: Context, name: str, *, resource_version: str = "") -> JSONObject:
        """See Getter."""
        return self.shape.to_scale(await self._store.get(context, name, resource_version=resource_version))

    async def update(
        self,
        context: Context,
        name: str,
        info: UpdatedObjectInfo,
        *,
        validate_create: ValidateObject = accept,
        validate_update: ValidateObjectUpdate = accept_update,
        force_create: bool = False,
        options: UpdateOptions = UpdateOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """See Updater; admission sees Scales, `force_create` is not heeded, and nothing is ever created."""

        def validate_scales(new: JSONObject, old: JSONObject) -> None:
            validate_update(self.shape.to_scale(new), self.shape.to_scale(old))

        obj, _ = await self._store.update(
            context,
            name,
            _ScaledObject(self._store.resource, name, info, self.shape),
            validate_update=validate_scales,
            options=options,
        )
        return self.shape.to_scale(obj), False


class _ScaledObject:
    """Makes the new object of what `info` makes of its Scale."""

    def __init__(self, resource: GroupResource, name: str, info: UpdatedObjectInfo, shape: ScaleShape) -> None:
        self._resource = GroupResource(resource.group, f"{resource.name}/scale")
        self._name = name
        self._info = info
        self._shape = shape

    @property
    def preconditions(self) -> Preconditions | None:
        return self._info.preconditions

    def updated_object(self, context: Context, old: JSONObject | None) -> JSONObject:
        if old is None:
            raise NotFound(self._resource, self._name)
        entries = metadata(old).get("managedFields") or []
        version = old.get("apiVersion", "")
        paths = {version: fields(*self._shape.spec_replicas)}
        before = self._shape.to_scale(old)
        if entries:
            before = with_metadata(before, {"managedFields": to_scale(entries, paths)})
        scale = self._info.updated_object(context, before)
        if scale.get("kind") != SCALE_KIND[1]:
            raise BadRequest(f"expected input object type to be Scale, but {scale.get('kind')}")
        if not text(scale, "namespace"):
            scale = with_metadata(scale, {"namespace": context.namespace})
        if wrong := validate_scale(scale):
            raise Invalid(_INVALID_KIND, name_of(old), wrong)
        uid, present = text(scale, "uid"), text(old, "uid")
        if uid and uid != present:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {present}"
            raise Conflict(self._resource, name_of(old), why)
        scaled = self._shape.with_replicas(old, (scale.get("spec") or {}).get("replicas") or 0)
        managed = from_scale(entries, metadata(scale).get("managedFields") or [], paths, api_version=version)
        return with_metadata(scaled, {"resourceVersion": text(scale, "resourceVersion"), "managedFields": managed})
