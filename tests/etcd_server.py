"""A real etcd server in a process of its own, on loopback, with a directory of its own: started, stopped, killed, frozen.

    async with open_etcd_server(binary, tmp_path, random=Random(seed)) as server:
        server.endpoint            "http://127.0.0.1:21379"
        server.kill()              SIGKILL; what it had acknowledged it still has after
        await server.start()       the same data, the same ports

It never outlives the tests: the kernel kills it with this process (Linux), and leaving the context kills it in any case.
Where the body of the context fails, the end of the server's log is told with the failure.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import trio

from tests.etcd_binaries import EtcdBinary

START_S = 60.0
"""A server has so long to answer; it needs half a second on an idle machine, and an election."""
STOP_S = 3.0
"""And so long to end by itself."""
LOG_LINES = 25
PORTS = range(20_000, 32_000)
"""Below what the kernel gives to outgoing connections: nobody takes a server's port while it is down."""
STARTS_MAX = 5

# The kernel is asked to kill the server when its parent is gone. Asked by the child, before it becomes etcd: a `preexec_fn`
# would run Python between fork and exec, which a process with threads must not.
PARENT_DEATH = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 9)\n"  # PR_SET_PDEATHSIG, SIGKILL
    "if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])\n"
)


class EtcdServerError(Exception):
    """The server did not start, or ended by itself; its log says why."""


class EtcdServer:
    """One server. Made by `open_etcd_server`; start and stop it as often as you like.

    Args:
        flags: beside those for ports, names and the directory.
        advertised_peer_port: where the other members reach it, where that is not its own port (a proxy).
        members: all members of its cluster, name to advertised peer URL; itself alone by default.
    """

    def __init__(
        self,
        binary: EtcdBinary,
        directory: Path,
        *,
        name: str = "etcd",
        client_port: int,
        peer_port: int,
        advertised_peer_port: int | None = None,
        members: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.binary = binary
        self.name = name
        self.endpoint = f"http://127.0.0.1:{client_port}"
        self.client_port = client_port
        self.log_path = directory / f"{name}.log"
        advertised = f"http://127.0.0.1:{advertised_peer_port or peer_port}"
        cluster = members or {name: advertised}
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [
            binary.path,
            f"--name={name}",
            f"--data-dir={directory / name}",
            f"--listen-client-urls={self.endpoint}",
            f"--advertise-client-urls={self.endpoint}",
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-advertise-peer-urls={advertised}",
            "--initial-cluster=" + ",".join(f"{member}={url}" for member, url in cluster.items()),
            "--logger=zap",
            *flags,
        ]

    @property
    def is_running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Start the process, and do not wait until it serves."""
        assert not self.is_running, f"{self.name} runs already"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", PARENT_DEATH, str(os.getpid()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which stop their servers themselves
            )

    async def start(self) -> None:
        """Start the process, and return when it serves reads and writes.

        Raises:
            EtcdServerError: it ended instead; with the end of its log.
            trio.TooSlowError: it did neither within START_S.
        """
        self.launch()
        await self.wait_until_healthy()

    async def wait_until_healthy(self) -> None:
        """Return when the server says that it is healthy: it has a leader and commits. Raises as `start`."""
        with trio.fail_after(START_S):
            while not await self.is_healthy():
                if not self.is_running:
                    raise EtcdServerError(f"{self.name} ended while it was waited for:\n{self.log_tail()}")
                await trio.sleep(0.02)

    async def is_healthy(self) -> bool:
        """Whether it answers, and says so."""
        try:
            with trio.move_on_after(1.0):
                return bool((await self.ask("/health"))["health"] == "true")
        except (OSError, ValueError, KeyError, trio.BrokenResourceError):
            pass
        return False

    async def ask(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """What the server answers to GET, or with a body to POST, read as JSON.

        Raises:
            OSError, trio.BrokenResourceError: nobody is there.
            ValueError: the answer is no JSON.
        """
        return await ask(self.endpoint, path, body)

    async def status(self) -> Any:
        """The member's status in the words of etcd's Maintenance.Status: "leader", "version", and "member_id" in "header"."""
        return await self.ask("/v3/maintenance/status", {})

    def kill(self) -> None:
        """End it as `kill -9` does: it has no chance to do anything."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Stop its clock (SIGSTOP): its connections stay open, and nobody answers on them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it as an operator does, by SIGTERM; by SIGKILL where that takes longer than STOP_S."""
        self.thaw()
        self._signal(signal.SIGTERM)
        assert self._process is not None
        with trio.move_on_after(STOP_S):
            while self._process.poll() is None:
                await trio.sleep(0.01)
        if self.is_running:
            self.kill()

    def end(self) -> None:
        """Make sure that it is gone, whatever state it is in. Idempotent."""
        if self.is_running:
            self.kill()

    def log_tail(self) -> str:
        """Whether it runs, and the last lines of its log."""
        lines = self.log_path.read_text(errors="replace").splitlines() if self.log_path.exists() else []
        code = self._process.poll() if self._process is not None else None
        state = "the server runs" if self.is_running else f"the server is gone, exit code {code}"
        return "\n".join([f"--- {state}; the end of {self.log_path}", *lines[-LOG_LINES:]])

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, f"{self.name} was never started"
        self._process.send_signal(number)


@asynccontextmanager
async def open_etcd_server(
    binary: EtcdBinary, directory: Path, *, random: Random, flags: Sequence[str] = ()
) -> AsyncIterator[EtcdServer]:
    """A server of one member that serves; killed when the context ends.

    Args:
        directory: for its data and its log.
        random: draws the ports, which are drawn again where somebody else was faster.
    """
    server = await start_etcd_server(binary, directory, random=random, flags=flags)
    try:
        yield server
    except BaseException as error:
        error.add_note(server.log_tail())
        raise
    finally:
        server.end()


async def start_etcd_server(
    binary: EtcdBinary, directory: Path, *, random: Random, flags: Sequence[str] = ()
) -> EtcdServer:
    """As `open_etcd_server`, for a server that several runs of trio share: whoever calls this calls `end`."""
    for _ in range(STARTS_MAX):
        client_port, peer_port = free_ports(2, random)
        server = EtcdServer(binary, directory, client_port=client_port, peer_port=peer_port, flags=flags)
        try:
            await server.start()
        except EtcdServerError as error:
            if "address already in use" not in str(error):
                raise
        except BaseException:
            server.end()
            raise
        else:
            return server
    raise EtcdServerError(f"no free ports in {PORTS} after {STARTS_MAX} starts: is something else taking them?")


def free_ports(count: int, random: Random) -> list[int]:
    """So many ports of loopback that nobody listens at now.

    Others for every process: two runs of the tests on one machine, both drawing from the same seed, would otherwise each take
    the ports of a server that the other has just killed.
    """
    found: dict[int, None] = {}
    while len(found) < count:
        port = PORTS[(random.randrange(len(PORTS)) + os.getpid() * 7919) % len(PORTS)]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found[port] = None
    return list(found)


async def ask(endpoint: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """The JSON that an HTTP server answers; see `EtcdServer.ask`."""
    address = urlsplit(endpoint)
    content = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.0\r\nHost: {address.netloc}\r\nContent-Length: {len(content)}\r\n\r\n"
    stream = await trio.open_tcp_stream(address.hostname or "", address.port or 80)
    async with stream:
        await stream.send_all(head.encode() + content)
        answer = b"".join([chunk async for chunk in stream])
    return json.loads(answer.partition(b"\r\n\r\n")[2])
