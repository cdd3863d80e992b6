"""The pytest plugin of `@simulate`: `pytest_plugins = ["cacher.simulation.pytest_plugin"]` in your conftest.py.

    --sim-seed N     play this seed alone, in every simulated test that runs
    --sim-tape FILE  play this tape alone, in the simulated test that it is of (-k its name)
    --sim-no-shrink  tell of a failing history as it was found, and not as small as it gets

Seeds that failed are kept in pytest's own cache and come first in the next run; the tape of each test's last failure is there too,
in d/watchcache-tapes/.
"""

from __future__ import annotations

from ._plugin import pytest_addoption as pytest_addoption
from ._plugin import pytest_configure as pytest_configure
from ._plugin import simulated_seeds as simulated_seeds
