"""Which patches there are, and the hook between the registry and the algorithms that apply them. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Protocol

from ._meta import JSONObject


class PatchType(enum.StrEnum):
    """A patch's media type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Patches(Protocol):
    """Applies patches to objects, of which none is changed in place."""

    def prepared(self, type: PatchType, patch: Any, kind: tuple[str, str]) -> Callable[[JSONObject], JSONObject]:  # noqa: A002
        """The patch as a function of the present object; for an apply, which its FieldManager does, it is not called.

        Raises:
            BadRequest: the patch makes no sense.
            UnsupportedMediaType: the kind takes no patches of that type.
        The function raises Unprocessable where the patch does not fit the object.
        """
        ...
