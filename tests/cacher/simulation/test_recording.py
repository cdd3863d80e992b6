from __future__ import annotations

import gzip

import pytest

from cacher.simulation._recording import Refusal, Request, load_recordings, read_url
from cacher.simulation._trace import TraceError, find_trace
from tests.cacher.simulation.trace_files import RecordingFiles, delivered, pod, write_lines


def load(files, tmp_path):
    files.write(tmp_path)
    (recording,) = load_recordings(tmp_path / "small")
    return recording


# --- URLs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "request_"), [
    ("/api/v1/pods", Request("v1", "pods")),
    ("/api/v1/namespaces", Request("v1", "namespaces")),
    ("/api/v1/namespaces/team-a", Request("v1", "namespaces", name="team-a")),
    ("/api/v1/namespaces/team-a/pods", Request("v1", "pods", namespace="team-a")),
    ("/api/v1/namespaces/team-a/pods/web-1", Request("v1", "pods", namespace="team-a", name="web-1")),
    ("/apis/apps/v1/deployments", Request("apps/v1", "deployments")),
    ("/apis/example.com/v1/namespaces/x/widgets", Request("example.com/v1", "widgets", namespace="x")),
    ("/api/v1/pods?labelSelector=app%20in%20(a,b),track!%3Dcanary", Request("v1", "pods", labels="app in (a,b),track!=canary")),
    ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn", Request("v1", "pods", fields="spec.nodeName=n")),
    ("/api/v1/pods?watch=1&resourceVersion=7", Request("v1", "pods", resource_version="7")),
    ("/api/v1/pods?watch=1&sendInitialEvents=true", Request("v1", "pods", sends_initial_events=True)),
    ("/api/v1/pods?watch=1&sendInitialEvents=false", Request("v1", "pods")),
])  # fmt: skip
def test_a_url_says_what_was_asked_for(url, request_):
    assert read_url(url) == request_


@pytest.mark.parametrize("url", ["/healthz", "/api/v1", "/apis/apps/v1", "/api/v1/namespaces/a/pods/b/log", "pods", ""])
def test_a_url_that_is_no_resource_is_refused(url):
    with pytest.raises(ValueError, match="not the path of a resource"):
        read_url(url)


# --- facts and contents ---------------------------------------------------------------------------------------------


def test_a_recording_is_its_list_and_its_events_without_bookmarks(tmp_path):
    files = RecordingFiles(query="labelSelector=app%3Dweb")
    files.shows(pod("old"), 50)
    files.event("ADDED", pod("new"), 101)
    files.bookmark(102)
    files.event("DELETED", pod("old"), 103)
    recording = load(files, tmp_path)
    assert (recording.name, recording.request.labels) == ("pods", "app=web")
    assert (recording.listed_t, recording.opened_t, recording.stopped_t) == (0.1, 0.2, 1000.0)
    assert (recording.revision, recording.initial_count) == (100, 1)
    assert (recording.event_count, recording.last_revision, recording.refusal) == (2, 103, None)
    assert recording.initial() == [delivered(pod("old"), 50)]
    assert list(recording.events()) == [("ADDED", delivered(pod("new"), 101)), ("DELETED", delivered(pod("old"), 103))]


def test_a_streamed_state_ends_at_its_annotated_bookmark(tmp_path):
    files = RecordingFiles()
    files.listed_t = None
    files.shows(pod("old"), 50)
    files.shows(pod("older"), 40)
    files.event("ADDED", pod("new"), 101)
    files.bookmark(150)
    recording = load(files, tmp_path)
    assert (recording.listed_t, recording.revision, recording.initial_count, recording.event_count) == (None, 100, 2, 1)
    assert recording.initial() == [delivered(pod("old"), 50), delivered(pod("older"), 40)]
    assert list(recording.events()) == [("ADDED", delivered(pod("new"), 101))]


def test_a_recording_without_events_ends_where_it_began(tmp_path):
    recording = load(RecordingFiles(), tmp_path)
    assert (recording.event_count, recording.last_revision) == (0, 100)


def test_an_error_event_is_the_refusal_and_ends_the_stream(tmp_path):
    files = RecordingFiles()
    files.opened_t = 150.0
    files.error()
    recording = load(files, tmp_path)
    assert recording.refusal == Refusal(410, "too old resource version: 100 (128)")
    assert (recording.event_count, recording.stopped_t) == (0, 150.0)


def test_a_watch_answered_with_a_status_is_refused_too(tmp_path):
    files = RecordingFiles()
    rows = files.lines()
    rows[1]["status"] = 410
    write_lines(tmp_path / "small.watch-pods.jsonl.gz", rows)
    (recording,) = load_recordings(tmp_path / "small")
    assert recording.refusal == Refusal(410, "HTTP status 410")


def test_recordings_belong_to_their_trace_and_come_by_name(tmp_path):
    for what in ("pods-b", "pods-a"):
        RecordingFiles().write(tmp_path, what)
    RecordingFiles().write(tmp_path, "pods", name="smaller")
    assert [recording.name for recording in load_recordings(tmp_path / "small")] == ["pods-a", "pods-b"]
    assert load_recordings(tmp_path / "other") == []


@pytest.mark.slow
def test_the_shipped_recordings_have_what_they_are_said_to_have():
    counts = {r.name: (r.initial_count, r.event_count) for r in load_recordings(find_trace("rollout"))}
    assert counts == {
        "deployments": (0, 1231),
        "endpointslices": (3, 1057),
        "pods-all": (12, 3159),
        "pods-all-streaminglist": (12, 3159),
        "pods-label": (4, 1641),
        "pods-label-set": (0, 545),
        "pods-late150": (12, 0),
        "pods-late60": (12, 3159),
        "pods-node": (3, 87),
        "pods-phase": (0, 853),
        "replicasets": (0, 1729),
    }


# --- what is refused ------------------------------------------------------------------------------------------------


def refused(tmp_path, rows, line, words):
    path = tmp_path / "small.watch-pods.jsonl.gz"
    write_lines(path, rows)
    with pytest.raises(TraceError, match=words) as caught:
        load_recordings(tmp_path / "small")
    assert (caught.value.path, caught.value.line) == (path, line)


def whole():
    files = RecordingFiles()
    files.shows(pod("old"), 50)
    files.event("ADDED", pod("new"), 101)
    return files.lines()


@pytest.mark.parametrize(("line", "change", "words"), [
    (1, {"status": 500}, "answered with status 500"),
    (1, {"body": {"kind": "PodList"}}, "missing required field"),
    (2, {"url": "/healthz?watch=1"}, "not the path of a resource"),
    (2, {"kind": "look"}, "Invalid enum value 'look'"),
    (3, {"event": {"type": "TOUCHED", "object": {"metadata": {}}}}, "Invalid enum value 'TOUCHED'"),
    (3, {"event": {"type": "ADDED", "object": {"metadata": {"name": "x"}}}}, "resourceVersion '' is not a revision"),
    (3, {"event": {"type": "ADDED"}}, "missing required field `object`"),
    (3, {"event": None}, "neither an event nor of a known kind"),
    (4, {"t": "late"}, "t"),
])  # fmt: skip
def test_a_line_that_no_client_can_have_written_is_refused(tmp_path, line, change, words):
    rows = whole()
    rows[line - 1].update(change)
    refused(tmp_path, rows, line, words)


def test_a_recording_without_its_watch_its_list_or_its_end_is_refused(tmp_path):
    rows = whole()
    refused(tmp_path, rows[:1], 1, "without a line of kind watch")
    refused(tmp_path, rows[:3], 3, "without a line of kind recording-stopped")
    refused(tmp_path, rows[1:], 3, "does not start from a recorded list")
    refused(tmp_path, [rows[0], rows[2]], 2, "an event comes before the watch was opened")


def test_a_watch_from_another_revision_than_the_list_is_refused(tmp_path):
    rows = whole()
    rows[1]["url"] = rows[1]["url"].replace("resourceVersion=100", "resourceVersion=99")
    refused(tmp_path, rows, 4, "does not start from a recorded list")


def test_a_streamed_state_without_an_end_is_refused(tmp_path):
    files = RecordingFiles()
    files.listed_t = None
    rows = files.lines()
    refused(tmp_path, [rows[0], rows[-1]], 2, "no bookmark says where they end")


def test_a_truncated_recording_is_refused(tmp_path):
    path = RecordingFiles().write(tmp_path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(TraceError, match="cut off"):
        load_recordings(tmp_path / "small")
    path.write_bytes(gzip.compress(b"{"))
    with pytest.raises(TraceError, match=r"watch-pods\.jsonl\.gz:1: "):
        load_recordings(tmp_path / "small")
