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
        seed: of each writer's choices; what they are answered depends on the time as well.
    """

    def __init__(self, etcd: Etcd, *, count: int, seed: int) -> None:
        self.operations: list[Noted] = []
        self.revision = 0
        """The highest that any of them was told."""
        self.acknowledged = trio.Event()
        """Set, and made anew, with every acknowledged write."""
        self.unknown = 0
        """Writes whose outcome nobody knows."""
        self.refused = 0
        """Operations that the client says were not done."""
        self._etcd = etcd
        self._writers = [(f"w{number}", Random(f"{seed} {number}")) for number in range(count)]
        self._is_over = False

    def stop(self) -> None:
        """Let each finish what it is at."""
        self._is_over = True

    async def run(self) -> None:
        """Write until stopped."""
        async with trio.open_nursery() as nursery:
            for name, random in self._writers:
                nursery.start_soon(self._write, name, random)

    async def _write(self, name: str, random: Random) -> None:
        number = 0
        known: dict[str, bytes | None] = {}
        while not self._is_over:
            number += 1
            key, serial = random.choice(KEYS), f"{name}-{number}"
            draw = random.random()
            if draw < 0.45:
                await self._put(name, key, serial)
            elif draw < 0.60:
                await self._delete(name, key)
            elif draw < 0.75:
                await self._swap(name, key, serial, known)
            elif draw < 0.85:
                await self._put_many(name, random.sample(KEYS, MANY), serial)
            else:
                known[key] = await self._read(name, key)
            await trio.sleep(random.uniform(0, PAUSE_S))

    # --- one operation each -------------------------------------------------------------------------------------------

    async def _put(self, name: str, key: str, serial: str) -> None:
        op = Noted(name, Act.PUT, key.encode(), trio.current_time(), value=value_of(key, serial))
        try:
            result = await self._etcd.put(key, op.value or b"", prev_kv=True)
        except EtcdError as error:
            self._failed([op], error)
        else:
            self._answered(op, _answer(result.revision, result.prev_kvs))

    async def _delete(self, name: str, key: str) -> None:
        op = Noted(name, Act.DELETE, key.encode(), trio.current_time())
        try:
            result = await self._etcd.delete(key, prev_kv=True)
        except EtcdError as error:
            self._failed([op], error)
        else:
            self._answered(op, _answer(result.revision, result.prev_kvs))

    async def _read(self, name: str, key: str) -> bytes | None:
        op = Noted(name, Act.READ, key.encode(), trio.current_time())
        try:
            result = await self._etcd.range(key)
        except EtcdError:
            self.refused += 1
            return None
        self._answered(op, _answer(result.revision, result.kvs))
        return result.kvs[0].value if result.kvs else None

    async def _swap(self, name: str, key: str, serial: str, known: dict[str, bytes | None]) -> None:
        """Compare with what was read last, which others may have changed since: now and then it fails, as it should."""
        raw = key.encode()
        expected = known.get(key)
        op = Noted(name, Act.SWAP, raw, trio.current_time(), value=value_of(key, serial), expected=expected)
        compare = (
            Compare(raw, CompareTarget.VERSION, "=", 0)
            if expected is None
            else Compare(raw, CompareTarget.VALUE, "=", expected)
        )
        try:
            result = await self._etcd.txn([compare], [Range(raw), Put(raw, op.value or b"")], [Range(raw)])
        except EtcdError as error:
            self._failed([op], error)
            return
        found = result.responses[0]
        assert isinstance(found, RangeResult)
        self._answered(op, _answer(result.revision, found.kvs, swapped=result.succeeded))
        known[key] = op.value if result.succeeded else (found.kvs[0].value if found.kvs else None)

    async def _put_many(self, name: str, keys: Sequence[str], serial: str) -> None:
        """Several keys under one revision: whoever watches must see all of it at once."""
        now = trio.current_time()
        ops = [Noted(name, Act.PUT, key.encode(), now, value=value_of(key, serial)) for key in keys]
        puts: list[Operation] = [Put(op.key, op.value or b"", 0, True) for op in ops]
        try:
            result = await self._etcd.txn(success=puts)
        except EtcdError as error:
            self._failed(ops, error)
            return
        for op, found in zip(ops, result.responses, strict=True):
            assert isinstance(found, WriteResult)
            self._answered(op, _answer(result.revision, found.prev_kvs))

    # --- notes --------------------------------------------------------------------------------------------------------

    def _answered(self, op: Noted, answer: Answer) -> None:
        noted = msgspec.structs.replace(op, answer=answer, returned_s=trio.current_time())
        self.operations.append(noted)
        self.revision = max(self.revision, answer.revision)
        if noted.wrote:
            self.acknowledged.set()
            self.acknowledged = trio.Event()

    def _failed(self, ops: Sequence[Noted], error: EtcdError) -> None:
        if error.outcome_unknown:
            self.unknown += 1
            self.operations += [msgspec.structs.replace(op, returned_s=math.inf) for op in ops]
        else:
            self.refused += 1


def _answer(revision: int, found: Sequence[KeyValue], *, swapped: bool = False) -> Answer:
    if not found:
        return Answer(revision, None, swapped=swapped)
    return Answer(revision, found[0].value, found[0].mod_revision, swapped=swapped)
