"""cacher._look_text: columns, outlines, and nothing that a terminal would obey."""

from __future__ import annotations

from typing import Any

from cacher._look_text import LAST_APPLIED, Columns, outline, table_of, without_managed_fields

DEFINITIONS: list[dict[str, Any]] = [
    {"name": "Name", "format": "name"},
    {"name": "Ready"},
    {"name": "IP", "priority": 1},
]


def row(name: str, *cells: object, namespace: str = "team") -> dict[str, object]:
    return {"cells": [name, *cells], "object": {"metadata": {"name": name, "namespace": namespace}}}


def test_columns_are_as_wide_as_their_widest_cell_with_three_spaces_between():
    lines = list(Columns(DEFINITIONS).lines([row("a", "1/1", "x"), row("longer", "0/1", "y")]))
    assert lines == ["NAME     READY", "a        1/1", "longer   0/1"]


def test_wide_shows_all_columns_and_a_list_of_all_namespaces_begins_with_theirs():
    lines = list(Columns(DEFINITIONS, is_wide=True, with_namespace=True).lines([row("a", True, None)]))
    assert lines == ["NAMESPACE   NAME   READY   IP", "team        a      true    <none>"]


def test_rows_that_come_later_keep_the_columns_of_the_first_ones():
    columns = Columns(DEFINITIONS)
    first = list(columns.lines([row("abc", "1/1", "")]))
    later = list(columns.lines([row("a", "0/1", "")], with_header=False))
    assert [line.index("/") for line in (first[1], later[0])] == [8, 8]


def test_a_name_may_say_what_it_is_of():
    assert list(Columns(DEFINITIONS, prefix="pod/").lines([row("a", 1)], with_header=False)) == ["pod/a   1"]


def test_a_cell_cannot_move_the_cursor():
    text = "".join(Columns(DEFINITIONS).lines([row("a\x1b[2J\n", "\x9b2J", "")]))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert "\\x1b[2J\\n" in text


def test_objects_without_a_table_of_the_servers_have_names_and_times():
    table = table_of([{"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}}])
    assert list(Columns(table["columnDefinitions"]).lines(table["rows"]))[1] == "a      2026-01-01T00:00:00Z"


def test_managed_fields_are_left_out_and_nothing_is_changed():
    obj = {"metadata": {"name": "a", "managedFields": [1]}}
    assert without_managed_fields(obj) == {"metadata": {"name": "a"}}
    assert obj["metadata"]["managedFields"] == [1]


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "team",
        "labels": {"app": "web"},
        "annotations": {LAST_APPLIED: "all of it", "note": "x"},
        "managedFields": [1],
        "resourceVersion": "7",
    },
    "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx", "args": []}], "hostIPC": False},
}


def test_an_object_is_told_as_an_outline_with_its_events():
    event = {
        "type": "Normal",
        "reason": "Pulled",
        "lastTimestamp": "t",
        "source": {"component": "k"},
        "message": "a\nb",
    }
    assert list(outline(POD, [event])) == [
        "Name:         web-1",
        "Namespace:    team",
        "Labels:       app=web",
        "Annotations:  note: x",
        "API Version:  v1",
        "Kind:         Pod",
        "Metadata:",
        "  Resource Version:  7",
        "Spec:",
        "  Containers:",
        "    - Args:  <none>",
        "      Image:  nginx",
        "      Name:  c",
        "  Host IPC:  false",
        "  Node Name:  n1",
        "Events:",
        "  TYPE     REASON   LAST SEEN   FROM   MESSAGE",
        "  Normal   Pulled   t           k      a b",
    ]


def test_of_a_secret_the_sizes_alone_are_told():
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"key": "c2VjcmV0"}}
    text = "\n".join(outline(secret))
    assert "c2VjcmV0" not in text
    assert "key:  6 bytes" in text
