"""Which patches the API takes."""

from __future__ import annotations

import enum


class PatchType(enum.StrEnum):
    """A patch's media type."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"
