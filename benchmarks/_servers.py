"""API servers to be put beside each other, each a process of its own on one real etcd, over TLS: ours, and a kube-apiserver.

    etcd (a process) ─► watchcache serve --etcd, or kube-apiserver (processes) ─► readers

Both are given the same certificate and the same token. An etcd is wanted that tells its progress when asked (3.5.8 and 3.4.25
on): without that a kube-apiserver begins no watch. Programs are found where `.ci/etcd 3.6` and `.ci/kube-apiserver` put them.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from cacher.server import issue_server, make_authority
from reflector import connect
from watch import APIError

START_S = 120.0
"""A kube-apiserver needs five seconds on an idle machine."""
STOP_S = 5.0
TOKEN = "secret"
TOP = Path(__file__).parent.parent
CURE = "an etcd 3.6 and a kube-apiserver, built with Go: .ci/etcd 3.6 && .ci/kube-apiserver"
# The system is asked to end the server when this process ends in whichever way. Asked by the child, before it becomes the server.
_WITH_PARENT = (
    "import ctypes, os, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, 15)\n"  # PR_SET_PDEATHSIG, SIGTERM
    "if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])\n"
)


class ServerFailed(Exception):
    """A server did not become ready; the end of its log is a note."""


class Server(msgspec.Struct, frozen=True):
    """One that serves."""

    port: int
    pid: int
    authority: str
    """Who signed its certificate, as PEM."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.port}"

    def cpu_s(self) -> list[float]:
        """User and system time of each of its processes that has used any: of a server with workers, of each of these."""
        spent = [_cpu_s(pid) for pid in [self.pid, *_children(self.pid)]]
        return sorted(one for one in spent if one)


def found(pattern: str) -> str | None:
    """The path of a program that was built for the tests; of several versions the last."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "watchcache"
    kept = Path(os.environ.get("WATCHCACHE_ETCD_CACHE") or usual)
    built = sorted(path for path in kept.glob(pattern) if path.suffix != ".new")
    return str(built[-1]) if built else None


def etcd_binary() -> str | None:
    """An etcd that tells its progress; None where it was not built."""
    return found("etcd-3.6*")


def kube_apiserver_binary() -> str | None:
    """None where it was not built."""
    return found("kube-apiserver-*")


@asynccontextmanager
async def kube_apiserver(etcd: str, directory: Path) -> AsyncIterator[Server]:
    """One that is ready. Raises ServerFailed."""
    binary = kube_apiserver_binary()
    assert binary is not None, CURE
    flags = [
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={directory}/server.key",
        f"--service-account-key-file={directory}/server.pem",
        "--disable-admission-plugins=ServiceAccount",
        f"--tls-cert-file={directory}/server.pem",
        f"--tls-private-key-file={directory}/server.key",
        f"--token-auth-file={directory}/tokens.csv",
    ]
    authority = _write_files(directory)
    port = _free_port()
    async with _running([binary, *flags, f"--secure-port={port}"], directory, port, authority) as server:
        yield server


@asynccontextmanager
async def ours(etcd: str, directory: Path, *, workers: int = 1, is_plain: bool = False) -> AsyncIterator[Server]:
    """One that is ready. Raises ServerFailed."""
    authority = _write_files(directory)
    port = _free_port()
    command = [sys.executable, "-m", "cacher", "serve", "--listen", f"127.0.0.1:{port}", f"--etcd={etcd}", "--quiet"]
    command += [f"--kubeconfig={directory}/kubeconfig", f"--workers={workers}", "--shutdown-grace=0"]
    if is_plain:
        command.append("--http")
    else:
        command += [f"--tls-cert={directory}/server.pem", f"--tls-key={directory}/server.key"]
        command.append(f"--token-file={directory}/tokens.csv")
    async with _running(command, directory, port, "" if is_plain else authority) as server:
        yield server


def _write_files(directory: Path) -> str:
    authority = make_authority(now_s=time.time())
    own = issue_server(authority, ["127.0.0.1"], now_s=time.time())
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "server.pem").write_text(own.certificate)
    (directory / "server.key").write_text(own.key)
    (directory / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    (directory / "tokens.csv").chmod(0o600)
    (directory / "server.key").chmod(0o600)
    return authority.certificate


@asynccontextmanager
async def _running(command: list[str], directory: Path, port: int, authority: str) -> AsyncIterator[Server]:
    log = directory / "log"
    process = _launch(command, log)
    try:
        await _wait_until_ready(port, authority, process)
        yield Server(port, process.pid, authority)
    except BaseException as error:
        error.add_note(log.read_text(errors="replace")[-2_000:])
        raise
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _launch(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-I", "-S", "-c", _WITH_PARENT, str(os.getpid()), *command]
    with log.open("wb") as output:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=TOP)


async def _wait_until_ready(port: int, authority: str, process: subprocess.Popen[bytes]) -> None:
    """Namespaces are made by a server itself, after it says that it is healthy."""
    if authority:
        joined = connect(f"https://127.0.0.1:{port}", token=TOKEN, certificate_authority=authority.encode())
    else:
        joined = connect(f"http://127.0.0.1:{port}")
    async with joined as client:
        with trio.move_on_after(START_S):
            while process.poll() is None:
                try:
                    await client.resource("v1", "namespaces").get("default")
                except APIError:
                    await trio.sleep(0.2)
                else:
                    return
    raise ServerFailed(f"no server at port {port}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_s(pid: int) -> float:
    """Of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    children = []
    for told in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = told.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if re.match(r" \S (\d+)", text.rpartition(")")[2]) and text.rpartition(")")[2].split()[1] == str(pid):
            children.append(int(told.parent.name))
    return sorted(children)
