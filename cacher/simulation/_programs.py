"""What can be run as a process: an async function of a Site, or what sets controllers up on a Manager."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from reflector import Manager

from ..controllers import ClusterControllers, ClusterOptions
from ._process import Program, Site

Setup = Callable[[Manager], object]
"""Adds controllers to a manager, which is then run. What it returns is not looked at: it may be a class."""
AnyProgram = Callable[[Site], Awaitable[None]] | Setup


def as_program(program: AnyProgram) -> Program:
    """`program` as an async function of a Site."""
    if _is_async(program):
        return program  # type: ignore[return-value] # an async function is the one of the two that takes a Site

    async def run(site: Site) -> None:
        manager = site.manager()
        program(manager)  # type: ignore[arg-type] # and a plain one is the other
        await manager.run()

    return run


def shipped_controllers(options: ClusterOptions | None = None) -> Program:
    """A program that runs the controllers of a cluster, those that `options` ask for: for a world that is to live."""

    async def run(site: Site) -> None:
        controllers = ClusterControllers(
            site.client, random=site.random, clock=site.clock, options=options or ClusterOptions()
        )
        site.watched.append(controllers.informers)
        await controllers.run()

    return run


def _is_async(program: object) -> bool:
    """Whether a call of it brings something to await: an async function, a partial of one, an object that is called so."""
    return inspect.iscoroutinefunction(program) or (
        not inspect.isclass(program) and inspect.iscoroutinefunction(getattr(program, "__call__", None))  # noqa: B004
    )
