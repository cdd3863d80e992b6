"""Errors, warnings and documents as they go out."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry import NotFound, StatusDetails, TooManyRequests
from cacher.registry._errors import GroupResource
from cacher.server._answers import (
    WARNING_CUT,
    WARNINGS_LENGTH_MAX,
    compressed,
    document,
    error_response,
    is_pretty,
    page_not_found,
    warning_headers,
)
from cacher.server._metrics_text import metrics_text
from cacher.server._request import Head, read_head
from cacher.storage._metrics import MetricsRegistry


def head(*headers: tuple[bytes, bytes], query: str = "") -> Head:
    return read_head("GET", f"/x?{query}".encode(), headers)


def test_an_error_is_a_status_with_its_headers():
    error = TooManyRequests("not now", StatusDetails(retry_after_s=3))
    answer = error_response(error, head(), (("Audit-Id", "x"),))
    assert answer.status == 429
    assert ("Retry-After", "3") in answer.headers
    assert json.loads(answer.body)["details"] == {"retryAfterSeconds": 3}
    yaml = error_response(NotFound(GroupResource("", "pods"), "a"), head((b"accept", b"application/yaml")))
    assert (yaml.content_type, yaml.body.splitlines()[0]) == ("application/yaml", b"apiVersion: v1")
    assert page_not_found().body == b"404 page not found\n"


@pytest.mark.parametrize(
    ("headers", "query", "is_wanted"),
    [
        ([], "", False),
        ([], "pretty=true", True),
        ([], "pretty", True),
        ([(b"user-agent", b"curl/8")], "", True),
        ([(b"user-agent", b"curl/8")], "pretty=0", False),
        ([(b"user-agent", b"kubectl/1")], "", False),
    ],
)
def test_a_person_gets_an_answer_to_be_read(headers, query, is_wanted):
    assert is_pretty(head(*headers, query=query)) is is_wanted
    assert document({"a": [1]}, pretty=True) == b'{\n  "a": [\n    1\n  ]\n}\n'
    assert document({"a": [1]}) == b'{"a":[1]}\n'


def test_a_warning_is_told_once_and_one_that_no_header_can_carry_is_not():
    assert warning_headers(["a", "a", "", "b\nc", 'say "x\\y"', "ä"]) == (
        ("Warning", '299 - "a"'),
        ("Warning", r'299 - "say \"x\\y\""'),
        ("Warning", '299 - "ä"'),
    )


def test_many_warnings_are_cut_short_and_then_left_out():
    found = warning_headers([f"{number}:" + "x" * 1000 for number in range(100)])
    assert {len(value) for _, value in found} == {WARNING_CUT + len('299 - ""')}
    assert len(found) == WARNINGS_LENGTH_MAX // WARNING_CUT


@given(st.lists(st.binary(max_size=50), max_size=5), st.lists(st.binary(max_size=50), max_size=5))
def test_pieces_are_compressed_into_one_stream(first, more):
    assert gzip.decompress(b"".join(compressed(first, iter(more)))) == b"".join(first + more)


def test_metrics_are_text_by_name_with_cumulated_buckets():
    registry = MetricsRegistry()
    registry.counter("b_total", path='a"\\\n').value += 2
    registry.gauge("a_size").value = 1.5
    histogram = registry.histogram("c_seconds", (0.1, 1))
    for value in (0.05, 0.5, 5):
        histogram.observe(value)
    assert metrics_text([registry.snapshot()]) == (
        "# TYPE a_size gauge\na_size 1.5\n"
        '# TYPE b_total counter\nb_total{path="a\\"\\\\\\n"} 2\n'
        '# TYPE c_seconds histogram\nc_seconds_bucket{le="0.1"} 1\nc_seconds_bucket{le="1"} 2\n'
        'c_seconds_bucket{le="+Inf"} 3\nc_seconds_sum 5.55\nc_seconds_count 3\n'
    )
