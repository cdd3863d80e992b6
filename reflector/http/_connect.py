"""`connect`: an API server as a Client, for as long as a context lasts."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from random import Random

import msgspec

from ._client import HTTPClient
from ._credentials import Credentials
from ._places import find_settings, pod_settings
from ._pool import Dial, Pool, dial_tcp
from ._settings import PEM, Login, ServerIdentity, ServerSettings, endpoint_of
from ._tls import tls_context
from ._transport import OnWarning, Transport

TIMEOUT_S = 65.0
"""Of a call. API servers give up after 60 s, and what they say then is worth hearing."""
CONNECTIONS_MAX = 32


@asynccontextmanager
async def connect(
    server: str | ServerSettings | None = None,
    *,
    kubeconfig: str | Path | None = None,
    context: str = "",
    in_cluster: bool = False,
    token: str = "",
    token_file: str | Path | None = None,
    client_certificate: PEM | str | None = None,
    client_key: PEM | str | None = None,
    certificate_authority: PEM | str | None = None,
    insecure: bool = False,
    field_manager: str = "",
    user_agent: str = "",
    timeout_s: float = TIMEOUT_S,
    connections_max: int = CONNECTIONS_MAX,
    on_warning: OnWarning | None = None,
    random: Random | None = None,
    unix: Callable[[], float] = time.time,
    dial: Dial = dial_tcp,
) -> AsyncIterator[HTTPClient]:
    """An API server as a Client: a watchcache server, or a real kube-apiserver. Nothing is sent before it is asked something.

        async with reflector.connect() as client:
            pods = client.resource("v1", "pods").lister_watcher(namespace="default")

    Args:
        server: `https://HOST:PORT`, with what is said of it below. None: it is looked for, in the kubeconfig that is named,
            $KUBECONFIG, the pod that this runs in, ~/.kube/config, in this order.
        kubeconfig, context: a file, and which of its contexts; the current one by default.
        in_cluster: as the service account of the pod that this runs in, and nothing else.
        token, token_file: a bearer token, or the file that holds it, which is read again every minute.
        client_certificate, client_key: PEM text as bytes, or the path of a file. One file may hold both.
        certificate_authority: who signed the server's certificate, as PEM text or a path; the system's by default.
        insecure: believe whoever answers. Credentials are then sent to whoever answers.
        field_manager: who writes, where a verb does not say; the server takes it from `user_agent` otherwise.
        timeout_s: of a call, its waits and repetitions included. Watches have limits of their own.
        connections_max: calls at the same time; further ones wait. Watches are not counted.
        on_warning: called with each warning that the server gives.
        random: chance for waits and for how long watches last; the system's by default.
        unix: the time of day, in which credentials expire.
        dial: how connections are made; by TCP.
    Raises:
        ValueError: what was handed in contradicts itself, or cannot be used. KubeconfigError, TLSError: what the files say.
    """
    if client_key is not None and client_certificate is None:
        raise ValueError("a client_key without a client_certificate is of no use: hand in both")
    identity = ServerIdentity(_pem(certificate_authority), is_verified=not insecure)
    login = Login(
        token=token,
        token_file=Path(token_file) if token_file is not None else None,
        certificate=_pem(client_certificate),
        key=_pem(client_key) or _pem(client_certificate),
    )
    settings = _settings(server, identity, login, kubeconfig, context, in_cluster)
    endpoint = endpoint_of(settings)
    if endpoint.is_tls:
        tls_context(settings.identity, None)  # what is wrong with it is better known now
    chance = random if random is not None else Random()
    pool = Pool(endpoint, settings.identity, connections_max=connections_max, dial=dial)
    credentials = Credentials(settings.login, unix=unix, server=(settings.url, settings.identity))
    transport = Transport(
        endpoint,
        pool,
        credentials,
        user_agent=user_agent or _own_name(),
        timeout_s=timeout_s,
        random=chance,
        on_warning=on_warning,
    )
    try:
        yield HTTPClient(
            transport,
            name=settings.name or endpoint.authority,
            namespace=settings.namespace,
            random=chance,
            field_manager=field_manager,
        )
    finally:
        await pool.aclose()


def _settings(
    server: str | ServerSettings | None,
    identity: ServerIdentity,
    login: Login,
    kubeconfig: str | Path | None,
    context: str,
    in_cluster: bool,
) -> ServerSettings:
    ways = (server is not None, kubeconfig is not None or bool(context), in_cluster)
    if sum(ways) > 1:
        raise ValueError("choose one of server, kubeconfig (with its context) and in_cluster")
    if isinstance(server, str):
        return ServerSettings(server, identity, login)
    if isinstance(server, ServerSettings):
        found = server
    elif in_cluster:
        found = pod_settings(os.environ)
    else:
        found = find_settings(os.environ, Path.home(), kubeconfig=kubeconfig, context=context)
    # What is said here goes before what was found, as kubectl's flags do.
    if login.ways:
        found = msgspec.structs.replace(found, login=login)
    if identity != ServerIdentity():
        found = msgspec.structs.replace(found, identity=identity)
    return found


def _pem(source: PEM | str | None) -> PEM | None:
    return Path(source) if isinstance(source, str) else source


def _own_name() -> str:
    try:
        return f"watchcache/{metadata.version('watchcache')}"
    except metadata.PackageNotFoundError:  # a checkout that nobody installed
        return "watchcache"
