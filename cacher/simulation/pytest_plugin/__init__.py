"""The pytest plugin of `@simulate`: `pytest_plugins = ["cacher.simulation.pytest_plugin"]` in your conftest.py.

    --sim-seed N     play this seed alone, in every simulated test that runs

Seeds that failed are kept in pytest's own cache and come first in the next run.
"""

from __future__ import annotations

from ._plugin import pytest_addoption as pytest_addoption
from ._plugin import simulated_seeds as simulated_seeds
