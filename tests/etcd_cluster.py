"""A cluster of three real etcd members on loopback, each of which can be killed, frozen, or cut off from the others.

Members reach each other through proxies, clients reach them directly:

    client ──► member-0 ──► proxy of member-1 ──► member-1
                       └──► proxy of member-2 ──► member-2

A member is cut off in both ways: its own proxy holds what others send it, and theirs hold what comes from it. Who opened a
connection is told by the header X-Server-From, which etcd's rafthttp sends with every request.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import trio

from tests.etcd_binaries import EtcdBinary
from tests.etcd_server import EtcdServer, EtcdServerError, free_ports
from tests.tcp_proxy import TcpProxy, open_tcp_proxy

MEMBERS = 3
CATCHING_UP_S = 10.0
"""A member that hears the others again has everything after so long."""
ELECTION_S = 60.0
"""A new leader has so long; with a timeout of 1 s it needs two or three on an idle machine."""


class EtcdCluster:
    """The members and the proxies before them. Made by `open_etcd_cluster`."""

    def __init__(self, members: Sequence[EtcdServer], proxies: Sequence[TcpProxy]) -> None:
        self.members = tuple(members)
        self._proxies = tuple(proxies)
        self._ids: dict[int, str] = {}

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Of all members, for clients."""
        return tuple(member.endpoint for member in self.members)

    async def learn_ids(self) -> None:
        """Ask each member its own id, by which its connections are told from others."""
        for number, member in enumerate(self.members):
            self._ids[number] = f"{int((await member.status())['header']['member_id']):x}"

    async def leader(self, *, among: Sequence[int] = range(MEMBERS)) -> int:
        """The number of the member that leads, by its own word and that of most of `among`; waits until there is one.

        Raises:
            trio.TooSlowError: none was elected within ELECTION_S.
        """
        with trio.fail_after(ELECTION_S):
            while True:
                votes = [found for number in among if (found := await self._leader_by(number)) is not None]
                for candidate in among:
                    if votes.count(candidate) > MEMBERS // 2:
                        return candidate
                await trio.sleep(0.05)

    async def _leader_by(self, number: int) -> int | None:
        try:
            with trio.fail_after(1.0):
                told = await self.members[number].status()
            leader = f"{int(told['leader']):x}"
        except (OSError, ValueError, KeyError, trio.BrokenResourceError, trio.TooSlowError):
            return None
        return next((other for other, id_ in self._ids.items() if id_ == leader), None)

    async def disagreement(self, *, patience_s: float = CATCHING_UP_S) -> str:
        """What each member holds, where they do not all come to hold the same; "" where they do.

        Compared are the revision and etcd's own hash of all keys up to it. Nobody may write meanwhile.
        """
        told = ""
        with trio.move_on_after(patience_s):
            while True:
                held = [await self._held_by(member) for member in self.members]
                if len(set(held)) == 1:
                    return ""
                told = ", ".join(f"{one.name} {what}" for one, what in zip(self.members, held, strict=True))
                await trio.sleep(0.1)
        return told or "a member says nothing"

    async def _held_by(self, member: EtcdServer) -> str:
        try:
            told = await member.ask("/v3/maintenance/hash", {})
            return f"at revision {told['header']['revision']}, hash {told['hash']}"
        except (OSError, ValueError, KeyError, trio.BrokenResourceError) as error:
            return f"says nothing: {error}"

    def cut_off(self, number: int) -> None:
        """From now on this member and the others hear nothing of each other. Clients reach it as before."""
        for other, proxy in enumerate(self._proxies):
            if other == number:
                proxy.black_hole()
            else:
                proxy.black_hole(labels=frozenset({self._ids[number]}))

    def heal(self) -> None:
        """All members hear each other again."""
        for proxy in self._proxies:
            proxy.heal()
            proxy.cut()  # what was held for seconds is stale; etcd opens its streams anew at once

    def log_tail(self) -> str:
        """The last lines of each member's log."""
        return "\n".join(member.log_tail() for member in self.members)


def sender_of(first_bytes: bytes) -> str:
    """The id, in hexadecimal, of the member that opened a connection with these; "" where it does not say."""
    found = re.search(rb"\r\nX-Server-From: ([0-9a-f]+)\r\n", first_bytes, re.IGNORECASE)
    return found[1].decode() if found else ""


@asynccontextmanager
async def open_etcd_cluster(
    binary: EtcdBinary, directory: Path, *, random: Random, flags: Sequence[str] = ()
) -> AsyncIterator[EtcdCluster]:
    """Three members that serve; killed when the context ends."""
    async with AsyncExitStack() as stack:
        ports = free_ports(2 * MEMBERS, random)
        client_ports, peer_ports = ports[:MEMBERS], ports[MEMBERS:]
        proxies = [
            await stack.enter_async_context(open_tcp_proxy(port, random=random, label_of=sender_of))
            for port in peer_ports
        ]
        urls = {f"member-{number}": f"http://127.0.0.1:{proxy.port}" for number, proxy in enumerate(proxies)}
        members = [
            EtcdServer(
                binary,
                directory,
                name=name,
                client_port=client_ports[number],
                peer_port=peer_ports[number],
                advertised_peer_port=proxies[number].port,
                members=urls,
                flags=flags,
            )
            for number, name in enumerate(urls)
        ]
        cluster = EtcdCluster(members, proxies)
        try:
            await _start(cluster)
            yield cluster
        except BaseException as error:
            error.add_note(cluster.log_tail())
            raise
        finally:
            for member in members:
                member.end()


async def _start(cluster: EtcdCluster) -> None:
    for member in cluster.members:
        member.launch()  # a member serves when most are there, so all start before any is waited for
    for member in cluster.members:
        await member.wait_until_healthy()
    await cluster.learn_ids()
    if len(set(cluster._ids.values())) != MEMBERS:
        raise EtcdServerError(f"the members' ids are not three: {cluster._ids}")
