"""`watchcache serve` in a process of its own, as a user runs it: started, found by its line and its kubeconfig, stopped."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.etcd_server import PARENT_DEATH

READY_S = 60.0
STOP_S = 30.0
ROOT = Path(__file__).parents[2]


class ServeFailed(Exception):
    """It did not become ready, or did not stop; what it said is told."""


class Served:
    """A server that runs. Made by `open_served`."""

    def __init__(self, process: subprocess.Popen[str], ready: str, log: Path) -> None:
        self.process = process
        self.ready = ready
        self.log = log
        """What it says on standard error."""
        found = re.fullmatch(r"ready at (?P<url>\S+) (?:.*, )?KUBECONFIG=(?P<path>.*)", ready)
        assert found, f"no line to find the server by: {ready!r}"
        self.url = found["url"]
        self.kubeconfig = Path(found["path"])

    @property
    def token(self) -> str:
        """The one that was generated."""
        found = re.search(r'token: "(.*)"', self.kubeconfig.read_text(encoding="utf-8"))
        assert found, "the kubeconfig has no token"
        return found[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


@contextmanager
def open_served(directory: Path, *flags: str, cwd: Path | None = None) -> Iterator[Served]:
    """A server for as long as the context lasts, at a free port; its files are in the directory.

    Raises:
        ServeFailed: it did not become ready.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "log"
    where = () if "--listen" in flags else ("--listen", "127.0.0.1:0")
    command = [sys.executable, "-c", PARENT_DEATH, str(os.getpid()), sys.executable, "-m", "cacher", "serve", *where]
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*command, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=cwd or directory,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    assert process.stdout is not None
    try:
        said = select.select([process.stdout], [], [], READY_S)[0]
        line = process.stdout.readline() if said else ""
        if not line:
            raise ServeFailed(f"it did not become ready: {log.read_text(encoding='utf-8')[-2000:]}")
        yield Served(process, line.rstrip("\n"), log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
