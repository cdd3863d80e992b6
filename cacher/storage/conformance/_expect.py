"""The words in which cases claim something: what is raised, what a watch brings, what a list shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec
import trio

from watch import Event, EventType, Object

from .._interface import EventStream, ListResult

PATIENCE_S = 300.0
"""How long something that must come may take: a slow cache, a lease that runs out, a retry."""
QUIET_S = 0.5
"""How long nothing must come where nothing should."""


class raises:  # noqa: N801 - reads as a verb: `with raises(KeyNotFound) as refused:`
    """Claims that its block raises one of `kinds`, and that the message contains `says`.

    Afterwards `error` is what was raised. `optional`: or that it raises nothing.
    """

    def __init__(self, *kinds: type[Exception], says: str = "", optional: bool = False) -> None:
        self.error: Exception = AssertionError("nothing was raised yet")
        self._kinds = kinds
        self._says = says
        self._optional = optional

    def __enter__(self) -> Self:
        """Begins."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Ends."""
        if error is None:
            wanted = " or ".join(kind.__name__ for kind in self._kinds)
            assert self._optional, f"nothing was raised; {wanted} should have been"
            return False
        if not isinstance(error, self._kinds):
            return False
        self.error = error
        assert self._says in self.message, f"{self.message!r} does not say {self._says!r}"
        return True

    @property
    def message(self) -> str:
        """What the API would say: `message` where the error has one."""
        return str(getattr(self.error, "message", self.error))

    def shows(self, **facts: object) -> None:
        """Claims the values of attributes of the error."""
        for name, wanted in facts.items():
            found = getattr(self.error, name, None)
            assert found == wanted, f"{self.error!r} has {name} {found!r}, and should have {wanted!r}"


class Reader:
    """A watch as cases read it: one event at a time, none of them late."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream

    async def next(self) -> Event:
        """The next event."""
        with trio.fail_after(PATIENCE_S):
            return await self._stream.receive()

    async def expect(self, kind: EventType, obj: Object) -> Event:
        """Claims that the next event is `kind` of exactly `obj`, at its revision."""
        event = await self.next()
        assert (event.type, event.object) == (kind, obj), (
            f"{event.type} of {shown(event.object)} came; {kind} of {shown(obj)} should have"
        )
        assert event.revision == obj.revision, f"the event is at {event.revision}, its object at {obj.revision}"
        return event

    async def expect_bookmark(self, *, ends_initial_events: bool = False) -> int:
        """Claims that a bookmark is next, annotated or not; its revision."""
        event = await self.next()
        assert event.type is EventType.BOOKMARK, f"{event.type} of {shown(event.object)} came, and not a bookmark"
        assert event.is_initial_events_end is ends_initial_events, (
            f"the bookmark at {event.revision} {'lacks' if ends_initial_events else 'has'} the annotation"
        )
        assert not event.key, f"a bookmark is of no object, and this one of {event.key}"
        return event.revision

    async def nothing(self, for_s: float = QUIET_S) -> None:
        """Claims that nothing comes for a while."""
        with trio.move_on_after(for_s):
            event = await self._stream.receive()
            raise AssertionError(f"{event.type} of {shown(event.object)} came, and nothing should have")

    async def fails(self, *kinds: type[Exception], says: str = "") -> raises:
        """Claims that the stream's next word is an error, and its last."""
        with raises(*kinds, says=says) as raised:
            event = await self.next()
            raise AssertionError(f"{event.type} of {shown(event.object)} came, and an error should have")
        with raises(trio.EndOfChannel, trio.ClosedResourceError, *kinds):
            await self.next()
        return raised


def expect_same(found: object, wanted: object) -> None:
    """Claims that two values are equal."""
    assert found == wanted, f"{found!r} was found; {wanted!r} should have been"


def expect_later(revision: int, than: int) -> None:
    """Claims that one revision came after another."""
    assert revision > than, f"revision {revision} should have come after {than}"


def shown(obj: Object) -> str:
    """An object in a message."""
    return f"{obj.key}@{obj.revision} {obj.raw.decode(errors='replace')}"


def expect_objects(found: Sequence[Object], wanted: Sequence[Object]) -> None:
    """Claims that a list shows exactly these versions, in this order."""
    assert list(found) == list(wanted), f"found {[*map(shown, found)]}, wanted {[*map(shown, wanted)]}"


def expect_page(page: ListResult, *, objects: Sequence[Object], is_last: bool, remaining: int | None = None) -> None:
    """Claims what a page shows, whether another follows, and how much is left."""
    expect_objects(page.objects, objects)
    assert bool(page.continue_token) is not is_last, f"the continue token is {page.continue_token!r}"
    assert page.remaining == remaining, f"{page.remaining} are said to remain; {remaining} should be"


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    v: str
    rv: int
    start: str


def continue_token(start: str, revision: int) -> str:
    """A token as any API server would have made it: to go on at `start`, a key relative to the list's prefix."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Token("meta.k8s.io/v1", revision, start))).decode().rstrip("=")


def expect_token(token: str, *, after: str, revision: int) -> None:
    """Claims that a token goes on right after the key `after`, relative to the list's prefix, at `revision`.

    A cache may write the key with a leading "/": Kubernetes' does, and reads either.
    """
    assert "=" not in token, f"the token {token!r} is padded"
    read = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=_Token)
    found = (read.v, read.rv, read.start.removeprefix("/"))
    assert found == ("meta.k8s.io/v1", revision, after + "\0"), f"the token says {found}"
