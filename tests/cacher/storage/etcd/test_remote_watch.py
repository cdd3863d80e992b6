"""RemoteWatch on real servers: cut, killed, compacted, restored, slow and left; each revision once, whole, in order."""

from __future__ import annotations

import shutil
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
import trio
import trio.testing

from cacher.storage.etcd import CompactedError, Put, UnavailableError
from cacher.storage.etcd._remote_watch import BRIDGE_BYTES_MAX
from tests.etcd_binaries import each_etcd
from tests.etcd_server import EtcdServer, open_etcd_server
from tests.remote_etcd import END, numbers, opened, put_numbers, run, shared_server, through_proxy, values

pytestmark = pytest.mark.slow

server = shared_server()


def test_a_watch_outlives_its_connections_and_loses_nothing(server):
    """Cut at random while events are under way: each revision once, whole, in order."""

    async def main() -> None:
        async with through_proxy(server) as (far, near, proxy):
            async with far.watch(b"a/", END, prev_kv=True) as watch, trio.open_nursery() as nursery:

                async def write() -> None:
                    for number in range(300):
                        await near.txn(success=[Put(b"a/%d" % part, b"%d" % number) for part in range(5)])

                async def cut() -> None:
                    for _ in range(5):
                        await trio.sleep(0.1)
                        proxy.cut()

                nursery.start_soon(write)
                nursery.start_soon(cut)
                seen = await values(watch, 1500)
            assert seen == [b"%d" % number for number in range(300) for _ in range(5)]

    run(main)


@each_etcd()
def test_a_watch_outlives_its_server(binary, tmp_path):
    """Killed, and started again after a while: what was written before and after arrives, and reads wait."""

    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(5)) as own, opened(own) as etcd:
            async with etcd.watch("a/k") as watch, etcd.watch("a/k", start_revision=1) as other:
                await put_numbers(etcd, 0, 3)
                assert await values(watch, 3) == numbers(0, 3)
                own.kill()
                own.launch()
                assert (await etcd.range("a/k")).kvs[0].value == b"2"
                await put_numbers(etcd, 3, 6)
                assert await values(watch, 3) == numbers(3, 6)
                assert await values(other, 6) == numbers(0, 6)

    run(main)


def test_what_was_compacted_while_the_connection_was_lost_ends_the_watch(server):
    async def main() -> None:
        async with through_proxy(server) as (far, near, proxy):
            async with far.watch("a/k") as watch:
                await put_numbers(near, 0, 3)
                await values(watch, 3)
                proxy.refuse()
                await put_numbers(near, 3, 6)
                now = (await near.range("a/k")).revision
                await near.compact(now)
                proxy.heal()
                with pytest.raises(CompactedError) as lost:
                    await values(watch, 1)
                assert lost.value.compact_revision == now
                with pytest.raises(trio.EndOfChannel):
                    await watch.receive()

    run(main)


@each_etcd()
def test_an_etcd_restored_from_an_older_backup_ends_a_watch_that_is_ahead_of_it(binary, tmp_path):
    """It gives the same revisions to other writes; a watch that went on would wait, and miss them."""

    async def main() -> None:
        async with open_etcd_server(binary, tmp_path, random=Random(9)) as own, opened(own) as etcd:
            data = tmp_path / own.name
            await put_numbers(etcd, 0, 3)
            own.kill()
            shutil.copytree(data, tmp_path / "backup")
            await own.start()
            async with etcd.watch("a/k", start_revision=1) as watch, etcd.watch("a/k", start_revision=100) as ahead:
                await put_numbers(etcd, 3, 9)
                assert await values(watch, 9) == numbers(0, 9)
                own.kill()
                shutil.rmtree(data)
                shutil.copytree(tmp_path / "backup", data)
                await own.start()
                with pytest.raises(CompactedError) as behind:
                    await watch.receive()
                assert behind.value.compact_revision == (await etcd.range("a/k")).revision + 1
                with trio.move_on_after(0.3) as scope:
                    await ahead.receive()
                assert scope.cancelled_caught, "one that has told nothing yet waits for its revision"

    run(main)


@pytest.mark.parametrize(("told_before", "is_asked"), [(4, False), (5, False), (6, True)])
def test_only_what_earlier_streams_told_is_held_against_a_server(server, told_before, is_asked):
    """Not what this one tells while it is being asked how far it is: a read that is under way shows an older revision."""

    class Stream:
        began_at = 5
        is_closed = False

        def __init__(self) -> None:
            self.has_begun = trio.Event()
            self.has_begun.set()

        def close(self) -> None:
            self.is_closed = True

    async def main() -> None:
        async with opened(server) as etcd, etcd.watch("a/quiet", start_revision=10**9) as watch:
            questions = 0
            stream: Any = Stream()

            async def ask() -> int:
                nonlocal questions
                questions += 1
                await trio.lowlevel.checkpoint()
                return 6

            await watch._has_begun.wait()
            watch._assembly.told_revision = 7  # by this stream, meanwhile
            with patch.object(etcd._connections, "revision", ask), trio.move_on_after(0.05):
                await watch._attend(stream, told_before)
            assert questions == is_asked
            assert watch._failure is None

    run(main)


def test_a_watch_without_an_endpoint_gives_up_when_patience_ends_and_says_where_to_go_on(server):
    async def main() -> None:
        async with through_proxy(server, patience_s=0.5) as (far, near, proxy):
            async with far.watch("a/k") as watch:
                revision = (await near.put("a/k", "1")).revision
                await values(watch, 1)
                proxy.refuse()
                with pytest.raises(trio.BrokenResourceError, match=f"from revision {revision + 1} "):
                    await watch.receive()
                with pytest.raises(trio.EndOfChannel):
                    await watch.receive()
            with pytest.raises(UnavailableError):
                async with far.watch("a/k"):
                    raise AssertionError("from now on, where nobody says when now is")

    run(main)


def test_fragments_are_put_together_so_that_no_revision_is_split(server):
    """A backlog of 11 MB comes in fragments of 2 MB at most, each revision in pieces of 100 kB."""

    async def main() -> None:
        async with opened(server) as etcd:
            await etcd.delete(b"a/", END)
            written = []
            for number in range(9):
                puts = [Put(b"a/%02d" % part, b"%d" % number * 100_000) for part in range(12)]
                written.append((await etcd.txn(success=puts)).revision)
            first = written[0]
            async with etcd.watch(b"a/", END, start_revision=first) as watch:
                seen: dict[int, int] = {}
                while sum(seen.values()) < 108:
                    response = await watch.receive()
                    for event in response.events:
                        seen[event.kv.mod_revision] = seen.get(event.kv.mod_revision, 0) + 1
                    assert set(seen.values()) == {12}, "whole ones so far"
                assert list(seen) == written

    run(main)


def test_a_reader_that_stands_still_holds_a_bounded_part_and_costs_others_nothing(server):
    async def main() -> None:
        async with opened(server) as etcd:
            async with etcd.watch("a/k") as still, etcd.watch("a/k") as healthy:
                for number in range(60):
                    await etcd.put("a/k", b"%d" % number + b" " * 500_000)
                    assert (await values(healthy, 1))[0].startswith(b"%d " % number)
                await trio.sleep(0.2)
                assert still._bridge.weight < BRIDGE_BYTES_MAX + 2_000_000
                assert [int(value) for value in await values(still, 60)] == list(range(60))

    run(main)


def test_watches_that_are_left_leave_nothing_behind(server):
    """Whenever: before a stream is there, while it is idle, while its bridge is full. No thread, no watcher in etcd."""

    async def main() -> None:
        async with opened(server) as etcd:
            limiter = etcd._connections.limiter
            await etcd.put("a/k", b" " * 1_000_000)
            for wait_s in (0, 0, 0.005, 0.05, 0.2):
                etcd._connections.members.current.version = ""  # to be asked before the stream is opened
                async with etcd.watch("a/k", start_revision=1), etcd.watch("a/k"):
                    await etcd.put("a/k", b" " * 1_000_000)
                    await trio.sleep(wait_s)
            with trio.move_on_after(0.01):
                async with etcd.watch("a/k") as watch:
                    await watch.receive()
            etcd._connections.members.current.version = ""
            async with etcd.watch("a/quiet", start_revision=10**9):
                pass
            await trio.sleep(0.1)
            while limiter.borrowed_tokens:
                await trio.sleep(0.01)
            while await watchers(server):
                await trio.sleep(0.01)

    run(main)


async def watchers(server: EtcdServer) -> int:
    """How many the server says it has."""
    stream = await trio.open_tcp_stream("127.0.0.1", server.client_port)
    async with stream:
        await stream.send_all(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join([chunk async for chunk in stream]).decode()
    return int(float(text.partition("\netcd_debugging_mvcc_watcher_total ")[2].split()[0]))


def test_a_reader_that_is_cancelled_has_taken_nothing_and_two_cannot_read(server):
    async def main() -> None:
        async with opened(server) as etcd, etcd.watch("a/k") as watch:
            with trio.move_on_after(0.05):
                await watch.receive()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch.receive)
                await trio.sleep(0.01)
                with pytest.raises(trio.BusyResourceError):
                    await watch.receive()
                nursery.cancel_scope.cancel()
            await etcd.put("a/k", "1")
            assert await values(watch, 1) == [b"1"]

    run(main)


def test_every_receive_gives_others_a_turn_whether_it_waits_or_finds_something_or_the_end(server):
    async def main() -> None:
        async with opened(server) as etcd, etcd.watch("a/k") as watch:
            await put_numbers(etcd, 0, 1)
            while watch._bridge.is_empty:
                await trio.sleep(0.01)
            with trio.CancelScope() as scope:
                scope.cancel()
                await watch.receive()
            assert scope.cancelled_caught
            with trio.testing.assert_checkpoints():
                assert await values(watch, 1) == numbers(0, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(put_numbers, etcd, 1, 2)
                with trio.testing.assert_checkpoints():
                    assert await values(watch, 1) == numbers(1, 2)
            watch.end()
            with trio.testing.assert_checkpoints(), pytest.raises(trio.EndOfChannel):
                await watch.receive()

    run(main)


@pytest.mark.long
def test_a_black_hole_is_found_by_the_keepalive(server):
    """Nobody says that the peer is gone. Without a ping the stream would be silent for ever; HANG_S is the judge."""

    async def main() -> None:
        async with through_proxy(server) as (far, near, proxy):
            async with far.watch("a/k") as watch:
                await put_numbers(near, 0, 1)
                await values(watch, 1)
                connections = proxy.connections
                proxy.black_hole("up", "down")
                await put_numbers(near, 1, 3)
                while proxy.connections == connections:
                    await trio.sleep(0.1)
                proxy.heal()
                assert await values(watch, 2) == numbers(1, 3)

    run(main)
