"""Owners that are named twice: dropped, with a warning. Pure.

Source: kubernetes/apiserver pkg/endpoints/handlers/create.go, rest.go (dedupOwnerReferencesAndAddWarning).
"""

from __future__ import annotations

from ._meta import JSONObject, metadata, with_metadata
from ._rest import Context

_WARNING = (
    ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject "
    "such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}"
)


def without_doubled_owners(context: Context, obj: JSONObject) -> JSONObject:
    """The object with each owner once: references that are equal in all they say."""
    references = metadata(obj).get("ownerReferences") or []
    kept: list[JSONObject] = []
    doubled: list[str] = []
    for reference in references:
        if reference in kept:
            doubled.append(str(reference.get("uid", "")))
        else:
            kept.append(reference)
    if not doubled:
        return obj
    context.warn(_WARNING.format(when="", uids=", ".join(dict.fromkeys(doubled))))
    return with_metadata(obj, {"ownerReferences": kept})
