"""What a handler has yet to be told: each change while it keeps up, merged by object beyond that; in the end always the truth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reflector import StoreChange, StoreChangeKind
from reflector._handler_queue import Batch, HandlerQueue
from watch import Object

ADDED, UPDATED, DELETED = StoreChangeKind.ADDED, StoreChangeKind.UPDATED, StoreChangeKind.DELETED


def version(key: str, revision: int) -> Object:
    return Object(key, revision, b"{}", name=key, uid=f"u{revision}")


def added(key: str, revision: int) -> StoreChange:
    return StoreChange(ADDED, key, None, version(key, revision))


def updated(key: str, old: int, new: int) -> StoreChange:
    return StoreChange(UPDATED, key, version(key, old), version(key, new))


def gone(key: str, revision: int, final: int | None = None) -> StoreChange:
    return StoreChange(DELETED, key, version(key, revision), None, None if final is None else version(key, final))


def batch(*changes: StoreChange, at: int = 0, is_initial: bool = False) -> Batch:
    return Batch(changes, at, float(at), is_initial)


def drained(queue: HandlerQueue) -> list[StoreChange]:
    found: list[StoreChange] = []
    while (taken := queue.take()) is not None:
        found += taken.changes
    return found


def overflowing(*changes: StoreChange) -> HandlerQueue:
    """A queue of one that is full, and has been put `changes` one by one since."""
    queue = HandlerQueue(1)
    queue.put(batch(added("full", 1)))
    for number, change in enumerate(changes):
        queue.put(batch(change, at=number))
    return queue


def test_what_fits_is_told_as_it_came_and_batches_are_shared_and_not_copied():
    """[9.5 TestRealFIFO_*] [9.5 TestDeltaFIFO_*]"""
    queue = HandlerQueue(10)
    one, two = batch(added("a", 1), updated("a", 1, 2)), batch(updated("a", 2, 3), gone("a", 3), added("a", 5))
    queue.put(one)
    queue.put(two)
    assert (len(queue), queue.peak, queue.oldest_s) == (5, 5, 0)
    assert queue.pending_keys() == {"a"}
    assert queue.take() is one
    assert queue.take() is two
    assert queue.take() is None
    assert (len(queue), queue.merged, queue.oldest_s) == (0, 0, None)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([updated("a", 1, 2), updated("a", 2, 3)], [updated("a", 1, 3)]),
        ([added("a", 1), updated("a", 1, 2)], [added("a", 2)]),
        ([added("a", 1), gone("a", 1, 2)], []),
        ([updated("a", 1, 2), gone("a", 2, 3)], [gone("a", 2, 3)]),
        ([gone("a", 1, 2), added("a", 3)], [gone("a", 1, 2), added("a", 3)]),
        ([gone("a", 1), added("a", 3), updated("a", 3, 4)], [gone("a", 1), added("a", 4)]),
        ([gone("a", 1, 2), added("a", 3), gone("a", 3, 4)], [gone("a", 1, 2)]),
        ([gone("a", 1, 2), added("a", 3), gone("a", 3, 4), added("a", 5)], [gone("a", 1, 2), added("a", 5)]),
    ],
)
def test_beyond_its_size_changes_of_one_object_are_merged(changes: list[StoreChange], told: list[StoreChange]):
    """[9.5 TestDeltaFIFO_ReplaceMakesDeletionsForObjectsOnlyInQueue] One deletion, whatever came before and after."""
    queue = overflowing(*changes, added("other", 9))
    assert len(queue) == 1 + len(told) + 1
    assert queue.merged == len(changes) - len(told)
    assert drained(queue) == [added("full", 1), *told, added("other", 9)]


def test_what_is_merged_is_one_batch_that_waits_since_its_first_change_and_ends_the_overflow():
    queue = overflowing(updated("a", 1, 2), updated("b", 1, 3), updated("a", 2, 4))
    assert queue.pending_keys() == {"full", "a", "b"}
    queue.take()
    assert queue.oldest_s == 0
    merged = queue.take()
    assert merged is not None
    assert (merged.revision, merged.at_s) == (2, 0)
    assert list(merged.changes) == [updated("a", 1, 4), updated("b", 1, 3)]
    queue.put(batch(updated("a", 4, 5)))
    queue.put(batch(updated("a", 5, 6)))
    assert drained(queue) == [updated("a", 4, 5), updated("a", 5, 6)]


def test_the_beginning_is_never_merged_however_much_it_is_and_nothing_is_no_batch():
    queue = HandlerQueue(1)
    queue.put(batch(*(added(f"k{number}", 1) for number in range(50)), is_initial=True))
    queue.put(batch())
    assert (len(queue), queue.peak) == (50, 50)
    empty = HandlerQueue(1)
    empty.put(batch(is_initial=True))
    assert empty.take() is not None, "who has nothing at first is synced by being told so"


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        HandlerQueue(0)


OPERATIONS = st.lists(st.one_of(st.sampled_from("abc"), st.just("take")), max_size=60)


@given(OPERATIONS, st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_whoever_is_told_ends_with_the_truth_by_steps_that_follow_and_memory_is_bounded(operations, size, random):
    """Against a handler that knows what it was told: each call follows from the ones before, and nothing is lost."""
    queue = HandlerQueue(size)
    store: dict[str, Object] = {}
    known: dict[str, Object] = {}

    def tell(taken: Batch | None) -> None:
        for change in taken.changes if taken is not None else ():
            if change.kind is ADDED:
                assert change.key not in known
            elif change.kind is UPDATED:
                assert known[change.key] == change.old
                assert change.new is not None
                assert change.new.uid == known[change.key].uid
            else:
                assert change.old is not None
                assert known.pop(change.key).uid == change.old.uid
            if change.new is not None:
                known[change.key] = change.new

    for revision, operation in enumerate(operations, 1):
        if operation == "take":
            tell(queue.take())
            continue
        held = store.get(operation)
        if held is None:
            store[operation] = version(operation, revision)
            queue.put(batch(added(operation, revision)))
        elif random.random() < 0.5:
            del store[operation]
            queue.put(batch(StoreChange(DELETED, operation, held, None)))
        else:
            store[operation] = Object(operation, revision, b"{}", name=operation, uid=held.uid)
            queue.put(batch(StoreChange(UPDATED, operation, held, store[operation])))
        assert len(queue) <= size + 2 * 3
    while (taken := queue.take()) is not None:
        tell(taken)
    assert known == store
