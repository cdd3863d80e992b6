"""A certificate authority for tests, and servers and clients that trust it. Over streams in memory: no port is needed."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trustme

from reflector.http import HTTPClient, connect
from tests.reflector.http.scripted_server import ScriptedServer

NAME = "api.example.com"


class TLS:
    """An authority, a server's certificate for NAME, and a client's."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.pem = self.authority.cert_pem.bytes()
        self._server = self.authority.issue_cert(NAME)
        client = self.authority.issue_cert(common_name="me")
        self.certificate = client.cert_chain_pems[0].bytes()
        self.key = client.private_key_pem.bytes()

    def server(self, *, asks_for_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED if asks_for_certificate else ssl.CERT_NONE
        return context

    @asynccontextmanager
    async def client(self, server: ScriptedServer, **options: Any) -> AsyncIterator[HTTPClient]:
        options = {"certificate_authority": self.pem, "random": Random(7), **options}
        async with connect(f"https://{NAME}:6443", dial=server.dial, **options) as client:
            yield client


@pytest.fixture(scope="session")
def tls() -> TLS:
    return TLS()
