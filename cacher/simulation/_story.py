"""The story of a run that went wrong: what was broken, what had struck, and which read led to which write. Pure.

broke NoStaleDestruction …
what went wrong   at 0.071 s the cache of rabbits on api-2 was paused
who did it        operator, life 2, on api-2: delete apps/v1/statefulsets default/r at 14.156 s
what it believed  rabbits/default/r of uid 1 at revision 8, 14.0 s old; the store had 11
"""

from __future__ import annotations

from collections.abc import Iterator

from ._acts import Belief, Request
from ._history import History
from ._play import RunResult
from .judges import Verdict, Violation

LINES_MAX = 25
BELIEFS_SHOWN = 4
FAULTS_SHOWN = 6
MISTAKES_SHOWN = 3
MISTAKE_LENGTH = 160


def explain(result: RunResult) -> tuple[str, ...]:
    """At most `LINES_MAX` lines for a person to read. `result` has been played with `keep=True`."""
    lines = [*_verdict(result)]
    history = result.history
    if history is not None:
        lines += _mistakes(history)
        lines += _struck(history)
        lines += _decision(result, history)
    return tuple(lines[:LINES_MAX])


def _verdict(result: RunResult) -> Iterator[str]:
    tape = result.tape
    yield f"{tape.scenario}, {tape.variant}, seed {tape.seed}: {result.outcome}"
    for verdict in result.verdicts:
        if verdict.broken:
            yield f"broke {verdict.name}: {verdict.sentence}"
            first = verdict.violations[0]
            yield f"  {first.message.partition(f'{verdict.sentence}: ')[2] or first.message}"
            if verdict.broken > 1:
                yield f"  and {verdict.broken - 1} times more"
    yield from (f"broke {fact}" if result.is_find else fact for fact in result.facts)


def _mistakes(history: History) -> Iterator[str]:
    """What reconciles raised, each mistake once: more often than not it is all there is to know."""
    counts: dict[tuple[str, str], int] = {}
    for one in history.acts.mistakes:
        told = one.last.partition("\n")[0]
        named = one.controller, told if len(told) <= MISTAKE_LENGTH else f"{told[:MISTAKE_LENGTH]}…"
        counts[named] = counts.get(named, 0) + one.count
    if counts:
        yield "what reconciles raised"
    for (controller, told), count in list(counts.items())[:MISTAKES_SHOWN]:
        yield f"  {controller}, {told}" + (f" (and {count - 1} times more)" if count > 1 else "")
    if len(counts) > MISTAKES_SHOWN:
        yield f"  and {len(counts) - MISTAKES_SHOWN} others"


def _struck(history: History) -> Iterator[str]:
    faults = history.acts.faults
    if faults:
        yield "what went wrong in the world"
    yield from (f"  {fault}" for fault in faults[:FAULTS_SHOWN])
    if len(faults) > FAULTS_SHOWN:
        yield f"  and {len(faults) - FAULTS_SHOWN} more"


def _decision(result: RunResult, history: History) -> Iterator[str]:
    """The write at the first breach that has one, and what it was decided on."""
    request = _request(history, _first(result.verdicts))
    if request is None:
        return
    yield "which write"
    limit = f", limited to uid {request.uid}" if request.uid else ", of whatever has that name"
    on = f"{request.process} in its life {request.incarnation}, on {request.server}"
    is_limited = limit if request.verb == "delete" else ""
    yield f"  {on}, at {request.at_s:.3f} s: {request.verb} {request.resource} {_named(request)}{is_limited}"
    if request.beliefs:
        yield "what it was decided on"
    for belief in request.beliefs[-BELIEFS_SHOWN:]:
        yield f"  {_belief(history, request, belief)}"


def _first(verdicts: tuple[Verdict, ...]) -> Violation | None:
    return next((verdict.violations[0] for verdict in verdicts if verdict.broken), None)


def _request(history: History, violation: Violation | None) -> Request | None:
    if violation is None:
        return None
    for written in history.acts.written:
        if written.revision == violation.revision and written.request >= 0:
            return history.acts.requests[written.request]
    return None


def _named(request: Request) -> str:
    return f"{request.namespace}/{request.name}" if request.namespace else request.name


def _belief(history: History, request: Request, belief: Belief) -> str:
    age_s = request.at_s - belief.at_s
    shown = f"{belief.key} {f'of uid {belief.uid[:8]} ' if belief.uid else ''}at revision {belief.revision}"
    newest = [one for one in history.acts.written if one.key == belief.key and one.at_s <= request.at_s]
    now = f"; the store had {newest[-1].revision}" if newest and newest[-1].revision != belief.revision else ""
    gone = ", which is its deletion" if now and newest[-1].is_deletion else ""
    other = ", another object" if now and not gone and newest[-1].uid != belief.uid else ""
    return f"{shown}, read {age_s:.3f} s before from {belief.server or 'a server'}{now}{gone}{other}"
