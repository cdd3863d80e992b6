"""The judges: each a guarantee in one sentence, and a pure function over a recorded History.

    for verdict in judge_all(history):
        print(verdict.name, verdict.checks, verdict.broken)

They read the history and the words of `watch`, and nothing of the system that they judge; what should have happened is worked
out anew in `_truth`. A verdict without checks was not `tested`: the run gave it nothing to look at.

Where a new judge goes: a file of its family here, a line in ALL_JUDGES, its sentence in the documentation, and in the tests a
double that breaks the guarantee and that it must convict.
"""

from __future__ import annotations

from .._history import History
from ._cache import BOUNDED as BOUNDED
from ._cache import COHERENT as COHERENT
from ._conditional import CONDITIONAL as CONDITIONAL
from ._cost import FRUGAL as FRUGAL
from ._cost import frugal as frugal
from ._delivery import RELIABLE as RELIABLE
from ._destruction import NO_STALE_DESTRUCTION as NO_STALE_DESTRUCTION
from ._faithful import FAITHFUL as FAITHFUL
from ._handlers import LIVE as LIVE
from ._handlers import PAIRED as PAIRED
from ._handlers import SYNCED as SYNCED
from ._isolation import DELAY_MAX_S as DELAY_MAX_S
from ._isolation import ISOLATED as ISOLATED
from ._isolation import isolated as isolated
from ._judge import Judge as Judge
from ._judge import judge_with as judge_with
from ._lists import FRESH as FRESH
from ._lists import MATCHED as MATCHED
from ._liveness import CONVERGENT as CONVERGENT
from ._liveness import LIVELY as LIVELY
from ._liveness import SETTLES as SETTLES
from ._liveness import lively as lively
from ._outcomes import COALESCE_PROOF as COALESCE_PROOF
from ._outcomes import CRASH_PROOF as CRASH_PROOF
from ._outcomes import NO_OVERSHOOT as NO_OVERSHOOT
from ._outcomes import difference as difference
from ._resume import BOOKMARKABLE as BOOKMARKABLE
from ._resume import RESUMABLE as RESUMABLE
from ._stream import ATOMIC as ATOMIC
from ._stream import MONOTONIC as MONOTONIC
from ._stream import ORDERED as ORDERED
from ._stream import UNIQUE as UNIQUE
from ._truth import BrokenRecord as BrokenRecord
from ._verdict import VIOLATIONS_KEPT as VIOLATIONS_KEPT
from ._verdict import Verdict as Verdict
from ._verdict import Violation as Violation

ALL_JUDGES = (ORDERED, UNIQUE, RELIABLE, ATOMIC, FAITHFUL, COHERENT, MONOTONIC, BOUNDED, ISOLATED)
"""In the order of the report: the watch, the cache, everybody together."""


WORLD_JUDGES = (
    *ALL_JUDGES,
    RESUMABLE,
    BOOKMARKABLE,
    FRESH,
    MATCHED,
    LIVELY,
    CONVERGENT,
    FRUGAL,
    CONDITIONAL,
    PAIRED,
    SYNCED,
    LIVE,
    NO_STALE_DESTRUCTION,
    CRASH_PROOF,
    COALESCE_PROOF,
    NO_OVERSHOOT,
    SETTLES,
)
"""Of a world: those, and what watches across connections, copies, handlers and controllers promise."""


NOT_ON_LINE = ("Isolated", "Lively", "Convergent", "CrashProof", "CoalesceProof", "Settles")
"""Guarantees about what a run comes to, or, Isolated, about a share of all clients: of a run that goes on they say nothing yet. All
others, once broken, stay broken however the history goes on."""


def judge_all(history: History, *, delay_max_s: float = DELAY_MAX_S) -> tuple[Verdict, ...]:
    """The verdicts of all judges, in the order of ALL_JUDGES.

    Args:
        delay_max_s: what Isolated allows between the write of an event and its receipt.
    Raises:
        BrokenRecord: the history contradicts itself; whoever recorded it must mend that first.
    Cost: about 1 µs a delivery, see `judge_with`.
    """
    judges = [isolated(delay_max_s) if judge is ISOLATED else judge for judge in ALL_JUDGES]
    return judge_with(judges, history)
