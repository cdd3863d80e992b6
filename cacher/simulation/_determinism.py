"""One seed, one run: trio under a virtual clock with its scheduler's dice seeded, and random streams from one number.

Two names of `trio._core._run` are used: the switch that sorts each batch of runnable tasks by age before it is shuffled, and the
Random that shuffles it. Both together make a run repeat, also in another process, under another hash seed and another heap
layout. trio promises neither, so their presence is checked when this file is imported, and their effect by a canary in
tests/cacher/simulation/test_determinism.py. Only `_timers` touches more of what is private to trio, and only for speed.

What it cannot repeat for you: threads (`trio.to_thread` under this clock lets virtual time run away), real clocks, sets
iterated where order shows, and side effects inside an abort function (nursery children are kept in address order).
"""

from __future__ import annotations

import gc
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, TypeVarTuple

import trio
import trio._core._run as trio_run

from ._timers import cheap_waits, still_clock

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")

_SWITCH = "_ALLOW_DETERMINISTIC_SCHEDULING"
_DICE = "_r"


def _check_trio() -> None:
    """Fail at import, by name and version, rather than in a run that quietly does not repeat."""
    is_usable = isinstance(getattr(trio_run, _SWITCH, None), bool) and isinstance(
        getattr(trio_run, _DICE, None), random.Random
    )
    if not is_usable:
        raise ImportError(
            f"trio {trio.__version__} has no trio._core._run.{_SWITCH} (bool) and .{_DICE} (random.Random), so"
            " simulated runs cannot be made to repeat: install a version named in constraints.txt"
        )


_check_trio()


@contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    """The scheduler draws from `seed` inside, and is as it was before outside.

    Hypothesis, once imported, throws the switch and seeds the dice itself before each example; what is seeded here,
    inside the example, comes later and therefore wins.
    """
    dice: random.Random = getattr(trio_run, _DICE)
    switch_before, dice_before = getattr(trio_run, _SWITCH), dice.getstate()
    setattr(trio_run, _SWITCH, True)
    dice.seed(seed)
    try:
        yield
    finally:
        setattr(trio_run, _SWITCH, switch_before)
        dice.setstate(dice_before)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def run_deterministic(
    async_fn: Callable[[*_Args], Awaitable[_T]],
    *args: *_Args,
    seed: int,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> _T:
    """What `async_fn(*args)` returns, run under a virtual clock to its end; the same seed gives the same schedule.

    Sleeping costs nothing: when every task waits, time jumps to the next deadline. Ctrl-C arrives at a checkpoint of
    the main task, so no step that must be whole is cut in two.

    The garbage collector rests meanwhile: when it runs depends on what else the process has allocated, and so would the
    finalisers that it calls. Cyclic garbage stays until the end; a run of 10,000 clients leaves a few MB of it.
    """
    with _seeded_scheduler(seed), _collector_at_rest(), cheap_waits():
        return trio.run(
            async_fn,
            *args,
            clock=still_clock(),
            instruments=instruments,
            restrict_keyboard_interrupt_to_checkpoints=True,
        )


class Streams:
    """Named random streams from one seed. A further draw in one, or a further stream, moves no other."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def stream(self, name: str) -> random.Random:
        """The stream called `name`: one Random for as long as this object lives, wherever it is asked for."""
        if name not in self._streams:
            self._streams[name] = random.Random(derive_seed(self.seed, name))
        return self._streams[name]


def streams(seed: int) -> Streams:
    """The random streams of a run, none of them begun."""
    return Streams(seed)


def derive_seed(seed: int, name: str) -> int:
    """A seed of 128 bits for `name` under `seed`: the same in every process and Python version, unlike `hash()`."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest(), "big")
