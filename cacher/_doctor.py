"""Whether this machine has what watchcache needs: each look is a Finding, with the cure where something is not well.

    Python ─ packages ─ etcd ─ ports ─ TLS on loopback ─ open files ─ the determinism canary

A failure is what watchcache does not work with; a warning is what some of it does not work with.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Literal

import msgspec
import trio

from ._clock import Clock
from .server import issue_server, make_authority, server_context
from .simulation import run_deterministic

PYTHON_MIN = (3, 11)
ETCD_MIN = (3, 4, 0)
PORTS = (6443,)
"""Which `serve` takes unless somebody says otherwise."""
OPEN_FILES_MIN = 4096
"""A watch that is served takes one: half of them are enough for a thousand clients on both sides."""
ASK_S = 20.0
"""A program that is asked has so long to answer."""
TLS_S = 10.0

Mark = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What one look came to."""

    mark: Mark
    what: str
    found: str
    cure: str = ""
    """What to do; "" where all is well."""

    def line(self) -> str:
        """The one line that tells it."""
        return f"{self.mark:<5} {self.what}: {self.found}" + (f"; {self.cure}" if self.cure else "")


def findings() -> Iterator[Finding]:
    """All looks, in an order from what all needs to what some need. Cost: some seconds: programs are asked."""
    yield python_finding(sys.version_info[:3], sys.implementation.name)
    yield from _packages()
    yield _etcd()
    yield from map(port_finding, PORTS)
    yield _tls()
    yield open_files_finding(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield canary_finding(canary(), _canary_elsewhere())


def python_finding(version: tuple[int, ...], implementation: str) -> Finding:
    """On the interpreter."""
    shown = f"{implementation} {'.'.join(map(str, version))}"
    if version[:2] < PYTHON_MIN:
        return Finding("fail", "Python", shown, "install Python 3.11 or newer")
    if implementation != "cpython":
        return Finding("warn", "Python", shown, "the tests run on CPython alone: use that where something is odd")
    return Finding("ok", "Python", shown)


# ---- packages --------------------------------------------------------------------------------------------------------


def _packages() -> Iterator[Finding]:
    try:
        version = importlib.metadata.version("watchcache")
        requirements = importlib.metadata.requires("watchcache") or []
    except importlib.metadata.PackageNotFoundError:
        here = Path(__file__).parents[1]
        yield Finding("warn", "watchcache", f"not installed; used from {here}", f"python -m pip install -e {here}")
        project = here / "pyproject.toml"
        read = tomllib.loads(project.read_text(encoding="utf-8")) if project.is_file() else {}
        requirements = read.get("project", {}).get("dependencies", [])
    else:
        yield Finding("ok", "watchcache", version)
    yield from (requirement_finding(text, _version_of) for text in requirements if "extra ==" not in text)


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def requirement_finding(requirement: str, version_of: Callable[[str], str | None]) -> Finding:
    """On a package: `trio>=0.30`, `etcd3<0.13,>=0.12`."""
    name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
    bounds = re.findall(r"(>=|<)\s*([\d.]+)", requirement)
    version = version_of(name)
    wanted = ",".join(sign + bound for sign, bound in bounds)
    cure = f"python -m pip install '{name}{wanted}'"
    if version is None:
        return Finding("fail", name, "missing", cure)
    have = _numbers(version)
    for sign, bound in bounds:
        if (have < _numbers(bound)) if sign == ">=" else (have >= _numbers(bound)):
            return Finding("fail", name, f"{version}, and {sign}{bound} is needed", cure)
    return Finding("ok", name, version)


def _numbers(version: str) -> tuple[int, ...]:
    found = [int(number) for number in re.findall(r"\d+", version)[:3]]
    return (*found, *(0,) * (3 - len(found)))


# ---- what is around us -----------------------------------------------------------------------------------------------


def _etcd() -> Finding:
    path = shutil.which("etcd")
    if path is None:
        return etcd_finding("", "")
    try:
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("warn", "etcd", f"{path} cannot be run: {error}", "put another one on PATH")
    return etcd_finding(path, asked.stdout)


def etcd_finding(path: str, said: str) -> Finding:
    """On an etcd server that could be used instead of the embedded one. `path` "": there is none."""
    if not path:
        cure = (
            "the embedded one needs none; for a real one: apt-get install etcd-server, or --etcd URL of one elsewhere"
        )
        return Finding("warn", "etcd", "no server on PATH", cure)
    found = re.search(r"etcd Version: (\S+)", said)
    if found is None:
        return Finding("warn", "etcd", f"{path} does not say its version", "put another one on PATH")
    if _numbers(found[1]) < ETCD_MIN:
        return Finding("warn", "etcd", f"{found[1]} at {path}", "3.4 or newer is needed: install one")
    return Finding("ok", "etcd", f"{found[1]} at {path}")


def port_finding(port: int) -> Finding:
    """On a port of loopback that a server would take; 0: any."""
    try:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
    except OSError as error:
        return Finding("warn", f"port {port}", f"taken ({error.strerror})", "watchcache serve --listen 127.0.0.1:0")
    return Finding("ok", f"port {port}", "free")


def open_files_finding(limit: int) -> Finding:
    """On how many files and connections this process may have open."""
    if 0 <= limit < OPEN_FILES_MIN:
        return Finding("warn", "open files", f"{limit} at most", f"for many clients: ulimit -n {OPEN_FILES_MIN}")
    return Finding("ok", "open files", f"{limit} at most" if limit >= 0 else "without a limit")


def _tls() -> Finding:
    try:
        version = trio.run(_shake_hands)
    except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError, BaseExceptionGroup) as error:
        cure = "check that loopback is up (ip addr show lo), and the installation of OpenSSL and cryptography"
        return Finding("fail", "TLS on loopback", f"{type(error).__name__}: {error}", cure)
    return Finding("ok", "TLS on loopback", f"{version}, {ssl.OPENSSL_VERSION}")


async def _shake_hands() -> str:
    """A server with a certificate of ours and a client that checks it, by the name and the authority."""
    now_s = Clock.of_machine().unix()
    authority = make_authority(now_s=now_s)
    context = server_context(issue_server(authority, ["localhost"], now_s=now_s))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with trio.fail_after(TLS_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_greet, listeners[0], context)
            trusting = ssl.create_default_context(cadata=authority.certificate)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            client = trio.SSLStream(stream, trusting, server_hostname="localhost")
            await client.do_handshake()
            version = str(client.version())
            await client.send_all(b"!")
            await trio.aclose_forcefully(client)
    return version


async def _greet(listener: trio.SocketListener, context: ssl.SSLContext) -> None:
    async with listener:
        server = trio.SSLStream(await listener.accept(), context, server_side=True)
        await server.receive_some(1)
        await trio.aclose_forcefully(server)


# ---- determinism -----------------------------------------------------------------------------------------------------

CANARY = "from cacher._doctor import canary; print(canary())"
TASKS = 20


def canary() -> str:
    """What the order of a few tasks comes to: the same in each process, on a trio whose scheduler can be seeded."""
    turns: list[int] = []

    async def task(number: int, random: Random) -> None:
        for _ in range(5):
            await trio.sleep(random.choice((0, 0.5, 1)))
            turns.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(TASKS):
                nursery.start_soon(task, number, Random(number))

    run_deterministic(main, seed=7)
    return hashlib.blake2b(bytes(turns), digest_size=8).hexdigest()


def _canary_elsewhere() -> str:
    """The same, in another process with another hash seed."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", CANARY], env=environment, capture_output=True, text=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}"
    return done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]


def canary_finding(here: str, elsewhere: str) -> Finding:
    """On whether the same seed is the same run in two processes."""
    if here == elsewhere:
        return Finding("ok", "determinism", f"the same seed came to {here} in two processes")
    cure = "seeds cannot be trusted here: install the trio of constraints.txt"
    return Finding("fail", "determinism", f"{here} in this process, {elsewhere} in another", cure)
