"""Which pods go first: each rule against the next, in Kubernetes' order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers._workload_ranking import deletion_cost, pods_to_delete
from tests.cacher.controllers.objects import EPOCH, pod

COST = "controller.kubernetes.io/pod-deletion-cost"
NOW = EPOCH + 1000

# Each goes before the next, for the reason that is its name. Source: kubernetes pkg/controller, TestSortingActivePodsWithRanks.
IN_ORDER = [
    pod("unassigned", node="", phase="Pending", ready=False),
    pod("pending", phase="Pending", ready=False),
    pod("unknown", phase="Unknown", ready=False),
    pod("running-not-ready", phase="Running", ready=False),
    pod("cheap", annotations={COST: "-5"}),
    pod("crowded", node="full"),
    pod("ready-for-a-short-time", ready=990.0),
    pod("restarted", restarts=3),
    pod("younger", created=600, ready=0.0),
    pod("older", created=0, ready=0.0),
]
RELATED = [*(pod(f"neighbour-{number}", node="full") for number in range(20)), *IN_ORDER]


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(IN_ORDER, 2)), ids=lambda one: one.name)
def test_the_lesser_pod_goes_first(first, second):
    for both in ([first, second], [second, first]):
        assert pods_to_delete(both, RELATED, 1, NOW) == [first]


@given(st.permutations(IN_ORDER), st.integers(0, 12))
def test_the_order_in_which_pods_are_seen_says_nothing(pods, count):
    assert pods_to_delete(IN_ORDER, RELATED, count, NOW) == IN_ORDER[:count]
    chosen = pods_to_delete(pods, RELATED, count, NOW)
    assert sorted(one.name for one in chosen) == sorted(one.name for one in IN_ORDER[:count])


@pytest.mark.parametrize(
    ("text", "cost"),
    [("0", 0), ("-7", -7), ("2147483647", 2**31 - 1), ("2147483648", 0), ("+1", 0), ("01", 0), ("1.5", 0), ("", 0)],
)
def test_a_cost_that_is_none_costs_nothing(text, cost):
    assert deletion_cost(pod("p", annotations={COST: text})) == cost


def test_ages_of_one_order_of_magnitude_are_the_same_and_the_uid_decides():
    """So that it is not always the youngest that goes."""
    older, younger = pod("a", created=0, ready=0.0), pod("b", created=1, ready=1.0)
    assert pods_to_delete([younger, older], [], 1, NOW) == [older]
