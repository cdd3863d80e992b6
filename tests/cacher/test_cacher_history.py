"""The history of a cache that is made shorter while it is read."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from tests.cacher.upstream import Upstream, run, running, settle
from watch import Event, Expired, Selector, Watch

ALL = Selector()


def taken(watch: Watch) -> list[Event]:
    found: list[Event] = []
    with suppress(trio.WouldBlock):
        while True:
            found += watch.receive_batch_nowait()
    return found


def test_a_history_that_is_made_shorter_expires_who_had_yet_to_take_what_is_gone_and_nobody_else():
    async def main() -> None:
        upstream = Upstream()
        async with running(upstream) as cacher:
            behind, abreast = cacher.watch(ALL, after=None), cacher.watch(ALL, after=None)
            for _ in range(6):
                upstream.put("a")
            await settle()
            taken(abreast)
            cacher.limit_history(2)
            figures = cacher.statistics()
            assert (figures.ring_length, figures.view_log_events_max) == (2, 2)
            with pytest.raises(Expired) as caught:
                behind.receive_batch_nowait()
            assert caught.value.oldest == 14
            upstream.put("a")
            await settle()
            assert [event.revision for event in taken(abreast)] == [17]

    run(main)
