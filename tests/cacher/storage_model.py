"""A storage told naively: every write there ever was, by revision, and what a list or a watch must show, read off it.

It shares the words of `watch` and of the storage's options, and no idea with what it judges: no ring, no snapshot, no
undoing, no routing. A state is made by going through the writes from the beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import trio

from cacher.storage import InternalError, ListOptions
from watch import Event, Expired, Object, Selector, TooLargeResourceVersion

ROOT = "/registry"


class Body(NamedTuple):
    """What a pod says; everything that a test compares."""

    app: str
    node: str
    serial: int

    def value(self, key: str) -> bytes:
        namespace, name = key.split("/")[2:]
        metadata = {"name": name, "namespace": namespace, "labels": {"app": self.app}}
        pod = {"metadata": metadata, "spec": {"nodeName": self.node}, "status": {"serial": self.serial}}
        return json.dumps(pod).encode()


class Shown(NamedTuple):
    """An object, or an event about it, as a reader sees it."""

    type: str
    """"" in a list."""
    key: str
    revision: int
    body: Body


def shown_object(obj: Object, kind: str = "") -> Shown:
    """Read off the bytes; the head must agree with them."""
    whole = obj.parse()
    body = Body(whole["metadata"]["labels"]["app"], whole["spec"]["nodeName"], whole["status"]["serial"])
    assert (obj.labels["app"], obj.field("spec.nodeName"), obj.name) == (*body[:2], whole["metadata"]["name"])
    return Shown(kind, obj.key.removeprefix(ROOT), obj.revision, body)


def shown_event(event: Event) -> Shown:
    assert event.object.revision == event.revision
    return shown_object(event.object, event.type.value)


class Choice(NamedTuple):
    """What a reader asks about: a key, and terms that must hold. None: any."""

    key: str = "/pods/"
    recursive: bool = True
    app: str | None = None
    node: str | None = None

    def options(self, **others: object) -> ListOptions:
        labels = f"app={self.app}" if self.app is not None else None
        fields = f"spec.nodeName={self.node}" if self.node is not None else None
        selector = Selector.of(labels=labels, fields=fields)
        return ListOptions(recursive=self.recursive, selector=selector, **others)  # type: ignore[arg-type]

    @property
    def has_terms(self) -> bool:
        return self.app is not None or self.node is not None

    def takes(self, key: str, body: Body | None) -> bool:
        if body is None or not (key.startswith(self.key.rstrip("/") + "/") if self.recursive else key == self.key):
            return False
        return self.app in (None, body.app) and self.node in (None, body.node)


class Model:
    """All writes by revision; None: a deletion. Revisions of other keys, which make none, are simply not here."""

    def __init__(self) -> None:
        self.writes: dict[int, tuple[str, Body | None]] = {}

    def wrote(self, revision: int, key: str, body: Body | None) -> None:
        assert revision not in self.writes, f"two writes claim revision {revision}"
        self.writes[revision] = (key, body)

    def _until(self, revision: int) -> Iterator[tuple[int, str, Body | None]]:
        return ((at, *self.writes[at]) for at in sorted(self.writes) if at <= revision)

    def state(self, revision: int) -> dict[str, tuple[int, Body]]:
        """What is there at `revision`, with the revision that wrote it."""
        found: dict[str, tuple[int, Body]] = {}
        for at, key, body in self._until(revision):
            if body is None:
                assert key in found, f"{key} was deleted at {at} and was not there"
                del found[key]
            else:
                found[key] = (at, body)
        return found

    def listed(self, choice: Choice, revision: int, kind: str = "") -> list[Shown]:
        """What a list shows at `revision`: in key order."""
        state = sorted(self.state(revision).items())
        return [Shown(kind, key, at, body) for key, (at, body) in state if choice.takes(key, body)]

    def told(self, choice: Choice, after: int) -> list[Shown]:
        """What a watch is told of everything after `after`."""
        held = {key: body for key, (_, body) in self.state(after).items()}
        events = []
        for at, key, body in self._until(max(self.writes, default=0)):
            if at <= after:
                continue
            before = held.get(key)
            was, now = choice.takes(key, before), choice.takes(key, body)
            if now:
                assert body is not None
                events.append(Shown("MODIFIED" if was else "ADDED", key, at, body))
            elif was:
                assert before is not None
                events.append(Shown("DELETED", key, at, before))
            if body is None:
                del held[key]
            else:
                held[key] = body
        return events


class Watched(NamedTuple):
    """One watch: what it asked, and what came."""

    choice: Choice
    number: int | None
    """Its resource version; None: unset."""
    initial: bool | None
    bookmarks: bool
    began: int
    opened: int
    """The store's revision before and after it was opened."""
    got: list[Shown | tuple[int, bool]]
    """Events, and bookmarks as (revision, is the end of the initial events)."""
    first_at: list[int]
    """The store's revision when the first came."""
    ended: list[Exception]


class Conditions(NamedTuple):
    """What excuses a watch that ended."""

    revision: int
    """The store's, at the end."""
    first_list: int
    """The revision of the cache's first list: its history starts there."""
    ring: int
    """Events that the history holds at least."""
    is_frail: bool
    """Something was late or lost."""
    is_uncached: bool
    may_relist: bool
    """The cache may have had to begin anew."""


def judge_watch(model: Model, record: Watched, conditions: Conditions) -> None:
    """Whether there is a revision at which it may have begun, and from which on it was told everything."""
    number, initial = record.number, record.initial
    with_state = initial is True or (initial is None and not number)
    latest = record.first_at[0] if record.first_at else conditions.revision
    low, high = number or 0, latest if with_state else record.opened
    if number and not with_state:
        high = number
    elif number is None and initial is not None:
        low = record.began
    if not any(_fits(model, record, at, with_state=with_state) for at in range(low, max(low, high) + 1)):
        raise AssertionError(f"{record} shows no revision from {low} to {high}")
    for ended in record.ended:
        _judge_end(model, record, ended, conditions)


def _fits(model: Model, record: Watched, at: int, *, with_state: bool) -> bool:
    """Whether all that came is what is to come of a watch that begins with the state at `at`, or after it."""
    state = model.listed(record.choice, at, "ADDED") if with_state else []
    whole = state + model.told(record.choice, max(at, record.number or 0))
    events = [item for item in record.got if isinstance(item, Shown)]
    if events != (whole[: len(events)] if record.ended else whole):
        return False
    wants_end = record.initial is True and record.bookmarks
    marks = 0
    highest = 0
    for index, item in enumerate(record.got):
        if isinstance(item, Shown):
            continue
        (revision, is_end), told = item, index - marks
        is_first = not marks
        marks += 1
        if not record.bookmarks or revision < highest or is_end is not (wants_end and is_first):
            return False
        if is_end and told != len(state):
            return False
        if any(s.revision > revision for s in whole[:told]) or any(s.revision <= revision for s in whole[told:]):
            return False  # it is behind its events, or promises what has not come
        highest = revision
    return bool(marks or record.ended or not wants_end)


def _judge_end(model: Model, record: Watched, ended: Exception, conditions: Conditions) -> None:
    number = record.number or 0
    if isinstance(ended, Expired):
        seen = max([number, *(item.revision if isinstance(item, Shown) else item[0] for item in record.got)])
        outran = sum(at > seen for at in model.writes) > conditions.ring
        assert outran or conditions.may_relist or number < conditions.first_list, "what it had not taken was dropped"
        assert outran or number or conditions.is_uncached, "a watch of now has nothing to miss"
    elif isinstance(ended, TooLargeResourceVersion):
        assert record.initial
        assert number > record.began or conditions.is_frail, (record, ended)
    elif isinstance(ended, trio.EndOfChannel):
        assert conditions.may_relist, "a watch is not ended for nothing"
    elif isinstance(ended, InternalError):
        assert conditions.is_uncached, "a lost stream is the cache's own affair"
        assert conditions.is_frail or conditions.may_relist, "lost, or what was there before was compacted"
