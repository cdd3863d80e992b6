"""`python -m benchmarks.beside [--only TEXT] [--quick] [--json FILE] [--publish]`; or, from raw runs alone, `--page FILE`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks._servers import etcd_binary, kube_apiserver_binary

from ._jobs import BIN, jobs
from ._machine import machine
from ._report import Results, keep, kept, results_name, results_of, tables
from ._run import Unfinished, load, missing, run_all

RESULTS = Path(__file__).parent.parent / "results"
CURE = "not all peers are here, so some rows are ours alone, or left out: make bench-peers builds them (it needs Go)"
RUNS = 2
"""Twenty minutes on two cores; three take half an hour."""

UNFINISHED = RESULTS / "unfinished.json"
"""What a whole run has so far; gone once it is published."""


def measure(console: Console, *, runs: int, only: str, quick: bool, resume: bool = False) -> Results:
    """Run what is asked for, and print its tables. `resume`: go on with a whole run that was cut."""
    everything = list(jobs(quick=quick))
    chosen = [job for job in everything if only in f"peers: {job.name}"]
    is_all = len(chosen) == len(everything)
    so_far = _so_far(resume=resume, is_all=is_all, quick=quick)
    has_peers = (BIN / "cacher").exists() and etcd_binary() is not None and kube_apiserver_binary() is not None
    if chosen and not has_peers:
        console.print(CURE)
    told = Console(stderr=True)
    found = run_all(
        chosen,
        runs,
        so_far,
        tell=lambda name: told.print(f"[dim]{time.strftime('%H:%M:%S')} {name}"),
        keep=UNFINISHED if is_all else None,
    )
    lacking = missing(chosen, so_far)
    if lacking:
        told.print(f"not one run of: {'; '.join(lacking)}")
    is_whole = not quick and is_all and not lacking and has_peers
    results = results_of(so_far.machine, found, is_whole=is_whole)
    for table in tables(results):
        console.print(table)
    return results


def _so_far(*, resume: bool, is_all: bool, quick: bool) -> Unfinished:
    """Nothing, or what was cut. Raises SystemExit where there is nothing to go on with."""
    if not resume:
        return Unfinished(machine(), quick, [], [])
    cut = load(UNFINISHED)
    if cut is None or not is_all or cut.is_quick != quick:
        raise SystemExit(
            f"--resume goes on with a whole run that was cut, of the same size: {UNFINISHED.name} has none such"
        )
    return cut


def publish(results: Results, console: Console) -> None:
    """Keep the raw runs of a whole run and write docs/performance.md; of a part, say why not."""
    if not results.is_whole:
        console.print(
            "docs/performance.md is not written: that takes a whole run, with the peers; --resume goes on with one"
        )
        return
    name = results_name(results)
    RESULTS.mkdir(exist_ok=True)
    keep(RESULTS / name, results)
    UNFINISHED.unlink(missing_ok=True)
    console.print(f"written: benchmarks/results/{name}")
    try:
        from ._page import write_page
    except ModuleNotFoundError:  # the plots' library is one of development
        console.print(f"docs/performance.md: pip install matplotlib, then --page benchmarks/results/{name}")
    else:
        console.print(f"written: docs/{write_page(results).name}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each row ({RUNS})")
    parser.add_argument("--only", default="", metavar="TEXT", help="jobs whose name contains TEXT")
    parser.add_argument("--json", metavar="FILE", help="write every run to FILE")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: does it run?")
    parser.add_argument("--publish", action="store_true", help="keep the raw runs, and write docs/performance.md")
    parser.add_argument("--resume", action="store_true", help="go on with a whole run that was cut: each job is kept")
    parser.add_argument("--page", metavar="FILE", help="measure nothing: docs/performance.md from the raw runs in FILE")
    options = parser.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=200)
    if options.page:
        from ._page import write_page

        console.print(f"written: {write_page(kept(Path(options.page))).name}")
        return
    results = measure(console, runs=options.runs, only=options.only, quick=options.quick, resume=options.resume)
    if options.json:
        keep(Path(options.json), results)
    if options.publish:
        publish(results, console)


if __name__ == "__main__":
    main()
