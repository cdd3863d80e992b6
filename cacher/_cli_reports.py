"""Reports from the command line: --html, --perfetto and --shiviz of whatever plays a world or a trace, and `diff`.

0 as the command itself ends; `diff`: 0 the two are the same, 1 they differ, 64 a file that is neither tape nor report
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from .reports import (
    Document,
    PageError,
    Report,
    compare,
    comparison_lines,
    read_page,
    report_of_run,
    to_perfetto,
    to_shiviz,
    write_page,
)
from .simulation import EXIT_BROKEN, EXIT_OK, PlayDisplay, Tape, package_version, play, scenario_of

UNUSABLE_REPORTS = (PageError,)

_FLAGS = (
    ("--html", "write a report: one file that opens from disk, with a space-time diagram and what everybody believed"),
    ("--perfetto", "write the timeline for ui.perfetto.dev, in the Chrome trace format"),
    ("--shiviz", "write the timeline for ShiViz, as a log with vector clocks"),
)


def add_report_flags(parser: Any, *forms: str) -> None:
    """The flags of a command that has something to report, which can be printed in these forms too: html is one of them."""
    add_output(parser, *forms, "html")
    group = parser.add_argument_group("reports")
    for flag, text in _FLAGS:
        group.add_argument(flag, type=_new_file, metavar="FILE", help=text)


def add_output(parser: Any, *forms: str) -> None:
    """`-o`: what is on standard output instead of the lines for people."""
    said = " or ".join(_FORMS[form] for form in forms)
    parser.add_argument("-o", "--output", choices=forms, metavar="|".join(forms), help=f"{said}, instead of lines")


_FORMS = {"json": "one JSON document", "wide": "all there is to tell", "html": "the report that --html writes"}


def add_diff(commands: Any) -> None:
    """The parser of `diff`."""
    parser = commands.add_parser(
        "diff",
        help="compare two runs: two tapes, or two reports that were saved with --html",
        description="Tell how two runs differ: what they were given, what they came to, and the first thing that happened"
        " otherwise. A tape is played; a report is read. Of a report with several runs, FILE#2 names the second.",
    )
    for name in ("a", "b"):
        parser.add_argument(name, metavar=name.upper(), help="a tape, or a report that was saved with --html")
    parser.add_argument(*_FLAGS[0][:1], type=_new_file, metavar="FILE", help="write the comparison as a page too")
    add_output(parser, "json", "html")
    parser.set_defaults(run=_diff)


def _new_file(text: str) -> Path:
    """Where a report goes: refused before the run, not after it, where it cannot be written."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: name a file in a directory that exists")
    return path


def wants_report(options: argparse.Namespace) -> bool:
    """Whether any of the flags was given: making a report costs some µs an event."""
    return options.output == "html" or any(getattr(options, flag[2:]) is not None for flag, _ in _FLAGS)


def is_for_people(options: argparse.Namespace) -> bool:
    """Whether standard output has lines for people, and not a document for a program."""
    return options.output not in ("json", "html")


def print_json(value: object) -> None:
    """One document on standard output."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), flush=True)


def keep_reports(options: argparse.Namespace, reports: Sequence[Report], title: str) -> None:
    """Write what was asked for, and say so where it does not mix with what the command prints."""
    _keep_page(options, Document(title, list(reports), made_by=_made_by()), "the report")
    if options.perfetto is not None:
        _keep(options.perfetto, to_perfetto(reports), "for ui.perfetto.dev")
    if options.shiviz is not None:
        chosen = next((report for report in reports if not report.is_ok), reports[0])
        _keep(options.shiviz, to_shiviz(chosen).encode(), f"for ShiViz: {chosen.title}")


def replay_words(*words: object) -> str:
    """A command of this program, as it is typed."""
    return shlex.join(["watchcache", *map(str, words)])


def _keep_page(options: argparse.Namespace, document: Document, what: str) -> None:
    """Into its file, and onto standard output, where it was asked for there."""
    if options.html is None and options.output != "html":
        return
    page = write_page(document)
    if options.html is not None:
        _keep(options.html, page.encode(), what)
    if options.output == "html":
        print(page, flush=True)


def _keep(path: Path, content: bytes, what: str) -> None:
    path.write_bytes(content)
    print(f"watchcache: {what}: {path}", file=sys.stderr)


def _made_by() -> str:
    return f"watchcache {package_version()}"


# ---- diff ----------------------------------------------------------------------------------------------------------------


def _diff(options: argparse.Namespace) -> int:
    a, b = (_report_in(named, is_quiet=options.quiet) for named in (options.a, options.b))
    comparison = compare(a, b, named=(options.a, options.b))
    if options.output == "json":
        print_json(comparison)
    elif is_for_people(options):
        for line in comparison_lines(comparison):
            print(line)
    title = f"{options.a} and {options.b} compared"
    _keep_page(options, Document(title, [a, b], comparison, made_by=_made_by()), "the comparison")
    return EXIT_BROKEN if comparison.differences else EXIT_OK


def _report_in(named: str, *, is_quiet: bool) -> Report:
    """The report that a file holds, or that its tape comes to.

    Raises:
        PageError: the report is damaged, of another version, or has no such run.
        TapeError: it is neither a report nor a tape.
    """
    found = re.fullmatch(r"(.+)#(\d+)", named)
    path, number = (found[1], int(found[2])) if found is not None and not Path(named).exists() else (named, 1)
    content = Path(path).read_bytes()
    if content.lstrip()[:1] == b"<":
        reports = read_page(content.decode("utf-8", errors="replace")).reports
        if not 1 <= number <= len(reports):
            raise PageError(f"{path} has {len(reports)} runs, and no number {number}: choose one from 1 on")
        return reports[number - 1]
    tape = Tape.from_json(content)
    with PlayDisplay(f"playing {path}", is_quiet=is_quiet) as display:
        result = play(scenario_of(tape), tape, keep=True, watcher=display.looked)
    return report_of_run(result, kind="replay", replay=replay_words("replay", path))
