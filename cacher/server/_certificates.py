"""TLS: an authority of one's own and a certificate by it where none is given, and the context that connections are made in.

    make_authority ─► Authority ─► issue_server(hosts) ─► Certified ─► server_context

Whoever has the authority's certificate (the kubeconfig has) knows the server by it; its key is kept only where the data is
kept, so that clients of a server that is started again need no new file. The door to cryptography.

Source of the extensions: RFC 5280; what Go's TLS asks of a certificate (a subject alternative name, a key usage).
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 365
"""A server gets a new one at each start."""
_EARLIER = timedelta(hours=1)
"""Certificates hold from before they were made: clocks of clients are not the server's."""


class Certified(msgspec.Struct, frozen=True):
    """A certificate and its key, as PEM."""

    certificate: str
    key: str


class Authority(Certified, frozen=True):
    """Who issues certificates."""


class TLSFilesError(Exception):
    """Certificates or keys that were named cannot be used; the message says which, and why."""


def make_authority(*, now_s: float) -> Authority:
    """A new authority. `now_s`: Unix time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("watchcache", "watchcache authority")
    made = (
        _builder(name, name, key.public_key(), now_s=now_s, days=AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pem(made), _key_pem(key))


def issue_server(authority: Authority, hosts: Iterable[str], *, now_s: float) -> Certified:
    """A server's certificate, for these names and addresses."""
    alternatives = x509.SubjectAlternativeName([_general_name(host) for host in dict.fromkeys(hosts)])
    return _issued(
        authority, _name("watchcache", "watchcache"), ExtendedKeyUsageOID.SERVER_AUTH, alternatives, now_s=now_s
    )


def issue_client(authority: Authority, user: str, groups: Iterable[str], *, now_s: float) -> Certified:
    """A client's certificate: the user is its common name, the groups are its organizations."""
    name = x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ]
    )
    return _issued(authority, name, ExtendedKeyUsageOID.CLIENT_AUTH, None, now_s=now_s)


def kept_authority(directory: Path, *, now_s: float) -> Authority:
    """The authority whose files are in the directory; made there, for the owner alone, where there is none.

    Raises:
        TLSFilesError: what is there is no authority, or one that holds no more.
        OSError: the directory cannot be written.
    """
    certificate, key = directory / "ca.crt", directory / "ca.key"
    if not certificate.exists() and not key.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = make_authority(now_s=now_s)
        for path, text in ((key, made.key), (certificate, made.certificate)):
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(text)
        return made
    try:
        found = Authority(certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii"))
        until = x509.load_pem_x509_certificate(found.certificate.encode()).not_valid_after_utc
        _private_key(found)
    except (OSError, ValueError, TypeError) as error:
        raise TLSFilesError(f"{directory} has no authority that can be used: {error}; move both files away") from error
    if until.timestamp() < now_s + SERVER_DAYS * 86_400:
        raise TLSFilesError(f"the authority in {directory} ends within a year: move both files away for a new one")
    return found


def server_context(certified: Certified, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """What connections are made in: TLS 1.2 or newer, HTTP/1.1 alone; certificates of clients are asked for, and verified
    where one is shown, if there is an authority for them.

    Raises:
        TLSFilesError: the key is not the certificate's, or the authority's file is none.
    """
    # OpenSSL reads from files alone; they are there for as long as that takes, for this user alone.
    with tempfile.TemporaryDirectory(prefix="watchcache-") as directory:
        certificate, key = Path(directory, "tls.crt"), Path(directory, "tls.key")
        certificate.write_text(certified.certificate, encoding="ascii")
        key.write_text(certified.key, encoding="ascii")
        return context_of_files(certificate, key, client_ca=client_ca)


def context_of_files(certificate: Path, key: Path, *, client_ca: Path | None = None) -> ssl.SSLContext:
    """See `server_context`; of files that somebody else has made."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise TLSFilesError(f"{certificate} and {key} are no certificate with its key, as PEM: {error}") from error
    if client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, OSError) as error:
            raise TLSFilesError(f"{client_ca} has no certificate of an authority, as PEM: {error}") from error
    return context


def _no_password() -> str:
    """OpenSSL would ask for one at the terminal, and wait."""
    raise ValueError("the key has a password: name one without")


# ---- parts -----------------------------------------------------------------------------------------------------------


def _issued(
    authority: Authority,
    name: x509.Name,
    purpose: x509.ObjectIdentifier,
    alternatives: x509.SubjectAlternativeName | None,
    *,
    now_s: float,
) -> Certified:
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = _private_key(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, issuer.subject, key.public_key(), now_s=now_s, days=SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return Certified(_pem(builder.sign(issuer_key, hashes.SHA256())), _key_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now_s: float, days: int
) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(now_s, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(organization: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _private_key(authority: Authority) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(authority.key.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is of another kind than those made here")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")
