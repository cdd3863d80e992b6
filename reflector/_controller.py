"""Controller: informers → keys → `async def reconcile(key)`, as many at a time as asked for and never two of one key.

    informer ── handler ── key function ──► WorkQueue ──► worker ── reconcile(key) ──► Result: done, or again later
    informer ── handler ── key function ──►    ▲                         └── an exception: again when the limiter says
                                               └─────────────────────────────┘

A reconcile function is told a name and not what happened to it: it reads what there is, decides, and writes. So events that were
merged, seen twice or never seen do no harm, and a failure is tried again from the start.

Source: client-go util/workqueue's users (kubernetes pkg/controller/*) and controller-runtime pkg/internal/controller.
Differs: `require_live` stops reconciles while a copy is silent; a reconcile that takes too long is visible, and can be cancelled.
"""

from __future__ import annotations

import logging
import math
from random import Random
from typing import Self, final

import msgspec
import trio

from watch import APIError, Conflict

from ._event_keys import KeyFunction, Predicate
from ._expectations import Expectations, UidExpectations
from ._feed import LIVE_WITHIN_S, Feed, HandlerRegistration, Informer
from ._queue_state import WorkQueueStatistics
from ._rate_limits import RateLimiter, default_limiter
from ._reads import RECONCILIATION, Reconciliation
from ._reconcile import GiveUp, Reconcile, ReconcileCancelled, ReconcileTimedOut, Result
from ._store import object_key
from ._workqueue import QueueShutDown, WorkQueue
from ._write_gate import WriteGate

LOG = logging.getLogger("reflector.controller")

LIVE_POLL_S = 1.0
"""How often a controller that waits for a copy to be live again looks: late by this much after an outage of 90 s or more."""
SYNC_WARNING_S = 10.0
"""A controller that still waits for its informers after so long says for which, and again as often."""
RETRY_AFTER_MAX_S = 60.0
"""A server that asks for patience gets this much."""
OWN_WRITES_S = 30.0
"""So long a key waits until the copies show what its last reconcile wrote: most show it within milliseconds; one that is so far
behind is watched through something that is down, and waiting longer mends nothing."""
REMOVAL_S = 5.0
"""So long a controller that ends waits for its handlers to be taken from their informers."""


class RunningReconcile(msgspec.Struct, frozen=True):
    """A reconcile that has begun and not ended."""

    key: str
    running_s: float


class ControllerStatistics(msgspec.Struct, frozen=True):
    """What a controller does and has done. Counts are since it was made."""

    name: str
    state: str
    """"idle", "syncing", "running", "paused", "draining" or "ended"."""
    waiting_for: tuple[str, ...]
    """The informers that it waits for: to sync, or to be live again."""
    reconciles: int
    """Those that have ended, however."""
    failures: int
    """Those of them that raised, timed out, or were cancelled by `cancel_reconcile`; each is tried again but those given up."""
    conflicts: int
    """Failures by Conflict: somebody else was faster, or the copy was behind."""
    panics: int
    """Failures by what is no APIError: mostly mistakes of the reconcile function."""
    timeouts: int
    given_up: int
    """Failures by GiveUp."""
    pauses: int
    """How often it stopped because an informer was not live."""
    held: int
    """Keys that wait now, until the copies show what their last reconcile wrote."""
    waits: int
    """How often a key had to wait for that."""
    waits_given_up: int
    """How often the copies did not show it in time, and the reconcile went on."""
    last_error: str
    """The last failure in words, its key first; "" where there was none."""
    last_panic: str
    """The last one of those that `panics` counts."""
    running: tuple[RunningReconcile, ...]
    """The longest first: one that never returns stays at the top."""
    queue: WorkQueueStatistics
    """`longest_running_s` and `unfinished_work_s` among them: both grow while a reconcile is stuck."""


@final
class _Counts:
    __slots__ = (
        "conflicts",
        "failures",
        "given_up",
        "last_error",
        "last_panic",
        "panics",
        "pauses",
        "reconciles",
        "timeouts",
    )

    def __init__(self) -> None:
        self.reconciles = self.failures = self.conflicts = self.panics = 0
        self.timeouts = self.given_up = self.pauses = 0
        self.last_error = self.last_panic = ""


@final
class _Running:
    __slots__ = ("began_at", "has_failed", "is_cancelled", "scope")

    def __init__(self, began_at: float, timeout_s: float | None) -> None:
        self.began_at = began_at
        self.scope = trio.CancelScope(deadline=math.inf if timeout_s is None else began_at + timeout_s)
        self.is_cancelled = self.has_failed = False


@final
class Controller:
    """Keeps objects in order by calling `reconcile` for each key that something happened to.

        async def reconcile(key: str) -> Result | None: ...

        controller = Controller("replica-sets", reconcile, random=random, concurrency=4)
        controller.watches(replica_sets).watches(pods, owner_key("ReplicaSet"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.run)

    What a reconcile raises is contained: it is counted, logged, and the key is tried again when the limiter says. Whatever
    the function does to the loop is not: one that blocks without awaiting blocks all tasks.

    Args:
        name: for statistics, the log and the journal.
        reconcile: called with a key, by `concurrency` workers at most, and for one key never twice at a time.
        random: for `Result.jitter`.
        concurrency: how many reconciles may run at once.
        limiter: how long a key that failed waits; client-go's defaults where nothing is said.
        require_live: reconcile nothing while an informer of this controller is not live.
        live_within_s: what "live" means then, in seconds of silence; more than the time between two bookmarks.
        timeout_s: a reconcile that takes longer is cancelled, counted and tried again; None: however long.
        own_writes_s: so long a key waits until the informers show what its last reconcile wrote through a RecordingClient; 0: not
            at all.
        expectations: keys that have unmet expectations are not reconciled until they are met, or expire.
    """

    def __init__(
        self,
        name: str,
        reconcile: Reconcile,
        *,
        random: Random,
        concurrency: int = 1,
        limiter: RateLimiter[str] | None = None,
        require_live: bool = False,
        live_within_s: float = LIVE_WITHIN_S,
        timeout_s: float | None = None,
        own_writes_s: float = OWN_WRITES_S,
        expectations: Expectations | UidExpectations | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}: choose 1 or more")
        if timeout_s is not None and not timeout_s > 0:
            raise ValueError(f"timeout_s is {timeout_s:g}: choose more than 0 seconds, or None for no limit")
        if not live_within_s > 0:
            raise ValueError(f"live_within_s is {live_within_s:g}: choose more than 0 seconds")
        self.name = name
        self.concurrency = concurrency
        self._limiter: RateLimiter[str] = default_limiter() if limiter is None else limiter
        self.queue: WorkQueue[str] = WorkQueue(name, limiter=self._limiter)
        """Add keys by hand if something else than an informer tells of them."""
        self._reconcile = reconcile
        self._random = random
        self._require_live = require_live
        self._live_within_s = live_within_s
        self._timeout_s = timeout_s
        self._gate = WriteGate(name, self.queue, own_writes_s)
        self._expectations = expectations
        self._feeds: list[Feed] = []
        self._read: list[Informer] = []
        self._awaited: tuple[Informer, ...] = ()  # as of the present run
        self._copies: dict[int, Informer] = {}  # the same by the id of their store
        self._waits: trio.Nursery | None = None
        self._running: dict[str, _Running] = {}
        self._counts = _Counts()
        self._state = "idle"
        self._syncing: tuple[str, ...] = ()
        self._is_paused = False

    def watches(self, informer: Informer, key: KeyFunction = object_key, *, when: Predicate | None = None) -> Self:
        """Whatever happens to an object of `informer` adds its `key`s to the queue. Add as many informers as needed.

        An update adds the keys of the object before and after it. A deletion adds those of the last state known.
        Args:
            key: whose turn it is; the object's own unless said otherwise. One that raises is the informer's failing handler.
            when: whether a change matters; see `spec_changed` and its like.
        Raises:
            RuntimeError: the controller runs: say what it watches before.
        """
        self._check_idle("watches")
        self._feeds.append(Feed(self.queue, informer, key, when))
        return self

    def reads(self, *informers: Informer) -> Self:
        """Reconciles also read these, and nothing comes of their changes. They are waited for as those that it watches.

        Raises:
            RuntimeError: the controller runs: say what it reads before.
        """
        self._check_idle("reads")
        self._read += informers
        return self

    @property
    def informers(self) -> tuple[Informer, ...]:
        """What it watches and reads, each once."""
        return tuple({id(one): one for one in [*[feed.informer for feed in self._feeds], *self._read]}.values())

    def _check_idle(self, call: str) -> None:
        if self._state not in ("idle", "ended"):
            raise RuntimeError(f"the controller {self.name!r} runs: call {call}() before run()")

    # ---- running -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Wait for the informers to sync, then reconcile until cancelled, or until the queue is shut down and worked off.

        Cancelled, reconciles that run are cancelled at once, wherever they wait. It may be run again: its handlers are told of
        everything anew.
        Raises:
            RuntimeError: it runs already, or has been drained: make another one.
        """
        if self._state not in ("idle", "ended"):
            raise RuntimeError(f"the controller {self.name!r} runs already: one run at a time")
        if self.queue.is_shut_down and self._state == "ended":
            raise RuntimeError(f"the queue of the controller {self.name!r} was shut down: make a new controller")
        registrations: list[HandlerRegistration] = []
        self._state = "syncing"
        self._awaited = self.informers
        self._copies = {id(informer.store): informer for informer in self._awaited}
        try:
            registrations = [feed.informer.add_handler(feed) for feed in self._feeds]
            await self._wait_until_synced(registrations)
            self._state = "running"
            async with trio.open_nursery() as self._waits:
                async with trio.open_nursery() as workers:
                    for number in range(self.concurrency):
                        workers.start_soon(self._work, name=f"{self.name} {number}")
                self._waits.cancel_scope.cancel()  # as delayed keys, those that wait are dropped by draining
        finally:
            self._state = "ended"
            self._gate.clear()
            await self._remove(registrations)

    async def drain(self) -> None:
        """Reconcile what is queued now and nothing more, then `run` ends. Delayed keys are dropped.

        It waits for reconciles that run, and for informers that have to be live: put a timeout around it where one may be stuck.
        """
        await self.queue.shut_down_with_drain()

    def cancel_reconcile(self, key: str) -> bool:
        """Cancel the reconcile of `key` that runs now; whether one does. It counts as a failure, and is tried again."""
        running = self._running.get(key)
        if running is None:
            return False
        running.is_cancelled = True
        running.scope.cancel()
        return True

    def statistics(self) -> ControllerStatistics:
        """What it does and has done. Cost: O(workers + informers)."""
        now = trio.current_time()
        counts = self._counts
        running = [RunningReconcile(key, now - one.began_at) for key, one in self._running.items()]
        silent = self._not_live() if self._state == "running" else self._syncing
        return ControllerStatistics(
            name=self.name,
            state=self._shown_state(paused=bool(silent)),
            waiting_for=silent,
            reconciles=counts.reconciles,
            failures=counts.failures,
            conflicts=counts.conflicts,
            panics=counts.panics,
            timeouts=counts.timeouts,
            given_up=counts.given_up,
            pauses=counts.pauses,
            held=self._gate.held,
            waits=self._gate.waits,
            waits_given_up=self._gate.given_up,
            last_error=counts.last_error,
            last_panic=counts.last_panic,
            running=tuple(sorted(running, key=lambda one: -one.running_s)),
            queue=self.queue.statistics(),
        )

    def _shown_state(self, *, paused: bool) -> str:
        if self._state != "running":
            return self._state
        if paused:
            return "paused"
        return "draining" if self.queue.is_shut_down else "running"

    # ---- before the first reconcile, and after the last --------------------------------------------------------------

    async def _wait_until_synced(self, registrations: list[HandlerRegistration]) -> None:
        """Reconciling from half a list would delete what the other half wants."""
        waited_s = 0.0
        while True:
            self._syncing = tuple([one.name for one in self.informers if not one.has_synced])
            with trio.move_on_after(SYNC_WARNING_S):
                for informer in self.informers:
                    await informer.wait_until_synced()
                for registration in registrations:
                    await registration.wait_until_synced()
                self._syncing = ()
                return
            waited_s += SYNC_WARNING_S
            LOG.warning(
                "%s has waited %.0f s for %s to sync", self.name, waited_s, ", ".join(self._syncing) or "handlers"
            )

    async def _remove(self, registrations: list[HandlerRegistration]) -> None:
        with trio.move_on_after(REMOVAL_S, shield=True):
            for registration in registrations:
                await registration.remove()

    # ---- the gate of live copies -----------------------------------------------------------------------------------

    def _not_live(self) -> tuple[str, ...]:
        if not self._require_live:
            return ()
        return tuple([one.name for one in self.informers if not one.is_live(self._live_within_s)])

    async def _wait_until_live(self) -> None:
        """A worker waits here with its key: all keys will be worked on, once there is something to go by."""
        silent = self._not_live()
        while silent:
            if not self._is_paused:
                self._is_paused = True
                self._counts.pauses += 1
                shown = ", ".join(silent)
                LOG.warning("%s reconciles nothing: %s not live for %g s", self.name, shown, self._live_within_s)
            await trio.sleep(LIVE_POLL_S)
            silent = self._not_live()
        if self._is_paused:
            self._is_paused = False
            LOG.warning("%s reconciles again", self.name)

    # ---- one worker ------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueShutDown:
                return
            try:
                await self._wait_until_live()
                if not (self._gate.holds(key) or self._is_expecting(key)):
                    await self._turn(key)
            finally:
                self.queue.done(key)

    def _is_expecting(self, key: str) -> bool:
        """Whether `key` waits for what it expects: that adds the key itself when it comes, or the end of its patience does."""
        wait_s = 0.0 if self._expectations is None else self._expectations.expires_in_s(key)
        if wait_s > 0:
            self.queue.add_after(key, wait_s)
        return wait_s > 0

    async def _turn(self, key: str) -> None:
        """One reconcile, and what comes of it."""
        running = self._running[key] = _Running(trio.current_time(), self._timeout_s)
        try:
            with running.scope:
                await self._attempt(key, running)
        finally:
            del self._running[key]
            self._counts.reconciles += 1
        if running.scope.cancelled_caught and not running.has_failed:
            self._fail(key, self._why_cancelled(running))

    async def _attempt(self, key: str, running: _Running) -> None:
        number = self._counts.reconciles + len(self._running)
        reconciliation = Reconciliation(self.name, key, number, now=trio.current_time, copies=self._copies)
        token = RECONCILIATION.set(reconciliation)
        try:
            await self._call(key, running)
        finally:
            RECONCILIATION.reset(token)
            assert self._waits is not None, "workers run inside of it"
            self._gate.wrote(key, reconciliation.writes, self._awaited, self._waits)

    async def _call(self, key: str, running: _Running) -> None:
        try:
            result = _checked(await self._reconcile(key))
        except Exception as error:  # noqa: BLE001 - contained here, counted and logged: it hurts this key alone
            self._fail(key, error)
        except BaseExceptionGroup as group:
            # Tasks of the reconcile's own were cancelled, and some of them failed at that: the failures are told, and the
            # cancellation goes on its way.
            failures, rest = group.split(Exception)
            if failures is not None:
                running.has_failed = True
                self._fail(key, failures)
            assert rest is not None, "a group of exceptions alone is an Exception"
            raise rest from None
        else:
            self._succeed(key, result or Result())

    def _why_cancelled(self, running: _Running) -> Exception:
        if running.is_cancelled:
            return ReconcileCancelled("cancelled by hand")
        self._counts.timeouts += 1
        return ReconcileTimedOut(f"took longer than {self._timeout_s:g} s: find what it waits for, or raise timeout_s")

    def _succeed(self, key: str, result: Result) -> None:
        if result.requeue_after_s > 0:
            self.queue.forget(key)
            self.queue.add_after(key, result.requeue_after_s * (1 + self._random.random() * result.jitter))
        elif result.requeue:
            self.queue.add_rate_limited(key)
        else:
            self.queue.forget(key)

    def _fail(self, key: str, failure: Exception) -> None:
        counts = self._counts
        counts.failures += 1
        cause = _gravest(failure)
        counts.last_error = f"{key}: {type(cause).__name__}: {cause}"
        if isinstance(cause, GiveUp):
            counts.given_up += 1
            LOG.warning("%s gives up %s: %s", self.name, key, cause)
            self.queue.forget(key)
            return
        wait_s = self._limiter.when(key, trio.current_time())
        if isinstance(cause, APIError):
            counts.conflicts += isinstance(cause, Conflict)
            wait_s = max(wait_s, min(cause.retry_after_s, RETRY_AFTER_MAX_S))
            LOG.info("%s: %s failed and is tried again in %.3f s: %s", self.name, key, wait_s, cause)
        elif isinstance(cause, (ReconcileTimedOut, ReconcileCancelled)):
            LOG.warning("%s: %s %s; it is tried again in %.3f s", self.name, key, cause, wait_s)
        else:
            counts.panics += 1
            counts.last_panic = counts.last_error
            LOG.error("%s: %s failed and is tried again in %.3f s", self.name, key, wait_s, exc_info=failure)
        self.queue.add_after(key, wait_s)


def _gravest(failure: Exception) -> Exception:
    """Of the failures of several tasks the one to act on: a mistake before what the API answered, that before giving up."""
    if not isinstance(failure, ExceptionGroup):
        return failure
    causes = [_gravest(one) for one in failure.exceptions]
    return min(causes, key=lambda one: 2 if isinstance(one, GiveUp) else int(isinstance(one, APIError)))


def _checked(answer: Result | None) -> Result | None:
    """`answer`, which a function without types may have made up.

    Raises:
        TypeError: it is something else.
    """
    if answer is not None and not isinstance(answer, Result):
        raise TypeError(f"reconcile returned {answer!r}: return None or a Result")
    return answer
