"""Objects are bytes with a head: the raw JSON as stored, and the few fields that lists, watches and selectors look at.

Decoding a pod of 3.5–6 KB whole costs a dict of several times its size and pauses of the garbage collector; the head costs
one pass over the bytes and a handful of strings. Whoever needs more calls `Object.parse()` and pays then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ._errors import ObjectDecodeError

FieldValue = str | int | float | bool | None
"""What a selectable field holds in JSON."""

_NO_LABELS: dict[str, str] = {}
_NO_FIELDS: dict[str, str] = {}

SHARED_MAX = 4_096
"""Different label sets, or sets of field values, that a reader keeps to share: about 2 MB."""

# Fields that every object has in its head anyway; an ObjectReader need not be told of them.
METADATA_FIELDS = ("metadata.name", "metadata.namespace")


class _Metadata(msgspec.Struct, frozen=True, gc=False):
    """The part of `metadata` that every reader wants. Members not named here are skipped unread."""

    name: str | None = ""
    namespace: str | None = ""
    uid: str | None = ""
    labels: dict[str, str] | None = None


class Object(msgspec.Struct, frozen=True, gc=False):
    """One version of one stored object. Immutable and shared by all readers: never change `labels` or `fields`.

    `gc=False`: an Object refers only to strings and flat dicts, so it can be no part of a cycle, and the collector need not
    look at it (100,000 of them would otherwise cost a pause of 0.1 s).
    """

    key: str
    """The storage key, such as `/registry/pods/default/web-1`."""
    revision: int
    """The revision that wrote this version; in a DELETED event, the revision of the deletion."""
    raw: bytes
    """The JSON as stored: without `metadata.resourceVersion`, which is the revision."""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = _NO_LABELS
    fields: dict[str, str] = _NO_FIELDS
    """The values of the resource's selectable fields, as text; absent means empty."""

    @property
    def resource_version(self) -> str:
        """The revision as the API writes it."""
        return str(self.revision)

    def field(self, path: str) -> str:
        """The value of a selectable field as text, "" where the object has none."""
        if path == "metadata.name":
            return self.name
        if path == "metadata.namespace":
            return self.namespace
        return self.fields.get(path, "")

    def parse(self) -> dict[str, Any]:
        """The whole object as stored, decoded anew at each call: yours to change. Cost: O(size), about 10 µs for a pod."""
        value: dict[str, Any] = msgspec.json.decode(self.raw)
        return value

    def to_dict(self) -> dict[str, Any]:
        """The whole object as the API shows it: `parse()` with `metadata.resourceVersion` filled in from the revision."""
        value = self.parse()
        metadata = value["metadata"] = value.get("metadata") or {}
        metadata["resourceVersion"] = str(self.revision)
        return value

    def at_revision(self, revision: int) -> Object:
        """The same bytes and head under another revision: what a DELETED event carries. Cost: O(1), nothing is copied."""
        return Object(self.key, revision, self.raw, self.name, self.namespace, self.uid, self.labels, self.fields)


class ObjectReader:
    """Makes Objects from stored bytes for one resource, decoding the head and the resource's selectable fields alone.

    Args:
        fields: paths below the top of the object, such as `spec.nodeName`. A member that is no scalar counts as absent.
        absent: what an absent field counts as, where that is not "": Kubernetes selects on "false" and "0", not on nothing.
        read_from: where the value of a field is that is not called as it stands in the object: paths, of which the first
            counts that has something.
    """

    def __init__(
        self,
        fields: Sequence[str] = (),
        *,
        absent: Mapping[str, str] | None = None,
        read_from: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.fields: tuple[str, ...] = tuple(path for path in fields if path not in METADATA_FIELDS)
        places = [(path, place) for path in self.fields for place in reversed((read_from or {}).get(path, (path,)))]
        tree = _tree([place for _, place in places])
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            _head_type("Head", tree, metadata=True), strict=True
        )
        self._values: Callable[[Any], dict[str, str]] = _extractor(tree, places, dict(absent or {}))
        self._shared_labels = _Shared()
        self._shared_fields = _Shared()
        self._namespace = ""

    def read(self, key: str, raw: bytes, revision: int) -> Object:
        """The object stored under `key`.

        Raises:
            ObjectDecodeError: `raw` is not a JSON object, or its metadata has members of the wrong type.
        Cost: O(size of raw), about 1 µs a KB. Equal labels and fields of different objects are mostly one dict.
        """
        try:
            head = self._decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ObjectDecodeError(key, revision, str(error)) from error
        meta: _Metadata = head.metadata or _Metadata()
        fields = self._shared_fields.of(self._values(head)) if self.fields else _NO_FIELDS
        labels = self._shared_labels.of(meta.labels) if meta.labels else _NO_LABELS
        name, namespace, uid = meta.name or "", meta.namespace or "", meta.uid or ""
        if namespace == self._namespace:
            namespace = self._namespace  # lists come in order of their keys: one text for all of a namespace
        else:
            self._namespace = namespace
        return Object(key, revision, raw, name, namespace, uid, labels, fields)


class _Shared:
    """Equal dicts made one: most objects have their labels from a template, and the versions of an object from the one before.

    Holds SHARED_MAX dicts; then it forgets them, and where half of those asked about were new, it gives up for good.
    """

    __slots__ = ("_asked", "_is_worth_it", "_known")

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], dict[str, str]] = {}  # by the names, then the values
        self._asked = 0
        self._is_worth_it = True

    def of(self, found: dict[str, str]) -> dict[str, str]:
        """`found`, or an equal one that was found before. Cost: O(its size), about 0.3 µs."""
        if not self._is_worth_it:
            return found
        self._asked += 1
        items = (*found, *found.values())
        known = self._known.get(items)
        if known is not None:
            return known
        if len(self._known) >= SHARED_MAX:
            self._known.clear()
            self._is_worth_it = self._asked > 2 * SHARED_MAX
            self._asked = 0
        if self._is_worth_it:
            self._known[items] = found
        return found


_Tree = dict[str, Any]  # a path's segments, nested; a leaf is None


def _tree(paths: Sequence[str]) -> _Tree:
    root: _Tree = {}
    for path in paths:
        *parents, leaf = path.split(".")
        node = root
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = None
    return root


def _head_type(name: str, tree: _Tree, *, metadata: bool = False) -> type[msgspec.Struct]:
    """A Struct with a member a segment. Members are numbered, since a JSON name need not be a Python one."""
    members: list[tuple[str, Any, Any]] = [("metadata", _Metadata | None, None)] if metadata else []
    renames = {"metadata": "metadata"} if metadata else {}
    for index, (segment, below) in enumerate(tree.items()):
        kind: Any = FieldValue | dict[str, Any] | list[Any] if below is None else (_head_type(segment, below) | None)
        members.append((f"f{index}", kind, None))
        renames[f"f{index}"] = segment
    return msgspec.defstruct(name, members, rename=renames, frozen=True, gc=False)


def _extractor(
    tree: _Tree, places: Sequence[tuple[str, str]], absent: dict[str, str]
) -> Callable[[Any], dict[str, str]]:
    """A function from a decoded head to its field values. What has none is left out, unless `absent` names its value.

    Of the places of a field the last one counts that has something.
    """
    ways = [(path, _way(tree, place)) for path, place in places]

    def values(head: Any) -> dict[str, str]:
        found = absent.copy()
        for path, way in ways:
            node = head
            for member in way:
                node = getattr(node, member)
                if node is None:
                    break
            else:
                if type(node) is str:
                    if node or path not in found:
                        found[path] = node
                elif not isinstance(node, (dict, list)):
                    found[path] = _text(node)
        return found

    return values


def _way(tree: _Tree, path: str) -> tuple[str, ...]:
    way = []
    node: Any = tree
    for segment in path.split("."):
        way.append(f"f{list(node).index(segment)}")
        node = node[segment]
    return tuple(way)


def _text(value: FieldValue) -> str:
    """A scalar as field selectors compare it: JSON's own spelling of numbers and booleans."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def read_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """A private copy of `labels` fit for an Object; the shared empty dict where there are none."""
    return dict(labels) if labels else _NO_LABELS
