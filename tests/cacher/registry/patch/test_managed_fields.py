"""managedFields: read, written, ordered, kept short, forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry.patch import FieldSet, fields, keeping_times
from cacher.registry.patch._managed_fields import (
    OLD_UPDATES,
    UPDATE_MANAGERS_MAX,
    Entry,
    Manager,
    applier,
    capped,
    decode,
    encode,
    is_reset,
    updater,
)


def entry(
    manager: str, *names: str, operation: str = "Update", time: str | None = "2026-01-01T00:00:00Z", **more: Any
) -> Any:
    out = {"manager": manager, "operation": operation, "apiVersion": "v1"}
    if time is not None:
        out["time"] = time
    return {**out, "fieldsType": "FieldsV1", "fieldsV1": {f"f:{name}": {} for name in names}, **more}


def test_entries_are_written_as_they_were_read_in_kubernetes_order():
    entries = [
        entry("z", "a", operation="Apply", time=None),
        entry("b", "a", operation="Apply"),
        entry("a", "a", time="2026-01-02T00:00:00Z"),
        entry("a", "a", time="2026-01-03T00:00:00Z", subresource="status"),
    ]
    assert encode(decode(list(reversed(entries)))) == entries
    assert [list(one) for one in encode(decode(entries))][3] == [
        "manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource",
    ]  # fmt: skip


def test_who_applies_has_one_entry_for_all_versions_and_who_updates_one_a_version():
    one, other = entry("m", "a", operation="Apply"), {**entry("m", "b", operation="Apply"), "apiVersion": "v2"}
    assert len(decode([one, other])) == 1
    assert len(decode([entry("m", "a"), {**entry("m", "b"), "apiVersion": "v2"}])) == 2
    assert applier("", "") == Manager("unknown", "Apply", "")
    assert updater("", "v1", "scale") == Manager("unknown", "Update", "v1", "scale")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"operation": "Delete"}, "operation must be `Apply` or `Update`"),
        ({"apiVersion": ""}, "apiVersion must not be empty"),
        ({"fieldsType": ""}, "missing fieldsType in managed fields entry 1"),
        ({"fieldsType": "FieldsV9"}, 'invalid fieldsType "FieldsV9" in managed fields entry 1'),
        ({"fieldsV1": {"x": {}}}, "no path element"),
    ],
)
def test_an_entry_that_is_none_is_refused(bad, problem):
    with pytest.raises(ValueError, match=problem):
        decode([entry("m", "a"), {**entry("n", "a"), **bad}])


def test_forgetting_is_said_by_an_empty_list_or_one_empty_entry():
    assert is_reset([])
    assert is_reset([{}])
    assert not any(map(is_reset, (None, [{}, {}], [entry("m", "a")], {})))


def many(count: int, version: str = "v1") -> dict[Manager, Entry]:
    return {
        updater(f"m{at:02}", version, ""): Entry(
            FieldSet.of([fields(f"f{at:02}")]), version, f"2026-01-{at + 1:02}T00:00:00Z"
        )
        for at in range(count)
    }


def test_more_updaters_than_are_kept_are_joined_oldest_first():
    assert capped(many(UPDATE_MANAGERS_MAX)) == many(UPDATE_MANAGERS_MAX)
    found = capped(many(UPDATE_MANAGERS_MAX + 2))
    assert len(found) == UPDATE_MANAGERS_MAX
    old = found[updater(OLD_UPDATES, "v1", "")]
    assert set(old.fields.to_json()) == {"f:f00", "f:f01", "f:f02"}
    assert old.time == "2026-01-03T00:00:00Z"


def test_the_bucket_is_joined_to_further_and_appliers_do_not_count():
    found = capped(many(UPDATE_MANAGERS_MAX + 1))
    more = {**found, updater("new", "v1", ""): Entry(FieldSet.of([fields("n")]), "v1", "2026-02-01T00:00:00Z")}
    again = capped({**more, applier("a", ""): Entry(FieldSet.of([fields("x")]), "v1")})
    assert len([one for one in again if one.operation == "Update"]) == UPDATE_MANAGERS_MAX
    assert set(again[updater(OLD_UPDATES, "v1", "")].fields.to_json()) == {"f:f00", "f:f01", "f:f02"}
    assert applier("a", "") in again


def test_a_bucket_that_is_not_the_oldest_is_joined_to_and_not_lost():
    same = {one: Entry(each.fields, each.api_version, "2026-01-01T00:00:00Z") for one, each in many(11).items()}
    early = {updater("aaa", "v1", ""): Entry(FieldSet.of([fields("a")]), "v1", "2026-01-01T00:00:00Z")}
    bucket = {updater(OLD_UPDATES, "v1", ""): Entry(FieldSet.of([fields("old")]), "v1", "2026-01-01T00:00:00Z")}
    found = capped({**early, **bucket, **same})
    assert len(found) == UPDATE_MANAGERS_MAX
    assert {path for one in found.values() for path in one.fields.paths()} == {
        fields("a"),
        fields("old"),
        *(fields(f"f{at:02}") for at in range(11)),
    }


def test_only_those_of_one_version_are_joined():
    mixed = {**many(6, "v1"), **many(6, "v2")}
    found = capped(mixed)
    assert {one.api_version for one in found if one.name == OLD_UPDATES} == {"v1", "v2"}
    apart = {updater("m", f"v{at}", ""): Entry(FieldSet.of([fields("a")]), f"v{at}", "t") for at in range(12)}
    assert len(capped(apart)) == 12


@given(st.integers(0, 25), st.integers(0, 25))
def test_no_field_is_lost_by_joining(one, other):
    managed = {**many(one, "v1"), **many(other, "v2")}
    found = capped(managed)

    def owned(entries: Any, version: str) -> set[Any]:
        return {path for each in entries.values() if each.api_version == version for path in each.fields.paths()}

    assert len(found) <= max(UPDATE_MANAGERS_MAX, 2)
    for version in ("v1", "v2"):
        assert owned(found, version) == owned(managed, version)


def test_times_alone_do_not_make_a_change():
    old = {"metadata": {"managedFields": [entry("m", "a")]}, "data": {"a": "1"}}
    later = {"metadata": {"managedFields": [entry("m", "a", time="2027-01-01T00:00:00Z")]}, "data": {"a": "1"}}
    assert keeping_times(old, later) == old
    changed = {**later, "data": {"a": "2"}}
    assert keeping_times(old, changed) == changed
    other = {"metadata": {"managedFields": [entry("m", "b", time="2027-01-01T00:00:00Z")]}, "data": {"a": "1"}}
    assert keeping_times(old, other) == other
    bare = {"metadata": {}, "data": {"a": "1"}}
    assert keeping_times(old, bare) == bare
