"""A store that is restored from a backup has several histories: the run cut into them, each a whole History for the judges.

    store    1 ── 2 ── 3 ── 4 ── 5 ┐ lost                          the first: 1 to 5
                       └── 3 ──────┴─► 3' ── 4' ── 5' ──►          the second: from what was there at 3

What a client was shown is of the one or of the other, as a whole: each list, and each watch from its opening to its end. Where
revisions do not come a second time (the store went on far above the first history) the revision says of which. Where they do:

    a state      of the newest history that had it just so
    a watch      of the history that its client knew already: whoever goes on at 5 wants what came after *that* 5

so that a watch which goes on from the first history into the second is convicted, by what it then shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import msgspec

from watch import EventType, Object

from .._acts import Acts
from .._history import ClientHistory, History, Listed, Opened, Received, Step, StoreHistory
from ._case import Case, Return


def cases_of(history: History) -> list[Case]:
    """A case for each history of the store, the oldest first. The last one knows who went back from one to an older one.

    Cost: O(steps) where the store was ever restored; else O(1).
    """
    if not history.restores:
        return [Case(history)]
    epochs = [_Epoch(history, number) for number in range(len(history.restores) + 1)]
    for client in history.clients:
        _deal_out(client, epochs, epochs[-1].case.returns)
    return [epoch.case for epoch in epochs]


class _Epoch:
    """One history of the store: from `since`, or the beginning, up to `until`, or the end."""

    def __init__(self, history: History, number: int) -> None:
        restores = history.restores
        self.number = number
        self._whole = history
        self._since = restores[number - 1] if number else None
        self._until = restores[number] if number < len(restores) else None
        self.first_revision = self._since.revision if self._since is not None else 0
        self.last_revision = self._until.last_revision if self._until is not None else history.end_revision
        self.began_s = self._since.at_s if self._since is not None else -inf
        self.case = Case(self._history(), whole=history, over_s=self._until.at_s if self._until is not None else inf)

    def _history(self) -> History:
        whole = self._whole
        return History(
            stores={prefix: self._store(store) for prefix, store in whole.stores.items()},
            clients=[],
            samples=whole.samples if self._until is None else [],
            end_revision=self.last_revision,
            published_at_s=dict(whole.published_at_s if self._until is None else self._until.published_at_s),
            finished=whole.finished,
            acts=self._acts(),
        )

    def _store(self, store: StoreHistory) -> StoreHistory:
        since, until = self._since, self._until
        first = since.changes.get(store.prefix, 0) if since is not None else 0
        last = until.changes.get(store.prefix, 0) if until is not None else None
        return msgspec.structs.replace(
            store,
            start_revision=since.revision if since is not None else store.start_revision,
            start=since.start.get(store.prefix, {}) if since is not None else store.start,
            changes=store.changes[first:last],
        )

    def _acts(self) -> Acts:
        """What was written in it. All that has nothing to do with revisions is looked at once, with the last history."""
        acts = self._whole.acts
        first = self._since.written if self._since is not None else 0
        if self._until is None:
            return msgspec.structs.replace(acts, written=acts.written[first:])
        phases = msgspec.structs.replace(acts.phases, lagging=())
        written = acts.written[first : self._until.written]
        return Acts(requests=acts.requests, written=written, wanted=acts.wanted, phases=phases)

    def has(self, revision: int) -> bool:
        """Whether the store was ever at that revision in it."""
        return self.first_revision <= revision <= self.last_revision

    def shows(self, client: ClientHistory, revision: int, objects: tuple[Object, ...]) -> bool:
        """Whether that was its state at that revision, as the client selects it."""
        truth = self.case.truth(client.prefix, client.selector)
        return not truth.store.fault_in_list(truth.state(revision), sorted(objects, key=lambda obj: obj.key))


def _deal_out(client: ClientHistory, epochs: list[_Epoch], returns: list[Return]) -> None:
    """Give each epoch what the client was shown of it."""
    dealt: dict[int, list[Step]] = {}
    current = newest = 0
    for part in _parts(client.steps):
        epoch = _epoch_of(client, part, epochs, current)
        dealt.setdefault(epoch.number, []).extend(_demanded(step, epoch) for step in part)
        if any(isinstance(step, Listed | Received) for step in part):
            if epoch.number < newest:
                returns.append(Return(client.name, _claim(part) or 0, part[0].at_s))
            current, newest = epoch.number, max(newest, epoch.number)
    for number, steps in dealt.items():
        epochs[number].case.history.clients.append(msgspec.structs.replace(client, steps=steps))


def _demanded(step: Step, epoch: _Epoch) -> Step:
    """A list of the latest that shows a history which was over when it was asked for: nothing in that one is new enough."""
    if isinstance(step, Listed) and step.minimum_restores > epoch.number:
        return msgspec.structs.replace(step, minimum_revision=epoch.last_revision + 1)
    return step


def _parts(steps: list[Step]) -> Iterator[list[Step]]:
    """Each list, and each watch with all that it brought."""
    part: list[Step] = []
    for step in steps:
        if part and isinstance(step, Listed | Opened):
            yield part
            part = []
        part.append(step)
    if part:
        yield part


def _epoch_of(client: ClientHistory, part: list[Step], epochs: list[_Epoch], current: int) -> _Epoch:
    begun = [epoch for epoch in epochs if epoch.began_s <= part[-1].at_s]
    revision = _claim(part)
    if revision is None:
        return begun[-1]
    possible = [epoch for epoch in begun if epoch.has(revision)]
    if not possible:  # no history explains it, and the one that is nearest will say so
        return next((epoch for epoch in reversed(begun) if epoch.first_revision <= revision), begun[0])
    if len(possible) == 1:
        return possible[0]
    objects = _state(part)
    if objects is not None:
        return next((one for one in reversed(possible) if one.shows(client, revision, objects)), possible[-1])
    return next((epoch for epoch in possible if epoch.number == current), possible[-1])


def _claim(part: list[Step]) -> int | None:
    """The revision of which a list, or a watch, says that it begins there; None: of none."""
    first = part[0]
    if isinstance(first, Listed):
        return first.revision
    if not isinstance(first, Opened) or not first.initial:
        return getattr(first, "revision", None)
    events = [event for step in part if isinstance(step, Received) for event in step.batch]
    end = next((event.revision for event in events if event.is_initial_events_end), None)
    return end if end is not None else max((event.revision for event in events), default=None)


def _state(part: list[Step]) -> tuple[Object, ...] | None:
    """The state that a list, or a watch, begins with; None: with none, or with one whose end nobody knows."""
    first = part[0]
    if isinstance(first, Listed):
        return first.objects
    found: list[Object] = []
    for step in part:
        for event in step.batch if isinstance(step, Received) else ():
            if event.is_initial_events_end:
                return tuple(found)
            if event.type is not EventType.BOOKMARK:
                found.append(event.object)
    return None
