"""Who keeps metadata.managedFields: the hook between the registry and the algorithms of server-side apply. Pure.

Source: kubernetes/apimachinery pkg/util/managedfields (FieldManager).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class FieldManager(Protocol):
    """Keeps managedFields for all resources. Objects say their apiVersion and kind."""

    def update(
        self,
        live: Mapping[str, Any] | None,
        new: Mapping[str, Any],
        *,
        manager: str,
        subresource: str = "",
        now: str,
    ) -> dict[str, Any]:
        """`new`, which `manager` is about to write over `live` (None: nothing), with its managedFields."""
        ...

    def apply(
        self,
        live: Mapping[str, Any] | None,
        config: Mapping[str, Any],
        *,
        manager: str,
        force: bool = False,
        subresource: str = "",
        now: str,
    ) -> dict[str, Any]:
        """What `live` (None: nothing) becomes when `manager` applies `config`, with its managedFields.

        Raises:
            ApplyConflict: other managers own fields that the config sets to other values, and `force` is False.
        """
        ...
