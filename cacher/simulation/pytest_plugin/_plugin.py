"""What the plugin adds to pytest: three options, a memory of seeds that failed, and their tapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from .._simulate import CHOSEN
from .._tape import Tape, TapeError

_KEY = "watchcache/failed-seeds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--sim-seed`, `--sim-tape` and `--sim-no-shrink`."""
    group = parser.getgroup("watchcache", "simulated worlds")
    group.addoption(
        "--sim-seed", type=int, default=None, metavar="N", help="play this seed alone in each @simulate test"
    )
    group.addoption(
        "--sim-tape", default=None, metavar="FILE", help="play this tape alone, in the @simulate test that it is of"
    )
    group.addoption(
        "--sim-no-shrink",
        action="store_true",
        help="tell of a failing history as it was found, not as small as it gets",
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

    def keep(tape: Tape) -> str:
        if cache is None:
            return ""
        file, here = cache.mkdir("watchcache-tapes") / f"{tape.scenario}.json", Path.cwd()
        file.write_text(tape.to_json() + "\n", encoding="utf-8")
        return str(file.relative_to(here) if file.is_relative_to(here) else file)

    before = msgspec.structs.astuple(CHOSEN)
    CHOSEN.tape_file = config.getoption("--sim-tape") or ""
    CHOSEN.tape = _read(CHOSEN.tape_file) if CHOSEN.tape_file else None
    CHOSEN.seed, CHOSEN.first, CHOSEN.failed, CHOSEN.keep = config.getoption("--sim-seed"), first, failed, keep
    CHOSEN.shrinks = not config.getoption("--sim-no-shrink")
    try:
        yield
    finally:
        for name, value in zip(CHOSEN.__struct_fields__, before, strict=True):
            setattr(CHOSEN, name, value)


def _read(file: str) -> Tape:
    try:
        return Tape.from_json(Path(file).read_bytes())
    except OSError as error:
        raise pytest.UsageError(f"--sim-tape {file}: {error.strerror}: name a file that holds a tape") from error
    except TapeError as error:
        raise pytest.UsageError(f"--sim-tape {file}: {error}") from error


def pytest_configure(config: pytest.Config) -> None:
    """Say at once where the options cannot be what was meant."""
    file = config.getoption("--sim-tape", None)
    if not file:
        return
    if config.getoption("--sim-seed") is not None:
        raise pytest.UsageError("--sim-tape has a seed of its own: leave --sim-seed out")
    _read(file)
