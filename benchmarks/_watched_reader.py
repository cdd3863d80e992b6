"""Who reads while `_watched` measures: a process of its own, so that its CPU is not the server's.

    python -m benchmarks._watched_reader PORT tls|plain WATCHES EVENTS PATH TOKEN

Opens so many watches and says "ready"; says how many events the watches that live have had on average, each time that grows;
and in the end a line of JSON, `Read`. A watch that the server ends early is counted, and no longer waited for: each asks for its
connection to be closed behind it, which would stay open otherwise, and say nothing.
"""

from __future__ import annotations

import ctypes
import re
import selectors
import socket
import ssl
import sys
import time
from functools import cache

import msgspec

from ._http_reader import READ_BYTES, raise_limit

SENT = re.compile(rb'"sent":"(\d+)"')
"""Of an object: when it was written, in ns of the machine's monotonic clock."""


class Read(msgspec.Struct, frozen=True):
    """What came."""

    deliveries: int
    ended: int
    """Watches that the server ended before all was there."""
    p50_s: float
    p99_s: float
    """Written → read, of one watch."""
    opening_s: float
    """Of all watches, one after the other."""


class _Stream:
    """One watch. Events are lines; chunks of HTTP end with CR LF, lines of JSON with LF alone."""

    def __init__(self, sock: socket.socket, *, is_sampled: bool) -> None:
        self.sock = sock
        self.count = 0
        self.lags: list[float] = []
        self._last = b""
        self._kept = b"" if is_sampled else None

    def read(self) -> bool:
        """Take all that is there; of TLS all, since the system no longer tells of what has been decrypted. False: it ended."""
        while True:
            try:
                data = self.sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return True
            except (ConnectionError, ssl.SSLError):
                return False
            if not data:
                return False
            self.take(data)
            if not isinstance(self.sock, ssl.SSLSocket):
                return True

    def take(self, data: bytes) -> None:
        """Count the lines that end in it."""
        framed = data.count(b"\r\n") + (self._last == b"\r" and data.startswith(b"\n"))
        self.count += data.count(b"\n") - framed
        self._last = data[-1:]
        if self._kept is not None:
            now = time.monotonic_ns()
            whole = self._kept + data
            at = 0
            for match in SENT.finditer(whole):
                self.lags.append((now - int(match[1])) / 1e9)
                at = match.end()
            self._kept = whole[max(at, len(whole) - 40) :]


def main() -> None:
    """See the module."""
    port, kind, watches, events, path, token = sys.argv[1:]
    raise_limit()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: it does not outlive who measures
    selector = selectors.DefaultSelector()
    began = time.monotonic()
    count = int(watches)
    for number in range(count):
        sock, more = _opened(int(port), kind, path, token)
        stream = _Stream(sock, is_sampled=number == count // 2)
        if more:
            stream.take(more)
        selector.register(sock, selectors.EVENT_READ, stream)
    opening_s = time.monotonic() - began
    print("ready", flush=True)
    read = _read_all(selector, int(events), opening_s)
    print(msgspec.json.encode(read).decode(), flush=True)


def _read_all(selector: selectors.BaseSelector, events: int, opening_s: float) -> Read:
    streams: list[_Stream] = [key.data for key in selector.get_map().values()]
    lives, total, ended, said = len(streams), 0, 0, 0
    left = lives
    while left:
        for key, _ in selector.select():
            stream: _Stream = key.data
            before = stream.count
            is_open = stream.read()
            total += stream.count - before
            left -= before < events <= stream.count
            if not is_open:
                selector.unregister(stream.sock)
                lives -= 1
                if stream.count < events:  # who writes no longer waits for it
                    ended, left, total = ended + 1, left - 1, total - stream.count
        if lives and total // lives > said:
            said = total // lives
            print(said, flush=True)
    deliveries = sum(stream.count for stream in streams)
    lags = sorted(lag for stream in streams for lag in stream.lags) or [0.0]
    return Read(deliveries, ended, lags[len(lags) // 2], lags[len(lags) * 99 // 100], opening_s)


@cache
def _trusting() -> ssl.SSLContext:
    """Trusts anybody. Once for all: to read what a machine trusts takes as long as a hundred handshakes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _opened(port: int, kind: str, path: str, token: str) -> tuple[socket.socket, bytes]:
    """A watch that has begun, and what came behind its head."""
    sock: socket.socket = socket.create_connection(("127.0.0.1", port))
    # The end of the handshake and the request are two small writes: the second would wait 40 ms for the first to be confirmed.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if kind == "tls":
        sock = _trusting().wrap_socket(sock)
    asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    sock.sendall(asked.encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = sock.recv(READ_BYTES)
        assert data, head
        head += data
    assert head.startswith(b"HTTP/1.1 200"), head
    sock.setblocking(False)
    return sock, head.partition(b"\r\n\r\n")[2]


if __name__ == "__main__":
    main()
