"""The ListerWatcher over HTTP: what it asks, what it makes of answers, and what it does not believe."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from reflector import Changes, StreamingListerWatcher
from reflector.http import BadAnswer, ConnectionLost, ListsAreNotStreamed, ServerRefused
from tests.reflector.http.scripted_server import (
    answer,
    bookmark,
    hang,
    hang_up,
    line,
    open_client,
    open_server,
    pod,
    pods,
    raw,
    refuse,
    status,
    watch,
)
from watch import Event, EventType, Expired, InvalidSelector, NotReady, TooLargeResourceVersion

TOO_LARGE: dict[str, Any] = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}


def shown(changes: Changes) -> tuple:
    return [(event.type.value, event.key, event.revision) for event in changes.events], changes.revision


async def drained(stream):
    """What a stream brings, and what ends it."""
    found = []
    while True:
        try:
            found.append(shown(await stream.receive()))
        except (trio.EndOfChannel, trio.BrokenResourceError, Expired, BadAnswer, NotReady) as error:
            return found, error


async def source(client, **selection):
    return client.resource("v1", "pods").lister_watcher(**selection)


def play(run_trio, script, use, **selection):
    """Runs `use(lister_watcher)` against a server with this script; returns its result and the server."""

    async def main():
        async with open_server(*script) as server, open_client(server) as client:
            return await use(client.resource("v1", "pods").lister_watcher(**selection)), server

    return run_trio(main)


def watching(revision=5):
    async def use(source):
        async with source.watch(revision) as stream:
            return await drained(stream)

    return use


def streaming(resource_version=""):
    async def use(source):
        async with source.watch_list(resource_version=resource_version) as stream:
            return await drained(stream)

    return use


# --- lists -----------------------------------------------------------------------------------------------------------


def test_a_list_is_a_page_of_objects_as_they_are_stored(run_trio):
    async def use(source):
        return await source.list(page_size=2)

    body = pods(9, pod("a", 3, labels={"app": "x"}), pod("b", 4), next_page="more")
    page, server = play(run_trio, [answer(200, body)], use)
    assert (page.revision, page.next_page) == (9, "more")
    assert [(obj.key, obj.revision, obj.uid, obj.labels) for obj in page.objects] == [
        ("ns/a", 3, "u-a", {"app": "x"}),
        ("ns/b", 4, "u-b", {}),
    ]
    # The kind is filled in, the resourceVersion taken out: as the store has it, and as a watch brings it.
    parsed = page.objects[1].parse()
    assert parsed == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b", "namespace": "ns", "uid": "u-b"}}
    assert page.objects[1].to_dict()["metadata"]["resourceVersion"] == "4"
    asked = server.exchanges[0]
    assert (asked.method, asked.path, asked.query) == ("GET", "/api/v1/pods", {"limit": "2"})


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ({}, {}),
        ({"page_size": 500}, {"limit": "500"}),
        ({"resource_version": "0", "page_size": 500}, {"resourceVersion": "0", "limit": "500"}),
        # With a limit and without a match it would be a list at exactly 7.
        (
            {"resource_version": "7", "page_size": 500},
            {"limit": "500", "resourceVersion": "7", "resourceVersionMatch": "NotOlderThan"},
        ),
        ({"resource_version": "7"}, {"resourceVersion": "7", "resourceVersionMatch": "NotOlderThan"}),
        ({"resource_version": "7", "page_size": 500, "page": "next"}, {"limit": "500", "continue": "next"}),
    ],
)
def test_a_list_asks_by_the_rules_of_resource_versions(run_trio, asked, query):
    async def use(source):
        await source.list(**asked)

    _, server = play(run_trio, [answer(200, pods(9))], use)
    assert server.exchanges[0].query == query


def test_the_selectors_and_the_namespace_are_asked_for_by_every_question(run_trio):
    async def use(source):
        await source.list()
        async with source.watch(5) as stream:
            await drained(stream)
        async with source.watch_list() as stream:
            await drained(stream)

    _, server = play(
        run_trio,
        [answer(200, pods(9)), watch(), watch()],
        use,
        namespace="ns",
        labels={"app": "x"},
        fields="spec.nodeName=n1",
    )
    assert {exchange.path for exchange in server.exchanges} == {"/api/v1/namespaces/ns/pods"}
    assert [(e.query["labelSelector"], e.query["fieldSelector"]) for e in server.exchanges] == [
        ("app=x", "spec.nodeName=n1")
    ] * 3


@pytest.mark.parametrize(
    ("reply", "error", "attributes"),
    [
        (refuse(410, "Expired", "too old"), Expired, {"message": "too old"}),
        (refuse(410, "Gone", "too old"), Expired, {}),
        (
            refuse(504, "Timeout", "Timeout: Too large resource version: 7, current: 3", 2, **TOO_LARGE),
            TooLargeResourceVersion,
            {"current": 3, "retry_after_s": 2},
        ),
        (
            refuse(504, "Timeout", "Too large resource version: 7, current: 3"),
            TooLargeResourceVersion,
            {"retry_after_s": 1},
        ),
        (refuse(503, "ServiceUnavailable"), NotReady, {}),
        (refuse(429, "TooManyRequests", "later"), NotReady, {}),
        (refuse(403, "Forbidden", "you may not"), ServerRefused, {"code": 403}),
        (refuse(404, "NotFound", "no such resource"), ServerRefused, {"code": 404}),
        (refuse(400, "BadRequest", "field label not supported: spec.x"), InvalidSelector, {}),
        (refuse(400, "BadRequest", "something else"), ServerRefused, {}),
        (answer(502, b"<html>bad gateway</html>"), ServerRefused, {"code": 502}),
        (answer(200, b"{"), BadAnswer, {}),
        (answer(200, {"kind": "Table", "rows": []}), BadAnswer, {}),
        (answer(200, {"kind": "PodList", "metadata": {}, "items": []}), BadAnswer, {}),
        (answer(200, {**pods(9), "items": [{"metadata": {"name": "a"}}]}), BadAnswer, {}),
        (answer(200, {**pods(9), "items": ["a"]}), BadAnswer, {}),
        (answer(302, b"", [("Location", "http://elsewhere")]), ServerRefused, {"code": 302}),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), ConnectionLost, {}),
        (raw(b"it is no HTTP\r\n\r\n"), ConnectionLost, {}),
        (hang_up, ConnectionLost, {}),
    ],
)
def test_a_list_that_fails_says_who_must_act(run_trio, reply, error, attributes):
    async def use(source):
        with pytest.raises(error) as caught:
            await source.list(resource_version="7")
        return caught.value

    found, _ = play(run_trio, [reply], use, fields="spec.x=1")
    assert {name: getattr(found, name) for name in attributes} == attributes


def test_a_list_that_is_never_answered_ends_at_its_deadline(run_trio):
    async def use(source):
        with pytest.raises(ServerRefused, match="not answered within 65 s"):
            await source.list()
        return trio.current_time()

    at_s, _ = play(run_trio, [hang], use)
    assert at_s == 65


def test_a_list_that_drips_without_end_ends_at_its_deadline(run_trio):
    async def drip(exchange):
        await exchange.start()
        while True:
            await exchange.chunk(b" ")
            await trio.sleep(1)

    async def use(source):
        with pytest.raises(ServerRefused, match="not answered within 65 s"):
            await source.list()

    play(run_trio, [drip], use)


def test_a_list_waits_as_long_as_the_server_asks_and_asks_again(run_trio):
    async def use(source):
        return len((await source.list()).objects), trio.current_time()

    (count, at_s), _ = play(
        run_trio, [refuse(429, "TooManyRequests", "later", 2), answer(200, pods(9, pod("a", 3)))], use
    )
    assert count == 1
    assert 2 <= at_s <= 3


# --- watches ---------------------------------------------------------------------------------------------------------


def test_a_watch_asks_for_bookmarks_and_for_an_end_between_5_and_10_minutes(run_trio):
    async def use(source):
        for _ in range(20):
            async with source.watch(5):
                pass
        async with source.watch(5, timeout_s=30):
            pass

    _, server = play(run_trio, [watch()] * 21, use)
    queries = [exchange.query for exchange in server.exchanges]
    lasts = [int(query.pop("timeoutSeconds")) for query in queries]
    assert queries == [{"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "5"}] * 21
    assert all(300 <= seconds <= 600 for seconds in lasts[:20])
    assert len(set(lasts[:20])) > 10
    assert lasts[20] == 30


def test_what_one_read_brings_is_one_batch_and_bookmarks_say_how_far_it_is(run_trio):
    script = watch(
        line("ADDED", pod("a", 6)) + line("MODIFIED", pod("b", 7)) + line("DELETED", pod("a", 9)),
        1.0,
        bookmark(12),
        1.0,
        line("MODIFIED", pod("b", 13)) + bookmark(14),
    )
    (found, error), _ = play(run_trio, [script], watching())
    assert found == [
        ([("ADDED", "ns/a", 6), ("MODIFIED", "ns/b", 7), ("DELETED", "ns/a", 9)], 9),
        ([], 12),
        ([("MODIFIED", "ns/b", 13)], 14),
    ]
    assert isinstance(error, trio.EndOfChannel)


def test_an_event_carries_the_object_as_a_list_would(run_trio):
    async def use(source):
        listed = (await source.list()).objects[0]
        async with source.watch(5) as stream:
            return listed, (await stream.receive()).events[0]

    one = pod("a", 6, labels={"x": "y"})
    (listed, event), _ = play(run_trio, [answer(200, pods(9, one)), watch(line("MODIFIED", one))], use)
    assert event == Event(EventType.MODIFIED, event.object, 6)
    assert (event.object, event.object.raw) == (listed, listed.raw)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_events_may_be_cut_anywhere(run_trio, size):
    data = b"".join(line("MODIFIED", pod("ü", revision)) for revision in range(6, 20)) + bookmark(25)
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    (found, error), _ = play(run_trio, [watch(*pieces)], watching())
    assert [event for events, _ in found for event in events] == [("MODIFIED", "ns/ü", at) for at in range(6, 20)]
    assert found[-1][1] == 25
    assert isinstance(error, trio.EndOfChannel)


GOOD = line("ADDED", pod("a", 6))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (line("ERROR", status(410, "Expired", "too old resource version: 5 (90)")), Expired),
        (line("ERROR", status(429, "TooManyRequests", "later")), NotReady),
        (line("ERROR", status(500, "InternalError", "oops")), ServerRefused),
        (line("ERROR", "no status"), ServerRefused),
        (line("WONDER", pod("b", 7)), BadAnswer),
        (line("MODIFIED", pod("b", 6)), BadAnswer),  # the revision does not rise
        (line("MODIFIED", pod("b", 3)), BadAnswer),
        (bookmark(4), BadAnswer),  # the server is behind, or was set back
        (b"<html>\n", BadAnswer),
        (b'{"type":"ADDED"}\n', BadAnswer),
        (line("ADDED", {"kind": "Table"}), BadAnswer),
        (line("ADDED", {"metadata": {"resourceVersion": "7"}}), BadAnswer),
        (line("ADDED", pod("b", 7) | {"metadata": {"name": "b", "resourceVersion": "x"}}), BadAnswer),
        (b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"7","name":"\xff"}}}\n', BadAnswer),
    ],
)
def test_what_is_wrong_ends_the_stream_after_what_was_right(run_trio, bad, error):
    async def use(source):
        async with source.watch(5) as stream:
            first = shown(await stream.receive())
            for _ in range(2):  # and again: whoever asks a dead stream learns why it died
                with pytest.raises(error):
                    await stream.receive()
            return first

    first, _ = play(run_trio, [watch(GOOD + bad + line("MODIFIED", pod("c", 99)))], use)
    assert first == ([("ADDED", "ns/a", 6)], 6)


@pytest.mark.parametrize(
    "cut",
    [
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(GOOD), GOOD)),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + GOOD),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n" % (len(GOOD), GOOD)),
        watch(GOOD + line("MODIFIED", pod("b", 7))[:-5]),
    ],
    ids=["no end", "a chunk cut short", "no chunk", "an event cut short"],
)
def test_a_stream_that_is_cut_is_lost_and_not_at_its_end(run_trio, cut):
    (found, error), _ = play(run_trio, [cut], watching())
    assert found == [([("ADDED", "ns/a", 6)], 6)]
    assert isinstance(error, trio.BrokenResourceError)


def timed(revision=5):
    """Drains a watch, and says when it was over."""

    async def use(source):
        found, error = await watching(revision)(source)
        return found, error, trio.current_time()

    return use


def newest(revision):
    return answer(200, pods(revision, pod("a", 3)))


def test_a_watch_with_bookmarks_goes_on_and_one_that_falls_silent_is_given_up_after_70_seconds(run_trio):
    script = [watch(60.0, bookmark(8), 60.0, bookmark(8), ends=False), newest(9)]
    (found, error, at_s), server = play(run_trio, script, timed())
    assert (found, at_s) == ([([], 8), ([], 8)], 190)
    assert isinstance(error, trio.BrokenResourceError)
    assert "nothing for 70 s" in str(error)
    # Before that the server was asked whether there was anything to say.
    assert [(exchange.at_s, exchange.query) for exchange in server.exchanges[1:]] == [(183, {"limit": "1"})]


@pytest.mark.parametrize("reply", [refuse(500, "InternalError"), hang, hang_up, answer(200, b"[")])
def test_a_silent_watch_is_given_up_where_the_server_does_not_answer_either(run_trio, reply):
    (found, error, at_s), _ = play(run_trio, [watch(ends=False), reply], timed())
    assert (found, at_s) == ([], 70)
    assert isinstance(error, trio.BrokenResourceError)


def test_silence_is_a_bookmark_where_nothing_happens_in_the_store(run_trio):
    script = [watch(200.0, bookmark(8), ends=False), newest(5), newest(5), newest(5), newest(9)]
    (found, _, at_s), server = play(run_trio, script, timed())
    assert (found, at_s) == ([([], 5)] * 3 + [([], 8)], 270)
    assert [exchange.at_s for exchange in server.exchanges[1:]] == [63, 126, 189, 263]


def test_what_comes_while_the_server_is_asked_is_not_lost(run_trio):
    async def slow(exchange):
        await trio.sleep(3)
        await exchange.answer(200, pods(9))

    script = [watch(64.0, line("ADDED", pod("a", 6)), ends=True), slow]
    (found, error, at_s), _ = play(run_trio, script, timed())
    assert (found, at_s) == ([([("ADDED", "ns/a", 6)], 6)], 66)
    assert isinstance(error, trio.EndOfChannel)


def test_a_store_that_was_set_back_is_found_out(run_trio):
    """As from a backup: a watch from a revision that it has yet to reach again would bring nothing, for long."""
    (_, error, at_s), _ = play(run_trio, [watch(ends=False), newest(4)], timed())
    assert isinstance(error, BadAnswer)
    assert at_s == 63


def test_a_line_without_end_is_cut_off(run_trio, monkeypatch):
    monkeypatch.setattr("reflector.http._wire.Lines.__init__.__defaults__", (10_000,))

    async def forever(exchange):
        await exchange.start()
        for _ in range(100):
            await exchange.chunk(b"x" * 1000)
        await exchange.end()

    (_, error), _ = play(run_trio, [forever], watching())
    assert isinstance(error, BadAnswer)
    assert "longer than 10000 bytes" in str(error)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refuse(410, "Expired"), Expired),
        (refuse(429, "TooManyRequests", "later", 3), NotReady),
        (refuse(503, "ServiceUnavailable"), NotReady),
        (refuse(403, "Forbidden"), ServerRefused),
        (hang_up, ConnectionLost),
        (hang, ServerRefused),
    ],
)
def test_a_watch_that_is_not_opened_says_why(run_trio, reply, error):
    async def use(source):
        with pytest.raises(error) as caught:
            async with source.watch(5):
                raise AssertionError("it is not open")
        return caught.value

    found, server = play(run_trio, [reply], use)
    assert len(server.exchanges) == 1  # whoever watches waits by himself
    if error is NotReady and "429" in str(found):
        assert found.retry_after_s == 3


def test_leaving_a_watch_closes_its_connection_and_one_that_ended_is_used_again(run_trio):
    async def use(source):
        async with source.watch(5) as stream:
            await stream.receive()
        async with source.watch(6) as stream:
            await drained(stream)
        await source.list()

    _, server = play(run_trio, [watch(GOOD, ends=False), watch(), answer(200, pods(9))], use)
    assert len(server.dials) == 2


# --- lists as streams ------------------------------------------------------------------------------------------------


def test_it_is_a_streaming_lister_watcher(run_trio):
    async def use(source):
        return isinstance(source, StreamingListerWatcher)

    assert play(run_trio, [], use)[0]


def test_a_streamed_list_brings_the_state_then_its_end_then_changes(run_trio):
    script = watch(
        line("ADDED", pod("b", 7)) + line("ADDED", pod("a", 3)),
        0.1,
        line("ADDED", pod("c", 2)) + bookmark(9, ends=True) + line("MODIFIED", pod("a", 10)),
        line("DELETED", pod("b", 11)),
    )
    (found, error), server = play(run_trio, [script], streaming("7"))
    assert found == [
        ([("ADDED", "ns/b", 7), ("ADDED", "ns/a", 3)], 0),
        ([("ADDED", "ns/c", 2)], 9),
        ([("MODIFIED", "ns/a", 10)], 10),
        ([("DELETED", "ns/b", 11)], 11),
    ]
    assert isinstance(error, trio.EndOfChannel)
    query = server.exchanges[0].query
    assert query.pop("timeoutSeconds")
    assert query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "resourceVersion": "7",
    }


def test_an_empty_state_is_streamed_too(run_trio):
    (found, _), _ = play(run_trio, [watch(bookmark(9, ends=True))], streaming())
    assert found == [([], 9)]


def test_a_state_that_ends_before_what_was_asked_for_is_not_believed(run_trio):
    (_, error), _ = play(run_trio, [watch(bookmark(6, ends=True))], streaming("7"))
    assert isinstance(error, BadAnswer)


@pytest.mark.parametrize(
    "script",
    [watch(line("ADDED", pod("a", 3)), ends=False), watch(line("ADDED", pod("a", 3)), bookmark(9), ends=False)],
    ids=["silence", "a bookmark that is not the end"],
)
def test_a_server_that_does_not_know_how_to_stream_lists_is_found_out_and_not_asked_again(run_trio, script):
    async def use(source):
        async with source.watch_list() as stream:
            await stream.receive()
            with pytest.raises(ListsAreNotStreamed):
                await stream.receive()
        at_s = trio.current_time()
        with pytest.raises(ListsAreNotStreamed):
            async with source.watch_list():
                raise AssertionError("it is not open")
        return at_s

    at_s, server = play(run_trio, [script], use)
    assert at_s <= 15
    assert len(server.exchanges) == 1


def test_a_server_that_refuses_to_stream_a_list_is_asked_again_the_next_time(run_trio):
    refused = refuse(422, "Invalid", "sendInitialEvents is forbidden for watch")

    async def use(source):
        with pytest.raises(ServerRefused):
            async with source.watch_list():
                raise AssertionError("it is not open")
        async with source.watch_list() as stream:
            return await drained(stream)

    (found, _), _ = play(run_trio, [refused, watch(bookmark(9, ends=True))], use)
    assert found == [([], 9)]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (
            watch(line("ERROR", status(504, "Timeout", "Too large resource version: 7, current: 3", **TOO_LARGE))),
            TooLargeResourceVersion,
        ),
        (refuse(504, "Timeout", "x", **TOO_LARGE), TooLargeResourceVersion),
        (watch(line("ERROR", status(410, "Expired", "old"))), Expired),
    ],
)
def test_a_streamed_list_at_a_revision_that_is_not_there_says_so(run_trio, script, error):
    async def use(source):
        with pytest.raises(error):
            async with source.watch_list(resource_version="7") as stream:
                await stream.receive()

    play(run_trio, [script], use)


def test_nothing_is_asked_for_progress_since_nobody_could_answer(run_trio):
    async def use(source):
        await source.request_progress()

    _, server = play(run_trio, [], use)
    assert not server.exchanges
