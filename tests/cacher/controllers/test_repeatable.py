"""Same seed, same bytes, also with all controllers at work."""

from __future__ import annotations

import pytest

from tests.test_repeatability import HERE, outputs

pytestmark = [pytest.mark.determinism, pytest.mark.slow]


def test_a_living_cluster_ends_with_the_same_bytes_again_and_with_others_under_another_seed():
    program = ("-m", "tests.cacher.controllers.one_day")
    first, second, other = outputs((HERE, (*program, "7")), ("random", (*program, "7")), (HERE, (*program, "8")))
    assert "objects at revision" in first
    assert first == second
    assert first != other
