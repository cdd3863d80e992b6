"""SqliteFile: the log of versions in a file, by SQLite from the standard library. What `commit` returned from is on the disk.

It is used by one thread, the one that opened it, and knows nothing of tasks. SQLite's own write-ahead log takes each commit by
appending (`journal_mode=WAL`) and syncs it before `commit` returns (`synchronous=FULL`); a commit that a crash interrupts is
wholly absent at the next opening. About every 4 MB it is carried over into the file, so it stays of about that size.

    version   seq → key, value, …       see `_version_log`; no second index, so that a write only appends
    lease     id → time to live         what is left of it is not kept, as in etcd: at opening it begins anew
    state     compact revision, and the lowest revision that a watch can start from

Every row has a checksum and SQLite's own structure is checked at opening: what a disk gives back changed is refused, not served.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ._data_dir import DataDirError, DataDirFailedError, DataDirInUseError, DataDirInvalidError
from ._version_log import DamagedError, Row, Superfluous, checksum

APPLICATION_ID = 0x77634554
"""What tells our file from another program's: "wcET" in the place that SQLite has for it."""

SCHEMA_VERSION = 1

WAL_PAGES = 1000
"""After so many pages (4 MB) a commit also carries the write-ahead log over; SQLite's own default."""

WAL_KEPT_BYTES = 16 * 1024 * 1024
"""What is kept of a write-ahead log that one large commit made larger."""

FREE_PAGES_KEPT = 4096
"""Free pages that stay in the file for what comes next (16 MB), or a quarter of the file if that is more."""

VACUUM_PAGES = 512
"""The free pages given back in one go: a few milliseconds."""

_SCHEMA = """
CREATE TABLE version (
    seq INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL,
    create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE lease (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    compact_revision INTEGER NOT NULL, history_floor INTEGER NOT NULL, checksum INTEGER NOT NULL
);
"""

_INSERT = "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?)"
_STATE = "REPLACE INTO state VALUES (1, ?, ?, ?)"

# SQLite's result codes (https://sqlite.org/rescode.html), by their lowest byte, and what to do about each.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CURES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space, then open the store again",
    sqlite3.SQLITE_READONLY: "it cannot be written to: mend its permissions or its mount, then open the store again",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: mend its permissions, then open the store again",
    sqlite3.SQLITE_IOERR: "the disk failed: see the system's log, mend it, then open the store again",
}


class Batch(msgspec.Struct):
    """What one commit writes."""

    rows: list[Row]
    leases: dict[int, int | None]
    """The time to live of a new one; None: it is gone."""
    compact_revision: int = 0
    """0: unchanged."""
    superfluous: Sequence[Superfluous] = ()


class Header(msgspec.Struct, frozen=True):
    """What is known of a store before its rows are read."""

    compact_revision: int
    history_floor: int
    leases: dict[int, int]
    last_seq: int
    """0: there are no rows."""


class SqliteFile:
    """The file of a data directory that is locked by the caller.

    Raises:
        DataDirInvalidError: another program's file, a newer version's, or a damaged one.
        DataDirFailedError: the disk refused.
    Cost: reads the structure of the whole file, 0.15 s for 100 MB.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._translated():
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        try:
            with self._translated():
                self._open()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; the write-ahead log is carried over where the disk allows it."""
        with suppress(sqlite3.Error):  # all that was promised is in the write-ahead log
            self._connection.close()

    def create(self, rows: Iterable[Row], compact_revision: int, history_floor: int) -> None:
        """Make a new store of `rows`, in one commit: interrupted, it is still to be made."""
        with self._transaction():
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self._connection.executemany(_INSERT, rows)
            self._set_state(compact_revision, history_floor)
        self.is_new = False

    def header(self) -> Header:
        """Where to begin reading."""
        with self._translated():
            states = self._all("SELECT compact_revision, history_floor, checksum FROM state")
            leases = self._all("SELECT id, ttl_s, checksum FROM lease ORDER BY id")
            (last_seq,) = self._all("SELECT coalesce(max(seq), 0) FROM version")[0]
        try:
            is_whole = all(checksum(first, second) == sum_ for first, second, sum_ in states + leases)
        except DamagedError:
            is_whole = False
        if len(states) != 1 or not is_whole:
            raise self.damaged("the table of leases or of the compact revision does not fit its checksums")
        compact_revision, history_floor, _ = states[0]
        return Header(compact_revision, history_floor, {id_: ttl_s for id_, ttl_s, _ in leases}, last_seq)

    def read(self, after: int, limit: int) -> list[Row]:
        """The next rows after the seq `after`, in order."""
        with self._translated():
            sql = "SELECT * FROM version WHERE seq > ? ORDER BY seq LIMIT ?"
            rows: list[Row] = self._connection.execute(sql, (after, limit)).fetchall()
            return rows

    def commit(self, batch: Batch) -> None:
        """Write all of `batch` or nothing; back from here, it is on the disk.

        Raises:
            DataDirFailedError: it may be there at the next opening, or not.
        Cost: one sync of the disk; 4 µs a row of 1 KB, and as much for a superfluous one.
        """
        with self._transaction():
            self._connection.executemany(_INSERT, batch.rows)
            for lease, ttl_s in batch.leases.items():
                if ttl_s is None:
                    self._connection.execute("DELETE FROM lease WHERE id = ?", (lease,))
                else:
                    self._connection.execute("REPLACE INTO lease VALUES (?, ?, ?)", _lease_row(lease, ttl_s))
            if batch.compact_revision:
                self._set_state(batch.compact_revision, batch.compact_revision)
            self._connection.executemany("DELETE FROM version WHERE seq BETWEEN ? AND ? AND key = ?", batch.superfluous)

    def vacuum(self) -> bool:
        """Give some free pages back to the file system; True: there are more to give.

        Raises:
            DataDirFailedError: nothing was lost by it.
        """
        with self._translated():
            free, pages = self._number("freelist_count"), self._number("page_count")
            surplus = free - max(FREE_PAGES_KEPT, pages // 4)
            if surplus > 0:
                # It gives a page back at each step of the statement, and `execute` makes one step where there are no columns.
                self._connection.executescript(f"PRAGMA incremental_vacuum({min(surplus, VACUUM_PAGES)})")
        return surplus > VACUUM_PAGES

    def damaged(self, what: str) -> DataDirInvalidError:
        """The error to raise where the file is not what was written."""
        return DataDirInvalidError(
            self.path, f"is damaged: {what}. Put a backup in its place, or begin in a new directory"
        )

    # --- opening ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._connection.text_factory = bytes  # we store no text; what damage makes of a row is judged by its checksum
        self._connection.execute("PRAGMA trusted_schema = OFF")
        # No other program comes in between, and there is no shared memory to outlive a crash.
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        (objects,) = self._all("SELECT count(*) FROM sqlite_master")[0]
        application, version = self._number("application_id"), self._number("user_version")
        self.is_new = not (objects or application or version)
        """Nothing is in it yet, also where its creation was interrupted: `create` comes next."""
        if not self.is_new:
            self._check_ours(application, version)
        self._connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for a new file alone
        self._connection.execute("PRAGMA cell_size_check = ON")
        if self._word("journal_mode = WAL") != "wal":
            raise DataDirFailedError(self.path, "its file system has no write-ahead log: name one on a local disk")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        self._connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        if not self.is_new and (found := self._word("quick_check(1)")) != "ok":
            raise self.damaged(f"SQLite says {found!r}")

    def _check_ours(self, application: int, version: int) -> None:
        if application != APPLICATION_ID:
            raise DataDirInvalidError(self.path, "is another program's file: name another directory")
        if version != SCHEMA_VERSION:
            raise DataDirInvalidError(
                self.path,
                f"was written by a newer version (its schema is {version}, this one knows {SCHEMA_VERSION}):"
                " open it with that version",
            )

    # --- SQL ----------------------------------------------------------------------------------------------------------

    def _all(self, sql: str) -> list[tuple[int, ...]]:
        rows: list[tuple[int, ...]] = self._connection.execute(sql).fetchall()
        return rows

    def _number(self, pragma: str) -> int:
        value: int = self._connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return value

    def _word(self, pragma: str) -> str:
        value: bytes = self._connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        return value.decode(errors="replace")

    def _set_state(self, compact_revision: int, history_floor: int) -> None:
        sum_ = checksum(compact_revision, history_floor)
        self._connection.execute(_STATE, (compact_revision, history_floor, sum_))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """SQLite's errors as ours: who must act, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: sqlite3.Error) -> DataDirError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGE:
            return self.damaged(f"SQLite says {str(error)!r}")
        if code in _HELD:
            return DataDirInUseError(self.path, None)
        cure = _CURES.get(code, "mend that, then open the store again")
        return DataDirFailedError(self.path, f"{cure} (SQLite: {error})")


def _lease_row(lease: int, ttl_s: int) -> tuple[int, int, int]:
    return lease, ttl_s, checksum(lease, ttl_s)
