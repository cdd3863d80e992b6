"""Who belongs to whom: the whole table."""

from __future__ import annotations

import itertools

import pytest

from cacher.controllers._workload_claims import Candidate, claims
from watch import LabelSelector

SELECTOR = LabelSelector.from_api({"matchLabels": {"app": "web"}})
ROWS = list(itertools.product(["me", "", "other"], [True, False], [True, False], [True, False], [True, False]))


def expected(owner, selected, leaving, adoptable, owner_leaving):
    if owner == "me":
        return "own" if selected else ("" if owner_leaving else "release")
    if owner == "" and selected and adoptable and not leaving and not owner_leaving:
        return "adopt"
    return ""


@pytest.mark.parametrize(("owner", "selected", "leaving", "adoptable", "owner_leaving"), ROWS)
def test_an_object_is_its_own_adopted_let_go_or_none_of_its_concern(owner, selected, leaving, adoptable, owner_leaving):
    one = Candidate(owner, {"app": "web"} if selected else {}, leaving, adoptable)
    found = claims([one], lambda obj: obj, "me", SELECTOR, is_owner_terminating=owner_leaving)
    told = {"own": found.own, "adopt": found.adopt, "release": found.release}
    assert [name for name, objects in told.items() if objects] == (
        [expected(owner, selected, leaving, adoptable, owner_leaving)]
        if expected(owner, selected, leaving, adoptable, owner_leaving)
        else []
    )
