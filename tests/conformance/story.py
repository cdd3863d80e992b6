"""A recorded story told to a registry in process: its steps in order, its watches, and the answers of those that have one.

What a request means is `in_process`'s; here is what any way of asking shares: cases and recordings, variables, waiting, watches.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import trio

from cacher.registry import APIError
from cacher.storage import EventStream
from watch import Event, EventType

HERE = pathlib.Path(__file__).parent
JSON = "application/json"
PATIENCE_S = 15.0
"""How long a step that waits for a status asks again."""

Ask = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
OpenWatch = Callable[[dict[str, Any]], AbstractAsyncContextManager[tuple[EventStream, tuple[str, str]]]]
"""Opens the watch that a step asks for; with it, apiVersion and kind of its objects."""


def _wirecheck() -> Any:
    spec = importlib.util.spec_from_file_location("wirecheck", HERE / "wirecheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


wirecheck = _wirecheck()


def read(folder: str, name: str) -> Any:
    """A case, or a recording."""
    return json.loads((HERE / folder / f"{name}.json").read_text(encoding="utf-8"))


async def tell(case: dict[str, Any], namespace: str, ask: Ask, open_watch: OpenWatch) -> list[dict[str, Any]]:
    """The answers of all steps that have one, as `wirecheck.compare` takes them."""
    variables: dict[str, Any] = {"ns": namespace, "x": "x"}
    answers: list[dict[str, Any]] = [{"id": "ns", "name": namespace}]
    async with AsyncExitStack() as stack:
        watches: dict[str, _OpenWatch] = {}
        for raw in case["steps"]:
            step = wirecheck.fill(raw, variables)
            match step["op"]:
                case "sleep":
                    await trio.sleep(float(step["seconds"]))
                case "request":
                    answer = await _asked(ask, step)
                    if "id" in step:
                        answers.append({"id": step["id"], **answer})
                    for name, path in step.get("capture", {}).items():
                        variables[name] = wirecheck.pointer(answer["body"], path)
                case "watch":
                    opened = await _opened(stack, open_watch, step)
                    if isinstance(opened, _OpenWatch):
                        watches[step["id"]], opened = opened, {"status": 200, "type": JSON}
                    answers.append({"id": step["id"], **opened})
                case "read" if step["watch"] in watches:
                    events, ended = await watches[step["watch"]].read(step["events"], step.get("timeout", 5))
                    answers.append({"id": step["id"], "events": events, "ended": ended})
                case "close":
                    watches.pop(step["watch"], None)
    return answers


async def _asked(ask: Ask, step: dict[str, Any]) -> dict[str, Any]:
    """What is answered; with `until`, once it has that status, or time ran out."""
    deadline = trio.current_time() + PATIENCE_S
    answer = await ask(step)
    while answer["status"] != step.get("until", answer["status"]) and trio.current_time() < deadline:
        await trio.sleep(0.1)
        answer = await ask(step)
    return answer


async def _opened(stack: AsyncExitStack, open_watch: OpenWatch, step: dict[str, Any]) -> _OpenWatch | dict[str, Any]:
    """The watch; or why there is none."""
    try:
        return _OpenWatch(*await stack.enter_async_context(open_watch(step)))
    except APIError as error:
        return {"status": error.code, "type": JSON, "body": error.status()}


class _OpenWatch:
    """An open watch, and what its objects are."""

    def __init__(self, stream: EventStream, kind: tuple[str, str]) -> None:
        self._stream = stream
        self._kind = kind

    async def read(self, count: int, timeout_s: float) -> tuple[list[dict[str, Any]], bool]:
        """Up to so many events, and whether the stream has ended."""
        events: list[dict[str, Any]] = []
        with trio.move_on_after(timeout_s):
            while len(events) < count:
                try:
                    events.append(self._shown(await self._stream.receive()))
                except trio.EndOfChannel:
                    return events, True
        return events, False

    def _shown(self, event: Event) -> dict[str, Any]:
        shown = event.object.to_dict()
        if event.type is EventType.BOOKMARK:
            shown = {"apiVersion": self._kind[0], "kind": self._kind[1], **shown}
        return {"type": event.type.value, "object": shown}
