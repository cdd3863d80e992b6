"""The command `watchcache`: reads the words, runs what they ask for, prints, and ends with a meaningful exit code.

0 ok   1 a guarantee was broken, or a recording differs; what was looked for is not there   2 no convergence
3 not repeatable   64 wrong usage or unusable input   130 Ctrl-C
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from watch import APIError

from ._cli_look import EXIT_REFUSED, UNUSABLE_LOOKS, LookRefused, add_look, told
from ._cli_parser import Parser, add_common, read
from ._cli_reports import UNUSABLE_REPORTS, add_diff, add_report_flags, is_for_people, keep_reports, wants_report
from ._cli_serve import UNUSABLE, add_serve, run_serve
from ._cli_upkeep import NoBenchmarks, add_upkeep
from ._cli_worlds import UNUSABLE_WORLDS, add_worlds
from ._completion import answer, complete_with
from ._resources import RESOURCES
from ._stores import ETCD_PREFIX, StoreOptions
from .reports import Report, report_of_trace
from .simulation import (
    EXIT_BROKEN,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    LandingRefused,
    LiveView,
    ProgressDisplay,
    ReplayMismatch,
    RunOptions,
    TraceError,
    TraceRun,
    console_for,
    find_trace,
    load_trace,
    package_version,
    render,
    shipped_traces,
)
from .storage.etcd import EtcdError

CLIENTS_MAX = 1_000_000
"""A client takes some 10 KB and a trio task; a million do not fit most machines, more is a slip of the finger."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: the process's own). Returns the exit code."""
    parser = _parser()
    answer(parser)
    options = read(parser, arguments)
    try:
        code: int = options.run(options)
        return code
    except BrokenPipeError:  # the reader of our output went away, as `head` does; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:  # before there was anything to report
        return _fail("interrupted", EXIT_INTERRUPTED)
    except Exception as error:
        cause = _only(error)
        if isinstance(cause, KeyboardInterrupt):
            return _fail("interrupted", EXIT_INTERRUPTED)
        refusal = _refusal(cause)
        if refusal is None:
            raise
        if options.verbose:
            traceback.print_exception(error)
        return _fail(*refusal)


def _refusal(error: BaseException) -> tuple[str, int] | None:
    """What to say of an error that somebody can do something about, and the exit code."""
    if isinstance(error, (*UNUSABLE, *UNUSABLE_WORLDS, *UNUSABLE_REPORTS, *UNUSABLE_LOOKS, *_UNUSABLE)):
        return str(error), EXIT_USAGE
    if isinstance(error, APIError):
        return told(error), EXIT_REFUSED
    if isinstance(error, ReplayMismatch):
        return str(error), EXIT_BROKEN
    return None


def _only(error: BaseException) -> BaseException:
    """The one error in a group of one, however deep: nurseries wrap what passes through them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _fail(message: str, code: int) -> int:
    print(f"watchcache: {message}", file=sys.stderr)
    return code


def _trace(options: argparse.Namespace) -> int:
    run_options = RunOptions(
        clients=options.clients,
        speed=options.pace,
        seed=options.seed,
        verify=options.verify,
        watch_cache=options.watch_cache,
        watch_cache_sizes=options.watch_cache_sizes,
        store=_store_options(options),
        store_words=_store_words(options),
    )
    trace = load_trace(find_trace(options.trace))
    reports: list[Report] = []
    with (LiveView if options.live else ProgressDisplay)(is_quiet=options.quiet) as display:
        run = TraceRun(trace, run_options, named=options.trace, display=display)
        run.execute()
        report = run.report()
        if wants_report(options):
            display.phase("making the report")
            reports = [report_of_trace(report, run.history)]
    if reports:
        keep_reports(options, reports, f"trace {report.trace}")
    if options.output == "json":
        print(report.to_json(), flush=True)
    elif is_for_people(options):
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a letter that the output cannot show must not end the report
        render(report, console_for(sys.stdout, is_wide=options.output == "wide"))
        sys.stdout.flush()
    return report.exit_code


def _parser() -> Parser:
    parser = Parser(
        prog="watchcache",
        description="A Kubernetes watch cache, whole and deterministic: play histories through it and see what its readers see.",
        epilog="exit codes: 0 ok, 1 a guarantee was broken, or what was looked for is not there, 2 no convergence,"
        " or nothing was shown, 3 not repeatable, 64 wrong usage or unusable input, 130 interrupted",
    )
    parser.add_argument("--version", action="version", version=f"watchcache {package_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_trace(commands)
    add_serve(commands, add_store=_add_store)
    add_worlds(commands)
    add_diff(commands)
    add_look(commands, add_store=_add_store, read_store=_store_options)
    add_upkeep(commands)
    for command in commands.choices.values():
        add_common(command)
    commands.choices["trace"].set_defaults(run=_trace)
    commands.choices["serve"].set_defaults(run=_serve)
    return parser


def _serve(options: argparse.Namespace) -> int:
    return run_serve(options, _store_options(options))


def _add_trace(commands: argparse._SubParsersAction[Parser]) -> None:
    trace = commands.add_parser(
        "trace",
        help="play a recorded cluster's etcd history through the cache, to many clients",
        description="Play what a real control plane wrote to etcd into the embedded etcd, mirror every resource through a"
        " reflector into a ring-buffer cache, serve simulated clients from it, and judge all that they saw.",
    )
    named = trace.add_argument(
        "trace", metavar="NAME-OR-PATH", help="a shipped trace such as rollout, or a prefix such as dir/rollout"
    )
    complete_with(named, shipped_traces)
    trace.add_argument(
        "--clients", type=_client_count, default=1000, metavar="N", help="simulated clients (default: 1000)"
    )
    trace.add_argument(
        "--pace",
        type=_pace,
        default=None,
        metavar="max|real|FACTOR",
        help="max: virtual clock, as fast as possible, repeatable (default); real: as recorded; FACTOR: so many times as fast",
    )
    trace.add_argument("--seed", type=_seed, default=0, metavar="N", help="where all chance comes from (default: 0)")
    trace.add_argument(
        "--verify", action="store_true", help="compare with the watches of a real watch cache recorded beside the trace"
    )
    trace.add_argument(
        "--live", action="store_true", help="see caches, watchers, deliveries and guarantees while it plays"
    )
    _add_store(trace)
    _add_watch_cache(trace)
    add_report_flags(trace, "json", "wide")
    trace.add_argument("--json", action="store_const", const="json", dest="output", help="the same as -o json")


class StoreError(Exception):
    """The store cannot be used as it was asked for; the message says what to change."""


_UNUSABLE = (TraceError, LandingRefused, StoreError, EtcdError, LookRefused, NoBenchmarks, OSError)


_STORE_FLAGS = (
    ("--etcd", "URL[,URL…]", "a real etcd, one server or a cluster (default: an embedded one)"),
    ("--etcd-prefix", "/PREFIX", f"where objects are kept in it (default: {ETCD_PREFIX})"),
    ("--etcd-cafile", "PATH", "the authorities to trust, as PEM (default: the system's)"),
    ("--etcd-certfile", "PATH", "our certificate, as PEM"),
    ("--etcd-keyfile", "PATH", "its key, as PEM"),
    ("--etcd-user", "NAME", "who we are to etcd"),
    ("--etcd-password-file", "PATH", "a file whose first line is the password"),
    ("--data-dir", "DIR", "keep the embedded etcd there, to be there again at the next start"),
)


def _add_store(command: argparse.ArgumentParser) -> None:
    """Where objects are kept: the same flags wherever a store is opened."""
    group = command.add_argument_group("the store")
    for flag, metavar, text in _STORE_FLAGS:
        group.add_argument(flag, metavar=metavar, help=text)


def _store_options(options: argparse.Namespace) -> StoreOptions:
    """Raises StoreError: the flags contradict each other, or a file cannot be read."""
    if options.etcd is not None and options.data_dir is not None:
        raise StoreError("--etcd and --data-dir exclude each other: a real etcd keeps its data itself")
    given = [flag for flag, *_ in _STORE_FLAGS[1:-1] if getattr(options, flag[2:].replace("-", "_")) is not None]
    if options.etcd is None and given and given != ["--etcd-prefix"]:
        raise StoreError(f"{given[-1]} is for a real etcd: say with --etcd where that is")
    endpoints = (
        tuple(part.strip() for part in options.etcd.split(",") if part.strip()) if options.etcd is not None else ()
    )
    if options.etcd is not None and not endpoints:
        raise StoreError("--etcd names no endpoint: write it as http://127.0.0.1:2379")
    try:
        return StoreOptions(
            endpoints=endpoints,
            prefix=options.etcd_prefix or ETCD_PREFIX,
            cafile=options.etcd_cafile or "",
            certfile=options.etcd_certfile or "",
            keyfile=options.etcd_keyfile or "",
            user=options.etcd_user or "",
            password=_read_password(options.etcd_password_file),
            data_dir=options.data_dir,
        )
    except ValueError as error:
        raise StoreError(str(error)) from error


def _read_password(path: str | None) -> str:
    if path is None:
        return ""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"--etcd-password-file: {error}") from error
    if not lines or not lines[0]:
        raise StoreError(f"--etcd-password-file: {path} is empty: its first line is the password")
    return lines[0]


def _store_words(options: argparse.Namespace) -> tuple[str, ...]:
    """The store's flags as they were given, to be given again."""
    given = ((flag, getattr(options, flag[2:].replace("-", "_"))) for flag, *_ in _STORE_FLAGS)
    return tuple(word for flag, value in given if value is not None for word in (flag, value))


def _add_watch_cache(command: argparse.ArgumentParser) -> None:
    """The caches' flags, as kube-apiserver has them."""
    command.add_argument(
        "--watch-cache",
        type=_truth,
        default=True,
        metavar="true|false",
        help="whether lists and watches are served from caches, and not from the store alone (default: true)",
    )
    command.add_argument(
        "--watch-cache-sizes",
        type=_watch_cache_sizes,
        default=(),
        metavar="RESOURCE=N,…",
        help="resources as kubectl writes them; 0: no cache for it, as in events=0,deployments.apps=0; any other number: a"
        " cache, whose size is its own affair",
    )


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _watch_cache_sizes(text: str) -> tuple[tuple[str, int], ...]:
    """`resource=n` or, as kube-apiserver has it, `resource#n`."""
    sizes: dict[str, int] = {}
    known = {name for info in RESOURCES.values() for name in (info.plural, info.qualified_name)}
    for part in filter(None, text.split(",")):
        resource, sign, size = part.partition("#" if "#" in part else "=")
        if not (sign and size.isascii() and size.isdigit() and len(size) <= 9):
            raise argparse.ArgumentTypeError(f"{part!r} is not RESOURCE=N, such as events=0")
        if resource not in known and "." not in resource:
            raise argparse.ArgumentTypeError(f"{resource!r} is no resource: write it as kubectl does, such as events")
        sizes[resource] = int(size)
    return tuple(sizes.items())


def _client_count(text: str) -> int:
    return _whole_number(text, CLIENTS_MAX)


def _seed(text: str) -> int:
    return _whole_number(text, 2**64 - 1)


def _whole_number(text: str, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= highest):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {highest}")
    return int(text)


def _pace(text: str) -> float | None:
    """None for max, else trace seconds in a real second."""
    if text == "max":
        return None
    try:
        factor = 1.0 if text == "real" else float(text)
    except ValueError:
        factor = math.nan
    if not (math.isfinite(factor) and factor > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not max, real, or a positive factor such as 10")
    return factor
