"""Where an API keeps what: the paths and queries of requests. Pure.

("apps/v1", "deployments"), "team-a", "web", "scale" ─► /apis/apps/v1/namespaces/team-a/deployments/web/scale
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from watch import BadRequest

Query = Mapping[str, str | int | bool | None]
"""Parameters; what is None or "" is left out."""


def group_path(group_version: str) -> str:
    """`/api/v1` or `/apis/apps/v1`: where its resources are listed."""
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def resource_path(group_version: str, plural: str, namespace: str | None = None, name: str = "", part: str = "") -> str:
    """The path of a resource, of an object, or of a part of it.

    Raises:
        watch.BadRequest: a name that cannot stand in a path.
    """
    path = group_path(group_version)
    if namespace:
        path += f"/namespaces/{_segment(namespace)}"
    path += f"/{_segment(plural)}"
    if name:
        path += f"/{_segment(name)}"
    return f"{path}/{part}" if part else path


def target(base: str, path: str, query: Query) -> str:
    """What the request's first line has: the server's own path, the API's, the query."""
    text = urlencode({key: _value(value) for key, value in query.items() if value is not None and value != ""})
    return f"{base}{path}?{text}" if text else f"{base}{path}"


def _value(value: str | int | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _segment(name: str) -> str:
    # A path with these would be another one when it arrives; no object is called so.
    if name in (".", "..") or "/" in name or "%" in name:
        raise BadRequest(f"{name!r} cannot be a name: it may not be '.' or '..', nor contain '/' or '%'")
    return quote(name, safe=":")
