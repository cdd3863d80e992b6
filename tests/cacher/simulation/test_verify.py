from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import asynccontextmanager
from random import Random

import msgspec
import pytest
import trio

from cacher import Cluster, open_cluster
from cacher.simulation._comparison import (
    Comparison,
    EventComparison,
    Findings,
    StreamResult,
    compare_initial,
    first_difference,
    shape,
)
from cacher.simulation._player import Player, Timetable
from cacher.simulation._recording import load_recordings
from cacher.simulation._trace import Trace, find_trace, load_trace
from cacher.simulation._verify import verify, verify_stream
from tests.cacher.simulation.trace_files import RecordingFiles, TraceFiles, delivered, pod, pod_key
from watch import Event, EventType, Expired, NotReady, Object, TooLargeResourceVersion

WEB = {"labels": {"app": "web"}}


def labelled(name: str, app: str, **members):
    value = pod(name, **members)
    value["metadata"]["labels"] = {"app": app}
    return value


def small_story(*, seconds_more: int = 0) -> TraceFiles:
    """old is there; new comes, becomes web, ceases to be; old goes."""
    files = TraceFiles()
    files.begins_with(pod_key("old"), labelled("old", "web"))
    files.put(pod_key("new"), labelled("new", "db"))
    files.put(pod_key("new"), labelled("new", "web"))
    files.put("/registry/configmaps/default/c", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}})
    files.put(pod_key("new"), labelled("new", "db", step=2))
    files.delete(pod_key("old"))
    for _ in range(seconds_more):
        files.elsewhere()
    return files


def all_pods() -> RecordingFiles:
    """What a client of all pods gets of the small story."""
    files = RecordingFiles()
    files.shows(labelled("old", "web"), 50)
    files.event("ADDED", labelled("new", "db"), 101)
    files.event("MODIFIED", labelled("new", "web"), 102)
    files.bookmark(103)
    files.event("MODIFIED", labelled("new", "db", step=2), 104)
    files.event("DELETED", labelled("old", "web"), 105)
    return files


def web_pods() -> RecordingFiles:
    """The same for app=web: an object enters as ADDED, and leaves as DELETED with what it was and the revision of leaving."""
    files = RecordingFiles(query="labelSelector=app%3Dweb")
    files.shows(labelled("old", "web"), 50)
    files.event("ADDED", labelled("new", "web"), 102)
    files.event("DELETED", labelled("new", "web"), 104)
    files.event("DELETED", labelled("old", "web"), 105)
    return files


async def verify_while_playing(trace: Trace, *, speed: float = 1.0) -> Comparison:
    recordings = load_recordings(trace.prefix)
    comparisons = []
    async with open_cluster(snapshot=trace.snapshot, random=Random(1)) as cluster:
        timetable = Timetable(trio.current_time(), speed)
        player = Player(trace, cluster.etcd, timetable)

        async def compare():
            comparisons.append(await verify(recordings, trace, cluster, timetable, player.finished))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(compare)
            await player.run()
    return comparisons[0]


def lines(run_trio, tmp_path, *recordings: RecordingFiles, story: TraceFiles | None = None, **options) -> list[str]:
    """What the comparison of these recordings with our own cluster says."""
    prefix = (story or small_story()).write(tmp_path)
    for number, recording in enumerate(recordings):
        recording.write(tmp_path, f"r{number}")

    async def main():
        return await verify_while_playing(load_trace(prefix), **options)

    comparison: Comparison = run_trio(main)
    return comparison.lines()


def equal_stream(events: int, name: str = "r0") -> list[str]:
    return [f"{name}: {events} of {events} events equal", f"1 streams, {events} events, 0 differences"]


# --- with a real cluster --------------------------------------------------------------------------------------------


def test_equal_streams_are_told_in_a_line_each_and_summed_in_the_last(tmp_path, run_trio):
    assert lines(run_trio, tmp_path, all_pods(), web_pods()) == [
        "r0: 4 of 4 events equal",
        "r1: 3 of 3 events equal",
        "2 streams, 7 events, 0 differences",
    ]


@pytest.mark.parametrize(("query", "path", "kinds"), [
    ("fieldSelector=metadata.name%3Dnew", "/api/v1/pods", [("ADDED", 101), ("MODIFIED", 102), ("MODIFIED", 104)]),
    ("", "/api/v1/namespaces/default/pods/new", [("ADDED", 101), ("MODIFIED", 102), ("MODIFIED", 104)]),
    ("labelSelector=app%20in%20(db)", "/api/v1/namespaces/default/pods", [("ADDED", 101), ("DELETED", 102), ("ADDED", 104)]),
    ("", "/api/v1/namespaces/elsewhere/pods", []),
])  # fmt: skip
def test_the_recorded_url_decides_what_is_watched(tmp_path, run_trio, query, path, kinds):
    values = {101: labelled("new", "db"), 102: labelled("new", "web"), 104: labelled("new", "db", step=2)}
    files = RecordingFiles(path, query=query)
    for kind, revision in kinds:
        value = values[101] if (kind, revision) == ("DELETED", 102) else values[revision]
        files.event(kind, value, revision)
    assert lines(run_trio, tmp_path, files)[-1] == f"1 streams, {len(kinds)} events, 0 differences"


def test_a_streamed_state_is_compared_as_the_initial_state(tmp_path, run_trio):
    files = all_pods()
    files.listed_t = None
    assert lines(run_trio, tmp_path, files) == equal_stream(4)


def test_a_watch_opened_late_gets_what_it_missed(tmp_path, run_trio):
    files = all_pods()
    files.opened_t = 4.5
    assert lines(run_trio, tmp_path, files) == equal_stream(4)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_recorded_in_the_middle_sees_the_state_of_its_own_revision(tmp_path, run_trio, streamed):
    """Recorded times are rough: at the recorded time our store may be behind the recorded list, or ahead of it."""
    for listed_t in (0.0, 1.5, 2.5, 3.5, 4.5, 5.5):
        files = RecordingFiles(revision=102)
        files.listed_t = None if streamed else listed_t
        files.opened_t = listed_t
        for name, app, revision in (("new", "web", 102), ("old", "web", 50)):
            files.shows(labelled(name, app), revision)
        files.event("MODIFIED", labelled("new", "db", step=2), 104)
        files.event("DELETED", labelled("old", "web"), 105)
        assert lines(run_trio, tmp_path, files) == equal_stream(2)


def test_any_pace_gives_the_same_comparison(tmp_path, run_trio):
    streamed = all_pods()
    streamed.listed_t = None
    found = lines(run_trio, tmp_path, all_pods(), streamed, speed=1000.0)
    assert found[-1] == "2 streams, 8 events, 0 differences"


def test_what_came_after_the_recording_stopped_is_no_difference(tmp_path, run_trio):
    files = all_pods()
    files.rows = files.rows[:2]
    files.stopped_t = 3.9
    assert lines(run_trio, tmp_path, files) == equal_stream(2)
    files.stopped_t = 4.1
    assert lines(run_trio, tmp_path, files) == [
        "r0: 2 of 2 events equal",
        "  before event 2: MODIFIED default/new at 104: came here and is not recorded",
        "1 streams, 2 events, 1 differences",
    ]


def test_a_resource_whose_last_write_is_long_past_is_drained_too_and_its_bookmarks_are_not_compared(tmp_path, run_trio):
    story = small_story(seconds_more=200)
    assert lines(run_trio, tmp_path, all_pods(), story=story) == equal_stream(4)


def spoiled(change) -> RecordingFiles:
    files = all_pods()
    change(files)
    return files


def set_in(files: RecordingFiles, row: int, value: object, *path: str) -> None:
    at = files.rows[row]["event"]["object"]
    for member in path[:-1]:
        at = at[member]
    at[path[-1]] = value


@pytest.mark.parametrize(("change", "equal", "difference"), [
    (lambda f: f.rows[0]["event"].update(type="MODIFIED"), "3 of 4", "event 0: MODIFIED default/new at 101: came as ADDED"),
    (lambda f: set_in(f, 1, "db", "metadata", "labels", "app"), "3 of 4",
     'event 1: MODIFIED default/new at 102: .metadata.labels.app: expected "db", got "web"'),
    (lambda f: set_in(f, 3, {"a": 1}, "status"), "3 of 4",
     'event 2: MODIFIED default/new at 104: .status: expected {"a":1}, got nothing'),
    (lambda f: set_in(f, 3, "apps/v1", "apiVersion"), "3 of 4",
     'event 2: MODIFIED default/new at 104: .apiVersion: expected "apps/v1", got "v1"'),
    (lambda f: f.rows.pop(1), "3 of 3",
     "before event 1: MODIFIED default/new at 102: came here and is not recorded"),
    (lambda f: f.event("ADDED", pod("more"), 106), "4 of 5", "event 4: ADDED default/more at 106: did not come"),
    (lambda f: set_in(f, 0, "100", "metadata", "resourceVersion"), "3 of 4", "event 0: ADDED default/new at 100: did not come"),
    (lambda f: f.initial.clear(), "4 of 4", "initial state: default/old: came here and is not recorded"),
    (lambda f: f.shows(pod("older"), 40), "4 of 4", "initial state: default/older: is not in it"),
    (lambda f: f.initial[0].update(extra=1), "4 of 4", "initial state: default/old: .extra: expected 1, got nothing"),
    (lambda f: f.initial[0]["metadata"].update(resourceVersion="51"), "4 of 4",
     'initial state: default/old: .metadata.resourceVersion: expected "51", got "50"'),
])  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_each_kind_of_difference_is_found_and_told_in_brief(tmp_path, run_trio, change, equal, difference, streamed):
    files = spoiled(change)
    files.listed_t = None if streamed else 0.1
    found = lines(run_trio, tmp_path, files)
    assert found[0].startswith(f"r0: {equal} events equal")
    assert f"  {difference}" in found
    assert not found[-1].endswith(" 0 differences")


def test_many_differences_are_counted_and_the_first_few_are_shown(tmp_path, run_trio):
    files = all_pods()
    for revision in range(200, 220):
        files.event("ADDED", pod(f"p{revision}"), revision)
    found = lines(run_trio, tmp_path, files)
    assert found[0] == "r0: 4 of 24 events equal"
    assert found[1] == "  event 4: ADDED default/p200 at 200: did not come"
    assert found[6:] == ["  and 15 more", "1 streams, 24 events, 20 differences"]


def test_a_recording_refused_for_history_before_the_snapshot_is_not_comparable(tmp_path, run_trio):
    files = all_pods()
    files.rows.clear()
    files.opened_t = 4.5
    files.error()
    found = lines(run_trio, tmp_path, files)
    assert found == [
        "r0: not comparable (recorded was 410: too old resource version: 100 (128), for history from before the snapshot;"
        " served here, 4 events)",
        "1 streams, 0 events, 0 differences",
    ]


def test_the_list_of_a_recording_that_is_not_comparable_is_compared_all_the_same(tmp_path, run_trio):
    files = RecordingFiles()
    files.error()
    found = lines(run_trio, tmp_path, files)
    assert found[0].startswith("r0: not comparable (")
    assert found[1:] == [
        "  initial state: default/old: came here and is not recorded",
        "1 streams, 0 events, 1 differences",
    ]


def test_a_recording_refused_later_on_is_compared_up_to_there(tmp_path, run_trio):
    files = all_pods()
    del files.rows[1:]
    files.error()
    assert lines(run_trio, tmp_path, files) == equal_stream(1)


def test_a_recording_refused_for_another_reason_is_a_difference_where_we_serve(tmp_path, run_trio):
    files = all_pods()
    files.rows.clear()
    files.error(500, "etcdserver: request timed out")
    assert "  recorded was a refusal (etcdserver: request timed out), here the watch was served" in lines(
        run_trio, tmp_path, files
    )


def test_a_refusal_for_history_that_the_trace_has_is_a_difference_where_we_serve(tmp_path, run_trio):
    files = RecordingFiles(revision=102)
    files.shows(labelled("new", "web"), 102)
    files.shows(labelled("old", "web"), 50)
    files.error()
    found = lines(run_trio, tmp_path, files)
    assert found[0] == "r0: 0 of 0 events equal"
    assert found[1].startswith("  recorded was a refusal")


def test_the_order_of_the_initial_state_counts(tmp_path, run_trio):
    files = RecordingFiles(revision=102, query="labelSelector=app%3Dweb")
    files.shows(labelled("old", "web"), 50)
    files.shows(labelled("new", "web"), 102)
    files.event("DELETED", labelled("new", "web"), 104)
    files.event("DELETED", labelled("old", "web"), 105)
    assert lines(run_trio, tmp_path, files) == [
        "r0: 2 of 2 events equal",
        "  initial state: in another order than recorded",
        "1 streams, 2 events, 1 differences",
    ]


@pytest.mark.slow
def test_the_shipped_recordings_equal_what_our_own_watches_deliver(run_trio):
    """Event for event, against a real watch cache. The whole path is under test."""

    async def main():
        return await verify_while_playing(load_trace(find_trace("rollout")))

    comparison = run_trio(main)
    assert comparison.lines()[-1] == "11 streams, 16620 events, 0 differences"
    assert [stream.name for stream in comparison.streams if stream.not_comparable] == ["pods-late150"]
    assert all(stream.events_equal == stream.events for stream in comparison.streams)


# --- a cluster that misbehaves --------------------------------------------------------------------------------------


class Faulty:
    """A cluster whose pods differ from the real one's where a test says so."""

    def __init__(self, cluster: Cluster, **faults) -> None:
        self.etcd = cluster.etcd
        self._cluster = cluster
        self._faults = faults

    def resource(self, version, plural):
        return FaultyResource(self._cluster.resource(version, plural), **self._faults)


class FaultyResource:
    def __init__(
        self, resource, *, on_open=None, on_batch=None, on_list=None, on_wait=None, stuck_at=None, withheld=1000
    ) -> None:
        self._resource = resource
        self._withheld = withheld
        self._on_wait = on_wait
        self._on_open, self._on_batch, self._on_list, self._stuck_at = on_open, on_batch, on_list, stuck_at

    def __getattr__(self, name):
        return getattr(self._resource, name)

    async def wait_until_fresh(self, revision):
        if self._on_wait is not None:
            self._on_wait()
        if self._stuck_at is not None and self._stuck_at < revision:
            raise TooLargeResourceVersion(revision, self._stuck_at)
        await self._resource.wait_until_fresh(revision)

    async def list(self, **options):
        if self._on_list is not None:
            self._on_list()
        return await self._resource.list(**options)

    @asynccontextmanager
    async def watch(self, **options):
        if self._on_open is not None:
            raise self._on_open
        async with self._resource.watch(**options) as watch:
            yield FaultyWatch(watch, self._on_batch or (lambda batch: batch), self._withheld)


class FaultyWatch:
    """Changes batches as told; events from `withheld` on come only to the second who looks without waiting."""

    def __init__(self, watch, on_batch, withheld) -> None:
        self._watch = watch
        self._on_batch = on_batch
        self._withheld = withheld
        self._kept: list[Event] = []
        self._looks = 0

    async def receive_batch(self):
        batch = self._on_batch(await self._watch.receive_batch())
        self._kept += [event for event in batch if event.revision >= self._withheld]
        return tuple(event for event in batch if event.revision < self._withheld)

    def receive_batch_nowait(self):
        self._looks += 1
        if self._looks == 2 and self._kept:
            return tuple(self._kept)
        return self._on_batch(self._watch.receive_batch_nowait())


def lines_of_faulty(
    run_trio, tmp_path, recording: RecordingFiles, story: TraceFiles | None = None, **faults
) -> list[str]:
    trace = load_trace((story or small_story()).write(tmp_path))
    recording.write(tmp_path, "pods")
    (loaded,) = load_recordings(trace.prefix)
    results = []

    async def main():
        async with open_cluster(snapshot=trace.snapshot, random=Random(1)) as cluster:
            timetable = Timetable(trio.current_time())
            player = Player(trace, cluster.etcd, timetable)

            async def compare():
                results.append(
                    await verify_stream(loaded, trace, Faulty(cluster, **faults), timetable, player.finished)
                )

            async with trio.open_nursery() as nursery:
                nursery.start_soon(compare)
                await player.run()

    run_trio(main)
    return Comparison(tuple(results)).lines()


def raising(error, *, at_revision):
    def on_batch(batch):
        if any(event.revision >= at_revision for event in batch):
            raise error
        return batch

    return on_batch


def test_a_watch_that_is_refused_here_has_lost_all_its_events(tmp_path, run_trio):
    found = lines_of_faulty(run_trio, tmp_path, all_pods(), on_open=Expired(100, 103))
    assert found[0] == "pods: 0 of 4 events equal"
    assert found[1].startswith("  Expired: too old resource version: 100 (103)")
    assert found[-1] == "1 streams, 4 events, 5 differences"


def test_a_refusal_on_both_sides_is_not_comparable_either(tmp_path, run_trio):
    files = all_pods()
    files.rows.clear()
    files.error()
    found = lines_of_faulty(run_trio, tmp_path, files, on_open=Expired(100, 103))
    assert "; refused here too: Expired: too old resource version: 100 (103)" in found[0]
    assert found[-1] == "1 streams, 0 events, 0 differences"


@pytest.mark.parametrize(("error", "words"), [
    (Expired(104, 105), "  the watch expired: too old resource version: 104 (105)"),
    (trio.EndOfChannel(), "  the watch was ended by the cache"),
])  # fmt: skip
def test_a_watch_that_ends_by_itself_is_a_difference(tmp_path, run_trio, error, words):
    found = lines_of_faulty(run_trio, tmp_path, all_pods(), on_batch=raising(error, at_revision=104))
    assert found[0] == "pods: 2 of 4 events equal"
    assert found[1].startswith(words)
    assert found[-1] == "1 streams, 4 events, 3 differences"


def test_an_event_that_comes_twice_is_a_difference(tmp_path, run_trio):
    def twice(batch):
        return tuple(event for event in batch for _ in range(2 if event.revision == 102 else 1))

    assert lines_of_faulty(run_trio, tmp_path, all_pods(), on_batch=twice) == [
        "pods: 4 of 4 events equal",
        "  before event 2: MODIFIED default/new at 102: came here and is not recorded",
        "1 streams, 4 events, 1 differences",
    ]


def test_a_lost_event_is_one_difference_and_not_as_many_as_follow(tmp_path, run_trio):
    def lose(batch):
        return tuple(event for event in batch if event.revision != 101)

    assert lines_of_faulty(run_trio, tmp_path, all_pods(), on_batch=lose) == [
        "pods: 3 of 4 events equal",
        "  event 0: ADDED default/new at 101: did not come",
        "1 streams, 4 events, 1 differences",
    ]


def test_an_event_whose_object_bears_another_revision_is_a_difference(tmp_path, run_trio):
    """A DELETED event must carry its last version under the revision of the deletion."""

    def stale(batch):
        return tuple(
            msgspec.structs.replace(event, object=event.object.at_revision(50)) if event.type == "DELETED" else event
            for event in batch
        )

    found = lines_of_faulty(run_trio, tmp_path, all_pods(), on_batch=stale)
    assert found[1] == "  event 3: DELETED default/old at 105: the event says revision 105 and its object 50"


def test_a_cache_that_is_not_ready_for_a_moment_is_asked_again_while_draining(tmp_path, run_trio):
    answers = iter([NotReady("a new list is needed", retry_after_s=0), TooLargeResourceVersion(110, 105), None])
    given = []

    def on_wait():
        given.append(next(answers, None))
        if given[-1] is not None:
            raise given[-1]

    # The last writes are outside, so that only who waits for them makes the cache of pods learn of them.
    found = lines_of_faulty(run_trio, tmp_path, all_pods(), story=small_story(seconds_more=5), on_wait=on_wait)
    assert found == ["pods: 4 of 4 events equal", "1 streams, 4 events, 0 differences"]
    assert len(given) >= 3


def test_what_is_delivered_a_moment_late_is_waited_for(tmp_path, run_trio):
    assert lines_of_faulty(run_trio, tmp_path, all_pods(), withheld=105) == equal_stream(4, "pods")


def test_a_cache_that_never_gets_to_the_end_is_given_up(tmp_path, run_trio):
    found = lines_of_faulty(run_trio, tmp_path, all_pods(), stuck_at=104)
    assert found[1] == "  the cache did not reach revision 105 within 60 s"


# --- the comparison alone -------------------------------------------------------------------------------------------


class PodKind:
    kind = "Pod"
    group_version = "v1"


def event(revision: int, kind: EventType = EventType.ADDED, name: str = "") -> Event:
    name = name or f"p{revision}"
    return Event(kind, Object(pod_key(name), revision, json.dumps(pod(name)).encode(), name, "default"), revision)


def compare(expected: Sequence[int], got: Sequence[Event], *, last_revision: int = 1000) -> tuple[int, list[str]]:
    found = Findings()
    comparing = EventComparison(got, PodKind(), found, last_revision=last_revision)
    for revision in expected:
        comparing.expect("ADDED", delivered(pod(f"p{revision}"), revision))
    return comparing.finish(), found.examples


def test_events_in_another_order_are_missing_in_one_place_and_too_many_in_another():
    assert compare([1, 2, 3, 4], [event(1), event(3), event(2), event(4)]) == (
        3,
        [
            "event 1: ADDED default/p2 at 2: did not come",
            "before event 3: ADDED default/p2 at 2: came here and is not recorded",
        ],
    )


def test_events_of_one_revision_are_compared_in_their_order():
    """The end of a lease deletes many keys at one revision."""
    names = ["a", "b", "c"]
    for ours, equal in ((names, 3), (["b", "a", "c"], 1)):
        found = Findings()
        got = [event(7, EventType.DELETED, name) for name in ours]
        comparing = EventComparison(got, PodKind(), found, last_revision=7)
        for name in names:
            comparing.expect("DELETED", delivered(pod(name), 7))
        assert (comparing.finish(), found.count) == (equal, 3 - equal)


def test_additional_events_count_up_to_the_end_of_the_recording():
    got = [event(revision) for revision in (1, 2, 3, 4)]
    assert compare([1], got, last_revision=2) == (
        1,
        ["before event 1: ADDED default/p2 at 2: came here and is not recorded"],
    )
    assert compare([1], got, last_revision=1) == (1, [])


@pytest.mark.parametrize(("expected", "got", "difference"), [
    ({"a": 1}, {"a": 1}, ""),
    ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ".a[1].b: expected 2, got 3"),
    ({"a": [1]}, {"a": [1, 2]}, ".a[1]: expected nothing, got 2"),
    ({"a": [1, 2]}, {"a": [1]}, ".a[1]: expected 2, got nothing"),
    ({"a": None}, {}, ".a: expected null, got nothing"),
    ({"a": {}}, {"a": []}, ".a: expected {}, got []"),
    ({"a": 1}, {"a": True}, ".a: expected 1, got true"),
    ({"a": 1}, {"a": 1.0}, ".a: expected 1, got 1.0"),
    ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ".a: expected 1, got 2"),
    ("x" * 80, "y", ".: expected \"" + "x" * 58 + "…, got \"y\""),
])  # fmt: skip
def test_the_first_difference_is_named_by_its_path(expected, got, difference):
    assert first_difference(expected, got) == difference


def test_an_object_is_compared_in_the_shape_of_its_resource_whatever_is_stored():
    stored = Object(pod_key("a"), 7, b'{"metadata":{"name":"a"},"spec":{}}', "a", "default")
    assert shape(stored, PodKind()) == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "a", "resourceVersion": "7"},
        "spec": {},
    }


def test_an_object_that_the_initial_state_shows_twice_is_a_difference():
    found = Findings()
    objects = [event(1).object, event(1).object]
    assert compare_initial([delivered(pod("p1"), 1)], objects, PodKind(), found) == 1
    assert found.examples == ["initial state: default/p1: came 2 times"]


def test_a_comparison_of_nothing_says_so():
    result = StreamResult("x", 0, 0, 0, 0, 0)
    assert Comparison((result,)).lines() == ["x: 0 of 0 events equal", "1 streams, 0 events, 0 differences"]
