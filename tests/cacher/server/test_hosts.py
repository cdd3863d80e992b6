"""Whose requests a server takes that knows nobody: this machine's own programs, by its own names, and no page's."""

from __future__ import annotations

import pytest

from cacher.server._hosts import is_foreign, is_loopback
from cacher.server._request import read_head


def asked(host: str, origin: str = "") -> bool:
    headers = [(b"Host", host.encode())] if host else []
    return is_foreign(read_head("GET", b"/", [*headers, *([(b"Origin", origin.encode())] if origin else [])]))


@pytest.mark.parametrize("host", ["localhost:8001", "LOCALHOST", "127.0.0.1:80", "127.9.9.9", "[::1]:8001", "[::1]"])
def test_whoever_asks_this_machine_by_its_own_name_is_answered(host):
    assert not asked(host)
    assert not asked(host, f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:80",
        "10.0.0.1",
        "0.0.0.0",
        "[::1].evil.example:80",
    ],
)
def test_another_name_is_not_answered_to(host):
    assert asked(host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:9999",
        "https://localhost:8001",
        "http://localhost",
        "http://[",
        "x",
    ],
)
def test_no_page_is_answered_but_this_servers_own(origin):
    assert asked("localhost:8001", origin)


@pytest.mark.parametrize(
    ("name", "expected"), [("localhost", True), ("::1", True), ("127.1.2.3", True), ("0.0.0.0", False)]
)
def test_a_loopback_name_is_known(name, expected):
    assert is_loopback(name) is expected
    assert not is_loopback("")
    assert not is_loopback("example.com")
