"""One life of a process as its connections see it, and what they need of the world around them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Protocol

import trio

from .. import ResourceInfo
from ._chronicle import Chronicle
from ._faults import ALL
from ._history import History
from ._injector import Injector
from ._network import Network
from ._server import ApiServer
from ._store import SimStore

if TYPE_CHECKING:
    from ._remote_source import RemoteSource


class Breakable(Protocol):
    """An open stream."""

    server: str

    def break_off(self) -> None:
        """The connection is lost, and it is noticed."""
        ...

    def fall_silent(self) -> None:
        """The connection is lost, and nobody is told."""
        ...

    def drain(self) -> None:
        """The run is over, and all that there was has been handed over."""
        ...


class Surroundings(Protocol):
    """What a remote client needs of its world."""

    network: Network
    injector: Injector
    history: History
    chronicle: Chronicle
    has_lags: bool

    @property
    def store(self) -> SimStore:
        """The one truth."""
        ...

    def server(self, name: str) -> ApiServer:
        """The server of that name."""
        ...

    def know(self, info: ResourceInfo) -> None:
        """Somebody reads this resource: every server has it in its cache, and its history is kept."""
        ...

    def random(self, name: str) -> Random:
        """A stream of the run's seed."""
        ...


class Life:
    """One incarnation of a process: what its client may still do, and what it has open."""

    def __init__(self, process: str, incarnation: int, server: str, blocked: list[str]) -> None:
        self.process = process
        self.incarnation = incarnation
        self.server = server
        self.is_over = False
        self.streams: dict[Breakable, None] = {}
        self.blocked = blocked
        """Prefixes of which it gets nothing now; `"*"`: of all."""
        self.unblocked = trio.Event()
        self.on_source: Callable[[RemoteSource], None] = _nothing
        """Called with a source when it is first used: its informer runs by then."""

    def check(self) -> None:
        """Raises ConnectionResetError where the process was killed: what runs on as it is torn down sends nothing more."""
        if self.is_over:
            raise ConnectionResetError(f"{self.process} was killed: it sends nothing more")

    def is_blocked(self, prefix: str) -> bool:
        """Whether nothing of that resource reaches it now."""
        return any(one in (ALL, prefix) for one in self.blocked)

    def wake(self) -> None:
        """What is blocked has changed."""
        unblocked, self.unblocked = self.unblocked, trio.Event()
        unblocked.set()

    def break_streams(self, server: str = "") -> None:
        """All open watches are lost, and it is noticed; with `server`, those from there."""
        for stream in list(self.streams):
            if server in ("", stream.server):
                stream.break_off()


async def arrive(world: Surroundings, life: Life) -> ApiServer:
    """The server that `life` talks to, once a request has got there.

    Raises:
        ConnectionResetError: it was lost on its way, or the process was killed meanwhile.
        trio.TooSlowError: it did not get there in time.
    """
    server = world.server(life.server)
    await world.network.carry(life.process, server.name)
    life.check()
    link = world.network.state(life.process, server.name)
    if link.lose and world.network.random(life.process, server.name).random() < link.lose:
        raise ConnectionResetError(f"the connection to {server.name} was lost")
    return server


def _nothing(_: object) -> None:
    return
