"""Endpoints: how they are written, in which order they are tried, and how long to wait in between. Pure.

    https://10.0.0.1:2379,https://10.0.0.2:2379      a text, separated by commas
    ["10.0.0.1:2379", "10.0.0.2:2379"]               or a sequence; without a scheme: TLS if a certificate is given

One endpoint is the current one, and all use it. Whoever fails there moves everybody on to the next, at once while there is
one that was not tried yet, then after a wait that doubles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from random import Random

PORT = 2379
"""etcd's port for clients."""

WAIT_MIN_S = 0.05
WAIT_MAX_S = 2.0
"""A lone server that is away is asked 30 times in the first minute, by each who waits for it."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a member of etcd listens."""

    address: str
    """host:port."""
    is_secure: bool

    def __str__(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.address}"


def parse_endpoints(endpoints: str | Sequence[str], *, has_certificates: bool = False) -> tuple[Endpoint, ...]:
    """The endpoints in the order given, each once.

    Args:
        has_certificates: TLS files were given, so that an endpoint without a scheme means https.
    Raises:
        ValueError: there is none, one cannot be read, or a certificate is given for one without TLS.
    """
    texts = endpoints.split(",") if isinstance(endpoints, str) else list(endpoints)
    found = tuple(dict.fromkeys(_parse(text.strip(), has_certificates) for text in texts if text.strip()))
    if not found:
        raise ValueError("no etcd endpoint is given: name one, such as http://127.0.0.1:2379")
    for endpoint in found:
        if has_certificates and not endpoint.is_secure:
            raise ValueError(f"{endpoint} has no use for certificates: write https://{endpoint.address}, or give none")
    return found


def check_remote(
    endpoints: str | Sequence[str],
    *,
    cafile: str | Path = "",
    certfile: str | Path = "",
    keyfile: str | Path = "",
    user: str = "",
    password: str = "",
) -> tuple[Endpoint, ...]:
    """The endpoints of a client with these options, which go together.

    Raises:
        ValueError: they do not; the message says what to give or to leave out.
    """
    if bool(certfile) != bool(keyfile):
        raise ValueError("a certificate and its key belong together: give certfile and keyfile, or neither")
    if bool(user) != bool(password):
        raise ValueError("a user and a password belong together: give both, or neither")
    return parse_endpoints(endpoints, has_certificates=bool(cafile or certfile or keyfile))


def _parse(text: str, has_certificates: bool) -> Endpoint:
    scheme, rest = text.split("://", 1) if "://" in text else ("https" if has_certificates else "http", text)
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port or PORT
    except ValueError as error:
        raise ValueError(f"the etcd endpoint {text!r} cannot be read: {error}") from error
    if scheme not in ("http", "https") or not host or re.sub("/$", "", rest) != parts.netloc or parts.username:
        raise ValueError(f"the etcd endpoint {text!r} cannot be read: write it like http://127.0.0.1:{PORT}")
    return Endpoint(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", scheme == "https")


class Rotation:
    """Which of `count` endpoints is the current one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.current = 0

    def failed(self, index: int) -> None:
        """The endpoint `index` did not do it: go on with the next, unless somebody has moved on from it already."""
        if index == self.current:
            self.current = (index + 1) % self.count


class Waits:
    """How long one caller waits between its attempts.

    Args:
        count: endpoints there are, each to be tried once before there is any wait.
        random: draws each wait from the upper half of what it may be, so that those who failed together come apart.
    """

    def __init__(self, count: int, random: Random) -> None:
        self._count = count
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Seconds until the next attempt, after one more failure."""
        self._failures += 1
        rounds = self._failures - self._count
        if rounds < 0:
            return 0.0
        longest_s: float = min(WAIT_MAX_S, WAIT_MIN_S * 2.0 ** min(rounds, 30))
        return longest_s * self._random.uniform(0.5, 1.0)

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0
