"""Opening a store that a data directory keeps: the lock, the file, and everything back in memory.

    lock ─► file: is it ours, is it whole? ─┬─ new ─► what it begins with, in one commit
                                            └─ old ─► its rows, some thousand at a time ─► Mvcc, Lessor

Leases come back with their whole time to live, counted from the opening, as in etcd after a restart (server/lease/lessor.go,
Promote; it can be told to write down now and then what is left of long ones, and by default does not).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from ._data_dir import FILE_NAME, DataDirInvalidError, DataDirLock
from ._group_commit import GroupCommit
from ._lease import Lessor
from ._mvcc import Mvcc, Snapshot
from ._protocol import InvalidRequestError
from ._sqlite_file import SqliteFile
from ._version_log import REVISION_MAX, DamagedError, Recall, Superfluous, rows_of_snapshot
from ._worker_thread import OpenWorker, Worker

READ_ROWS = 4096
"""Rows that are read in one go at opening: 8 ms in which no other task runs."""

OnOpening = Callable[[int, float], None]
"""Called while a store is being opened, with the rows read so far and the share of its revisions that they are, 0 to 1."""


def ignore(_rows: int, _share: float) -> None:
    """For those who do not show how far the opening is."""


@asynccontextmanager
async def open_group_commit(
    directory: Path,
    mvcc: Mvcc,
    lessor: Lessor,
    *,
    snapshot: Snapshot | None,
    open_worker: OpenWorker,
    on_opening: OnOpening,
) -> AsyncIterator[GroupCommit]:
    """The way to the file in `directory`, which is this store's alone for as long; fills `mvcc` and `lessor` from it.

    Raises:
        DataDirError: see its family.
        InvalidRequestError: the snapshot holds what no store can hold; nothing was made of it.
    """
    async with open_worker() as worker:
        held = _Held(directory)
        try:
            file = await worker.run(held.open)
            if file.is_new:
                await _begin(file, worker, mvcc, lessor, snapshot)
                leftover: list[Superfluous] = []
            elif snapshot is not None:
                raise DataDirInvalidError(
                    file.path, "holds a store already: give no snapshot, or name an empty directory for it"
                )
            else:
                leftover = await _read(file, worker, mvcc, lessor, on_opening)
            yield GroupCommit(file, worker, leftover)
        finally:
            with trio.CancelScope(shield=True):
                await worker.run(held.close)


class _Held:
    """The lock and the file, or as much of them as was opened. Used in the worker alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock: DataDirLock | None = None
        self._file: SqliteFile | None = None

    def open(self) -> SqliteFile:
        self._lock = DataDirLock(self._directory)
        self._file = SqliteFile(self._directory / FILE_NAME)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()


async def _begin(file: SqliteFile, worker: Worker, mvcc: Mvcc, lessor: Lessor, snapshot: Snapshot | None) -> None:
    kvs = snapshot.kvs if snapshot is not None else ()
    if snapshot is not None:
        if snapshot.revision > REVISION_MAX // 2:
            raise InvalidRequestError(
                f"snapshot at revision {snapshot.revision}: a data directory ends at {REVISION_MAX}"
            )
        mvcc.restore(snapshot)
        lessor.restore(kvs)
    await worker.run(partial(file.create, rows_of_snapshot(kvs), mvcc.compact_revision, mvcc.history_floor))


async def _read(
    file: SqliteFile, worker: Worker, mvcc: Mvcc, lessor: Lessor, on_opening: OnOpening
) -> list[Superfluous]:
    """Fill `mvcc` and `lessor`; the answer: rows that are still to be taken away."""
    header = await worker.run(file.header)
    recall = Recall(header.compact_revision, header.history_floor)
    first, after, count = 0, -1, 0
    try:
        while rows := await worker.run(partial(file.read, after, READ_ROWS)):
            recall.add(rows)
            first, after, count = first or rows[0][0], rows[-1][0], count + len(rows)
            on_opening(count, (after - first + 1) / (header.last_seq - first + 1))
        mvcc.adopt(recall.finish())
    except DamagedError as error:
        raise file.damaged(str(error)) from error
    lessor.restore(mvcc.kvs())
    for lease, ttl_s in header.leases.items():
        lessor.grant(ttl_s, now_s=trio.current_time(), lease=lease)
    return recall.superfluous
