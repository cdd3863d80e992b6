"""A data directory that cannot be used says why and who must act; one that was damaged is refused, and never served."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from random import Random

import pytest

from cacher.storage.etcd import (
    DataDirError,
    DataDirFailedError,
    DataDirInUseError,
    DataDirInvalidError,
    Put,
)
from cacher.storage.etcd._data_dir import FILE_NAME, DataDirLock
from cacher.storage.etcd._sqlite_file import (
    APPLICATION_ID,
    FREE_PAGES_KEPT,
    SCHEMA_VERSION,
    VACUUM_PAGES,
    Batch,
    SqliteFile,
)
from tests import source
from tests.cacher.storage.etcd.disks import open_inline
from tests.cacher.storage.etcd.test_durable import everything


def refused(run_trio, data_dir) -> DataDirError:
    """The error with which opening is refused."""

    async def main():
        with pytest.raises(DataDirError) as caught:
            async with open_inline(data_dir):
                pass
        return caught.value

    error: DataDirError = run_trio(main)
    assert str(error).startswith(f"{error.path}: ")
    return error


def fill(run_trio, data_dir, writes=30):
    """A store with some history, on disk; what it holds."""

    async def main():
        async with open_inline(data_dir) as etcd:
            for number in range(writes):
                await etcd.txn(success=[Put(b"%d" % (number % 7), b"%d" % number * 50), Put(b"x%d" % number, b"")])
            await etcd.lease_grant(100, lease=5)
            return etcd.revision, await everything(etcd)

    return run_trio(main)


def read(run_trio, data_dir):
    async def main():
        async with open_inline(data_dir) as etcd:
            etcd._store._check()
            return etcd.revision, await everything(etcd)

    return run_trio(main)


@contextmanager
def sql(data_dir):
    connection = sqlite3.connect(data_dir / FILE_NAME, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


# --- what it cannot be ------------------------------------------------------------------------------------------------


def test_a_directory_is_made_for_its_owner_alone(run_trio, tmp_path):
    fill(run_trio, tmp_path / "a" / "b", writes=1)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [FILE_NAME, "lock"]


def test_a_file_where_the_directory_should_be_is_refused(run_trio, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        error = refused(run_trio, path)
        assert isinstance(error, DataDirFailedError)
        assert "name another" in str(error)


def test_a_file_that_cannot_be_opened_is_refused(run_trio, tmp_path):
    (tmp_path / FILE_NAME).mkdir()
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirFailedError)
    assert "cannot be opened: mend its permissions" in str(error)


def test_a_lock_that_cannot_be_had_is_told_as_the_file_system_tells_it(monkeypatch, tmp_path):
    def flock(fd, how):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(DataDirFailedError, match=r"not implemented.*local disk"):
        DataDirLock(tmp_path)


def test_the_directory_of_a_real_etcd_is_refused(run_trio, tmp_path):
    (tmp_path / "member").mkdir()
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirInvalidError)
    assert "real etcd" in str(error)
    assert not (tmp_path / FILE_NAME).exists()


def test_the_file_of_another_program_is_refused_and_left_as_it_is(run_trio, tmp_path):
    with sql(tmp_path) as connection:
        connection.execute("CREATE TABLE version (a)")
        connection.execute("INSERT INTO version VALUES (1)")
    before = (tmp_path / FILE_NAME).read_bytes()
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirInvalidError)
    assert "another program's" in str(error)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 100, b"short"])
def test_a_file_that_is_no_database_is_refused(run_trio, tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirInvalidError)
    assert "not a database" in str(error)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(run_trio, tmp_path):
    left = fill(run_trio, tmp_path)
    with sql(tmp_path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirInvalidError)
    assert f"newer version (its schema is {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION})" in str(error)
    with sql(tmp_path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    assert read(run_trio, tmp_path) == left


def test_a_second_process_is_refused_and_told_which_the_first_is(run_trio, tmp_path):
    script = f"""
import sys
from pathlib import Path
from cacher.storage.etcd._data_dir import DataDirLock
lock = DataDirLock(Path({str(tmp_path)!r}))
print("locked", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=source.ROOT, env={"PYTHONPATH": str(source.ROOT)}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        error = refused(run_trio, tmp_path)
        assert isinstance(error, DataDirInUseError)
        assert error.pid == other.pid
        assert f"in use by process {other.pid}: end that" in str(error)
        other.kill()
    fill(run_trio, tmp_path)


def test_another_program_that_has_the_file_open_is_noticed(run_trio, tmp_path):
    fill(run_trio, tmp_path)
    with sql(tmp_path) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert isinstance(refused(run_trio, tmp_path), DataDirInUseError)


def test_commits_are_synced_before_they_return(tmp_path):
    file = SqliteFile(tmp_path / FILE_NAME)
    try:
        file.create([], 0, 1)
        settings = {
            name: file._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        }
        assert settings == {"journal_mode": b"wal", "synchronous": 2}
        assert file._connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    finally:
        file.close()


def test_a_commit_that_fails_in_the_middle_leaves_nothing(tmp_path):
    file = SqliteFile(tmp_path / FILE_NAME)
    try:
        file.create([], 0, 1)
        row = (1 << 25, b"a", b"", 2, 1, 0, 0)
        with pytest.raises(DataDirFailedError, match="UNIQUE"):
            file.commit(Batch([row, row], {}))
        assert file.read(-1, 10) == []
        file.commit(Batch([row], {}))
        assert file.read(-1, 10) == [row]
    finally:
        file.close()


def test_free_pages_are_given_back_many_at_a_time_down_to_what_is_kept(quick_dir):
    file = SqliteFile(quick_dir / FILE_NAME)
    try:
        file.create([], 0, 1)
        rows = [(revision << 24, b"a", b"x" * 40_000, 2, 1, 0, 0) for revision in range(2, 902)]
        file.commit(Batch(rows, {}))
        file.commit(Batch([], {}, 0, [(2 << 24, 902 << 24, b"a")]))
        before, calls = file._number("freelist_count"), 1
        while file.vacuum():
            calls += 1
        after = file._number("freelist_count")
        assert after == FREE_PAGES_KEPT < before
        assert calls == (before - after + VACUUM_PAGES - 1) // VACUUM_PAGES
    finally:
        file.close()


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement", ["UPDATE lease SET ttl_s = 101", "UPDATE state SET compact_revision = 3", "DELETE FROM state"]
)
def test_what_is_known_of_leases_and_of_the_compact_revision_is_checked(run_trio, tmp_path, statement):
    fill(run_trio, tmp_path)
    with sql(tmp_path) as connection:
        connection.execute(statement)
    error = refused(run_trio, tmp_path)
    assert isinstance(error, DataDirInvalidError)
    assert "backup" in str(error)


def test_a_table_that_is_missing_is_an_error_of_ours_too(run_trio, tmp_path):
    fill(run_trio, tmp_path)
    with sql(tmp_path) as connection:
        connection.execute("DROP TABLE version")
    refused(run_trio, tmp_path)


@pytest.mark.slow
def test_a_bit_that_was_flipped_anywhere_is_refused_or_does_not_matter(run_trio, quick_dir):
    left = fill(run_trio, quick_dir)
    whole = (quick_dir / FILE_NAME).read_bytes()
    random, verdicts = Random(7), []
    for _ in range(200):
        place = random.randrange(len(whole))
        broken = bytearray(whole)
        broken[place] ^= 1 << random.randrange(8)
        (quick_dir / FILE_NAME).write_bytes(broken)
        verdicts.append(open_or_refuse(run_trio, quick_dir, left))
    assert verdicts.count("refused") > 20


def test_a_file_that_was_cut_off_is_refused(run_trio, quick_dir):
    left = fill(run_trio, quick_dir)
    whole = (quick_dir / FILE_NAME).read_bytes()
    # Of 0 bytes, and for SQLite also of 1, it is a file whose creation was interrupted.
    cuts = [2, *range(4095, len(whole), 4096), *range(4096, len(whole), 4096), *range(len(whole) - 40, len(whole))]
    for cut in cuts:
        (quick_dir / FILE_NAME).write_bytes(whole[:cut])
        assert open_or_refuse(run_trio, quick_dir, left) == "refused", cut


def open_or_refuse(run_trio, data_dir, left) -> str:
    """Either the directory cannot be opened, or it holds what it held: never anything else."""
    work = data_dir / "copy"
    work.mkdir()
    try:
        shutil.copy(data_dir / FILE_NAME, work)
        found = read(run_trio, work)
    except DataDirError:
        return "refused"
    finally:
        shutil.rmtree(work)
    assert found == left
    return "opened"
