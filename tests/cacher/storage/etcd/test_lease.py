"""The pure lessor: ids, times and which key hangs on which lease."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.storage.etcd import (
    EtcdEvent,
    EventKind,
    InvalidRequestError,
    KeyValue,
    LeaseExistsError,
    LeaseNotFoundError,
)
from cacher.storage.etcd._lease import Lessor


@pytest.fixture
def lessor():
    return Lessor(draw_id=lambda: 77)


def wrote(key: bytes, lease: int = 0) -> EtcdEvent:
    return EtcdEvent(EventKind.PUT, KeyValue(key, b"", 2, 2, 1, lease))


def deleted(key: bytes) -> EtcdEvent:
    return EtcdEvent(EventKind.DELETE, KeyValue(key, b"", 0, 3, 0))


def test_an_id_is_drawn_until_one_is_free():
    draws = iter([0, 5, 5, 6])
    lessor = Lessor(draw_id=lambda: next(draws))
    assert lessor.grant(1, now_s=0).lease == 5
    assert lessor.grant(1, now_s=0).lease == 6


def test_a_chosen_id_is_kept_and_refused_a_second_time(lessor):
    assert lessor.grant(1, now_s=0, lease=2**63 - 1).lease == 2**63 - 1
    with pytest.raises(LeaseExistsError):
        lessor.grant(1, now_s=0, lease=2**63 - 1)
    with pytest.raises(InvalidRequestError):
        lessor.grant(1, now_s=0, lease=2**63)


@pytest.mark.parametrize(("asked_s", "granted_s"), [(-1, 3), (0, 3), (3, 3), (4, 4)])
def test_a_time_to_live_is_at_least_the_minimum(asked_s, granted_s):
    lessor = Lessor(draw_id=lambda: 1, ttl_min_s=3)
    assert lessor.grant(asked_s, now_s=0).ttl_s == granted_s
    assert lessor.next_expiry() == granted_s


def test_a_time_to_live_beyond_the_maximum_is_refused(lessor):
    lessor.grant(9_000_000_000, now_s=0)
    with pytest.raises(InvalidRequestError, match="too large"):
        lessor.grant(9_000_000_001, now_s=0)


def test_a_lease_is_due_at_its_second_and_not_before(lessor):
    lessor.grant(10, now_s=5.5, lease=1)
    assert lessor.next_due(15.4) is None
    assert lessor.next_due(15.5) == 1
    assert lessor.time_to_live(1, now_s=14.6).ttl_s == 0, "whole seconds, rounded down"
    assert lessor.time_to_live(1, now_s=99).ttl_s == 0


def test_a_lease_that_is_due_cannot_be_kept_alive(lessor):
    lessor.grant(10, now_s=0, lease=1)
    assert lessor.keep_alive(1, now_s=9.9).ttl_s == 10
    assert lessor.next_expiry() == 19.9
    with pytest.raises(LeaseNotFoundError):
        lessor.keep_alive(1, now_s=19.9)
    assert lessor.next_due(19.9) == 1


def test_a_revoked_lease_is_gone_and_its_id_free(lessor):
    lessor.grant(10, now_s=0, lease=1)
    lessor.revoke(1)
    for call in (lessor.revoke, lambda lease: lessor.keep_alive(lease, now_s=0)):
        with pytest.raises(LeaseNotFoundError):
            call(1)
    assert lessor.time_to_live(1, now_s=0).ttl_s == -1
    assert lessor.next_due(10) is None
    lessor.grant(20, now_s=5, lease=1)
    assert lessor.next_due(10) is None, "the first grant's time does not end the second"
    assert lessor.next_due(25) == 1


def test_keys_are_named_in_order_and_only_while_they_hang_on_the_lease(lessor):
    for lease in (1, 2):
        lessor.grant(10, now_s=0, lease=lease)
    lessor.apply([wrote(b"c", 1), wrote(b"a", 1), wrote(b"b", 1), wrote(b"d", 1), wrote(b"e")])
    lessor.apply([wrote(b"b", 2), wrote(b"d"), deleted(b"e")])
    assert lessor.time_to_live(1, now_s=0, keys=True).keys == (b"a", b"c")
    assert lessor.time_to_live(2, now_s=0, keys=True).keys == (b"b",)
    lessor.apply([deleted(b"a")])
    assert lessor.revoke(1) == [b"c"]
    lessor._check()


def test_keys_of_a_snapshot_hang_on_their_lease_once_it_is_granted(lessor):
    lessor.restore([KeyValue(b"a", b"", 2, 2, 1, 9), KeyValue(b"b", b"", 3, 3, 1, 9), KeyValue(b"c", b"", 4, 4, 1)])
    assert 9 not in lessor
    lessor.apply([wrote(b"b")])  # taken off before the grant
    lessor.grant(10, now_s=0, lease=9)
    assert lessor.revoke(9) == [b"a"]


def test_leases_granted_and_revoked_for_ever_do_not_pile_up(lessor):
    for number in range(1, 2000):
        lessor.grant(10**6, now_s=0, lease=number)
        lessor.revoke(number)
    assert len(lessor._queue) < 200


LEASES = st.integers(1, 4)
STEPS = st.lists(
    st.tuples(st.sampled_from(["grant", "revoke", "keep", "wait"]), LEASES, st.integers(1, 9)), max_size=40
)


@given(STEPS)
def test_leases_come_due_as_a_naive_table_says(steps):
    lessor, table, now_s = Lessor(draw_id=lambda: 1), {}, 0
    for what, lease, number in steps:
        if what == "grant" and lease not in table:
            lessor.grant(number, now_s=now_s, lease=lease)
            table[lease] = [now_s + number, number]
        elif what == "revoke" and table.pop(lease, None):
            lessor.revoke(lease)
        elif what == "keep" and lease in table:
            lessor.keep_alive(lease, now_s=now_s)
            table[lease][0] = now_s + table[lease][1]
        elif what == "wait":
            now_s += number
            due = []
            while (found := lessor.next_due(now_s)) is not None:
                lessor.revoke(found)
                due.append(found)
            expected = sorted((ends, lease) for lease, (ends, _) in table.items() if ends <= now_s)
            assert [(table.pop(lease)[0], lease) for lease in due] == expected
        lessor._check()
        assert lessor.next_expiry() == min((ends for ends, _ in table.values()), default=float("inf"))
