"""Who keeps metadata.managedFields: the hook between the registry and the algorithms of server-side apply. Pure.

Source: kubernetes/apimachinery pkg/util/managedfields (FieldManager).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """What a manager keeps book of: a kind in one version, or a subresource of it."""

    api_version: str
    kind: str
    subresource: str = ""
    reset: tuple[tuple[str, ...], ...] = ()
    """Paths of what callers cannot set there: `("status",)` on the main one."""


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


FieldManagers = Callable[[Endpoint], FieldManager | None]
"""Makes the manager of an endpoint; None: nobody keeps book there."""
