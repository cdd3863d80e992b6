"""The injector: sees what happens in a world, and does the action of each fault whose trigger is met, in that very step.

seen("after-write", …) ─► the Upon triggers of that point ─► count ─► met ─► action, at once or some seconds later
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import msgspec
import trio

from watch import Object

from ._acts import Acts, Struck
from ._chronicle import Chronicle
from ._faults import AllOf, AnyAction, AnyOf, AnyTrigger, At, Change, Fault, Later, Point, Upon, targets_of, tell_action
from ._operations import value_at

Mend = Callable[[], None]


class Sight(msgspec.Struct, frozen=True, gc=False):
    """What was seen somewhere: a change of an object, or a request for one. Objects are decoded when a trigger asks."""

    resource: str
    change: Change
    namespace: str
    name: str
    now: Object | dict[str, Any] | None = None
    before: Object | None = None


class Injector:
    """The faults of one run. `begin` starts the clock of those that go by time; `stop` ends all, and mends what they did.

    Args:
        acts: takes what was done, where and when.
        act: does an action now, and returns what undoes it, or None where nothing is to be undone.
    """

    def __init__(
        self, faults: Sequence[Fault], act: Callable[[AnyAction], Mend | None], chronicle: Chronicle, acts: Acts
    ) -> None:
        self.points: frozenset[str] = frozenset()
        """Points at which somebody wants to know: nothing else needs to be told."""
        self._acts = acts
        self._act = act
        self._chronicle = chronicle
        self._armed = [_Armed(self, fault) for fault in faults]
        self._upon: dict[str, list[_Upon]] = {}
        self._mends: dict[int, tuple[Mend, Struck]] = {}
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._numbers = 0
        self._listener: Callable[[Point, str, Sight], None] | None = None

    def listen(self, listener: Callable[[Point, str, Sight], None]) -> None:
        """Have `listener` told of everything that can be seen, at all points."""
        self._listener = listener
        self._note_points()

    @property
    def is_calm(self) -> bool:
        """Whether nothing that was done is yet to be undone."""
        return not self._mends

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch for triggers from now on, until stopped."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for armed in self._armed:
                    armed.arm()
                self._note_points()
                task_status.started()
                await trio.sleep_forever()

    def add(self, fault: Fault) -> None:
        """One more, from now on."""
        armed = _Armed(self, fault)
        self._armed.append(armed)
        if self._nursery is not None:
            armed.arm()
            self._note_points()

    def stop(self) -> None:
        """No trigger is met any more, and all that lasts is undone, the last first."""
        self._upon.clear()
        self._listener = None
        self._note_points()
        self._scope.cancel()
        self._nursery = None
        for number in reversed(list(self._mends)):
            self._mend(number)

    def seen(self, point: Point, who: str, sight: Sight) -> None:
        """Something was seen at `point` by `who`."""
        if self._listener is not None:
            self._listener(point, who, sight)
        for upon in list(self._upon.get(point, ())):
            upon.look(who, sight)

    # ---- for triggers ------------------------------------------------------------------------------------------------

    def watch_for(self, upon: _Upon) -> None:
        """Have `upon` look at what is seen from now on."""
        self._upon.setdefault(upon.trigger.point, []).append(upon)

    def forget(self, upon: _Upon) -> None:
        """It has seen enough."""
        self._upon[upon.trigger.point].remove(upon)
        self._note_points()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` when so many seconds have passed; nothing where all is over by then."""
        if self._nursery is not None:
            self._nursery.start_soon(_later, seconds, call)

    def do(self, fault: Fault) -> None:
        """The fault's trigger has been met."""
        what = tell_action(fault.do)
        self._chronicle.tell("fault", what)
        now_s = trio.current_time()
        self._acts.faults.append(f"{now_s:.3f} s: {what}")
        mend = self._act(fault.do)
        struck = Struck(now_s, what, targets_of(fault.do), mend is not None)
        self._acts.struck.append(struck)
        if mend is None:
            return
        self._numbers += 1
        number = self._numbers
        self._mends[number] = (mend, struck)
        if fault.for_s:
            self.after(fault.for_s, lambda: self._mend(number))
        if fault.until is not None:
            _arm(self, fault.until, lambda: self._mend(number))
            self._note_points()

    def _mend(self, number: int) -> None:
        found = self._mends.pop(number, None)
        if found is not None:
            mend, struck = found
            self._chronicle.tell("fault", f"{number} is mended")
            struck.mended_s = trio.current_time()
            mend()

    def _note_points(self) -> None:
        if self._listener is not None:
            self.points = frozenset(get_args(Point))
            return
        self.points = frozenset(point for point, upon in self._upon.items() if upon)


async def _later(seconds: float, call: Callable[[], None]) -> None:
    await trio.sleep(seconds)
    call()


class _Armed:
    """A fault that waits for its trigger."""

    def __init__(self, injector: Injector, fault: Fault) -> None:
        self._injector = injector
        self._fault = fault

    def arm(self) -> None:
        _arm(self._injector, self._fault.when, self._met)

    def _met(self) -> None:
        self._injector.do(self._fault)


def _arm(injector: Injector, trigger: AnyTrigger, met: Callable[[], None]) -> None:
    """Have `met` called once, when `trigger` is."""
    match trigger:
        case At(s):
            injector.after(s, met)
        case Upon():
            injector.watch_for(_Upon(injector, trigger, met))
        case Later(inner, s):
            _arm(injector, inner, lambda: injector.after(s, met))
        case AnyOf(several):
            first = _Countdown(1, met)
            for each in several:
                _arm(injector, each, first.one)
        case AllOf(several):
            last = _Countdown(len(several), met)
            for each in several:
                _arm(injector, each, last.one)


class _Countdown:
    """Calls once when it has been told `number` times."""

    def __init__(self, number: int, met: Callable[[], None]) -> None:
        self._left = number
        self._met = met

    def one(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._met()


class _Upon:
    """An Upon that counts what it sees."""

    def __init__(self, injector: Injector, trigger: Upon, met: Callable[[], None]) -> None:
        self.trigger = trigger
        self._injector = injector
        self._met = met
        self._seen = 0

    def look(self, who: str, sight: Sight) -> None:
        if not self._is_meant(who, sight):
            return
        self._seen += 1
        if self._seen == self.trigger.occurrence:
            self._injector.forget(self)
            self._met()

    def _is_meant(self, who: str, sight: Sight) -> bool:
        wanted = self.trigger
        return (
            wanted.who in ("", who)
            and wanted.resource in ("", sight.resource)
            and wanted.change in ("", sight.change)
            and wanted.name in ("", sight.name)
            and wanted.namespace in ("", sight.namespace)
            and (not wanted.field or self._has_changed(sight))
        )

    def _has_changed(self, sight: Sight) -> bool:
        """Whether the field that is looked at has another value now; with `becomes`, that one."""
        now = value_at(_json(sight.now), self.trigger.field)
        if self.trigger.becomes is not None and now != self.trigger.becomes:
            return False
        return bool(now != value_at(_json(sight.before), self.trigger.field))


def _json(obj: Object | dict[str, Any] | None) -> dict[str, Any] | None:
    return obj.parse() if isinstance(obj, Object) else obj
