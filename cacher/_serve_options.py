"""How `watchcache serve` is to serve, as data: what the command reads, and what is sent to workers."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ._stores import StoreOptions

KUBECONFIG_NAME = "watchcache.kubeconfig"
WORKERS_MAX = 64
"""Processes of one server. Each has a copy of all that it caches."""
_UNSPECIFIED = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ServeError(Exception):
    """It cannot be served as it was asked for; the message says what to change."""


class ServeOptions(msgspec.Struct, frozen=True):
    """How to serve. The names are those of the command's flags.

    Raises:
        ServeError: flags that contradict each other; the message says which to change.
    """

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
    batch_interval_s: float = 0.002
    """How late a watch may be given an event that comes that soon after another."""
    has_controllers: bool = False
    """Whether a cluster lives in this process, or in one of those that share an etcd."""
    workers: int = 1
    """Processes that serve together, each with its own cache on one etcd."""

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= WORKERS_MAX:
            raise ServeError(f"--workers {self.workers}: choose 1 to {WORKERS_MAX}")
        if self.workers > 1 and not self.store.is_remote:
            raise ServeError(
                "--workers needs --etcd: several processes can follow a real etcd, but not the embedded one, which lives in"
                " one process; name a real one, or leave --workers out"
            )

    @property
    def kubeconfig_path(self) -> Path:
        """Where the kubeconfig is written."""
        if self.kubeconfig is not None:
            return self.kubeconfig
        return Path(self.store.data_dir or ".", KUBECONFIG_NAME)

    def url(self, port: int) -> str:
        """By what clients find the server; one that listens on all addresses is found on this machine."""
        host = _UNSPECIFIED.get(self.host, self.host)
        shown = f"[{host}]" if ":" in host else host
        return f"{'http' if self.is_plain else 'https'}://{shown}:{port}"

    def is_everywhere(self) -> bool:
        """Whether it listens on all addresses of the machine."""
        return self.host in _UNSPECIFIED

    def ready_line(self, port: int) -> str:
        """What is said once all is ready."""
        told = " without TLS or users, to this machine alone," if self.is_plain else ""
        return f"ready at {self.url(port)}{told} KUBECONFIG={self.kubeconfig_path.resolve()}"
