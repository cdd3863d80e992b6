"""Lively, Convergent, Settles: what must happen in the end, once nothing goes wrong any more.

Source: TigerBeetle's liveness mode; Anvil's eventually stable reconciliation (OSDI 2024); k#74105 for silent watches.
"""

from __future__ import annotations

from .._acts import MOMENTS, NOBODY, Copy
from ._case import Case, Reading, Stream
from ._judge import Judge
from ._verdict import Tally

LIVELY_S = 180.0
"""What a watch may be silent about a change, once faults have ceased: two missed bookmarks, and as much again."""

# ---- Lively --------------------------------------------------------------------------------------------------------


def lively(within_s: float = LIVELY_S, *, waits_max_s: float | None = None) -> Judge:
    """The judge that allows `within_s` from a change, or from the end of faults, to its being heard of.

    Args:
        waits_max_s: a light client may be without a watch for so long at a time, whatever goes wrong; None: for ever.
    """

    def of_client(reading: Reading, tally: Tally) -> None:
        for stream in reading.streams:
            if stream.is_judged_whole:
                _hears(reading, stream, tally, within_s)

    return Judge(
        "Lively",
        "a watch whose objects change hears of it, or ends, within a bounded time",
        of_client=of_client,
        of_caches=None if waits_max_s is None else lambda case, tally: _waits(case, tally, waits_max_s),
    )


def _waits(case: Case, tally: Tally, waits_max_s: float) -> None:
    end_s = case.history.acts.phases.end_s
    lights = case.history.acts.light
    tally.checked(len(lights))
    waited = [light for light in lights if light.waited_s(end_s) > waits_max_s]
    if waited:
        worst = max(waited, key=lambda light: light.waited_s(end_s))
        facts = f"{len(waited)} of {len(lights)} light clients had no watch for more than {waits_max_s:g} s at a time,"
        facts += f" this one for {worst.waited_s(end_s):g} s, in which it was told {worst.refused} times that what it had listed"
        facts += " is too old to be watched from"
        tally.broke(worst.name, facts, revision=0, at_s=end_s)


def _hears(reading: Reading, stream: Stream, tally: Tally, within_s: float) -> None:
    """Only the first change that it does not hear of is told: it is deaf to all that follow."""
    history, truth = reading.case.history, reading.truth
    phases = history.acts.phases
    calm_s = phases.faults_end_s or 0.0
    last_s = stream.ended.at_s if stream.ended is not None and not stream.ended.drained else phases.end_s
    heard = stream.heard
    for revision, key in truth.pairs[truth.after(stream.base) :]:
        written_s = history.published_at_s.get(revision)
        if written_s is None:
            continue
        due_s = max(written_s, stream.opened.at_s, calm_s) + within_s
        if due_s > last_s:
            if revision > heard:
                return
            continue
        tally.checked(1)
        if revision > heard:
            facts = f"{key} at {revision} was written at {written_s:g} s, and by {due_s:g} s a watch open since"
            facts += f" {stream.opened.at_s:g} s had neither told of it nor ended; it had told of {heard}"
            tally.broke(reading.client.name, facts, revision=revision, at_s=due_s)
            return


LIVELY = lively()

# ---- Convergent ----------------------------------------------------------------------------------------------------


def _convergent(case: Case, tally: Tally) -> None:
    phases = case.history.acts.phases
    if phases.faults_end_s is None:
        return
    tally.checked(1)
    for facts in phases.lagging:
        tally.broke(
            "world",
            f"{facts}, {phases.end_s - phases.faults_end_s:g} s after faults ceased",
            revision=0,
            at_s=phases.end_s,
        )
    for copy in case.history.acts.copies:
        if copy.is_final:
            tally.checked(1)
            if phases.lagging == () and (fault := _unlike(case, copy)):
                tally.broke(copy.holder, f"its copy {fault}", revision=copy.revision, at_s=copy.at_s)


def _unlike(case: Case, copy: Copy) -> str:
    """How a copy differs from the store's last state; "" where it does not."""
    truth = case.truth(copy.prefix, copy.selector)
    wanted = {
        truth.store.objects[number].key: truth.store.objects[number].revision
        for number in truth.state(case.history.end_revision)
    }
    held = {obj.key: obj.revision for obj in copy.objects or ()}
    if not copy.has_synced:
        return "was never complete"
    if held == wanted:
        return ""
    wrong = min(key for key in {*held, *wanted} if held.get(key) != wanted.get(key))
    return f"has {wrong} at {held.get(wrong)}, and the store has it at {wanted.get(wrong)}"


CONVERGENT = Judge(
    "Convergent",
    "when faults cease, every copy equals the store within a bounded time",
    of_caches=_convergent,
)

# ---- Settles -------------------------------------------------------------------------------------------------------

SETTLES_S = 29.0
"""Who has nothing to do has been quiet for so long at the end of a run: a second less than a world waits for."""


def _settles(case: Case, tally: Tally) -> None:
    acts = case.history.acts
    phases = acts.phases
    if phases.faults_end_s is None or phases.end_s - phases.faults_end_s < SETTLES_S:
        return
    writers: dict[str, int] = {}
    for written in acts.written:
        if written.prefix in MOMENTS or written.request == NOBODY:
            continue
        if written.at_s > phases.end_s - SETTLES_S:
            process = acts.requests[written.request].process
            writers[process] = writers.get(process, 0) + 1
    names = dict.fromkeys(lived.process for lived in acts.lives)
    tally.checked(len(names))
    for process, number in writers.items():
        facts = f"{process} wrote {number} times in the last {SETTLES_S:g} s, and nothing else had changed for"
        facts += f" {phases.end_s - phases.faults_end_s:g} s"
        tally.broke(process, facts, revision=case.history.end_revision, at_s=phases.end_s)


SETTLES = Judge("Settles", "a controller whose world stands still stops writing", of_caches=_settles)
