"""Parameters as Kubernetes reads them, and which of them exclude each other."""

from __future__ import annotations

import pytest

from cacher.registry import BadRequest, Invalid
from cacher.server._query import (
    TIMEOUT_MAX_S,
    check_list,
    check_watch,
    duration_s,
    is_true,
    manager_of,
    read_integer,
    read_list_query,
    timeout_of,
    with_defaults,
    write_options,
)
from cacher.server._request import Head, read_head


def head(query: str = "") -> Head:
    return read_head("GET", f"/x?{query}".encode(), [])


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-5", -5), ("+7", 7), ("9223372036854775807", 2**63 - 1)])
def test_a_number_is_read(text, value):
    assert read_integer(text) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "invalid syntax"),
        ("1.5", "invalid syntax"),
        ("1_0", "invalid syntax"),
        (" 1", "invalid syntax"),
        ("٣", "invalid syntax"),
        ("9223372036854775808", "value out of range"),
        ("-9223372036854775809", "value out of range"),
        ("9" * 5000, "value out of range"),
    ],
)
def test_what_is_no_number_is_refused_in_gos_words(text, problem):
    with pytest.raises(BadRequest, match=problem):
        read_integer(text)


@pytest.mark.parametrize(
    ("text", "value"), [("", True), ("1", True), ("maybe", True), ("False", False), ("0", False), ("FALSE", False)]
)
def test_a_boolean_is_true_unless_it_says_otherwise(text, value):
    assert is_true(text) is value


def test_a_watch_from_anywhere_begins_with_the_state():
    plain = with_defaults(read_list_query(head("watch=1")))
    assert (plain.send_initial_events, plain.match) == (True, "NotOlderThan")
    assert with_defaults(read_list_query(head("resourceVersion=0"))).send_initial_events is True
    assert with_defaults(read_list_query(head("resourceVersion=7"))).send_initial_events is None
    assert with_defaults(read_list_query(head("sendInitialEvents=false"))).match == ""


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("resourceVersionMatch=Exact", ["resourceVersionMatch"]),
        ("resourceVersionMatch=Exact&resourceVersion=0", ["resourceVersionMatch"]),
        ("resourceVersionMatch=X&continue=c", ["resourceVersionMatch"] * 3),
        ("sendInitialEvents=false", ["sendInitialEvents"]),
        ("resourceVersionMatch=Exact&resourceVersion=5", []),
    ],
)
def test_a_list_is_refused_for_what_contradicts_itself(query, fields):
    try:
        check_list(read_list_query(head(query)))
    except Invalid as error:
        assert [cause.field for cause in error.causes] == fields
    else:
        assert fields == []


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("sendInitialEvents=true", 1),
        ("resourceVersionMatch=NotOlderThan", 1),
        ("sendInitialEvents=true&resourceVersionMatch=Exact", 2),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=c", 1),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 0),
        ("continue=c&limit=5", 0),
    ],
)
def test_a_watch_is_refused_for_what_contradicts_itself(query, count):
    try:
        check_watch(read_list_query(head(query)))
    except Invalid as error:
        assert len(error.causes) == count
    else:
        assert count == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("1m30s", 90), ("1.5h", 5400), ("100ms", 0.1), ("0", 0), ("-2s", -2), (".5s", 0.5)]
)
def test_a_duration_is_read_as_go_writes_it(text, seconds):
    assert duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("s", 'time: invalid duration "s"'),
        ("1s.", 'time: invalid duration "1s."'),
    ],
)
def test_what_is_no_duration_is_told_in_gos_words(text, problem):
    with pytest.raises(ValueError) as raised:
        duration_s(text)
    assert str(raised.value) == problem


@pytest.mark.parametrize(("query", "seconds"), [("", 60), ("timeout=5s", 5), ("timeout=0s", 60), ("timeout=2h", 60)])
def test_a_request_takes_a_minute_at_most(query, seconds):
    assert timeout_of(head(query)) == seconds
    assert TIMEOUT_MAX_S == 60


def test_a_timeout_that_is_none_is_refused():
    with pytest.raises(BadRequest, match="invalid timeout specified in the request URL - time: invalid duration"):
        timeout_of(head("timeout=abc"))


@pytest.mark.parametrize(
    ("agent", "manager"), [("kubectl/v1.37 (linux)", "kubectl"), ("", ""), ("a\x00b/1", "ab"), ("é" * 100, "é" * 64)]
)
def test_who_names_no_manager_is_called_by_its_program(agent, manager):
    assert manager_of(agent) == manager


def test_options_of_writes_are_kept_as_they_came():
    found = write_options(head("dryRun=All&dryRun=Some&fieldManager=me&fieldValidation=Strict"))
    assert found == {"dry_run": ["All", "Some"], "field_manager": "me", "field_validation": "Strict"}
