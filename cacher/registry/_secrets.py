"""Secrets: keys and values in base64, of a type that may ask for certain keys. Pure.

Source: kubernetes pkg/registry/core/secret/strategy.go; pkg/apis/core/v1/conversion.go, defaults.go;
pkg/apis/core/validation/validation.go (ValidateSecret).
"""

from __future__ import annotations

import base64
import binascii
import json

from ._configmaps import DATA_BYTES_MAX, decoded_size, immutable_changes
from ._errors import BadRequest, GroupResource
from ._field_errors import FieldError, invalid, key, required, too_long
from ._meta import JSONObject, metadata, with_member
from ._names import config_key
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import IMMUTABLE, validate_core_meta_update

OPAQUE = "Opaque"
_ACCOUNT = "kubernetes.io/service-account.name"
_ALL_OF = {
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_ONE_OF = {"kubernetes.io/basic-auth": ("username", "password")}
_JSON = {"kubernetes.io/dockercfg": ".dockercfg", "kubernetes.io/dockerconfigjson": ".dockerconfigjson"}
_REDACTED = "<secret contents redacted>"


class SecretStrategy(Strategy):
    """The rules of secrets."""

    def __init__(self) -> None:
        super().__init__(GroupResource("", "secrets"), "Secret")

    def default(self, obj: JSONObject) -> JSONObject:
        """Opaque where no type is named; `stringData` becomes data.

        Raises:
            BadRequest: a value is no base64.
        """
        data = dict(obj.get("data") or {})
        for value in data.values():
            _check_base64(value)
        for name, text in (obj.get("stringData") or {}).items():
            data[name] = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")
        obj = with_member(with_member(obj, "stringData", None), "data", data or None)
        return {**obj, "type": obj.get("type") or OPAQUE}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, keys, size, and what the type asks for."""
        data = obj.get("data") or {}
        wrong = super().validate(context, obj)
        wrong += [invalid(key("data", name), name, why) for name in sorted(data) for why in config_key(name)]
        if sum(map(decoded_size, data.values())) > DATA_BYTES_MAX:
            wrong.append(too_long("data", DATA_BYTES_MAX))
        return wrong + _validate_type(obj.get("type", ""), data, obj)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one; and the type stays, and what is immutable."""
        wrong = validate_core_meta_update(new, old)
        if new.get("type") != old.get("type"):
            wrong.append(invalid("type", new.get("type", ""), IMMUTABLE))
        if old.get("immutable"):
            wrong += immutable_changes(new, old, ("data",))
        return wrong + self.validate(context, new)


def _validate_type(kind: str, data: JSONObject, obj: JSONObject) -> list[FieldError]:
    if kind == "kubernetes.io/service-account-token":
        where = key("metadata.annotations", _ACCOUNT)
        return [] if (metadata(obj).get("annotations") or {}).get(_ACCOUNT) else [required(where)]
    if kind in _JSON:
        return _validate_json(_JSON[kind], data)
    if kind in _ONE_OF and not any(name in data for name in _ONE_OF[kind]):
        return [required(key("data", name)) for name in _ONE_OF[kind]]
    return [required(key("data", name)) for name in _ALL_OF.get(kind, ()) if name not in data]


def _validate_json(name: str, data: JSONObject) -> list[FieldError]:
    if name not in data:
        return [required(key("data", name))]
    try:
        held = json.loads(base64.b64decode(data[name]))
    except ValueError as error:
        return [invalid(key("data", name), _REDACTED, str(error))]
    why = f"json: cannot unmarshal {type(held).__name__} into Go value of type map[string]interface {{}}"
    return [] if isinstance(held, dict) else [invalid(key("data", name), _REDACTED, why)]


_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def _check_base64(text: str) -> None:
    """Raises BadRequest with the place where Go stops reading."""
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        stop = next((at for at, char in enumerate(text) if char not in _ALPHABET), len(text))
        problem = f"illegal base64 data at input byte {stop}"
        raise BadRequest(f'Secret in version "v1" cannot be handled as a Secret: {problem}') from error
