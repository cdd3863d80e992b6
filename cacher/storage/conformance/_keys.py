"""Cases: which keys a storage takes, method by method."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from .._interface import ListOptions, Update
from ._case import add_case
from ._expect import raises
from ._fixture import Fixture, pod

BAD_KEYS = {
    "": "empty key",
    "/": "empty key",
    ".": "invalid key",
    "..": "invalid key",
    "{prefix}/./name": "invalid key",
    "{prefix}/../name": "invalid key",
    "{bare}": "lacks resource prefix",
    "{prefix}.apps": "lacks resource prefix",
    "/foo/": "lacks resource prefix",
}
GOOD_KEYS = ("{prefix}/", "{prefix}/namespace", "{prefix}/namespace/name")
BARE_PREFIX = "{prefix}"


async def _create(store: Fixture, key: str) -> None:
    await store.storage.create(key, pod("namespace/name"))


async def _get(store: Fixture, key: str) -> None:
    await store.storage.get(key, ignore_not_found=True)


async def _delete(store: Fixture, key: str) -> None:
    await store.storage.create(key, pod("namespace/name"))
    await store.storage.delete(key)


async def _update(store: Fixture, key: str) -> None:
    def make(*_: object) -> Update:
        return Update(pod("namespace/name"))

    await store.storage.guaranteed_update(key, make, ignore_not_found=True)


async def _list(store: Fixture, key: str) -> None:
    await store.storage.get_list(key, ListOptions())


async def _list_one(store: Fixture, key: str) -> None:
    await store.storage.get_list(key, ListOptions(recursive=False))


async def _watch(store: Fixture, key: str) -> None:
    async with store.storage.watch(key, ListOptions("0")):
        pass


async def _watch_one(store: Fixture, key: str) -> None:
    async with store.storage.watch(key, ListOptions("0", recursive=False)):
        pass


class Method(msgspec.Struct, frozen=True):
    """A method with a key. The bare prefix of the resource is a key only to what reads all below it."""

    name: str
    call: Callable[[Fixture, str], Awaitable[None]]
    is_recursive: bool = False


METHODS = [
    Method("create", _create),
    Method("get", _get),
    Method("delete", _delete),
    Method("guaranteed_update", _update),
    Method("get_list", _list, is_recursive=True),
    Method("get_list of one key", _list_one),
    Method("watch", _watch, is_recursive=True),
    Method("watch of one key", _watch_one),
]


async def check_method(store: Fixture, method: Method) -> None:
    """Good keys are taken; each bad one is refused, in the words that fit it."""

    def named(key: str) -> str:
        return key.format(prefix=store.prefix, bare=store.prefix.removeprefix("/"))

    for key, says in BAD_KEYS.items():
        with raises(Exception, says=says):
            await method.call(store, named(key))
    for key in GOOD_KEYS:
        await method.call(store, named(key))
    if method.is_recursive:
        await method.call(store, named(BARE_PREFIX))
    else:
        with raises(Exception, says="lacks resource prefix"):
            await method.call(store, named(BARE_PREFIX))


def _add_cases() -> None:
    for method in METHODS:

        async def check(store: Fixture, method: Method = method) -> None:
            await check_method(store, method)

        add_case(
            f"keys of {method.name}", f"[9.1 KeySchema] {method.name}: empty, invalid, foreign and good keys", check
        )


_add_cases()
