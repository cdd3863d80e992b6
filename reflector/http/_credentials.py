"""Who a request is from: a token, one that is read from a file again and again, a password, what a plugin prints, a certificate.

    Credentials.current() ─► Caller: headers, client certificate       asked before each request
    Credentials.renewed(refused) ─► another Caller, or None            after a 401: the token may be new by now

Source: client-go transport/token_source.go, plugin/pkg/client/auth/exec/exec.go.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import trio

from watch import Unauthorized

from ._settings import ExecPlugin, Login, ServerIdentity
from ._tls import ClientCertificate, TLSError, read_pem

TOKEN_FILE_PERIOD_S = 60.0
"""A token file is read again when it was read longer ago. Source: client-go NewCachedFileTokenSource."""
EXPIRY_LEEWAY_S = 10.0
"""What a plugin printed is asked for anew so long before it expires: it is to be valid when it arrives."""
PLUGIN_TIMEOUT_S = 60.0
PLUGIN_OUTPUT_SHOWN = 500
"""Characters of what a plugin complained of that an error tells."""


class Caller(msgspec.Struct, frozen=True):
    """Who a request is from. Not shown by `repr`."""

    headers: tuple[tuple[str, str], ...] = ()
    certificate: ClientCertificate | None = None

    def __repr__(self) -> str:
        return "Caller(…)"


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct, frozen=True, rename="camel"):
    """What a plugin prints. Source: client.authentication.k8s.io/v1."""

    api_version: str
    kind: str
    status: _Status | None = None


class Credentials:
    """Whoever a Login stands for, kept fresh. Files are read and plugins run by one task; the others wait for it.

    Args:
        unix: the time of day, in seconds since 1970: when what a plugin printed expires is told in it.
        server: which server a plugin is told that it is for: its URL and how it is known.
    """

    def __init__(self, login: Login, *, unix: Callable[[], float], server: tuple[str, ServerIdentity]) -> None:
        self._login = login
        self._unix = unix
        self._server = server
        self._lock = trio.Lock()
        self._caller: Caller | None = None
        self._expires_unix: float | None = None  # by the time of day, of what a plugin printed
        self._read_s = 0.0  # when the token file was read, by the trio clock

    async def current(self) -> Caller:
        """Who the next request is from.

        Raises:
            watch.Unauthorized: there are no credentials to be had: the message says why and what to do.
        """
        if (caller := self._fresh()) is not None:
            return caller
        async with self._lock:
            if (caller := self._fresh()) is not None:
                return caller  # another task has got it meanwhile
            return await self._renew()

    async def renewed(self, refused: Caller) -> Caller | None:
        """Another caller than the one that the server did not know; None: there is no other. Raises as `current`."""
        if self._login.token or (self._login.token_file is None and self._login.plugin is None):
            return None
        async with self._lock:
            if self._caller is refused:
                await self._renew()
            return self._caller if self._caller is not None and self._caller != refused else None

    def _fresh(self) -> Caller | None:
        login = self._login
        if self._caller is None:
            return None
        if login.token_file is not None and not login.token:
            is_fresh = trio.current_time() - self._read_s < TOKEN_FILE_PERIOD_S
            return self._caller if is_fresh else None
        if self._expires_unix is not None and self._unix() > self._expires_unix - EXPIRY_LEEWAY_S:
            return None
        return self._caller

    async def _renew(self) -> Caller:
        login = self._login
        bearer, certificate = login.token, _own_certificate(login)
        if not bearer and login.token_file is not None:
            bearer = self._read_token()
        elif not bearer and not login.username and login.plugin is not None:
            status = await _run(login.plugin, self._server)
            self._expires_unix = None if (at := status.expiration_timestamp) is None else at.timestamp()
            bearer, certificate = status.token, _printed_certificate(status) or certificate
        headers = list(login.impersonation)
        if bearer:
            headers.append(("Authorization", f"Bearer {bearer}"))
        elif login.username:
            pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode("ascii")
            headers.append(("Authorization", f"Basic {pair}"))
        if any(not value.isascii() or not value.isprintable() for _, value in headers):
            raise Unauthorized("the token, or whom to act as, holds characters that no header may hold")
        caller = Caller(tuple(headers), certificate)
        if caller != self._caller:
            self._caller = caller
        return self._caller

    def _read_token(self) -> str:
        """What the file holds; if it cannot be read now, what it held before: a token outlives the moment of its replacement.

        Read on the spot: it is some hundred bytes, in a pod in memory, and a thread for it would cost more.
        """
        file = self._login.token_file
        assert file is not None, "only asked for where there is one"
        self._read_s = trio.current_time()
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            if self._caller is None:
                raise Unauthorized(f"the token file {file} cannot be read: {error}") from error
            token = ""
        if token:
            return token
        if self._caller is None:
            raise Unauthorized(f"the token file {file} is empty: write a token into it")
        return dict(self._caller.headers)["Authorization"].removeprefix("Bearer ")


def _own_certificate(login: Login) -> ClientCertificate | None:
    if login.certificate is None or login.key is None:
        return None
    try:
        return ClientCertificate(read_pem(login.certificate), read_pem(login.key))
    except TLSError as error:
        raise Unauthorized(str(error)) from error


def _printed_certificate(status: _Status) -> ClientCertificate | None:
    if not status.client_certificate_data:
        return None
    return ClientCertificate(status.client_certificate_data.encode(), status.client_key_data.encode())


async def _run(plugin: ExecPlugin, server: tuple[str, ServerIdentity]) -> _Status:
    """What the plugin prints. Raises Unauthorized: it cannot be run, fails, takes too long, or prints something else."""
    environment = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": _exec_info(plugin, server)}
    ran: subprocess.CompletedProcess[bytes] | None = None
    try:
        with trio.move_on_after(PLUGIN_TIMEOUT_S):
            ran = await trio.run_process(
                [plugin.command, *plugin.args],
                capture_stdout=True,
                capture_stderr=True,
                stdin=subprocess.DEVNULL,
                env=environment,
                check=False,
            )
    except OSError as error:
        hint = f": {plugin.install_hint}" if plugin.install_hint else ""
        raise Unauthorized(f"the exec plugin {plugin.command} cannot be run: {error}{hint}") from error
    if ran is None:
        raise Unauthorized(f"the exec plugin {plugin.command} printed nothing within {PLUGIN_TIMEOUT_S:g} s")
    if ran.returncode != 0:
        said = ran.stderr.decode("utf-8", "replace").strip()[-PLUGIN_OUTPUT_SHOWN:]
        raise Unauthorized(f"the exec plugin {plugin.command} failed with exit code {ran.returncode}: {said}")
    return _read_credential(plugin, ran.stdout)


def _read_credential(plugin: ExecPlugin, printed: bytes) -> _Status:
    # What it printed is a secret, and is not shown.
    try:
        credential = msgspec.json.decode(printed, type=_ExecCredential)
    except msgspec.MsgspecError as error:
        raise Unauthorized(f"the exec plugin {plugin.command} printed no ExecCredential: {error}") from error
    status = credential.status
    if (credential.kind, credential.api_version) != ("ExecCredential", plugin.api_version):
        told = f"{credential.kind} of {credential.api_version}"
        raise Unauthorized(
            f"the exec plugin {plugin.command} printed a {told}, and no ExecCredential of {plugin.api_version}"
        )
    if status is None or not (status.token or status.client_certificate_data):
        raise Unauthorized(f"the exec plugin {plugin.command} printed neither a token nor a certificate")
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise Unauthorized(f"the exec plugin {plugin.command} printed a certificate or a key, and not the other")
    return status


def _exec_info(plugin: ExecPlugin, server: tuple[str, ServerIdentity]) -> str:
    spec: dict[str, Any] = {"interactive": False}
    if plugin.tells_cluster:
        url, identity = server
        cluster: dict[str, Any] = {"server": url}
        if identity.authority is not None:
            cluster["certificate-authority-data"] = base64.b64encode(read_pem(identity.authority)).decode("ascii")
        if identity.server_name:
            cluster["tls-server-name"] = identity.server_name
        if not identity.is_verified:
            cluster["insecure-skip-tls-verify"] = True
        spec["cluster"] = cluster
    info = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec}
    return msgspec.json.encode(info).decode("utf-8")
