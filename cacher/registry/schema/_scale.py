"""The scale subresource of custom resources: where the definition says that the replicas are.

Pure. Source: kubernetes/apiextensions-apiserver pkg/registry/customresource (etcd.go, validator.go).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from .._errors import BadRequest, InternalError, PlainServerError
from .._field_errors import FieldError, go_number, invalid
from ._go_text import compact, is_integer, is_number
from ._structural import JSON

REPLICAS_MAX = 2**31 - 1

T = TypeVar("T")


class ScalePaths(msgspec.Struct, frozen=True):
    """Where the parts of a Scale are in an object: `.spec.replicas` and so on."""

    spec_replicas: str
    status_replicas: str
    selector: str = ""
    """"" is: there is none."""

    def scale_of(self, obj: dict[str, JSON]) -> dict[str, JSON]:
        """The Scale of an object.

        Raises:
            InternalError: the object has no replicas in its spec; whoever wrote it must put them there.
            PlainServerError: what stands in the place of replicas or selector is something else.
        """
        scale = self._read(obj)
        if "replicas" not in scale["spec"]:
            raise InternalError(f"the spec replicas field {compact(self.spec_replicas)} does not exist")
        return scale

    def scale_to_change(self, obj: dict[str, JSON]) -> dict[str, JSON]:
        """The Scale that a patch or an update changes: as `scale_of`, and without replicas where there are none."""
        return self._read(obj)

    def with_scale(self, obj: dict[str, JSON], scale: dict[str, JSON]) -> dict[str, JSON]:
        """The object with the replicas, and the resource version if there is one, of a Scale.

        Raises:
            BadRequest: the Scale has no replicas.
        """
        spec = scale.get("spec")
        replicas = spec.get("replicas") if isinstance(spec, dict) else None
        if not is_integer(replicas):
            raise BadRequest(f"the spec replicas field {compact(self.spec_replicas)} cannot be empty")
        made: dict[str, JSON] = _with(obj, _names(self.spec_replicas), replicas)
        version = (scale.get("metadata") or {}).get("resourceVersion")
        return _with(made, ["metadata", "resourceVersion"], version) if version else made

    def _read(self, obj: dict[str, JSON]) -> dict[str, JSON]:
        metadata = obj.get("metadata") or {}
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        try:
            wanted = _nested(obj, self.spec_replicas, int)
            status: dict[str, JSON] = {"replicas": _nested(obj, self.status_replicas, int) or 0}
            selector = _nested(obj, self.selector, str) if self.selector else None
        except _WrongTypeError as problem:
            raise PlainServerError(str(problem)) from None
        if selector:
            status["selector"] = selector
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: metadata[name] for name in kept if name in metadata},
            "spec": {} if wanted is None else {"replicas": wanted},
            "status": status,
        }

    def errors(self, obj: dict[str, JSON], *, only_status: bool = False) -> list[FieldError]:
        """What is wrong with the object's replicas and selector."""
        found = [] if only_status else _replicas_errors(obj, self.spec_replicas)
        found += _replicas_errors(obj, self.status_replicas)
        if self.selector:
            try:
                _nested(obj, self.selector, str)
            except _WrongTypeError as problem:
                found.append(invalid(self.selector, "", str(problem)))
        return found


def read_scale(raw: JSON) -> ScalePaths | None:
    """Of a version's subresources; None if there is no scale."""
    scale = raw.get("scale") if isinstance(raw, dict) else None
    if not isinstance(scale, dict):
        return None
    texts = (scale.get(name) for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath"))
    return ScalePaths(*(text if isinstance(text, str) else "" for text in texts))


def _replicas_errors(obj: dict[str, JSON], path: str) -> list[FieldError]:
    try:
        replicas = _nested(obj, path, int) or 0
    except _WrongTypeError as problem:
        return [invalid(path, 0, str(problem))]
    if replicas < 0:
        return [invalid(path, replicas, "should be a non-negative integer")]
    if replicas > REPLICAS_MAX:
        return [invalid(path, replicas, f"should be less than or equal to {REPLICAS_MAX}")]
    return []


class _WrongTypeError(Exception):
    """Something else stands where the path leads."""


def _names(path: str) -> list[str]:
    return path.removeprefix(".").split(".")


_GO_TYPES = {str: "string", bool: "bool", float: "float64", list: "[]interface {}", dict: "map[string]interface {}"}


def _nested(obj: JSON, path: str, kind: type[T]) -> T | None:
    """What the path leads to; None if nothing does."""
    names = _names(path)
    for at, name in enumerate(names):
        if obj is None:
            return None
        if not isinstance(obj, dict):
            raise _WrongTypeError(_wrong(names[: at + 1], obj, "map[string]interface{}"))
        if name not in obj:
            return None
        obj = obj[name]
    if not (is_integer(obj) if kind is int else isinstance(obj, kind)):
        raise _WrongTypeError(_wrong(names, obj, "int64" if kind is int else "string"))
    return obj  # type: ignore[no-any-return]


def _wrong(names: list[str], value: JSON, wanted: str) -> str:
    if isinstance(value, bool):
        shown = "true" if value else "false"
    else:
        shown = "<nil>" if value is None else go_number(value) if is_number(value) else str(value)
    is_ = "<nil>" if value is None else _GO_TYPES.get(type(value), "int64")
    return f".{'.'.join(names)} accessor error: {shown} is of the type {is_}, expected {wanted}"


def _with(obj: JSON, names: list[str], value: JSON) -> dict[str, JSON]:
    """A copy of the object with this value there, and everything else shared."""
    kept = dict(obj) if isinstance(obj, dict) else {}
    kept[names[0]] = _with(kept.get(names[0]), names[1:], value) if len(names) > 1 else value
    return kept
