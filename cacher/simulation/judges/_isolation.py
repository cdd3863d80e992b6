"""Isolated: a slow watcher costs the others nothing. They get their events in time, and are not expired in its stead.

Source: the eviction cascade of k#116903 and k#125123, where one budget was shared by all watchers of a cacher.
"""

from __future__ import annotations

from operator import sub

from .._history import EndReason
from ._case import Case, Reading, Stream
from ._judge import Judge
from ._verdict import Tally

DELAY_MAX_S = 1.0
"""What a watcher that is not slow may wait for an event after it was written. Under the virtual clock it waits 0 s; in real
time a second is far above what the path takes and far below what a blocked publisher costs."""


def isolated(delay_max_s: float = DELAY_MAX_S, *, hurt_share_max: float = 0.0) -> Judge:
    """The judge that allows `delay_max_s` from the write of an event, or the opening of its watch if later, to its receipt.

    Args:
        hurt_share_max: of the light clients that are not slow, so many may be late, evicted or expired all the same. Theirs is
            counted from when their server had the event and they were free to take it: all before that is not the fan-out's doing.
    """

    def of_client(reading: Reading, tally: Tally) -> None:
        if reading.client.slow:
            return
        for stream in reading.streams:
            _not_expired(reading, stream, tally)
            _in_time(reading, stream, tally, delay_max_s)

    return Judge(
        "Isolated",
        "a watcher that keeps up gets every event in time and never expires, however slow others are",
        of_client=of_client,
        of_caches=lambda case, tally: _light(case, tally, delay_max_s, hurt_share_max),
    )


def _light(case: Case, tally: Tally, delay_max_s: float, hurt_share_max: float) -> None:
    prompt = [light for light in case.history.acts.light if not light.slow]
    tally.checked(len(prompt))
    late = [light for light in prompt if light.lag_max_s > delay_max_s]
    hurt = [light for light in prompt if light.evicted or light.expired or light.lag_max_s > delay_max_s]
    if len(hurt) > hurt_share_max * len(prompt):
        evicted, expired = sum(light.evicted for light in hurt), sum(light.expired for light in hurt)
        facts = f"{len(hurt)} of {len(prompt)} light clients that keep up were hurt, and {hurt_share_max:.0%} may be: they were"
        facts += f" evicted {evicted} times and expired {expired} times; {len(late)} got something more than {delay_max_s:g} s"
        facts += f" late, at most {max(light.lag_max_s for light in prompt):.3f} s"
        tally.broke(hurt[0].name, facts, revision=0, at_s=case.history.acts.phases.end_s)


def _not_expired(reading: Reading, stream: Stream, tally: Tally) -> None:
    """An expiry at the opening is no matter of speed: the revision asked for was out of reach. Reliable looks at those."""
    ended = stream.ended
    if ended is None or ended.reason is not EndReason.EXPIRED or stream.is_refused:
        return
    if ended.at_s >= reading.case.over_s:  # there is another history now
        return
    tally.checked(1)
    facts = f"its watch expired at {ended.at_s:g} s, though it was never slow"
    tally.broke(reading.client.name, facts, revision=stream.heard, at_s=ended.at_s)


def _in_time(reading: Reading, stream: Stream, tally: Tally, delay_max_s: float) -> None:
    """Initial events are left out: a watch may wait at its opening until the cache is fresh.

    Cost: about 100 ns a batch. Revisions are written one after the other, so the first event of a batch has waited longest;
    where even those, and any others, are in time by the write alone, no opening needs to be looked at.
    """
    published = reading.case.history.published_at_s
    written_s = [published.get(revision) for revision in stream.revisions]
    known = [at_s for at_s in written_s if at_s is not None]
    tally.checked(len(known))
    if not known:
        return
    received_s = stream.event_times()
    if len(known) == len(written_s) and max(map(sub, received_s, known)) <= delay_max_s:
        return
    for index, at_s in enumerate(written_s):
        if at_s is not None and received_s[index] - max(at_s, stream.opened.at_s) > delay_max_s:
            facts = (
                f"{stream.keys[index]} at {stream.revisions[index]} was written at {at_s:g} s and received at "
                f"{received_s[index]:g} s, {received_s[index] - at_s:g} s later, by a watch open since {stream.opened.at_s:g} s"
            )
            tally.broke(reading.client.name, facts, revision=stream.revisions[index], at_s=received_s[index])


ISOLATED = isolated()
