from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cacher.simulation._trace import TraceError, TraceNotFound, find_trace, load_trace, resource_prefix, shipped_traces
from cacher.storage.etcd import EventKind
from tests.cacher.simulation.trace_files import TraceFiles, pod, pod_key, small_trace, write_lines


@pytest.fixture(scope="module")
def rollout():
    return load_trace(find_trace("rollout"))


def lines_of(path):
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def file_of(prefix, suffix):
    return prefix.with_name(prefix.name + suffix)


# --- what a sound trace holds ---------------------------------------------------------------------------------------


def test_a_trace_is_its_snapshot_and_its_events_as_recorded(tmp_path):
    trace = load_trace(small_trace().write(tmp_path))
    assert (trace.name, trace.start_revision, trace.end_revision, trace.duration_s) == ("small", 100, 105, 5.0)
    (old,) = trace.snapshot.kvs
    assert trace.snapshot.revision == 100
    assert (old.key, old.create_revision, old.mod_revision, old.version) == (pod_key("old").encode(), 40, 50, 3)
    put, _, _, deletion = trace.events
    assert (put.line, put.revision, put.kind, put.key, put.create, put.version, put.prev) == (
        *(1, 101, EventKind.PUT, pod_key("new")),
        *(101, 1, 0),
    )
    assert (deletion.line, deletion.kind, deletion.prev, deletion.value) == (4, EventKind.DELETE, 104, b"")


def test_a_value_keeps_the_bytes_that_stand_in_the_file(tmp_path):
    """Decoding and encoding again would lose the writer's spelling: order of members, spaces, escapes, big numbers."""
    prefix = small_trace().write(tmp_path)
    events = lines_of(file_of(prefix, ".etcd.jsonl.gz"))
    spelled = b'{ "metadata":{"name":"\\u00e9"}, "n": 12345678901234567890123, "x":1.50 }'
    head, _ = events[0].split(b'"value":')
    file_of(prefix, ".etcd.jsonl.gz").write_bytes(
        gzip.compress(head + b'"value":' + spelled + b"}\n" + b"".join(events[1:]))
    )
    assert load_trace(prefix).events[0].value == spelled


def test_revisions_are_all_there_also_those_that_only_meta_names(tmp_path):
    files = TraceFiles()
    files.elsewhere("first")
    files.put(pod_key("a"), pod("a"))
    files.elsewhere("middle")
    files.elsewhere("middle")
    files.together({pod_key("b"): pod("b"), pod_key("c"): pod("c")}, pod_key("a"))
    files.elsewhere("last")
    trace = load_trace(files.write(tmp_path))
    steps = [(step.revision, step.t, [event.key for event in step.events], step.outside) for step in trace.revisions()]
    assert steps == [
        (101, 1.0, [], ("first",)),
        (102, 2.0, [pod_key("a")], ()),
        (103, 3.0, [], ("middle",)),
        (104, 4.0, [], ("middle",)),
        (105, 5.0, [pod_key("b"), pod_key("c"), pod_key("a")], ()),
        (106, 6.0, [], ("last",)),
    ]
    assert [trace.revision_at(t) for t in (0.9, 1.0, 3.5, 99.0)] == [100, 101, 103, 106]


def test_a_trace_may_bring_nothing_at_all(tmp_path):
    trace = load_trace(TraceFiles().write(tmp_path))
    assert list(trace.revisions()) == []
    assert (trace.end_revision, trace.duration_s, trace.prefixes()) == (100, 0.0, [])


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("/registry/pods/default/web-1", "/registry/pods/"),
        ("/registry/minions/node-3", "/registry/minions/"),
        ("/registry/services/specs/default/web", "/registry/services/specs/"),
        ("/registry/services/endpoints/default/web", "/registry/services/endpoints/"),
        ("/registry/example.com/widgets/default/w", "/registry/example.com/widgets/"),
        (
            "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.example.com",
            "/registry/apiextensions.k8s.io/customresourcedefinitions/",
        ),
        ("/registry/servicesnapshots/default/a.b", "/registry/servicesnapshots/"),
        ("/registry/configmaps/default/with.dots", "/registry/configmaps/"),
    ],
)
def test_a_resource_is_one_segment_or_two_below_the_root(key, prefix):
    assert resource_prefix(key) == prefix


# --- the shipped one ------------------------------------------------------------------------------------------------


def test_the_shipped_rollout_is_whole(rollout):
    steps = list(rollout.revisions())
    assert (rollout.start_revision, rollout.end_revision) == (17267, 29952)
    assert (len(rollout.snapshot.kvs), len(rollout.events)) == (154, 12942)
    assert sum(1 for step in steps if step.events) == 12684
    assert [(step.revision, step.outside) for step in steps if step.outside] == [(26352, ("compact_rev_key",))]
    assert [(step.revision, len(step.events)) for step in steps if len(step.events) > 1] == [(29947, 210), (29948, 50)]
    assert [step.revision for step in steps] == list(range(17268, 29953))
    assert max(event.lease for event in rollout.events) > 2**53  # beyond what a double holds


def test_the_shipped_rollout_has_these_resources(rollout):
    prefixes = rollout.prefixes()
    assert prefixes == sorted(prefixes)
    assert {"/registry/pods/", "/registry/services/specs/", "/registry/services/endpoints/"} <= set(prefixes)
    assert "/registry/apiregistration.k8s.io/apiservices/" in prefixes
    assert "/registry/services/" not in prefixes


# --- finding one ----------------------------------------------------------------------------------------------------


def test_a_shipped_trace_is_found_by_its_name():
    assert list(shipped_traces()) == ["finalizers-and-gc", "rollout"]
    assert find_trace("rollout").parent.name == "data"


@pytest.mark.parametrize("tail", ["", ".etcd.jsonl.gz", ".start.jsonl.gz", ".meta.json"])
def test_a_path_is_a_prefix_and_the_name_of_a_file_will_do(tmp_path, tail):
    prefix = small_trace().write(tmp_path)
    assert find_trace(f"{prefix}{tail}") == prefix


def test_a_path_with_some_of_its_files_is_found_so_that_the_missing_one_is_named(tmp_path):
    prefix = small_trace().write(tmp_path)
    file_of(prefix, ".meta.json").unlink()
    with pytest.raises(TraceError, match=r"small\.meta\.json: cannot be read"):
        load_trace(find_trace(str(prefix)))


def test_an_unknown_name_is_answered_with_those_there_are_and_the_nearest():
    with pytest.raises(
        TraceNotFound, match=r"rolout.*did you mean rollout\?.*there is finalizers-and-gc, rollout"
    ) as caught:
        find_trace("rolout")
    assert caught.value.names == ("finalizers-and-gc", "rollout")
    with pytest.raises(TraceNotFound) as caught:
        find_trace("something-else-entirely")
    assert "did you mean" not in str(caught.value)
    assert "there is finalizers-and-gc, rollout" in str(caught.value)


def test_an_unknown_path_is_answered_with_what_its_directory_holds(tmp_path):
    small_trace().write(tmp_path)
    with pytest.raises(TraceNotFound, match="holds small"):
        find_trace(str(tmp_path / "smal"))
    with pytest.raises(TraceNotFound, match="holds no trace"):
        find_trace(str(tmp_path / "nowhere" / "small"))


# --- what is refused ------------------------------------------------------------------------------------------------


def refused(prefix: Path, suffix: str, line: int, words: str) -> None:
    with pytest.raises(TraceError, match=words) as caught:
        load_trace(prefix)
    path = file_of(prefix, suffix)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert str(caught.value).endswith("fetch or record the trace again")


@pytest.mark.parametrize("suffix", [".start.jsonl.gz", ".etcd.jsonl.gz"])
def test_a_truncated_file_is_refused_with_the_line_where_it_breaks_off(tmp_path, suffix):
    files = TraceFiles()
    noise = iter(range(10_000))
    for number in range(200):  # enough, and different enough, that the cut falls behind the first lines
        text = "".join(chr(32 + next(noise) * 7919 % 90) for _ in range(40))
        files.begins_with(pod_key(f"old-{number:03}"), pod(f"old-{number:03}", text=text))
        files.put(pod_key(f"new-{number:03}"), pod(f"new-{number:03}", text=text))
    prefix = files.write(tmp_path)
    path = file_of(prefix, suffix)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match="cut off") as caught:
        load_trace(prefix)
    assert caught.value.path == path
    assert 1 < caught.value.line <= 200


@pytest.mark.parametrize("suffix", [".start.jsonl.gz", ".etcd.jsonl.gz"])
def test_a_file_that_is_no_gzip_file_is_refused(tmp_path, suffix):
    prefix = small_trace().write(tmp_path)
    file_of(prefix, suffix).write_bytes(b"plain text\n")
    refused(prefix, suffix, 1, "damaged")


def test_a_file_with_flipped_bits_is_refused(tmp_path):
    prefix = small_trace().write(tmp_path)
    path = file_of(prefix, ".etcd.jsonl.gz")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path.write_bytes(bytes(whole))
    with pytest.raises(TraceError) as caught:
        load_trace(prefix)
    assert caught.value.path == path
    assert caught.value.line >= 1


@pytest.mark.parametrize("suffix", [".start.jsonl.gz", ".etcd.jsonl.gz", ".meta.json"])
def test_a_missing_file_is_named(tmp_path, suffix):
    prefix = small_trace().write(tmp_path)
    file_of(prefix, suffix).unlink()
    refused(prefix, suffix, 0, "cannot be read")


def spoil(prefix, suffix, line, change):
    """Rewrite one line of a file, numbered from 1."""
    path = file_of(prefix, suffix)
    rows = [json.loads(text) for text in lines_of(path)]
    change(rows[line - 1])
    write_lines(path, rows)


@pytest.mark.parametrize(
    ("suffix", "line", "member"),
    [
        *((".start.jsonl.gz", 1, member) for member in ("snapshot_rev", "count", "prefix")),
        *((".start.jsonl.gz", 2, member) for member in ("rev", "key", "create", "version", "lease", "value")),
        *((".etcd.jsonl.gz", 3, member) for member in ("rev", "t", "type", "key", "create", "lease", "prev", "value")),
    ],
)
def test_a_line_without_a_member_is_refused(tmp_path, suffix, line, member):
    prefix = small_trace().write(tmp_path)
    spoil(prefix, suffix, line, lambda row: row.pop(member))
    refused(prefix, suffix, line, f"missing required field `{member}`")


@pytest.mark.parametrize(("member", "value"), [("rev", "101"), ("lease", 1.5), ("type", "TOUCH"), ("key", None)])
def test_a_member_of_another_type_is_refused(tmp_path, member, value):
    prefix = small_trace().write(tmp_path)
    spoil(prefix, ".etcd.jsonl.gz", 2, lambda row: row.update({member: value}))
    refused(prefix, ".etcd.jsonl.gz", 2, member)


def test_a_line_that_is_not_json_is_refused(tmp_path):
    prefix = small_trace().write(tmp_path)
    path = file_of(prefix, ".etcd.jsonl.gz")
    rows = lines_of(path)
    rows[2] = rows[2][:40] + b"\n"
    path.write_bytes(gzip.compress(b"".join(rows)))
    refused(prefix, ".etcd.jsonl.gz", 3, "truncated|malformed")


def test_an_empty_start_file_is_refused(tmp_path):
    prefix = small_trace().write(tmp_path)
    write_lines(file_of(prefix, ".start.jsonl.gz"), [])
    refused(prefix, ".start.jsonl.gz", 1, "empty")


@pytest.mark.parametrize(("suffix", "line", "change", "words"), [
    (".etcd.jsonl.gz", 3, {"rev": 101}, "revision 101 comes after 102: revisions must not fall"),
    (".etcd.jsonl.gz", 1, {"rev": 100}, "revision 100 comes after 100"),
    (".etcd.jsonl.gz", 1, {"key": "/elsewhere/pods/x"}, "outside /registry/"),
    (".etcd.jsonl.gz", 1, {"value": None}, "a PUT without a value"),
    (".etcd.jsonl.gz", 4, {"value": {"a": 1}}, "a DELETE with a value"),
    (".start.jsonl.gz", 1, {"count": 2}, "counts 2 keys and 1 follow"),
    (".start.jsonl.gz", 2, {"rev": 101}, "revision 101 is after the snapshot's 100"),
])  # fmt: skip
def test_a_line_that_contradicts_the_others_is_refused(tmp_path, suffix, line, change, words):
    prefix = small_trace().write(tmp_path)
    spoil(prefix, suffix, line, lambda row: row.update(change))
    refused(prefix, suffix, line, words)


def test_keys_of_the_snapshot_must_rise(tmp_path):
    files = TraceFiles()
    for name in ("a", "b"):
        files.begins_with(pod_key(name), pod(name))
    prefix = files.write(tmp_path)
    spoil(prefix, ".start.jsonl.gz", 3, lambda row: row.update(key=pod_key("a")))
    refused(prefix, ".start.jsonl.gz", 3, "keys must rise")


def spoil_meta(prefix, **changes):
    path = file_of(prefix, ".meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("suffix", "line", "changes", "words"), [
    (".meta.json", 1, {"start_rev": 99}, "start_rev is 99 and the start file's snapshot_rev 100"),
    (".meta.json", 1, {"snapshot_keys": 2}, "snapshot_keys is 2 and the start file has 1"),
    (".etcd.jsonl.gz", 4, {"events": 5}, "ends after 4 events; meta counts 5"),
    (".etcd.jsonl.gz", 4, {"events": 3}, "ends after 4 events; meta counts 3"),
    (".etcd.jsonl.gz", 4, {"end_rev": 106}, "ends at revision 105; meta's end_rev is 106"),
    (".etcd.jsonl.gz", 4, {"end_rev": 104}, "ends at revision 105; meta's end_rev is 104"),
    (".etcd.jsonl.gz", 3, {"outside_registry": []}, "revision 103 is missing and meta's outside_registry does not name it"),
    (".meta.json", 1, {"outside_registry": [{"key": "k", "rev": 100, "t": 0}]}, "k at 100 is outside the trace's revisions"),
    (".meta.json", 1, {"outside_registry": [{"key": "k", "rev": 103, "t": 0, "type": "DELETE"}]}, "no put outside"),
    (".meta.json", 1, {"outside_registry": [{"key": "/registry/k", "rev": 103, "t": 0}]}, "no put outside"),
    (".meta.json", 1, {"events": "many"}, "events"),
])  # fmt: skip
def test_a_meta_file_that_contradicts_the_trace_is_refused(tmp_path, suffix, line, changes, words):
    prefix = small_trace().write(tmp_path)
    spoil_meta(prefix, **changes)
    refused(prefix, suffix, line, words)


def test_a_revision_that_is_both_outside_and_inside_is_refused(tmp_path):
    prefix = small_trace().write(tmp_path)
    writes = [{"key": "compact_rev_key", "rev": revision, "t": 0, "type": "PUT"} for revision in (103, 104)]
    spoil_meta(prefix, outside_registry=writes)
    with pytest.raises(TraceError, match="revision 104 is in meta's outside_registry and has an event too"):
        load_trace(prefix)


def test_a_meta_file_that_is_no_json_is_refused(tmp_path):
    prefix = small_trace().write(tmp_path)
    file_of(prefix, ".meta.json").write_text("{")
    refused(prefix, ".meta.json", 1, "truncated")
