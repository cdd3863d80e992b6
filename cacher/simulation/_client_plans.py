"""Who the clients of a run are: drawn from a seed over what the trace really holds, before anything runs.

A plan says all that a client will do, so running it needs no more chance. Pure: a Random is handed in, and the same one gives
the same plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from watch import Object, Selector

from ._history import StoreHistory

if TYPE_CHECKING:
    from random import Random

MAIN_PREFIX = "/registry/pods/"
MAIN_SHARE = 0.6
"""Of the clients watch pods (where a trace has none: the resource that changes most), as in a real cluster; the rest the others."""

SLOW_SHARE = 0.02
RESTLESS_SHARE = 0.02
STREAMING_SHARE = 0.02
LATE_SHARE = 0.05
"""Shares of the clients that lag, that close and resume, that open with sendInitialEvents, that come while the trace plays.
At least one of each from FIRST_WITH_ALL clients on, so that a small run meets every kind too."""

FIRST_WITH_ALL = 10


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client asks for, as the arguments of a list or a watch."""

    namespace: str = ""
    name: str = ""
    labels: str = ""
    fields: str = ""

    def selector(self) -> Selector:
        """The same as one value."""
        return Selector.of(self.namespace, name=self.name, labels=self.labels, fields=self.fields)


class ClientPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """One client: what it reads and how it behaves. Seconds are of the trace, from its first instant."""

    number: int
    prefix: str
    kind: str
    """What sort of selector it has, in words: the report counts by it."""
    terms: Terms
    start_at_s: float = 0.0
    """When it comes; 0: it watches before the first write."""
    pause_s: float = 0.0
    """How long it sleeps after each batch; 0: it reads as fast as it can."""
    close_after_batches: int = 0
    """It closes its watch after so many batches, and resumes after `away_s`; 0: never."""
    away_s: float = 0.0
    streaming: bool = False
    """It takes its first state through the watch (sendInitialEvents) and not by a list."""
    lists_latest: bool = True
    """It lists the store's latest state; else whatever the cache has (resourceVersion=0)."""

    @property
    def name(self) -> str:
        return f"client-{self.number}"

    @property
    def is_slow(self) -> bool:
        return self.pause_s > 0


def plan_clients(
    stores: Mapping[str, StoreHistory], count: int, random: Random, *, duration_s: float
) -> list[ClientPlan]:
    """`count` clients over the resources of `stores`, in the order of their numbers.

    Args:
        duration_s: how long the trace plays; nobody comes after nine tenths of it.
    Cost: O(objects + count).
    """
    censuses = [_Census(store) for store in stores.values() if store.start or store.changes]
    if not censuses or count <= 0:
        return []
    aims = _aims(censuses, main_prefix(stores), count, random)
    behaviours = _behaviours(count, random, duration_s)
    plans = []
    for number, aim in enumerate(aims):
        plain = ClientPlan(number, aim.prefix, aim.kind, aim.terms, lists_latest=random.random() < 0.5)
        plans.append(msgspec.structs.replace(plain, **behaviours.get(number, {})))
    return plans


def main_prefix(stores: Mapping[str, StoreHistory]) -> str:
    """Which of `stores` most clients read: the pods, or, where there are none, what changes most; "" of none."""
    if MAIN_PREFIX in stores:
        return MAIN_PREFIX
    return max(stores, key=lambda prefix: len(stores[prefix].changes), default="")


class _Aim(msgspec.Struct, frozen=True):
    prefix: str
    kind: str
    terms: Terms


class _Kind(msgspec.Struct, frozen=True):
    """A sort of selector that makes sense for a resource, and how often it is drawn beside the others."""

    name: str
    weight: float
    draw: Callable[[Random], Terms]


class _Census:
    """What one resource's objects have been during the trace: the namespaces, names, labels and fields to choose from."""

    def __init__(self, store: StoreHistory) -> None:
        self.prefix = store.prefix
        self.changes = len(store.changes)
        namespaces: dict[str, None] = {}
        names: dict[tuple[str, str], None] = {}
        labels: dict[str, dict[str, None]] = {}
        fields: dict[str, dict[str, None]] = {}
        for obj in _objects(store):
            namespaces[obj.namespace] = None
            names[obj.namespace, obj.name] = None
            for key, value in obj.labels.items():
                labels.setdefault(key, {})[value] = None
            for path, value in obj.fields.items():
                if value and not set(value) & set(",=\\"):  # others would need escapes
                    fields.setdefault(path, {})[value] = None
        self.namespaces = sorted(name for name in namespaces if name)
        self.names = sorted(names)
        self.labels = {key: sorted(labels[key]) for key in sorted(labels)}
        self.fields = {path: sorted(fields[path]) for path in sorted(fields)}

    def kinds(self) -> list[_Kind]:
        """Every kind that this resource can be asked by, the likeliest first."""
        kinds = [_Kind("all", 2, lambda _: Terms()), _Kind("one object", 2, self._one_object)]
        if self.namespaces:
            kinds.append(_Kind("namespace", 2, lambda random: Terms(random.choice(self.namespaces))))
        for path in self.fields:
            kinds.append(_Kind(f"field {path}", _FIELD_WEIGHTS.get(path, 0.25), self._field_kind(path)))
        if self.labels:
            kinds += [_Kind(f"label {name}", 1.2, self._label_kind(text)) for name, text in _LABEL_OPERATORS.items()]
            kinds.append(_Kind("several terms", 1, self._several))
        return sorted(kinds, key=lambda kind: -kind.weight)

    def _one_object(self, random: Random) -> Terms:
        namespace, name = random.choice(self.names)
        return Terms(namespace, name)

    def _field_kind(self, path: str) -> Callable[[Random], Terms]:
        values = self.fields[path]
        # Running is what nearly everybody asks for; the other phases now and then.
        weights = [6 if value == "Running" else 1 for value in values]
        return lambda random: Terms(fields=f"{path}={random.choices(values, weights)[0]}")

    def _label_kind(self, text: str) -> Callable[[Random], Terms]:
        return lambda random: Terms(labels=self._label_text(text, random))

    def _label_text(self, text: str, random: Random) -> str:
        key = random.choice(list(self.labels))
        values = self.labels[key]
        return text.format(key=key, one=random.choice(values), few=",".join(random.sample(values, min(3, len(values)))))

    def _several(self, random: Random) -> Terms:
        """A namespace, a set of values, and a label that must not be there with one value."""
        labels = (
            f"{self._label_text(_LABEL_OPERATORS['in'], random)},{self._label_text(_LABEL_OPERATORS['!='], random)}"
        )
        return Terms(random.choice(self.namespaces) if self.namespaces else "", labels=labels)


_FIELD_WEIGHTS = {"spec.nodeName": 6.0, "status.phase": 2.0}
"""Every kubelet watches its own pods, so nodes are what real field selectors are about."""

_LABEL_OPERATORS = {
    "=": "{key}={one}",
    "==": "{key}=={one}",
    "!=": "{key}!={one}",
    "in": "{key} in ({few})",
    "notin": "{key} notin ({few})",
    "exists": "{key}",
    "!exists": "!{key}",
}


def _objects(store: StoreHistory) -> list[Object]:
    return [*store.start.values(), *(change.object for change in store.changes if change.object is not None)]


def _aims(censuses: Sequence[_Census], most_read: str, count: int, random: Random) -> list[_Aim]:
    """What each client reads, shuffled, so that a number says nothing about it."""
    main = next((census for census in censuses if census.prefix == most_read), censuses[0])
    others = sorted((census for census in censuses if census is not main), key=lambda census: -census.changes)
    of_main = round(count * MAIN_SHARE) if others else count
    aims = _deal(main, of_main, random)
    shares = dict.fromkeys(range(len(others)), 0)
    weights = [(1 + census.changes) ** 0.5 for census in others]
    for index in range(count - of_main):  # one for each resource first, the busiest first
        shares[index if index < len(others) else random.choices(range(len(others)), weights)[0]] += 1
    for index, share in shares.items():
        aims += _deal(others[index], share, random)
    random.shuffle(aims)
    return aims


def _deal(census: _Census, count: int, random: Random) -> list[_Aim]:
    """`count` selectors of one resource: each kind once, the likeliest first, then by weight."""
    kinds = census.kinds()
    weights = [kind.weight for kind in kinds]
    drawn = [kinds[i] if i < len(kinds) else random.choices(kinds, weights)[0] for i in range(count)]
    return [_Aim(census.prefix, kind.name, kind.draw(random)) for kind in drawn]


def _behaviours(count: int, random: Random, duration_s: float) -> dict[int, dict[str, float | int | bool]]:
    """For the few clients that do not simply list, watch and read: by number, what sets them apart. No client gets two."""
    numbers = iter(random.sample(range(count), count))

    def few(share: float) -> list[int]:
        floor = 1 if count >= FIRST_WITH_ALL else 0
        return [next(numbers) for _ in range(max(floor, round(count * share)))]

    found: dict[int, dict[str, float | int | bool]] = {}
    for number in few(SLOW_SHARE):
        found[number] = {"pause_s": random.uniform(0.2, 3.0)}
    for number in few(RESTLESS_SHARE):
        found[number] = {"close_after_batches": random.randint(2, 40), "away_s": random.uniform(0.2, 20.0)}
    for number in few(STREAMING_SHARE):
        found[number] = {"streaming": True}
    for number in few(LATE_SHARE):
        found[number] = {"start_at_s": random.uniform(0.02, 0.9) * duration_s, "streaming": random.random() < 0.2}
    return found
