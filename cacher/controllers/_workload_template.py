"""A pod template: the hash that names what is made from it, the pod that is made from it, whether two are the same. Pure.

The hash is 32 bits of FNV-1a, written in an alphabet that spells no words. Source: kubernetes pkg/controller/controller_utils.go
(ComputeHash), k8s.io/apimachinery pkg/util/rand (SafeEncodeString), pkg/controller/deployment/util (EqualIgnoreHash).
Differs: what is hashed is the template's JSON with its members in order, and not a dump of Kubernetes' Go structs, so that a
name has the shape and the stability of Kubernetes' own but not its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from reflector import JSONObject

from ._workload_objects import annotations_of, labels_of, meta, namespace_of, spec_of, with_metadata

HASH_LABEL = "pod-template-hash"

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_NAME_MAX = 63
_FNV_OFFSET, _FNV_PRIME, _32_BITS = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def fnv1a_32(data: bytes, value: int = _FNV_OFFSET) -> int:
    """FNV-1a of 32 bits; `value`: to go on from there."""
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _32_BITS
    return value


def safe_text(text: str) -> str:
    """The text in letters and digits that spell no words. Source: rand.SafeEncodeString."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in text.encode())


def template_hash(template: Mapping[str, Any], collisions: int | None = None) -> str:
    """The template's hash; other `collisions` give another one. None is not 0."""
    value = fnv1a_32(msgspec.json.encode(template, order="deterministic"))
    if collisions is not None:
        value = fnv1a_32(str(collisions).encode(), value)
    return safe_text(str(value))


def is_same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the templates are the same but for the hash among their labels."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Mapping[str, Any]) -> JSONObject:
    metadata = {name: value for name, value in meta(template).items() if value not in (None, {}, [])}
    labels = {name: value for name, value in labels_of(template).items() if name != HASH_LABEL}
    metadata.pop("labels", None)
    metadata.pop("creationTimestamp", None)
    return {**template, "metadata": {**metadata, "labels": labels} if labels else metadata}


def generate_name(base: str) -> str:
    """`generateName` of an owner's pods: cut so that the random part still fits. Source: names.SimpleNameGenerator."""
    return base[: _NAME_MAX - _SUFFIX_LENGTH]


def pod_from(template: Mapping[str, Any], owner: JSONObject, reference: JSONObject, **metadata: Any) -> JSONObject:
    """A pod of `owner` made from a template: its labels, annotations, finalizers and spec, and a reference to the owner.

    `metadata`: `name`, or `generateName`, and what else is to be different.
    """
    pod: JSONObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace_of(owner),
            "labels": dict(labels_of(template)),
            "annotations": dict(annotations_of(template)),
            "finalizers": list(meta(template).get("finalizers") or ()),
            "ownerReferences": [reference],
        },
        "spec": spec_of(template),
    }
    return with_metadata(pod, **metadata)
