"""The keys of a work queue, against a model that is a few lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reflector._queue_state import BOUNDS_S, QueueState

KEYS = st.sampled_from("abcdef")
PRIORITIES = st.integers(-2, 2)


class QueueMachine(RuleBasedStateMachine):
    """The model: `dirty` is a list of [key, priority] in the order of places, searched from end to end each time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = QueueState[str]("model")
        self.now = 0.0
        self.dirty: list[list] = []
        self.processing: set[str] = set()
        self.put_off: dict[str, int] = {}
        self.delayed: dict[str, tuple[float, int, int]] = {}  # ready_at, order of asking, priority
        self.asked = 0
        self.is_shut_down = False

    def model_add(self, key, priority):
        if self.is_shut_down:
            return
        for held in self.dirty:
            if held[0] == key:
                held[1] = max(held[1], priority)
                return
        if key in self.processing:
            self.put_off[key] = max(self.put_off.get(key, -99), priority)
        else:
            self.dirty.append([key, priority])

    @rule(key=KEYS, priority=PRIORITIES)
    def add(self, key, priority):
        self.state.add(key, priority, self.now)
        self.model_add(key, priority)

    @rule(key=KEYS, priority=PRIORITIES, delay=st.integers(1, 5))
    def add_at(self, key, priority, delay):
        at = self.now + delay
        self.state.add_at(key, at, priority)
        if not self.is_shut_down:
            self.asked += 1
            known = self.delayed.get(key)
            if known is None or at < known[0]:
                self.delayed[key] = (at, self.asked, max(priority, known[2] if known else -99))
            else:
                self.delayed[key] = (*known[:2], max(priority, known[2]))

    @rule(seconds=st.integers(0, 3))
    def time_passes(self, seconds):
        self.now += seconds
        self.state.promote(self.now)
        for key, (at, _, priority) in sorted(self.delayed.items(), key=lambda item: item[1][:2]):
            if at <= self.now:
                del self.delayed[key]
                self.model_add(key, priority)

    @precondition(lambda self: self.dirty)
    @rule()
    def take(self):
        best = max(self.dirty, key=lambda held: held[1])  # max: the first one of equals
        self.dirty.remove(best)
        assert self.state.take(self.now) == best[0]
        assert best[0] not in self.processing
        self.processing.add(best[0])

    @rule(key=KEYS)
    def done(self, key):
        if key not in self.processing:
            with pytest.raises(ValueError, match="with no worker"):
                self.state.done(key, self.now)
            return
        self.state.done(key, self.now)
        self.processing.remove(key)
        if key in self.put_off:
            self.dirty.append([key, self.put_off.pop(key)])

    @precondition(lambda self: self.now > 12)
    @rule()
    def shut_down(self):
        self.state.shut_down()
        self.is_shut_down = True
        self.delayed.clear()

    @invariant()
    def agrees(self):
        self.state._check()
        told = self.state.statistics(self.now)
        assert told.ready == self.state.ready == len(self.dirty)
        assert told.depth == len(self.dirty) + len(self.put_off)
        assert told.processing == len(self.processing)
        assert told.delayed == len(self.delayed)
        assert self.state.next_due() == min([at for at, _, _ in self.delayed.values()], default=math.inf)
        assert self.state.is_idle == (not self.dirty and not self.processing)


TestQueueState = QueueMachine.TestCase
TestQueueState.settings = settings(max_examples=60, stateful_step_count=60)


def drain(state: QueueState[str], now: float = 0.0) -> list[str]:
    return [state.take(now) for _ in range(state.ready)]


def test_higher_priorities_come_first_and_equals_in_the_order_of_adding():
    state = QueueState[str]()
    for key, priority in [("a", 0), ("b", 5), ("c", 0), ("d", -100), ("e", 5)]:
        state.add(key, priority, 0.0)
    assert drain(state) == ["b", "e", "a", "c", "d"]


def test_a_raised_key_keeps_its_place_among_those_who_have_its_new_priority():
    state = QueueState[str]()
    for key, priority in [("a", 5), ("b", 0), ("c", 5), ("b", 5), ("c", 1)]:  # a lower one changes nothing
        state.add(key, priority, 0.0)
    assert drain(state) == ["a", "b", "c"]


def test_delayed_keys_become_ready_in_the_order_of_their_times():
    state = QueueState[str]()
    for key, at in [("a", 3.0), ("b", 1.0), ("c", 2.0), ("a", 0.5), ("b", 9.0)]:
        state.add_at(key, at, 0)
    state.promote(2.5)
    assert drain(state, 2.5) == ["a", "b", "c"]
    assert state.next_due() == math.inf


@pytest.mark.parametrize("kind", ["raised", "hastened"])
def test_what_is_overtaken_again_and_again_takes_no_memory(kind):
    state = QueueState[str]()
    for number in range(10_000):
        if kind == "raised":
            state.add(f"key-{number % 10}", number, 0.0)
        else:
            state.add_at(f"key-{number % 10}", 20_000.0 - number, 0)
    assert len(state._line) + len(state._calendar) <= 100
    state._check()


def test_low_keys_that_are_never_reached_do_not_let_overtaken_entries_pile_up():
    state = QueueState[str]()
    state.add("low", -1, 0.0)
    for _ in range(1_000):
        state.add("hot", -1, 0.0)
        state.add("hot", 1, 0.0)
        assert state.take(0.0) == "hot"
        state.done("hot", 0.0)
    assert len(state._line) <= 100


def test_durations_are_counted_in_buckets_whose_bounds_belong_to_them():
    state = QueueState[str]()
    for number, waited_s in enumerate([0.0, 0.001, 0.002, 5000.0]):
        key = f"key-{number}"
        state.add(key, 0, 0.0)
        assert state.take(waited_s) == key
    told = state.statistics(5000.0).latency
    assert (told.count, told.longest_s) == (4, 5000.0)
    assert told.sum_s == pytest.approx(5000.003)
    filled = {i: count for i, count in enumerate(told.buckets) if count}
    bound = BOUNDS_S.index(0.001)
    assert filled == {0: 1, bound: 1, bound + 1: 1, len(BOUNDS_S): 1}
