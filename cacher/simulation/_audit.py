"""The audit: one tape played in two processes, under two hash seeds, and compared line by line.

    audit ─► python -c … (PYTHONHASHSEED=1) ─► chronicle ┐
         └─► python -c … (PYTHONHASHSEED=2) ─► chronicle ┴─► the first line that differs

Two heaps, two hash seeds, two addresses of everything: what depends on any of them shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest

import msgspec

_CHILD = """
import sys
from cacher.simulation._audit import answer
answer(sys.argv[1], sys.argv[2], [int(seed) for seed in sys.argv[4:]], sys.argv[3] == "hunt")
"""


class Difference(msgspec.Struct, frozen=True):
    """A seed that did not come to the same in two processes."""

    seed: int
    line: int
    """Of the chronicle, from 1; 0: the chronicles are the same, and what clients were given is not."""
    one: str
    other: str

    def __str__(self) -> str:
        return f"seed {self.seed} differs at line {self.line}:\n  {self.one}\n  {self.other}"


class _Told(msgspec.Struct):
    digest: str
    lines: list[str]


def audit(path: str, variant: str, seeds: Sequence[int], *, hunting: bool = True) -> list[Difference]:
    """The seeds that do not come to the same in two processes, each with the first line that differs.

    Args:
        path: where the scenario is: "module:NAME", or a file's path, whose SCENARIO it is.
    Raises:
        RuntimeError: a process failed; its last words are in the message.
    """
    found = []
    told = [_ask(path, variant, seeds, hunting, hash_seed) for hash_seed in ("1", "2")]
    for seed, one, other in zip(seeds, *told, strict=True):
        if one == other:
            continue
        pairs = enumerate(zip_longest(one.lines, other.lines, fillvalue="(nothing more)"), 1)
        line, (left, right) = next(
            ((number, pair) for number, pair in pairs if pair[0] != pair[1]), (0, (one.digest, other.digest))
        )
        found.append(Difference(seed, line, left, right))
    return found


def _ask(path: str, variant: str, seeds: Sequence[int], hunting: bool, hash_seed: str) -> list[_Told]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, path, variant, "hunt" if hunting else "run", *map(str, seeds)],
        env=environment,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{path} could not be played: {done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=list[_Told])


def answer(path: str, variant: str, seeds: Sequence[int], hunting: bool) -> None:
    """What a process of an audit does: play seeds and print their chronicles."""
    from ._load import load_scenario
    from ._play import run_seed

    scenario = load_scenario(path)
    told = []
    for seed in seeds:
        result = run_seed(scenario, seed, variant, hunting=hunting, keep=True)
        assert result.chronicle is not None, "it was to be kept"
        told.append(_Told(result.digest, result.chronicle.lines))
    sys.stdout.buffer.write(msgspec.json.encode(told))
