"""What a path asks for: a resource, an object, a part of it, or a document. Pure.

    /api/v1, /apis/GROUP/VERSION
    ├── [watch/]PLURAL[/NAME[/PART]]
    └── [watch/]namespaces/NS/PLURAL[/NAME[/PART]]

Source: kubernetes/apiserver pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

import msgspec


class Target(msgspec.Struct, frozen=True):
    """What a path below a group version names."""

    group_version: str
    plural: str
    namespace: str = ""
    name: str = ""
    part: str = ""
    beyond: tuple[str, ...] = ()
    """Segments after all that has a meaning."""
    is_old_watch: bool = False
    """Below `/watch/`."""


def split(path: str) -> tuple[str, ...]:
    """The segments of a decoded path; a slash at its end means nothing."""
    return tuple(path.strip("/").split("/")) if path.strip("/") else ()


def group_version_of(segments: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """`v1` or `apps/v1`, and what follows; None where the path names no group version."""
    if len(segments) >= 2 and segments[0] == "api":
        return segments[1], segments[2:]
    if len(segments) >= 3 and segments[0] == "apis":
        return f"{segments[1]}/{segments[2]}", segments[3:]
    return None


NAMESPACE_PARTS = ("status", "finalize")
"""What may stand after a namespace's name and is no resource."""


def read_target(group_version: str, rest: tuple[str, ...]) -> Target | None:
    """What the segments after a group version name; None where one that is needed is missing or empty."""
    if not rest or "" in rest:
        return None
    is_old_watch = rest[0] == "watch"
    if is_old_watch:
        rest = rest[1:]
    if not rest:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    plural, name, part = ([*rest, "", ""])[:3]
    return Target(group_version, plural, namespace, name, part, rest[3:], is_old_watch)
