"""What the plugin adds to pytest: an option, and a memory of seeds that failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from .._simulate import CHOSEN

_KEY = "watchcache/failed-seeds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--sim-seed`."""
    group = parser.getgroup("watchcache", "simulated worlds")
    group.addoption(
        "--sim-seed", type=int, default=None, metavar="N", help="play this seed alone in each @simulate test"
    )


@pytest.fixture(autouse=True, scope="session")
def simulated_seeds(pytestconfig: pytest.Config) -> Iterator[None]:
    """What the command line and the last run say, for as long as the session lasts."""
    with _chosen(pytestconfig):
        yield


@contextmanager
def _chosen(config: pytest.Config) -> Iterator[None]:
    cache: pytest.Cache | None = getattr(config, "cache", None)  # none with `-p no:cacheprovider`

    def first(name: str) -> Sequence[int]:
        kept = cache.get(_KEY, {}) if cache is not None else {}
        return [kept[name]] if name in kept else []

    def failed(name: str, seed: int | None) -> None:
        if cache is None:
            return
        kept = dict(cache.get(_KEY, {}))
        if seed is None:
            kept.pop(name, None)
        else:
            kept[name] = seed
        cache.set(_KEY, kept)

    before = (CHOSEN.seed, CHOSEN.first, CHOSEN.failed)
    CHOSEN.seed, CHOSEN.first, CHOSEN.failed = config.getoption("--sim-seed"), first, failed
    try:
        yield
    finally:
        CHOSEN.seed, CHOSEN.first, CHOSEN.failed = before
