"""The network of a world: links between names, each with its delay, and what faults make of them.

A link is one way: requests go from a process to its server, answers and watches the other way, and a server and the store have two
of their own. What is on its way keeps its order within a connection.
"""

from __future__ import annotations

from random import Random

import msgspec
import trio

from ._determinism import Streams
from ._faults import ALL, Cut, Duplicate, HalfOpen, Lag, Lose
from ._timers import sleep

REQUEST_TIMEOUT_S = 30.0
"""A request that is not answered for so long fails. Source: what kubelets and most controllers set for a request."""

LinkFault = Lag | Lose | Duplicate | Cut
Heard = HalfOpen


class LinkState(msgspec.Struct, frozen=True):
    """What becomes of whatever is sent over a link now."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    lose: float = 0.0
    lose_reply: float = 0.0
    duplicate: float = 0.0
    is_cut: bool = False


class Network:
    """All links of a world. `latency_s`: each way, on average; each pair of names has its own."""

    def __init__(self, streams: Streams, *, latency_s: float = 0.0) -> None:
        self._streams = streams
        self._latency_s = latency_s
        self._active: list[LinkFault] = []
        self._states: dict[tuple[str, str], LinkState] = {}
        self._dice: dict[tuple[str, str], Random] = {}
        self._changed = trio.Event()

    def add(self, fault: LinkFault) -> None:
        """`fault` takes effect."""
        self._active.append(fault)
        self._note()

    def remove(self, fault: LinkFault) -> None:
        """`fault`, or one like it, is over."""
        self._active.remove(fault)
        self._note()

    def clear(self) -> None:
        """All is well from here on."""
        self._active.clear()
        self._note()

    @property
    def is_calm(self) -> bool:
        """Whether no fault is on."""
        return not self._active

    def state(self, a: str, b: str) -> LinkState:
        """The link from `a` to `b` as it is now."""
        state = self._states.get((a, b))
        if state is None:
            state = self._states[a, b] = self._resolve(a, b)
        return state

    def random(self, a: str, b: str) -> Random:
        """The dice of a link."""
        found = self._dice.get((a, b))
        if found is None:
            found = self._dice[a, b] = self._streams.stream(f"link {a} {b}")
        return found

    def delay(self, a: str, b: str) -> float:
        """Seconds that what is sent now takes."""
        state = self.state(a, b)
        if not state.jitter_s:
            return state.delay_s
        return state.delay_s + state.jitter_s * self.random(a, b).random()

    async def wait_for_change(self) -> None:
        """Return when some link is no longer as it was."""
        await self._changed.wait()

    async def carry(self, a: str, b: str, *, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Return when what is sent from `a` to `b` now has arrived.

        Raises:
            trio.TooSlowError: the link is cut, and was not mended in time.
        """
        if self.state(a, b).is_cut:
            with trio.fail_after(timeout_s):
                while self.state(a, b).is_cut:
                    await self.wait_for_change()
        delay_s = self.delay(a, b)
        if delay_s:
            await sleep(delay_s)
        else:
            await trio.lowlevel.checkpoint()

    def _note(self) -> None:
        self._states.clear()
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    def _resolve(self, a: str, b: str) -> LinkState:
        base_s = self._latency_s and self._latency_s * self._streams.stream(f"latency {a} {b}").uniform(0.5, 1.5)
        delay_s, jitter_s, lose, lose_reply, duplicate, is_cut = base_s, base_s / 4, 0.0, 0.0, 0.0, False
        for fault in self._active:
            match fault:
                case Lag() if _is(fault.a, a) and _is(fault.b, b):
                    delay_s, jitter_s = delay_s + fault.s, jitter_s + fault.jitter_s
                case Lose() if _is(fault.a, a) and _is(fault.b, b):
                    lose, lose_reply = (lose, fault.share) if fault.reply else (fault.share, lose_reply)
                case Duplicate() if _is(fault.a, a) and _is(fault.b, b):
                    duplicate = fault.share
                case Cut():
                    to, back = _is(fault.a, a) and _is(fault.b, b), _is(fault.a, b) and _is(fault.b, a)
                    is_cut |= (to and fault.way != "from") or (back and fault.way != "to")
                case _:
                    pass
        return LinkState(delay_s, jitter_s, lose, lose_reply, duplicate, is_cut)


def _is(pattern: str, name: str) -> bool:
    return pattern in (ALL, name)
