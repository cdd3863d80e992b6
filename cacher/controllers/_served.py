"""Which resources an API serves: what a garbage collector mirrors and a namespace is emptied of. Pure.

The built-in ones are known by name; a custom one is read off its definition, in one of the versions that it is served in.
Source: kube-controller-manager asks the API's discovery, and a RESTMapper for the resource of a kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import msgspec

from .._resources import RESOURCES


class ServedResource(msgspec.Struct, frozen=True):
    """A resource, by the names under which an API serves it."""

    version: str
    """Such as "v1" or "apps/v1"."""
    plural: str
    kind: str
    is_namespaced: bool = True

    @property
    def group(self) -> str:
        """ "" is the core group."""
        return group_of(self.version)

    @property
    def shown(self) -> str:
        """As a namespace's conditions name it: `configmaps.` of the core group, `deployments.apps`."""
        return f"{self.plural}.{self.group}"


DEFINITIONS = ServedResource("apiextensions.k8s.io/v1", "customresourcedefinitions", "CustomResourceDefinition", False)

BUILT_IN: tuple[ServedResource, ...] = tuple(
    ServedResource(info.group_version, info.plural, info.kind, info.namespaced) for info in RESOURCES.values()
)
"""Those that are served without anybody's definition."""


def group_of(version: str) -> str:
    """The API group of a group version; "" of the core group's.

    >>> group_of("apps/v1"), group_of("v1")
    ('apps', '')
    """
    return version.rpartition("/")[0]


def served_by(definition: dict[str, Any]) -> ServedResource | None:
    """What a customresourcedefinition makes an API serve; None while its names are not accepted, or it is not established.

    Of several versions it is the one in which objects are stored, or the first that is served: they are the same objects.
    """
    spec, status = definition.get("spec") or {}, definition.get("status") or {}
    names = status.get("acceptedNames") or {}
    established = any(
        condition.get("type") == "Established" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
    served = [version for version in spec.get("versions") or () if version.get("served")]
    if not (established and served and names.get("plural") and names.get("kind")):
        return None
    version = next((one for one in served if one.get("storage")), served[0])
    return ServedResource(
        f"{spec.get('group', '')}/{version['name']}", names["plural"], names["kind"], spec.get("scope") == "Namespaced"
    )


@final
class Kinds:
    """The resource of a kind, as owner references name it.

    >>> Kinds(BUILT_IN).find("apps/v1beta1", "ReplicaSet").plural
    'replicasets'
    """

    def __init__(self, served: Iterable[ServedResource]) -> None:
        self.served = tuple(served)
        self._by_kind = {(one.group, one.kind): one for one in reversed(self.served)}

    def find(self, version: str, kind: str) -> ServedResource | None:
        """The resource of that kind, whatever version of its group is named; None: nobody serves it."""
        return self._by_kind.get((group_of(version), kind))
