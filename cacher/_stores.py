"""Which etcd a cluster stands on: the embedded one, in memory or kept in a directory, or a real one.

StoreOptions() ─────────────────────► EmbeddedEtcd
StoreOptions(data_dir=…) ───────────► EmbeddedEtcd, there again at the next start
StoreOptions(endpoints=…) ──────────► RemoteEtcd
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec

from ._resources import ROOT
from .storage.etcd import EmbeddedEtcd, RemoteEtcd, Snapshot, check_remote, open_embedded_etcd, open_remote_etcd

ETCD_PREFIX = ROOT.rstrip("/")
"""Where objects are kept unless somebody says otherwise. Source: kube-apiserver's --etcd-prefix."""


class StoreOptions(msgspec.Struct, frozen=True):
    """A store, and how to get at it. The names are those of the command's flags.

    Raises:
        ValueError: two stores at once, or a password without a store that asks for it; the message says what to leave out.
    """

    endpoints: tuple[str, ...] = ()
    """`http://127.0.0.1:2379`, each; with TLS `https://…`. None: the embedded etcd."""
    prefix: str = ETCD_PREFIX
    """Where objects are kept: `/registry`."""
    cafile: str | Path = ""
    """The authorities to trust instead of the system's."""
    certfile: str | Path = ""
    """Our own certificate, where etcd asks for one."""
    keyfile: str | Path = ""
    user: str = ""
    password: str = ""
    data_dir: str | Path | None = None
    """Where the embedded etcd is kept; None: in memory alone."""

    def __post_init__(self) -> None:
        if self.endpoints and self.data_dir is not None:
            raise ValueError("a real etcd keeps its data itself: give its endpoints or a data_dir, not both")
        for name in ("cafile", "certfile", "keyfile", "user", "password"):
            if getattr(self, name) and not self.endpoints:
                raise ValueError(f"{name} is for a real etcd: say where that is, or leave {name} out")
        if self.endpoints:
            check_remote(
                self.endpoints,
                cafile=self.cafile,
                certfile=self.certfile,
                keyfile=self.keyfile,
                user=self.user,
                password=self.password,
            )
        if not self.prefix.startswith("/") or not self.prefix.strip("/") or "//" in self.prefix:
            raise ValueError(f"{self.prefix!r} is no prefix of keys: write it as {ETCD_PREFIX}")

    @property
    def is_remote(self) -> bool:
        """Whether it is a real etcd."""
        return bool(self.endpoints)

    @property
    def root(self) -> str:
        """What every object's key starts with: `/registry/`."""
        return self.prefix.rstrip("/") + "/"


@asynccontextmanager
async def open_store(
    options: StoreOptions,
    *,
    random: Random,
    snapshot: Snapshot | None = None,
    ack_turns: Callable[[], int] | None = None,
) -> AsyncIterator[EmbeddedEtcd | RemoteEtcd]:
    """The store that `options` name, for as long as the context lasts.

    Args:
        snapshot, ack_turns: see open_embedded_etcd; a real etcd begins with what it holds.
    Raises:
        ValueError: a snapshot for a real etcd; or see open_remote_etcd.
        EtcdError, OSError: see open_remote_etcd, open_embedded_etcd.
    """
    if options.is_remote:
        if snapshot is not None:
            raise ValueError("a real etcd begins with what it holds: restore the snapshot there, or leave it out")
        async with open_remote_etcd(
            options.endpoints,
            random=random,
            cafile=options.cafile,
            certfile=options.certfile,
            keyfile=options.keyfile,
            user=options.user,
            password=options.password,
        ) as remote:
            yield remote
    else:
        async with open_embedded_etcd(
            snapshot=snapshot,
            random=random,
            ack_turns=ack_turns if ack_turns is not None else _one_turn,
            data_dir=options.data_dir,
        ) as embedded:
            yield embedded


def _one_turn() -> int:
    return 1
