"""The two checks let every honest history pass and convict every broken one: lost, stale, doubled, reordered, swapped wrongly."""

from __future__ import annotations

import math
from random import Random

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.linearizable import (
    Act,
    Answer,
    Change,
    Operation,
    all_faults,
    faults_by_revision,
    faults_by_search,
)

A = b"a"


def put(client: str, at: tuple[float, float], value: bytes, answer: Answer | None = None) -> Operation:
    return Operation(client, Act.PUT, A, *at, value=value, answer=answer)


def read(client: str, at: tuple[float, float], answer: Answer) -> Operation:
    return Operation(client, Act.READ, A, *at, answer=answer)


def wrote(*values: bytes | None, key: bytes = A) -> list[Change]:
    """A history of one key, its first change at 2, as in an empty etcd."""
    return [Change(revision, key, value) for revision, value in enumerate(values, 2)]


FIRST = put("w", (0, 1), b"1", Answer(2, None))
SECOND = put("w", (2, 3), b"2", Answer(3, b"1", 2))


def test_an_honest_history_passes():
    ops = [FIRST, SECOND, read("r", (0, 1), Answer(1, None)), read("r", (2.5, 4), Answer(3, b"2", 3))]
    assert all_faults(ops, wrote(b"1", b"2")) == []


def test_overlapping_operations_may_come_in_either_order():
    late = read("r", (2.5, 4), Answer(2, b"1", 2))
    assert all_faults([FIRST, SECOND, late], wrote(b"1", b"2")) == []


BROKEN = {
    "lost: an acknowledged write is not there": (
        [FIRST, read("r", (2, 3), Answer(1, None))],
        [],
        True,
    ),
    "lost: an acknowledged write was replaced by another": ([FIRST], wrote(b"9"), False),
    "stale: a read after a write does not see it": (
        [FIRST, SECOND, read("r", (4, 5), Answer(2, b"1", 2))],
        wrote(b"1", b"2"),
        True,
    ),
    "stale: a read sees less than another read before it": (
        [
            FIRST,
            put("w", (2, 9), b"2", Answer(3, b"1", 2)),
            read("r", (3, 4), Answer(3, b"2", 3)),
            read("s", (5, 6), Answer(2, b"1", 2)),
        ],
        wrote(b"1", b"2"),
        True,
    ),
    "doubled: an acknowledged write happened twice": ([FIRST, SECOND], wrote(b"1", b"2", b"1"), False),
    "doubled: an acknowledged write happened again after another, and was seen": (
        [FIRST, SECOND, read("r", (4, 5), Answer(4, b"1", 4))],
        wrote(b"1", b"2", b"1"),
        True,
    ),
    "doubled: an unanswered write happened twice": ([put("w", (0, math.inf), b"1")], wrote(b"1", b"1"), False),
    "doubled: one unanswered deletion deleted twice": (
        [FIRST, Operation("w", Act.DELETE, A, 2), put("w", (3, 4), b"2", Answer(4, None))],
        wrote(b"1", None, b"2", None),
        False,
    ),
    "reordered: the later of two writes has the lower revision": (
        [put("w", (0, 1), b"1", Answer(3, b"2", 2)), put("w", (2, 3), b"2", Answer(2, None))],
        wrote(b"2", b"1"),
        True,
    ),
    "reordered: an unanswered write took effect before it was invoked": (
        [FIRST, put("v", (0, 1), b"5", Answer(4, b"9", 3)), put("w", (7, math.inf), b"9")],
        wrote(b"1", b"9", b"5"),
        True,
    ),
    "nobody wrote what is there": ([FIRST], wrote(b"1", b"x"), False),
    "a read finds what nobody wrote": ([FIRST, read("r", (2, 3), Answer(2, b"x", 2))], wrote(b"1"), True),
    "a swap that must fail succeeds": (
        [
            FIRST,
            Operation("s", Act.SWAP, A, 2, 3, value=b"3", expected=b"0", answer=Answer(3, b"1", 2, swapped=True)),
        ],
        wrote(b"1", b"3"),
        True,
    ),
    "a swap that must succeed fails": (
        [FIRST, Operation("s", Act.SWAP, A, 2, 3, value=b"3", expected=b"1", answer=Answer(2, b"1", 2))],
        wrote(b"1"),
        True,
    ),
    "two swaps of one value succeed": (
        [
            FIRST,
            *[
                Operation(
                    str(n), Act.SWAP, A, 2, 5, value=b"%d" % n, expected=b"1", answer=Answer(n, b"1", 2, swapped=True)
                )
                for n in (3, 4)
            ],
        ],
        wrote(b"1", b"3", b"4"),
        True,
    ),
    "a mod revision that is not that of the value": (
        [FIRST, SECOND, read("r", (4, 5), Answer(3, b"2", 2))],
        wrote(b"1", b"2"),
        False,
    ),
    "two acknowledgements of one revision": (
        [FIRST, put("v", (0, 1), b"1", Answer(2, None))],
        wrote(b"1"),
        True,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_history_is_convicted(what):
    """By revision always; by the search where the answers alone contradict each other."""
    operations, history, is_seen_without_history = BROKEN[what]
    assert faults_by_revision(operations, history)
    assert bool(faults_by_search(operations)) is is_seen_without_history


def test_a_fault_names_the_operation():
    operations, history, _ = BROKEN["stale: a read after a write does not see it"]
    assert "r: read b'a'" in faults_by_revision(operations, history)[0]
    assert "no order of the operations on b'a'" in faults_by_search(operations)[0]


def test_what_was_never_answered_may_have_happened_late_or_not_at_all():
    lost = put("w", (0, math.inf), b"1")
    for seen, history in ((Answer(1, None), []), (Answer(2, b"1", 2), wrote(b"1"))):
        assert all_faults([lost, read("r", (50, 51), seen)], history) == []


def test_an_unanswered_delete_explains_one_disappearance():
    gone = Operation("w", Act.DELETE, A, 2)
    after = read("r", (9, 10), Answer(3, None))
    assert all_faults([FIRST, gone, after], wrote(b"1", None)) == []
    assert faults_by_search([FIRST, after])


def test_a_search_that_outgrows_its_limit_says_so(monkeypatch):
    monkeypatch.setattr("tests.linearizable.STATES_MAX", 100)
    ops = [put(str(n), (0, 10), b"%d" % n, Answer(n, b"never", 1)) for n in range(2, 12)]
    ops += [put(str(n), (0, math.inf), b"%d" % n) for n in range(20, 40)]
    ops += [read("r", (11, 12), Answer(50, b"%d" % n, 3)) for n in range(20, 40)]
    with pytest.raises(RuntimeError, match="more keys"):
        faults_by_search(ops)


# --- any history --------------------------------------------------------------------------------------------------------


class Simulated(msgspec.Struct):
    """What a correct store answered to clients whose operations took effect at one moment between call and return."""

    operations: list[Operation]
    history: list[Change]


def simulate(random: Random, steps: int, *, lost_share: float = 0.15) -> Simulated:
    """Clients take turns at random; an operation is invoked, takes effect (or does not) and returns (or does not)."""
    world = Simulated([], [])
    state: dict[bytes, tuple[bytes, int]] = {}
    revision, now = 1, 0.0
    waiting: dict[str, Operation] = {}
    for number in range(steps):
        now += random.random()
        client = f"c{random.randrange(4)}"
        if client not in waiting:
            act = random.choice(list(Act))
            key = random.choice([b"a", b"b"])
            expected = random.choice([None, state[key][0] if key in state else None])
            value = b"%d" % number if act in (Act.PUT, Act.SWAP) else None
            waiting[client] = Operation(client, act, key, now, value=value, expected=expected)
            continue
        op = waiting.pop(client)
        found, found_revision = state.get(op.key, (None, 0))
        is_lost = random.random() < lost_share
        if is_lost and random.random() < 0.5:
            world.operations.append(op)
            continue
        swaps = op.act is Act.SWAP and found == op.expected
        if op.act is Act.PUT or swaps or (op.act is Act.DELETE and found is not None):
            revision += 1
            world.history.append(Change(revision, op.key, op.value))
            if op.value is None:
                del state[op.key]
            else:
                state[op.key] = (op.value, revision)
        answer = None if is_lost else Answer(revision, found, found_revision, swapped=swaps)
        returned_s = math.inf if is_lost else now + random.random() / 10
        world.operations.append(msgspec.structs.replace(op, answer=answer, returned_s=returned_s))
        now += 0.1
    return world


SEEDS = st.integers(0, 2**32)


@settings(max_examples=100)
@given(seed=SEEDS, steps=st.integers(0, 80))
def test_whatever_a_correct_store_answers_passes(seed, steps):
    world = simulate(Random(seed), steps)
    assert all_faults(world.operations, world.history) == []


@settings(max_examples=100)
@given(seed=SEEDS)
def test_a_read_of_what_was_overwritten_long_ago_is_found_by_both(seed):
    world = simulate(Random(seed), 60, lost_share=0)  # an unanswered operation could explain much
    puts = [op for op in world.operations if op.wrote and op.act is Act.PUT]
    assume(any(op.key == puts[0].key for op in puts[1:]))
    first = puts[0]
    assert first.answer is not None
    stale = Operation(
        "late", Act.READ, first.key, 1e6, 1e6 + 1, answer=Answer(10**6, first.value, first.answer.revision)
    )
    assert faults_by_revision([*world.operations, stale], world.history)
    assert faults_by_search([*world.operations, stale])


@settings(max_examples=100)
@given(seed=SEEDS, data=st.data())
def test_a_history_without_one_of_its_writes_is_found(seed, data):
    world = simulate(Random(seed), 60)
    acknowledged = {(op.answer.revision, op.key) for op in world.operations if op.wrote and op.answer is not None}
    there = [number for number, change in enumerate(world.history) if (change.revision, change.key) in acknowledged]
    assume(there)
    lost = data.draw(st.sampled_from(there))
    assert faults_by_revision(world.operations, world.history[:lost] + world.history[lost + 1 :])
