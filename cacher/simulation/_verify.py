"""Compares what watches of this cache deliver with what clients of a real one were recorded to receive.

Each recording is repeated as a client of its own while the trace plays: the same list at the same time, the same watch
from the same revision; once the trace has ended, the client drains its watch. Event for event are compared: type,
order, and the whole object in the API's shape (`kind`, `apiVersion`, and `metadata.resourceVersion` from the revision).
Bookmarks are not: each cache sends them by its own clock. Compared is after the trace, so that comparing delays no
delivery; until then a client keeps references to the events it got, no more than the trace brings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import trio

from watch import Event, EventType, Expired, NotReady, Object, TooLargeResourceVersion, WatchError

from ._comparison import Comparison, EventComparison, Findings, Kind, StreamResult, compare_initial
from ._player import Timetable
from ._recording import Recording
from ._trace import Trace

# A cache on the same machine follows within milliseconds; one that has not after this long has stopped.
_DRAIN_S = 60.0
_POLL_S = 0.01

# Between two checkpoints of a comparison: about 10 ms, so that Ctrl-C and other tasks get their turn.
_EVENTS_A_TURN = 100


class _Listed(Protocol):
    @property
    def objects(self) -> tuple[Object, ...]: ...
    @property
    def revision(self) -> int: ...


class _Watch(Protocol):
    async def receive_batch(self) -> tuple[Event, ...]: ...
    def receive_batch_nowait(self) -> tuple[Event, ...]: ...


class _Resource(Protocol):
    @property
    def info(self) -> Kind: ...
    async def ready(self) -> None: ...
    async def wait_until_fresh(self, revision: int) -> None: ...
    async def list(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        resource_version: str | int = "",
        match: str = "",
    ) -> _Listed: ...
    def watch(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        resource_version: str | int | None = None,
        send_initial_events: bool | None = None,
        bookmarks: bool = False,
    ) -> AbstractAsyncContextManager[_Watch]: ...


class _Store(Protocol):
    @property
    def revision(self) -> int: ...


class ComparedCluster(Protocol):
    """As much of `cacher.Cluster` as is compared."""

    @property
    def etcd(self) -> _Store: ...
    def resource(self, version: str, plural: str) -> _Resource: ...


async def verify(
    recordings: Sequence[Recording], trace: Trace, cluster: ComparedCluster, timetable: Timetable, finished: trio.Event
) -> Comparison:
    """The comparison with every recording, run beside the player; returns after `finished` is set and all is drained."""
    results: list[StreamResult | None] = [None] * len(recordings)

    async def run(index: int) -> None:
        results[index] = await verify_stream(recordings[index], trace, cluster, timetable, finished)

    async with trio.open_nursery() as nursery:
        for index in range(len(recordings)):
            nursery.start_soon(run, index)
    return Comparison(tuple(result for result in results if result is not None))


async def verify_stream(
    recording: Recording, trace: Trace, cluster: ComparedCluster, timetable: Timetable, finished: trio.Event
) -> StreamResult:
    """Repeat one recorded client on `cluster` and compare what it gets.

    Args:
        finished: set when the trace has been played to its end.
    """
    resource = cluster.resource(recording.request.group_version, recording.request.plural)
    client = _Client(recording, resource, trace.end_revision, finished)
    try:
        await resource.ready()
        await client.run(cluster.etcd, timetable)
    except WatchError as error:
        client.ended = f"{type(error).__name__}: {error}"
    await finished.wait()
    return await _compare(recording, trace, client, resource.info)


class _Client:
    """One client of ours: what it was given, in order, and why its watch ended if it did so by itself."""

    def __init__(self, recording: Recording, resource: _Resource, end_revision: int, finished: trio.Event) -> None:
        self.objects: list[Object] = []
        self.events: list[Event] = []
        self.ended = ""
        self._recording = recording
        self._resource = resource
        self._end_revision = end_revision
        self._finished = finished

    async def run(self, store: _Store, timetable: Timetable) -> None:
        recording = self._recording
        await timetable.wait(recording.opened_t if recording.listed_t is None else recording.listed_t)
        await self._wait_for(store, recording.revision)
        if recording.listed_t is None and await self._streamed():
            return
        await self._list()
        await timetable.wait(recording.opened_t)
        async with self._open(resource_version=recording.revision) as watch:
            await self._follow(watch)

    async def _wait_for(self, store: _Store, revision: int) -> None:
        """Return once the store has made `revision`, or the trace is over.

        Recorded times are times of arrival, so a list may be stamped before the last event that it shows.
        """
        while store.revision < revision and not self._finished.is_set():
            await trio.sleep(_POLL_S)

    async def _streamed(self) -> bool:
        """Have the initial state streamed, and follow. False, and nothing kept, if it showed another revision.

        That happens at many times the recorded pace alone; the same state is then listed at its exact revision.
        """
        async with self._open(send_initial_events=True) as watch:
            revision = await self._read_initial(watch)
            if revision == self._recording.revision:
                await self._follow(watch)
                return True
        self.objects.clear()
        self.events.clear()
        return False

    async def _read_initial(self, watch: _Watch) -> int:
        """The revision of the bookmark that ends the initial state."""
        revision = None
        while revision is None:
            for event in await watch.receive_batch():
                if event.is_initial_events_end:
                    revision = event.revision
                elif revision is None and event.type is not EventType.BOOKMARK:
                    self.objects.append(event.object)
                else:
                    self._take((event,))
        return revision

    async def _list(self) -> None:
        """The list as recorded: the latest state, or, if the store has moved on, the state at the recorded revision."""
        listed = await self._list_latest()
        if listed.revision > self._recording.revision:
            request = self._recording.request
            listed = await self._resource.list(
                namespace=request.namespace,
                name=request.name,
                labels=request.labels,
                fields=request.fields,
                resource_version=self._recording.revision,
                match="Exact",
            )
        self.objects.extend(listed.objects)

    async def _list_latest(self) -> _Listed:
        request = self._recording.request
        return await self._resource.list(
            namespace=request.namespace, name=request.name, labels=request.labels, fields=request.fields
        )

    def _open(
        self, *, resource_version: int | None = None, send_initial_events: bool | None = None
    ) -> AbstractAsyncContextManager[_Watch]:
        request = self._recording.request
        return self._resource.watch(
            namespace=request.namespace,
            name=request.name,
            labels=request.labels,
            fields=request.fields,
            resource_version=resource_version,
            send_initial_events=send_initial_events,
            bookmarks=True,
        )

    async def _follow(self, watch: _Watch) -> None:
        """Take everything until the trace has ended and the cache has delivered it all."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_finished, nursery.cancel_scope)
            await self._read(watch)
            nursery.cancel_scope.cancel()
        if not self.ended:
            await self._drain(watch)

    async def _cancel_when_finished(self, scope: trio.CancelScope) -> None:
        await self._finished.wait()
        scope.cancel()

    async def _read(self, watch: _Watch) -> None:
        try:
            while True:
                self._take(await watch.receive_batch())
        except Expired as error:
            self.ended = f"the watch expired: {error}"
        except trio.EndOfChannel:
            self.ended = "the watch was ended by the cache"

    async def _drain(self, watch: _Watch) -> None:
        """Take what is left once all up to the end revision is there, and a moment longer: nothing more may come."""
        with trio.move_on_after(_DRAIN_S) as scope:
            while not await self._is_at_end():
                self._take_all(watch)
            self._take_all(watch)
            await trio.sleep(_POLL_S)
            self._take_all(watch)
        if scope.cancelled_caught:
            self.ended = f"the cache did not reach revision {self._end_revision} within {_DRAIN_S:g} s"

    async def _is_at_end(self) -> bool:
        """Whether all up to the end revision is there, within a moment; a full buffer must then be read first."""
        with trio.move_on_after(_POLL_S):
            try:
                await self._resource.wait_until_fresh(self._end_revision)
            except (NotReady, TooLargeResourceVersion) as error:
                await trio.sleep(error.retry_after_s)
            else:
                return True
        return False

    def _take_all(self, watch: _Watch) -> None:
        try:
            while True:
                self._take(watch.receive_batch_nowait())
        except trio.WouldBlock:
            pass
        except Expired as error:
            self.ended = f"the watch expired: {error}"
        except trio.EndOfChannel:
            self.ended = "the watch was ended by the cache"

    def _take(self, batch: Iterable[Event]) -> None:
        self.events.extend(event for event in batch if event.type is not EventType.BOOKMARK)


async def _compare(recording: Recording, trace: Trace, client: _Client, info: Kind) -> StreamResult:
    found = Findings()
    initial_equal = compare_initial(recording.initial(), client.objects, info, found)
    reason = _not_comparable(recording, trace, client)
    events_equal = 0
    if not reason:
        if client.ended:
            found.add(client.ended)
        if recording.refusal is not None and not recording.event_count and not client.ended:
            found.add(f"recorded was a refusal ({recording.refusal.message}), here the watch was served")
        comparing = EventComparison(client.events, info, found, last_revision=_last_revision(recording, trace))
        for number, (kind, document) in enumerate(recording.events()):
            comparing.expect(kind, document)
            if number % _EVENTS_A_TURN == 0:
                await trio.lowlevel.checkpoint()
        events_equal = comparing.finish()
    return StreamResult(
        name=recording.name,
        events=0 if reason else recording.event_count,
        events_equal=events_equal,
        initial=recording.initial_count,
        initial_equal=initial_equal,
        differences=found.count,
        examples=tuple(found.examples),
        not_comparable=reason,
    )


def _not_comparable(recording: Recording, trace: Trace, client: _Client) -> str:
    """Why the events of this recording say nothing about ours; "": they do.

    A real cache holds history from before the snapshot, and once any event has left its window it refuses a revision
    before the window's first event. A cache that began at the snapshot may still serve it: both answers are right.
    """
    refusal = recording.refusal
    if (
        refusal is None
        or refusal.code != Expired.code
        or recording.event_count
        or recording.revision > trace.start_revision
    ):
        return ""
    here = f"refused here too: {client.ended}" if client.ended else f"served here, {len(client.events)} events"
    return f"recorded was {refusal.code}: {refusal.message}, for history from before the snapshot; {here}"


def _last_revision(recording: Recording, trace: Trace) -> int:
    """What came after this revision was not recorded, since the recording had ended."""
    if recording.refusal is not None:
        return recording.last_revision
    return max(recording.last_revision, trace.revision_at(recording.stopped_t))
