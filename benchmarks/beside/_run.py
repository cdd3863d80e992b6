"""Every job in turn, round after round, so that a noisy minute does not fall on one line alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._line import Job, Runs


def run_all(chosen: Sequence[Job], rounds: int, *, tell: Callable[[str], None]) -> Runs:
    """What was found. `tell` is told the name of each job before it runs."""
    runs: Runs = {}
    for number in range(rounds):
        for job in chosen:
            if number >= job.runs_max:
                continue
            tell(job.name)
            for line, sides in job.run(number).items():
                kept = runs.setdefault(line, {})
                for side, sample in sides.items():
                    kept.setdefault(side, []).append(sample)
    return _in_order(runs)


def _in_order(runs: Runs) -> Runs:
    """Groups together, in the order in which they came."""
    groups = list(dict.fromkeys(line.group for line in runs))
    return {line: runs[line] for line in sorted(runs, key=lambda line: groups.index(line.group))}
