"""A process of a world: a controller, a kubelet, any client: started, killed between two steps, started anew elsewhere.

A start is a life: the program is called anew, with a client of its own. What it keeps in memory ends with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random

import trio

from reflector import Journal, Manager, RecordingClient, SharedInformer, SharedInformers

from .._clock import Clock
from ._acts import Lived, Mistake
from ._connection import Life, Surroundings
from ._copies import Eye
from ._crowd import Crowd, Habits
from ._guard import NotSimulated
from ._remote import RemoteClient
from ._remote_source import RemoteSource
from ._server import EPOCH_S

DIED_PAUSE_S = 10.0
"""A program that raised is started again after so long. Source: kubelet's first back-off."""


class Site:
    """What a program is given: all that it may know of the world that it runs in."""

    def __init__(self, remote: RemoteClient, random: Random, clock: Clock, life: Life) -> None:
        self.remote = remote
        """The server that this process talks to, without a journal."""
        self.journal = Journal(clock=clock)
        """What it wrote in this life, and what it had read before."""
        self.client = RecordingClient(remote, self.journal)
        """A reflector.Client: the server that this process talks to, with its writes in the journal."""
        self.random = random
        self.clock = clock
        self.name = life.process
        self.incarnation = life.incarnation
        """1 for the first life."""
        self.managers: list[Manager] = []
        """`manager` adds to it."""
        self.watched: list[SharedInformers] = []
        """What is looked at by the judges; `informers` adds to it."""
        self.crowds: list[Crowd] = []
        """Light clients; `crowd` adds to it."""

    @property
    def server(self) -> str:
        """The server that it talks to now."""
        return self.client.name

    def crowd(self, version: str, plural: str, habits: Sequence[Habits]) -> Crowd:
        """Light clients, one for each of `habits`, for the program to run; the world waits for them when it settles."""
        made = self.remote.crowd(version, plural, habits, random=Random(self.random.getrandbits(64)))
        self.crowds.append(made)
        return made

    def informers(self) -> SharedInformers:
        """Shared informers on the client, for the program to run; the judges look at what they hold."""
        made = SharedInformers(self.client, random=Random(self.random.getrandbits(64)))
        self.watched.append(made)
        return made

    def manager(self) -> Manager:
        """A manager on the client, for the program to add controllers to and to run; the judges look at its informers."""
        random = Random(self.random.getrandbits(64))
        made = Manager(self.remote, random=random, clock=self.clock, journal=self.journal)
        self.watched.append(made.informers)
        self.managers.append(made)
        return made


Program = Callable[[Site], Awaitable[None]]


class Process:
    """One process. Made by `World.start`.

    Args:
        server: the server that it talks to at first.
        restart_s: how long it is away after a crash that does not say.
    """

    def __init__(self, world: Surroundings, name: str, program: Program, *, server: str, restart_s: float) -> None:
        self.name = name
        self.server = server
        self.clock = Clock(EPOCH_S)
        self.incarnation = 0
        self.life: Life | None = None
        """None: it is not running."""
        self.has_ended = False
        """Its program returned."""
        self._world = world
        self._program = program
        self._restart_s = restart_s
        self._site: Site | None = None
        self._blocked: list[str] = []
        self._eyes: dict[SharedInformer, Eye] = {}
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._again_s = 0.0

    async def run(self) -> None:
        """Live, life after life, until cancelled, or until the program returns."""
        while not self.has_ended:
            async with trio.open_nursery() as nursery:
                site = self._begin(nursery)
                with trio.CancelScope() as self._scope:
                    await self._live(site)
                nursery.cancel_scope.cancel()
            if not self.has_ended:
                await trio.sleep_until(self._again_s)

    def crash(self, *, restart_s: float | None = None, server: str = "", why: str = "") -> None:
        """Kill it now. It sends nothing more, and comes back after `restart_s`, on `server`. Nothing where it is not running."""
        if server:
            self.server = server
        if self.life is None:
            return
        self._again_s = trio.current_time() + (self._restart_s if restart_s is None else restart_s)
        self._over("crashed", why)
        self._scope.cancel()

    def hurry(self) -> None:
        """Where it is away, be back soon."""
        self._again_s = min(self._again_s, trio.current_time() + self._restart_s)

    def reconnect(self, server: str) -> None:
        """Its connections break, and it goes on with `server`."""
        self.server = server
        if self.life is not None:
            self.life.server = server
            self.life.break_streams()

    def block(self, prefix: str) -> None:
        """Nothing of a resource (`"*"`: of any) reaches it from now on, in whatever life."""
        self._blocked.append(prefix)

    def unblock(self, prefix: str) -> None:
        """All that it missed reaches it."""
        self._blocked.remove(prefix)
        if self.life is not None:
            self.life.wake()

    def crowds(self) -> list[Crowd]:
        """The light clients of its present life."""
        return list(self._site.crowds) if self.life is not None and self._site is not None else []

    def eyes(self) -> list[Eye]:
        """What looks at the informers of its present life."""
        return list(self._eyes.values()) if self.life is not None else []

    def note_mistakes(self) -> None:
        """Keep what the controllers of its present life have raised: called when that life, or the run, ends."""
        if self.life is None or self._site is None:
            return
        for controller in (one for manager in self._site.managers for one in manager.controllers):
            told = controller.statistics()
            if told.panics:
                mistake = Mistake(
                    trio.current_time(), self.name, self.incarnation, told.name, told.panics, told.last_panic
                )
                self._world.history.acts.mistakes.append(mistake)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _begin(self, nursery: trio.Nursery) -> Site:
        self.incarnation += 1
        self._eyes.clear()
        self._nursery = nursery
        life = self.life = Life(self.name, self.incarnation, self.server, self._blocked)
        life.on_source = self._attach
        random = self._world.random(f"process {self.name} {self.incarnation}")
        site = self._site = Site(RemoteClient(self._world, life), random, self.clock, life)
        self._tell("started")
        return site

    async def _live(self, site: Site) -> None:
        try:
            await self._program(site)
        except Exception as error:
            if isinstance(cause := _first(error), NotSimulated):
                raise
            self._again_s = trio.current_time() + DIED_PAUSE_S
            self._over("died", f"{type(cause).__name__}: {cause}")
        else:
            self.has_ended = True
            self._over("ended")

    def _over(self, what: str, why: str = "") -> None:
        life = self.life
        if life is None:
            return
        self.note_mistakes()
        self._tell(what, why)
        life.is_over = True
        self.life = None

    def _tell(self, what: str, why: str = "") -> None:
        world, name = self._world, f"{self.name}#{self.incarnation}"
        world.history.acts.lives.append(Lived(trio.current_time(), self.name, self.incarnation, self.server, what, why))
        world.chronicle.tell(name, f"{what} {why}".rstrip())

    def _attach(self, source: RemoteSource) -> None:
        """Look at the informer that has just begun to mirror `source`."""
        if self._site is None or self._nursery is None or self.life is None:
            return
        for shared in self._site.watched:
            for informer in shared.informers:
                if informer not in self._eyes and informer.name == source.informer_name:
                    eye = Eye(informer, source.log.name, source.info.prefix, source.selector, self._world.history.acts)
                    self._eyes[informer] = eye
                    self._nursery.start_soon(eye.note_synced)
                    return


def _first(error: Exception) -> Exception:
    """The failure to tell of several."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
