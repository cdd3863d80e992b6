"""Whether the server is well: /healthz, /livez and /readyz, whole or by check. Pure but for the checks.

Source: kubernetes/apiserver pkg/server/healthz/healthz.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio

from ._answers import page_not_found, text_response
from ._encoding import encode
from ._request import Head, Response

Check = Callable[[], Awaitable[str]]
"""Returns what is wrong; "" where all is well."""
CHECK_S = 2.0
"""A check that takes longer fails."""
PLACES = ("healthz", "livez", "readyz")


async def health(head: Head, segments: tuple[str, ...], checks: Mapping[str, Check]) -> Response:
    """The answer to `/livez`, `/livez?verbose&exclude=etcd` or `/livez/etcd`."""
    place, *rest = segments
    if len(rest) > 1 or (rest and rest[0] not in checks):
        return page_not_found()
    if rest:
        problem = await _asked(checks[rest[0]])
        return text_response(500, f"internal server error: {problem}\n") if problem else text_response(200, "ok")
    excluded = [name for values in head.query.get("exclude", []) for name in values.split(",") if name]
    lines: list[str] = []
    failed: list[str] = []
    for name, check in checks.items():
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok\n")
        elif await _asked(check):
            lines.append(f"[-]{name} failed: reason withheld\n")
            failed.append(name)
        else:
            lines.append(f"[+]{name} ok\n")
    if unknown := [name for name in excluded if name not in checks]:
        named = ", ".join(encode(name).decode() for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {named}\n")
    if failed:
        return text_response(500, "".join(lines) + f"{place} check failed\n")
    if "verbose" not in head.query:
        return text_response(200, "ok")
    return text_response(200, "".join(lines) + f"{place} check passed\n")


async def _asked(check: Check) -> str:
    problem = "it took too long"
    with trio.move_on_after(CHECK_S):
        problem = await check()
    return problem
