"""Manager: several controllers over one client and one set of shared informers; where asked for, while this process leads.

    Manager ─ informers ─ run always: whoever stands by has its copies ready
            └ controllers ─ run together, while the lease is held ─ one that fails is run again, the others go on

Source: controller-runtime pkg/manager.
Differs: a controller that fails is run again after a wait, and does not end the process; after a lost lease the manager
campaigns anew, where Go's end the process: here nothing of the former term is left when the next one starts.
"""

from __future__ import annotations

import logging
from random import Random
from typing import final

import msgspec
import trio

from ._backoff import Backoff, BackoffPolicy
from ._client import Client
from ._controller import Controller, ControllerStatistics
from ._informers import SharedInformers
from ._journal import Journal
from ._leader import LeaderElector, LeadershipLost, LeaderStatistics
from ._provenance import RecordingClient
from ._time_of_day import TimeOfDay

LOG = logging.getLogger("reflector.manager")


class ManagerStatistics(msgspec.Struct, frozen=True):
    """What a manager's parts do."""

    controllers: tuple[ControllerStatistics, ...]
    restarts: int
    """How often a controller failed as a whole, and was run again. Failures of reconciles do not count."""
    last_error: str
    """The last of these failures in words, the controller's name first; "" where there was none."""
    leader: LeaderStatistics | None
    """None: without leader election."""


@final
class Manager:
    """Runs controllers. Starts nothing until `run` is called.

        manager = Manager(cluster, random=Random(7), clock=cluster.clock)
        deployments = manager.informers.informer("apps/v1", "deployments")
        manager.add(Controller("deployments", reconcile, random=Random(8)).watches(deployments))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run)

    Args:
        client: the API.
        random: for the informers' waits, and for those before a controller is run again.
        clock: for the times that people read in the journal.
        elector: controllers run only while this one leads; None: always.
        journal: where writes are kept; one of its own by default.
        restart: the waits before a controller that failed as a whole is run again.
        restarts_max: a controller that fails once more than this ends the manager with its error; None: never.
    """

    def __init__(
        self,
        client: Client,
        *,
        random: Random,
        clock: TimeOfDay,
        elector: LeaderElector | None = None,
        journal: Journal | None = None,
        restart: BackoffPolicy | None = None,
        restarts_max: int | None = None,
    ) -> None:
        if restarts_max is not None and restarts_max < 0:
            raise ValueError(f"restarts_max is {restarts_max}: choose 0 or more, or None for any number")
        self.journal = Journal(clock=clock) if journal is None else journal
        """What the controllers wrote, and what each had read before."""
        self.client = RecordingClient(client, self.journal)
        """Write through this one: what goes past it is in no journal, and is not waited for."""
        self.informers = SharedInformers(self.client, random=Random(random.getrandbits(64)))
        self.clock = clock
        self.elector = elector
        self._random = random
        self._restart = restart
        self._restarts_max = restarts_max
        self._controllers: dict[str, Controller] = {}
        self._has_begun = False
        self._restarts = 0
        self._last_error = ""

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """In the order in which they were added."""
        return tuple(self._controllers.values())

    def add(self, controller: Controller) -> Controller:
        """Run this one, too; it is handed back.

        Raises:
            ValueError: there is one of its name, by which statistics and the journal tell them apart: choose another.
            RuntimeError: the manager runs: add before.
        """
        if self._has_begun:
            raise RuntimeError(f"the manager runs already: add {controller.name!r} before run()")
        if controller.name in self._controllers:
            raise ValueError(f"there is a controller {controller.name!r} already: choose another name")
        self._controllers[controller.name] = controller
        return controller

    async def run(self) -> None:
        """Run informers and controllers until cancelled, or until all controllers have been drained. Once only.

        Cancelled, reconciles that run are cancelled, then the lease is released, then the informers end.
        Raises:
            RuntimeError: it has been run before.
            ExceptionGroup: a controller failed more often than `restarts_max`, or an informer did: mistakes in the program.
        """
        if self._has_begun:
            raise RuntimeError("this manager has been run before: make another")
        self._has_begun = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.informers.run, name="informers")
            await (self._lead() if self.elector is None else self._campaign(self.elector))
            nursery.cancel_scope.cancel()

    async def drain(self) -> None:
        """Reconcile what is queued now and nothing more, in all controllers; then `run` ends.

        It waits for reconciles that run: put a timeout around it where one may be stuck.
        """
        async with trio.open_nursery() as nursery:
            for controller in self._controllers.values():
                nursery.start_soon(controller.drain)

    def statistics(self) -> ManagerStatistics:
        """How it is doing. Cost: O(controllers, their workers and informers)."""
        return ManagerStatistics(
            controllers=tuple([one.statistics() for one in self._controllers.values()]),
            restarts=self._restarts,
            last_error=self._last_error,
            leader=self.elector.statistics() if self.elector is not None else None,
        )

    # ---- inside ----------------------------------------------------------------------------------------------------

    async def _campaign(self, elector: LeaderElector) -> None:
        """Term after term. Between two of them no controller runs."""
        while True:
            try:
                await elector.run(self._lead)
            except LeadershipLost as error:
                LOG.warning("%s", error)
            else:
                return

    async def _lead(self) -> None:
        """All controllers, until each has been drained."""
        async with trio.open_nursery() as nursery:
            for controller in self._controllers.values():
                if not controller.queue.is_shut_down:  # drained in an earlier term
                    nursery.start_soon(self._run_again_and_again, controller, name=controller.name)

    async def _run_again_and_again(self, controller: Controller) -> None:
        backoff = Backoff(Random(self._random.getrandbits(64)), self._restart)
        failures = 0
        while True:
            try:
                await controller.run()
                return
            except Exception as error:
                failures += 1
                self._last_error = f"{controller.name}: {type(error).__name__}: {error}"
                if self._restarts_max is not None and failures > self._restarts_max:
                    raise
                if controller.queue.is_shut_down:
                    raise  # it was to end, and cannot be run again
                wait_s = backoff.next(trio.current_time())
                LOG.exception("%s failed as a whole, and is run again in %.1f s", controller.name, wait_s)
            self._restarts += 1
            await trio.sleep(wait_s)
