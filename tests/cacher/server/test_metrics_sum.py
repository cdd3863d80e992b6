"""The metrics of several processes as one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cacher.server import MetricsSnapshot, Sample, lasting, sum_metrics
from cacher.storage._metrics import HistogramValue


def snapshot(**values: float | HistogramValue) -> MetricsSnapshot:
    return MetricsSnapshot(tuple(Sample(name, (), value) for name, value in values.items()))


def test_counters_and_what_is_open_are_added():
    total = sum_metrics((snapshot(a_total=1, open_now=2), snapshot(a_total=10, open_now=20), snapshot(b_total=5)))
    assert {sample.name: sample.value for sample in total.samples} == {"a_total": 11, "b_total": 5, "open_now": 22}


def test_histograms_are_added_bucket_by_bucket():
    one, other = HistogramValue((1.0, 2.0), (1, 2, 3), 9.0), HistogramValue((1.0, 2.0), (10, 0, 1), 7.5)
    (sample,) = sum_metrics((snapshot(h=one), snapshot(h=other))).samples
    assert sample.value == HistogramValue((1.0, 2.0), (11, 2, 4), 16.5)


def test_of_the_revisions_the_least_is_told_and_a_cache_that_has_not_begun_is_left_out():
    name = "apiserver_watch_cache_resource_version"
    assert sum_metrics((snapshot(**{name: 7}), snapshot(**{name: 5}), snapshot(**{name: 0}))).value(name) == 5
    assert sum_metrics((snapshot(**{name: 0}), snapshot(**{name: 0}))).value(name) == 0


def test_what_all_count_in_the_same_store_is_told_once():
    assert sum_metrics((snapshot(apiserver_resource_objects=7), snapshot(apiserver_resource_objects=8))).samples == (
        Sample("apiserver_resource_objects", (), 8),
    )


def test_labels_are_told_apart():
    one = MetricsSnapshot((Sample("a_total", (("x", "1"),), 1), Sample("a_total", (("x", "2"),), 2)))
    assert sum_metrics((one, one)).value("a_total", x="2") == 4


def test_of_a_process_that_has_ended_what_it_counted_stays_and_what_was_open_does_not():
    of_it = snapshot(a_total=3, open_now=2, h=HistogramValue((), (1,), 1.0))
    assert [sample.name for sample in lasting(of_it).samples] == ["a_total", "h"]


counts = st.dictionaries(st.sampled_from(["a_total", "b_total", "c_total"]), st.integers(0, 100))


@given(st.lists(counts, min_size=1, max_size=4))
def test_the_order_of_processes_is_none(parts):
    snapshots = [snapshot(**part) for part in parts]
    assert sum_metrics(snapshots) == sum_metrics(snapshots[::-1])
