"""Virtual time at less cost: a clock that jumps in one pass of trio's loop, a sleep without a cancel scope, and cancel scopes that
note their deadline without a generator. For speed alone.

A bare `trio.sleep` under trio's own MockClock costs 30 µs, and most of what a world does is to wait for the network. Here it is
a third. All do in each step what trio's own do, in the same order, so that a run comes to the same digest with either; a test
compares them. They use names that are private to trio: where one is missing, trio's own take their place.
"""

from __future__ import annotations

import hashlib
import heapq
import inspect
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import Any

import trio
import trio._core._run as trio_run
import trio.testing

_LATEST = 1 << 64
"""Above every id(): of what is due at one time, trio's scopes come first, by their addresses, and sleepers after them."""


def _has_private_names() -> bool:
    """Whether this trio is made as those are whose loop this was written for."""
    deadlines = getattr(trio_run, "Deadlines", None)
    clock = trio.testing.MockClock()
    return (
        deadlines is not None
        and all(hasattr(deadlines, name) for name in ("expire", "next_deadline", "remove"))
        and {"_heap", "_active"} <= set(getattr(deadlines, "__slots__", ()))
        and all(hasattr(clock, name) for name in ("_real_clock", "_virtual_base", "_autojump"))
        and hasattr(trio_run, "GLOBAL_RUN_CONTEXT")
    )


IS_FAST = _has_private_names()
"""Whether the fast ways are taken. False: trio's own."""


def still_clock() -> trio.testing.MockClock:
    """A virtual clock that only jumps: when every task waits, to the next deadline, whose sleepers then run in the same pass."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    if not IS_FAST:
        return clock
    private: Any = clock
    private._real_clock = float  # at rate 0 the real clock adds nothing, so it need not be read: float() is 0.0

    def jump() -> None:
        deadlines = trio_run.GLOBAL_RUN_CONTEXT.runner.deadlines
        seconds = deadlines.next_deadline() - private._virtual_base
        if 0 < seconds < inf:
            private._virtual_base += seconds  # rounded as MockClock rounds it
            deadlines.expire(private._virtual_base)

    private._autojump = jump
    private.current_time = lambda: private._virtual_base
    return clock


class _Sleeper:
    """What stands for a sleeping task among trio's deadlines, where a CancelScope would."""

    __slots__ = ("_registered_deadline", "_task")

    def __init__(self, task: trio.lowlevel.Task, deadline: float) -> None:
        self._registered_deadline = deadline
        self._task = task

    def _cancel(self, _reason: object) -> None:
        """trio's word for: this deadline has come."""
        self.forget()
        trio.lowlevel.reschedule(self._task)

    def forget(self, _raise_cancel: object = None) -> trio.lowlevel.Abort:
        """It is waited for no longer."""
        deadline, self._registered_deadline = self._registered_deadline, inf
        _deadlines().remove(deadline, self)
        return trio.lowlevel.Abort.SUCCEEDED


_numbers = itertools.count()
_trios_sleep, _trios_sleep_until = trio.sleep, trio.sleep_until


def _deadlines() -> Any:
    return trio_run.GLOBAL_RUN_CONTEXT.runner.deadlines


async def sleep_until(deadline_s: float) -> None:
    """As trio.sleep_until: a checkpoint, also where the time is past."""
    if not IS_FAST or deadline_s <= trio.current_time() or deadline_s == inf:
        await _trios_sleep_until(deadline_s)
        return
    task = trio.lowlevel.current_task()
    sleeper, deadlines = _Sleeper(task, deadline_s), _deadlines()
    heapq.heappush(deadlines._heap, (deadline_s, _LATEST + next(_numbers), sleeper))
    deadlines._active += 1
    await trio.lowlevel.wait_task_rescheduled(sleeper.forget)
    await trio.lowlevel.checkpoint_if_cancelled()  # in the pass in which its time came: as with trio's, that goes first


async def sleep(seconds: float) -> None:
    """As trio.sleep."""
    if seconds <= 0:
        await _trios_sleep(seconds)
    else:
        await sleep_until(trio.current_time() + seconds)


# ---- what trio's own names are within a run --------------------------------------------------------------------------


class _Registering:
    """What CancelScope does around each change of itself: afterwards its deadline is registered, or no longer.

    trio writes it as a generator, which is most of its cost: a scope is entered and left some 20,000 times a second.
    """

    __slots__ = ("_scope",)

    def __init__(self, scope: Any) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        scope = self._scope
        before = scope._registered_deadline
        now = inf if scope._cancel_status is None or scope._cancel_called else scope._deadline
        if before != now:
            scope._registered_deadline = now
            deadlines = _deadlines()
            if before != inf:
                deadlines.remove(before, scope)
            if now != inf:
                deadlines.add(now, scope)


def _registering(scope: Any) -> _Registering:
    """As a method of CancelScope: a class would not be bound to its instance."""
    return _Registering(scope)


_REGISTERING = "_might_change_registered_deadline"
_WRITTEN_FOR = "b6259a25e1a701a0"
"""Of the text of trio's own. Another trio may do more there, and then does it itself; so does one in a guest's loop."""


def _is_as_written_for() -> bool:
    try:
        text = inspect.getsource(inspect.unwrap(getattr(trio.CancelScope, _REGISTERING)))
    except (AttributeError, OSError, TypeError):  # it is called otherwise, or has come without its source
        return False
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() == _WRITTEN_FOR


HAS_CHEAP_SCOPES = IS_FAST and _is_as_written_for()


@contextmanager
def cheap_waits() -> Iterator[None]:
    """`trio.sleep` and `trio.sleep_until` are those of this file, for whoever calls them by those names within.

    The library under simulation sleeps too, a cache every second for its bookmarks: half of the steps of a small world.
    """
    if not IS_FAST:
        yield
        return
    before = {name: getattr(trio, name) for name in ("sleep", "sleep_until")}
    vars(trio).update(sleep=sleep, sleep_until=sleep_until)
    registering = getattr(trio.CancelScope, _REGISTERING)
    if HAS_CHEAP_SCOPES:
        setattr(trio.CancelScope, _REGISTERING, _registering)
    try:
        yield
    finally:
        vars(trio).update(before)
        setattr(trio.CancelScope, _REGISTERING, registering)
