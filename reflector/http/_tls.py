"""TLS as an API server's clients speak it: whom they believe, and which certificate they show. Reads certificate files.

Differs from Python's defaults: authorities without the extensions that RFC 5280 asks for are believed, as Go's clients
believe them; Python refuses them since 3.13, and real clusters have them.
"""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

import msgspec

from ._settings import PEM, ServerIdentity


class ClientCertificate(msgspec.Struct, frozen=True):
    """A certificate and its key, as PEM. Not shown by `repr`."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "ClientCertificate(…)"


class TLSError(ValueError):
    """Certificates or keys that cannot be used: correct the files, or what the kubeconfig says."""


def tls_context(identity: ServerIdentity, shown: ClientCertificate | None) -> ssl.SSLContext:
    """What connections are secured by.

    Raises:
        TLSError: an authority, the certificate or its key cannot be read, or do not belong together.
    """
    try:
        if identity.is_verified:
            authority = read_pem(identity.authority).decode("ascii") if identity.authority is not None else None
            context = ssl.create_default_context(cadata=authority)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        else:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["http/1.1"])
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise TLSError(f"the certificate authority cannot be used: {error}") from error
    if shown is not None:
        _show(context, shown)
    return context


def read_pem(source: PEM) -> bytes:
    """The text, wherever it is.

    Raises:
        TLSError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise TLSError(f"{source} cannot be read: {error.strerror}") from error


def _show(context: ssl.SSLContext, shown: ClientCertificate) -> None:
    """Python takes a certificate from files alone: it gets one that nobody else may read, and that is gone at once."""
    with tempfile.TemporaryDirectory(prefix="watchcache-") as directory:
        file = Path(directory) / "client.pem"
        file.touch(mode=0o600)
        file.write_bytes(shown.certificate + b"\n" + shown.key)
        try:
            context.load_cert_chain(file, password=_no_password)
        except ssl.SSLError as error:
            raise TLSError(f"the client certificate and its key cannot be used: {error}") from error


def _no_password() -> str:
    """A key that is locked would have OpenSSL ask at the terminal."""
    return ""
