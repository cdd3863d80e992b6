"""ConfigMaps: keys and their values; `immutable` ones never change again. Pure.

Source: kubernetes pkg/registry/core/configmap/strategy.go; pkg/apis/core/validation/validation.go (ValidateConfigMap).
"""

from __future__ import annotations

import base64
import binascii

from ._errors import GroupResource
from ._field_errors import FieldError, forbidden, invalid, key, too_long
from ._meta import JSONObject
from ._names import config_key
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import validate_core_meta_update

DATA_BYTES_MAX = 1024 * 1024
"""Values together, as they are and not as base64: what etcd takes, less what the rest of an object needs."""


class ConfigMapStrategy(Strategy):
    """The rules of config maps."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "configmaps"), "ConfigMap")

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, keys, keys that are in both maps, and the size."""
        wrong = super().validate(context, obj)
        data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        size = 0
        for name in sorted(data):
            size += len(data[name].encode("utf-8", "surrogatepass"))
            wrong += [invalid(key("data", name), name, why) for why in config_key(name)]
            if name in binary:
                wrong.append(invalid(key("data", name), name, "duplicate of key present in binaryData"))
        for name in sorted(binary):
            size += decoded_size(binary[name])
            wrong += [invalid(key("binaryData", name), name, why) for why in config_key(name)]
        return wrong + ([too_long("", DATA_BYTES_MAX)] if size > DATA_BYTES_MAX else [])

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one; and what is immutable stays as it is, and stays immutable."""
        wrong = validate_core_meta_update(new, old)
        if old.get("immutable"):
            wrong += immutable_changes(new, old, ("data", "binaryData"))
        return wrong + self.validate(context, new)


def immutable_changes(new: JSONObject, old: JSONObject, members: tuple[str, ...]) -> list[FieldError]:
    """What was changed of an immutable config map or secret."""
    why = "field is immutable when `immutable` is set"
    wrong = [] if new.get("immutable") else [forbidden("immutable", why)]
    return wrong + [forbidden(member, why) for member in members if (new.get(member) or {}) != (old.get(member) or {})]


def decoded_size(text: str) -> int:
    """Bytes that a base64 text stands for; 0 where it is none."""
    try:
        return len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return 0
