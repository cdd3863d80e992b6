"""Swarm.refills: a cache is kept from its store until that has forgotten what it missed; who asks for none draws as before."""

from __future__ import annotations

from random import Random

from cacher.simulation import At, Compact, PauseCache, RestartStore, Swarm
from cacher.simulation._swarm import Survey, draw_faults

SURVEY = Survey(("api-1", "api-2"), ("one",), ("v1/pods",), (), 50.0)


def test_refills_come_on_top_and_move_no_other_draw():
    for seed in range(50):
        without = draw_faults(Swarm(), SURVEY, Random(seed))
        more = draw_faults(Swarm(refills=2), SURVEY, Random(seed))
        assert more[: len(without)] == without
        assert len(more) - len(without) in (0, 3, 6)


def test_a_refill_forgets_and_breaks_while_the_cache_is_stopped():
    drawn = [draw_faults(Swarm(kinds=(), refills=1), SURVEY, Random(seed)) for seed in range(20)]
    refills = [faults for faults in drawn if faults]
    assert refills
    for stopped, forgotten, broken in refills:
        assert isinstance(stopped.do, PauseCache)
        assert forgotten.do == Compact(0)
        assert isinstance(broken.do, RestartStore)
        times = [fault.when.s for fault in (stopped, forgotten, broken) if isinstance(fault.when, At)]
        assert times == sorted(times)
        assert times[0] + stopped.for_s > times[2]
