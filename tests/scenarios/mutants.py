"""Bugs planted in our own code, one at a time, for the simulator to find: what it cannot find in them, it cannot find in us.

    python -m tests.scenarios.mutants                      plays them all: a line each
    python -m tests.scenarios.mutants NAME… [--seeds N] [--first-seed K] [--jobs J]

A mutant is a replacement in the source of a module, done while that is imported, in a process of its own: no file is changed. Who
hunts it is one of the two self-checks of `scenarios/`, which know of no mutant, and are clean without. tests/scenarios/mutants.toml
has them all; a text there that is no longer in its module is told by a test.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

import msgspec

from tests import source

TABLE = "tests/scenarios/mutants.toml"
SEEDS = 1_000
TIMEOUT_S = 1_800.0
"""For one mutant: a bug may also make a run go on for ever."""


class Change(msgspec.Struct, frozen=True):
    """One replacement: `old` is in the file exactly once."""

    file: str
    old: str
    new: str


class Mutant(msgspec.Struct, frozen=True):
    """One bug. It is in several places where one alone does no harm."""

    name: str
    part: str
    breaks: str
    """What goes wrong, in one line."""
    found_by: str
    """The self-check that has to find it."""
    changes: tuple[Change, ...]

    def sources(self) -> dict[str, str]:
        """The changed source of each module, by its name.

        Raises:
            ValueError: a text is not in its file exactly once: the code has changed, and the mutant is to follow.
        """
        texts: dict[str, str] = {}
        for change in self.changes:
            module = source.module_of(change.file)
            text = texts.get(module) or (source.ROOT / change.file).read_text(encoding="utf-8")
            if (times := text.count(change.old)) != 1:
                raise ValueError(f"{self.name}: {change.old!r} is {times} times in {change.file}: write it anew")
            texts[module] = text.replace(change.old, change.new)
        return texts


class Caught(msgspec.Struct, frozen=True):
    """What a hunt for one mutant came to."""

    seeds: int
    """Played until it was found, or all of them."""
    seconds: float
    seed: int | None
    """The one that found it; None: none did."""
    convicted_by: tuple[str, ...] = ()

    @property
    def is_found(self) -> bool:
        return self.seed is not None


def mutants() -> dict[str, Mutant]:
    """All of them, by name, in the order of the table."""
    found = tomllib.loads((source.ROOT / TABLE).read_text(encoding="utf-8"))
    return {name: msgspec.convert({"name": name, **row}, Mutant) for name, row in found.items()}


# ---- planting --------------------------------------------------------------------------------------------------------


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        """The changed source, compiled; whatever was compiled before is not looked at, and nothing is kept."""
        return compile(self._text, self.get_filename(fullname), "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """That of a planted module; all others are found as ever."""
        text = self._sources.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if text is not None else None
        if spec is None or spec.origin is None or text is None:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            spec.origin,
            loader=_Loader(fullname, spec.origin, text),
            submodule_search_locations=spec.submodule_search_locations,
        )


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Whatever of its modules is imported within has the bug.

    Raises:
        RuntimeError: one of them had been imported before: plant it in a process of its own.
    """
    sources = mutant.sources()
    if early := [name for name in sources if name in sys.modules]:
        raise RuntimeError(f"{', '.join(early)} was imported before: plant {mutant.name} in a process of its own")
    finder = _Finder(sources)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        assert all(name in sys.modules for name in sources), f"{mutant.name} was planted where nobody looks"


# ---- hunting ---------------------------------------------------------------------------------------------------------


def hunt_here(mutant: Mutant, *, seeds: int, first_seed: int, jobs: int) -> Caught:
    """Plant it in this process, and hunt it with its self-check."""
    with planted(mutant):
        import cacher.simulation as simulation

        scenario = simulation.load_scenario(mutant.found_by)
    result = simulation.hunt(scenario, scenario.variants[0], seeds=seeds, first_seed=first_seed, jobs=jobs)
    found = result.found
    if found is None:
        return Caught(result.seeds, result.seconds, None)
    return Caught(result.seeds, result.seconds, found.seed, found.broken or (found.outcome,))


def catch(
    mutant: Mutant, *, seeds: int = SEEDS, first_seed: int = 0, jobs: int = 1, timeout_s: float = TIMEOUT_S
) -> Caught:
    """Hunt it in a process of its own.

    Raises:
        subprocess.SubprocessError: that failed, or took longer than `timeout_s`.
    """
    options = ["--here", "--seeds", str(seeds), "--first-seed", str(first_seed), "--jobs", str(jobs)]
    command = [sys.executable, "-m", "tests.scenarios.mutants", mutant.name, *options]
    done = subprocess.run(command, cwd=source.ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise subprocess.SubprocessError(f"{mutant.name} ended with {done.returncode}: {done.stderr[-2_000:]}")
    return msgspec.json.decode(done.stdout, type=Caught)


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunts those that are named, or all; how many were not found, as an exit code of 0 or 1."""
    parser = argparse.ArgumentParser(description="Plants bugs in this library, and has the simulator find them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutant (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="in this process, one mutant alone; prints JSON")
    options = parser.parse_args(arguments)
    known = mutants()
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no such mutant: {', '.join(unknown)}; choose of {', '.join(known)}")
    chosen = [known[name] for name in options.names or known]
    if options.here:
        caught = hunt_here(chosen[0], seeds=options.seeds, first_seed=options.first_seed, jobs=options.jobs)
        print(msgspec.json.encode(caught).decode())
        return 0
    missed = 0
    for mutant in chosen:
        caught = catch(mutant, seeds=options.seeds, first_seed=options.first_seed, jobs=options.jobs)
        missed += not caught.is_found
        told = f"found by {', '.join(caught.convicted_by)}" if caught.is_found else "NOT FOUND"
        print(f"{mutant.name}: {told} after {caught.seeds} seeds, {caught.seconds:.1f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
