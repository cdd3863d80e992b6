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

    __slots__ = ("_items", "_new", "_old", "_root", "_schema", "_unchanged")

    def __init__(self, schema: Schema | None, new: JSON, old: JSON, *, root: bool = False) -> None:
        self._schema = schema
        self._new = new
        self._old = old
        self._root = root
        self._items: dict[str, JSON] | None = None
        self._unchanged: bool | None = None

    def is_unchanged(self) -> bool:
        """Whether the value is as it was; false where nothing stood there, or it cannot be known."""
        if self._schema is None:
            return False
        if self._unchanged is None:
            self._unchanged = same(self._new, self._old)
        return self._unchanged

    def within(self) -> Old:
        """The same, for the parts of a restriction: their values are correlated, the whole is not."""
        return self if self._schema is None else _Within(self)

    def value(self, name: str) -> Old:
        """Of a map's value. An object's own kind and apiVersion belong to no old ones."""
        schema = self._schema.child(name) if self._schema is not None else None
        if schema is None or not isinstance(self._new, dict) or not isinstance(self._old, dict):
            return UNRELATED
        if name not in self._old or (self._root and name in META_FIELDS[:2]):
            return UNRELATED
        return Old(schema, self._new[name], self._old[name])

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


class _Within(Old):
    __slots__ = ("_of",)

    def __init__(self, of: Old) -> None:
        super().__init__(of._schema, of._new, of._old, root=of._root)
        self._of = of

    def is_unchanged(self) -> bool:
        return False

    def within(self) -> Old:
        return self

    def value(self, name: str) -> Old:
        return self._of.value(name)

    def item(self, at: int) -> Old:
        return self._of.item(at)


UNRELATED = Old(None, None, None)
"""A value that nothing stood in the place of: it is judged as it is."""


def item_keys(schema: Schema, item: JSON) -> str | None:
    """What tells an item of a list with keys from the others; None where it has no such thing."""
    if not isinstance(item, dict):
        return None
    return compact([_key(schema, name, item) for name in schema.list_map_keys])


def _key(schema: Schema, name: str, item: dict[str, JSON]) -> JSON:
    return [item[name]] if name in item else []


def items_by_keys(schema: Schema, items: JSON) -> dict[str, JSON]:
    """The items of a list by their keys; the first of those that share them."""
    found: dict[str, JSON] = {}
    for item in items if isinstance(items, list) else ():
        keys = item_keys(schema, item)
        if keys is not None:
            found.setdefault(keys, item)
    return found
