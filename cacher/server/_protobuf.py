"""Bodies in protobuf as JSON data: what kubectl's `create` commands, and some Go clients, send.

    k8s\\x00 ─ Unknown ─ apiVersion, kind ─► the kind's message ─► JSON data, as the same object's JSON would be read

The messages are made from the table of wire types, in a pool of their own, when the first body comes. Their fields are named
by number, since JSON's names (`$ref`, `x-kubernetes-…`) are none in protobuf. What JSON would leave out is left out: a zero
that is not a pointer's. Answers are JSON always: every client that sends protobuf reads that too.

Source: kubernetes/apimachinery pkg/runtime/serializer/protobuf (the envelope), generated.proto (numbers).
Differs: fields that nobody knows are dropped unsaid, whatever `fieldValidation` asks for, as Kubernetes does too.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ..registry import JSONObject
from ._wire_types import SCALARS, WireType, parse_fields, wire_types

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
"""What every such body begins with."""

Message = Any
"""A protobuf message. They are made while running, so no type checker knows their fields."""

_NUMBER = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "s": _NUMBER.TYPE_STRING,
    "i": _NUMBER.TYPE_INT32,
    "l": _NUMBER.TYPE_INT64,
    "b": _NUMBER.TYPE_BOOL,
    "d": _NUMBER.TYPE_DOUBLE,
    "y": _NUMBER.TYPE_BYTES,
}
_OWN: Mapping[str, str] = {
    "Unknown": "type=1:TypeMeta raw=2:y",
    "TypeMeta": "apiVersion=1:s kind=2:s",
    "Time": "seconds=1:l nanos=2:i",
    "MicroTime": "seconds=1:l nanos=2:i",
    "Quantity": "string=1:s",
    "IntOrString": "type=1:l intVal=2:i strVal=3:s",
    "Raw": "raw=1:y",
    "Fields": "raw=1:y",
    "JSON": "raw=1:y",
    "OrArray": "schema=1:JSONSchemaProps schemas=2:[JSONSchemaProps]",
    "OrBool": "allows=1:b schema=2:JSONSchemaProps",
    "OrStrings": "schema=1:JSONSchemaProps property=2:[s]",
    "Extra": "items=1:[s]",
}
"""Messages that the table does not have: the envelope, and what JSON writes in another way."""


class BadProtobuf(ValueError):
    """The body is none of ours; the text says why."""


def decode_protobuf(body: bytes) -> JSONObject:
    """The object in a body of MEDIA_TYPE, as JSON data with apiVersion and kind.

    Raises:
        BadProtobuf: it is no such body, or its kind is none of the built-in ones: send JSON.
    Cost: O(size); the first call makes the messages, some 20 ms.
    """
    if not body.startswith(MAGIC):
        raise BadProtobuf(
            "the body is not in protobuf as Kubernetes has it: it does not begin with k8s and a zero byte"
        )
    envelope = _parsed("Unknown", body[len(MAGIC) :])
    api_version, kind = _text(envelope.f1.f1), _text(envelope.f1.f2)
    type_ = wire_types().kind("v1" if kind == "DeleteOptions" else api_version, kind)
    if type_ is None:
        raise BadProtobuf(f'no kind "{kind}" is known in protobuf for version "{api_version}": send it as JSON')
    try:
        return {"apiVersion": api_version, "kind": kind, **_members(_parsed(type_.name, envelope.f2), type_)}
    except (ValueError, OverflowError, OSError) as error:  # a time beyond the year 9999, JSON that is none
        raise BadProtobuf(f"{kind} in protobuf cannot be read: {error}") from error


def _parsed(name: str, data: bytes) -> Message:
    message = _messages()[name]()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise BadProtobuf(f"the body cannot be read as protobuf: {error}") from error
    return message


def _members(message: Message, type_: WireType) -> JSONObject:
    out: JSONObject = {}
    for field in type_.fields:
        slot = f"f{field.number}"
        if field.is_map:
            entries = {_text(entry.f1): _value(entry.f2, field.element) for entry in getattr(message, slot)}
            if entries:
                out[field.name] = entries
        elif field.is_list:
            items = [_value(item, field.element) for item in getattr(message, slot)]
            if items or field.is_required:
                out[field.name] = items
        elif message.HasField(slot):
            value = _value(getattr(message, slot), field.type)
            if not field.name:
                out.update(value)
            elif value is not None and (value or field.is_pointer or field.is_required):
                out[field.name] = value
    return out


def _value(value: Any, type_: str) -> Any:
    if type_ == "y":
        return base64.b64encode(value).decode("ascii")
    if type_ in SCALARS:
        return _text(value) if type_ == "s" else value
    special = _IN_JSON.get(type_)
    return special(value) if special is not None else _members(value, wire_types().types[type_])


def _text(value: str | bytes) -> str:
    """A text that is no UTF-8 comes as bytes; what is wrong in it is replaced, as Go does when it writes it as JSON."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# ---- what JSON writes in another way ---------------------------------------------------------------------------------


def _time(message: Message) -> str | None:
    """None: no time at all, which has no seconds; the epoch has zero of them."""
    if not message.HasField("f1"):
        return None
    return datetime.fromtimestamp(message.f1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(message: Message) -> str | None:
    whole = _time(message)
    return None if whole is None else f"{whole[:-1]}.{message.f2 // 1000:06d}Z"


def _int_or_string(message: Message) -> int | str:
    of_text = 1
    text = _text(message.f3)
    number: int = message.f2
    return text if message.f1 == of_text else number


def _json(message: Message) -> Any:
    return msgspec.json.decode(message.f1) if message.f1 else None


def _schema(message: Message) -> JSONObject:
    return _members(message, wire_types().types["JSONSchemaProps"])


def _or_array(message: Message) -> Any:
    return _schema(message.f1) if message.HasField("f1") else [_schema(one) for one in message.f2]


def _or_bool(message: Message) -> Any:
    return _schema(message.f2) if message.HasField("f2") else message.f1


def _or_strings(message: Message) -> Any:
    return _schema(message.f1) if message.HasField("f1") else [_text(one) for one in message.f2]


_IN_JSON: Mapping[str, Callable[[Message], Any]] = {
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": lambda message: _text(message.f1),
    "IntOrString": _int_or_string,
    "Raw": _json,
    "Fields": _json,
    "JSON": _json,
    "OrArray": _or_array,
    "OrBool": _or_bool,
    "OrStrings": _or_strings,
    "Extra": lambda message: [_text(one) for one in message.f1],
}


# ---- the messages ----------------------------------------------------------------------------------------------------


@functools.cache
def _messages() -> dict[str, Any]:
    """A class of messages for each type."""
    own = {name: WireType(name, "", parse_fields(text)) for name, text in _OWN.items()}
    file = descriptor_pb2.FileDescriptorProto(name="kubernetes.proto", package="kubernetes", syntax="proto2")
    types = {**wire_types().types, **own}
    for type_ in types.values():
        _describe(file.message_type.add(), type_)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kubernetes.{_message_name(name)}"))
        for name in types
    }


def _message_name(name: str) -> str:
    return name.replace(".", "_")


def _describe(message: descriptor_pb2.DescriptorProto, type_: WireType) -> None:
    message.name = _message_name(type_.name)
    for field in type_.fields:
        if field.is_map:
            # On the wire a map is a list of entries, and as such it is read: the last of a key counts.
            entry = message.nested_type.add(name=f"Entry{field.number}")
            _add_field(entry, 1, "s")
            _add_field(entry, 2, field.element)
            of = f".kubernetes.{message.name}.{entry.name}"
            message.field.add(
                name=f"f{field.number}",
                number=field.number,
                label=_NUMBER.LABEL_REPEATED,
                type=_NUMBER.TYPE_MESSAGE,
                type_name=of,
            )
        else:
            _add_field(message, field.number, field.element, is_list=field.is_list)


def _add_field(message: descriptor_pb2.DescriptorProto, number: int, type_: str, *, is_list: bool = False) -> None:
    label = _NUMBER.LABEL_REPEATED if is_list else _NUMBER.LABEL_OPTIONAL
    field = message.field.add(name=f"f{number}", number=number, label=label)
    if type_ in SCALARS:
        field.type = _KINDS[type_]
    else:
        field.type, field.type_name = _NUMBER.TYPE_MESSAGE, f".kubernetes.{_message_name(type_)}"
