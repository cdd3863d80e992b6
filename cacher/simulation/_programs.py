"""What can be run as a process: an async function of a Site, or what sets up controllers on a Manager."""

from __future__ import annotations

import inspect

from ._process import Program

AnyProgram = Program


def as_program(program: AnyProgram) -> Program:
    """`program` as an async function of a Site."""
    return program


def is_async(program: object) -> bool:
    """Whether a call of it brings something to await."""
    return inspect.iscoroutinefunction(program) or inspect.iscoroutinefunction(getattr(program, "__call__", None))  # noqa: B004
