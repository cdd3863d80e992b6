"""RegistryStore.create.

    name ─ begin_create ─ before_create (strategy) ─ validate ─ Storage.create ─ finish ─ after_create ─ decorator
     └── taken, and generated: another name, eight times in all

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go (Create, createWithGenerateNameRetry).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..storage import KeyExists
from ._before import before_create, with_system_fields
from ._dry_run import dry_create
from ._errors import AlreadyExists, APIError, GeneratedNameTaken
from ._meta import JSONObject, deletion_timestamp_of, name_of, text, with_metadata
from ._storage_errors import Operation, translated

if TYPE_CHECKING:
    from random import Random

    from ._rest import Context, CreateOptions, Environment, ValidateObject
    from ._store import Finish, RegistryStore

NAME_ATTEMPTS = 8
"""Generated names that are tried. With 27⁵ endings the eighth is needed where three quarters of all are taken."""

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels, so that no words come out, and nothing that is read as something else."""
_RANDOM_CHARS = 5
_NAME_CHARS_MAX = 63


def generate_name(base: str, random: Random) -> str:
    """`base`, cut so that a label comes out, and five characters."""
    return base[: _NAME_CHARS_MAX - _RANDOM_CHARS] + "".join(random.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))


def new_object(obj: JSONObject, environment: Environment) -> JSONObject:
    """The object as a new one, with its uid, time and, where it is to be generated, its name."""
    uid = str(uuid.UUID(int=environment.random.getrandbits(128), version=4))
    obj = with_system_fields(obj, uid=uid, now=environment.now())
    prefix = text(obj, "generateName")
    if prefix and not name_of(obj):
        obj = with_metadata(obj, {"name": generate_name(prefix, environment.random)})
    return obj


@contextmanager
def begun(finish: Finish | None) -> Iterator[list[bool]]:
    """Runs the block, in which True is appended on success, and then `finish` with whether it was."""
    succeeded: list[bool] = []
    try:
        yield succeeded
    finally:
        if finish is not None:
            finish(bool(succeeded))


def allocated(
    store: RegistryStore, context: Context, obj: JSONObject, old: JSONObject | None, *, dry_run: bool
) -> tuple[JSONObject, Finish | None]:
    """The object with what it is given of pools, and what ends that."""
    if store.hooks.allocate is None:
        return obj, None
    return store.hooks.allocate(context, obj, old, dry_run)


async def create(
    store: RegistryStore, context: Context, obj: JSONObject, validate: ValidateObject, options: CreateOptions
) -> JSONObject:
    """See RegistryStore."""
    attempts = NAME_ATTEMPTS if text(obj, "generateName") and not name_of(obj) else 1
    for attempt in range(1, attempts + 1):
        try:
            return await _create_once(store, context, obj, validate, options)
        except AlreadyExists:
            if attempt == attempts:
                raise
    raise AssertionError("the last attempt returned or raised")


async def _create_once(
    store: RegistryStore, context: Context, obj: JSONObject, validate: ValidateObject, options: CreateOptions
) -> JSONObject:
    obj = new_object(obj, store.environment)
    hooks = store.hooks
    with begun(hooks.begin_create(context, obj, options) if hooks.begin_create is not None else None) as succeeded:
        obj, finish = allocated(store, context, obj, None, dry_run=options.dry_run)
        with begun(finish) as given:
            obj = before_create(store.create_strategy, context, obj, store.kind)
            validate(obj)
            stored = await _store_new(store, context, obj, options)
            given.append(True)
        succeeded.append(True)
    if hooks.after_create is not None:
        hooks.after_create(stored, options)
    return store.decorated(stored)


async def _store_new(store: RegistryStore, context: Context, obj: JSONObject, options: CreateOptions) -> JSONObject:
    name = name_of(obj)
    key = store.key(context, name)
    ttl_s = store.hooks.ttl_s(obj, 0, False) if store.hooks.ttl_s is not None else 0
    try:
        if options.dry_run:
            return await dry_create(store.storage, key, obj)
        with translated(Operation.CREATE, store.resource, name, kept=KeyExists):
            return (await store.storage.create(key, obj, ttl_s=ttl_s)).to_dict()
    except KeyExists as error:
        raise await _taken(store, key, obj) from error


async def _taken(store: RegistryStore, key: str, obj: JSONObject) -> APIError:
    """Why the name cannot be had: with a hint where its holder is about to go."""
    name = name_of(obj)
    with translated(Operation.GET, store.resource, name):
        holder = await store.storage.get(key, ignore_not_found=True)
    is_going = holder is not None and bool(deletion_timestamp_of(holder.parse()))
    prefix = "object is being deleted: " if is_going else ""
    if text(obj, "generateName"):
        return GeneratedNameTaken(store.resource, name, prefix=prefix)
    return AlreadyExists(store.resource, name, prefix=prefix)
