"""The commands about simulated worlds: list, run, hunt, replay, shrink, explain.

0 as it was to be   1 a guarantee was broken   2 no convergence, or nothing shown   3 the run was not deterministic   64 wrong usage
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ._cli_reports import add_report_flags, is_for_people, keep_reports, print_json, replay_words, wants_report
from ._completion import complete_with
from .reports import report_of_hunt, report_of_run, report_of_shrunk
from .simulation import (
    EXIT_BROKEN,
    EXIT_NOT_CONVERGED,
    EXIT_OK,
    HuntDisplay,
    HuntResult,
    LiveView,
    NothingToShrink,
    PlayDisplay,
    RunResult,
    Scenario,
    ScenarioNotFound,
    ShrinkDisplay,
    Shrunk,
    Tape,
    TapeError,
    UnknownVariant,
    explain,
    hunt,
    load_scenario,
    play,
    run_seed,
    scenario_of,
    shipped_scenarios,
    shrink,
)

EXIT_NOT_DETERMINISTIC = 3
TAPES = ".watchcache"
"""Where tapes of finds are kept: a folder of the current directory."""

UNUSABLE_WORLDS = (ScenarioNotFound, TapeError, NothingToShrink, UnknownVariant)


def add_worlds(commands: Any) -> None:
    """The parsers of these commands."""
    listing = commands.add_parser("list", help="the scenarios, one line each")
    listing.add_argument(
        "-o",
        "--output",
        choices=("json", "wide"),
        metavar="json|wide",
        help="with variants and the kinds of faults, too",
    )
    listing.set_defaults(run=_list)

    run = commands.add_parser("run", help="play a scenario by its script: the buggy variant and the fixed one")
    _add_scenario(run)
    run.add_argument("--seed", type=int, default=1, metavar="N", help="where all chance comes from (default: 1)")
    run.add_argument("--variant", default="", metavar="V", help="this variant alone")
    add_report_flags(run, "json", "wide")
    run.add_argument("--clients", type=_count, metavar="N", help="so many light clients, in a scenario about size")
    run.add_argument("--live", action="store_true", help="see caches, watchers, faults and guarantees while it plays")
    run.set_defaults(run=_run)

    hunting = commands.add_parser(
        "hunt", help="play a scenario with faults drawn from seed after seed, until something breaks"
    )
    _add_scenario(hunting)
    hunting.add_argument("--variant", default="", metavar="V", help="buggy or fixed (default: the scenario's first)")
    hunting.add_argument("--seeds", type=_count, default=1000, metavar="N", help="how many seeds (default: 1000)")
    hunting.add_argument("--first-seed", type=int, default=0, metavar="N", help="the first of them (default: 0)")
    hunting.add_argument(
        "--jobs", type=_count, default=os.cpu_count() or 1, metavar="J", help="processes (default: one a core)"
    )
    add_report_flags(hunting, "json", "wide")
    hunting.add_argument(
        "--live", action="store_true", help="see what is met and checked, and how often, while it goes on"
    )
    hunting.set_defaults(run=_hunt)

    for name, does, what in (
        ("replay", _replay, "play a tape again, and compare with what it came to when it was kept"),
        ("shrink", _shrink, "make a tape that fails as small as it gets"),
        ("explain", _explain, "tell the story of a tape: who believed what, and which read led to which write"),
    ):
        parser = commands.add_parser(name, help=what)
        parser.add_argument("tape", metavar="TAPE", help="a tape's file, as hunt keeps it")
        if name == "shrink":
            parser.add_argument(
                "--out", metavar="FILE", help="where to write it (default: beside the tape, .small.json)"
            )
        add_report_flags(parser, "json")
        parser.set_defaults(run=does)


def _add_scenario(parser: argparse.ArgumentParser) -> None:
    named = parser.add_argument("scenario", metavar="NAME", help="a shipped scenario, FILE, FILE:TEST, or module:NAME")
    complete_with(named, shipped_scenarios)


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    found = [load_scenario(name) for name in shipped_scenarios()]
    if options.output == "json":
        print_json([_listed(scenario) for scenario in found])
        return EXIT_OK
    width = max(len(scenario.name) for scenario in found)
    for scenario in found:
        what = f"{scenario.guarantee}; {scenario.source}" if scenario.guarantee else scenario.source
        print(f"{scenario.name:{width}}  {scenario.title}  [{what}]")
        if options.output == "wide" or options.verbose:
            faults = ", ".join(kind.value for kind in scenario.swarm.kinds)
            print(
                f"{'':{width}}  variants {', '.join(scenario.variants)}; {scenario.topology.servers} servers; faults {faults}"
            )
    return EXIT_OK


def _listed(scenario: Scenario) -> dict[str, object]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "guarantee": scenario.guarantee,
        "source": scenario.source,
        "variants": scenario.variants,
        "servers": scenario.topology.servers,
        "faults": [kind.value for kind in scenario.swarm.kinds],
    }


def _run(options: argparse.Namespace) -> int:
    scenario = _with_clients(load_scenario(options.scenario), options.clients)
    variants = (options.variant,) if options.variant else scenario.variants
    code, results, reports = EXIT_OK, [], []
    for number, variant in enumerate(variants):
        result = _watched(options, scenario, variant)
        results.append(result)
        if wants_report(options):
            again = replay_words("run", options.scenario, "--seed", options.seed, "--variant", variant)
            reports.append(report_of_run(result, replay=again))
        is_to_break = number == 0 and len(variants) > 1 and bool(scenario.guarantee)
        if is_for_people(options):
            _tell(options, _told(result))
            if _is_wide(options):
                _tell(options, _met(result.sometimes), *result.notes)
        if is_to_break and scenario.guarantee not in result.broken:
            print(f"the story is that {scenario.guarantee} is broken here, and it was not", file=sys.stderr)
            code = EXIT_BROKEN
        elif not is_to_break:
            code = max(code, _code(result))
    if reports:
        keep_reports(options, reports, f"{scenario.name}: {scenario.title}")
    if options.output == "json":
        print_json([_result(result) for result in results])
    return code


def _with_clients(scenario: Scenario, clients: int | None) -> Scenario:
    if clients is None:
        return scenario
    if scenario.scale is None:
        raise ScenarioNotFound(f"{scenario.name} is no scenario about size: leave --clients out")
    return msgspec.structs.replace(scenario, scale=msgspec.structs.replace(scenario.scale, clients=clients))


def _watched(options: argparse.Namespace, scenario: Scenario, variant: str) -> RunResult:
    """Play it by its script; before somebody's eyes, where that was asked for."""
    if not options.live:
        with PlayDisplay(f"playing {scenario.name}, {variant}", is_quiet=options.quiet) as display:
            return run_seed(scenario, options.seed, variant, hunting=False, keep=True, watcher=display.looked)
    with LiveView(is_quiet=options.quiet) as view:
        return run_seed(scenario, options.seed, variant, hunting=False, keep=True, watcher=view.looked)


def _result(result: RunResult) -> dict[str, object]:
    tape = result.tape
    return {
        "scenario": tape.scenario,
        "variant": tape.variant,
        "seed": tape.seed,
        "outcome": result.outcome,
        "broken": result.broken,
        "facts": result.facts,
        "digest": result.digest,
        "virtual_s": result.virtual_s,
        "steps": result.steps,
        "sometimes": result.sometimes,
        "notes": result.notes,
        "guarantees": result.verdicts,
    }


def _is_wide(options: argparse.Namespace) -> bool:
    return is_for_people(options) and (options.output == "wide" or options.verbose)


def _tell(options: argparse.Namespace, lines: Iterable[str], *more: str) -> None:
    """Print a story: in colours, where they are shown, what was broken and what held."""
    for line in (*lines, *more):
        code = next((code for word, code in _COLOURS.items() if word in line), "")
        print(options.colour(line, code) if code else line)


_COLOURS = {
    "broke ": "31",
    ": broken": "1;31",
    ": held": "32",
    "clean: ": "32",
    "found: ": "1;31",
    "watchcache replay": "1",
}
"""By what stands in a line."""


def _met(sometimes: Mapping[str, int]) -> list[str]:
    met = ", ".join(f"{name} {number}" for name, number in sometimes.items() if number)
    never = ", ".join(name for name, number in sometimes.items() if not number)
    return [f"met: {met}" + (f"; never: {never}" if never else "")]


def _told(result: RunResult) -> list[str]:
    how = f"{result.virtual_s:.0f} s of virtual time, {result.steps} steps, digest {result.digest}"
    if result.outcome == "held":
        return [f"{result.tape.scenario}, {result.tape.variant}, seed {result.tape.seed}: held; {how}"]
    return [*explain(result), how]


def _code(result: RunResult) -> int:
    if result.outcome == "held":
        return EXIT_OK
    return EXIT_NOT_CONVERGED if result.outcome in ("not-converged", "inconclusive") else EXIT_BROKEN


def _hunt(options: argparse.Namespace) -> int:
    scenario = load_scenario(options.scenario)
    variant = options.variant or scenario.variants[0]
    what = f"hunting {scenario.name}, {variant}"
    with HuntDisplay(what, options.seeds, is_quiet=options.quiet, is_detailed=options.live) as display:
        result = hunt(
            scenario,
            variant,
            seeds=options.seeds,
            first_seed=options.first_seed,
            jobs=options.jobs,
            on_seed=display.played,
        )
    kept = _kept(result)
    played = play(scenario, result.found.load(), keep=True) if result.found is not None else None
    if options.output == "json":
        print_json({**msgspec.to_builtins(result), "tape": str(kept) if kept is not None else ""})
    elif not is_for_people(options):
        pass  # the report has it all
    elif kept is None:
        _tell(options, [result.line()], *_met(result.sometimes))
    else:
        _tell(options, [f"watchcache replay {kept}", result.line(scenario.guarantee)])
        assert played is not None, "a tape is of a find"
        _tell(options, explain(played))
        print(f"make it smaller: watchcache shrink {kept}")
    if _is_wide(options):
        for other in result.others:
            print(f"also: seed {other.seed} {other.outcome}: {', '.join((*other.broken, *other.facts))}")
    _report_hunt(options, scenario, result, played, replay_words("replay", kept) if kept is not None else "")
    if kept is None:
        return EXIT_NOT_CONVERGED if result.inconclusive == result.seeds else EXIT_OK
    return EXIT_BROKEN


def _kept(result: HuntResult) -> Path | None:
    """Where the find's tape is kept; None: there is none."""
    if result.found is None:
        return None
    tape = Path(TAPES) / f"{result.scenario}-{result.variant}-{result.found.seed}.json"
    tape.parent.mkdir(exist_ok=True)
    tape.write_text(result.found.tape, encoding="utf-8")
    return tape


def _report_hunt(
    options: argparse.Namespace, scenario: Scenario, result: HuntResult, found: RunResult | None, replay: str
) -> None:
    """Its report, where one is wanted: the find stands in it beside the smallest script that fails as it does."""
    if not wants_report(options):
        return
    smallest = None
    if found is not None and found.outcome != "held":
        what = f"shrinking seed {found.tape.seed} for the report"
        with ShrinkDisplay(what, found.tape, is_quiet=options.quiet) as display:
            guarantee = scenario.guarantee if scenario.guarantee in found.broken else ""
            smallest = shrink(scenario, found.tape, guarantee=guarantee, on_play=display.played).tape
    report = report_of_hunt(result, scenario.guarantee, found=found, smallest=smallest, replay=replay)
    keep_reports(options, [report], report.title)


def _replay(options: argparse.Namespace) -> int:
    tape, scenario = _loaded(options.tape)
    with PlayDisplay(f"playing {options.tape}", is_quiet=options.quiet) as display:
        result = play(scenario, tape, keep=True, watcher=display.looked)
    _tell_replay(options, result, _told(result))
    _report_replay(options, result, "replay")
    if tape.digest and tape.digest != result.digest:
        print(
            f"the tape was kept at digest {tape.digest}: another version of the code, or something in it is not repeatable"
            f" (watchcache doctor)",
            file=sys.stdout if is_for_people(options) else sys.stderr,
        )
        return EXIT_NOT_DETERMINISTIC
    return _code(result)


def _shrink(options: argparse.Namespace) -> int:
    tape, scenario = _loaded(options.tape)
    out = Path(options.out) if options.out else Path(options.tape).with_suffix(".small.json")
    guarantee = scenario.guarantee if scenario.guarantee in tape.broken else ""
    with ShrinkDisplay(f"shrinking {options.tape}", tape, is_quiet=options.quiet) as display:
        found = shrink(scenario, tape, guarantee=guarantee, on_play=display.played)
    out.write_text(found.tape.to_json(), encoding="utf-8")
    if options.output == "json":
        figures = {"tape": str(out), "runs": found.plays, "before": found.before, "after": found.after}
        print_json({**_result(found.result), **figures})
    elif is_for_people(options):
        _tell_shrunk(options, found, out)
    if wants_report(options):
        report = report_of_shrunk(found, replay=replay_words("replay", out))
        keep_reports(options, [report], report.title)
    return EXIT_BROKEN


def _tell_shrunk(options: argparse.Namespace, found: Shrunk, out: Path) -> None:
    print(f"watchcache replay {out}")
    print(f"{found.before} operations and faults became {found.after}, in {found.plays} runs")
    if found.tape.scale is not None:
        print(f"  {_plain(found.tape.scale)}")
    for operation in found.tape.operations or ():
        print(f"  {_plain(operation)}")
    for fault in found.tape.faults:
        lasting = f" for {fault.for_s:g} s" if fault.for_s else ""
        print(f"  fault: {_plain(fault.do)}{lasting}, when {_plain(fault.when)}")
    _tell(options, explain(found.result))


def _explain(options: argparse.Namespace) -> int:
    tape, scenario = _loaded(options.tape)
    with PlayDisplay(f"playing {options.tape}", is_quiet=options.quiet) as display:
        result = play(scenario, tape, keep=True, watcher=display.looked)
    _tell_replay(options, result, explain(result))
    _report_replay(options, result, "explain")
    return _code(result)


def _tell_replay(options: argparse.Namespace, result: RunResult, lines: Iterable[str]) -> None:
    if options.output == "json":
        print_json(_result(result))
    elif is_for_people(options):
        _tell(options, lines)


def _report_replay(options: argparse.Namespace, result: RunResult, kind: str) -> None:
    if wants_report(options):
        report = report_of_run(result, kind=kind, replay=replay_words("replay", options.tape))
        keep_reports(options, [report], report.title)


def _loaded(path: str) -> tuple[Tape, Scenario]:
    tape = Tape.from_json(Path(path).read_bytes())
    return tape, scenario_of(tape)


def _plain(thing: msgspec.Struct) -> str:
    """A part of a tape as a call, without what says nothing."""
    members = msgspec.to_builtins(thing)
    shown = [f"{name}={value!r}" for name, value in members.items() if name != "type" and value not in ("", None)]
    return f"{type(thing).__name__}({', '.join(shown)})"
