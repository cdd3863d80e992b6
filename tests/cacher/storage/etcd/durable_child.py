"""Writes through the durable etcd until it is killed, and says what was acknowledged: the process that the kill campaign kills.

    parent ── a round: directory, seed ──► this process ── fork ──► the writer, which prints and is killed
                                                │ its pid ──► parent

The fork saves each round half a second of imports. Every line is one write of its own, so a killed writer leaves whole lines.
Eight tasks write, each its own two keys by one transaction, so that half a write can be told; a ninth grants and revokes
leases, and a tenth compacts. Line: what, who, number, revision.
"""

from __future__ import annotations

import os
import sys
from random import Random

import trio

from cacher.storage.etcd import DeleteRange, EmbeddedEtcd, Operation, Put, Range, RangeResult, open_embedded_etcd

WRITERS = 8
VALUE_BYTES_MAX = 3000


def deletes(number: int) -> bool:
    return number % 5 == 4


def value(writer: int, number: int) -> bytes:
    return b"%d:" % number + b"x" * (number * 7919 * (writer + 1) % VALUE_BYTES_MAX)


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write(etcd: EmbeddedEtcd, writer: int, number: int) -> None:
    """From where the last round's state says: `number` is the last one that is there."""
    while True:
        number += 1
        keys = (b"w%d/a" % writer, b"w%d/b" % writer)
        content = value(writer, number)
        count = Put(b"w%d/count" % writer, b"%d" % number)
        writes: list[Operation] = [DeleteRange(key) if deletes(number) else Put(key, content) for key in keys]
        result = await etcd.txn(success=[*writes, count])
        tell("wrote", writer, number, result.revision)


async def read(etcd: EmbeddedEtcd) -> None:
    """What a read has shown must outlive a crash as well."""
    while True:
        result = await etcd.txn(success=[Range(b"w%d/count" % writer) for writer in range(WRITERS)])
        for writer, found in enumerate(result.responses):
            assert isinstance(found, RangeResult)
            if found.kvs:
                tell("read", writer, found.kvs[0].value.decode(), result.revision)
        await trio.lowlevel.checkpoint()


async def watch(etcd: EmbeddedEtcd) -> None:
    async with etcd.watch("w", "x") as events:
        while True:
            tell("watched", 0, 0, (await events.receive()).revision)


async def lease(etcd: EmbeddedEtcd, random: Random) -> None:
    while True:
        granted = await etcd.lease_grant(1000, lease=random.getrandbits(40) + 1)
        tell("granted", granted.lease, 0, etcd.revision)
        if random.random() < 0.5:
            tell("revoking", granted.lease, 0, etcd.revision)
            await etcd.lease_revoke(granted.lease)
            tell("revoked", granted.lease, 0, etcd.revision)
        await trio.sleep(0.002)


async def compact(etcd: EmbeddedEtcd, random: Random) -> None:
    while True:
        await trio.sleep(random.uniform(0.001, 0.02))
        revision = etcd.revision - random.randrange(40)
        if revision > etcd.compact_revision:
            await etcd.compact(revision)
            tell("compacted", 0, 0, revision)


async def serve(directory: str, seed: int) -> None:
    random = Random(seed)
    async with open_embedded_etcd(data_dir=directory, random=random) as etcd:
        counts = {kv.key: int(kv.value) for kv in (await etcd.range("w", "x")).kvs if kv.key.endswith(b"count")}
        tell("opened", 0, 0, etcd.revision)
        async with trio.open_nursery() as nursery:
            for writer in range(WRITERS):
                nursery.start_soon(write, etcd, writer, counts.get(b"w%d/count" % writer, 0))
            nursery.start_soon(read, etcd)
            nursery.start_soon(watch, etcd)
            nursery.start_soon(lease, etcd, random)
            nursery.start_soon(compact, etcd, random)


def main() -> None:
    """Fork a writer for each round that the parent asks for; end with its input."""
    for line in sys.stdin:
        directory, seed = line.split()
        pid = os.fork()
        if pid == 0:
            tell("pid", 0, 0, os.getpid())
            trio.run(serve, directory, int(seed))
            os._exit(3)
        _, status = os.waitpid(pid, 0)
        tell("ended", 0, os.waitstatus_to_exitcode(status) * -1, pid)


if __name__ == "__main__":
    main()
