"""One run: a trace is played into a cluster, clients read it, everything is recorded, judged and reported.

    snapshot ─▶ cluster ─▶ caches ready ─▶ clients open ─▶ play ─▶ caches reach the end ─▶ clients drain ─▶ judge ─▶ report

All state lives in TraceRun, outside trio, so a run that is stopped in the middle can still say what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Protocol

import msgspec
import trio

from watch import NotReady, ObjectReader, TooLargeResourceVersion

from .. import CacherStatistics, Cluster, Resource, StoreOptions, open_cluster
from ._client_plans import ClientPlan, main_prefix, plan_clients
from ._clients import open_clients
from ._determinism import Streams, run_deterministic
from ._digest import digest
from ._history import History, StoreChange, StoreHistory
from ._landing import Landed, land
from ._meter import Meter, memory_peak_bytes
from ._player import Played, Player, Timetable, lease_ttl_s
from ._recorder import Recorder
from ._recording import Recording, load_recordings
from ._report import (
    NOT_REPEATABLE,
    CacherFacts,
    RunReport,
    VerifyFacts,
    cacher_facts,
    client_totals,
    kind_facts,
    replay_command,
    versions,
)
from ._sampling import SAMPLE_PERIOD_S, sample, sample_for_ever
from ._trace import Step, Trace, resource_prefix
from ._verify import verify
from .judges import Verdict, judge_all

CATCH_UP_S = 60.0
"""After the last write each cache has this long, on the run's clock, to get there. It needs a tenth of a second."""
ACK_TURNS_MAX = 3
"""An event may arrive before its write is acknowledged, or up to so many scheduler turns after; drawn for each write."""


AS_FAST_AS_IT_CAN = 1e6
"""Trace seconds in a real second, where nothing but the store itself holds up the play."""
SAMPLE_PERIOD_MIN_S = 0.5


class Display(Protocol):
    """Where a run says how far it is. Called often: it decides itself when to draw."""

    def phase(self, text: str) -> None:
        """Something else begins."""
        ...

    def stepped(self, run: TraceRun) -> None:
        """One more revision is written."""
        ...


class NoDisplay:
    """A run that nobody watches."""

    def phase(self, text: str) -> None: ...

    def stepped(self, run: TraceRun) -> None: ...


class RunOptions(msgspec.Struct, frozen=True):
    """What may be chosen of a run."""

    clients: int = 1000
    speed: float | None = None
    """Trace seconds in a real second; None: the virtual clock, as fast as the machine can."""
    seed: int = 0
    verify: bool = False
    watch_cache: bool = True
    """Whether there are caches at all."""
    watch_cache_sizes: tuple[tuple[str, int], ...] = ()
    """By resource, as kubectl writes it; 0: it has no cache, and whoever reads it reads the store."""

    store: StoreOptions = StoreOptions()
    """Where the trace is played. What is on a network or a disk knows no virtual clock: there, it is played as fast as that
    can."""
    store_words: tuple[str, ...] = ()
    """The same, as it was said on the command line."""

    @property
    def is_repeatable(self) -> bool:
        """Whether a run is the same each time: under the virtual clock, with nothing from outside."""
        return self.speed is None and self.store == StoreOptions()

    @property
    def caches(self) -> bool | dict[str, bool]:
        """Which resources have a cache, as `open_cluster` wants it."""
        return self.watch_cache and {resource: size > 0 for resource, size in self.watch_cache_sizes}

    @property
    def pace(self) -> str:
        """The speed as the command line has it."""
        if self.speed is None:
            return "max"
        return "real" if self.speed == 1 else f"{self.speed:g}"


class TraceRun:
    """A run of one trace, once. `execute`, then `report`; while it runs, the attributes tell how far it is.

    Args:
        named: how the trace was asked for, for the replay command.
    """

    def __init__(self, trace: Trace, options: RunOptions, *, named: str = "", display: Display | None = None) -> None:
        self.trace = trace
        self.options = options
        self.named = named or trace.name
        self.meter = Meter()
        self.interrupted = False
        self.lagging: tuple[str, ...] = ()
        self.played = Played(trace.start_revision)
        self.recorder = Recorder({}, end_revision=trace.end_revision, meter=self.meter)
        self.revisions = trace.end_revision - trace.start_revision
        self._display = display or NoDisplay()
        self._streams = Streams(options.seed)
        self._resources: dict[str, Resource] = {}
        self._landed: Landed | None = None
        self._plans: list[ClientPlan] = []
        self._caches: tuple[CacherFacts, ...] = ()
        self._recordings: list[Recording] = []
        self._verify: VerifyFacts | None = None

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What is played into, once the caches are filled."""
        return tuple(self._resources.values())

    @property
    def history(self) -> History:
        """What was seen so far."""
        return self.recorder.history

    def main_cache(self) -> tuple[str, CacherStatistics] | None:
        """The resource that most clients read, and its cache now; None before the caches are filled. Cost: O(views)."""
        prefix = main_prefix(self.history.stores)
        resource = self._resources.get(prefix)
        return (resource.info.qualified_name, resource.statistics()) if resource is not None else None

    def execute(self) -> None:
        """Run to the end, or until Ctrl-C, which is no error here: `interrupted` says so.

        Raises:
            ReplayMismatch: the store made another revision than the recorded one.
            TraceError: a recording to verify against is damaged.
        """
        if self.options.verify:
            self._display.phase("reading the recorded watches")
            self._recordings = load_recordings(self.trace.prefix)
        try:
            if self.options.is_repeatable:
                run_deterministic(self._main, seed=self.options.seed)
            else:
                trio.run(self._main)
        except KeyboardInterrupt:
            self.interrupted = True
        except BaseExceptionGroup as group:
            self._take_apart(group)
        self.recorder.play_ends()

    def report(self) -> RunReport:
        """Judge what was recorded, and say everything. Cost: a few µs a delivery and judge."""
        self._display.phase("judging")
        guarantees = self._judge()
        logs, lag = self.recorder.logs, self.meter.lag()
        by_second = self.recorder.deliveries_by_second
        options = self.options
        return RunReport(
            trace=self.trace.name,
            versions=versions(),
            clients=options.clients,
            pace=options.pace,
            seed=options.seed,
            replay=replay_command(
                self.named,
                clients=options.clients,
                pace=options.pace,
                seed=options.seed,
                verify=options.verify,
                watch_cache=options.watch_cache,
                watch_cache_sizes=options.watch_cache_sizes,
                store_words=options.store_words,
            ),
            start_revision=self.trace.start_revision,
            end_revision=self.trace.end_revision,
            events_played=self.played.events,
            events=len(self.trace.events),
            revisions_played=self.played.revisions,
            revisions=self.revisions,
            trace_s=self.trace.duration_s,
            play_wall_s=self.meter.play_wall_s,
            deliveries=self.meter.deliveries,
            deliveries_per_s=self.meter.deliveries_per_s,
            deliveries_by_second=tuple(by_second.get(second, 0) for second in range(max(by_second, default=-1) + 1)),
            lag=lag,
            totals=client_totals(self._plans[: len(logs)], logs, bookmarks=self.meter.bookmarks),
            caches=self._caches,
            kinds=kind_facts(self._plans[: len(logs)], logs),
            memory_peak_bytes=memory_peak_bytes(),
            verify=self._verify,
            guarantees=guarantees,
            digest=digest(self.history) if options.is_repeatable else NOT_REPEATABLE,
            interrupted=self.interrupted,
            lagging=self.lagging,
        )

    def _judge(self) -> tuple[Verdict, ...]:
        try:
            return judge_all(self.history)
        except (
            KeyboardInterrupt
        ):  # a second Ctrl-C, or one that came late: the figures are worth having without verdicts
            self.interrupted = True
            return ()

    def _take_apart(self, group: BaseExceptionGroup[BaseException]) -> None:
        """Ctrl-C that arrived inside a nursery is noted; of several errors the first is raised, since it caused the others."""
        errors = [leaf for leaf in _leaves(group) if not isinstance(leaf, KeyboardInterrupt)]
        if errors:
            raise errors[0] from group
        self.interrupted = True

    # ---- inside trio ----

    async def _main(self) -> None:
        stream = self._streams.stream
        async with open_cluster(
            etcd=self.options.store,
            snapshot=None if self.options.store.is_remote else self.trace.snapshot,
            random=stream("cluster"),
            ack_turns=self._ack_turns(stream("acknowledgements")),
            compaction_period_s=0,  # its key would take revisions that the trace gave to something else
            watch_cache=self.options.caches,
        ) as cluster:
            try:
                await self._prepare(cluster)
                await self._run(cluster)
            finally:  # also where the run was stopped: the caches end with the cluster
                self._keep_cache_facts()
            self.history.finished = not self.lagging

    def _ack_turns(self, random: Random) -> Callable[[], int] | None:
        return (lambda: random.randint(0, ACK_TURNS_MAX)) if self.options.is_repeatable else None

    async def _prepare(self, cluster: Cluster) -> None:
        """Every resource of the trace has a cache that serves, and the recorder knows what will be true of it."""
        if self.options.store.is_remote:
            self._display.phase(f"writing {len(self.trace.snapshot.kvs):,} keys of the snapshot")
            await self._land(cluster)
        self._display.phase("filling the caches")
        self._resources = await open_resources(cluster, self.trace)
        self.history.stores.update(store_histories(self.trace, self._resources))
        self._plans = plan_clients(
            self.history.stores,
            self.options.clients,
            self._streams.stream("clients"),
            duration_s=self.trace.duration_s,
        )

    async def _land(self, cluster: Cluster) -> None:
        """From here on the trace is what a store with a history of its own makes of it."""
        ttl_s = lease_ttl_s(self.trace, self.options.speed or 1.0)
        landed = await land(self.trace, cluster.etcd, key_prefix=cluster.root, lease_ttl_s=ttl_s)
        self._landed, self.trace = landed, landed.trace
        self._recordings = [landed.landing.recording(recording) for recording in self._recordings]
        self.played = Played(self.trace.start_revision)
        self.history.end_revision = self.trace.end_revision

    async def _run(self, cluster: Cluster) -> None:
        is_repeatable = self.options.is_repeatable
        speed = self.options.speed or (1.0 if is_repeatable else AS_FAST_AS_IT_CAN)
        sample_period_s = max(SAMPLE_PERIOD_S / speed, 0 if is_repeatable else SAMPLE_PERIOD_MIN_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sample_for_ever, self._resources, self.recorder, sample_period_s)
            self._display.phase(f"opening {len(self._plans):,} clients")
            async with open_clients(
                self._plans,
                self._resources,
                self.recorder,
                store_revision=lambda: cluster.etcd.revision,
                speed=speed,
            ):
                await self._play(cluster, Timetable(trio.current_time(), speed))
                self._display.phase("catching up")
                self.lagging = await catch_up(self._resources, self._last_revisions(cluster))
                await sample(self._resources, self.recorder, with_objects=True)
            self.recorder.play_ends()
            nursery.cancel_scope.cancel()

    def _last_revisions(self, cluster: Cluster) -> dict[str, int]:
        """Where each cache must get to; without the store's word on its progress, it may not learn what others' writes made."""
        if not cluster.etcd.supports_progress:
            return self.trace.last_revisions()
        return dict.fromkeys(self._resources, self.trace.end_revision)

    async def _play(self, cluster: Cluster, timetable: Timetable) -> None:
        """Play the trace to its end, with the recorded watches repeated beside it where that was asked for."""
        self._display.phase("playing")
        self.recorder.play_starts()
        player = Player(
            self.trace,
            cluster.etcd,
            timetable,
            before_step=self._before_step,
            after_step=self._after_step,
            granted=self._landed.leases if self._landed else (),
        )
        self.played = player.played
        async with trio.open_nursery() as nursery:
            if self.options.verify:
                nursery.start_soon(self._compare_recordings, cluster, timetable, player.finished, name="verify")
            await player.run()

    def _before_step(self, step: Step) -> None:
        self.recorder.published(step.revision)

    def _after_step(self, step: Step) -> None:
        self._display.stepped(self)

    async def _compare_recordings(self, cluster: Cluster, timetable: Timetable, finished: trio.Event) -> None:
        found = await verify(self._recordings, self.trace, cluster, timetable, finished)
        self._verify = VerifyFacts(tuple(found.lines()), found.differences)

    def _keep_cache_facts(self) -> None:
        """The caches' figures as they stand."""
        self._caches = tuple(
            cacher_facts(
                resource.info.qualified_name,
                resource.statistics(),
                [log for log in self.recorder.logs if log.history.prefix == prefix],
                watches_peak=self.recorder.watches_peak.get(prefix, 0),
                views_peak=self.recorder.views_peak.get(prefix, 0),
            )
            for prefix, resource in self._resources.items()
        )


async def open_resources(cluster: Cluster, trace: Trace) -> dict[str, Resource]:
    """The door to each resource in `trace`, by prefix, with its cache filled and serving."""
    resources = {prefix: cluster.resource_at(prefix) for prefix in trace.prefixes()}
    async with trio.open_nursery() as nursery:
        for resource in resources.values():
            nursery.start_soon(resource.ready)
    return resources


async def catch_up(resources: Mapping[str, Resource], revisions: Mapping[str, int]) -> tuple[str, ...]:
    """Return when every cache has all up to its resource's revision in `revisions`.

    What changed nothing of a resource may be unknown to its cache, where the store's word on its progress is not trusted.
    The prefixes of those that are not so far after CATCH_UP_S are returned.
    """
    late = {prefix: None for prefix, resource in resources.items() if resource.is_cached}

    async def reach(prefix: str) -> None:
        await _reach(resources[prefix], revisions[prefix])
        del late[prefix]

    with trio.move_on_after(CATCH_UP_S):
        async with trio.open_nursery() as nursery:
            for prefix in tuple(late):
                nursery.start_soon(reach, prefix)
    return tuple(late)


async def _reach(resource: Resource, revision: int) -> None:
    """Return when `resource` has all up to `revision`, however often it says that it is not so far."""
    while True:
        try:
            await resource.wait_until_fresh(revision)
        except (NotReady, TooLargeResourceVersion) as refusal:
            await trio.sleep(refusal.retry_after_s)
        else:
            return


def store_histories(trace: Trace, resources: Mapping[str, Resource]) -> dict[str, StoreHistory]:
    """What is true of each of `resources`, taken from the trace alone: its objects at the start, and every change.

    Raises:
        ObjectDecodeError: a recorded value is no JSON object.
    Cost: O(number of events), about 10 µs each.
    """
    readers = {prefix: _reader(resource) for prefix, resource in resources.items()}
    stores = {
        prefix: StoreHistory(
            prefix, trace.start_revision, {}, [], dict(resource.info.absent), dict(resource.info.read_from)
        )
        for prefix, resource in resources.items()
    }
    starts = {prefix: dict(store.start) for prefix, store in stores.items()}
    for kv in trace.snapshot.kvs:
        key = kv.key.decode()
        prefix = resource_prefix(key, trace.key_prefix)
        starts[prefix][key] = readers[prefix].read(key, kv.value, kv.mod_revision)
    for event in trace.events:
        prefix = resource_prefix(event.key, trace.key_prefix)
        obj = readers[prefix].read(event.key, event.value, event.revision) if event.value else None
        stores[prefix].changes.append(StoreChange(event.revision, event.key, obj))
    for prefix, store in stores.items():
        store.start = starts[prefix]
    return stores


def _reader(resource: Resource) -> ObjectReader:
    return ObjectReader(
        resource.info.fields, absent=dict(resource.info.absent), read_from=dict(resource.info.read_from)
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep, in order."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
