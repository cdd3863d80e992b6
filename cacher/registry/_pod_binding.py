"""The binding of a pod: a POST that gives it its node, once.

Source: kubernetes pkg/registry/core/pod/storage/storage.go (BindingREST); pkg/apis/core/validation/validation.go
(ValidatePodBinding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from watch import Object

from ..storage import KeyNotFound, Preconditions, ResponseMeta, Update
from ._dry_run import dry_update
from ._errors import BadRequest, Conflict, GroupResource, PlainServerError, quoted
from ._field_errors import FieldError, not_supported, required
from ._meta import JSONObject, deletion_timestamp_of, metadata, name_of, text, with_member, with_metadata
from ._rest import Context, CreateOptions, ValidateObject, accept
from ._storage_errors import Operation, translated
from ._subresource import Part

if TYPE_CHECKING:
    from ._store import RegistryStore

_RESOURCE = GroupResource("", "pods/binding")


def created_status() -> JSONObject:
    """The answer to a POST that made no object of its own."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class BindingStore(Part):
    """The bindings of a store's pods. What binds is a scheduler: the pod's own rules are not asked."""

    def __init__(self, pods: RegistryStore) -> None:
        super().__init__(pods, ("v1", "Binding"))

    async def create_named(
        self,
        context: Context,
        name: str,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """Gives the pod its node, with the binding's annotations and labels. Its uid and version are preconditions.

        Raises:
            Conflict: the pod has a node, is being deleted or is gated, or a precondition does not hold.
            NotFound; BadRequest: it names another pod; PlainServerError: it names no node.
        """
        if name_of(obj) != name:
            raise BadRequest("name in URL does not match name in Binding object")
        if wrong := validate_binding(obj):
            texts = [str(error) for error in wrong]
            raise PlainServerError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        validate(obj)

        def bind(found: Object | None, meta: ResponseMeta) -> Update:
            if found is None:
                raise KeyNotFound(key)
            return Update(bound(found.to_dict(), obj))

        store, key = self._store, self._store.key(context, name)
        uid, version = text(obj, "uid") or None, text(obj, "resourceVersion") or None
        preconditions = Preconditions(uid, version) if uid or version else None
        with translated(Operation.UPDATE, self.resource, name):
            if options.dry_run:
                await dry_update(store.storage, key, bind, preconditions=preconditions)
            else:
                await store.storage.guaranteed_update(key, bind, preconditions=preconditions)
        return created_status()


def validate_binding(binding: JSONObject) -> list[FieldError]:
    """What is wrong with a binding's target."""
    target = binding.get("target") or {}
    kind = target.get("kind") or ""
    wrong = [not_supported("target.kind", kind, ("Node", "<empty>"))] if kind not in ("", "Node") else []
    return wrong if target.get("name") else [*wrong, required("target.name")]


def bound(pod: JSONObject, binding: JSONObject) -> JSONObject:
    """The pod on its node.

    Raises:
        Conflict: it cannot be bound.
    """
    name, spec, status = name_of(pod), pod.get("spec") or {}, pod.get("status") or {}
    if deletion_timestamp_of(pod):
        raise Conflict(_RESOURCE, name, f"pod {name} is being deleted, cannot be assigned to a host")
    if node := spec.get("nodeName"):
        raise Conflict(_RESOURCE, name, f"pod {name} is already assigned to node {quoted(node)}")
    if spec.get("schedulingGates"):
        raise Conflict(_RESOURCE, name, f"pod {name} has non-empty .spec.schedulingGates")
    merged = {
        member: {**(metadata(pod).get(member) or {}), **(metadata(binding).get(member) or {})}
        for member in ("annotations", "labels")
    }
    status = with_member(status, "nominatedNodeName", None)
    status["conditions"] = scheduled(status.get("conditions") or [])
    return with_metadata({**pod, "spec": {**spec, "nodeName": binding["target"]["name"]}, "status": status}, merged)


def scheduled(conditions: list[JSONObject]) -> list[JSONObject]:
    """The conditions of a pod that has a node."""
    fresh = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": None}
    others = [one for one in conditions if one.get("type") != "PodScheduled"]
    return [*others, fresh]
