"""Every job in turn, round after round, so that a noisy minute does not fall on one line alone; and a run that was cut goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ._line import Job, Runs
from ._machine import Machine
from ._report import Row


class Unfinished(msgspec.Struct):
    """What a run has so far."""

    machine: Machine
    is_quick: bool
    done: list[tuple[str, int]]
    """Each job that was run, and the number of its run."""
    rows: list[Row]
    """In the order in which they were found."""


def load(path: Path) -> Unfinished | None:
    """What a run that was cut left behind; None: nothing."""
    return msgspec.json.decode(path.read_bytes(), type=Unfinished) if path.exists() else None


def run_all(
    chosen: Sequence[Job], rounds: int, so_far: Unfinished, *, tell: Callable[[str], None], keep: Path | None = None
) -> Runs:
    """What was found, with what had been found before. `tell` is told the name of each job before it runs.

    With `keep` all of it is in that file after each job: whenever this is cut, one job is lost at most. A job whose process
    fails is told of and left out; `missing` knows it.
    """
    runs: Runs = {row.line: row.sides for row in so_far.rows}
    for number in range(rounds):
        for job in chosen:
            if number >= job.runs_max or (job.name, number) in so_far.done:
                continue
            tell(f"{job.name} ({number + 1} of {min(rounds, job.runs_max)})")
            try:
                found = job.run(number)
            except subprocess.SubprocessError as error:
                tell(f"FAILED, and is tried again by --resume: {job.name}: {error}")
                continue
            for line, sides in found.items():
                known = runs.setdefault(line, {})
                for side, sample in sides.items():
                    known.setdefault(side, []).append(sample)
            so_far.done.append((job.name, number))
            so_far.rows = [Row(line, sides) for line, sides in runs.items()]
            if keep is not None:
                _write(keep, so_far)
    return _in_order(runs)


def missing(chosen: Sequence[Job], so_far: Unfinished) -> list[str]:
    """Jobs of which there is not one run."""
    done = {name for name, _ in so_far.done}
    return [job.name for job in chosen if job.name not in done]


def _write(path: Path, so_far: Unfinished) -> None:
    """The old one or the new one, never half of it."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(so_far))
    os.replace(new, path)


def _in_order(runs: Runs) -> Runs:
    """Groups together, in the order in which they came."""
    groups = list(dict.fromkeys(line.group for line in runs))
    return {line: runs[line] for line in sorted(runs, key=lambda line: groups.index(line.group))}
