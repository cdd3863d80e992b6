"""What a reconcile had been told when it asked for a write: its reads as objects of the store, with who showed them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reflector import RECONCILIATION, Read
from watch import Object

from .._resources import ResourceInfo, find_resource
from ._acts import Belief

Versions = Mapping[tuple[str, int], tuple[Object | None, Object | None]]

_MEMBER = re.compile(r"(\S+)@(\d+)")


def beliefs_now(versions: Versions) -> tuple[Belief, ...]:
    """Of the reconcile that this task works on; nothing outside of one. Cost: O(what it read), a few µs each."""
    reconciliation = RECONCILIATION.get()
    if reconciliation is None:
        return ()
    found: dict[Belief, None] = {}
    for read in reconciliation.reads:
        for belief in _beliefs_of(read, versions):
            found[belief] = None
    return tuple(found)


def _beliefs_of(read: Read, versions: Versions) -> list[Belief]:
    place = _place_of(read.source)
    if place is None:
        return []
    server, info = place
    if read.verb != "list":
        return [Belief(_key(info, read.key), read.uid, read.revision, server, read.at_s)] if read.uid else []
    beliefs = []
    for name, digits in _MEMBER.findall(read.members):
        key, revision = _key(info, name), int(digits)
        _, shown = versions.get((key, revision), (None, None))
        beliefs.append(Belief(key, shown.uid if shown is not None else "", revision, server, read.at_s))
    return beliefs


_places: dict[str, tuple[str, ResourceInfo] | None] = {}
PLACES_MAX = 4096


def _place_of(source: str) -> tuple[str, ResourceInfo] | None:
    """Server and resource of a read's source: "copy api-1/apps/v1/deployments/everything"; None where it names none."""
    if source not in _places:
        if len(_places) >= PLACES_MAX:
            _places.clear()
        _places[source] = _read_source(source)
    return _places[source]


def _read_source(source: str) -> tuple[str, ResourceInfo] | None:
    parts = source.partition(" ")[2].split("/")
    if len(parts) > 2 and parts[1] == "v1":
        version, plural = "v1", parts[2]
    elif len(parts) > 3:
        version, plural = "/".join(parts[1:3]), parts[3]
    else:
        return None
    try:
        return parts[0], find_resource(version, plural)
    except ValueError:
        return None


def _key(info: ResourceInfo, name: str) -> str:
    """The storage key of "namespace/name"."""
    return f"{info.prefix}{name}"
