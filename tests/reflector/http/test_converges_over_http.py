"""Whatever an API server and the way to it go through, the store ends equal to it, and is never what it was not at that revision.

The server is a model with the whole history of its objects, answering real HTTP: lists in pages, streamed lists, watches with
bookmarks, 410s. A script drawn by Hypothesis writes to it and compacts it; each answer may be cut anywhere, stall, be torn into
small pieces, be refused, or be followed by nonsense. Coherent is judged at every single write of the store.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reflector import Changes, Reflector, Replacement, Store, object_key
from tests.reflector.http.scripted_server import (
    Exchange,
    bookmark,
    line,
    open_client,
    open_server,
    pod,
    pods,
    refuse,
    status,
)
from watch import EventType, Object

QUIET_S = 2_000.0
"""Longer than all that a script can make a client wait for, after which nothing goes wrong any more."""
NAMES = ("a", "b", "c", "d", "e")
STALL_S = 100.0


class ModelAPI:
    """Pods with their history, one write a revision, as an API server shows them.

    Args:
        faults: drawn by chance, until `is_healed`.
        streams: how it takes `sendInitialEvents`: it knows it, it refuses it, or takes it for nothing as old servers do.
    """

    def __init__(self, random: Random, *, streams: str) -> None:
        self.history: list[tuple[str, dict[str, Any] | None]] = []
        self.compacted = 0
        self.is_healed = False
        self.streamed = self.listed = self.watched = 0
        self._random = random
        self._streams = streams
        self._news = trio.Event()

    # What the script does to it.

    @property
    def revision(self) -> int:
        return len(self.history)

    def write(self, name: str, *, is_deletion: bool = False) -> None:
        if is_deletion and name not in self.at(self.revision):
            return
        made = None if is_deletion else pod(name, self.revision + 1, labels={"at": str(self.revision + 1)})
        self.history.append((name, made))
        self._news.set()
        self._news = trio.Event()

    def compact(self) -> None:
        self.compacted = self.revision

    # What is true of it.

    def at(self, revision: int) -> dict[str, dict[str, Any]]:
        state: dict[str, dict[str, Any]] = {}
        for name, made in self.history[:revision]:
            if made is None:
                state.pop(name)
            else:
                state[name] = made
        return dict(sorted(state.items()))

    # What it answers.

    async def answer(self, exchange: Exchange) -> None:
        if self._strikes(0.15):
            await self._refuse(exchange)
        elif "watch" not in exchange.query:
            self.listed += 1
            await self._list(exchange)
        elif exchange.query.get("sendInitialEvents") == "true" and self._streams == "refused":
            await refuse(422, "Invalid", "sendInitialEvents is forbidden for watch")(exchange)
        else:
            await self._watch(exchange)

    def _strikes(self, chance: float) -> bool:
        return not self.is_healed and self._random.random() < chance

    async def _refuse(self, exchange: Exchange) -> None:
        kind = self._random.randrange(5)
        if kind == 0:
            await refuse(429, "TooManyRequests", "later", self._random.choice([0, 1, 30]))(exchange)
        elif kind == 1:
            await refuse(503, "ServiceUnavailable")(exchange)
        elif kind == 2:
            await refuse(500, "InternalError")(exchange)
        elif kind == 3:
            await trio.sleep(STALL_S)
        # else: it hangs up

    async def _list(self, exchange: Exchange) -> None:
        query = exchange.query
        limit = int(query.get("limit", "0"))
        if token := query.get("continue"):
            revision, start = map(int, token.split("/"))
            if revision < self.compacted:
                await refuse(410, "Expired", "The provided continue parameter is too old")(exchange)
                return
        else:
            revision, start = self.revision, 0
            asked = int(query.get("resourceVersion") or 0)
            if asked > revision:
                cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
                await refuse(504, "Timeout", "Too large resource version", 1, causes=[cause])(exchange)
                return
        found = list(self.at(revision).values())
        end = start + limit if limit else len(found)
        next_page = f"{revision}/{end}" if end < len(found) else ""
        if self._strikes(0.1):
            await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b'{"kind":"PodList"')
            return  # cut in the midst
        await exchange.answer(200, pods(revision, *found[start:end], next_page=next_page))

    async def _watch(self, exchange: Exchange) -> None:
        query = exchange.query
        asked = int(query.get("resourceVersion") or 0)
        wants_state = query.get("sendInitialEvents") == "true"
        if not wants_state and asked < self.compacted:
            if self._random.random() < 0.5:
                await refuse(410, "Expired", "too old resource version")(exchange)
            else:
                await exchange.start()
                await exchange.chunk(line("ERROR", status(410, "Expired", "too old resource version")))
                await exchange.end()
            return
        await exchange.start()
        sent = asked
        if wants_state:
            self.streamed += 1
            sent = self.revision
            data = b"".join(line("ADDED", one) for one in self._shuffled(list(self.at(sent).values())))
            if not await self._send(exchange, data + (bookmark(sent, ends=True) if self._streams == "known" else b"")):
                return
        else:
            self.watched += 1
        ends_s = trio.current_time() + float(query["timeoutSeconds"])
        while trio.current_time() < ends_s:
            news = self._news
            if self.compacted > sent and not self.is_healed:
                await exchange.chunk(line("ERROR", status(410, "Expired", "too old resource version")))
                break
            data, sent = (
                b"".join(self._events(sent)),
                max(sent, self.revision),
            )  # what is written while it is sent is next
            if not await self._send(exchange, data):
                return
            with trio.move_on_after(60):
                await news.wait()
                continue
            if not await self._send(exchange, bookmark(sent)):
                return
        await exchange.end()

    def _events(self, after: int) -> list[bytes]:
        lines = []
        for revision in range(after + 1, self.revision + 1):
            name, made = self.history[revision - 1]
            before = self.at(revision - 1)
            if made is None:
                last = {**before[name], "metadata": {**before[name]["metadata"], "resourceVersion": str(revision)}}
                lines.append(line("DELETED", last))
            else:
                lines.append(line("MODIFIED" if name in before else "ADDED", made))
        return lines

    def _shuffled(self, items: list[Any]) -> list[Any]:
        self._random.shuffle(items)
        return items

    async def _send(self, exchange: Exchange, data: bytes) -> bool:
        """Sends it, in pieces or not whole; whether the stream goes on."""
        if not data:
            return True
        if self._strikes(0.1):
            await self._chunks(exchange, data[: self._random.randrange(len(data) + 1)])
            fate = self._random.randrange(5)
            if fate == 0:
                await exchange.chunk(b'{"type":"WONDER","object":{}}\n')
            elif fate == 1:
                await trio.sleep_forever()  # a connection that is dead and does not know it
            elif fate == 2:
                await exchange.raw(b"ffff\r\n{")
            elif fate == 3:
                await exchange.end()
            return False
        await self._chunks(exchange, data)
        return True

    async def _chunks(self, exchange: Exchange, data: bytes) -> None:
        size = self._random.choice([7, 100, 100_000]) if not self.is_healed else 100_000
        for start in range(0, len(data), size):
            await exchange.chunk(data[start : start + size])


class JudgedStore:
    """A Store that is compared with the model at each of its writes."""

    def __init__(self, model: ModelAPI) -> None:
        self.revision = 0
        self._store = Store()
        self._model = model

    def objects(self) -> tuple[Object, ...]:
        return self._store.objects()

    def replace(self, replacement: Replacement) -> None:
        self._store.replace(replacement)
        self._judge(replacement.revision)

    def apply(self, changes: Changes) -> None:
        assert changes.events
        assert all(event.type is not EventType.BOOKMARK for event in changes.events)
        self._store.apply(changes)
        self._judge(changes.revision)

    def bookmark(self, revision: int) -> None:
        self._store.bookmark(revision)
        self._judge(revision)

    def _judge(self, revision: int) -> None:
        assert revision >= self.revision, "it went back"
        self.revision = revision
        truth = {f"ns/{name}": one for name, one in self._model.at(revision).items()}
        assert {object_key(obj): obj.to_dict() for obj in self._store.objects()} == truth


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMES)),
        st.tuples(st.just("delete"), st.sampled_from(NAMES)),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.5, 5.0, 90.0, 700.0])),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=30,
)


async def converge(steps: list[tuple[str, Any]], seed: int, streams: str, page_size: int | None) -> ModelAPI:
    async with (
        open_server() as server,
        open_client(server, random=Random(seed)) as client,
        trio.open_nursery() as nursery,
    ):
        model = ModelAPI(Random(seed), streams=streams)
        server.always = model.answer
        store = JudgedStore(model)
        source = client.resource("v1", "pods").lister_watcher()
        reflector = Reflector(
            source, store, random=Random(seed + 1), streams=True, page_size=page_size, first_list="0", inactivity_s=90
        )
        nursery.start_soon(reflector.run)
        for kind, argument in steps:
            if kind == "wait":
                await trio.sleep(argument)
            elif kind == "compact":
                model.compact()
            else:
                model.write(argument, is_deletion=kind == "delete")
        model.is_healed = True
        await trio.sleep(QUIET_S)
        model.write("last")
        await trio.sleep(200)
        assert store.revision == model.revision, reflector.statistics()
        nursery.cancel_scope.cancel()
    return model


@pytest.mark.slow
@settings(max_examples=60)
@example([("wait", 90.0), ("write", "a"), ("wait", 0.0), ("write", "a")], 0, "known", None)
@given(STEPS, st.integers(0, 2**32), st.sampled_from(["known", "refused", "ignored"]), st.sampled_from([None, 2]))
def test_a_store_over_http_ends_equal_and_never_shows_what_was_not(steps, seed, streams, page_size):
    trio.run(converge, steps, seed, streams, page_size, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_model_is_asked_in_all_ways(run_trio):
    """The campaign would be worth little if no list was streamed, or all were."""
    script = [("write", name) for name in NAMES] + [("wait", 700.0), ("delete", "a"), ("wait", 90.0)]
    known = run_trio(converge, script, 1, "known", None)
    assert known.streamed
    assert known.watched
    for streams in ("refused", "ignored"):
        model = run_trio(converge, script, 1, streams, 2)
        assert model.listed
        assert model.watched
