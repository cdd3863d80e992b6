"""What an update makes of the present object: a body that replaces it, with what is done to it on its way in. Pure.

Source: kubernetes/apiserver pkg/registry/rest/update.go (defaultUpdatedObjectInfo).
"""

from __future__ import annotations

from collections.abc import Callable

from ..storage import Preconditions
from ._meta import JSONObject, text
from ._rest import Context

Transform = Callable[[Context, JSONObject, JSONObject | None], JSONObject]
"""Makes another object of the new one, knowing the old one (None: there is none). May raise an APIError."""


class Replacement:
    """The new object is a body that was sent. Its uid, where it has one, is a precondition; its version is not."""

    def __init__(self, obj: JSONObject, *transforms: Transform) -> None:
        self._obj = obj
        self._transforms = transforms

    @property
    def preconditions(self) -> Preconditions | None:
        """The body's uid."""
        uid = text(self._obj, "uid")
        return Preconditions(uid=uid) if uid else None

    def updated_object(self, context: Context, old: JSONObject | None) -> JSONObject:
        """The body, transformed."""
        obj = self._obj
        for transform in self._transforms:
            obj = transform(context, obj, old)
        return obj


class Change:
    """The new object is what a function makes of the old one: a patch. It has no preconditions."""

    preconditions: Preconditions | None = None

    def __init__(self, make: Callable[[JSONObject | None], JSONObject], *transforms: Transform) -> None:
        self._make = make
        self._transforms = transforms

    def updated_object(self, context: Context, old: JSONObject | None) -> JSONObject:
        """What the function makes of it, transformed."""
        obj = self._make(old)
        for transform in self._transforms:
            obj = transform(context, obj, old)
        return obj
