"""Workers without a thread: the disk is waited for in the task that asks, in virtual time, and can be held up or made to fail."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import trio

from cacher.storage.etcd import EmbeddedEtcd, Worker, open_embedded_etcd
from cacher.storage.etcd._sqlite_file import Batch


def quick_directory() -> Path:
    """A new directory, in memory where there is such a place: for tests of many commits that ask nothing about power cuts."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))


HELD_S_MAX = 3600.0
"""A test that failed while it held commits up must end: what it holds is shielded from cancellation."""

Result = TypeVar("Result")


class InlineWorker:
    """Runs each call in the task that asks, `latency_s` later. `failure`: raised instead of the next commits."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.latency_s = latency_s
        self.failure: BaseException | None = None
        self.batches: list[Batch] = []
        """What was committed, oldest first."""
        self.open = trio.Event()
        self.open.set()

    def hold(self) -> None:
        """Commits wait from now on, until `release`."""
        self.open = trio.Event()

    def release(self) -> None:
        self.open.set()

    async def run(self, call: Callable[[], Result]) -> Result:
        await trio.lowlevel.checkpoint_if_cancelled()
        is_commit = isinstance(call, partial) and call.func.__name__ == "commit"
        with trio.CancelScope(shield=True):
            await trio.sleep(self.latency_s)
            if is_commit:
                with trio.fail_after(HELD_S_MAX):
                    await self.open.wait()
        if is_commit and self.failure is not None:
            raise self.failure
        answer = call()
        if is_commit:
            assert isinstance(call, partial)
            self.batches += call.args
        return answer


def opening(worker: Worker) -> Callable[[], AbstractAsyncContextManager[Worker]]:
    @asynccontextmanager
    async def open_worker() -> AsyncIterator[Worker]:
        yield worker

    return open_worker


def open_inline(
    data_dir: Path, worker: InlineWorker | None = None, **options
) -> AbstractAsyncContextManager[EmbeddedEtcd]:
    """The embedded etcd over `data_dir`, without a thread."""
    return open_embedded_etcd(
        data_dir=data_dir, random=Random(1), open_worker=opening(worker or InlineWorker()), **options
    )


def crash_copy(data_dir: Path, to: Path) -> Path:
    """What a process that is killed now would leave behind."""
    shutil.copytree(data_dir, to)
    return to


def commit_sizes(worker: InlineWorker) -> list[int]:
    return [len(batch.rows) for batch in worker.batches]
