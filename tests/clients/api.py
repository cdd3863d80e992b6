"""Requests to a server as they are, by the standard library's HTTP: what answers it, without a client's own ideas."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

ANSWER_S = 60.0


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    code: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON data."""
        return json.loads(self.body)


class Api:
    """A server at a URL. `authority`: a certificate, as PEM; `token`: "" shows none."""

    def __init__(self, url: str, *, token: str = "", authority: str = "") -> None:
        self.url = urllib.parse.urlsplit(url)
        self.token = token
        self.context = ssl.create_default_context(cadata=authority) if authority else None

    def __call__(
        self, method: str, path: str, body: object = None, *, media_type: str = "application/json", **headers: str
    ) -> Answer:
        """Ask; each time by a connection of its own."""
        connection = self._connect()
        try:
            connection.request(method, path, *self._said(body, media_type, headers))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def wait(self, path: str, is_wanted: Callable[[str, Any], bool], **query: str) -> Any:
        """The first object of which a watch of the collection says, with the event's type, what is wanted."""
        asked = urllib.parse.urlencode({"watch": "1", "timeoutSeconds": f"{ANSWER_S:.0f}", **query})
        connection = self._connect()
        try:
            connection.request("GET", f"{path}?{asked}", *self._said(None, "", {}))
            response = connection.getresponse()
            while line := response.readline():
                event = json.loads(line)
                if is_wanted(event["type"], event["object"]):
                    return event["object"]
        finally:
            connection.close()
        raise AssertionError(f"nothing of that kind came at {path}")

    def _connect(self) -> http.client.HTTPConnection:
        assert self.url.hostname is not None
        if self.context is not None:
            return http.client.HTTPSConnection(
                self.url.hostname, self.url.port, timeout=ANSWER_S + 5, context=self.context
            )
        return http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=ANSWER_S + 5)

    def _said(self, body: object, media_type: str, headers: dict[str, str]) -> tuple[bytes | None, dict[str, str]]:
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            found.setdefault("Authorization", f"Bearer {self.token}")
        if body is None:
            return None, found
        return body if isinstance(body, bytes) else json.dumps(body).encode(), {"Content-Type": media_type, **found}


def api_of(kubeconfig: Path) -> Api:
    """The server of a kubeconfig, and the user in it."""
    text = kubeconfig.read_text(encoding="utf-8")
    server, authority, token = (
        found[1] if (found := re.search(pattern, text)) else ""
        for pattern in (r'server: "(.*)"', r"certificate-authority-data: (.*)", r'token: "(.*)"')
    )
    return Api(server, token=token, authority=base64.b64decode(authority).decode())
