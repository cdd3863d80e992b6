"""GroupCommit: many writes, one sync of the disk; and whoever waits until what it has seen is durable.

It sits between the store and its file. The store applies a write at once, so that the next one sees it and their order is
settled, and gives the record here. Nobody else sees it yet:

    write ─► store (the newest state) ─► record ─► group ─► commit in the worker ─► published: watches, compaction
                                                     │                                  │
                 answers: of this write, of refusals, │                                  ▼
                 of reads that may have seen it       └── all wait until it is settled ──► given

So every answer is from one order of all calls, and none tells what a crash could undo. The price is that a read waits for the
commits under way when it was made, and never for later ones. A group is closed when two turns of all tasks have added nothing to
it, and at the latest after 2 ms or with 256 records; while it is being committed, the next one fills. The writers bound what
waits here: each waits for its own.

When a commit fails, nothing that was not published ever is, all who wait are told so, and no more writes are taken. Reads
and watches go on at what was published last. Why not apply a write when it is durable: its compares must see the writes before
it, which would then be in no store. Why not undo it: a watch, a lease and a history would all have to be able to.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import islice

import trio

from ._data_dir import DataDirError, DataDirFailedError
from ._embedded_watch import Bell
from ._sqlite_file import Batch, SqliteFile
from ._version_log import Record, Row, Superfluous, rows_of, superfluous
from ._watchable import WatchableStore
from ._worker_thread import Worker

GROUP_WAIT_S = 0.002
"""A group that keeps growing is closed after so long: about what a sync of the disk takes."""

QUIET_TURNS = 2
"""One would not do: of two turns of a writer, the first may come before ours and the next one after our next."""

GROUP_RECORDS_MAX = 256
"""A commit of so many values of 1 KB takes 5 ms where one of a single value takes 2."""

SUPERFLUOUS_PER_COMMIT = 512
"""Rows that each commit takes away for a compaction: more than a group writes, so that they run out; 2 ms."""

PENDING_GROUPS = 2
"""Where so many wait, `room` lets nobody add to them."""


class Group:
    """Records that become durable together."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.began_s = trio.current_time()
        self.settled = trio.Event()
        self.is_failed = False


class GroupCommit:
    """The records of one store on their way to its file. `run` carries them; it is started once, by the opener, until `stop`."""

    def __init__(self, file: SqliteFile, worker: Worker, leftover: list[Superfluous]) -> None:
        self.failure: DataDirError | None = None
        """Why no more writes are taken; None: they are."""
        self._file = file
        self._worker = worker
        self._superfluous: deque[Superfluous] = deque(leftover)
        self._groups: deque[Group] = deque()
        self._under_way: Group | None = None
        self._bell = Bell()
        # Whoever cancels the store's user does not undo the promise to those whose writes are on their way.
        self._scope = trio.CancelScope(shield=True)

    # --- for the store and its callers --------------------------------------------------------------------------------

    def append(self, record: Record) -> None:
        """Take note of what a step of the store changed. `check` comes before the step."""
        groups = self._groups
        if not groups or groups[-1] is self._under_way or len(groups[-1].records) >= GROUP_RECORDS_MAX:
            groups.append(Group())
        groups[-1].records.append(record)
        self._bell.ring()

    def check(self) -> None:
        """Raises:
        DataDirFailedError: no more writes are taken.
        """
        if self.failure is not None:
            raise self._refusal("nothing was written") from self.failure

    async def settle(self) -> None:
        """Wait until all that was appended before is durable and published. Where nothing waits, this does not either.

        Raises:
            DataDirFailedError: it may never be.
        """
        group = self._groups[-1] if self._groups else None
        if group is not None:
            await group.settled.wait()
        if self.failure is not None and (group is None or group.is_failed):
            raise self._refusal(
                "whether this was written is to be seen when the store is opened again"
            ) from self.failure

    async def room(self) -> None:
        """Wait while much is waiting: for a task that appends without waiting for each.

        Raises:
            DataDirFailedError: no more writes are taken.
        """
        while len(self._groups) > PENDING_GROUPS:
            await self._groups[0].settled.wait()
        self.check()

    def _refusal(self, fate: str) -> DataDirFailedError:
        assert self.failure is not None
        return DataDirFailedError(self.failure.path, f"takes no more writes, and {fate}. Why: {self.failure}")

    # --- the task -----------------------------------------------------------------------------------------------------

    async def run(self, store: WatchableStore) -> None:
        """Commit group after group and publish them to `store`, until the disk fails or `stop`; a cancellation is not heard."""
        try:
            with self._scope:
                while True:
                    if not self._groups and not self._superfluous:
                        await self._bell.wait()
                    await self._step(store)
        except DataDirError as error:
            self._fail(error)
        finally:
            # However this ends, nobody waits for what will never come.
            self._fail(DataDirFailedError(self._file.path, "was closed: open it again"))

    def stop(self) -> None:
        """End `run`. Whoever still waits is refused, so `settle` first."""
        self._scope.cancel()

    async def _step(self, store: WatchableStore) -> None:
        """One commit, of the oldest group or of nothing but superfluous rows."""
        group = self._groups[0] if self._groups else None
        if group is not None:
            await self._linger(group)
        self._under_way = group
        dead = list(islice(self._superfluous, SUPERFLUOUS_PER_COMMIT))
        await self._worker.run(partial(self._file.commit, batch_of(group.records if group else [], dead)))
        for _ in dead:
            self._superfluous.popleft()
        if group is not None:
            self._publish(group, store)
        elif not self._superfluous:
            await self._vacuum()

    async def _linger(self, group: Group) -> None:
        """Let all tasks that are ready have their turns, for as long as they add to the group."""
        quiet_turns = 0
        while quiet_turns < QUIET_TURNS and len(group.records) < GROUP_RECORDS_MAX:
            if trio.current_time() >= group.began_s + GROUP_WAIT_S:
                return
            count = len(group.records)
            await trio.lowlevel.checkpoint()
            quiet_turns = quiet_turns + 1 if count == len(group.records) else 0

    def _publish(self, group: Group, store: WatchableStore) -> None:
        for record in group.records:
            if record.compacted:
                history = store.mvcc.history(store.mvcc.history_floor, record.compacted)
                self._superfluous.extend(superfluous(history, record.compacted))
            store.publish(record)
        self._groups.popleft()
        self._under_way = None
        group.settled.set()

    async def _vacuum(self) -> None:
        while await self._worker.run(self._file.vacuum):
            if self._groups:
                return  # those who wait come first; the next compaction asks again

    def _fail(self, failure: DataDirError) -> None:
        if self.failure is None:
            self.failure = failure
        while self._groups:
            group = self._groups.popleft()
            group.is_failed = True
            group.settled.set()


def batch_of(records: list[Record], dead: list[Superfluous]) -> Batch:
    """What these records leave in the file, in one commit."""
    rows: list[Row] = []
    leases: dict[int, int | None] = {}
    compact_revision = 0
    for record in records:
        rows += rows_of(record)
        if record.granted is not None:
            leases[record.granted[0]] = record.granted[1]
        if record.revoked is not None:
            leases[record.revoked] = None
        compact_revision = record.compacted or compact_revision
    return Batch(rows, leases, compact_revision, dead)
