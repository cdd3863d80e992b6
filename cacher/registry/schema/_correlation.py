"""What stood in the old object where a value stands in the new one, as far as that can be said.

A map's value belongs to the old value of the same name; an item of a list with keys (x-kubernetes-list-type: map) to the item
with the same keys; any other item belongs to none.
Pure. Source: kubernetes/apiserver pkg/cel/common (equality.go, maplist.go).
"""

from __future__ import annotations

from ._go_text import compact, same
from ._structural import JSON, META_FIELDS, Schema


class Old:
    """A value, and what stood there before. Answers are kept, so all of them together cost O(value)."""

    __slots__ = ("_items", "_new", "_old", "_root", "_schema", "_unchanged", "_values")

    def __init__(self, schema: Schema | None, new: JSON, old: JSON, *, root: bool = False) -> None:
        self._schema = schema
        self._new = new
        self._old = old
        self._root = root
        self._values: dict[str, Old] | None = None
        self._items: dict[str, JSON] | None = None
        self._unchanged: bool | None = None

    def is_unchanged(self) -> bool:
        """Whether the value is as it was, as far as its schema knows what is in it; false where nothing stood there."""
        if self._schema is None:
            return False
        if self._unchanged is None:
            self._unchanged = self._compare()
        return self._unchanged

    def _compare(self) -> bool:
        new, old = self._new, self._old
        if isinstance(new, list) and isinstance(old, list):
            return len(new) == len(old) and self._compare_items(new, old)
        if isinstance(new, dict) and isinstance(old, dict):
            return len(new) == len(old) and all(self._below(name).is_unchanged() for name in new)
        if isinstance(new, list | dict) or isinstance(old, list | dict):
            return False
        return type(new) is type(old) and bool(new == old)

    def _compare_items(self, new: list[JSON], old: list[JSON]) -> bool:
        if self._schema is not None and self._schema.list_type == "map":
            return all(self.item(at).is_unchanged() for at in range(len(new)))
        return same(new, old)

    def value(self, name: str) -> Old:
        """Of a map's value. An object's own kind and apiVersion belong to no old ones."""
        return UNRELATED if self._root and name in META_FIELDS[:2] else self._below(name)

    def _below(self, name: str) -> Old:
        if self._values is None:
            self._values = {}
        if name not in self._values:
            schema = self._schema.child(name) if self._schema is not None else None
            is_known = schema is not None and isinstance(self._new, dict) and isinstance(self._old, dict)
            if is_known and name in self._new and name in self._old:
                self._values[name] = Old(schema, self._new[name], self._old[name])
            else:
                self._values[name] = UNRELATED
        return self._values[name]

    def item(self, at: int) -> Old:
        """Of an item of a list."""
        if self._schema is None or self._schema.items is None or not isinstance(self._old, list):
            return UNRELATED
        old = self._old_item(self._new[at])
        return UNRELATED if old is None else Old(self._schema.items, self._new[at], old)

    def _old_item(self, item: JSON) -> JSON:
        if self._schema is None or self._schema.list_type != "map":
            return None
        if self._items is None:
            self._items = items_by_keys(self._schema, self._old)
        keys = item_keys(self._schema, item)
        return None if keys is None else self._items.get(keys)


UNRELATED = Old(None, None, None)
"""A value that nothing stood in the place of: it is judged as it is."""


def item_keys(schema: Schema, item: JSON) -> str | None:
    """What tells an item of a list with keys from the others; None where it lacks one of them."""
    if not isinstance(item, dict):
        return None
    keys = [item.get(name) for name in schema.list_map_keys]
    return compact(keys) if all(isinstance(one, str | bool | int | float) for one in keys) else None


def items_by_keys(schema: Schema, items: JSON) -> dict[str, JSON]:
    """The items of a list by their keys; the first of those that share them."""
    found: dict[str, JSON] = {}
    for item in items if isinstance(items, list) else ():
        keys = item_keys(schema, item)
        if keys is not None:
            found.setdefault(keys, item)
    return found
