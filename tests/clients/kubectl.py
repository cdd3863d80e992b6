"""kubectl as a user types it: a command, what it printed, and how it ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND_S = 60.0


class Said(str):
    """What a command printed on standard output; `errors` is what it printed on standard error."""

    errors: str = ""


class Kubectl:
    """A kubectl with a home, a kubeconfig and a namespace of its own."""

    def __init__(self, path: str, kubeconfig: Path, home: Path, namespace: str) -> None:
        self.path = path
        self.home = home
        self.namespace = namespace
        self.environment = {"HOME": str(home), "KUBECONFIG": str(kubeconfig), "PATH": os.environ["PATH"]}

    def __call__(self, *words: str, send: object = None, code: int = 0, **environment: str) -> Said:
        """Run it, and look at the exit code.

        Args:
            send: what it reads from `-`: an object, several of them, or a text.
            environment: variables beside the usual ones.
        """
        done = subprocess.run(
            [self.path, "--namespace", self.namespace, *words],
            input=_text(send),
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            env={**self.environment, **environment},
        )
        assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
        said = Said(done.stdout)
        said.errors = done.stderr
        return said

    def object(self, *words: str) -> Any:
        """What `get` shows, as JSON data."""
        return json.loads(self("get", *words, "-o", "json"))

    @contextmanager
    def running(self, *words: str) -> Iterator[Lines]:
        """What it prints, line by line, while it runs: a `get --watch`."""
        process = subprocess.Popen(
            [self.path, "--namespace", self.namespace, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )
        assert process.stdout is not None
        try:
            yield Lines(process)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Lines:
    """Lines of a process, as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._process = process
        self._descriptor = process.stdout.fileno()
        self._rest = b""

    def next(self) -> str:
        """The next line. Fails where none comes within COMMAND_S."""
        while b"\n" not in self._rest:
            assert select.select([self._descriptor], [], [], COMMAND_S)[0], "it says nothing"
            piece = os.read(self._descriptor, 65_536)
            assert piece, f"it ended with {self._rest!r}"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def has_come(self, seconds: float) -> bool:
        """Whether something is there to be read, or comes within so long."""
        return bool(self._rest or select.select([self._descriptor], [], [], seconds)[0])

    def end(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(COMMAND_S)

    def until(self, *words: str) -> str:
        """The first line that has all of the words."""
        line = self.next()
        while not all(word in line for word in words):
            line = self.next()
        return line


def _text(send: object) -> str:
    if send is None or isinstance(send, str):
        return send or ""
    objects = send if isinstance(send, list) else [send]
    return "\n---\n".join(json.dumps(one) for one in objects)
