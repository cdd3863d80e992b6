"""A server as one runs it: a store, the API over it, who may come in, and the file by which clients find it.

    store ─ cluster ─ the namespaces that are always there ─ credentials ─ server ─ kubeconfig ─ ready … until told to stop

Whoever comes in has the generated token, one of a token file, or a client's certificate; plain HTTP asks nobody, and answers
this machine alone.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import trio

from ._assembly import Cluster, open_cluster
from ._overview import overview
from ._stores import StoreOptions
from .controllers import cluster_controllers
from .registry import AlreadyExists
from .server import (
    FULL,
    Access,
    Authenticator,
    Page,
    ServerOptions,
    TokenFileError,
    User,
    check_writable,
    context_of_files,
    issue_server,
    kept_authority,
    kubeconfig_text,
    make_authority,
    new_token,
    open_server,
    read_tokens,
    server_context,
    write_kubeconfig,
)

SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Namespaces that are always there. Source: kubernetes pkg/controlplane/controller/systemnamespaces."""
KUBECONFIG_NAME = "watchcache.kubeconfig"
_ADMIN = User("watchcache-admin", (FULL,))
"""Who has the generated token."""
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ServeError(Exception):
    """It cannot be served as it was asked for; the message says what to change."""


class ServeOptions(msgspec.Struct, frozen=True):
    """How to serve. The names are those of the command's flags."""

    store: StoreOptions = StoreOptions()
    host: str = "127.0.0.1"
    port: int = 6443
    """0: any that is free."""
    is_plain: bool = False
    """HTTP without TLS and without users; on a loopback address alone."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    """None: a token is generated."""
    client_ca: Path | None = None
    kubeconfig: Path | None = None
    """None: `watchcache.kubeconfig`, in the data directory or else the working one."""
    shutdown_grace_s: float = 10.0
    has_controllers: bool = False
    """Whether a cluster lives in this process."""

    @property
    def kubeconfig_path(self) -> Path:
        """Where the kubeconfig is written."""
        if self.kubeconfig is not None:
            return self.kubeconfig
        return Path(self.store.data_dir or ".", KUBECONFIG_NAME)


class _Credentials(msgspec.Struct, frozen=True):
    """By what the server and its clients know each other."""

    context: ssl.SSLContext | None = None
    authority: str = ""
    token: str = ""
    authenticator: Authenticator | None = None


async def serve(
    options: ServeOptions,
    *,
    ready: Callable[[str], None],
    audit: Callable[[str], None],
    tell: Callable[[str], None] | None = None,
) -> None:
    """Serve until the process is told to stop (SIGINT, SIGTERM); answers under way are finished then, watches ended.

    Args:
        ready: told once, in one line, where the server is.
        audit: takes a line for each write.
        tell: told once, in one line, where a browser logs in to the page for people; None: nobody is.
    Raises:
        ServeError, KubeconfigRefused, TLSFilesError: what was asked for cannot be; the message says what to change.
        EtcdError, OSError: the store cannot be opened, or the address is taken.
    """
    path = options.kubeconfig_path
    check_writable(path)
    async with open_cluster(etcd=options.store) as cluster, AsyncExitStack() as stack:
        credentials = _credentials(options, now_s=cluster.clock.unix())
        await make_system_namespaces(cluster)
        if options.has_controllers:
            await stack.enter_async_context(cluster_controllers(cluster, random=Random(), clock=cluster.clock))
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            page = Page(partial(overview, cluster), now=trio.current_time, is_tls=credentials.context is not None)
            async with open_server(
                cluster,
                random=Random(),
                unix=cluster.clock.unix,
                host=options.host,
                port=options.port,
                tls=credentials.context,
                options=ServerOptions(shutdown_grace_s=options.shutdown_grace_s, loopback_only=options.is_plain),
                access=Access(credentials.authenticator, audit=audit, unix=cluster.clock.unix),
                page=page,
            ) as server:
                url = url_of(options, server.addresses[0][1])
                text = kubeconfig_text(url, authority=credentials.authority, token=credentials.token)
                write_kubeconfig(path, text)
                server.public_url = url
                if tell is not None:
                    tell(f"the page for people, for once and ten minutes: {url}{page.login.new_link()}")
                ready(_ready_line(options, url, path))
                async for _ in signals:
                    break


async def make_system_namespaces(cluster: Cluster) -> None:
    """The namespaces that are always there are there."""
    namespaces = cluster.resource("v1", "namespaces")
    for name in SYSTEM_NAMESPACES:
        try:
            await namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        except AlreadyExists:
            continue


def url_of(options: ServeOptions, port: int) -> str:
    """By what clients find the server; one that listens on all addresses is found on this machine."""
    host = _UNSPECIFIED.get(options.host, options.host)
    shown = f"[{host}]" if ":" in host else host
    return f"{'http' if options.is_plain else 'https'}://{shown}:{port}"


def _ready_line(options: ServeOptions, url: str, path: Path) -> str:
    told = " without TLS or users, to this machine alone," if options.is_plain else ""
    return f"ready at {url}{told} KUBECONFIG={path.resolve()}"


# ---- credentials -----------------------------------------------------------------------------------------------------


def _credentials(options: ServeOptions, *, now_s: float) -> _Credentials:
    if options.is_plain:
        return _Credentials()
    directory = Path(options.store.data_dir, "server") if options.store.data_dir is not None else None
    tokens, token = _tokens(options.token_file, directory)
    authenticator = Authenticator(tokens)
    if options.tls_cert is not None and options.tls_key is not None:
        context = context_of_files(options.tls_cert, options.tls_key, client_ca=options.client_ca)
        return _Credentials(context, token=token, authenticator=authenticator)
    authority = kept_authority(directory, now_s=now_s) if directory is not None else make_authority(now_s=now_s)
    names = ("localhost", "127.0.0.1", "::1", socket.gethostname())
    hosts = [*names, *((options.host,) if options.host not in (*names, *_UNSPECIFIED) else ())]
    context = server_context(issue_server(authority, hosts, now_s=now_s), client_ca=options.client_ca)
    return _Credentials(context, authority.certificate, token, authenticator)


def _tokens(token_file: Path | None, directory: Path | None) -> tuple[dict[str, User], str]:
    """Users by token; and the token for the kubeconfig, where it is one that was generated."""
    if token_file is None:
        token = new_token() if directory is None else _kept_token(directory)
        return {token: _ADMIN}, token
    try:
        with token_file.open(encoding="utf-8", newline="") as lines:
            return read_tokens(lines), ""
    except (OSError, UnicodeDecodeError, TokenFileError) as error:
        raise ServeError(f"--token-file {token_file}: {error}") from error


def _kept_token(directory: Path) -> str:
    """The token of this data directory, so that a kubeconfig still serves after a restart."""
    path = directory / "token"
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        token = new_token()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    if not token:
        raise ServeError(f"{path} is empty: remove it for a new token")
    return token
