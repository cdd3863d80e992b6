"""The commands about the command: doctor, bench, completion.

doctor: 0 all is well, or warnings alone   1 something does not work   bench: the benchmarks' own   64 wrong usage
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from ._completion import SHELLS, script_for
from ._doctor import findings

EXIT_UNWELL = 1
ROOT = Path(__file__).resolve().parents[1]
MARKS = {"ok": "32", "warn": "33", "fail": "31"}
"""Their colours on a terminal."""


class NoBenchmarks(Exception):
    """The benchmarks are not here; the message says where they are."""


def add_upkeep(commands: Any) -> None:
    """The parsers of these commands. `commands` is argparse's, whose type has no public name."""
    doctor = commands.add_parser(
        "doctor",
        help="whether this machine has what watchcache needs, and what to do where not",
        description="Look at Python, the packages, etcd, ports, TLS, and whether the same seed is the same run here. Exit"
        " codes: 0 all is well or warnings alone, 1 something does not work.",
    )
    doctor.add_argument("-o", "--output", choices=("json",), metavar="json", help="as one JSON document")
    doctor.set_defaults(run=_doctor)
    bench = commands.add_parser(
        "bench",
        help="the figures of this machine (in a checkout)",
        description="Run the benchmarks, which are in the source checkout and not in the wheel. What else is said is said"
        " to them: --quick, --only TEXT, --runs N, --json FILE.",
    )
    bench.set_defaults(run=_bench, takes_rest=True)
    completion = commands.add_parser(
        "completion",
        help="what makes a shell complete these words",
        description='bash: eval "$(watchcache completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after'
        " compinit. fish: watchcache completion fish > ~/.config/fish/completions/watchcache.fish",
    )
    completion.add_argument("shell", choices=SHELLS, help="which shell")
    completion.set_defaults(run=_completion)


def _doctor(options: argparse.Namespace) -> int:
    found = []
    for one in findings():
        found.append(one)
        if options.output is None and not (options.quiet and one.mark == "ok"):
            line = one.line()
            print(options.colour(line[:5], MARKS[one.mark]) + line[5:], flush=True)
    if options.output is not None:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    return EXIT_UNWELL if any(one.mark == "fail" for one in found) else 0


def _bench(options: argparse.Namespace) -> int:
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        raise NoBenchmarks(
            "the benchmarks are in the source checkout and not in the wheel: clone the repository, and run `make bench` there"
        )
    return subprocess.run([sys.executable, "-m", "benchmarks", *options.rest], cwd=ROOT, check=False).returncode


def _completion(options: argparse.Namespace) -> int:
    print(script_for(options.shell))
    return 0
