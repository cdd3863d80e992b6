"""What people call an API's resources: pods, pod, po, Pod, deployments.apps, deployments.v1.apps. Pure.

    discovery documents ─► Kinds ─ find("po") ─► Kind(pods of v1)
                                  └ find("pds") ─► UnknownKind: did you mean pods?

Source: kubernetes/apimachinery pkg/api/meta/restmapper.go, client-go restmapper/shortcut.go (the order in which names are tried).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

SUGGESTIONS_MAX = 3


class UnknownKind(ValueError):
    """No resource is called so; the message says what is called nearly so."""


class Kind(msgspec.Struct, frozen=True):
    """A resource, as its server tells of it."""

    group_version: str
    """`v1`, `apps/v1`."""
    plural: str
    kind: str
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    verbs: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """`apps`; "" of the core."""
        return self.group_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """`v1`."""
        return self.group_version.rpartition("/")[2]

    @property
    def shown(self) -> str:
        """What stands before an object's name: `pod`, `deployment.apps`."""
        name = self.kind.lower()
        return f"{name}.{self.group}" if self.group else name

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called, without its group."""
        return (self.plural, self.singular or self.kind.lower(), *self.short_names)


class Kinds:
    """All resources that can be listed, in the server's order: what comes first has the shorter claim to a name."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.all = tuple(kind for kind in kinds if "list" in kind.verbs)

    def find(self, words: str) -> list[Kind]:
        """What `pods,svc` or `all` asks for, each once, in the order of the words.

        Raises:
            UnknownKind: one of them is no resource's; the message says which, and what is meant maybe.
        """
        found: list[Kind] = []
        for word in words.split(","):
            found += [kind for kind in self._called(word.strip().lower()) if kind not in found]
        return found

    def _called(self, word: str) -> Sequence[Kind]:
        name, _, rest = word.partition(".")
        named = [kind for kind in self.all if name in kind.names]
        if not rest and named:
            return named[:1]
        for kind in named:
            if rest in (kind.group, f"{kind.version}.{kind.group}".rstrip(".")):
                return (kind,)
        in_category = [kind for kind in self.all if word in kind.categories]
        if in_category:
            return in_category
        raise UnknownKind(f"the server has no resource {word!r}{self._meant(word)}")

    def _meant(self, word: str) -> str:
        known = {
            name: kind.plural for kind in reversed(self.all) for name in (*kind.names, f"{kind.plural}.{kind.group}")
        }
        near = dict.fromkeys(known[name] for name in get_close_matches(word, known, n=SUGGESTIONS_MAX, cutoff=0.7))
        return did_you_mean(near)


def did_you_mean(near: Iterable[str]) -> str:
    """`: did you mean pods, nodes?`; "" where nothing is near."""
    shown = ", ".join(near)
    return f": did you mean {shown}?" if shown else ""


# ---- discovery -------------------------------------------------------------------------------------------------------


def kinds_of_aggregated(documents: Iterable[Mapping[str, Any]]) -> Iterator[Kind]:
    """The resources in `/api` and `/apis` as APIGroupDiscoveryLists, each in the version that its group prefers."""
    for document in documents:
        for group in document.get("items") or ():
            name = (group.get("metadata") or {}).get("name") or ""
            taken: set[str] = set()
            for version in group.get("versions") or ():
                group_version = f"{name}/{version['version']}" if name else version["version"]
                for entry in version.get("resources") or ():
                    if entry["resource"] not in taken:
                        taken.add(entry["resource"])
                        yield _aggregated(group_version, entry)


def _aggregated(group_version: str, entry: Mapping[str, Any]) -> Kind:
    return Kind(
        group_version,
        entry["resource"],
        entry.get("responseKind", {}).get("kind", ""),
        entry.get("singularResource", ""),
        tuple(entry.get("shortNames") or ()),
        tuple(entry.get("categories") or ()),
        entry.get("scope") == "Namespaced",
        tuple(entry.get("verbs") or ()),
    )


def kinds_of_list(group_version: str, document: Mapping[str, Any]) -> Iterator[Kind]:
    """The resources in an APIResourceList, without their parts."""
    for entry in document.get("resources") or ():
        if "/" not in entry["name"]:
            yield Kind(
                group_version,
                entry["name"],
                entry.get("kind", ""),
                entry.get("singularName", ""),
                tuple(entry.get("shortNames") or ()),
                tuple(entry.get("categories") or ()),
                bool(entry.get("namespaced")),
                tuple(entry.get("verbs") or ()),
            )
