"""Where the embedded etcd differs on purpose, a real one really is otherwise: docs/fidelity.md lists no more and no less."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from random import Random

import pytest
import trio

from cacher.storage.etcd import (
    DeleteRange,
    DuplicateKeyError,
    EmbeddedEtcd,
    Etcd,
    EventKind,
    FutureRevisionError,
    InvalidRequestError,
    LeaseNotFoundError,
    Operation,
    Put,
    Range,
    RequestTooLargeError,
    _remote,
    open_embedded_etcd,
    open_remote_etcd,
)
from tests import source
from tests.cacher.storage.etcd.duel import keeps_deletions, refuses_in_order
from tests.etcd_binaries import EtcdBinary
from tests.etcd_server import EtcdServer

pytestmark = pytest.mark.slow
K = b"difference/"
REQUEST_BYTES_MAX = 3 * 512 * 1024
Difference = Callable[[EmbeddedEtcd, Etcd, EtcdBinary], Awaitable[None]]


async def negative_numbers(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    await theirs.put(K, b"x")
    for limit, revision in ((-1, 0), (0, -1)):
        with pytest.raises(InvalidRequestError):
            await mine.range(K, limit=limit, revision=revision)
        assert (await theirs.range(K, limit=limit, revision=revision)).count == 1


async def unbounded_deletion(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    both: list[Operation] = [Put(K + b"b", b"x"), DeleteRange(K + b"a", b"\0")]
    with pytest.raises(DuplicateKeyError):
        await mine.txn(success=both)
    assert (await theirs.txn(success=both)).succeeded
    bounded: list[Operation] = [Put(K + b"b", b"x"), DeleteRange(K + b"a", K + b"c")]
    for etcd in (mine, theirs):
        with pytest.raises(DuplicateKeyError):
            await etcd.txn(success=bounded)


async def shortest_lease(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    assert (await mine.lease_grant(1)).ttl_s == 1
    granted = await theirs.lease_grant(1)
    assert granted.ttl_s == 2
    await theirs.lease_revoke(granted.lease)


async def revoked_keys(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    told = []
    for etcd in (mine, theirs):
        lease = (await etcd.lease_grant(60)).lease
        await etcd.put(K, b"", lease=lease)
        told.append((await etcd.lease_revoke(lease)).deleted)
    assert told == [1, 0]


async def largest_request(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    value = b"x" * (REQUEST_BYTES_MAX - len(K))
    await mine.put(K, value)
    with pytest.raises(RequestTooLargeError):
        await theirs.put(K, value)
    for etcd in (mine, theirs):
        with pytest.raises(RequestTooLargeError):
            await etcd.put(K, value + b"x")
        await etcd.put(K, value[:-1024])


async def deletion_at_the_compact_revision(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    async def first_told(etcd: Etcd) -> EventKind:
        async with etcd.watch(K, start_revision=deleted) as watch:
            return (await watch.receive()).events[0].kind

    for etcd in (mine, theirs):
        await etcd.put(K, b"x")
        deleted = (await etcd.delete(K)).revision
        await etcd.put(K, b"y")
        await etcd.compact(deleted)
        if etcd is mine or keeps_deletions(binary):
            assert await first_told(etcd) is EventKind.DELETE
        else:
            while (
                await first_told(etcd) is EventKind.DELETE
            ):  # compaction goes on in the background, and then it is gone
                await trio.sleep(0.01)


async def two_reasons(mine: EmbeddedEtcd, theirs: Etcd, binary: EtcdBinary) -> None:
    both: list[Operation] = [Range(K, revision=10**9), Put(K, b"", lease=10**9)]
    with pytest.raises(FutureRevisionError):
        await mine.txn(success=both)
    with pytest.raises(FutureRevisionError if refuses_in_order(binary) else LeaseNotFoundError):
        await theirs.txn(success=both)


DIFFERENCES: dict[str, Difference] = {
    "a negative limit or revision": negative_numbers,
    "a deletion without an upper bound beside a put": unbounded_deletion,
    "the shortest lease": shortest_lease,
    "how many keys a revoked lease takes along": revoked_keys,
    "the largest request": largest_request,
    "a transaction with two reasons to be refused": two_reasons,
    "a deletion at the compact revision": deletion_at_the_compact_revision,
}


async def compare(server: EtcdServer, difference: Difference) -> None:
    with trio.fail_after(60):
        async with (
            open_embedded_etcd(random=Random(1)) as mine,
            open_remote_etcd(server.endpoint, random=Random(2), patience_s=10.0) as theirs,
        ):
            await difference(mine, theirs, server.binary)
            await theirs.delete(K, K + b"\xff")


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_that_is_listed_is_there(server, monkeypatch, what):
    for name in ("check_key", "check_range", "check_txn", "_check_watch"):
        monkeypatch.setattr(_remote, name, lambda *_, **__: None)
    trio.run(compare, server, DIFFERENCES[what])


def test_the_page_lists_the_differences_that_are_shown():
    page = (source.ROOT / "docs/fidelity.md").read_text(encoding="utf-8")
    on_purpose = page.partition("## What differs on purpose")[2].partition("## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", on_purpose, flags=re.MULTILINE)
    assert rows[0] == "what"
    assert rows[1:] == list(DIFFERENCES)
