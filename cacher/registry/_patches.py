"""Which patches there are, and what each makes of an object. The algorithms are `patch`'s. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers/patch.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watch import PatchType

from ._errors import UnsupportedMediaType
from ._meta import JSONObject
from .patch import Type, apply_json_patch, apply_merge_patch, apply_strategic_merge


def patch_function(kind: PatchType, patch: Any, type_: Type | None) -> Callable[[JSONObject], Any]:
    """The patch as a function of the present object. What it returns need not be an object any more.

    Args:
        type_: what merges must know of the object; None of a custom one, which takes no strategic merges.
    Raises:
        UnsupportedMediaType: the kind takes no patches of that type.
    The function raises BadRequest, Unprocessable and the like where the patch is none, or does not fit.
    """
    if kind is PatchType.JSON:
        return lambda obj: apply_json_patch(obj, patch)
    if kind is PatchType.MERGE:
        return lambda obj: apply_merge_patch(obj, patch)
    if kind is PatchType.STRATEGIC and type_ is not None:
        return lambda obj: apply_strategic_merge(obj, patch, type_)
    known = ", ".join(other for other in PatchType if other is not PatchType.STRATEGIC)
    raise UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {known}"
    )
