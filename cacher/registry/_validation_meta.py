"""Whether an object's metadata can be: the checks of every resource, in Kubernetes' order and words. Pure.

`validate_meta` and `validate_meta_update` are what every resource gets; the `…_core_…` ones add what the built-in resources ask
of finalizers, and are called by their strategies, which is why some answers name a cause twice.
Source: kubernetes/apimachinery pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation/validation.go; kubernetes
pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._field_errors import FieldError, child, forbidden, index, invalid, required, too_long
from ._meta import JSONObject, deletion_timestamp_of, finalizers_of, generation_of, metadata, name_of, text
from ._names import NameCheck, dns1123_label, label_value, qualified_name

ANNOTATIONS_BYTES_MAX = 256 * 1024
"""Keys and values together."""

IMMUTABLE = "field is immutable"
_NEVER_CHANGED = (
    ("name", ""),
    ("namespace", ""),
    ("uid", ""),
    ("creationTimestamp", None),
    ("deletionTimestamp", None),
    ("deletionGracePeriodSeconds", None),
)
ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"
_STANDARD_FINALIZERS = frozenset({"kubernetes", ORPHAN, FOREGROUND})


def validate_meta(
    obj: JSONObject, *, namespaced: bool, name_check: NameCheck, path: str = "metadata"
) -> list[FieldError]:
    """What is wrong with the metadata of a new object."""
    meta = metadata(obj)
    wrong: list[FieldError] = []
    prefix, name, namespace = text(obj, "generateName"), name_of(obj), text(obj, "namespace")
    if prefix:
        wrong += [invalid(child(path, "generateName"), prefix, why) for why in name_check(prefix, True)]
    if name:
        wrong += [invalid(child(path, "name"), name, why) for why in name_check(name, False)]
    else:
        wrong.append(required(child(path, "name"), "name or generateName is required"))
    if not namespaced:
        wrong += [forbidden(child(path, "namespace"), "not allowed on this type")] if namespace else []
    elif namespace:
        wrong += [invalid(child(path, "namespace"), namespace, why) for why in dns1123_label(namespace)]
    else:
        wrong.append(required(child(path, "namespace")))
    if generation_of(obj) < 0:
        wrong.append(invalid(child(path, "generation"), generation_of(obj), "must be greater than or equal to 0"))
    wrong += _validate_maps(meta, path)
    wrong += validate_finalizers(finalizers_of(obj), child(path, "finalizers"))
    return wrong + _validate_managed(meta, path)


def validate_meta_update(new: JSONObject, old: JSONObject, path: str = "metadata") -> list[FieldError]:
    """What is wrong with the metadata of an object that is to replace `old`."""
    wrong: list[FieldError] = []
    if deletion_timestamp_of(old):
        wrong += _no_new_finalizers(finalizers_of(new), finalizers_of(old), child(path, "finalizers"))
    if not text(new, "resourceVersion"):
        wrong.append(invalid(child(path, "resourceVersion"), "", "must be specified for an update"))
    if generation_of(new) < generation_of(old):
        wrong.append(invalid(child(path, "generation"), generation_of(new), "must not be decremented"))
    for member, absent in _NEVER_CHANGED:
        value = metadata(new).get(member, absent)
        if value != metadata(old).get(member, absent):
            wrong.append(invalid(child(path, member), value, IMMUTABLE))
    return wrong + _validate_maps(metadata(new), path) + _validate_managed(metadata(new), path)


def validate_core_meta(
    obj: JSONObject, *, namespaced: bool, name_check: NameCheck, path: str = "metadata"
) -> list[FieldError]:
    """As `validate_meta`, for a built-in resource: a finalizer is a standard one, or qualified."""
    return validate_meta(obj, namespaced=namespaced, name_check=name_check, path=path) + _core_finalizers(obj, path)


def validate_core_meta_update(new: JSONObject, old: JSONObject, path: str = "metadata") -> list[FieldError]:
    """As `validate_meta_update`, for a built-in resource."""
    return validate_meta_update(new, old, path) + _core_finalizers(new, path)


def validate_labels(labels: Mapping[str, Any], path: str) -> list[FieldError]:
    """What is wrong with a set of labels. Keys are looked at in order."""
    wrong: list[FieldError] = []
    for label in sorted(labels):
        wrong += [invalid(path, label, why) for why in qualified_name(label)]
        wrong += [invalid(path, labels[label], why) for why in label_value(labels[label])]
    return wrong


def validate_annotations(annotations: Mapping[str, str], path: str) -> list[FieldError]:
    """What is wrong with a set of annotations: their keys, and their size together."""
    wrong = [invalid(path, name, why) for name in sorted(annotations) for why in qualified_name(name.lower())]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for pair in annotations.items() for text in pair)
    if size > ANNOTATIONS_BYTES_MAX:
        wrong.append(too_long(path, ANNOTATIONS_BYTES_MAX))
    return wrong


def validate_owner_references(references: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with the owners: one is incomplete, is an event, or is the second that is said to control."""
    wrong: list[FieldError] = []
    controller = ""
    for reference in references:
        wrong += _validate_owner_reference(reference, path)
        if not reference.get("controller"):
            continue
        name = reference.get("name", "")
        if controller:
            why = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {name}'
            wrong.append(invalid(path, references, why))
        else:
            controller = name
    return wrong


def _validate_owner_reference(reference: JSONObject, path: str) -> list[FieldError]:
    version = reference.get("apiVersion") or ""
    wrong: list[FieldError] = []
    if not version.rpartition("/")[2]:
        wrong.append(invalid(child(path, "apiVersion"), version, "version must not be empty"))
    for member in ("kind", "name", "uid"):
        if not reference.get(member):
            wrong.append(invalid(child(path, member), "", f"{member} must not be empty"))
    if (version, reference.get("kind")) == ("v1", "Event"):
        wrong.append(invalid(path, reference, "/v1, Kind=Event is disallowed from being an owner"))
    return wrong


def validate_finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    """What is wrong with the finalizers: one is no qualified name, or two contradict each other."""
    wrong = [invalid(index(path, at), name, why) for at, name in enumerate(finalizers) for why in qualified_name(name)]
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        wrong.append(invalid(path, finalizers, f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"))
    return wrong


def validate_managed_fields(entries: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with the shape of managedFields."""
    wrong: list[FieldError] = []
    for at, entry in enumerate(entries):
        here = index(path, at)
        if entry.get("operation") not in ("Apply", "Update"):
            wrong.append(invalid(child(here, "operation"), entry.get("operation", ""), "must be `Apply` or `Update`"))
        if entry.get("fieldsType", "") not in ("", "FieldsV1"):
            wrong.append(invalid(child(here, "fieldsType"), entry["fieldsType"], "must be `FieldsV1`"))
        manager = entry.get("manager") or ""
        wrong += validate_field_manager(manager, child(here, "manager"))
        if len(entry.get("subresource") or "") > 256:
            wrong.append(too_long(child(here, "subresource"), 256))
    return wrong


FIELD_MANAGER_CHARS_MAX = 128


def validate_field_manager(manager: str, path: str) -> list[FieldError]:
    """What is wrong with a field manager's name: too long, or not printable."""
    wrong: list[FieldError] = []
    if len(manager.encode("utf-8", "surrogatepass")) > FIELD_MANAGER_CHARS_MAX:
        wrong.append(too_long(path, FIELD_MANAGER_CHARS_MAX))
    for at, char in enumerate(manager):
        if not char.isprintable():
            wrong.append(invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {at})"))
    return wrong


def _validate_maps(meta: Mapping[str, Any], path: str) -> list[FieldError]:
    return (
        validate_labels(meta.get("labels") or {}, child(path, "labels"))
        + validate_annotations(meta.get("annotations") or {}, child(path, "annotations"))
        + validate_owner_references(meta.get("ownerReferences") or [], child(path, "ownerReferences"))
    )


def _validate_managed(meta: Mapping[str, Any], path: str) -> list[FieldError]:
    return validate_managed_fields(meta.get("managedFields") or [], child(path, "managedFields"))


def _no_new_finalizers(new: list[str], old: list[str], path: str) -> list[FieldError]:
    extra = sorted(set(new) - set(old))
    if not extra:
        return []
    shown = ", ".join(f'"{name}"' for name in extra)
    why = "no new finalizers can be added if the object is being deleted, found new finalizers"
    return [forbidden(path, f"{why} []string{{{shown}}}")]


def core_finalizer(name: str) -> list[str]:
    """What is wrong with a built-in resource's finalizer: it is a standard one, or qualified."""
    if "/" in name or name in _STANDARD_FINALIZERS:
        return []
    return ["name is neither a standard finalizer name nor is it fully qualified"]


def _core_finalizers(obj: JSONObject, path: str) -> list[FieldError]:
    where = child(path, "finalizers")
    return [
        invalid(index(where, at), name, why)
        for at, name in enumerate(finalizers_of(obj))
        for why in core_finalizer(name)
    ]
