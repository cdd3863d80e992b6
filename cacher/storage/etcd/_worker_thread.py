"""One thread for one file: what is given to it runs there, one call after the other, while other tasks go on.

It is a bridge to the real world: a disk takes milliseconds, and SQLite can only be waited for by a thread. A simulation hands
in a worker of its own, which runs the calls in the task that asks.
"""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

import outcome
import trio

from .._nursery import open_service_nursery

Result = TypeVar("Result")


class Worker(Protocol):
    """Runs blocking calls one after the other, all in one thread."""

    async def run(self, call: Callable[[], Result]) -> Result:
        """What `call` returns or raises. Cancelled, it was not begun; once begun it is waited for, whatever happens."""
        ...


OpenWorker = Callable[[], AbstractAsyncContextManager[Worker]]


class WorkerThread:
    """A thread of its own (see Worker). Made by `open_worker_thread`."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        # As many calls wait here as tasks wait for them.
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    async def run(self, call: Callable[[], Result]) -> Result:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._calls.put(partial(self._answer, trio.lowlevel.current_task(), call))
        result: Result = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return result

    def _answer(self, task: trio.lowlevel.Task, call: Callable[[], object]) -> None:
        self._token.run_sync_soon(trio.lowlevel.reschedule, task, outcome.capture(call))

    def work(self) -> None:
        """The thread's whole life, until `end`."""
        while (answer := self._calls.get()) is not None:
            answer()

    def end(self) -> None:
        """What was given before is still done."""
        self._calls.put(None)


@asynccontextmanager
async def open_worker_thread() -> AsyncIterator[Worker]:
    """A thread for as long as the context lasts; leaving it waits for what the thread is doing."""
    worker = WorkerThread()
    async with open_service_nursery() as nursery:
        nursery.start_soon(_live, worker, name="etcd disk thread")
        try:
            yield worker
        finally:
            worker.end()


async def _live(worker: WorkerThread) -> None:
    # Cancelled before it began, the thread would leave those waiting for ever who gave it something; it ends by `end` alone.
    with trio.CancelScope(shield=True):
        # A limiter of its own: other people's threads cannot keep this one from starting.
        await trio.to_thread.run_sync(worker.work, limiter=trio.CapacityLimiter(1))
