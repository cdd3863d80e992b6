"""What etcd's errors are to a storage's user: each in its family, by calls and by streams; and what a reflector waits out."""

from __future__ import annotations

from contextlib import asynccontextmanager
from random import Random

import pytest
import trio

from cacher.storage import (
    Codec,
    InternalError,
    ListOptions,
    StorageTimeout,
    TooManyRequests,
    Unreachable,
    Update,
)
from cacher.storage.etcd import (
    DeadlineError,
    EtcdError,
    EtcdListerWatcher,
    EtcdStorage,
    NoLeaderError,
    NoSpaceError,
    PermissionDeniedError,
    ServerError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
    open_embedded_etcd,
)
from watch import ObjectReader, WatchError

# what etcd says, what a call says then, what a stream says, what a reflector is told
ROWS = [
    (DeadlineError("late"), StorageTimeout, InternalError, trio.BrokenResourceError),
    (UnavailableError("lost", outcome_unknown=True), StorageTimeout, InternalError, trio.BrokenResourceError),
    (ServerError("odd", outcome_unknown=True), StorageTimeout, InternalError, WatchError),
    (UnavailableError("away"), Unreachable, InternalError, trio.BrokenResourceError),
    (NoLeaderError("none"), Unreachable, InternalError, trio.BrokenResourceError),
    (TooManyRequestsError("busy"), TooManyRequests, TooManyRequests, trio.BrokenResourceError),
    (NoSpaceError("full"), InternalError, InternalError, WatchError),
    (UnauthenticatedError("who"), InternalError, InternalError, WatchError),
    (PermissionDeniedError("no"), InternalError, InternalError, WatchError),
    (ServerError("odd"), InternalError, InternalError, WatchError),
]


class Refusing:
    """An etcd that answers everything with `error`; with `streams_alone`, watches only."""

    def __init__(self, etcd, error: EtcdError, *, streams_alone: bool = False) -> None:
        self._etcd = etcd
        self._error = error
        self._streams_alone = streams_alone

    def __getattr__(self, name: str):
        if self._streams_alone:
            return getattr(self._etcd, name)

        async def refuse(*args: object, **kwargs: object) -> None:
            await trio.lowlevel.checkpoint()
            raise self._error

        return refuse

    @asynccontextmanager
    async def watch(self, *args: object, **kwargs: object):
        await trio.lowlevel.checkpoint()
        yield self

    async def receive(self) -> None:
        await trio.lowlevel.checkpoint()
        raise self._error


@pytest.mark.parametrize(("error", "of_call", "of_stream", "of_reflector"), ROWS, ids=lambda each: str(each)[:30])
def test_an_error_of_etcd_is_told_in_the_words_of_those_who_hear_it(run_trio, error, of_call, of_stream, of_reflector):
    async def main():
        async with open_embedded_etcd(random=Random(1)) as etcd:
            refusing = Refusing(etcd, error)
            storage = EtcdStorage(refusing, codec=Codec(), random=Random(2))
            pod = {"metadata": {"name": "a"}}
            for call in (
                lambda: storage.create("/pods/a", pod),
                lambda: storage.create("/pods/a", pod, ttl_s=9),
                lambda: storage.get("/pods/a"),
                lambda: storage.delete("/pods/a"),
                lambda: storage.guaranteed_update("/pods/a", lambda *_: Update(pod)),
                lambda: storage.get_list("/pods", ListOptions()),
                storage.current_resource_version,
                storage.stats,
            ):
                with pytest.raises(of_call) as told:
                    await call()
                assert type(told.value) is of_call
                assert str(error) in str(told.value)
                assert told.value.__cause__ is error
            for asked in ("", "7"):  # the list that a watch begins with, and the watch
                async with storage.watch("/pods", ListOptions(resource_version=asked)) as stream:
                    with pytest.raises(of_stream, match=str(error)):
                        await stream.receive()
                    with pytest.raises(trio.EndOfChannel):
                        await stream.receive()
            source = EtcdListerWatcher(refusing, "/registry/pods/", ObjectReader())
            with pytest.raises(of_reflector, match=str(error)):
                await source.list()
            async with source.watch(7) as stream:
                with pytest.raises(of_reflector, match=str(error)):
                    await stream.receive()

    run_trio(main)
