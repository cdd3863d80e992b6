"""argparse, with this program's exit code for wrong usage, and a word on what may have been meant."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NoReturn, TextIO

from .simulation import EXIT_USAGE

_CHOICE = re.compile(r"invalid choice: '(?P<word>.*)' \(choose from (?P<choices>.*)\)$")
_UNKNOWN = re.compile(r"^unrecognized arguments: (?P<words>.*)$")
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")


class Parser(argparse.ArgumentParser):
    """A parser of the command, or of one of its commands."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what is meant maybe, and leave with EXIT_USAGE."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {message}{meant(message, self.format_help())}\n")


def read(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the words say. A flag that a command does not know is refused by that command, which knows its own; or it is in
    `rest`, where the command hands on what it does not know (`takes_rest`)."""
    options, unknown = parser.parse_known_args(arguments)
    options.rest = unknown
    if unknown and not getattr(options, "takes_rest", False):
        asked: Parser = options.parser
        asked.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.colour = colour_for(sys.stdout)
    return options


def meant(message: str, usage: str) -> str:
    """`: did you mean trace?`, where a word of `message` is nearly one that is known; else "". Pure.

    Args:
        usage: the parser's help, which has all of its flags.
    """
    if choice := _CHOICE.search(message):
        return _nearest(choice["word"], re.findall(r"[\w-]+", choice["choices"]))
    if unknown := _UNKNOWN.match(message):
        flags = list(dict.fromkeys(_FLAG.findall(usage)))
        for word in unknown["words"].split():
            if word.startswith("--") and (found := _nearest(word.partition("=")[0], flags)):
                return found
    return ""


def _nearest(word: str, choices: Sequence[str]) -> str:
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f": did you mean {near[0]}?" if near else ""


# ---- what all commands have ------------------------------------------------------------------------------------------


def add_common(parser: Parser) -> None:
    """How much is said: the same flags everywhere."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="results alone: no progress, no remarks")
    group.add_argument("-v", "--verbose", action="store_true", help="more of it; and whole tracebacks")
    parser.set_defaults(parser=parser)


class Colour:
    """Colours on a terminal; where there is none, or where NO_COLOR is set, text as it is."""

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on

    def __call__(self, text: str, code: str) -> str:
        """The text in a colour of ANSI's, such as "31"."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.is_on and text else text


def colour_for(file: TextIO) -> Colour:
    """What `file` can show. Source: no-color.org."""
    is_on = file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Colour(is_on=is_on)
