"""Writers under whom an etcd fails: each puts, deletes, swaps and reads a few keys, and notes what it was answered, if it was.

A write that raised with `outcome_unknown` may have been done; one that raised without was not done, says the client, so it
is not noted at all: should it show up in the store's history after all, nobody has written it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import msgspec
import trio

from cacher.storage.etcd import (
    Compare,
    CompareTarget,
    Etcd,
    EtcdError,
    KeyValue,
    Operation,
    Put,
    Range,
    RangeResult,
    WriteResult,
)
from tests.linearizable import Act, Answer
from tests.linearizable import Operation as Noted

PREFIX = "/registry/faults/"
KEYS = tuple(f"{PREFIX}{namespace}/{name}" for namespace in "ab" for name in ("k0", "k1", "k2"))
PAUSE_S = 0.008
"""The most that a writer waits between two operations: some hundred a second in all, so that histories can be searched."""
MANY = 3
"""Keys that one transaction writes at once."""


def value_of(key: str, number: str) -> bytes:
    """An object as Kubernetes would store it; no other has this `number`."""
    namespace, name = key.removeprefix(PREFIX).split("/")
    return msgspec.json.encode({"metadata": {"name": name, "namespace": namespace}, "number": number})


class Writers:
    """`count` writers on one etcd, until told to stop. What they did is in `operations`.

    Args:
        clients: of that etcd. Each writer writes by one and reads by another: where their members are not the same, a read
            that is not the latest shows.
        seed: of each writer's choices; what they are answered depends on the time as well.
    """

    def __init__(self, clients: Sequence[Etcd], *, count: int, seed: int) -> None:
        self.operations: list[Noted] = []
        self.revision = 0
        """The highest that any of them was told."""
        self.acknowledged = trio.Event()
        """Set, and made anew, with every acknowledged write."""
        self.unknown = 0
        """Writes whose outcome nobody knows."""
        self.refused = 0
        """Operations that the client says were not done."""
        self._clients = clients
        self._writers = [_Writer(f"w{number}", Random(f"{seed} {number}"), self, number) for number in range(count)]
        self.is_over = False

    def stop(self) -> None:
        """Let each finish what it is at."""
        self.is_over = True

    async def run(self) -> None:
        """Write until stopped."""
        async with trio.open_nursery() as nursery:
            for writer in self._writers:
                nursery.start_soon(writer.run)

    def client(self, number: int) -> Etcd:
        """One of the clients, counted around."""
        return self._clients[number % len(self._clients)]

    # --- notes --------------------------------------------------------------------------------------------------------

    def answered(self, op: Noted, answer: Answer) -> None:
        noted = msgspec.structs.replace(op, answer=answer, returned_s=trio.current_time())
        self.operations.append(noted)
        self.revision = max(self.revision, answer.revision)
        if noted.wrote:
            self.acknowledged.set()
            self.acknowledged = trio.Event()

    def failed(self, ops: Sequence[Noted], error: EtcdError) -> None:
        if error.outcome_unknown:
            self.unknown += 1
            self.operations += [msgspec.structs.replace(op, returned_s=math.inf) for op in ops]
        else:
            self.refused += 1


class _Writer:
    """One of them."""

    def __init__(self, name: str, random: Random, writers: Writers, number: int) -> None:
        self._name = name
        self._random = random
        self._writers = writers
        self._writing, self._reading = writers.client(number), writers.client(number + 1)
        self._known: dict[str, bytes | None] = {}
        """What it read last under each key; others may have changed it since."""

    async def run(self) -> None:
        number, random = 0, self._random
        while not self._writers.is_over:
            number += 1
            key, serial = random.choice(KEYS), f"{self._name}-{number}"
            draw = random.random()
            if draw < 0.45:
                await self._put(key, serial)
            elif draw < 0.60:
                await self._delete(key)
            elif draw < 0.75:
                await self._swap(key, serial)
            elif draw < 0.85:
                await self._put_many(random.sample(KEYS, MANY), serial)
            else:
                await self._read(key)
            await trio.sleep(random.uniform(0, PAUSE_S))

    # --- one operation each -------------------------------------------------------------------------------------------

    async def _put(self, key: str, serial: str) -> None:
        op = Noted(self._name, Act.PUT, key.encode(), trio.current_time(), value=value_of(key, serial))
        try:
            result = await self._writing.put(key, op.value or b"", prev_kv=True)
        except EtcdError as error:
            self._writers.failed([op], error)
        else:
            self._writers.answered(op, _answer(result.revision, result.prev_kvs))

    async def _delete(self, key: str) -> None:
        op = Noted(self._name, Act.DELETE, key.encode(), trio.current_time())
        try:
            result = await self._writing.delete(key, prev_kv=True)
        except EtcdError as error:
            self._writers.failed([op], error)
        else:
            self._writers.answered(op, _answer(result.revision, result.prev_kvs))

    async def _read(self, key: str) -> None:
        op = Noted(self._name, Act.READ, key.encode(), trio.current_time())
        try:
            result = await self._reading.range(key)
        except EtcdError:
            self._writers.refused += 1
            return
        self._writers.answered(op, _answer(result.revision, result.kvs))
        self._known[key] = result.kvs[0].value if result.kvs else None

    async def _swap(self, key: str, serial: str) -> None:
        """Compare with what was read last, which others may have changed since: now and then it fails, as it should."""
        raw = key.encode()
        expected = self._known.get(key)
        op = Noted(self._name, Act.SWAP, raw, trio.current_time(), value=value_of(key, serial), expected=expected)
        compare = (
            Compare(raw, CompareTarget.VERSION, "=", 0)
            if expected is None
            else Compare(raw, CompareTarget.VALUE, "=", expected)
        )
        try:
            result = await self._writing.txn([compare], [Range(raw), Put(raw, op.value or b"")], [Range(raw)])
        except EtcdError as error:
            self._writers.failed([op], error)
            return
        found = result.responses[0]
        assert isinstance(found, RangeResult)
        self._writers.answered(op, _answer(result.revision, found.kvs, swapped=result.succeeded))
        self._known[key] = op.value if result.succeeded else (found.kvs[0].value if found.kvs else None)

    async def _put_many(self, keys: Sequence[str], serial: str) -> None:
        """Several keys under one revision: whoever watches must see all of it at once."""
        now = trio.current_time()
        ops = [Noted(self._name, Act.PUT, key.encode(), now, value=value_of(key, serial)) for key in keys]
        puts: list[Operation] = [Put(op.key, op.value or b"", 0, True) for op in ops]
        try:
            result = await self._writing.txn(success=puts)
        except EtcdError as error:
            self._writers.failed(ops, error)
            return
        for op, found in zip(ops, result.responses, strict=True):
            assert isinstance(found, WriteResult)
            self._writers.answered(op, _answer(result.revision, found.prev_kvs))


def _answer(revision: int, found: Sequence[KeyValue], *, swapped: bool = False) -> Answer:
    if not found:
        return Answer(revision, None, swapped=swapped)
    return Answer(revision, found[0].value, found[0].mod_revision, swapped=swapped)
