"""managedFields of an object as its `scale` subresource shows them, and what a write of the scale makes of the object's.

`spec.replicas` is one field of two objects: whoever sets it through the scale takes it from those who set it on the object,
and the other way round.

Pure.
Source: kubernetes/apimachinery pkg/util/managedfields/scalehandler.go. With its oddities, which recordings show: updaters of an
object do not find themselves in those of its scale, which has another version. So every write of the scale gives them an
entry of their own for the replicas, without a time; of two entries of one updater, the next reader sees the later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._field_set import FieldSet, Path, fields
from ._managed_fields import Entry, Manager, decode, encode

SCALE_VERSION = "autoscaling/v1"
_REPLICAS = fields("spec", "replicas")


def to_scale(entries: Any, replicas: Mapping[str, Path | None]) -> list[dict[str, Any]]:
    """The managedFields of the scale of an object that has these.

    Args:
        entries: the object's managedFields.
        replicas: where the object has its replicas, by its own apiVersion; None: in that version there is no scale.
    Raises:
        ValueError: they cannot be read.
    """
    out: dict[Manager, Entry] = {}
    for manager, entry in decode(entries).items():
        path = replicas.get(entry.api_version)
        if path is not None and entry.fields.has(path):
            out[manager] = Entry(FieldSet.of([_REPLICAS]), SCALE_VERSION, entry.time)
    return encode(out)


def from_scale(
    entries: Any, scale_entries: Any, replicas: Mapping[str, Path | None], *, api_version: str
) -> list[dict[str, Any]]:
    """The managedFields of an object after its scale was written; [] where nobody manages anything.

    Args:
        entries: the object's managedFields before.
        scale_entries: those of the scale, as the write left them.
        replicas: as in `to_scale`.
        api_version: the object's.
    Raises:
        ValueError: they cannot be read.
    """
    before = decode(entries)
    scale = dict(decode(scale_entries))
    out: dict[Manager, Entry] = {}
    for manager, entry in before.items():
        if entry.api_version not in replicas:
            continue
        path = replicas[entry.api_version]
        if path is None or not entry.fields.has(path) or scale.pop(manager, None) is not None:
            out[manager] = entry
        elif not (left := entry.fields.difference(FieldSet.of([path]))).is_empty():
            out[manager] = Entry(left, entry.api_version, entry.time)
    own = replicas.get(api_version)
    for manager, entry in scale.items():
        if own is not None and entry.fields.has(_REPLICAS):
            time = before[manager].time if manager in before else None
            out[manager] = Entry(FieldSet.of([own]), api_version, time)
    return encode(out)
