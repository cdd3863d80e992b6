"""Fresh and Matched: what a list answers to the resource version that it was asked for.

Source: KEP-2340 (consistent reads from cache); kubernetes/apimachinery pkg/apis/meta/v1, ResourceVersionMatch.
"""

from __future__ import annotations

from ._case import Reading
from ._judge import Judge
from ._verdict import Tally


def _fresh(reading: Reading, tally: Tally) -> None:
    for listed in reading.lists:
        if not listed.minimum_revision:
            continue
        tally.checked(1)
        if listed.revision < listed.minimum_revision:
            facts = (
                f"a list of the latest state showed {listed.revision}, and the store was at {listed.minimum_revision}"
            )
            tally.broke(reading.client.name, facts, revision=listed.revision, at_s=listed.at_s)


FRESH = Judge("Fresh", "a list of the latest state is not older than the call", of_client=_fresh)


def _matched(reading: Reading, tally: Tally) -> None:
    last = reading.truth.store.last_revision
    for listed in reading.lists:
        if listed.asked is None:
            continue
        tally.checked(1)
        facts = _mismatch(listed.asked, listed.is_exact, listed.revision)
        if not facts and listed.revision > max(last, reading.case.history.end_revision):
            facts = f"it showed {listed.revision}, which the store never reached"
        if facts:
            tally.broke(reading.client.name, f"a list {facts}", revision=listed.revision, at_s=listed.at_s)


def _mismatch(asked: str, is_exact: bool, shown: int) -> str:
    """What is wrong with `shown` for an answer; "" where nothing is."""
    if asked in ("", "0"):
        return "" if shown > 0 else f"showed {shown}, which is no revision"
    if is_exact:
        return "" if shown == int(asked) else f"of exactly {asked} showed {shown}"
    return "" if shown >= int(asked) else f"not older than {asked} showed {shown}"


MATCHED = Judge(
    "Matched",
    "a list answers to the resource version asked for as it was asked: exactly, not older, any, or the latest",
    of_client=_matched,
)
