"""Several processes that serve as one: the parent of the workers. It answers nothing itself.

    the port ─ accept ─► the worker with the fewest connections ─► it answers them to their end
    workers: each its own cache on one etcd ─ one dies ─ told, and started again ─ too often ─ the whole ends, saying so

Connections are accepted here and handed over, where SO_REUSEPORT or a shared listening socket would leave the choice to the
kernel: a watch stays for an hour, so what counts is that each worker has as many as the others. Hashing spreads 100 watches as
40 to 60 by chance, and gives a worker that has just died its share; a shared socket gives nearly all to whoever is idle. And with
SO_REUSEPORT a second server on the same port would be no error but a riddle. The price is one more hop for each connection, not
for each request.

A worker's cache follows etcd as that of any API server does: a write through one is read consistently through another, because
such a read waits until its cache is as far as etcd. Credentials, the kubeconfig and the line that says "ready" are the parent's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from typing import final

import trio

from reflector import Backoff, BackoffPolicy

from ._credentials import Credentials
from ._serve_options import ServeError, ServeOptions
from ._worker_link import Ask, AskAll, Failed, Giver, Link, Ready, Snapshot, Start, Stop, Total
from .server import MetricsSnapshot, Sample, lasting, sum_metrics
from .storage._nursery import open_service_nursery

RESTART = BackoffPolicy(first_s=0.5, cap_s=30.0, jitter=0.2, reset_after_s=120.0)
"""How long a worker that died stays away."""
DEATHS_MAX = 10
DEATHS_WITHIN_S = 300.0
"""So many deaths of one worker in this time are borne; the next one ends the server."""
SNAPSHOT_S = 2.0
"""A worker that has not said by then what it counted is taken at its last word."""
END_S = 10.0
"""Beyond the grace of answers under way, what a worker has for its end: its etcd, its lease. Then it is killed."""
LAST_WORDS_S = 1.0
"""For what a worker that has ended had said before."""
HANDOVER_S = 30.0
"""So long a connection waits for a worker that takes it; then it is closed."""
HANDOVERS_MAX = 1_024
"""Connections that wait so; beyond it they are closed as they come."""


COMMAND = (sys.executable, "-P", "-m", "cacher._worker")
"""A worker, to which its two descriptors are added. It finds its modules where this process does, and nowhere else."""


class WorkersFailed(Exception):
    """Workers die again and again; the message says how the last one did. Look at its log, mend that, and start again."""


@final
class _Slot:
    """One worker, through its lives."""

    def __init__(self, index: int, identity: str) -> None:
        self.index = index
        self.identity = f"{identity}_{index}"
        """The same in each life: who finds its own name in a lease goes on where the former one, who is dead, was."""
        self.link: Link | None = None
        self.giver: Giver | None = None
        """None: it takes no connections now."""
        self.last = MetricsSnapshot(())
        self.deaths: deque[float] = deque()


@final
class Workers:
    """The parent. Made by `open_workers`."""

    def __init__(
        self,
        options: ServeOptions,
        credentials: Credentials,
        *,
        identity: str,
        note: Callable[[str], None],
        command: tuple[str, ...] = COMMAND,
    ) -> None:
        self._command = command
        self._options = options
        self._credentials = credentials
        self._note = note
        self._slots = [_Slot(index, identity) for index in range(options.workers)]
        self._port = 0
        self._stopping = trio.Event()
        self._was_ready = False
        self._changed = trio.Event()
        self._waiting = 0
        self._restarts = 0
        self._gone = MetricsSnapshot(())
        self._numbers = count(1)
        self._answers: dict[int, dict[int, MetricsSnapshot]] = {}

    async def run(self, port: int) -> None:
        """Keep all workers alive until `stop`. Raises WorkersFailed, and ServeError before all were ready once."""
        self._port = port
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                nursery.start_soon(self._keep, slot, name=f"worker {slot.index}")

    async def ready(self) -> None:
        """Return once all are."""
        while not all(slot.giver for slot in self._slots):
            await self._changed.wait()
        self._was_ready = True

    async def stop(self) -> None:
        """Tell all to end, and wait until they have; who does not is killed by whoever cancels `run`."""
        self._stopping.set()
        self._tell()
        for slot in self._slots:
            if slot.link is not None:
                await slot.link.send(Stop())
        while any(slot.link for slot in self._slots):
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ---- connections -------------------------------------------------------------------------------------------------

    async def hand_over(self, connection: trio.SocketStream) -> None:
        """Give it to the worker with the fewest; wait for one where there is none."""
        if self._waiting >= HANDOVERS_MAX:
            return
        self._waiting += 1
        try:
            with trio.move_on_after(HANDOVER_S):
                while not self._stopping.is_set() and not self._given(connection):
                    with trio.move_on_after(0.05):  # a full queue empties, and nothing tells
                        await self._changed.wait()
        finally:
            self._waiting -= 1

    def _given(self, connection: trio.SocketStream) -> bool:
        givers = [slot.giver for slot in self._slots if slot.giver is not None]
        return any(giver.give(connection) for giver in sorted(givers, key=lambda one: (one.open, one.given)))

    # ---- lives -------------------------------------------------------------------------------------------------------

    async def _keep(self, slot: _Slot) -> None:
        backoff = Backoff(Random(), RESTART)
        while not self._stopping.is_set():
            how = await self._live(slot)
            self._tell()
            if self._stopping.is_set():
                return
            if not self._was_ready:
                raise ServeError(how)
            now = trio.current_time()
            slot.deaths.append(now)
            while slot.deaths[0] < now - DEATHS_WITHIN_S:
                slot.deaths.popleft()
            if len(slot.deaths) > DEATHS_MAX:
                raise WorkersFailed(
                    f"worker {slot.index} died {len(slot.deaths)} times within {DEATHS_WITHIN_S:.0f} s, and the server ends;"
                    f" at last: {how}"
                )
            wait_s = backoff.next(now)
            self._note(f"watchcache: worker {slot.index} died ({how}), and is started again in {wait_s:.1f} s")
            self._restarts += 1
            with trio.move_on_after(wait_s):
                await self._stopping.wait()

    async def _live(self, slot: _Slot) -> str:
        """One life of a worker, in words how it ended."""
        ours, theirs = socket.socketpair()
        giving, taking = socket.socketpair()
        link, giver = Link(ours), Giver(giving)
        with theirs, taking:
            process = await trio.lowlevel.open_process(
                [*self._command, str(theirs.fileno()), str(taking.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), taking.fileno()),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            )
        slot.link, failures = link, [""]
        try:
            await link.send(Start(self._options, self._credentials, slot.identity, self._port))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(giver.count)
                heard_all = trio.Event()
                nursery.start_soon(self._listen, slot, link, giver, failures, heard_all)
                await process.wait()
                with trio.move_on_after(LAST_WORDS_S):
                    await heard_all.wait()
                nursery.cancel_scope.cancel()
        finally:
            slot.link = slot.giver = None
            self._gone = sum_metrics((self._gone, lasting(slot.last)))
            slot.last = MetricsSnapshot(())
            with trio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                await link.aclose()
            giver.close()
        return failures[0] or _ending(process.returncode)

    async def _listen(self, slot: _Slot, link: Link, giver: Giver, failures: list[str], heard_all: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            while (message := await link.receive()) is not None:
                match message:
                    case Ready():
                        slot.giver = giver
                        self._tell()
                    case Failed(text):
                        failures[0] = text
                    case Snapshot(number, metrics):
                        slot.last = metrics
                        if number in self._answers:
                            self._answers[number][slot.index] = metrics
                            self._tell()
                    case AskAll(number, metrics):
                        slot.last = metrics
                        nursery.start_soon(self._answer, slot, link, number)
                    case _:
                        raise AssertionError(f"worker {slot.index} said {type(message).__name__}")
            heard_all.set()
            slot.giver = None  # it has closed its end: it is about to end itself

    # ---- metrics -----------------------------------------------------------------------------------------------------

    async def _answer(self, asking: _Slot, link: Link, number: int) -> None:
        """The sum over all workers, to one that asks. Others that do not answer in time are taken at their last word."""
        asked, own = (
            [slot for slot in self._slots if slot.giver is not None and slot is not asking],
            next(self._numbers),
        )
        self._answers[own] = {}
        try:
            for slot in asked:
                if slot.link is not None:
                    await slot.link.send(Ask(own))
            with trio.move_on_after(SNAPSHOT_S):
                while any(slot.index not in self._answers[own] for slot in asked if slot.giver is not None):
                    await self._changed.wait()
        finally:
            del self._answers[own]
        await link.send(Total(number, self._total()))

    def _total(self) -> MetricsSnapshot:
        ready = sum(slot.giver is not None for slot in self._slots)
        mine = (
            Sample("watchcache_worker_restarts_total", (), self._restarts),
            Sample("watchcache_workers", (), ready),
        )
        return sum_metrics((self._gone, MetricsSnapshot(mine), *(slot.last for slot in self._slots)))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"


@asynccontextmanager
async def open_workers(
    options: ServeOptions,
    credentials: Credentials,
    *,
    identity: str,
    note: Callable[[str], None],
    command: tuple[str, ...] = COMMAND,
) -> AsyncIterator[int]:
    """The port at which `options.workers` processes serve, all ready, for as long as the context lasts.

    Args:
        identity: what no other server is called; workers are named after it.
        note: takes a line when a worker has died.
        command: of a worker.
    Raises:
        OSError: the address is taken, or none of this machine.
        ServeError: a worker cannot begin; the message is its own.
        WorkersFailed: one dies again and again.
    """
    listeners = await trio.open_tcp_listeners(options.port, host=options.host)
    port = int(listeners[0].socket.getsockname()[1])
    workers = Workers(options, credentials, identity=identity, note=note, command=command)
    failures: list[Exception] = []

    async def run(scope: trio.CancelScope) -> None:
        try:
            await workers.run(port)
        except* (ServeError, WorkersFailed) as group:
            failures.append(_first(group))
            scope.cancel()

    async with open_service_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(run, scope)
            try:
                await workers.ready()
                async with open_service_nursery() as accepting:
                    accepting.start_soon(trio.serve_listeners, workers.hand_over, listeners)
                    yield port
            finally:
                for listener in listeners:
                    listener.socket.close()
                if not failures:
                    with trio.move_on_after(options.shutdown_grace_s + END_S, shield=True):
                        await workers.stop()
        if failures:
            raise failures[0]


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Exception)
    return error
