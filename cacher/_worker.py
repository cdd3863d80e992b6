"""One worker of a server: a process that answers the connections which its parent has accepted. Started by `_workers` alone.

    python -m cacher._worker DESCRIPTOR DESCRIPTOR        (messages, connections: see _worker_link)

It ends when its parent says so or has gone, or by SIGTERM: watches with a bookmark, answers under way to their end. SIGINT, which
a terminal sends to all processes at once, is for the parent to pass on.
"""

from __future__ import annotations

import signal
import socket
import sys
from itertools import count
from typing import final

import trio

from ._one_server import open_one
from ._worker_link import Ask, AskAll, Failed, Link, Ready, Snapshot, Start, Stop, Taker, Total
from .server import KubeconfigRefused, MetricsSnapshot, Server, TLSFilesError
from .storage.etcd import EtcdError

TOTAL_S = 5.0
"""A parent that has not added up by then is busy: the process's own figures would be taken for all, so there are none."""
_UNUSABLE = (EtcdError, OSError, TLSFilesError, KubeconfigRefused)


class NoTotal(Exception):
    """The parent has not answered in time: ask again."""


@final
class Worker:
    """A worker over its link."""

    def __init__(self, link: Link, taker: Taker) -> None:
        self._link = link
        self._taker = taker
        self._numbers = count(1)
        self._totals: dict[int, MetricsSnapshot | None] = {}
        self._told = trio.Event()
        self._latest = MetricsSnapshot(())
        self._server: Server | None = None

    async def run(self) -> None:
        """Serve until told to stop."""
        start = await self._link.receive()
        if not isinstance(start, Start):
            return  # the parent ended before it began
        options, credentials = start.options, start.credentials
        async with trio.open_nursery() as nursery:
            try:
                async with open_one(
                    options,
                    tls=credentials.context(options),
                    authenticator=credentials.authenticator(options),
                    audit=_write_line,
                    identity=start.identity,
                    listening=self._taker,
                    gather=self._gather,
                ) as self._server:
                    nursery.start_soon(self._stop_when_told, nursery.cancel_scope)
                    await self._link.send(Ready())
                    await self._listen()
            except _UNUSABLE as error:
                await self._link.send(Failed(str(error) or type(error).__name__))
            nursery.cancel_scope.cancel()

    async def _stop_when_told(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            await anext(signals)
        scope.cancel()

    async def _listen(self) -> None:
        """Until the parent says Stop, or has gone."""
        while (message := await self._link.receive()) is not None:
            match message:
                case Stop():
                    return
                case Ask(number):
                    assert self._server is not None
                    await self._link.send(Snapshot(number, self._server.metrics()))
                case Total(number, metrics):
                    if number in self._totals:
                        self._totals[number] = metrics
                        self._told.set()
                        self._told = trio.Event()
                case _:
                    raise AssertionError(f"a worker was told {type(message).__name__}")

    async def _gather(self, own: MetricsSnapshot) -> MetricsSnapshot:
        """What all have counted. Raises NoTotal."""
        number = next(self._numbers)
        self._totals[number] = None
        try:
            await self._link.send(AskAll(number, own))
            with trio.move_on_after(TOTAL_S):
                while (total := self._totals[number]) is None:
                    await self._told.wait()
                return total
        finally:
            del self._totals[number]
        raise NoTotal(f"the sum over all workers did not come within {TOTAL_S:g} s: ask again")


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # one write, so that lines of several processes do not mix
    sys.stderr.flush()


async def _run(messages: int, connections: int) -> None:
    link, taker = Link(socket.socket(fileno=messages)), Taker(socket.socket(fileno=connections))
    await Worker(link, taker).run()


def main() -> None:
    """See the module."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    messages, connections = map(int, sys.argv[1:])
    trio.run(_run, messages, connections)


if __name__ == "__main__":
    main()
