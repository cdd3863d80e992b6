"""The embedded etcd answers as a real one does: one script played on both, every answer, event, revision and error compared.

Requests go to the real one as they are: what our client would refuse before it sends anything is sent here all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random

import pytest
import trio
from hypothesis import given, settings

from cacher.storage.etcd import (
    Compare,
    CompareTarget,
    DeleteRange,
    Etcd,
    LeaseNotFoundError,
    Put,
    Range,
    Snapshot,
    Txn,
    WatchFilter,
    _remote,
    open_embedded_etcd,
    open_remote_etcd,
)
from cacher.storage.etcd._version import tells_progress
from tests.cacher.storage.etcd.duel import Duel, keeps_deletions, refuses_in_order
from tests.cacher.storage.etcd.scripts import (
    NEVER_GRANTED,
    SCRIPTS,
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
)
from tests.etcd_server import EtcdServer

pytestmark = pytest.mark.slow
LEASE_TTL_MIN_S = 2
"""What etcd grants at least with its own election timeout of 1 s."""
EVERYTHING = b"\0"
PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def unchecked(monkeypatch) -> None:
    """Let etcd itself say what is wrong with a request."""
    for name in ("check_key", "check_range", "check_txn", "_check_watch"):
        monkeypatch.setattr(_remote, name, lambda *_, **__: None)


async def emptied(etcd: Etcd) -> int:
    """Delete everything but the past; the revision that this leaves."""
    for lease in range(1, NEVER_GRANTED + 1):
        with suppress(LeaseNotFoundError):
            await etcd.lease_revoke(lease)
    return (await etcd.delete(EVERYTHING, EVERYTHING)).revision


async def play(server: EtcdServer, script: Sequence[Step]) -> None:
    """Bring an embedded etcd and the server to one revision, with a past that is compacted, and let the script loose."""
    async with open_remote_etcd(server.endpoint, random=Random(1), patience_s=PATIENCE_S) as theirs:
        revision = await emptied(theirs)
        async with open_embedded_etcd(
            snapshot=Snapshot(revision, ()), random=Random(2), lease_ttl_min_s=LEASE_TTL_MIN_S
        ) as mine:
            for etcd in (mine, theirs):
                await etcd.put(b"a", b"before")
                await etcd.delete(b"a")
                await etcd.compact(revision + 1)
            duel = Duel(
                mine,
                theirs,
                tells_progress=tells_progress(server.binary.version),
                keeps_deletions=keeps_deletions(server.binary),
                refuses_in_order=refuses_in_order(server.binary),
            )
            await duel.play(script)


@settings(max_examples=50)
@given(script=SCRIPTS)
def test_the_embedded_etcd_answers_as_the_real_one(server, script):
    trio.run(play, server, script)


ALL_COMPARES = [
    Compare(key, target, operator, operand if target is not CompareTarget.VALUE else b"x", end)
    for key, end in ((b"a", None), (b"none", None), (b"a", b"c"), (b"x", b"z"))
    for target in CompareTarget
    for operator in ("=", "!=", "<", ">")
    for operand in (0, 1, 3)
]

SCRIPTS_TO_REMEMBER: dict[str, list[Step]] = {
    "every compare of one key, of none and of a range": [
        Grant(1, 60),
        Call(Put(b"a", b"x", 1)),
        Call(Put(b"b", b"x")),
        *[Call(Txn((compare,), (Range(b"a"),), ())) for compare in ALL_COMPARES],
    ],
    "a compaction at the revision of a deletion": [
        Call(Put(b"a", b"x")),
        OpenWatch(b"a", None, 3, True, ()),
        Call(DeleteRange(b"a")),
        Call(Put(b"a", b"y")),
        Compact(4),
        OpenWatch(b"\0", b"\0", 4, True, ()),
        OpenWatch(b"\0", b"\0", 5, False, ()),
        OpenWatch(b"\0", b"\0", 6, True, ()),
        Call(Range(b"a", None, 4)),
        Call(Range(b"a", None, 5)),
        Compact(4),
        Compact(1),
    ],
    "watches from the past, the present and the future, with and without filters": [
        Call(Put(b"a", b"x")),
        Call(Put(b"a", b"y")),
        Call(DeleteRange(b"a")),
        *[
            OpenWatch(b"a", b"c", code, True, filters)
            for code in (0, 1, 2, 3, 4, 5, 6)
            for filters in ((), (WatchFilter.NO_PUT,), (WatchFilter.NO_DELETE,))
        ],
        Call(Put(b"a", b"z")),
        Call(Put(b"b", b"z")),
        AskProgress(0),
        AskProgress(1),
        CloseWatch(0),
        Call(DeleteRange(b"a", b"c", True)),
    ],
    "transactions inside transactions, which see the writes before them and share one revision": [
        Call(Put(b"a", b"x")),
        OpenWatch(b"\0", b"\0", 0, True, ()),
        Call(
            Txn(
                (Compare(b"a", CompareTarget.VALUE, "=", b"x"),),
                (
                    Put(b"b", b"1", 0, True),
                    Range(b"\0", b"\0"),
                    Txn(
                        (Compare(b"b", CompareTarget.VERSION, "=", 0),),  # decided before the put above
                        (DeleteRange(b"c", None, True), Range(b"a", b"z", 0, 1), Put(b"c", b"2")),
                        (Put(b"d", b"3"),),
                    ),
                    Range(b"\0", b"\0", 3),
                    DeleteRange(b"a", None, True),
                ),
            )
        ),
        Call(Txn((), (DeleteRange(b"c"), Txn((), (Range(b"c"),))), ())),
        Call(Txn((), (Put(b"a", b"1"), Put(b"a", b"2")), ())),
        Call(Txn((), (Put(b"a", b"1"), DeleteRange(b"a", b"b")), ())),
        Call(Txn((), (Put(b"a", b"1"), Txn((), (Put(b"a", b"2"),))), ())),
        Call(Txn((), (Txn((), (Put(b"a", b"1"),), (Put(b"a", b"2"),)),), ())),
        Call(Txn((), (DeleteRange(b"a"), Txn((), (Put(b"a", b"1"),))), ())),
        Call(Txn((), (Txn((), (Put(b"a", b"1"),)), Txn((), (DeleteRange(b"a"),))), ())),
        Call(Txn((), (Put(b"z", b"", NEVER_GRANTED), Put(b"b", b"")), ())),
        Call(Txn((), (Range(b"b", None, 1), Put(b"b", b"", NEVER_GRANTED)), ())),
        Call(Txn((), (Range(b"b", None, 1), Txn((), (Put(b"b", b"", NEVER_GRANTED),))), ())),
        Call(Txn((), (Put(b"b", b""), Range(b"b", None, 1)), ())),
        Call(Txn((), (Put(b"b", b""), Range(b"b", None, 16)), ())),
    ],
    "leases: their keys go with them, in order, and only with the last lease that they hung on": [
        Grant(1, 60),
        Grant(1, 60),
        Grant(2, 3600),
        Grant(2, 9_000_000_001),
        OpenWatch(b"\0", b"\0", 0, True, ()),
        *[Call(Put(key, b"", 1)) for key in (b"c", b"a", b"b")],
        Call(Put(b"b", b"", 2)),
        Call(Put(b"c", b"")),
        Call(Put(b"c", b"x", NEVER_GRANTED)),
        TimeToLive(1),
        TimeToLive(2),
        TimeToLive(NEVER_GRANTED),
        KeepAlive(1),
        KeepAlive(NEVER_GRANTED),
        Revoke(1),
        Revoke(1),
        KeepAlive(1),
        TimeToLive(1),
        Revoke(2),
    ],
    "reads of the past, counted, bare and limited": [
        *[Call(Put(key, b"x")) for key in (b"a", b"b", b"c", b"a")],
        Call(DeleteRange(b"b")),
        *[
            Call(Range(b"a", b"z", code, limit, keys_only, count_only))
            for code in (0, 1, 2, 3, 4, 5, 6, 7)
            for limit in (0, 1, 2, 5)
            for keys_only, count_only in ((False, False), (True, False), (False, True), (True, True))
        ],
    ],
    "requests that make no sense": [
        Call(Put(b"", b"x")),
        Call(Range(b"")),
        Call(Range(b"", b"\0")),
        Call(DeleteRange(b"")),
        Call(Txn((), (Put(b"", b""),), ())),
        Call(Txn((Compare(b"", CompareTarget.MOD, "=", 0),), (), ())),
        Call(Txn((), tuple(Put(b"%d" % number, b"") for number in range(129)), ())),
        Call(Txn((), tuple(Put(b"%d" % number, b"") for number in range(128)), ())),
        OpenWatch(b"b", b"a", 0, False, ()),
        OpenWatch(b"b", b"b", 0, False, ()),
        Call(Range(b"b", b"a")),
        Call(DeleteRange(b"b", b"a")),
    ],
}


@pytest.mark.parametrize("what", SCRIPTS_TO_REMEMBER)
def test_the_two_agree_on_what_a_script_drawn_at_random_may_miss(server, what):
    trio.run(play, server, SCRIPTS_TO_REMEMBER[what])


# --- that the comparison sees ---------------------------------------------------------------------------------------------


WRONG: dict[str, tuple[str, Callable[..., object], str]] = {
    "a watch that leaves out the past": (
        "cacher.storage.etcd._watchable.Watcher._wants",
        lambda *_: False,
        "watches from",
    ),
    "a compaction that does nothing": ("cacher.storage.etcd._mvcc.Mvcc.compact", lambda *_: None, "a compaction"),
    "a compare that always holds": ("cacher.storage.etcd._mvcc.compare_holds", lambda *_: True, "every compare"),
    "a lease that has no keys": ("cacher.storage.etcd._lease.Lessor.revoke", lambda *_: [], "leases"),
    "a count that is always 7": ("watch.SortedKeys.count", lambda *_: 7, "reads of the past"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_embedded_etcd_that_is_wrong_is_found_out(server, monkeypatch, what):
    place, wrong, script = WRONG[what]
    monkeypatch.setattr(place, wrong)
    (steps,) = [steps for name, steps in SCRIPTS_TO_REMEMBER.items() if name.startswith(script)]
    with pytest.raises(AssertionError, match="mine"):
        trio.run(play, server, steps)
