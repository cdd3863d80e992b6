"""A process that is killed, and a log that is cut off: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
import trio

from cacher.storage.etcd import EmbeddedEtcd, KeyValue, Put, open_embedded_etcd
from cacher.storage.etcd._data_dir import FILE_NAME
from tests import source
from tests.cacher.storage.etcd.disks import InlineWorker, open_inline
from tests.cacher.storage.etcd.durable_child import WRITERS, deletes, value
from tests.cacher.storage.etcd.test_durable import everything, history

WAL_NAME = f"{FILE_NAME}-wal"
FRAME_BYTES = 4096 + 24

# --- a log that is cut off --------------------------------------------------------------------------------------------


class Session(NamedTuple):
    """A store's files as they were while it was open, and what they held when its log was so long."""

    directory: Path
    states: list[tuple[int, int, tuple[KeyValue, ...]]]
    """The length of the log after each commit, the revision, the keys."""


def session(run_trio, directory: Path, commits: int, size: Callable[[int], int]) -> Session:
    states: list[tuple[int, int, tuple[KeyValue, ...]]] = [(0, 1, ())]  # cut before its creation ended, it is new again

    async def main():
        worker = InlineWorker()
        async with open_inline(directory / "live", worker) as etcd:
            wal = directory / "live" / WAL_NAME

            async def note():
                states.append((wal.stat().st_size if wal.exists() else 0, etcd.revision, await everything(etcd)))

            await note()
            for number in range(commits):
                await etcd.txn(success=[Put(b"a%d" % (number % 3), b"v" * size(number)), Put(b"b", b"%d" % number)])
                await note()
            shutil.copytree(directory / "live", directory / "copy")

    run_trio(main)
    return Session(directory / "copy", states)


def open_cut(run_trio, session: Session, cut: int) -> tuple[int, tuple[KeyValue, ...]]:
    """What a copy whose log has only its first `cut` bytes opens to."""
    work = session.directory.parent / "work"
    work.mkdir()
    try:
        shutil.copy(session.directory / FILE_NAME, work)
        (work / WAL_NAME).write_bytes((session.directory / WAL_NAME).read_bytes()[:cut])

        async def main():
            async with open_inline(work) as etcd:
                etcd._store._check()
                found = etcd.revision, await everything(etcd)
                assert len({event.kv.mod_revision for event in await history(etcd, 2)}) == found[0] - 1
                assert (await etcd.put("new", "")).revision == found[0] + 1
                return found

        result: tuple[int, tuple[KeyValue, ...]] = run_trio(main)
        return result
    finally:
        shutil.rmtree(work)


def expected_at(session: Session, cut: int) -> tuple[int, tuple[KeyValue, ...]]:
    """The last commit that is wholly within the first `cut` bytes: acknowledged only when its last byte was synced."""
    _, revision, kvs = [state for state in session.states if state[0] <= cut][-1]
    return revision, kvs


def check_cuts(run_trio, directory: Path, cuts: Callable[[int], Iterator[int]]) -> int:
    # Commits of one page and of several, so that cuts fall between the pages of one commit as well.
    made = session(run_trio, directory, 12, lambda number: 10 if number % 2 else 9000)
    length = made.states[-1][0]
    assert length == (made.directory / WAL_NAME).stat().st_size
    opened = set()
    for cut in cuts(length):
        found = open_cut(run_trio, made, cut)
        assert found == expected_at(made, cut), f"the log of {length} bytes, cut at {cut}"
        opened.add(found[0])
    return len(opened)


@pytest.mark.slow
def test_a_log_cut_anywhere_opens_to_the_last_whole_commit(run_trio, quick_dir):
    """At both sides of every page of the log, and in steps through its last 4 KB; every byte of these in `make long`."""

    def cuts(length: int) -> Iterator[int]:
        for end in range(length, 32 + 3 * FRAME_BYTES, -FRAME_BYTES):
            yield from (end, end - 1, end - FRAME_BYTES + 24)
        yield from range(length - 4096, length, 41)

    assert check_cuts(run_trio, quick_dir, cuts) > 8


@pytest.mark.long
def test_a_log_cut_at_every_byte_of_its_last_4_kb_opens_to_the_last_whole_commit(run_trio, quick_dir):
    check_cuts(run_trio, quick_dir, lambda length: iter(range(length - 4096, length + 1)))


def test_a_log_whose_last_page_was_garbled_opens_to_the_commit_before(run_trio, quick_dir):
    """A power cut can leave a page of the right length and the wrong content: its checksum says so."""
    made = session(run_trio, quick_dir, 4, lambda number: 10)
    wal = made.directory / WAL_NAME
    for place in (made.states[-2][0] + 3, made.states[-2][0] + 100, made.states[-1][0] - 1):
        whole = wal.read_bytes()
        wal.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert open_cut(run_trio, made, len(whole)) == made.states[-2][1:]
        wal.write_bytes(whole)


# --- kill -9 ----------------------------------------------------------------------------------------------------------


class Told:
    """What the writers said before they were killed, over all rounds."""

    def __init__(self) -> None:
        self.numbers = dict.fromkeys(range(WRITERS), 0)
        """The last write of each writer that was acknowledged, or shown by a read."""
        self.revision_of: dict[tuple[int, int], int] = {}
        """Of the acknowledged writes of this round."""
        self.revision = 1
        """The highest that anybody was told of."""
        self.opened_at = 1
        self.leases: dict[int, bool | None] = {}
        """True: granted, False: revoked, None: under way."""
        self.compacted = 0
        self.acknowledged = 0

    def hear(self, line: bytes) -> None:
        what, *words = line.decode().split()
        who, number, revision = map(int, words)
        if what == "opened":
            assert revision >= self.revision, "the revision goes on from where it was"
            self.opened_at = revision
        elif what == "wrote":
            assert revision > self.opened_at
            assert revision not in self.revision_of.values(), "a revision is given once"
            self.revision_of[who, number] = revision
            self.acknowledged += 1
        elif what == "compacted":
            self.compacted = revision
        elif what in {"granted", "revoking", "revoked"}:
            self.leases[who] = {"granted": True, "revoked": False}.get(what)
        if what in {"wrote", "read"}:
            self.numbers[who] = max(self.numbers[who], number)
        self.revision = max(self.revision, revision)


class Child:
    """The process that forks the writers (durable_child.py)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self._writer: int | None = None

    def round(self, directory: Path, seed: int, told: Told) -> None:
        """One writer's life, to a moment drawn from the seed: so many lines, or so many milliseconds."""
        random = Random(seed)
        self._input.write(f"{directory} {seed}\n".encode())
        self._input.flush()
        what, _, _, pid = self._output.readline().split()
        assert what == b"pid"
        self._writer = int(pid)
        if random.random() < 0.5:
            for _ in range(random.randrange(150)):
                told.hear(self._output.readline())
        else:
            select.select([], [], [], random.uniform(0.0, 0.06))
        self.kill()
        while (line := self._output.readline()).split()[0] != b"ended":
            told.hear(line)
        assert int(line.split()[2]) == signal.SIGKILL, "it ended because it was killed, and not before"

    def kill(self) -> None:
        """The writer, where there is one."""
        if self._writer is not None:
            os.kill(self._writer, signal.SIGKILL)
            self._writer = None


@contextmanager
def open_child() -> Iterator[Child]:
    command = [sys.executable, "-m", "tests.cacher.storage.etcd.durable_child"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=source.ROOT, env={**os.environ, "PYTHONPATH": "."}
    ) as process:
        child = Child(process)
        try:
            yield child
        finally:
            child.kill()  # a round that failed may have left it; the process itself ends with its input


async def check_round(directory: Path, told: Told) -> None:
    """Open what was left, and compare it with all that was told."""
    async with open_embedded_etcd(data_dir=directory, random=Random(1)) as etcd:
        etcd._store._check()
        assert etcd.revision >= told.revision
        assert etcd.compact_revision >= told.compacted
        kvs = {kv.key: kv for kv in await everything(etcd)}
        for writer in range(WRITERS):
            check_writer(kvs, told, writer)
        for lease, is_there in told.leases.items():
            left = await etcd.lease_time_to_live(lease)
            assert is_there is None or (left.granted_ttl_s == 1000) == is_there
            if left.ttl_s >= 0:
                await etcd.lease_revoke(lease)
        if etcd.revision > 1:
            await check_history(etcd, told)
        told.revision_of.clear()
        told.leases.clear()
        told.revision += 1
        before = etcd.revision
        assert (await etcd.put("between", "rounds")).revision == before + 1
        told.revision = before + 1


def check_writer(kvs: dict[bytes, KeyValue], told: Told, writer: int) -> None:
    count = kvs.get(b"w%d/count" % writer)
    number = int(count.value) if count is not None else 0
    last = told.numbers[writer]
    assert number in (last, last + 1), "all that was acknowledged, and at most the one that was under way"
    told.numbers[writer] = number
    pair = [kvs.get(key) for key in (b"w%d/a" % writer, b"w%d/b" % writer)]
    if count is None or deletes(number):
        assert pair == [None, None], "not half a write"
        return
    for kv in pair:
        assert kv is not None, "not half a write"
        assert (kv.value, kv.mod_revision) == (value(writer, number), count.mod_revision)
    assert told.revision_of.get((writer, number), count.mod_revision) == count.mod_revision


async def check_history(etcd: EmbeddedEtcd, told: Told) -> None:
    """A watch from the oldest revision on tells of every one, and the acknowledged writes of the round are where they were."""
    floor = max(2, etcd.compact_revision)
    events = await history(etcd, floor)
    assert sorted({event.kv.mod_revision for event in events}) == list(range(floor, etcd.revision + 1))
    counts = {
        (event.kv.key, event.kv.value): event.kv.mod_revision for event in events if event.kv.key.endswith(b"/count")
    }
    for (writer, number), revision in told.revision_of.items():
        if revision >= floor:
            assert counts[b"w%d/count" % writer, b"%d" % number] == revision


def kill_rounds(directory: Path, rounds: int, seed: int) -> int:
    """Kill a writer so many times on one directory; how many writes were acknowledged."""
    told = Told()
    with open_child() as child:
        for number in range(rounds):
            try:
                child.round(directory, seed + number, told)
                trio.run(check_round, directory, told)
            except BaseException as error:
                error.add_note(f"in round {number} of the seed {seed}")
                raise
    return told.acknowledged


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_that_it_acknowledged(tmp_path):
    """Twenty times on one directory; a thousand times in `make long`."""
    assert kill_rounds(tmp_path / "data", 20, seed=1) > 100


@pytest.mark.long
def test_a_process_that_is_killed_a_thousand_times_loses_nothing_that_it_acknowledged(tmp_path):
    seed = Random().randrange(10**9)
    assert kill_rounds(tmp_path / "data", 1000, seed) > 5000
