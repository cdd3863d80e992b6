"""Who reads while `_http` measures: a process of its own, so that its CPU is not the server's.

    python -m benchmarks._http_reader PORT tls|plain WATCHES LINES PATH [TOKEN]

Opens so many watches, reads until each has begun, prints "ready", reads until all lines came, prints "done". Ends when its standard
input does, which is when whoever measures is gone: a signal at a parent's death would be one at the death of the thread that
started it, and trio's threads live for ten seconds.
"""

from __future__ import annotations

import resource
import selectors
import socket
import ssl
import sys
from collections.abc import Iterator
from functools import cache

READ_BYTES = 1 << 18


def raise_limit() -> None:
    """As many open files as the system lets a process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """See the module."""
    port, kind, watches, lines, path, *token = sys.argv[1:]
    raise_limit()
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(int(watches)):
        sock = _opened(int(port), kind, path, *token)
        selector.register(sock, selectors.EVENT_READ)
    print("ready", flush=True)
    left = int(watches) * int(lines)
    last: dict[int, bytes] = {}
    while left:
        for key, _ in selector.select():
            if not isinstance(key.fileobj, socket.socket):
                sys.exit("who measures is gone")
            for data in _read(key.fileobj):
                left -= _lines(data, last.get(key.fd, b""))
                last[key.fd] = data[-1:]
    print("done", flush=True)


@cache
def _trusting() -> ssl.SSLContext:
    """Trusts anybody. Once for all: to read what a machine trusts takes as long as a hundred handshakes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _opened(port: int, kind: str, path: str, token: str = "") -> socket.socket:
    sock: socket.socket = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # as real clients; else a TLS watch opens 40 ms late
    if kind == "tls":
        sock = _trusting().wrap_socket(sock)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(READ_BYTES)
    assert head.startswith(b"HTTP/1.1 200"), head
    sock.setblocking(False)
    return sock


def _read(sock: socket.socket) -> Iterator[bytes]:
    """What is there; of TLS all, since the system no longer tells of what has been decrypted."""
    while True:
        try:
            data = sock.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        assert data, "the stream ended"
        yield data
        if not isinstance(sock, ssl.SSLSocket):
            return


def _lines(data: bytes, before: bytes) -> int:
    """How many lines end in it: those of frames end in another way."""
    framed = data.count(b"\r\n") + (before == b"\r" and data.startswith(b"\n"))
    return data.count(b"\n") - framed


if __name__ == "__main__":
    main()
