"""The table of wire types: it can be read, and its parts fit each other and the table that merges go by."""

from __future__ import annotations

import pytest

from cacher.registry.patch import Type, kind_type
from cacher.server._wire_types import SCALARS, SPECIAL, parse_fields, wire_types

KINDS = [(version, kind) for version, kinds in wire_types().kinds.items() for kind in kinds]


def test_every_type_that_a_field_names_is_in_the_table():
    known = {*SCALARS, *SPECIAL, *wire_types().types}
    fields = [(type_.name, field) for type_ in wire_types().types.values() for field in type_.fields]
    assert [(name, field.name) for name, field in fields if field.element not in known] == []
    assert {kind for _, kind in KINDS} <= set(wire_types().types)


def test_no_two_fields_of_a_type_have_one_number_or_one_name():
    for type_ in wire_types().types.values():
        numbers = [field.number for field in type_.fields]
        names = [field.name for field in wire_types().fields_in_json(type_.name)]
        assert len(numbers) == len(set(numbers)), type_.name
        assert len(names) == len(set(names)), type_.name


@pytest.mark.parametrize(("version", "kind"), [known for known in KINDS if kind_type(*known) is not None])
def test_both_tables_have_the_same_fields_of_a_kind(version, kind):
    """Two tables of the same facts, each from another place: where they disagree, one of them is wrong."""
    waiting: list[tuple[str, Type | None]] = [(kind, kind_type(version, kind))]
    seen: set[str] = set()
    while waiting:
        name, type_ = waiting.pop()
        if name in seen or name not in wire_types().types or type_ is None or type_.map is None or not type_.map.fields:
            continue
        seen.add(name)
        fields = {field.name: field for field in wire_types().fields_in_json(name)}
        of_its_own = {"apiVersion", "kind"}  # what an object says of itself stands beside it in protobuf
        assert set(fields) | of_its_own == set(type_.map.fields) | of_its_own, name
        for field in fields.values():
            own = type_.map.fields[field.name].type
            inner: Type | None = own
            if field.is_list:
                inner = own.list.element if own.list is not None else None
            elif field.is_map:
                inner = own.map.element if own.map is not None else None
            waiting.append((field.element, inner))


def test_a_field_that_cannot_be_read_is_told():
    with pytest.raises(ValueError, match="cannot be read: name=x:s"):
        parse_fields("name=x:s")
