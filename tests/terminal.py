"""A terminal that is none: what is written to it can be read afterwards."""

from __future__ import annotations

import io

import pytest


class Terminal(io.StringIO):
    """Says that it is a terminal, and holds what was written to it."""

    def isatty(self) -> bool:
        return True


def set_terminal(monkeypatch: pytest.MonkeyPatch, *, columns: int) -> None:
    """The environment is that of a terminal of so many columns, which knows colours and a cursor."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("TTY_COMPATIBLE", raising=False)
