"""Who uses what no simulation can repeat: the real clock, module-level chance, threads. Stopped, and named.

While a world runs, the functions below are replaced in their modules, and wherever a program's own modules have taken them by
name. A call from the standard library, from trio or from this package goes through (a log record takes the time, and
nobody decides by it); any other raises NotSimulated.
"""

from __future__ import annotations

import random as random_module
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import sep
from pathlib import Path
from types import ModuleType
from typing import Any

import trio

INSTEAD = {
    "time": "take the time from trio.current_time(), or the time of day from site.clock",
    "random": "draw from site.random",
    "uuid": "draw from site.random",
    "threading": "start a task in a trio nursery",
    "trio": "start a task in a trio nursery",
}
_TIMES = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
_DICE = (
    "random",
    "randint",
    "randrange",
    "uniform",
    "choice",
    "choices",
    "shuffle",
    "sample",
    "getrandbits",
    "gauss",
    "expovariate",
    "normalvariate",
    "seed",
)
_GUARDED: tuple[tuple[ModuleType | type, str, tuple[str, ...]], ...] = (
    (time, "time", _TIMES),
    (random_module, "random", _DICE),
    (uuid, "uuid", ("uuid1", "uuid4")),
    (threading.Thread, "threading", ("start",)),
    (trio.to_thread, "trio", ("run_sync",)),
)
_STDLIB = tuple(str(Path(sysconfig.get_paths()[name]).resolve()) for name in ("stdlib", "platstdlib"))
_SITE = tuple(str(Path(sysconfig.get_paths()[name]).resolve()) for name in ("purelib", "platlib"))
_TRUSTED = ("trio", "outcome", "hypothesis", "pytest", "_pytest", "pluggy", "rich")
"""Installed packages that run beside a program and not for it."""
_ROOT = Path(__file__).resolve().parents[2]
_OWN = tuple(f"{_ROOT / name}{sep}" for name in ("cacher", "reflector", "watch"))
_SCENARIOS = f"{_ROOT / 'cacher' / 'simulation' / 'scenarios'}{sep}"


class NotSimulated(RuntimeError):
    """A program did what no simulation can repeat. The message says where, and what to do instead."""

    def __init__(self, call: str, where: str, instead: str) -> None:
        self.call = call
        self.where = where
        super().__init__(f"{where} calls {call}, which no simulation can repeat: {instead}")


@contextmanager
def guarded(*modules: str) -> Iterator[list[NotSimulated]]:
    """Within this block the calls above are refused to whoever is not the library's. Yields the refusals as they come.

    A refusal may be caught by whoever calls a program, as a Controller does: look at the list.

    Args:
        modules: names of modules whose own names for those functions are guarded as well (`from time import time`).
    """
    put_back: list[tuple[Any, str, object]] = []
    guards: dict[int, Callable[..., Any]] = {}
    refusals: list[NotSimulated] = []
    try:
        for module, title, names in _GUARDED:
            for name in names:
                real = getattr(module, name)
                guard = guards[id(real)] = _guard(real, _title(module, name), INSTEAD[title], refusals)
                put_back.append((module, name, real))
                setattr(module, name, guard)
        for module_name in modules:
            own = sys.modules.get(module_name)
            for name, value in list(vars(own).items()) if own is not None else ():
                if (found := guards.get(id(value))) is not None and callable(value):
                    put_back.append((own, name, value))
                    setattr(own, name, found)
        yield refusals
    finally:
        for holder, name, real in reversed(put_back):
            setattr(holder, name, real)


def _title(holder: ModuleType | type, name: str) -> str:
    return (
        f"{holder.__name__}.{name}"
        if isinstance(holder, ModuleType)
        else f"{holder.__module__}.{holder.__qualname__}.{name}"
    )


def _guard(real: Callable[..., Any], call: str, instead: str, refusals: list[NotSimulated]) -> Callable[..., Any]:
    """`real` for the library, and a refusal for everybody else."""

    def guard(*args: Any, **kwargs: Any) -> Any:
        frame = sys._getframe(1)
        file = frame.f_code.co_filename
        if not file.startswith("<") and not _is_trusted(file):
            refusal = NotSimulated(call, f"{file}:{frame.f_lineno} in {frame.f_code.co_qualname}", instead)
            refusals.append(refusal)
            raise refusal
        return real(*args, **kwargs)

    return guard


_known: dict[str, bool] = {}


def _is_trusted(file: str) -> bool:
    known = _known.get(file)
    if known is None:
        known = _known[file] = _is_the_librarys(str(Path(file).resolve()))
    return known


def _is_the_librarys(file: str) -> bool:
    if file.startswith(_OWN):
        return not file.startswith(_SCENARIOS)
    for site in _SITE:
        if file.startswith(site):
            return Path(file).relative_to(site).parts[0].removesuffix(".py") in _TRUSTED
    return file.startswith(_STDLIB)
