"""A run from the snapshot to the report, on a trace of a minute: what it plays, keeps, judges, and says when it is stopped."""

from __future__ import annotations

import msgspec
import pytest

from cacher.simulation._digest import digest
from cacher.simulation._history import Received
from cacher.simulation._player import ReplayMismatch
from cacher.simulation._report import NOT_REPEATABLE
from cacher.simulation._trace import load_trace
from cacher.simulation._trace_run import RunOptions, TraceRun
from tests.cacher.simulation.busy_trace import write_busy_trace


@pytest.fixture
def trace(tmp_path):
    return load_trace(write_busy_trace(tmp_path))


def run(trace, display=None, **options):
    done = TraceRun(trace, RunOptions(**({"clients": 30, "seed": 1} | options)), display=display)
    done.execute()
    return done


class Watching:
    """A display that remembers, and does something at one of the steps."""

    def __init__(self, at_step: int = -1, act=None) -> None:
        self.phases: list[str] = []
        self.steps = 0
        self._at_step, self._act = at_step, act

    def phase(self, text: str) -> None:
        self.phases.append(text)

    def stepped(self, run: TraceRun) -> None:
        self.steps += 1
        if self.steps == self._at_step:
            self._act()


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "options", [{}, {"watch_cache": False}, {"watch_cache_sizes": (("pods", 0), ("nodes", 100))}], ids=str
)
def test_a_run_plays_everything_and_breaks_nothing_with_caches_or_without(trace, options):
    done = run(trace, **options)
    report = done.report()
    assert (report.events_played, report.revisions_played) == (len(trace.events), report.revisions)
    assert report.exit_code == 0, [
        violation.message for verdict in report.guarantees for violation in verdict.violations
    ]
    assert len(report.guarantees) == 9
    assert {verdict.name for verdict in report.guarantees if not verdict.tested} <= (
        set() if options.get("watch_cache", True) else {"Coherent", "Bounded"}
    )
    uncached = {facts.resource for facts in report.caches if not facts.ring_capacity}
    assert uncached == (
        {"pods"}
        if "watch_cache_sizes" in options
        else {facts.resource for facts in report.caches}
        if options
        else set()
    )
    assert done.history.finished
    assert report.lagging == ()


def test_the_report_adds_up(trace):
    done = run(trace)
    report = done.report()
    received = [step for client in done.history.clients for step in client.steps if isinstance(step, Received)]
    deliveries = sum(event.type != "BOOKMARK" for step in received for event in step.batch)
    assert deliveries == report.deliveries > 0
    assert sum(report.deliveries_by_second) == report.deliveries
    assert sum(cache.deliveries for cache in report.caches) == report.deliveries
    assert sum(kind.deliveries for kind in report.kinds) == report.deliveries
    assert sum(kind.clients for kind in report.kinds) == sum(cache.clients for cache in report.caches) == 30
    assert sum(cache.events for cache in report.caches) == len(trace.events)
    assert 0 < report.lag.count <= report.deliveries
    assert 0 < report.lag.p50_s <= report.lag.p99_s <= report.lag.max_s
    assert {cache.prefix for cache in report.caches} == set(trace.prefixes())
    assert all(cache.revision == trace.end_revision for cache in report.caches)
    assert all(0 <= cache.ring_length <= cache.ring_capacity for cache in report.caches)
    assert sum(cache.watches_peak for cache in report.caches) >= 25


def test_every_revision_is_stamped_and_every_cache_looked_at_to_its_end(trace):
    history = run(trace).history
    assert list(history.published_at_s) == list(range(trace.start_revision + 1, trace.end_revision + 1))
    for prefix in trace.prefixes():
        samples = [sample for sample in history.samples if sample.prefix == prefix]
        assert len(samples) > trace.duration_s / 5
        complete = [sample for sample in samples if sample.objects is not None]
        assert complete[-1].revision == trace.end_revision
        assert len(complete) >= 3


def test_the_same_seed_gives_the_same_digest_and_another_seed_another(trace):
    assert digest(run(trace).history) == digest(run(trace).history)
    assert digest(run(trace).history) != digest(run(trace, seed=2).history)


def test_the_digest_is_over_events_and_not_over_batches(trace):
    history = run(trace).history
    split = msgspec.structs.replace(history, clients=[])
    for client in history.clients:
        steps = []
        for step in client.steps:
            events = step.batch if isinstance(step, Received) else ()
            steps += [Received(step.at_s, (event,)) for event in events] or [step]
        split.clients.append(msgspec.structs.replace(client, steps=steps))
    assert digest(split) == digest(history)


def test_the_digest_sees_an_event_that_is_missing_moved_or_changed(trace):
    history = run(trace).history
    client = max(history.clients, key=lambda client: len(client.steps))
    places = [index for index, step in enumerate(client.steps) if isinstance(step, Received)]
    whole = digest(history)

    def with_steps(steps):
        clients = [msgspec.structs.replace(client, steps=steps) if one is client else one for one in history.clients]
        return digest(msgspec.structs.replace(history, clients=clients))

    first, second = client.steps[places[0]], client.steps[places[1]]
    event = first.batch[0]
    other = msgspec.structs.replace(event, object=msgspec.structs.replace(event.object, raw=event.object.raw + b" "))
    changed = msgspec.structs.replace(first, batch=(other, *first.batch[1:]))
    swapped = list(client.steps)
    swapped[places[0]], swapped[places[1]] = second, first
    assert with_steps(client.steps) == whole
    assert with_steps([step for step in client.steps if step is not first]) != whole
    assert with_steps(swapped) != whole
    assert with_steps([changed if step is first else step for step in client.steps]) != whole


def test_the_display_hears_of_every_step_and_phase(trace):
    display = Watching()
    done = run(trace, display)
    done.report()
    assert display.steps == done.revisions
    assert display.phases == ["filling the caches", "opening 30 clients", "playing", "catching up", "judging"]


def test_ctrl_c_ends_a_run_with_the_report_so_far(trace):
    done = run(trace, Watching(20, interrupt))
    report = done.report()
    assert report.interrupted
    assert report.exit_code == 130
    assert report.revisions_played == 20
    assert report.deliveries > 0
    assert report.caches[0].clients > 0
    assert len(report.guarantees) == 9
    assert report.broken == 0, "what a stopped run did not get to is not lost"
    assert not done.history.finished


def test_ctrl_c_before_anything_was_played_has_a_report_too(trace):
    class AtOnce(Watching):
        def phase(self, text: str) -> None:
            if text == "filling the caches":
                raise KeyboardInterrupt

    report = run(trace, AtOnce()).report()
    assert (report.exit_code, report.events_played, report.deliveries) == (130, 0, 0)


def test_a_second_ctrl_c_while_judging_leaves_the_figures(trace, monkeypatch):
    def slow_judge(history):
        raise KeyboardInterrupt

    monkeypatch.setattr("cacher.simulation._trace_run.judge_all", slow_judge)
    report = run(trace).report()
    assert report.interrupted
    assert report.guarantees == ()
    assert report.deliveries > 0


def test_an_error_inside_comes_out_as_itself_and_not_in_a_group(trace):
    """A store that is not where the trace says is named with file and line."""
    first = trace.events[0]
    wrong = msgspec.structs.replace(trace, events=[msgspec.structs.replace(first, version=9), *trace.events[1:]])
    for event in wrong.events[1:]:
        if event.key == first.key:
            break
    else:
        pytest.fail("the first key is written again later, so only its later versions are compared")
    last = wrong.events[-1]
    wrong.events[-1] = msgspec.structs.replace(last, version=99)
    with pytest.raises(ReplayMismatch, match=rf"busy.etcd.jsonl.gz:{last.line}: "):
        run(wrong)


def test_the_real_clock_plays_the_same_and_promises_no_digest(trace):
    report = run(trace, speed=1000.0, clients=10).report()
    assert report.pace == "1000"
    assert report.digest == NOT_REPEATABLE
    assert (report.exit_code, report.events_played) == (0, len(trace.events))


def test_a_run_without_clients_plays_to_the_end(trace):
    report = run(trace, clients=0).report()
    assert (report.events_played, report.deliveries, report.exit_code) == (len(trace.events), 0, 0)


def test_a_trace_without_recordings_compares_none(trace):
    report = run(trace, verify=True).report()
    assert report.verify is not None
    assert report.verify.lines[0].startswith("0 streams, 0 events, 0 differences (nothing is recorded")
    assert report.exit_code == 0


@pytest.mark.parametrize(("speed", "pace"), [(None, "max"), (1.0, "real"), (2.5, "2.5")])
def test_a_pace_has_the_command_lines_name(speed, pace):
    assert RunOptions(speed=speed).pace == pace
