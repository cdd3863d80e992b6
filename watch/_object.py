"""Objects are bytes with a head: the raw JSON as stored, and the few fields that lists, watches and selectors look at.

Decoding a pod of 3.5–6 KB whole costs a dict of several times its size and pauses of the garbage collector; the head costs
one pass over the bytes and a handful of strings. Whoever needs more calls `Object.parse()` and pays then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, final

import msgspec
from msgspec.structs import astuple

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
    labels: msgspec.Raw = msgspec.Raw(b"")
    """As they are written: most objects have labels that were read before, and need no second reading."""


_NO_METADATA = _Metadata()
_decode_labels: Callable[[bytes], dict[str, str] | None] = msgspec.json.Decoder(dict[str, str] | None).decode


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
        renamed = {path: tuple(read_from[path]) for path in self.fields if read_from and path in read_from}
        tree = _tree([place for path in self.fields for place in renamed.get(path, (path,))])
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(
            _head_type("Head", tree, metadata=True), strict=True
        ).decode
        self._shared_labels = _SharedLabels()
        self._fields = _SharedFields(tree, dict(absent or {}), renamed, self.fields) if tree else None
        self._namespace = ""

    def read(self, key: str, raw: bytes, revision: int) -> Object:
        """The object stored under `key`.

        Raises:
            ObjectDecodeError: `raw` is not a JSON object, or its metadata has members of the wrong type.
        Cost: O(size of raw), about 1 µs a KB. Labels written alike and equal fields of different objects are mostly one
        dict.
        """
        try:
            head = self._decode(raw)
            meta: _Metadata = head.metadata or _NO_METADATA
            labels = self._shared_labels.of(bytes(meta.labels)) if meta.labels else _NO_LABELS
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ObjectDecodeError(key, revision, str(error)) from error
        fields = self._fields.of(head) if self._fields is not None else _NO_FIELDS
        namespace = meta.namespace or ""
        if namespace == self._namespace:
            namespace = self._namespace  # lists come in order of their keys: one text for all of a namespace
        else:
            self._namespace = namespace
        return Object(key, revision, raw, meta.name or "", namespace, meta.uid or "", labels, fields)


class _Shared:
    """Equal dicts made one: most objects have their labels from a template, and the versions of an object from the one before.

    Holds SHARED_MAX dicts; then it forgets them, and where half of those asked about were new, it gives up for good.
    """

    __slots__ = ("_asked", "_is_worth_it", "_known")

    def __init__(self) -> None:
        self._known: dict[Any, dict[str, str]] = {}  # empty, once it has been given up
        self._asked = 0
        self._is_worth_it = True

    def _keep(self, key: Any, found: dict[str, str]) -> dict[str, str]:
        if len(self._known) >= SHARED_MAX:
            self._known.clear()
            self._is_worth_it = self._asked > 2 * SHARED_MAX
            self._asked = 0
        if self._is_worth_it:
            self._known[key] = found
        return found


@final
class _SharedLabels(_Shared):
    """Label dicts by the JSON that they are read from. Labels written in another order are another dict."""

    __slots__ = ()

    def of(self, text: bytes) -> dict[str, str]:
        """What `text` says, or an equal one that was read before. Cost: O(its size), about 0.1 µs where it is known.

        Raises:
            msgspec.DecodeError, UnicodeDecodeError: it is no object of strings.
        """
        self._asked += 1
        known = self._known.get(text)
        if known is not None:
            return known
        try:
            found = _decode_labels(text) or _NO_LABELS
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"metadata.labels: {error}") from error
        return self._keep(text, found) if self._is_worth_it else found


@final
class _SharedFields(_Shared):
    """The field values of decoded heads: worked out once for all that have the same."""

    __slots__ = ("_parts", "_values")

    def __init__(
        self, tree: _Tree, absent: dict[str, str], renamed: dict[str, tuple[str, ...]], fields: tuple[str, ...]
    ) -> None:
        super().__init__()
        values = _extractor(tree, absent)
        self._values = _renaming(values, renamed, fields) if renamed else values
        self._parts = attrgetter(*(f"f{index}" for index in range(len(tree))))

    def of(self, head: Any) -> dict[str, str]:
        """The values of `head`. Cost: O(fields), about 0.2 µs where they are known and 1 µs where not."""
        if not self._is_worth_it:
            return self._values(head)[0]
        self._asked += 1
        key = self._parts(head)
        try:
            known = self._known.get(key)
        except TypeError:  # a list or an object where a scalar is meant
            return self._values(head)[0]
        if known is not None:
            return known
        found, are_texts = self._values(head)
        # Only texts are kept: 1, 1.0 and true are equal as keys, and are not as fields.
        return self._keep(key, found) if are_texts else found


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
    """A Struct with a member a segment, leaves last. Members are numbered, since a JSON name need not be a Python one."""
    members: list[tuple[str, Any, Any]] = [("metadata", _Metadata | None, None)] if metadata else []
    renames = {"metadata": "metadata"} if metadata else {}
    ordered = sorted(tree.items(), key=lambda item: item[1] is None)
    for index, (segment, below) in enumerate(ordered):
        kind: Any = FieldValue | dict[str, Any] | list[Any] if below is None else (_head_type(segment, below) | None)
        members.append((f"f{index}", kind, None))
        renames[f"f{index}"] = segment
    return msgspec.defstruct(name, members, rename=renames, frozen=True, gc=False)


def _extractor(tree: _Tree, absent: dict[str, str]) -> Callable[[Any], tuple[dict[str, str], bool]]:
    """A function from a decoded head to its field values, and whether all are texts. What has none is left out, unless
    `absent` names its value.

    The members of a struct are read at once: one by one they would cost more than decoding them did.
    """
    groups = list(_groups(tree))

    def values(head: Any) -> tuple[dict[str, str], bool]:
        found, are_texts = absent.copy(), True
        for way, first, paths in groups:
            node = head
            for member in way:
                node = getattr(node, member)
                if node is None:
                    break
            else:
                for path, value in zip(paths, astuple(node)[first:], strict=False):
                    if value is None:
                        continue
                    if type(value) is str:
                        found[path] = value
                    else:
                        are_texts = False
                        if not isinstance(value, (dict, list)):
                            found[path] = _text(value)
        return found, are_texts

    return values


def _renaming(
    values: Callable[[Any], tuple[dict[str, str], bool]], renamed: dict[str, tuple[str, ...]], fields: tuple[str, ...]
) -> Callable[[Any], tuple[dict[str, str], bool]]:
    """The same, where some fields are called otherwise than the places that they are read from."""
    only_read = [place for places in renamed.values() for place in places if place not in fields]

    def named(head: Any) -> tuple[dict[str, str], bool]:
        found, are_texts = values(head)
        for path, places in renamed.items():
            for place in places:
                if value := found.get(place):
                    found[path] = value
                    break
        for place in only_read:
            found.pop(place, None)
        return found, are_texts

    return named


def _groups(
    tree: _Tree, way: tuple[str, ...] = (), above: str = ""
) -> Iterator[tuple[tuple[str, ...], int, tuple[str, ...]]]:
    """For each struct with leaves: the members that lead to it, its first leaf's place, and the paths of its leaves, in order."""
    leaves = tuple(f"{above}{segment}" for segment, below in tree.items() if below is None)
    parents = [(segment, below) for segment, below in tree.items() if below is not None]
    if leaves:
        yield way, len(parents) + (not way), leaves
    for index, (segment, below) in enumerate(parents):
        yield from _groups(below, (*way, f"f{index}"), f"{above}{segment}.")


def _text(value: FieldValue) -> str:
    """A scalar as field selectors compare it: JSON's own spelling of numbers and booleans."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def read_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """A private copy of `labels` fit for an Object; the shared empty dict where there are none."""
    return dict(labels) if labels else _NO_LABELS
