"""The door to argcomplete: words completed in a shell, from the same parser that reads them.

Source: argcomplete's documentation. A shell runs the command itself, with a variable set, and is told what could come next.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable
from typing import Any

import argcomplete
from argcomplete.shell_integration import shellcode

SHELLS = ("bash", "zsh", "fish")
COMMAND = "watchcache"
VARIABLE = "_ARGCOMPLETE"


def script_for(shell: str) -> str:
    """What a shell is to evaluate so that it completes the command's words."""
    return str(shellcode([COMMAND], shell=shell))


def answer(parser: argparse.ArgumentParser) -> None:
    """Where it is a shell that asks: tell it what could come next, and end the process. Else nothing."""
    if VARIABLE in os.environ:
        argcomplete.autocomplete(parser)


def complete_with(action: argparse.Action, names: Callable[[], Iterable[str]]) -> None:
    """Complete an argument by names that are looked up when a shell asks."""

    def completer(**_: Any) -> list[str]:
        return list(names())

    action.completer = completer  # type: ignore[attr-defined]  # argcomplete's way to be told
