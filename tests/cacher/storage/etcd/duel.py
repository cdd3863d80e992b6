"""A script played on two etcds in step, one of them the embedded one, every answer and every event compared.

The embedded one acts first, so it is known how many events the other still owes; each has to deliver them, and at the end
a write in the range of every watch shows that it had no more of them. Both are brought to the same revision first, so that
every revision can be compared as it is.

What may differ is written down once, in `same_error` and `shown`, and explained in docs/fidelity.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

import msgspec
import trio

from cacher.storage.etcd import (
    CompactedError,
    DeleteRange,
    DuplicateKeyError,
    EmbeddedEtcd,
    EmbeddedWatch,
    Etcd,
    EtcdError,
    EtcdEvent,
    EtcdWatch,
    FutureRevisionError,
    InvalidRequestError,
    LeaseNotFoundError,
    LeaseResult,
    Operation,
    Put,
    Range,
    Txn,
    WatchResponse,
)
from tests.cacher.storage.etcd.scripts import (
    AskProgress,
    Call,
    CloseWatch,
    Compact,
    Grant,
    KeepAlive,
    OpenWatch,
    Revoke,
    Step,
    TimeToLive,
    resolved,
    revision_of,
)
from tests.etcd_binaries import EtcdBinary

PATIENCE_S = 20.0
"""For what a server owes; it takes milliseconds, and 100 ms where a watch begins in the past."""


OUT_OF_ORDER = {LeaseNotFoundError, FutureRevisionError, CompactedError}


class Asked(Protocol):
    """A call that is made of both."""

    def __call__(self, etcd: Etcd, /) -> Awaitable[object]: ...


class Outcome(msgspec.Struct):
    """What came of a call: a result, or an error."""

    result: object = None
    error: EtcdError | None = None


class Pair(msgspec.Struct):
    """One watch on both."""

    step: OpenWatch
    start: int
    mine: EmbeddedWatch
    theirs: EtcdWatch
    stack: AsyncExitStack
    is_over: bool = False


class Duel:
    """Plays a script on `mine` and `theirs`, which are at the same revision and hold nothing.

    Args:
        tells_progress: whether the other one's progress can be believed (etcd from 3.4.31 and 3.5.13 on).
        keeps_deletions: whether it tells a watch from the compact revision what was deleted there; if not, none is opened.
        refuses_in_order: whether a transaction with several operations that cannot be done is refused for the first of them.
    """

    def __init__(
        self,
        mine: EmbeddedEtcd,
        theirs: Etcd,
        *,
        tells_progress: bool,
        keeps_deletions: bool = True,
        refuses_in_order: bool = True,
    ) -> None:
        self.mine = mine
        self.theirs = theirs
        self.pairs: list[Pair] = []
        self._tells_progress = tells_progress
        self._keeps_deletions = keeps_deletions
        self._refuses_in_order = refuses_in_order

    async def play(self, script: Sequence[Step]) -> None:
        """All of it, and then the proof that no watch has anything more.

        Raises:
            AssertionError: the two differ; the message has the step.
        """
        with trio.fail_after(6 * PATIENCE_S):
            try:
                for number, step in enumerate(script):
                    try:
                        await self._step(step)
                        await self._compare_events()
                    except AssertionError as error:
                        raise AssertionError(f"step {number}, {step}: {error}") from error
                await self._seal()
            finally:
                for pair in self.pairs:
                    await pair.stack.aclose()

    async def _step(self, step: Step) -> None:
        now = self.mine.revision
        match step:
            case Call(operation):
                alone = has_unbounded_deletion(operation)
                in_txn = isinstance(operation, Txn)
                await self._both(_call(resolved(operation, now)), in_txn=in_txn, may_refuse_alone=alone)
            case Compact(code):
                await self._seal()
                revision = revision_of(code, self.mine.revision)
                await self._both(lambda etcd: etcd.compact(revision))
            case Grant(lease, ttl_s):
                await self._both(lambda etcd: etcd.lease_grant(ttl_s, lease=lease))
            case Revoke(lease):
                await self._both(lambda etcd: _revision_only(etcd.lease_revoke(lease)))
            case KeepAlive(lease):
                await self._both(lambda etcd: etcd.lease_keep_alive(lease))
            case TimeToLive(lease):
                await self._both(lambda etcd: etcd.lease_time_to_live(lease, keys=True))
            case OpenWatch():
                await self._open(step, revision_of(step.code, now))
            case CloseWatch(which):
                if self.pairs:
                    await self.pairs.pop(which % len(self.pairs)).stack.aclose()
            case AskProgress(which):
                await self._ask_progress(which)

    async def _both(self, asked: Asked, *, in_txn: bool = False, may_refuse_alone: bool = False) -> Outcome:
        """Args:
        may_refuse_alone: mine sees a key written twice where etcd overlooks it; then the other is not asked.
        """
        mine = await _outcome(asked, self.mine)
        if may_refuse_alone and isinstance(mine.error, DuplicateKeyError):
            return mine
        theirs = await _outcome(asked, self.theirs)
        assert (mine.error is None) == (theirs.error is None), f"mine {mine}, theirs {theirs}"
        if mine.error is not None and theirs.error is not None:
            if in_txn and not self._refuses_in_order and {type(mine.error), type(theirs.error)} <= OUT_OF_ORDER:
                return mine
            assert same_error(mine.error, theirs.error, in_txn=in_txn), f"mine {mine.error!r}, theirs {theirs.error!r}"
        assert shown(mine.result) == shown(theirs.result), f"mine {mine.result}, theirs {theirs.result}"
        return mine

    # --- watches ------------------------------------------------------------------------------------------------------

    async def _open(self, step: OpenWatch, start: int) -> None:
        if start == self.mine.compact_revision and not self._keeps_deletions:
            return

        async def open_on(etcd: Etcd) -> EtcdWatch:
            return await stack.enter_async_context(
                etcd.watch(step.key, step.range_end, start_revision=start, prev_kv=step.prev_kv, filters=step.filters)
            )

        stack = AsyncExitStack()
        try:
            mine = await open_on(self.mine)
        except InvalidRequestError as error:
            await self._refused_too(open_on, error)
            await stack.aclose()
            return
        assert isinstance(mine, EmbeddedWatch)
        first = start or self.mine.revision + 1
        self.pairs.append(Pair(step, first, mine, await open_on(self.theirs), stack))

    async def _refused_too(self, open_on: Callable[[Etcd], Awaitable[EtcdWatch]], error: InvalidRequestError) -> None:
        """A server refuses a watch by a message on it, so it may show at the first receive."""
        try:
            with trio.fail_after(PATIENCE_S):
                await (await open_on(self.theirs)).receive()
        except InvalidRequestError as refusal:
            assert same_error(error, refusal), f"mine {error!r}, theirs {refusal!r}"
        else:
            raise AssertionError(f"mine {error!r}, theirs was opened")

    async def _compare_events(self) -> None:
        for pair in self.pairs:
            if not pair.is_over and self.mine.revision >= pair.start:
                await self._compare_pair(pair)

    async def _compare_pair(self, pair: Pair) -> None:
        try:
            expected = await self._all_of_mine(pair)
        except CompactedError as error:
            pair.is_over = True
            try:
                response = await _receive(pair.theirs)
            except CompactedError as their_error:
                assert error.compact_revision == their_error.compact_revision, f"{error!r}, theirs {their_error!r}"
                return
            raise AssertionError(f"mine {error!r}, theirs {response}") from error
        found: list[EtcdEvent] = []
        while len(found) < len(expected):
            try:
                response = await _receive(pair.theirs)
            except (trio.TooSlowError, CompactedError) as error:
                raise AssertionError(f"{pair.step}: mine {expected}, theirs {found} and then {error!r}") from error
            found += response.events
            assert response.revision <= self.mine.revision, f"{pair.step}: {response} at {self.mine.revision}"
        assert found == expected, f"{pair.step}: mine {expected}, theirs {found}"

    async def _all_of_mine(self, pair: Pair) -> list[EtcdEvent]:
        """What the embedded one has for this watch now: all up to its answer to a request for progress."""
        found: list[EtcdEvent] = []
        while not pair.mine.watcher.is_synced and not pair.mine._is_ended:
            await trio.lowlevel.checkpoint()
        if not pair.mine._is_ended:
            pair.mine.request_progress()  # once: each request is answered
        while True:
            response = await _receive(pair.mine)
            if not response.events:
                assert response.revision == self.mine.revision
                return found
            found += response.events

    async def _ask_progress(self, which: int) -> None:
        """Nothing is owed, so what a server says of progress is that all is told up to its present revision."""
        pair = self.pairs[which % len(self.pairs)] if self.pairs else None
        if pair is None or pair.is_over or not self._tells_progress or self.mine.revision < pair.start:
            return
        with trio.fail_after(PATIENCE_S):
            while True:
                pair.theirs.request_progress()
                with trio.move_on_after(0.1):
                    response = await pair.theirs.receive()
                    assert not response.events, f"{pair.step}: theirs has {response}, mine has nothing more"
                    assert response.revision == self.mine.revision
                    return

    async def _seal(self) -> None:
        """Write into the range of every watch, both kinds of event: what comes before that has come, or is too much.

        It also brings a server's watches to the present: one that begins in the past and found nothing yet might otherwise
        lose to a compaction in one store and not in the other, as it happens to be in time or not.
        """
        for pair in self.pairs:
            key = pair.step.key or b"\0"
            for operation in (Put(key, b"seal"), DeleteRange(key)):
                await self._both(_call(operation))
        await self._compare_events()


def refuses_in_order(binary: EtcdBinary) -> bool:
    """Whether the first operation of a transaction that cannot be done decides how it is refused; before, a missing lease did."""
    return binary.numbers >= (3, 6)


def keeps_deletions(binary: EtcdBinary) -> bool:
    """Whether a deletion at the compact revision itself is still told to a watch from there (etcd #18089, #19179)."""
    return binary.numbers >= (3, 5, 18) or (3, 4, 36) <= binary.numbers < (3, 5)


def has_unbounded_deletion(operation: Operation) -> bool:
    """Whether a transaction deletes all keys from one on, at any depth: etcd up to 3.6 holds no put against that."""
    if isinstance(operation, Txn):
        return any(map(has_unbounded_deletion, (*operation.success, *operation.failure)))
    return isinstance(operation, DeleteRange) and operation.range_end == b"\0"


def shown(result: object) -> object:
    """A result as it is compared: a lease's time left is of the moment, and its keys are in no promised order."""
    if isinstance(result, LeaseResult):
        left_s = min(result.ttl_s, 1) if result.keys or result.ttl_s != result.granted_ttl_s else result.ttl_s
        return (result.lease, left_s > 0, result.granted_ttl_s, sorted(result.keys))
    return result


def same_error(mine: EtcdError, theirs: EtcdError, *, in_txn: bool = False) -> bool:
    """One class and one text. Only the cure is each one's own.

    Which key of a transaction was given twice, or which of its leases or revisions is the wrong one, a server does not say;
    asked by several operations, our client names one of them.
    """
    if type(mine) is not type(theirs):
        return False
    if in_txn and isinstance(mine, DuplicateKeyError | LeaseNotFoundError | FutureRevisionError | CompactedError):
        return True
    if isinstance(mine, InvalidRequestError):
        return _words(str(mine)) == _words(str(theirs))
    return str(mine) == str(theirs)


def _words(text: str) -> str:
    """etcd's own part: "etcdserver: key is not provided"."""
    return ":".join(text.split(":")[:2])


def _call(operation: Operation) -> Asked:
    async def call(etcd: Etcd) -> object:
        match operation:
            case Put(key, value, lease, prev_kv):
                return await etcd.put(key, value, lease=lease, prev_kv=prev_kv)
            case DeleteRange(key, end, prev_kv):
                return await etcd.delete(key, end, prev_kv=prev_kv)
            case Range(key, end, revision, limit, keys_only, count_only):
                return await etcd.range(
                    key, end, revision=revision, limit=limit, keys_only=keys_only, count_only=count_only
                )
            case Txn(compares, success, failure):
                return await etcd.txn(compares, success, failure)

    return call


async def _revision_only(revoked: Awaitable[object]) -> object:
    """A server does not tell how many keys a revoked lease took with it."""
    return getattr(await revoked, "revision")  # noqa: B009


async def _outcome(asked: Asked, etcd: Etcd) -> Outcome:
    try:
        return Outcome(result=await asked(etcd))
    except EtcdError as error:
        return Outcome(error=error)


async def _receive(watch: EtcdWatch) -> WatchResponse:
    with trio.fail_after(PATIENCE_S):
        return await watch.receive()
