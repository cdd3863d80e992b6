"""When each watch is due a bookmark: the seconds, the deadlines, the order, the structure."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from watch import BookmarkSchedule
from watch._bookmarks import BOOKMARK_PERIOD_S, DEADLINE_MARGIN_S, TICK_S, bookmark_tick_delay_s


def test_watches_with_deadlines_get_their_bookmark_two_seconds_before_and_no_other():
    """[9.3 TestTimeBucketWatchersBasic] Goal: the example of Kubernetes' own test.

    Deadlines at 10, 20 and 20 s, asked at 0, 10, 10 and 22 s.
    """
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    for item, deadline in (("a", 10.0), ("b", 20.0), ("c", 20.0)):
        assert schedule.add(item, 0.0, deadline)
    assert len(schedule._buckets) == 2
    assert schedule.pop_due(0.0) == []
    assert schedule.pop_due(10.0) == ["a"]
    assert schedule.pop_due(10.0) == []
    assert schedule.pop_due(22.0) == ["b", "c"]
    assert len(schedule) == 0


def test_a_watch_without_a_deadline_is_due_every_minute():
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("a", 0.25, None)
    due = [tick for tick in range(200) if schedule.pop_due(float(tick))]
    assert due == [60, 120, 180]


def test_a_watch_with_a_far_deadline_is_due_every_minute_and_before_it():
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("a", 0.0, 150.5)
    assert [tick for tick in range(200) if schedule.pop_due(float(tick))] == [60, 120, 148]
    assert "a" not in schedule


@pytest.mark.parametrize(("deadline", "scheduled"), [(12.0, True), (11.999, False), (9.0, False), (math.inf, True)])
def test_a_watch_whose_last_turn_is_past_gets_none(deadline, scheduled):
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    assert schedule.add("a", 10.0, deadline) is scheduled
    assert ("a" in schedule) is scheduled
    assert schedule.pop_due(71.0) == (["a"] if scheduled else [])


def test_a_turn_taken_early_in_its_second_is_not_taken_again():
    """Goal: due at 8.7 s, asked at 8.0 s: that was the last bookmark before the deadline; the next tick brings none."""
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("a", 0.0, 10.7)
    assert schedule.pop_due(7.99) == []
    assert schedule.pop_due(8.0) == ["a"]
    assert schedule.pop_due(9.0) == []


def test_a_watch_that_waits_for_its_first_bookmark_is_due_at_every_tick_until_it_is_added_again():
    """[9.3 TestBookmarkAfterResourceVersionWatchers]"""
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("later", 0.0, None)
    schedule.add("waiting", 0.0, None, immediate=True)
    assert schedule.pop_due(0.0) == ["waiting"]
    assert schedule.pop_due(1.0) == ["waiting"]
    assert schedule.pop_due(60.0) == ["waiting", "later"]
    schedule.add("waiting", 60.0, None)
    assert schedule.pop_due(61.0) == []
    assert schedule.pop_due(120.0) == ["later", "waiting"]


def test_those_due_come_by_second_and_then_as_they_were_added():
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("third", 2.0, None)
    schedule.add("first", 1.9, None)
    schedule.add("second", 1.0, None)
    assert schedule.pop_due(62.0) == ["first", "second", "third"]


def test_a_watch_added_again_moves_and_one_removed_is_forgotten():
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("a", 0.0, None)
    schedule.add("a", 5.0, None)
    assert schedule.pop_due(64.0) == []
    assert schedule.pop_due(65.0) == ["a"]
    schedule.remove("a")
    schedule.remove("a")
    assert schedule.pop_due(1000.0) == []
    assert schedule._buckets == {}
    assert not schedule.add("b", 10.0, 5.0)


def test_an_added_watch_whose_time_is_past_is_no_longer_scheduled_at_its_old_time():
    schedule: BookmarkSchedule[str] = BookmarkSchedule()
    schedule.add("a", 0.0, None)
    assert not schedule.add("a", 1.0, 2.0)
    assert schedule.pop_due(60.0) == []


def test_a_tick_lasts_a_second_to_a_second_and_a_quarter():
    assert (bookmark_tick_delay_s(0.0), bookmark_tick_delay_s(0.5), bookmark_tick_delay_s(1.0)) == (1.0, 1.125, 1.25)


ITEMS = st.integers(0, 7)


def second_of(time_s: float | None) -> float:
    return -math.inf if time_s is None else math.floor(time_s / TICK_S)


class ScheduleAgainstAList(RuleBasedStateMachine):
    """The schedule and a plain list of turns are told the same and must name the same watches."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: BookmarkSchedule[int] = BookmarkSchedule()
        self.turns: list[tuple[int, float | None, float | None]] = []  # item, due (None: at every tick), deadline
        self.now = 0.0

    def add_to_list(self, item: int, deadline: float | None, *, immediate: bool = False) -> None:
        self.turns = [turn for turn in self.turns if turn[0] != item]
        due = min(self.now + BOOKMARK_PERIOD_S, math.inf if deadline is None else deadline - DEADLINE_MARGIN_S)
        if immediate or due >= self.now:
            self.turns.append((item, None if immediate else due, deadline))

    @rule(item=ITEMS, seconds=st.none() | st.floats(-5, 200), immediate=st.booleans())
    def add(self, item: int, seconds: float | None, immediate: bool) -> None:
        deadline = None if seconds is None else self.now + seconds
        scheduled = self.schedule.add(item, self.now, deadline, immediate=immediate)
        self.add_to_list(item, deadline, immediate=immediate)
        assert scheduled is any(turn[0] == item for turn in self.turns)

    @rule(item=ITEMS)
    def remove(self, item: int) -> None:
        self.schedule.remove(item)
        self.turns = [turn for turn in self.turns if turn[0] != item]

    @precondition(lambda self: self.now < 1e6)
    @rule(seconds=st.floats(0, 3) | st.floats(0, 100))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        second = second_of(self.now)
        immediate = [item for item, due_s, _ in self.turns if due_s is None]
        turns = [(second_of(due_s), item, deadline) for item, due_s, deadline in self.turns if due_s is not None]
        due = sorted(
            (turn for turn in turns if turn[0] <= second), key=lambda turn: turn[0]
        )  # stable: as they were added
        assert self.schedule.pop_due(self.now) == immediate + [item for _, item, _ in due]
        for _, item, deadline in due:
            self.add_to_list(item, deadline)
            self.turns = [turn for turn in self.turns if turn[0] != item or second_of(turn[1]) > second]

    @invariant()
    def agrees(self) -> None:
        self.schedule._check()
        assert len(self.schedule) == len(self.turns)
        assert all(turn[0] in self.schedule for turn in self.turns)


TestScheduleAgainstAList = ScheduleAgainstAList.TestCase
