"""What a kube-apiserver answered, answered again by our server over HTTP: every recorded case, on the virtual clock.

The last test has the script that recorded them ask over real sockets.
"""

from __future__ import annotations

import subprocess
import sys
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from cacher import open_cluster
from cacher.server import ServerOptions, open_server
from tests.cacher.server.serving import CONFIGS, Answer, Lines, Served, config, serving
from tests.conformance.story import HERE, PATIENCE_S, read, wirecheck

NAMESPACE = "t-0123456789"
NAMES = sorted(path.stem for path in (HERE / "cases").glob("*.json"))
WRITES_BEFORE = 8
"""So that versions which cases name as old ones, such as 5, are."""
AREAS = (
    "c*",
    "d*",
    "e*",
    "[f-k]*",
    "list-[a-l]*",
    "list-[m-z]*",
    "[m-v]*",
    "watch-[a-h]*",
    "watch-[i-m]*",
    "watch-[n-z]*",
)
"""Of the cases, for as many scripts at once: many of them wait."""


def kept(answer: Answer) -> dict[str, Any]:
    """What of an answer a recording keeps."""
    found: dict[str, Any] = {
        "status": answer.status,
        "type": answer.header("content-type").split(";")[0],
        "body": wirecheck.parse(answer.body),
    }
    if retry := answer.header("retry-after"):
        found["retry_after"] = retry
    if warnings := answer.all("warning"):
        found["warnings"] = warnings
    return found


class Player:
    """Tells a case to a server, as wirecheck does."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._watches: dict[str, Lines] = {}

    async def play(self, case: dict[str, Any]) -> list[dict[str, Any]]:
        """The answers of all steps that have one."""
        variables: dict[str, Any] = {"ns": NAMESPACE, "x": "x"}
        answers: list[dict[str, Any]] = [{"id": "ns", "name": NAMESPACE}]
        for raw in case["steps"]:
            step = wirecheck.fill(raw, variables)
            match step["op"]:
                case "sleep":
                    await trio.sleep(float(step["seconds"]))
                case "request":
                    answer = await self._asked(step)
                    if "id" in step:
                        answers.append({"id": step["id"], **answer})
                    for name, path in step.get("capture", {}).items():
                        variables[name] = wirecheck.pointer(answer["body"], path)
                case "watch":
                    answers.append({"id": step["id"], **await self._opened(step)})
                case "read" if step["watch"] in self._watches:
                    answers.append({"id": step["id"], **await self._read(step)})
                case "close" if step["watch"] in self._watches:
                    await self._watches.pop(step["watch"]).connection.stream.aclose()
        for lines in self._watches.values():
            await lines.connection.stream.aclose()
        return answers

    async def _asked(self, step: dict[str, Any]) -> dict[str, Any]:
        deadline = trio.current_time() + PATIENCE_S
        answer = await self._ask(step)
        while answer["status"] != step.get("until", answer["status"]) and trio.current_time() < deadline:
            await trio.sleep(0.1)
            answer = await self._ask(step)
        return answer

    async def _ask(self, step: dict[str, Any]) -> dict[str, Any]:
        return kept(await self._served.ask(step.get("method", "GET"), step["path"], **sent(step)))

    async def _opened(self, step: dict[str, Any]) -> dict[str, Any]:
        connection = self._served.connect()
        await connection.send("GET", step["path"], **sent({**step, "query": {"watch": "1", **step.get("query", {})}}))
        head = await connection.head()
        if head.status == 200:
            self._watches[step["id"]] = Lines(connection)
            return {"status": 200, "type": head.header("content-type").split(";")[0]}
        body = b"".join([bytes(event.data) async for event in connection.rest()])
        return kept(Answer(head.status, head.headers, body))

    async def _read(self, step: dict[str, Any]) -> dict[str, Any]:
        events: list[Any] = []
        with trio.move_on_after(step.get("timeout", 5)):
            while len(events) < step["events"]:
                try:
                    events.append(await self._watches[step["watch"]].next())
                except trio.EndOfChannel:
                    return {"events": events, "ended": True}
        return {"events": events, "ended": False}


def sent(step: dict[str, Any]) -> dict[str, Any]:
    """How a step asks."""
    body = step.get("body")
    return {
        "query": step.get("query"),
        "headers": {"Accept": "application/json", **step.get("headers", {})},
        "body": body.encode() if isinstance(body, str) else body,
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_server_answers_as_a_kube_apiserver_did(run_trio, name):
    case = read("cases", name)

    async def main() -> list[dict[str, Any]]:
        async with serving() as served:
            for number in range(WRITES_BEFORE):
                await served.made(CONFIGS, config(f"before-{number}"))
            await served.made("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            return await Player(served).play(case)

    assert wirecheck.compare(case, read("recordings", name), run_trio(main)) == []


@pytest.mark.slow
def test_the_script_that_recorded_them_finds_no_difference_over_sockets():
    """Real time, real sockets, many clients at once."""
    said: dict[str, str] = {}

    async def ask(url: str, area: str) -> None:
        words = [sys.executable, str(HERE / "wirecheck.py"), "replay", "--server", url, "--only", area]
        done = await trio.run_process(words, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        said[area] = done.stdout.decode()

    async def main() -> None:
        async with open_cluster(random=Random(1)) as cluster:
            clock = cluster.clock.unix
            options = ServerOptions(loopback_only=True)
            async with open_server(cluster, random=Random(2), unix=clock, options=options) as server:
                async with trio.open_nursery() as nursery:
                    for area in AREAS:
                        nursery.start_soon(ask, server.url, area)

    trio.run(main)
    assert [text for text in said.values() if " 0 failed" not in text] == []
    assert sum(int(text.splitlines()[-1].split()[0]) for text in said.values()) == len(NAMES)
