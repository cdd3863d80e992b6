"""Light clients by the thousand: each lists, watches, takes its events at its own speed, comes back when it is sent away.

    come ─► list? ─► watch ─► take, take, … ─┬─ ended, evicted, lost ─► come again from its revision
              ▲                              └─ expired ─► come again with a list
              └───────────────────────────────────────────┘

All clients of a crowd are one process, on one server. None has a task while it watches: one agenda says whose turn is when, so a
client costs a place in a heap and about a microsecond an event. What one holds is kept as a number of objects and the sum of
their revisions, which is equal to the store's when it holds what the store holds, and, but for a rare accident, only then.

What is left out: latency of events (lists and openings have it), and the client's own dead connections: one that falls silent is
given up after SILENCE_S.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random

import msgspec
import trio

from cacher.storage import StorageError
from watch import Event, EventType, Expired, NotReady, Selector, TooLargeResourceVersion, WatchError

from .. import ResourceInfo
from ._acts import LightClient
from ._connection import Life, Surroundings, arrive
from ._fan_out import Evicted, FanOut, Feed

SILENCE_S = 70.0
"""A watch that has been silent for so long is dead: bookmarks come once a minute. Source: kopf's inactivity timeout."""
RETRY_S = 1.0
"""What was refused, or lost on its way, is tried again after so long."""
LOOK_PERIOD_S = 5.0
"""Who waits is looked at so often, also where nobody says that something came: a bookmark is no news."""

_PASSING = (ConnectionError, WatchError, StorageError, trio.BrokenResourceError, trio.TooSlowError)


class Habits(msgspec.Struct, frozen=True):
    """How a light client behaves. Those of one crowd may differ."""

    events_per_s: float = float("inf")
    """What it takes of its watch: after each event it is busy for so long."""
    objects_per_s: float = float("inf")
    """What it takes of a list; it watches when it has all of it."""
    relists_at: str = "seen"
    """What it lists at when its revision has expired: "seen": not older than that; "latest": whatever the store has now."""
    back_s: float = 0.1
    """A watch that was ended is opened again after so long,"""
    jitter_s: float = 0.0
    """and up to so much more."""
    is_slow: bool = False
    """Whether it is not to be counted among those that keep up."""


class _Client:
    __slots__ = (
        "came_s",
        "excused_until",
        "feed",
        "free_s",
        "held",
        "is_by_policy",
        "must_list",
        "pause_s",
        "record",
        "revision",
        "sum",
        "terms",
        "turn",
    )

    def __init__(self, terms: Habits, record: LightClient, now_s: float) -> None:
        self.terms = terms
        self.record = record
        self.pause_s = 1 / terms.events_per_s
        self.feed: Feed | None = None
        self.revision = -1  # nothing seen yet
        self.held = self.sum = 0
        self.must_list = True
        self.turn = -1  # the number of its next turn to take, of a client that is busy
        self.came_s = now_s  # events before it are not late: it was not there to take them
        self.free_s = now_s  # when it is done with the last event that it took: what it finds then is not late either
        self.excused_until = 0  # up to this revision events were kept from it by a fault: it may have lost them
        self.is_by_policy = False  # whether it was the server's policy that ended its last watch


class _Connection:
    """See Breakable: what all clients of a crowd have open at one server."""

    def __init__(self, crowd: Crowd, server: str) -> None:
        self.server = server
        self._crowd = crowd

    def break_off(self) -> None:
        """See Breakable."""
        self._crowd.lose_all()

    def fall_silent(self) -> None:
        """See Breakable."""
        self._crowd.lose_all(noticed_after_s=SILENCE_S)

    def drain(self) -> None:
        """See Breakable: what was taken has been counted."""


class Crowd:
    """Light clients of one resource. Made by `Site.crowd`; does nothing until `run` is called."""

    def __init__(
        self, world: Surroundings, life: Life, info: ResourceInfo, habits: Sequence[Habits], *, random: Random
    ) -> None:
        self._world = world
        self._life = life
        self._info = info
        self._random = random
        self._habits = habits
        self._selector = Selector.of()
        self._clients: list[_Client] = []
        self._idle: dict[_Client, None] = {}
        self._agenda: list[
            tuple[float, int, bool, _Client]
        ] = []  # when, in which order, whether to come or to take, who
        self._order = count()
        self._woken = trio.Event()
        self._has_news = False
        self._is_held_up = False
        self._fan_outs: dict[FanOut, _Connection] = {}
        self._fan_out: FanOut | None = None
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """All clients at work, until cancelled."""
        world, life, now_s = self._world, self._life, trio.current_time()
        world.know(self._info)
        for number, habits in enumerate(self._habits):
            record = LightClient(
                f"{life.process}#{life.incarnation} {number}", self._info.prefix, habits.is_slow, now_s
            )
            world.history.acts.light.append(record)
            self._clients.append(_Client(habits, record, now_s))
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for client in self._clients:
                    self._come_again(client, self._random.random() * client.terms.jitter_s)
                nursery.start_soon(self._hear_of_links)
                await self._keep_agenda()
        finally:
            self._nursery = None
            self._leave()

    def lose_all(self, *, noticed_after_s: float = 0.0) -> None:
        """Every watch that is open is lost, and its client notices after so long."""
        for client in self._clients:
            if client.feed is not None:
                client.record.lost += 1
                self._lose(client, by_policy=False, after_s=noticed_after_s)

    def lagging(self, objects: int, total: int) -> str:
        """Who has no watch, or holds anything but so many objects whose revisions come to `total`; "" where nobody does."""
        wrong = [one for one in self._clients if one.feed is None or (one.held, one.sum) != (objects, total)]
        if not wrong and len(self._clients) == len(self._habits):
            return ""
        first = f", the first {wrong[0].record.name}" if wrong else ""
        return f"{len(wrong)} of {len(self._habits)} light clients are not as the store is{first}"

    @property
    def prefix(self) -> str:
        """Of the resource that they watch."""
        return self._info.prefix

    # ---- the agenda --------------------------------------------------------------------------------------------------

    async def _keep_agenda(self) -> None:
        agenda, look_s = self._agenda, 0.0
        while True:
            now_s = trio.current_time()
            self._look_at_links(now_s)
            if self._has_news or now_s >= look_s:
                self._has_news = False
                look_s = now_s + LOOK_PERIOD_S
                for client in list(self._idle):
                    self._take(client, now_s)
            while agenda and agenda[0][0] <= now_s:
                _, number, is_to_come, client = heappop(agenda)
                if is_to_come:
                    self._begin(client)
                elif client.turn == number:  # else it was of a watch that it has lost since
                    self._take(client, now_s)
            with trio.move_on_at(min(look_s, agenda[0][0]) if agenda else look_s):
                await self._woken.wait()
            self._woken = trio.Event()

    def _hear(self) -> None:
        self._has_news = True
        self._woken.set()

    async def _hear_of_links(self) -> None:
        """Whatever held events back may be over."""
        while True:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_first, self._world.network.wait_for_change, nursery.cancel_scope)
                nursery.start_soon(_first, self._life.unblocked.wait, nursery.cancel_scope)
            self._hear()

    def _look_at_links(self, now_s: float) -> None:
        """Whether anything of its server reaches the process now. Nobody is late for what was held up,
        nor to blame for what left the history meanwhile."""
        life, was_held_up = self._life, self._is_held_up
        is_cut = self._world.network.state(life.server, life.process).is_cut
        self._is_held_up = is_cut or life.is_blocked(self._info.prefix)
        if was_held_up and not self._is_held_up:
            newest = max(self._fan_out.arrived_s, default=0) if self._fan_out is not None else 0
            for client in self._clients:
                client.free_s = max(client.free_s, now_s)
                client.excused_until = newest

    def _take(self, client: _Client, now_s: float) -> None:
        """What there is for a client that has time: one event, after which it is busy, or all, where it needs no time."""
        feed = client.feed
        if feed is None:
            return
        self._idle[client] = None
        if self._is_held_up:
            return
        try:
            while True:
                event = feed.receive_nowait()
                client.revision = feed.revision
                if event.type is not EventType.BOOKMARK:
                    self._note(client, event, now_s)
                    if client.pause_s:
                        del self._idle[client]
                        client.turn = next(self._order)
                        heappush(self._agenda, (now_s + client.pause_s, client.turn, False, client))
                        return
        except trio.WouldBlock:
            return
        except Expired:
            if client.revision < client.excused_until:
                client.record.cut_off += 1
            else:
                client.record.expired += 1
            client.must_list = True
            self._lose(client, by_policy=True)
        except Evicted:
            client.record.evicted += 1
            self._lose(client, by_policy=True)
        except trio.EndOfChannel:
            client.record.lost += 1
            self._lose(client, by_policy=False)

    def _note(self, client: _Client, event: Event, now_s: float) -> None:
        obj, before, record = event.object, event.previous, client.record
        record.events += 1
        if event.type is EventType.DELETED:
            gone = before if before is not None else obj
            client.held -= 1
            client.sum -= gone.revision
        else:
            client.held += before is None
            client.sum += obj.revision - (0 if before is None else before.revision)
        assert self._fan_out is not None, "it has a feed of it"
        arrived_s = self._fan_out.arrived_s.get(event.revision)
        if arrived_s is not None:
            lag_s = now_s - max(arrived_s, client.came_s, client.free_s)
            if lag_s > record.lag_max_s:
                record.lag_max_s = lag_s
        client.free_s = now_s + client.pause_s

    # ---- going and coming --------------------------------------------------------------------------------------------

    def _lose(self, client: _Client, *, by_policy: bool, after_s: float = 0.0) -> None:
        assert client.feed is not None, "only what is open can be lost"
        client.feed.close()
        client.feed = None
        client.turn = -1
        self._idle.pop(client, None)
        client.record.waits_since_s = trio.current_time()
        client.is_by_policy = by_policy
        terms = client.terms
        self._come_again(client, after_s + terms.back_s + self._random.random() * terms.jitter_s)

    def _come_again(self, client: _Client, after_s: float) -> None:
        heappush(self._agenda, (trio.current_time() + after_s, next(self._order), True, client))
        self._woken.set()

    def _begin(self, client: _Client) -> None:
        assert self._nursery is not None, "the agenda is kept in it"
        self._nursery.start_soon(self._come, client)

    async def _come(self, client: _Client) -> None:
        """List where it must, and open a watch."""
        try:
            if client.must_list:
                await self._list(client)
            await self._watch(client)
        except Expired:
            client.record.refused += 1
            client.must_list = True
            self._come_again(client, client.terms.back_s + self._random.random() * client.terms.jitter_s)
        except (NotReady, TooLargeResourceVersion) as refusal:
            self._come_again(client, refusal.retry_after_s)
        except _PASSING:
            self._come_again(client, RETRY_S)

    async def _list(self, client: _Client) -> None:
        world, life, info, terms = self._world, self._life, self._info, client.terms
        server = await arrive(world, life)
        asked = "0" if client.revision < 0 else "" if terms.relists_at == "latest" else str(client.revision)
        found = await server.serve(
            lambda cluster: cluster.resource(info.group_version, info.plural).list(resource_version=asked)
        )
        await world.network.carry(server.name, life.process)
        await trio.sleep(len(found.objects) / terms.objects_per_s)
        client.record.lists += 1
        client.revision = found.revision
        client.held, client.sum = len(found.objects), sum(obj.revision for obj in found.objects)
        client.must_list = False
        client.came_s = trio.current_time()  # what is in the list, or came while it was on its way, is not late

    async def _watch(self, client: _Client) -> None:
        server = await arrive(self._world, self._life)
        if server.name != self._life.server:
            raise ConnectionResetError(f"{server.name} was left for {self._life.server} meanwhile: try again there")
        fan_out = server.fan_out(self._info)
        if fan_out is None:
            raise ConnectionRefusedError(f"{server.name} has yet to fill its cache: try again")
        client.feed = fan_out.watch(self._selector, after=client.revision)
        self._listen_to(fan_out, server.name)
        now_s, record = trio.current_time(), client.record
        record.opened += 1
        record.waited_max_s = record.waited_s(now_s)
        record.waits_since_s = None
        self._idle[client] = None
        if not client.is_by_policy:
            client.came_s = now_s
        self._hear()

    def _listen_to(self, fan_out: FanOut, server: str) -> None:
        self._fan_out = fan_out
        if fan_out in self._fan_outs:
            return
        for old, connection in self._fan_outs.items():
            old.hears.pop(self._hear, None)
            self._life.streams.pop(connection, None)
        connection = _Connection(self, server)
        self._fan_outs = {fan_out: connection}
        fan_out.hears[self._hear] = None
        self._life.streams[connection] = None

    def _leave(self) -> None:
        """The process ends: its connections do, and what came of each client is told."""
        for fan_out, connection in self._fan_outs.items():
            fan_out.hears.pop(self._hear, None)
            self._life.streams.pop(connection, None)
        now_s = trio.current_time()
        for client in self._clients:
            if client.feed is not None:
                client.feed.close()
                client.feed = None
            client.record.waited_max_s = client.record.waited_s(now_s)
            client.record.waits_since_s = None
            told = msgspec.structs.astuple(client.record)[3:]
            self._world.chronicle.tell(client.record.name, f"leaves at {client.revision} with {client.held}: {told}")


async def _first(wait: object, scope: trio.CancelScope) -> None:
    await wait()  # type: ignore[operator]
    scope.cancel()
