"""Expectations on the virtual clock: who may act, and when again."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from reflector import Expectations, Expected, UidExpectations, WorkQueue


def run(async_fn):
    return trio.run(async_fn, clock=trio.testing.MockClock(autojump_threshold=0))


def test_who_never_expected_anything_may_act():
    async def main():
        expectations = Expectations()
        assert expectations.is_satisfied("a/web")
        assert expectations.expected("a/web") is None
        assert expectations.expires_in_s("a/web") == 0
        for change in (expectations.creation_observed, expectations.deletion_observed, expectations.raise_by):
            change("a/web")
        assert len(expectations) == 0

    run(main)


def test_creations_are_waited_for_until_the_last_is_observed():
    async def main():
        expectations = Expectations()
        expectations.expect_creations("a/web", 2)
        expectations.creation_observed("a/web")
        expectations.deletion_observed("a/web")  # another one, which nobody expected
        assert not expectations.is_satisfied("a/web")
        assert expectations.expected("a/web") == Expected(1, -1, 0.0)
        expectations.creation_observed("a/web")
        assert expectations.is_satisfied("a/web")

    run(main)


def test_deletions_are_waited_for_until_the_last_is_observed():
    async def main():
        expectations = Expectations()
        expectations.expect_deletions("a/web", 1)
        expectations.creation_observed("a/web")
        assert not expectations.is_satisfied("a/web")
        expectations.deletion_observed("a/web")
        assert expectations.is_satisfied("a/web")

    run(main)


def test_keys_know_nothing_of_each_other():
    async def main():
        expectations = Expectations()
        expectations.expect_creations("a/web", 1)
        expectations.expect_creations("b/web", 1)
        expectations.creation_observed("b/web")
        assert not expectations.is_satisfied("a/web")
        assert expectations.is_satisfied("b/web")

    run(main)


def test_setting_overwrites_and_raising_adds():
    async def main():
        expectations = Expectations()
        expectations.expect_deletions("k", 5)
        expectations.expect_creations("k", 2)
        assert expectations.expected("k") == Expected(2, 0, 0.0)
        expectations.raise_by("k", creations=3, deletions=1)
        expectations.lower_by("k", creations=1)
        assert expectations.expected("k") == Expected(4, 1, 0.0)
        expectations.lower_by("k", creations=4, deletions=1)
        assert expectations.is_satisfied("k")

    run(main)


def test_more_observed_than_expected_is_fulfilled_and_counts_against_what_is_raised_later():
    async def main():
        expectations = Expectations()
        expectations.expect_creations("k", 0)
        assert expectations.is_satisfied("k")
        expectations.creation_observed("k")  # the watch was quicker than the answer
        expectations.raise_by("k", creations=1)
        assert expectations.is_satisfied("k")

    run(main)


def test_after_five_minutes_nobody_is_held_back():
    async def main():
        expectations = Expectations()
        expectations.expect_creations("k", 2)
        await trio.sleep(200)
        expectations.creation_observed("k")
        expectations.raise_by("k", deletions=1)  # neither makes them younger
        assert expectations.expires_in_s("k") == 100
        await trio.sleep(99.9)
        assert not expectations.is_satisfied("k")
        await trio.sleep(0.1)
        assert expectations.is_satisfied("k")
        assert expectations.expires_in_s("k") == 0
        told = expectations.expected("k")
        assert told is not None
        assert (told.is_fulfilled, told.creations) == (False, 1)
        expectations.expect_creations("k", 2)  # anew
        assert not expectations.is_satisfied("k")

    run(main)


@given(st.floats(0, 1e6), st.floats(0.01, 1000))
def test_who_comes_back_when_they_expire_finds_them_expired(start_s, timeout_s):
    """Also where sums of floats fall short: otherwise a controller would ask again at the same instant, for ever."""

    async def main():
        await trio.sleep(start_s)
        expectations, queue = Expectations(timeout_s=timeout_s), WorkQueue[str]()
        expectations.expect_creations("k", 1)
        for _ in range(2):
            queue.add_after("k", expectations.expires_in_s("k"))
            async with queue.item() as key:
                if expectations.is_satisfied(key):
                    return
        assert expectations.is_satisfied("k")

    run(main)


def test_what_is_forgotten_holds_nobody_back_and_takes_no_memory():
    async def main():
        expectations = Expectations()
        expectations.expect_creations("k", 1)
        expectations.forget("k")
        expectations.forget("k")
        assert expectations.is_satisfied("k")
        assert len(expectations) == 0
        by_uid = UidExpectations()
        by_uid.expect_deletions("k", ["u1"])
        by_uid.forget("k")
        by_uid.deletion_observed("k", "u1")
        assert by_uid.is_satisfied("k")
        assert (len(by_uid), by_uid.unseen_deletions("k")) == (0, frozenset())

    run(main)


def test_with_uids_each_deletion_counts_once_and_only_if_it_was_expected():
    async def main():
        expectations = UidExpectations()
        expectations.expect_deletions("k", ["u1", "u2", "u1"])
        for observed in ("u1", "u1", "somebody else's"):
            expectations.deletion_observed("k", observed)
        assert not expectations.is_satisfied("k")
        assert expectations.unseen_deletions("k") == {"u2"}
        expectations.deletion_observed("k", "u2")
        assert expectations.is_satisfied("k")
        expectations.deletion_observed("k", "u2")
        assert expectations.expected("k") == Expected(0, 0, 0.0)
        assert len(expectations) == 1

    run(main)


def test_with_uids_creations_are_counted_and_drop_the_deletions_that_were_waited_for():
    async def main():
        expectations = UidExpectations(timeout_s=60)
        expectations.expect_deletions("k", ["u1"])
        expectations.expect_creations("k", 1)
        expectations.deletion_observed("k", "u1")
        assert expectations.expected("k") == Expected(1, 0, 0.0)
        assert expectations.expires_in_s("k") == 60
        expectations.creation_observed("k")
        assert expectations.is_satisfied("k")

    run(main)


def test_what_cannot_be_meant_is_refused():
    async def main():
        with pytest.raises(ValueError, match="choose 0 or more"):
            Expectations().expect_creations("k", -1)
        with pytest.raises(ValueError, match="choose 0 or more"):
            Expectations().expect_deletions("k", -1)
        with pytest.raises(ValueError, match="more than 0"):
            Expectations(timeout_s=0)
        with pytest.raises(TypeError, match="collection of ids"):
            UidExpectations().expect_deletions("k", "u1")

    run(main)
