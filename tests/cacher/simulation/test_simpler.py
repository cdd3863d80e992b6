"""cacher.simulation._simpler: what shrinking tries inside of a fault or an operation is simpler, and ends."""

from __future__ import annotations

from random import Random

import pytest

from cacher.simulation import At, Crash, Fault, Kind, ShrinkRing, Swizzle, Until, Upon, Wait
from cacher.simulation._simpler import fewer_seconds, simpler_faults, simpler_operations
from cacher.simulation._swarm import Moment, Survey, _Hand


def test_fewer_seconds_are_whole_and_begin_with_none():
    assert list(fewer_seconds(5.5)) == [0.0, 1.0, 2.0, 5.0]
    assert list(fewer_seconds(0.0)) == []


def test_a_ring_is_made_smaller_than_the_fault_made_it():
    fault = Fault(At(7.64), ShrinkRing("api-2", "*", 5))

    assert list(simpler_faults(fault)) == [
        Fault(At(7.64), ShrinkRing("api-2", "*", capacity)) for capacity in (1, 2, 3)
    ]


def test_names_are_left_out_one_by_one():
    fewer = list(simpler_faults(Fault(At(0), Swizzle(("a", "b", "c"), step_s=0))))

    assert fewer == [Fault(At(0), Swizzle(names, step_s=0)) for names in (("b", "c"), ("a", "c"), ("a", "b"))]
    assert not list(simpler_faults(Fault(At(0), Swizzle(("a",), step_s=0)))), "a fault needs somebody to strike"


def test_lengths_and_occurrences_go_before_what_is_done():
    fault = Fault(Upon("received", occurrence=7), Crash("rabbit", restart_s=1.5), for_s=2.0)

    assert list(simpler_faults(fault)) == [
        Fault(Upon("received", occurrence=7), Crash("rabbit", restart_s=1.5), for_s=0.0),
        Fault(Upon("received", occurrence=7), Crash("rabbit", restart_s=1.5), for_s=1.0),
        Fault(Upon("received", occurrence=1), Crash("rabbit", restart_s=1.5), for_s=2.0),
        Fault(Upon("received", occurrence=7), Crash("rabbit", restart_s=0.0), for_s=2.0),
        Fault(Upon("received", occurrence=7), Crash("rabbit", restart_s=1.0), for_s=2.0),
    ]


def test_waits_get_shorter_and_a_wait_for_something_becomes_one_of_a_length():
    assert list(simpler_operations(Wait(2.0))) == [Wait(0.0), Wait(1.0)]
    assert Wait(0.0) in simpler_operations(Until("v1/nodes", "n1", exists=False))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_simplest_of_the_simplest_ends(kind):
    survey = Survey(("api-1", "api-2"), ("p",), ("v1/pods",), (Moment("received", "p", "v1/pods", "updated", 9),))
    for seed in range(20):
        fault = _Hand(survey, Random(seed), 60.0).fault(kind)
        steps = 0
        while (simpler := next(simpler_faults(fault), None)) is not None:
            assert simpler != fault
            fault, steps = simpler, steps + 1
        assert steps < 20
