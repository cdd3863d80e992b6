"""LeaderElector: of several processes, one at a time may act; the others stand by. On leases of coordination.k8s.io/v1.

    run(lead):  campaign ── the lease is ours ──► lead() and, beside it, renewals ── lost ──► lead() is cancelled ── LeadershipLost
                                                          └── lead() ends, or run is cancelled ──► the lease is released

`_election` decides; this file reads, writes and waits. What `lead` runs is cancelled at the very moment that the decision
names, by the deadline of a cancel scope: no request that hangs, and no task that is late, makes a leader act longer.

Source: client-go tools/leaderelection/leaderelection.go and resourcelock/leaselock.go.
Differs: the lease is released only after everything that `lead` started has ended, which client-go leaves to the caller; each
attempt is bounded in time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import final

import msgspec
import trio

from watch import APIError, Conflict, NotFound

from ._client import Client, JSONObject
from ._election import Election, LeaderOptions, LeaseRecord
from ._time_of_day import TimeOfDay, micro_time

LOG = logging.getLogger("reflector.leader")

RELEASE_S = 5.0
"""A release that is not answered for so long is left: the lease runs out by itself."""
_FAILURES = (APIError, OSError, trio.BrokenResourceError, trio.TooSlowError)


class LeadershipLost(Exception):
    """The lease was not renewed in time, or is another's. What acted under it has been cancelled: campaign anew, or exit."""


class LeaderStatistics(msgspec.Struct, frozen=True):
    """One candidate at one moment. Counts are since it was made."""

    identity: str
    is_leader: bool
    holder: str
    """Who held the lease when it was last read or written; "" for nobody, or before it was."""
    terms: int
    """How often this one became the leader."""
    losses: int
    """How often it ceased to be without having released the lease."""
    renewals: int
    failures: int
    """Attempts that ended in an error, or were not answered in time."""
    last_error: str
    renewed_s_ago: float | None
    """Since the renewal that holds was sent; None where it does not lead."""


@final
class LeaderElector:
    """A candidate for one lease.

        elector = LeaderElector(client, "shop-operator", "pod-7", namespace="shop", random=random, clock=cluster.clock)
        await elector.run(manager.run)

    Fencing: a process that is suspended for longer than five seconds wakes up and ends the write that it was at, though another
    leads by then. So name in every write the resource version that it was decided on (`update_exactly`, `delete_exactly`): then the
    store refuses what is outdated, whoever sends it. And who deletes or edits the lease by hand ends the guarantee for that moment.

    Args:
        client: the API where the lease is.
        name: of the lease: what is led.
        identity: this candidate's own name, such as its pod's, which no other has: two of one name would both lead.
        random: for the times between two attempts.
        clock: for what people read in the lease; nothing is decided by it.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        identity: str,
        *,
        random: Random,
        clock: TimeOfDay,
        namespace: str = "kube-system",
        options: LeaderOptions | None = None,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.options = options or LeaderOptions()
        self._leases = client.resource("coordination.k8s.io/v1", "leases")
        self._election = Election(identity, self.options)
        self._random = random
        self._clock = clock
        self._lease: JSONObject | None = None  # as last read or written: what an update names
        self._is_running = False
        self._terms = self._losses = self._renewals = self._failures = 0
        self._last_error = ""

    @property
    def identity(self) -> str:
        """This candidate's name."""
        return self._election.identity

    @property
    def is_leader(self) -> bool:
        """Whether this candidate may act now."""
        return self._election.is_leader(trio.current_time())

    @property
    def leader(self) -> str:
        """Who held the lease when it was last looked at; "" for nobody."""
        return self._election.record.holder_identity if self._election.record is not None else ""

    def statistics(self) -> LeaderStatistics:
        """How it is doing."""
        now, election = trio.current_time(), self._election
        sent_at = election.give_up_at - self.options.renew_deadline_s
        return LeaderStatistics(
            identity=self.identity,
            is_leader=election.is_leader(now),
            holder=self.leader,
            terms=self._terms,
            losses=self._losses,
            renewals=self._renewals,
            failures=self._failures,
            last_error=self._last_error,
            renewed_s_ago=now - sent_at if election.is_leader(now) else None,
        )

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, then run `lead` for as long as it is held; for one term.

        Returns once `lead` has, and lets its exceptions through. In both cases, and when this is cancelled, the lease is released
        after `lead` has ended, and before this does.
        Raises:
            LeadershipLost: the lease was lost, and `lead` was cancelled and has ended. Call this again, or exit.
            RuntimeError: this candidate runs already.
        """
        if self._is_running:
            raise RuntimeError(f"the candidate {self.identity!r} for {self.name!r} runs already: one run at a time")
        self._is_running = True
        try:
            await self._campaign()
            self._terms += 1
            LOG.info("%s leads %s", self.identity, self.name)
            await self._term(lead)
        finally:
            self._is_running = False
            await self._release()

    # ---- one term --------------------------------------------------------------------------------------------------

    async def _campaign(self) -> None:
        while not await self._attempt(trio.current_time() + self.options.renew_deadline_s):
            await trio.sleep(self._election.retry_in_s(self._random.random()))

    async def _term(self, lead: Callable[[], Awaitable[None]]) -> None:
        # The renewals' nursery is the outer one: they go on while `lead` winds up, so that nobody else starts meanwhile.
        failure: list[BaseException] = []
        is_lost = False
        async with trio.open_nursery() as renewals:
            with trio.CancelScope(deadline=self._election.give_up_at) as scope:
                renewals.start_soon(self._renew, scope)
                try:
                    await lead()
                except Exception as error:  # noqa: BLE001 - raised below, outside of the nursery, which would wrap it
                    failure.append(error)
            is_lost = scope.cancelled_caught
            renewals.cancel_scope.cancel()
        if failure:
            raise failure[0]
        if is_lost:
            self._losses += 1
            LOG.warning("%s has lost %s to %s", self.identity, self.name, self.leader or "nobody it knows of")
            raise LeadershipLost(
                f"{self.identity} no longer holds the lease {self.namespace}/{self.name}: campaign anew"
            )

    async def _renew(self, scope: trio.CancelScope) -> None:
        """Keeps the deadline of `scope` where the decision has it."""
        while True:
            await trio.sleep(self.options.retry_period_s)
            await self._attempt(self._election.give_up_at)
            scope.deadline = self._election.give_up_at

    # ---- one attempt -----------------------------------------------------------------------------------------------

    async def _attempt(self, until: float) -> bool:
        """Acquire or renew once; whether the lease is ours now. Not longer than `until`."""
        with trio.CancelScope(deadline=until) as scope:
            try:
                if not (self._election.is_leader(trio.current_time()) and await self._write_unread()):
                    await self._read()
                    await self._propose()
            except _FAILURES as error:
                self._note(f"{type(error).__name__}: {error}")
        if scope.cancelled_caught:
            self._note("no answer in time")
        return self._election.is_leader(trio.current_time())

    def _note(self, problem: str) -> None:
        self._failures += 1
        self._last_error = problem

    async def _write_unread(self) -> bool:
        """Renew by what was written last: one request where two would do. Any failure is for a read to explain."""
        try:
            await self._propose()
        except APIError as error:
            self._note(f"{type(error).__name__}: {error}")
            return False
        return True

    async def _read(self) -> None:
        try:
            self._lease = await self._leases.get(self.name, self.namespace)
        except NotFound:
            self._lease = None
        record = LeaseRecord.of(self._lease) if self._lease is not None else None
        self._election.observe(record, trio.current_time())

    async def _propose(self) -> None:
        record = self._election.proposal(trio.current_time(), self._time_of_day())
        if record is not None:
            await self._write(record)
            self._renewals += 1

    async def _write(self, record: LeaseRecord) -> None:
        sent_at = trio.current_time()
        if self._lease is None:
            self._lease = await self._leases.create(self._new_lease(record), self.namespace)
        else:
            # What others keep in the object stays; its resource version says which state this was decided on.
            spec = {**(self._lease.get("spec") or {}), **record.spec()}
            self._lease = await self._leases.update({**self._lease, "spec": spec}, self.namespace)
        self._election.written(record, sent_at, trio.current_time())

    def _new_lease(self, record: LeaseRecord) -> JSONObject:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": record.spec(),
        }

    async def _release(self) -> None:
        """Let another lead at once. Failing that, the lease runs out."""
        record = self._election.release(self._time_of_day())
        with trio.move_on_after(RELEASE_S, shield=True):
            try:
                while record is not None:
                    try:
                        await self._write(record)
                    except Conflict:
                        # The last renewal was cancelled while it was under way, and came through: read what it made.
                        await self._read()
                        record = self._election.release(self._time_of_day())
                    else:
                        LOG.info("%s releases %s", self.identity, self.name)
                        return
            except _FAILURES as error:
                self._note(f"{type(error).__name__}: {error}")

    def _time_of_day(self) -> str:
        return micro_time(self._clock.unix())
