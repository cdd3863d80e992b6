"""One Outcome for many tasks: an `outcome.Value` may be unwrapped once, and a view wakes thousands with the same batch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeVar, final

import outcome

T = TypeVar("T", covariant=True)


@final
class SharedValue(outcome.Outcome[T]):
    """A value to reschedule any number of tasks with. Cost: one allocation for all, where a `Value` each takes 0.5 µs."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        object.__setattr__(self, "_value", value)  # Outcome is frozen

    def unwrap(self) -> T:
        """The value, as often as asked."""
        value: T = object.__getattribute__(self, "_value")
        return value

    def send(self, gen: Generator[Any, Any, Any]) -> Any:
        """Resume a generator with the value."""
        return gen.send(self.unwrap())

    async def asend(self, agen: AsyncGenerator[Any, Any]) -> Any:
        """Resume an async generator with the value."""
        return await agen.asend(self.unwrap())
