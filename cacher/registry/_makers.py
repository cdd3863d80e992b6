"""How a resource's storages are made over the one that keeps its objects.

A resource of one's own needs `with_strategy`; the built-in ones are in `_built_in`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from .._resources import ResourceInfo
from ..storage import Interface
from ._errors import GroupResource
from ._rest import Environment, Storage
from ._scale import ScaleStore
from ._schemas import Schemas
from ._store import Descriptor, Hooks, RegistryStore
from ._strategy import StatusStrategy, Strategy
from ._subresource import SubresourceStore


class Installed(msgspec.Struct, frozen=True):
    """A resource's RESTStorage, and those of its subresources."""

    storage: Storage
    subresources: Mapping[str, Storage] = {}
    schemas: Schemas | None = None
    """None: the registry's."""


Maker = Callable[[Interface, ResourceInfo, Environment], Installed]
"""Makes a resource's storages over the one that keeps its objects."""


def plain_resource(
    storage: Interface,
    info: ResourceInfo,
    environment: Environment,
    descriptor: Descriptor = Descriptor(),  # noqa: B008 - a frozen value
) -> Installed:
    """A resource without rules of its own."""
    group = info.group_version.rpartition("/")[0]
    strategy = Strategy(GroupResource(group, info.plural), info.kind, namespaced=info.namespaced)
    return Installed(RegistryStore(storage, info, strategy, environment=environment, descriptor=descriptor))


def with_strategy(
    strategy: Strategy,
    hooks: Hooks = Hooks(),  # noqa: B008 - a frozen value
    *,
    status: StatusStrategy | None = None,
    has_scale: bool = False,
    descriptor: Descriptor = Descriptor(),  # noqa: B008 - a frozen value
    returns_deleted_object: bool = False,
) -> Maker:
    """Makes a resource that has a strategy, and perhaps hooks, a status and a scale.

    Args:
        status: the rules of its status, where that is written by itself.
        has_scale: it has `spec.replicas`, `status.replicas` and `spec.selector`.
        returns_deleted_object: a deletion answers with the object, not with a Status.
    """

    def make(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
        store = RegistryStore(
            storage,
            info,
            strategy,
            environment=environment,
            hooks=hooks,
            descriptor=descriptor,
            returns_deleted_object=returns_deleted_object,
        )
        parts: dict[str, Storage] = {}
        if status is not None:
            parts["status"] = SubresourceStore(store, status)
        if has_scale:
            parts["scale"] = ScaleStore(store)
        return Installed(store, parts)

    return make
