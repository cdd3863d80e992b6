"""PersistentVolumes and the claims on them: what a volume is does not change, what a claim asks for may grow. Pure.

Source: kubernetes pkg/registry/core/persistentvolume/strategy.go, persistentvolumeclaim/strategy.go; pkg/apis/core/v1/defaults.go;
pkg/apis/core/validation/validation.go (ValidatePersistentVolume…, ValidatePersistentVolumeClaim…).
Differs: the sources of volumes are not checked, nor dataSource; of an immutable spec the members that were changed are told, where
Kubernetes adds a diff of its Go structs.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ._errors import GroupResource
from ._field_errors import FieldError, child, forbidden, invalid, key, not_supported, required
from ._label_selectors import validate_label_selector
from ._meta import JSONObject, with_member
from ._names import dns1123_subdomain
from ._pod_defaults import filled
from ._quantities import parse_quantity
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import IMMUTABLE, validate_core_meta_update
from ._workload_validation import NON_NEGATIVE

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_ALONE = "ReadWriteOncePod"
_VOLUME_MODES = ("Block", "Filesystem")
_POLICIES = ("Delete", "Recycle", "Retain")
_NO_SOURCE = (
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
)
"""Members of a volume's spec that do not say where it is: of the others there is one."""
_STORAGE = ("resources", "requests", "storage")


class PersistentVolumeStrategy(Strategy):
    """The rules of volumes."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "persistentvolumes"), "PersistentVolume", namespaced=False)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, which is written by itself."""
        return (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """Kept when its claim is gone, with a file system, and pending."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], {"persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem"})
        return {**whole, "spec": spec, "status": filled(whole["status"], {"phase": "Pending"})}

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """A new one is pending."""
        return {**obj, "status": {"phase": "Pending"}}

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays."""
        return {**new, "status": old.get("status") or {}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_volume_spec(obj.get("spec") or {})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, and that it is the same volume."""
        return self.validate(context, new) + _validate_same_volume(new.get("spec") or {}, old.get("spec") or {})


class PersistentVolumeClaimStrategy(Strategy):
    """The rules of claims."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "persistentvolumeclaims"), "PersistentVolumeClaim")

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, which is written by itself."""
        return (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """A file system; and it is pending."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec = filled(whole["spec"], {"volumeMode": "Filesystem", "resources": {}})
        return {**whole, "spec": spec, "status": filled(whole["status"], {"phase": "Pending"})}

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """A new one is pending."""
        return {**obj, "status": {"phase": "Pending"}}

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays."""
        return {**new, "status": old.get("status") or {}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_claim_spec(obj.get("spec") or {})

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, as an update, and that it claims the same, or more."""
        wrong = self.validate(context, new) + validate_core_meta_update(new, old) + self.validate(context, new)
        return wrong + _validate_same_claim(new, old)


def validate_volume_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a volume."""
    wrong = _validate_access(spec, path)
    capacity = spec.get("capacity") or {}
    if not capacity:
        wrong.append(required(child(path, "capacity")))
    elif set(capacity) != {"storage"}:
        wrong.append(not_supported(child(path, "capacity"), capacity, ("storage",)))
    for name in sorted(capacity):
        wrong += _validate_size(capacity[name], key(child(path, "capacity"), name))
    policy, where = spec.get("persistentVolumeReclaimPolicy") or "", child(path, "persistentVolumeReclaimPolicy")
    if policy and policy not in _POLICIES:
        wrong.append(not_supported(where, policy, _POLICIES))
    first, *others = sorted(_source(spec)) or [""]
    wrong += [forbidden(child(path, name), "may not specify more than 1 volume type") for name in others]
    if not first:
        wrong.append(required(path, "must specify a volume type"))
    return wrong + _validate_class_and_mode(spec, path)


def _source(spec: JSONObject) -> JSONObject:
    return {name: value for name, value in spec.items() if name not in _NO_SOURCE}


def _validate_access(spec: JSONObject, path: str) -> list[FieldError]:
    modes, where = spec.get("accessModes") or [], child(path, "accessModes")
    wrong = [not_supported(where, mode, _MODES) for mode in modes if mode not in _MODES]
    if _ALONE in modes and any(mode != _ALONE and mode in _MODES for mode in modes):
        wrong.append(forbidden(where, f"may not use {_ALONE} with other access modes"))
    return wrong if modes else [required(where)]


def _validate_size(value: Any, path: str) -> list[FieldError]:
    quantity = parse_quantity(value)
    if quantity is not None and quantity > 0:
        return []
    why = "must be greater than zero" if quantity == 0 else NON_NEGATIVE
    return [invalid(path, str(value), why)]


def _validate_class_and_mode(spec: JSONObject, path: str) -> list[FieldError]:
    name, mode = spec.get("storageClassName") or "", spec.get("volumeMode")
    wrong = [invalid(child(path, "storageClassName"), name, why) for why in (dns1123_subdomain(name) if name else [])]
    if mode is not None and mode not in _VOLUME_MODES:
        wrong.append(not_supported(child(path, "volumeMode"), mode, _VOLUME_MODES))
    return wrong


def _validate_same_volume(new: JSONObject, old: JSONObject) -> list[FieldError]:
    wrong: list[FieldError] = []
    if _source(new) != _source(old):
        where = "spec.persistentvolumesource"
        wrong.append(forbidden(where, f"{where} is immutable after creation\n{_changed(_source(new), _source(old))}"))
    if new.get("volumeMode") != old.get("volumeMode"):
        wrong.append(invalid("volumeMode", new.get("volumeMode"), IMMUTABLE))
    if old.get("nodeAffinity") and new.get("nodeAffinity") != old.get("nodeAffinity"):
        why = f"{IMMUTABLE}, except for updating from beta label to GA"
        wrong.append(invalid("nodeAffinity", new.get("nodeAffinity"), why))
    return wrong


def validate_claim_spec(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a claim."""
    wrong = _validate_access(spec, path) if spec.get("accessModes") else []
    if not spec.get("accessModes"):
        wrong.append(required(child(path, "accessModes"), "at least 1 access mode is required"))
    wrong += validate_label_selector(spec.get("selector") or {}, child(path, "selector"))
    size, where = (
        (spec.get("resources") or {}).get("requests", {}).get("storage"),
        key(child(path, "resources"), "storage"),
    )
    wrong += [required(where)] if size is None else _validate_size(size, where)
    return wrong + _validate_class_and_mode(spec, path)


def _validate_same_claim(new: JSONObject, old: JSONObject) -> list[FieldError]:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    status = old.get("status") or {}
    masked = dict(spec)
    if not before.get("volumeName"):
        masked = with_member(masked, "volumeName", None)
    if before.get("storageClassName") is None and spec.get("storageClassName") is not None:
        masked = with_member(masked, "storageClassName", None)
    if status.get("phase") == "Bound":
        masked = _with_storage(masked, _storage(before))
        masked = with_member(masked, "volumeAttributesClassName", before.get("volumeAttributesClassName"))
    wrong: list[FieldError] = []
    if masked != before:
        rule = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        wrong.append(forbidden("spec", f"{rule}\n{_changed(masked, before)}"))
    size, was = parse_quantity(_storage(spec)), parse_quantity(_storage(before))
    held = parse_quantity((status.get("capacity") or {}).get("storage")) or Fraction(0)
    if size is not None and was is not None and size < was and size <= held:
        wrong.append(forbidden(child("spec", *_STORAGE), "field can not be less than status.capacity"))
    if spec.get("volumeMode") != before.get("volumeMode"):
        wrong.append(invalid("volumeMode", spec.get("volumeMode"), IMMUTABLE))
    return wrong


def _storage(spec: JSONObject) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage")


def _with_storage(spec: JSONObject, size: Any) -> JSONObject:
    resources = spec.get("resources") or {}
    return {**spec, "resources": {**resources, "requests": {**(resources.get("requests") or {}), "storage": size}}}


def _changed(new: JSONObject, old: JSONObject) -> str:
    return "\n".join(child("spec", name) for name in sorted({*new, *old}) if new.get(name) != old.get(name))
