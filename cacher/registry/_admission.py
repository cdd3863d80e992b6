"""What may be written where, beyond a resource's own rules: nothing new in a namespace that is missing, or about to go.

    namespace unknown                          404 namespaces "x" not found
    namespace being deleted                    403 … because it is being terminated

Source: kubernetes/apiserver pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ._errors import Cause, Forbidden, GroupResource, NotFound
from ._meta import JSONObject, deletion_timestamp_of
from ._rest import Context, Getter

IMMORTAL = ("default", "kube-system", "kube-public")
"""Namespaces that cannot be deleted."""


class Admission(Protocol):
    """Asked before something new is, or may be, written to a namespaced resource."""

    async def admit(self, resource: GroupResource, name: str, context: Context) -> None:
        """Raises an APIError to refuse."""
        ...


class AdmitAll:
    """Refuses nothing: for a registry without namespaces."""

    async def admit(self, resource: GroupResource, name: str, context: Context) -> None:
        """See Admission."""


class NamespaceLifecycle:
    """Looks the namespace up in the store of namespaces, which is asked for when it is first needed."""

    def __init__(self, namespaces: Callable[[], Getter]) -> None:
        self._namespaces = namespaces

    async def admit(self, resource: GroupResource, name: str, context: Context) -> None:
        """See Admission.

        Raises:
            NotFound: there is no such namespace.
            Forbidden: it is being deleted.
        """
        if not context.namespace:
            return
        namespace = await self._found(context.namespace)
        if deletion_timestamp_of(namespace):
            cause = Cause(
                "NamespaceTerminating", f"namespace {context.namespace} is being terminated", "metadata.namespace"
            )
            why = f"unable to create new content in namespace {context.namespace} because it is being terminated"
            raise Forbidden(resource, name, why, [cause])

    async def _found(self, name: str) -> JSONObject:
        try:
            return await self._namespaces().get(Context(), name)
        except NotFound as error:
            raise NotFound(GroupResource("", "namespaces"), name) from error
