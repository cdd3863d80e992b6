"""By what a server and its clients know each other: made once, and the same in every process of a server.

flags, files, or made anew ─► Credentials (plain values, which can be sent to workers) ─► an SSL context, an authenticator
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path

import msgspec

from ._serve_options import ServeError, ServeOptions
from .server import (
    FULL,
    Authenticator,
    Certified,
    TokenFileError,
    User,
    context_of_files,
    issue_server,
    kept_authority,
    make_authority,
    new_token,
    read_tokens,
    server_context,
)

_ADMIN = User("watchcache-admin", (FULL,))
"""Who has the generated token."""


class Credentials(msgspec.Struct, frozen=True):
    """By what the server and its clients know each other. Secret: it holds the tokens, and the server's key."""

    certified: Certified | None = None
    """The server's own certificate; None: that of the files, or no TLS."""
    authority: str = ""
    """Who issued it, as PEM, for the kubeconfig; "" where it is of files."""
    token: str = ""
    """For the kubeconfig; "" where tokens are of a file."""
    tokens: dict[str, User] = {}

    def authenticator(self, options: ServeOptions) -> Authenticator | None:
        """Who knows users; None where nobody is asked."""
        return None if options.is_plain else Authenticator(self.tokens)

    def context(self, options: ServeOptions) -> ssl.SSLContext | None:
        """For TLS; None where there is none. Raises TLSFilesError."""
        if options.is_plain:
            return None
        if self.certified is not None:
            return server_context(self.certified, client_ca=options.client_ca)
        assert options.tls_cert is not None
        assert options.tls_key is not None
        return context_of_files(options.tls_cert, options.tls_key, client_ca=options.client_ca)


def make_credentials(options: ServeOptions, *, now_s: float) -> Credentials:
    """What the flags ask for; read from the data directory, or made anew.

    Raises:
        ServeError: a token file, or a kept token, cannot be used.
    """
    if options.is_plain:
        return Credentials()
    directory = Path(options.store.data_dir, "server") if options.store.data_dir is not None else None
    tokens, token = _tokens(options.token_file, directory)
    if options.tls_cert is not None and options.tls_key is not None:
        return Credentials(token=token, tokens=tokens)
    authority = kept_authority(directory, now_s=now_s) if directory is not None else make_authority(now_s=now_s)
    names = ("localhost", "127.0.0.1", "::1", socket.gethostname())
    hosts = [*names, *(() if options.host in names or options.is_everywhere() else (options.host,))]
    return Credentials(issue_server(authority, hosts, now_s=now_s), authority.certificate, token, tokens)


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
