"""`watchcache serve`: its flags, and what is wrong with them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from ._serve import serve
from ._serve_options import KUBECONFIG_NAME, ServeError, ServeOptions
from ._stores import StoreOptions
from ._workers import WorkersFailed
from .server import KubeconfigRefused, TLSFilesError, is_loopback

LISTEN = "127.0.0.1:6443"
PORT_MAX = 65_535
UNUSABLE = (ServeError, KubeconfigRefused, TLSFilesError)
"""What is raised where the flags, or the files that they name, cannot be used."""


def add_serve(commands: Any, *, add_store: Callable[[argparse.ArgumentParser], None]) -> None:
    """The command among the others. `commands` is argparse's, whose type has no public name."""
    command: argparse.ArgumentParser = commands.add_parser(
        "serve",
        help="an API server for kubectl and other clients of Kubernetes",
        description="Serve Kubernetes' API, on an embedded etcd or a real one, to kubectl and any other client, unchanged. A"
        " line on standard output says when it is ready, and names the kubeconfig; each write leaves a line of JSON on"
        " standard error, which also has the link to a page for people. It ends on SIGINT or SIGTERM.",
    )
    command.add_argument(
        "--listen",
        type=_address,
        default=_address(LISTEN),
        metavar="HOST:PORT",
        help=f"where to listen; port 0: any that is free (default: {LISTEN})",
    )
    command.add_argument(
        "--http",
        action="store_true",
        help="plain HTTP, and nobody is asked who they are: for tests and demos; refuses any address but a loopback one",
    )
    command.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="PATH",
        help=f"where to write it (default: {KUBECONFIG_NAME}, in the data directory or else the working one)",
    )
    command.add_argument(
        "--shutdown-grace",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long answers under way are given at the end (default: 10)",
    )
    command.add_argument(
        "--controllers",
        action="store_true",
        help="run the controllers of a cluster and its nodes, simulated, so that what is created lives",
    )
    command.add_argument(
        "--watch-batch-interval",
        type=_seconds,
        default=ServeOptions().batch_interval_s,
        metavar="SECONDS",
        help="how late a watch may be given an event that comes so soon after another, so that both go out at once; 0:"
        " each by itself (default: 0.002)",
    )
    command.add_argument(
        "--workers",
        type=_count,
        default=1,
        metavar="N",
        help="processes that serve together, each with its own cache, on one port; more than one needs --etcd (default: 1)",
    )
    group = command.add_argument_group("who may come in")
    group.add_argument(
        "--tls-cert", type=Path, metavar="PATH", help="the server's certificate, as PEM (default: a new one)"
    )
    group.add_argument("--tls-key", type=Path, metavar="PATH", help="its key, as PEM")
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="PATH",
        help='lines of token,user,uid,"group,…" (default: one token is generated, for the kubeconfig); the group'
        " system:masters may do all, watchcache:readers may read",
    )
    group.add_argument(
        "--client-ca",
        type=Path,
        metavar="PATH",
        help="the authority of clients' certificates, as PEM: the common name is the user, organizations are groups",
    )
    add_store(command)


def run_serve(options: argparse.Namespace, store: StoreOptions) -> int:
    """Serve as the flags say, and return the exit code: 1 where workers failed.

    Raises:
        ServeError: the flags contradict each other, or ask for what is not there.
        KubeconfigRefused, TLSFilesError, EtcdError, OSError: see `serve`.
    """
    asked = _read(options, store)
    try:
        trio.run(_serve, asked, None if options.quiet else _note)
    except WorkersFailed as error:
        _note(f"watchcache: {error}")
        return 1
    return 0


async def _serve(options: ServeOptions, tell: Callable[[str], None] | None) -> None:
    await serve(options, ready=_say, audit=_note, note=_note, tell=tell)


def _say(line: str) -> None:
    print(line, flush=True)


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _read(options: argparse.Namespace, store: StoreOptions) -> ServeOptions:
    """The options as one value. Raises ServeError."""
    host, port = options.listen
    credentials = ("tls_cert", "tls_key", "token_file", "client_ca")
    if options.http:
        if not is_loopback(host):
            raise ServeError(
                f"--http asks nobody who they are, and listens on loopback alone: --listen 127.0.0.1:{port}"
            )
        if given := [name for name in credentials if getattr(options, name) is not None]:
            raise ServeError(f"--http knows no users: leave --{given[0].replace('_', '-')} out, or --http")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ServeError("--tls-cert and --tls-key belong together: give both or neither")
    return ServeOptions(
        store=store,
        host=host,
        port=port,
        is_plain=options.http,
        kubeconfig=options.kubeconfig,
        shutdown_grace_s=options.shutdown_grace,
        batch_interval_s=options.watch_batch_interval,
        has_controllers=options.controllers,
        workers=options.workers,
        **{name: getattr(options, name) for name in credentials},
    )


def _address(text: str) -> tuple[str, int]:
    """`127.0.0.1:6443`, `localhost:0`, `[::1]:6443`."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_v6 = ":" in bare
    if not bare or is_v6 != (bare != host) or not (port.isascii() and port.isdigit()) or int(port[:6]) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as {LISTEN} or [::1]:6443")
    return bare, int(port)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) >= 1 and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes, such as 2")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 10")
    return value
