"""A real kube-apiserver in a process of its own, on loopback, over a real etcd: what `.ci/kube-apiserver` builds.

    async with open_kube_apiserver(etcd.endpoint, tmp_path) as server:
        connect(server.url, token=server.token, certificate_authority=server.authority)

It never outlives the tests, as an EtcdServer. Where there is none, tests that want one are skipped and say how to get it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
import trustme

from reflector import connect
from tests.built_with_go import KUBE_APISERVER
from tests.etcd_server import PARENT_DEATH
from watch import APIError

START_S = 120.0
"""It needs five seconds on an idle machine."""
LOG_LINES = 15


class KubeAPIServer(msgspec.Struct, frozen=True):
    """One that serves."""

    url: str
    token: str
    """Of one who may do everything."""
    authority: bytes
    """Who signed its certificate, and believes client certificates."""
    certificate: bytes
    key: bytes
    """Of one who may do everything."""


@asynccontextmanager
async def open_kube_apiserver(
    etcd: str, directory: Path, *, flags: tuple[str, ...] = ()
) -> AsyncIterator[KubeAPIServer]:
    """A server that is ready. Raises RuntimeError, with the end of its log, where it does not become so."""
    assert KUBE_APISERVER is not None, "such tests are skipped"
    authority = trustme.CA()
    own, admin = (
        authority.issue_cert("127.0.0.1"),
        authority.issue_cert("admin", common_name="admin", organization_name="system:masters"),
    )
    files = {
        "ca.pem": authority.cert_pem.bytes(),
        "server.pem": b"".join(pem.bytes() for pem in own.cert_chain_pems),
        "server.key": own.private_key_pem.bytes(),
        "tokens.csv": b'secret,admin,1,"system:masters"\n',
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    port = _free_port()
    log_path = directory / "kube-apiserver.log"
    command = [
        KUBE_APISERVER,
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={directory}/server.pem",
        f"--tls-private-key-file={directory}/server.key",
        f"--client-ca-file={directory}/ca.pem",
        f"--token-auth-file={directory}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={directory}/server.key",
        f"--service-account-key-file={directory}/server.key",
        "--disable-admission-plugins=ServiceAccount",
        *flags,
    ]
    process = _launch(command, log_path)
    server = KubeAPIServer(
        f"https://127.0.0.1:{port}",
        "secret",
        files["ca.pem"],
        b"".join(pem.bytes() for pem in admin.cert_chain_pems),
        admin.private_key_pem.bytes(),
    )
    try:
        await _wait_until_ready(server, process, log_path)
        yield server
    finally:
        process.kill()
        process.wait()


def _launch(command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PARENT_DEATH, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the tests, which stop their servers themselves
        )


async def _wait_until_ready(server: KubeAPIServer, process: subprocess.Popen[bytes], log_path: Path) -> None:
    async with connect(server.url, token=server.token, certificate_authority=server.authority) as client:
        with trio.move_on_after(START_S):
            while process.poll() is None:
                try:
                    # Namespaces are made by the server itself, after it says that it is healthy.
                    await client.resource("v1", "namespaces").get("default")
                except APIError:
                    await trio.sleep(0.2)
                else:
                    return
    raise RuntimeError(f"kube-apiserver did not become ready:\n{_tail(log_path)}")


def _tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
