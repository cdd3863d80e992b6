"""Paired, Synced, Live: what a handler is told, when it is called synced, and whether a copy says that it has gone deaf.

Source: client-go tools/cache/shared_informer.go; k#69376 (another object of the same name), OpenSandbox#1534 (synced, and frozen).
"""

from __future__ import annotations

from bisect import bisect_right

from .._acts import Copy, Handled
from .._history import ClientHistory, Listed, Received
from ._case import Case, Reading
from ._judge import Judge
from ._verdict import Tally

# ---- Paired --------------------------------------------------------------------------------------------------------


def _paired(case: Case, tally: Tally) -> None:
    known: dict[tuple[str, str], str] = {}
    for handled in case.history.acts.handled:
        tally.checked(1)
        place = (handled.handler, handled.key)
        if fault := _out_of_turn(handled, known.get(place)):
            tally.broke(
                handled.handler,
                f"{handled.key} at {handled.revision} {fault}",
                revision=handled.revision,
                at_s=handled.at_s,
            )
        if handled.kind == "delete":
            known.pop(place, None)
        else:
            known[place] = handled.uid


def _out_of_turn(handled: Handled, known: str | None) -> str:
    """What is wrong with this call, where `known` is the uid that the handler knows of (None: of none); "" where nothing is."""
    match handled.kind:
        case "add":
            return "" if known is None else f"was added, and the handler knew of uid {known}"
        case "update":
            if known is None:
                return "was updated, and had never been added"
            return "" if known == handled.uid else f"of uid {handled.uid} was told as an update of uid {known}"
        case "delete":
            if known is None:
                return "was deleted, and had never been added"
            return "" if known == handled.uid else f"was deleted as uid {handled.uid}, and the handler knew of {known}"
    return f"was told as {handled.kind!r}, which is no way to tell it"


PAIRED = Judge(
    "Paired",
    "a handler sees each object added, then updated any number of times, then deleted, and never otherwise",
    of_caches=_paired,
)

# ---- Synced --------------------------------------------------------------------------------------------------------


def _synced(case: Case, tally: Tally) -> None:
    """What was listed first is what its client was handed first, complete: no word of the informer's own is taken for it."""
    acts = case.history.acts
    clients = case.whole.clients if acts.synced else ()
    firsts = {client.name: _first_state(Reading(case, client)) for client in clients}
    for synced in acts.synced:
        tally.checked(1)
        first = firsts.get(synced.handler)
        if first is None:
            facts = f"it was called synced at {synced.at_s:g} s, and had not been given a whole state"
            tally.broke(synced.handler, facts, revision=0, at_s=synced.at_s)
            continue
        told = {one.key for one in acts.handled[: synced.handled_before] if one.handler == synced.handler}
        if missing := sorted(first - told):
            facts = f"{len(missing)} of {len(first)} objects had not been told, first {missing[0]}"
            tally.broke(synced.handler, facts, revision=0, at_s=synced.at_s)


def _first_state(reading: Reading) -> set[str] | None:
    """The keys of the first state that was given whole; None: none was."""
    for part in reading.parts:
        if isinstance(part, Listed):
            return {obj.key for obj in part.objects}
        if part.initial_end is not None:
            return {event.key for event in part.initial}
    return None


SYNCED = Judge(
    "Synced",
    "a handler is called synced when it has handled the whole initial list, and not before",
    of_caches=_synced,
)

# ---- Live ----------------------------------------------------------------------------------------------------------

LIVE_S = 100.0
"""A copy that has heard nothing for so long may not call itself live: 90 s, and a little for what is under way."""


def _live(case: Case, tally: Tally) -> None:
    """A copy is believed in nothing that it says of itself: what was handed to it stands in the history."""
    copies = case.history.acts.copies
    heard = {client.name: _heard_s(client) for client in case.whole.clients} if copies else {}
    for copy in copies:
        times = heard.get(copy.holder)
        if times is None:
            continue
        tally.checked(1)
        if copy.is_live and (fault := _deaf(copy, times)):
            tally.broke(copy.holder, fault, revision=copy.revision, at_s=copy.at_s)


def _heard_s(client: ClientHistory) -> list[float]:
    return [step.at_s for step in client.steps if isinstance(step, Listed | Received)]


def _deaf(copy: Copy, times: list[float]) -> str:
    position = bisect_right(times, copy.at_s)
    if not position:
        return f"it called itself live at {copy.at_s:g} s, and had never heard anything"
    silence_s = copy.at_s - times[position - 1]
    if silence_s <= LIVE_S:
        return ""
    return f"it called itself live at {copy.at_s:g} s, and had heard nothing for {silence_s:g} s"


LIVE = Judge("Live", "a copy that has heard nothing for a bounded time says so", of_caches=_live)
