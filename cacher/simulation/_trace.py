"""Recorded traces: what one etcd saw while a control plane worked, read, checked and grouped by revision.

    PREFIX.start.jsonl.gz    every key at one revision
    PREFIX.etcd.jsonl.gz     every event after it, in the order etcd sent them
    PREFIX.meta.json         counts, the end revision, and the writes etcd saw outside the recorded prefix

The formats are described in scenarios/data/README.md. A trace is read whole and checked before anything is played:
counts, order, and that every revision between start and end is accounted for. Limit: it is held in memory, about 5 KB
an event.

    TraceError           a file is damaged or does not fit the others: fetch or record it again
    └── TraceNotFound    there is no such trace: choose one of those named
"""

from __future__ import annotations

import difflib
import gzip
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from cacher.storage.etcd import EventKind, KeyValue, Snapshot

_START, _EVENTS, _META = ".start.jsonl.gz", ".etcd.jsonl.gz", ".meta.json"

# Beside this file in an installed package, at the top of a checkout otherwise.
_DATA_DIRECTORIES = (
    Path(__file__).parent / "scenarios" / "data",
    Path(__file__).parents[2] / "scenarios" / "data",
)

# Resources that Kubernetes stores two segments deep although the first is no API group.
_TWO_SEGMENT_ROOTS = frozenset({"services"})

_T = TypeVar("_T")


class TraceError(Exception):
    """A recorded file cannot be used. `line` counts from 1; 0 speaks of the file as a whole."""

    def __init__(self, path: Path, line: int, problem: str, cure: str = "fetch or record the trace again") -> None:
        self.path = path
        self.line = line
        self.problem = problem
        super().__init__(f"{path}:{line}: {problem}: {cure}" if line else f"{path}: {problem}: {cure}")


class TraceNotFound(TraceError):
    """No trace goes by that name or path; `names` are those that come with the package."""

    def __init__(self, path: Path, problem: str, names: tuple[str, ...], cure: str) -> None:
        self.names = names
        super().__init__(path, 0, problem, cure)


class TraceEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of the recording. For a DELETE, `create`, `version` and `lease` are 0 and `value` is empty."""

    line: int
    """In PREFIX.etcd.jsonl.gz, from 1."""
    revision: int
    t: float
    """Seconds since the start of the scenario."""
    kind: EventKind
    key: str
    create: int
    version: int
    lease: int
    prev: int
    """The revision of the value before; 0: there was none."""
    value: bytes
    """The stored JSON, byte for byte as in the file."""


class Step(msgspec.Struct, frozen=True):
    """What one revision did: events under the recorded prefix, or puts of keys outside it. Never both."""

    revision: int
    t: float
    events: tuple[TraceEvent, ...] = ()
    outside: tuple[str, ...] = ()


class OutsideWrite(msgspec.Struct, frozen=True):
    """A write that etcd saw outside the recorded prefix. Only its key and revision are known."""

    rev: int
    key: str
    t: float
    type: Literal["PUT", "DELETE"] = "PUT"


class _Meta(msgspec.Struct, frozen=True):
    start_rev: int
    end_rev: int
    events: int
    snapshot_keys: int
    outside_registry: list[OutsideWrite]


class _Header(msgspec.Struct, frozen=True):
    snapshot_rev: int
    count: int
    prefix: str


class _StartLine(msgspec.Struct, frozen=True):
    rev: int
    key: str
    create: int
    version: int
    lease: int
    value: msgspec.Raw


class _EventLine(msgspec.Struct, frozen=True):
    rev: int
    t: float
    type: Literal["PUT", "DELETE"]
    key: str
    create: int
    version: int
    lease: int
    prev: int
    value: msgspec.Raw


class Trace(msgspec.Struct, frozen=True):
    """One recorded scenario, whole: each revision in (start_revision, end_revision] is an event's or an outside write's."""

    prefix: Path
    """What the files' paths begin with, such as scenarios/data/rollout."""
    start_revision: int
    end_revision: int
    snapshot: Snapshot
    """Every key at `start_revision`; its n-th key stands in line n + 2 of the start file."""
    events: list[TraceEvent]
    outside: tuple[OutsideWrite, ...]
    """In revision order."""
    key_prefix: str = "/registry/"

    @property
    def name(self) -> str:
        return self.prefix.name

    @property
    def start_path(self) -> Path:
        return _with_suffix(self.prefix, _START)

    @property
    def events_path(self) -> Path:
        return _with_suffix(self.prefix, _EVENTS)

    @property
    def meta_path(self) -> Path:
        return _with_suffix(self.prefix, _META)

    @property
    def duration_s(self) -> float:
        """From the start of the scenario to the last write."""
        return max([event.t for event in self.events[-1:]] + [write.t for write in self.outside[-1:]], default=0.0)

    def revisions(self) -> Iterator[Step]:
        """Every revision after the start, one Step each, without a gap. Cost: O(1) a revision."""
        outside = itertools.groupby(self.outside, key=lambda write: write.rev)
        waiting = next(outside, None)
        for revision, group in itertools.groupby(self.events, key=lambda event: event.revision):
            while waiting is not None and waiting[0] < revision:
                yield _outside_step(waiting[0], tuple(waiting[1]))
                waiting = next(outside, None)
            events = tuple(group)
            yield Step(revision, events[0].t, events)
        while waiting is not None:
            yield _outside_step(waiting[0], tuple(waiting[1]))
            waiting = next(outside, None)

    def revision_at(self, t: float) -> int:
        """The last revision made at or before `t` seconds. Cost: O(number of revisions)."""
        return max((step.revision for step in self.revisions() if step.t <= t), default=self.start_revision)

    def last_revisions(self) -> dict[str, int]:
        """For each resource's prefix the last revision that changed it, or the start. Cost: O(number of events)."""
        last = dict.fromkeys(self.prefixes(), self.start_revision)
        for event in self.events:
            last[resource_prefix(event.key, self.key_prefix)] = event.revision
        return last

    def prefixes(self) -> list[str]:
        """The etcd prefixes of all resources in the trace, sorted. Cost: O(number of events)."""
        keys = [kv.key.decode() for kv in self.snapshot.kvs] + [event.key for event in self.events]
        return sorted({resource_prefix(key, self.key_prefix) for key in keys})


def _outside_step(revision: int, writes: tuple[OutsideWrite, ...]) -> Step:
    return Step(revision, writes[0].t, outside=tuple(write.key for write in writes))


def resource_prefix(key: str, root: str = "/registry/") -> str:
    """The prefix that all keys of the resource of `key` share.

    One segment below `root`, or two where the first is an API group (it has a dot) or `services`, under which both
    Services (`specs`) and Endpoints live: /registry/pods/, /registry/example.com/widgets/, /registry/services/specs/.
    """
    segments = key.removeprefix(root).split("/")
    depth = 2 if "." in segments[0] or segments[0] in _TWO_SEGMENT_ROOTS else 1
    return root + "/".join(segments[:depth]) + "/"


def shipped_traces() -> dict[str, Path]:
    """The traces that come with the package: name → prefix, in order of name."""
    found: dict[str, Path] = {}
    for directory in _DATA_DIRECTORIES:
        for path in sorted(directory.glob("*" + _EVENTS)):
            name = path.name.removesuffix(_EVENTS)
            found.setdefault(name, directory / name)
    return dict(sorted(found.items()))


def find_trace(name_or_path: str) -> Path:
    """The prefix of a trace's files, for a shipped trace's name or for a path such as `dir/rollout`.

    Raises:
        TraceNotFound: nothing is there; the message lists what there is.
    """
    shipped = shipped_traces()
    if name_or_path in shipped:
        return shipped[name_or_path]
    prefix = Path(name_or_path).expanduser()
    for suffix in (_START, _EVENTS, _META):  # somebody let the shell complete the name of one of the files
        prefix = prefix.with_name(prefix.name.removesuffix(suffix)) if prefix.name.endswith(suffix) else prefix
    if any(_with_suffix(prefix, suffix).is_file() for suffix in (_START, _EVENTS, _META)):
        return prefix
    raise _not_found(name_or_path, tuple(shipped))


def _not_found(name_or_path: str, names: tuple[str, ...]) -> TraceNotFound:
    path = Path(name_or_path)
    if len(path.parts) > 1:
        known = sorted(file.name.removesuffix(_EVENTS) for file in path.parent.glob("*" + _EVENTS))
        there = f"{path.parent} holds {', '.join(known)}" if known else f"{path.parent} holds no trace"
        return TraceNotFound(
            path,
            f"no trace here ({path.name}{_EVENTS} is missing)",
            names,
            f"give a prefix such as dir/rollout; {there}",
        )
    close = difflib.get_close_matches(name_or_path, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return TraceNotFound(
        path,
        "no trace of this name",
        names,
        f"{hint}there is {', '.join(names) or 'none'}; or give a path such as dir/rollout",
    )


def load_trace(prefix: Path) -> Trace:
    """The whole trace, checked.

    Raises:
        TraceError: a file is missing, damaged, or does not fit the others; it names file and line.
    Cost: O(size); 13,000 events of 5 KB take about 0.2 s and 65 MB.
    """
    meta = _load_meta(_with_suffix(prefix, _META))
    header, kvs = _load_start(_with_suffix(prefix, _START))
    _check_start_fits(_with_suffix(prefix, _META), meta, header)
    events = _load_events(_with_suffix(prefix, _EVENTS), header)
    outside = tuple(sorted(meta.outside_registry, key=lambda write: write.rev))
    trace = Trace(
        prefix=prefix,
        start_revision=header.snapshot_rev,
        end_revision=meta.end_rev,
        snapshot=Snapshot(header.snapshot_rev, kvs),
        events=events,
        outside=outside,
        key_prefix=header.prefix,
    )
    _check_end_fits(trace, meta)
    _check_no_gap(trace)
    return trace


def _load_meta(path: Path) -> _Meta:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Meta)
    except OSError as error:
        raise TraceError(path, 0, f"cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(path, 1, str(error)) from error


def _load_start(path: Path) -> tuple[_Header, tuple[KeyValue, ...]]:
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        raise TraceError(path, 1, "the file is empty, and its first line should say snapshot_rev, count and prefix")
    header = decode_line(path, 1, first[1], _HEADER)
    kvs: list[KeyValue] = []
    for line, text in lines:
        row = decode_line(path, line, text, _START_LINE)
        if row.rev > header.snapshot_rev:
            raise TraceError(path, line, f"revision {row.rev} is after the snapshot's {header.snapshot_rev}")
        kv = KeyValue(row.key.encode(), _value(row.value), row.create, row.rev, row.version, row.lease)
        if kvs and kv.key <= kvs[-1].key:
            raise TraceError(path, line, f"key {row.key} comes after {kvs[-1].key.decode()}: keys must rise")
        kvs.append(kv)
    if len(kvs) != header.count:
        raise TraceError(path, 1, f"the header counts {header.count} keys and {len(kvs)} follow")
    return header, tuple(kvs)


def _check_start_fits(path: Path, meta: _Meta, header: _Header) -> None:
    if meta.start_rev != header.snapshot_rev:
        raise TraceError(
            path, 1, f"start_rev is {meta.start_rev} and the start file's snapshot_rev {header.snapshot_rev}"
        )
    if meta.snapshot_keys != header.count:
        raise TraceError(path, 1, f"snapshot_keys is {meta.snapshot_keys} and the start file has {header.count} keys")
    for write in meta.outside_registry:
        if not meta.start_rev < write.rev <= meta.end_rev:
            raise TraceError(
                path, 1, f"the outside write of {write.key} at {write.rev} is outside the trace's revisions"
            )
        # All that may be written outside is one put a revision; a deletion would need a value that nobody recorded.
        if write.type != "PUT" or write.key.startswith(header.prefix):
            raise TraceError(path, 1, f"{write.type} of {write.key} at {write.rev} is no put outside {header.prefix}")


def _load_events(path: Path, header: _Header) -> list[TraceEvent]:
    events: list[TraceEvent] = []
    revision = header.snapshot_rev
    for line, text in read_lines(path):
        row = decode_line(path, line, text, _EVENT_LINE)
        if row.rev < revision or row.rev == header.snapshot_rev:
            raise TraceError(path, line, f"revision {row.rev} comes after {revision}: revisions must not fall")
        if not row.key.startswith(header.prefix):
            raise TraceError(path, line, f"key {row.key} is outside {header.prefix}")
        value = _value(row.value)
        if bool(value) != (row.type == "PUT"):
            raise TraceError(path, line, f"a {row.type} {'with a' if value else 'without a'} value")
        revision = row.rev
        kind = EventKind(row.type)
        events.append(
            TraceEvent(line, row.rev, row.t, kind, row.key, row.create, row.version, row.lease, row.prev, value)
        )
    return events


def _check_end_fits(trace: Trace, meta: _Meta) -> None:
    if len(trace.events) != meta.events:
        line = trace.events[-1].line if trace.events else 1
        raise TraceError(
            trace.events_path, line, f"the file ends after {len(trace.events)} events; meta counts {meta.events}"
        )
    last = max([trace.start_revision, *(e.revision for e in trace.events[-1:]), *(w.rev for w in trace.outside[-1:])])
    if last != meta.end_rev:
        line = trace.events[-1].line if trace.events else 1
        raise TraceError(
            trace.events_path, line, f"the trace ends at revision {last}; meta's end_rev is {meta.end_rev}"
        )


def _check_no_gap(trace: Trace) -> None:
    """Every revision exactly once: by an event of the file, or named in meta as a write outside."""
    expected = trace.start_revision + 1
    for step in trace.revisions():
        if step.revision != expected:
            problem = f"revision {expected} is missing and meta's outside_registry does not name it"
            if step.revision < expected:
                problem = f"revision {step.revision} is in meta's outside_registry and has an event too"
            raise TraceError(trace.events_path, step.events[0].line if step.events else 0, problem)
        expected += 1


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a gzipped file with their numbers from 1.

    Raises:
        TraceError: the file is missing, is no gzip file, or ends too soon.
    """
    line = 0
    try:
        with gzip.open(path, "rb") as file:
            for line, text in enumerate(file, start=1):
                yield line, text
    except EOFError as error:
        raise TraceError(path, line + 1, "the gzip file is cut off here") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(path, line + 1, f"the gzip file is damaged here ({error})") from error
    except OSError as error:
        raise TraceError(path, 0, f"cannot be read ({error.strerror or error})") from error


_HEADER = msgspec.json.Decoder(_Header)
_START_LINE = msgspec.json.Decoder(_StartLine)
_EVENT_LINE = msgspec.json.Decoder(_EventLine)


def decode_line(path: Path, line: int, text: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """One line, decoded.

    Raises:
        TraceError: it is not JSON, or lacks a member, or has one of another type; the message says which.
    """
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TraceError(path, line, str(error)) from error


def _value(raw: msgspec.Raw) -> bytes:
    """A copy, since a Raw keeps its whole line alive; JSON's null, which only a DELETE has, as no bytes."""
    value = bytes(raw)
    return b"" if value == b"null" else value


def _with_suffix(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)
