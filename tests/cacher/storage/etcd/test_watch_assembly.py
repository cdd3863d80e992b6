"""Assembly: whatever the cuts and the lost streams, each revision is told once, whole and in order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cacher.storage.etcd import EtcdEvent, EventKind, KeyValue, WatchResponse
from cacher.storage.etcd._watch_assembly import EVENTS_A_RESPONSE_MAX, Assembly, merged


def event(revision: int, number: int = 0) -> EtcdEvent:
    return EtcdEvent(EventKind.PUT, KeyValue(b"%d" % number, b"", revision, revision, 1))


def revisions(responses: list[WatchResponse]) -> list[list[int]]:
    return [[each.kv.mod_revision for each in response.events] for response in responses]


def test_a_revision_that_was_cut_is_told_when_its_last_part_is_there():
    assembly = Assembly(5)
    assembly.began(9)
    assert revisions(assembly.events([event(r) for r in (5, 5, 6, 6, 7)], more_follow=True)) == [[5, 5, 6, 6]]
    assert assembly.next_revision == 7
    assert revisions(assembly.events([event(r) for r in (7, 7, 8)], more_follow=True)) == [[7, 7, 7]]
    assert assembly.next_revision == 8
    assert assembly.progress(9) is None, "half a revision is held: nobody is that far"
    assert revisions(assembly.events([event(8)], more_follow=False)) == [[8, 8]]
    assert assembly.next_revision == 9
    assert assembly.progress(9) == WatchResponse((), 9)


def test_a_stream_that_is_lost_within_a_revision_begins_with_it_again():
    assembly = Assembly(0)
    assert assembly.next_revision == 0
    assembly.began(4)
    assert assembly.next_revision == 5
    assert revisions(assembly.events([event(5), event(6)], more_follow=True)) == [[5]]
    assembly.began(6)
    assert assembly.next_revision == 6
    assert revisions(assembly.events([event(6), event(6)], more_follow=False)) == [[6, 6]]


def test_progress_never_falls_and_never_comes_before_the_first_revision_wanted():
    future = Assembly(10)
    future.began(5)
    assert [future.progress(revision) for revision in (5, 9)] == [None, None]
    assert future.progress(10) == WatchResponse((), 10)
    now = Assembly(0)
    now.began(5)
    assert now.progress(5) == WatchResponse((), 5), "asked twice, it is said twice"
    assert now.progress(5) == WatchResponse((), 5)
    now.began(3)  # a server that is behind the one before
    assert now.progress(4) is None
    assert now.next_revision == 6


def test_a_large_response_is_cut_between_revisions():
    events = [event(r) for r in range(1, 12) for _ in range(300)]
    found = Assembly(1).events(events, more_follow=False)
    assert [len(response.events) for response in found] == [1200, 1200, 900]
    one = Assembly(1).events([event(1)] * 5000, more_follow=False)
    assert [len(response.events) for response in one] == [5000]


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 7), st.booleans(), st.booleans()), max_size=60),
)
def test_each_revision_is_told_once_whole_and_in_order(sizes, cuts):
    """`sizes`: events of each revision. `cuts`: fragments of a stream, and whether the stream is then lost."""
    store = [event(revision, number) for revision, size in enumerate(sizes, 1) for number in range(size)]
    assembly = Assembly(1)
    told: list[EtcdEvent] = []
    rest = list(store)
    for size, is_lost, asks in [*cuts, (len(store) + 1, False, False)]:
        part, rest = rest[:size], rest[size:]
        # etcd marks the last part of a response; one that ends within a revision is not the last.
        more = bool(rest) and (asks or rest[0].kv.mod_revision == part[-1].kv.mod_revision)
        for response in assembly.events(part, more_follow=more):
            assert response.revision == response.events[-1].kv.mod_revision
            told += response.events
        if is_lost:
            assembly.began(len(sizes))
            rest = [each for each in store if each.kv.mod_revision >= assembly.next_revision]
    assert told == store


@given(st.lists(st.integers(0, 700), max_size=12))
def test_merging_keeps_every_event_and_every_progress_in_order(sizes):
    """0: a progress notification."""
    responses = [
        WatchResponse(tuple(event(revision, number) for number in range(size)), revision)
        for revision, size in enumerate(sizes, 1)
    ]

    def spread(given: list[WatchResponse]) -> list[object]:
        return [part for response in given for part in (response.events or [response.revision])]

    found = merged(responses)
    assert spread(found) == spread(responses)
    assert all(len(response.events) <= EVENTS_A_RESPONSE_MAX for response in found)
    assert [response.revision for response in found] == sorted(response.revision for response in found)
    for one, other in pairwise(found):
        fits = len(one.events) + len(other.events) <= EVENTS_A_RESPONSE_MAX
        assert not (one.events and other.events and fits), "neighbours that fit together are one"
