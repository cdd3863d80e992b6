"""The door to etcd3, grpc and protobuf: etcd3 0.12.0 made to run on today's protobuf, from its own descriptors.

The code that etcd3 ships was generated in 2020 for a protobuf that today's refuses. But each of its files carries, as one
literal, the description of the messages that it was generated from. Before etcd3 is imported, this module

    1. reads those literals out of etcd3's files, which are parsed and never run;
    2. adds what etcd has said on the wire since: progress requests, fragments, watch ids;
    3. makes the message classes from them, in a pool of their own, so that others' descriptions of etcd do no harm;
    4. puts them where etcd3 imports its generated code from.

So nothing generated is kept here, and messages are parsed by protobuf's own C code. Import this module only to talk to a
real etcd: it takes grpc along, which takes time, memory and threads.

Source: etcd api/etcdserverpb/rpc.proto, for the numbers of the fields added.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message = Any
"""A protobuf message, or a class of them. They are made while running, so no type checker knows their fields."""

_PACKAGE = "etcd3.etcdrpc"
_FILES = ("kv", "auth", "rpc")  # each after those that it imports


class Etcd3ImportError(ImportError):
    """etcd3 cannot be made to work here; the message says what to change."""


def _install() -> None:
    """Put message classes where etcd3 looks for its generated ones.

    Raises:
        Etcd3ImportError: etcd3 was imported before, or is not the one that this was written for.
    """
    if "etcd3" in sys.modules:
        raise Etcd3ImportError(
            "etcd3 was imported before cacher made its messages: import cacher's remote etcd first "
            "(open_remote_etcd does), or leave the import of etcd3 to it"
        )
    pool = descriptor_pool.DescriptorPool()
    for name, text in _descriptions():
        proto = descriptor_pb2.FileDescriptorProto.FromString(text)
        if name == "rpc":
            _bring_up_to_date(proto)
        pool.AddSerializedFile(proto.SerializeToString())
        sys.modules[f"{_PACKAGE}.{name}_pb2"] = _module(name, pool, proto)


def _descriptions() -> Iterator[tuple[str, bytes]]:
    """The serialized descriptions in etcd3's files, by their names."""
    found = importlib.util.find_spec("etcd3")
    if found is None or found.origin is None:
        raise Etcd3ImportError("etcd3 is not installed: pip install etcd3")
    for name in _FILES:
        path = Path(found.origin).parent / "etcdrpc" / f"{name}_pb2.py"
        text = _literal(path)
        if text is None:
            raise Etcd3ImportError(f"{path} holds no serialized description: install etcd3 0.12.0")
        yield name, text


def _literal(path: Path) -> bytes | None:
    """What the file calls `serialized_pb`, first of all of the file's own description."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb":
            # Either b"…", or an encoder applied to a text of latin-1, as the generator of 2020 wrote it.
            for inner in ast.walk(node.value):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, bytes):
                    return inner.value
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and len(inner.value) > 100:
                    return inner.value.encode("latin-1")
    return None


def _bring_up_to_date(proto: Message) -> None:
    """Add what watches need and the etcd of 2018, which etcd3 describes, did not have."""
    kind = descriptor_pb2.FieldDescriptorProto
    messages = {message.name: message for message in proto.message_type}

    def add(message: str, name: str, number: int, field_type: int, **more: object) -> None:
        described = messages[message]
        if all(field.number != number for field in described.field):
            described.field.add(name=name, number=number, type=field_type, label=kind.LABEL_OPTIONAL, **more)

    if "WatchProgressRequest" not in messages:
        messages["WatchProgressRequest"] = proto.message_type.add(name="WatchProgressRequest")
    add(
        "WatchRequest",
        "progress_request",
        3,
        kind.TYPE_MESSAGE,
        type_name=".etcdserverpb.WatchProgressRequest",
        oneof_index=0,
    )
    add("WatchCreateRequest", "watch_id", 7, kind.TYPE_INT64)
    add("WatchCreateRequest", "fragment", 8, kind.TYPE_BOOL)
    add("WatchResponse", "fragment", 7, kind.TYPE_BOOL)


def _module(name: str, pool: descriptor_pool.DescriptorPool, proto: Message) -> ModuleType:
    """A module that offers what generated code would: the classes of the messages, and the values of the enums."""
    module = ModuleType(f"{_PACKAGE}.{name}_pb2", f"{name}.proto of etcd, made by {__name__}")
    described = pool.FindFileByName(proto.name)
    module.DESCRIPTOR = described  # type: ignore[attr-defined]
    for message_name, descriptor in described.message_types_by_name.items():
        setattr(module, message_name, message_factory.GetMessageClass(descriptor))
    for descriptor in described.enum_types_by_name.values():
        for value in descriptor.values:
            setattr(module, value.name, value.number)
    return module


_install()

import etcd3.etcdrpc as rpc  # noqa: E402 - only now will it find the messages
import grpc  # noqa: E402

__all__ = ["Etcd3ImportError", "Message", "grpc", "rpc"]
