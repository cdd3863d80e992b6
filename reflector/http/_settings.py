"""Where an API server is, how it is known to be the right one, and who asks. Pure.

    kubeconfig ─┐
    in cluster ─┼─► ServerSettings: url ─ ServerIdentity (which certificates are believed) ─ Login (who we are)
    arguments  ─┘

Secrets are kept out of `repr`, so that no traceback or log shows them.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

PEM = bytes | Path
"""Certificates or a key: the text itself, or the file that holds it."""


class ExecPlugin(msgspec.Struct, frozen=True):
    """A command that prints credentials. Source: client.authentication.k8s.io, client-go plugin/pkg/client/auth/exec."""

    command: str
    """A path, or a name on PATH."""
    api_version: str
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    """Beside our own environment."""
    install_hint: str = ""
    """What the kubeconfig says of how to get the command."""
    tells_cluster: bool = False
    """Whether the command is told which server it is for."""


class Login(msgspec.Struct, frozen=True):
    """Who asks. Nothing set: nobody. A token goes before a token file, and both before a password and a command."""

    token: str = ""
    token_file: Path | None = None
    """Read again every minute, since tokens of pods are replaced while they run."""
    username: str = ""
    password: str = ""
    certificate: PEM | None = None
    key: PEM | None = None
    plugin: ExecPlugin | None = None
    impersonation: tuple[tuple[str, str], ...] = ()
    """Headers that ask to act as somebody else."""

    def __repr__(self) -> str:
        return f"Login({', '.join(self.ways) or 'nobody'})"

    @property
    def ways(self) -> tuple[str, ...]:
        """What is shown to the server, in words without secrets."""
        told = (
            ("a token", bool(self.token)),
            (f"the token in {self.token_file}", self.token_file is not None),
            ("a password", bool(self.username)),
            ("a client certificate", self.certificate is not None),
            (f"what {self.plugin.command if self.plugin else ''} prints", self.plugin is not None),
        )
        return tuple(way for way, is_set in told if is_set)


class ServerIdentity(msgspec.Struct, frozen=True):
    """How the server proves that it is the right one."""

    authority: PEM | None = None
    """Who signed its certificate; None: one of those that this system trusts."""
    server_name: str = ""
    """The name in its certificate, where that is not the host of the URL."""
    is_verified: bool = True
    """False: whoever answers is believed, and gets our credentials."""


class ServerSettings(msgspec.Struct, frozen=True):
    """An API server and how to talk to it."""

    url: str
    """`https://10.0.0.1:6443`, perhaps with a path that all others begin with."""
    identity: ServerIdentity = ServerIdentity()
    login: Login = Login()
    namespace: str = "default"
    """What the context or the pod says; nothing here uses it."""
    name: str = ""
    """What to call the server: the context's name, or its host."""


class Endpoint(msgspec.Struct, frozen=True):
    """A URL taken apart."""

    is_tls: bool
    host: str
    port: int
    path: str
    """Without a "/" at its end; "" for most."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


def endpoint_of(settings: ServerSettings) -> Endpoint:
    """Where to connect.

    Raises:
        ValueError: it is no URL that can be used, or credentials would go over the wire for everybody to read.
    """
    url = settings.url if "://" in settings.url else f"https://{settings.url}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"the server {settings.url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"the server {settings.url!r} is no URL of an API server: write https://HOST:PORT")
    if parts.username is not None:
        raise ValueError("credentials in the server's URL are not used: hand them in on their own")
    is_tls = parts.scheme == "https"
    if not is_tls and (ways := settings.login.ways):
        raise ValueError(f"{ways[0]} would be sent over plain HTTP to {parts.hostname}: use https, or leave it out")
    return Endpoint(is_tls, parts.hostname, port or (443 if is_tls else 80), parts.path.rstrip("/"))
