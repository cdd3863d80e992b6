"""The liveness phase: faults stop, what they did is mended, and everything must converge within a bounded time.

Converged is: every server is up and its caches are as the store is, every copy that a process keeps holds what the store holds,
and nobody has written, or been told of anything, for a while; and all that has been so for long enough to be acted upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from watch import Selector

from ._acts import MOMENTS
from ._copies import Eye
from ._history import CacheSample
from ._server import ApiServer

if TYPE_CHECKING:
    from ._world import World

QUIET_S = 30.0
"""Nobody has written for so long: longer than the pauses between the attempts of a controller that gets anywhere."""
REACT_S = 15.0
"""All has been as it should for so long: a copy that was right only now is acted upon only after that, and perhaps not at once."""
POLL_S = 1.0
LOOK_PERIOD_S = 10.0
"""How often caches and copies are looked at while a world runs."""


class Settler:
    """Brings one world to rest."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def settle(self, within_s: float) -> list[str]:
        """Stop all faults and wait. What had not converged when time was up; nothing where all had."""
        world = self._world
        self.calm()
        phases = world.history.acts.phases
        deadline, right_s = world.now_s + within_s, world.now_s
        while (lagging := self._lagging()) or world.now_s < right_s + REACT_S:
            if world.now_s >= deadline:
                break
            await trio.sleep(POLL_S)
            right_s = world.now_s if lagging else right_s
        if not lagging:
            phases.settled_s = world.now_s
            self._drain()
        phases.lagging = tuple(lagging)
        self._look(is_final=True, with_objects=True)
        return lagging

    async def look_for_ever(self) -> None:
        """Look at caches and copies now and then, for the judges, until cancelled."""
        while True:
            await trio.sleep(LOOK_PERIOD_S)
            self._look()

    def calm(self) -> None:
        """Stop all faults, and mend what they did."""
        world = self._world
        world.history.acts.phases.faults_end_s = world.now_s
        world.injector.stop()
        world.network.clear()
        for server in world.servers.values():
            server.hurry()
        for process in world.processes.values():
            process.hurry()
        world.chronicle.tell("world", "faults stop")

    def _lagging(self) -> list[str]:
        """What has not converged, in words."""
        world, found = self._world, []
        quiet_s = world.now_s - max(world.store.last_write_s, world.history.acts.phases.faults_end_s or 0.0)
        if quiet_s < QUIET_S:
            found.append(f"somebody wrote {world.now_s - world.store.last_write_s:g} s ago")
            return found
        if world.now_s - self._last_told_s() < QUIET_S:
            found.append(f"some handler was told something {world.now_s - self._last_told_s():g} s ago")
            return found
        for server in world.servers.values():
            found.extend(self._lagging_caches(server))
        for process in world.processes.values():
            if process.life is None and not process.has_ended:
                found.append(f"{process.name} is not running")
            for crowd in process.crowds():
                if text := crowd.lagging(*self._sum(crowd.prefix)):
                    found.append(text)
            found.extend(f"{eye.holder} is not as the store is" for eye in process.eyes() if not self._is_right(eye))
        return found

    def _last_told_s(self) -> float:
        """When a handler was last told of anything but moments: who has just heard of something has yet to act on it."""
        handled = reversed(self._world.history.acts.handled)
        return next((one.at_s for one in handled if not one.key.startswith(MOMENTS)), 0.0)

    def _lagging_caches(self, server: ApiServer) -> list[str]:
        if not server.is_up:
            return [f"{server.name} is down"]
        found = []
        for resource in server.cached():
            last = self._world.store.last_revision(resource.info.prefix)
            figures = resource.statistics()
            if figures.initializations and (not figures.is_ready or figures.revision < last):
                found.append(f"{server.name}'s cache of {resource.info.plural} is at {figures.revision} of {last}")
        return found

    def _is_right(self, eye: Eye) -> bool:
        return eye.informer.has_synced and eye.is_as(self._truth(eye.prefix, eye.selector))

    def _truth(self, prefix: str, selector: Selector) -> dict[str, int]:
        objects = self._world.store.objects
        return {key: obj.revision for key, obj in objects.items() if key.startswith(prefix) and selector.matches(obj)}

    def _sum(self, prefix: str) -> tuple[int, int]:
        """How many objects the store has of a resource, and what their revisions come to."""
        revisions = [obj.revision for key, obj in self._world.store.objects.items() if key.startswith(prefix)]
        return len(revisions), sum(revisions)

    def _look(self, *, is_final: bool = False, with_objects: bool = False) -> None:
        world = self._world
        for server in world.servers.values():
            for resource in server.cached():
                figures = resource.statistics()
                world.history.samples.append(
                    CacheSample(
                        at_s=world.now_s,
                        prefix=resource.info.prefix,
                        revision=figures.revision,
                        ring_length=figures.ring_length,
                        ring_capacity=figures.ring_capacity,
                        ring_capacity_max=figures.ring_capacity_max,
                        log_events=figures.log_events,
                        view_log_events_max=figures.view_log_events_max,
                        server=server.name,
                    )
                )
        for process in world.processes.values():
            for eye in process.eyes():
                world.history.acts.copies.append(eye.look(with_objects=with_objects, is_final=is_final))

    def _drain(self) -> None:
        """All that there was has been handed over: what a watch did not bring by now was lost."""
        for process in self._world.processes.values():
            if process.life is not None:
                for stream in process.life.streams:
                    stream.drain()
