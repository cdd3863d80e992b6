"""What a run came to, made comparable with another run: under names that do not depend on seeds, and without times. Pure.

    uid of what has its own name    ─► uid of /registry/pods/default/web-0
    a name that the API made up     ─► <its owner's name>/pods~0, by what is said in it, then by the order of creation
    a time of day                   ─► <time>
    a revision                      is in no stored object

Nothing else is masked: what else differs was done differently. Events and leases are about moments, and left out.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from watch import Object

from ._acts import MOMENTS, EndState
from ._history import History

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


def end_state(history: History) -> EndState:
    """The end state of a run. Cost: O(size of all versions)."""
    lives = _Lives(history)
    names = _Names(lives)
    objects = {names.of(obj.uid): names.masked(obj) for obj in lives.present}
    return EndState(
        objects=dict(sorted(objects.items())),
        creations=_counted([names.place_of(uid) for uid in lives.created]),
        deletions=_counted([names.place_of(uid) for uid in lives.deleted]),
    )


def agreed(one: EndState, other: EndState) -> EndState:
    """`one`, with what `other` has otherwise marked as unstable: two runs of the same without a fault."""
    unstable = {
        name
        for mine, theirs in (
            (one.objects, other.objects),
            (one.creations, other.creations),
            (one.deletions, other.deletions),
        )
        for name in {*mine, *theirs}
        if mine.get(name) != theirs.get(name)
    }
    return msgspec.structs.replace(one, unstable=tuple(sorted(unstable)))


def _counted(names: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))


class _Lives:
    """Every object that there was, by uid, in the order of creation."""

    def __init__(self, history: History) -> None:
        self.versions: dict[str, Object] = {}
        """The last version of each uid."""
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.current: dict[str, str] = {}
        """The uid that each key has now."""
        changes = [
            (change.revision, change)
            for prefix, store in history.stores.items()
            if not prefix.startswith(MOMENTS)
            for change in store.changes
        ]
        for _, change in sorted(changes, key=lambda one: one[0]):
            if change.object is None:
                self.deleted.append(self.current.pop(change.key))
                continue
            uid = change.object.uid
            if uid not in self.versions:
                self.created.append(uid)
            self.versions[uid] = change.object
            self.current[change.key] = uid
        self.present = [self.versions[uid] for uid in self.current.values()]


class _Names:
    """Names of all objects, from the owners down."""

    def __init__(self, lives: _Lives) -> None:
        self._lives = lives
        self._parsed = {uid: obj.parse() for uid, obj in lives.versions.items()}
        self._names: dict[str, str] = {}
        self._words: dict[str, str] = {}
        for uid in lives.created:
            self._name(uid, ())
        self._number()
        words = sorted(filter(None, self._words), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def of(self, uid: str) -> str:
        """The name of an object that is there."""
        return self._names[uid]

    def place_of(self, uid: str) -> str:
        """Its name, or, where that was made up, that of all of its owner's such children."""
        return self._names[uid].partition("~")[0]

    def masked(self, obj: Object) -> bytes:
        """The object's JSON in canonical form."""
        value = msgspec.json.decode(self._replaced(obj.raw.decode()))
        return msgspec.json.encode(value, order="deterministic")

    def _replaced(self, text: str) -> str:
        text = _TIME.sub("<time>", text)
        return self._pattern.sub(lambda found: self._words[found[0]], text) if self._pattern is not None else text

    def _name(self, uid: str, seen: tuple[str, ...]) -> str:
        """Named after its owner, where its own name was made up. Owners in a ring, which only a mistake makes, name nobody."""
        known = self._names.get(uid)
        if known is not None:
            return known
        obj = self._lives.versions[uid]
        if not _is_made_up(self._parsed[uid]):
            name = obj.key
        else:
            folder = obj.key.rpartition("/")[0]
            owner = _owner_uid(self._parsed[uid])
            above = self._name(owner, (*seen, uid)) if owner in self._lives.versions and owner not in seen else folder
            name = f"{above}/{folder.split('/')[2]}~"
        self._names[uid] = name
        is_current = self._lives.current.get(obj.key) == uid
        self._words[uid] = f"uid of {name}" if is_current or "~" in name else f"uid of an earlier {name}"
        return name

    def _number(self) -> None:
        """Those of one owner are told apart by what is said in them, then by the order in which they were made."""
        groups: dict[str, list[str]] = {}
        order = {uid: number for number, uid in enumerate(self._lives.created)}
        for uid in self._lives.created:
            if self._names[uid].endswith("~"):
                groups.setdefault(self._names[uid], []).append(uid)
                self._words[self._lives.versions[uid].name] = "~"
        for name, uids in groups.items():
            present = [uid for uid in uids if self._lives.current.get(self._lives.versions[uid].key) == uid]
            present.sort(key=lambda uid: (self._said(uid), order[uid]))
            for number, uid in enumerate(present):
                self._names[uid] = f"{name}{number}"
            for uid in uids:
                obj = self._lives.versions[uid]
                self._words[uid] = f"uid of {self._names[uid]}"
                self._words[obj.name] = self._names[uid].rpartition("/")[2]

    def _said(self, uid: str) -> str:
        obj = self._lives.versions[uid]
        text = _TIME.sub("<time>", obj.raw.decode())
        return text.replace(uid, "~").replace(obj.name, "~")


def _is_made_up(obj: dict[str, Any]) -> bool:
    """Whether the API made its name up."""
    metadata = obj.get("metadata") or {}
    stem = metadata.get("generateName")
    return bool(stem) and str(metadata.get("name", "")).startswith(str(stem))


def _owner_uid(obj: dict[str, Any]) -> str:
    owners = (obj.get("metadata") or {}).get("ownerReferences") or ()
    chosen = sorted(owners, key=lambda one: not one.get("controller"))
    return str(chosen[0].get("uid")) if chosen else ""
