"""DeploymentStorage: deployments with their status, their scale and, where it is asked for, the rollback of old.

    DeploymentStorage
    ├── deployment   RegistryStore       all verbs; generation counts spec and annotations; the status stays as it is
    ├── status       SubresourceStore    the status, and annotations; spec and labels stay as they are
    ├── scale        ScaleStore          spec.replicas, as autoscaling/v1
    └── rollback     RollbackStore       POST of a DeploymentRollback: served until 1.15, and never for apps/v1

Source: kubernetes pkg/registry/apps/deployment/strategy.go, storage/storage.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from watch import Object

from ..storage import ResponseMeta, Update
from ._deployment_defaults import default_deployment
from ._deployment_validation import (
    validate_deployment_spec,
    validate_deployment_status,
    validate_deployment_update,
    validate_rollback,
)
from ._dry_run import dry_update
from ._errors import BadRequest, GroupResource, InternalError, Invalid, PlainServerError, quoted
from ._field_errors import FieldError
from ._meta import JSONObject, metadata, with_metadata
from ._replica_sets import pod_name_warnings
from ._rest import Context, CreateOptions, ValidateObject, accept
from ._scale import ScaleStore
from ._storage_errors import Operation, translated
from ._store import Descriptor, RegistryStore
from ._strategy import StatusStrategy, Strategy, count_generation
from ._subresource import Part, SubresourceStore
from ._validation_meta import validate_core_meta_update

if TYPE_CHECKING:
    from .._resources import ResourceInfo
    from ..storage import Interface
    from ._rest import Environment

ROLLBACK_ANNOTATION = "deprecated.deployment.rollback.to"
"""Where an apps/v1 deployment keeps what extensions/v1beta1 had in spec.rollbackTo: the revision; "0": the last but one."""


class DeploymentStrategy(Strategy):
    """The rules of deployments."""

    def __init__(self) -> None:
        super().__init__(GroupResource("apps", "deployments"), "Deployment", empty_status={})

    def default(self, obj: JSONObject) -> JSONObject:
        """See `_deployment_defaults`."""
        return default_deployment(obj)

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays; a changed spec, or changed annotations, count a generation."""
        kept = {**new, "status": old.get("status") or {}}
        annotations = metadata(kept).get("annotations") or {}, metadata(old).get("annotations") or {}
        is_changed = kept.get("spec") != old.get("spec") or annotations[0] != annotations[1]
        return count_generation(kept, old) if is_changed else kept

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_deployment_spec(obj.get("spec") or {})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata and spec; and the selector, which stays as it is."""
        wrong = validate_core_meta_update(new, old) + validate_deployment_spec(new.get("spec") or {})
        return wrong + validate_deployment_update(new, old)

    def warnings_on_create(self, context: Context, obj: JSONObject) -> list[str]:
        """See `pod_name_warnings`."""
        return pod_name_warnings(obj)


class DeploymentStatusStrategy(StatusStrategy):
    """The rules of a deployment's status."""

    def __init__(self, whole: DeploymentStrategy) -> None:
        super().__init__(whole, kept=("spec",), kept_metadata=("labels",))

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """Metadata, and the counts of the status."""
        status = validate_deployment_status(new.get("status") or {}, old.get("status") or {})
        return super().validate_update(context, new, old) + status


class RollbackStore(Part):
    """The rollback of deployments as releases until 1.15 served it; off by default in every release since."""

    def __init__(self, store: RegistryStore) -> None:
        super().__init__(store, ("extensions/v1beta1", "DeploymentRollback"))

    async def create_named(
        self,
        context: Context,
        name: str,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """Notes on the deployment where it is to go back to; its controller does the rest. Returns a Status.

        The deployment's own rules are not asked: nothing is validated, and no generation is counted.
        Raises:
            BadRequest: `obj` is no DeploymentRollback, or names another deployment.
            Invalid: it lacks a name, or its revision is negative.
            NotFound, InternalError.
        """
        if obj.get("kind") != "DeploymentRollback":
            raise BadRequest(f"not a DeploymentRollback: {obj.get('kind')}")
        told = obj.get("name") or ""
        if wrong := validate_rollback(obj):
            raise Invalid(GroupResource("apps", "DeploymentRollback"), told, wrong)
        if told != name:
            raise BadRequest("name in URL does not match name in DeploymentRollback object")
        validate(obj)
        try:
            await self._note(context, name, obj, dry_run=options.dry_run)
        except PlainServerError as error:
            raise InternalError(error.message) from error
        message = f"rollback request for deployment {quoted(name)} succeeded"
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "message": message,
            "code": 200,
        }

    async def _note(self, context: Context, name: str, rollback: JSONObject, *, dry_run: bool) -> None:
        revision = (rollback.get("rollbackTo") or {}).get("revision") or 0
        more = {**(rollback.get("updatedAnnotations") or {}), ROLLBACK_ANNOTATION: str(revision)}

        def note(found: Object | None, meta: ResponseMeta) -> Update:
            assert found is not None, "a missing deployment is an error of the storage here"
            present = found.to_dict()
            return Update(
                with_metadata(present, {"annotations": {**(metadata(present).get("annotations") or {}), **more}})
            )

        key, storage = self._store.key(context, name), self._store.storage
        with translated(Operation.UPDATE, self.resource, name):
            if dry_run:
                await dry_update(storage, key, note)
            else:
                await storage.guaranteed_update(key, note)


class DeploymentStorage(msgspec.Struct, frozen=True):
    """All storages of deployments."""

    deployment: RegistryStore
    status: SubresourceStore
    scale: ScaleStore
    rollback: RollbackStore | None = None
    """None: not served, as in every release since 1.16."""

    @classmethod
    def of(
        cls, storage: Interface, info: ResourceInfo, environment: Environment, *, serve_rollback: bool = False
    ) -> DeploymentStorage:
        """The storages over one storage of deployments."""
        strategy = DeploymentStrategy()
        descriptor = Descriptor("deployment", ("deploy",), ("all",))
        store = RegistryStore(storage, info, strategy, environment=environment, descriptor=descriptor)
        status = SubresourceStore(store, DeploymentStatusStrategy(strategy))
        return cls(store, status, ScaleStore(store), RollbackStore(store) if serve_rollback else None)
