"""All resources of a server: for each its RESTStorage over a Storage.Interface, and the door to it.

    Registry ─ resource("apps/v1", "deployments") ─► ResourceDoor ─► RESTStorage ─► storage_for(info)

Each is made when it is first asked for. What no maker is written for gets the rules that all resources share. A resource of
one's own is one call:

    registry.add(ResourceInfo("example.com/v1", "Widget", "widgets", "/registry/example.com/widgets/"), make_widgets)

Source: kubernetes pkg/controlplane/instance.go, pkg/registry/*/rest/storage_*.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from weakref import WeakValueDictionary

from .._resources import RESOURCES, ResourceInfo, find_resource
from ..storage import Interface
from ._admission import Admission, NamespaceLifecycle
from ._built_in import built_in, without_rules
from ._custom_schemas import DefinitionSchemas
from ._definitions import DEFINITIONS, DefinitionStatusStrategy, DefinitionStore, DefinitionStrategy
from ._errors import UnknownResource
from ._makers import Installed, Maker, plain_resource
from ._resource_door import ResourceDoor
from ._rest import Environment, Getter
from ._schemas import BuiltInSchemas, Schemas
from ._service_pools import CLUSTER_CIDR, NODE_PORTS, ServicePools
from ._subresource import SubresourceStore


def _definitions(storage: Interface, info: ResourceInfo, environment: Environment) -> Installed:
    store = DefinitionStore(storage, info, environment=environment)
    status = SubresourceStore(store, DefinitionStatusStrategy(DefinitionStrategy()))
    return Installed(store, {"status": status}, DefinitionSchemas())


class Registry:
    """All resources.

    Args:
        storage_for: where the objects of a resource are kept; called once for each resource that is used.
        environment: the time, and chance.
        schemas: what is known of objects, and who keeps their managedFields; by default of the built-in kinds.
        checks_namespaces: what is written into a namespace that is not there is refused.
        cluster_cidr: the addresses of services.
        node_ports: the ports that services have on nodes.
    """

    def __init__(
        self,
        storage_for: Callable[[ResourceInfo], Interface],
        *,
        environment: Environment,
        schemas: Schemas | None = None,
        checks_namespaces: bool = True,
        cluster_cidr: str = CLUSTER_CIDR,
        node_ports: range = NODE_PORTS,
    ) -> None:
        self.environment = environment
        self._storage_for = storage_for
        self.schemas = schemas if schemas is not None else BuiltInSchemas()
        self._admission: Admission | None = NamespaceLifecycle(self._namespaces) if checks_namespaces else None
        pools = ServicePools(environment.random, cidr=cluster_cidr, node_ports=node_ports)
        self._built_in: dict[tuple[str, str], Maker] = {**built_in(self.resource, pools), DEFINITIONS: _definitions}
        self._added: dict[tuple[str, str], tuple[ResourceInfo, Maker, Interface | None]] = {}
        self._doors: dict[tuple[str, str], ResourceDoor] = {}
        # Doors to what was removed, as long as somebody holds them: should it be added again, they lead there.
        self._closed: WeakValueDictionary[tuple[str, str], ResourceDoor] = WeakValueDictionary()
        self.generation = 0
        """Grows whenever a resource is added or removed: what was made of `resources` before is then outdated."""

    def add(
        self, info: ResourceInfo, maker: Maker = plain_resource, *, storage: Interface | None = None
    ) -> ResourceDoor:
        """Serve another resource, or an own version of a known one, from now on, and through doors that are held too.

        Args:
            storage: where its objects are; None: what `storage_for` gives.
        """
        known = (info.group_version, info.plural)
        self._added[known] = (info, maker, storage)
        made = self._made(*known)
        self.generation += 1
        held = self._doors.get(known) or self._closed.pop(known, None)
        door = self._doors[known] = held if held is not None else made
        if door is not made:
            door.become(made)
        return door

    def remove(self, group_version: str, plural: str) -> None:
        """Serve it no more; doors that are held lead to what was there, until it is added again."""
        known = (group_version, plural)
        if self._added.pop(known, None) is not None:
            self.generation += 1
        if (door := self._doors.pop(known, None)) is not None:
            self._closed[known] = door

    def served(self) -> tuple[tuple[str, str], ...]:
        """Group version and plural of all that there is: the built-in resources in the table's order, then what was added."""
        return tuple({**dict.fromkeys(RESOURCES), **dict.fromkeys(self._added)})

    def resource(self, group_version: str, plural: str) -> ResourceDoor:
        """The door to a resource: `resource("apps/v1", "deployments")`.

        Raises:
            UnknownResource: there is none of that name.
        """
        known = (group_version, plural)
        door = self._doors.get(known)
        if door is None:
            door = self._doors[known] = self._made(*known)
        return door

    def resources(self) -> list[ResourceDoor]:
        """The doors to all that is served: the built-in resources, then what was added, oldest first. Cost: O(resources)."""
        return [self.resource(*known) for known in self.served()]

    def _made(self, group_version: str, plural: str) -> ResourceDoor:
        added = self._added.get((group_version, plural))
        storage: Interface | None = None
        if added is not None:
            info, maker, storage = added
        else:
            if (group_version, plural) not in RESOURCES:
                raise UnknownResource(f"{plural} of {group_version}")
            info = find_resource(group_version, plural)
            maker = self._built_in.get((group_version, plural), without_rules)
        installed = maker(storage if storage is not None else self._storage_for(info), info, self.environment)
        return ResourceDoor(
            info,
            installed.storage,
            installed.subresources,
            environment=self.environment,
            admission=self._admission if info.namespaced else None,
            schemas=installed.schemas if installed.schemas is not None else self.schemas,
        )

    def _namespaces(self) -> Getter:
        return cast("Getter", self.resource("v1", "namespaces").storage)
