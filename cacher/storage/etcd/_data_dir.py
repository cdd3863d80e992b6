"""The data directory of an embedded etcd: one process at a time, and what can be wrong with it.

    data_dir/
        lock                   held while the store is open; says by which process
        etcd.sqlite            the log of versions (`_sqlite_file`)
        etcd.sqlite-wal        what was committed and is not in the file above yet; never delete it alone

    DataDirError                        the directory cannot be used; its operator must act
    ├── DataDirInUseError               another process has it: end that one, or name another directory
    ├── DataDirInvalidError             what is in it is not a store that this version can go on from
    └── DataDirFailedError              the disk refused: mend it, and open the store again

The lock is the operating system's, so a process that was killed holds none. Source: etcd server/storage/wal (file lock of a
member's directory), client/pkg/fileutil/lock_flock.go.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ._protocol import EtcdError

LOCK_NAME = "lock"
FILE_NAME = "etcd.sqlite"


class DataDirError(EtcdError):
    """The family of what is wrong with a data directory: whoever operates the process must act."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}")


class DataDirInUseError(DataDirError):
    """Another store has the directory: end its process, or name another directory."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.pid = pid
        """The process that has it, as far as it said so; None: it did not."""
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(path, f"is in use by {holder}: end that, or name another directory")


class DataDirInvalidError(DataDirError):
    """What is in the directory is no store that can be gone on from: foreign, damaged, or of a newer version."""


class DataDirFailedError(DataDirError):
    """The disk refused to read or write. The store takes no more writes; the message says what to mend, then open it again.

    Of the write that raises this nobody can say whether it will be there after that: read before repeating it.
    """


class DataDirLock:
    """A directory that is this store's alone until `release`. Made where it is missing, for its owner's eyes only.

    Raises:
        DataDirInUseError: another store has it, of this process or of another one.
        DataDirInvalidError: it is the directory of a real etcd.
        DataDirFailedError: it cannot be made, or not be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _make(path)
            self._fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DataDirFailedError(path, f"cannot be written to ({error}): name another, or mend that") from error
        try:
            self._take()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others have it. The file stays: whoever deleted it could delete another's lock."""
        os.close(self._fd)

    def _take(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (self.path / "member").is_dir():
                raise DataDirInvalidError(self.path, "belongs to a real etcd (it has member/): name another directory")
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError as error:
            text = os.pread(self._fd, 32, 0).strip()
            raise DataDirInUseError(self.path, int(text) if text.isdigit() else None) from error
        except OSError as error:
            raise DataDirFailedError(self.path, f"cannot be locked ({error}): name one on a local disk") from error


def _make(path: Path) -> None:
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True)
        # Without this a power cut could take the whole new directory, with what was acknowledged in it.
        parent = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
