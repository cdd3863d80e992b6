"""Any interleaving of publishes, starts, slow readers, evictions, bookmarks and ends, compared with a naive list of changes.

Every watch must get exactly what the naive filter makes of all changes after its start: nothing lost, doubled or moved, no
bookmark before what it speaks of. It may end in Expired only if an event of its own that it had not taken was dropped by
the ring, and then it must, at the next receive. The readers:

    cursor   asks now and then, for one event or a batch, waiting a second or not at all. Its model is exact.
    set      one WatchSet for all such, asked now and then. Exact as well.
    sink     a callback: has everything at once
    task     a task that always waits, in turns by receive and receive_batch, and is cancelled at bad moments
    tasks    one WatchSet whose task always waits
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.watch.naive import Change, Matches, World, Write, everything, run, selects
from tests.watch.naive import told as naively
from watch import Event, EventType, Expired, Router, Selector, Watch, WatchSet, bookmark

SELECTORS: list[tuple[Selector, Matches]] = [
    (Selector(), everything),
    selects(labels={"app": "a"}),
    selects(namespace="n1", labels={"app": "ab"}),
    selects(fields={"spec.nodeName": "x"}),
]
ENDS = (Expired, trio.EndOfChannel, trio.ClosedResourceError)


class Model:
    """What one watch holds and must give, as plain lists."""

    def __init__(self, watch: Watch, matches: Matches, start: int, opened_at: int) -> None:
        self.watch = watch
        self.matches = matches
        self.start = start
        self.live_after = max(start, opened_at)
        self.kind = "cursor"
        self.queue: deque[tuple[int | None, int | None, list[Event]]] = deque()
        """Batches not taken. A batch from the ring is lost with its first event, and may be with an earlier one in it."""
        self.current: list[Event] = []  # the rest of a batch that is given out one by one
        self.owed: list[Event] = []  # all that it is to get in its life, but for live bookmarks
        self.got: list[Event] = []
        self.was_read_singly = self.bookmark_due = False
        self.is_lost = self.is_ended = self.is_closed = self.is_over = False
        self.scope = trio.CancelScope()
        self.evicted_at_end = 0
        self.cut_at = 0  # where a start in the future lies within a batch: the first revision of that batch

    def push(self, batch: list[Event], guard: int | None = None, raw_guard: int | None = None) -> None:
        if batch:
            self.owed += batch
            self.queue.append((guard, raw_guard, batch))

    def published(self, changes: list[Change]) -> None:
        if not (self.is_ended or self.is_closed or self.is_lost):
            seen = [event for change in changes if (event := naively(change, self.matches))]
            own = [event for event in seen if event.revision > self.live_after]
            if own:
                self.push(own, own[0].revision, seen[0].revision)
                self.cut_at = self.cut_at or (seen[0].revision if own[0] is not seen[0] else 0)

    def ring_dropped(self, evicted: int) -> None:
        if self.is_closed or self.kind not in ("cursor", "set"):
            return
        self.is_lost = self.is_lost or any(guard is not None and guard <= evicted for guard, _, _ in self.queue)
        if not self.is_lost and any(guard is not None and guard <= evicted for _, guard, _ in self.queue):
            # Only what came before a start in the future, in one batch with it, was dropped: left open, so leave it out.
            self.close()

    def close(self) -> None:
        self.watch.close()
        self.is_closed = True
        self.current = []  # whoever closed it in the middle of a batch does not get the rest

    def end(self) -> None:
        if self.is_lost or self.is_closed:
            return
        self.is_ended = True
        if self.kind == "cursor":  # it keeps what is left; the queue of a set goes on shrinking with the ring
            self.queue = deque((None, None, batch) for _, _, batch in self.queue)

    def read(self, revision: int, *, singly: bool) -> list[Event] | type[Exception]:
        """What the next read of a cursor must give."""
        if self.is_closed:
            return trio.ClosedResourceError
        if not self.current:
            if self.is_lost:
                return Expired
            if self.queue:
                self.current = self.queue.popleft()[2]
            elif self.is_ended:
                return trio.EndOfChannel
            elif self.bookmark_due:
                self.bookmark_due = False
                self.current = [bookmark(revision)]
            else:
                return trio.WouldBlock
        self.was_read_singly = self.was_read_singly or singly
        given = self.current[:1] if singly else self.current
        self.current = self.current[len(given) :]
        return given

    def check(self) -> None:
        """Nothing lost, doubled or moved so far, and no bookmark before what it speaks of."""
        live = [event for event in self.got if event.type is not EventType.BOOKMARK or event.is_initial_events_end]
        assert live == self.owed[: len(live)]
        count, last = 0, 0
        for event in self.got:
            count += event.type is not EventType.BOOKMARK or event.is_initial_events_end
            if event.type is EventType.BOOKMARK and not event.is_initial_events_end:
                assert event.revision > self.start, "it says nothing new"
                assert event.revision >= last
                assert all(later.revision > event.revision for later in self.owed[count:]), "it overtook an event"
                last = event.revision


class Run:
    """One example: a router, a naive world beside it, and every watch that was opened."""

    def __init__(self, capacity: int, nursery: trio.Nursery) -> None:
        self.world = World(capacity=capacity)
        self.router = Router(revision=self.world.revision)
        self.models: list[Model] = []
        self.set, self.always_set = WatchSet(), WatchSet()
        self.nursery = nursery
        nursery.start_soon(self.always_read_set)

    # ---- steps ----

    def publish(self, commits: list[list[Write]]) -> None:
        before = len(self.world.changes)
        events = [event for commit in commits for event in self.world.commit(*commit)]
        self.router.publish(events, revision=self.world.revision, oldest_revision=self.world.oldest_kept)
        for model in self.models:
            model.published(self.world.changes[before:])
            model.ring_dropped(self.world.evicted)
        held = min(self.world.capacity, len(self.world.changes))
        assert all(view.log_events() <= held for view in self.router.views()), "a log keeps more than the ring"

    def open(self, which: int, offset: int, kind: str, marked: bool) -> None:
        selector, matches = SELECTORS[which]
        revision = self.world.revision
        if offset == 0 and marked:
            state = self.world.state(matches)
            watch = self.router.watch(selector, after=revision, initial=state, initial_revision=revision,
                                      initial_bookmark=True)  # fmt: skip
            model = Model(watch, matches, revision, revision)
            model.push(list(state))
            model.push([bookmark(revision, initial_events_end=True)])
        else:
            start = max(revision + offset, self.world.oldest_watchable)
            history = self.world.told(matches, after=start)
            watch = self.router.watch(selector, after=start, history=tuple(history))
            model = Model(watch, matches, start, revision)
            guard = history[0].revision if history else None
            model.push(history, guard, guard)
        self.models.append(model)
        self.turn(model, kind)

    def turn(self, model: Model, kind: str) -> None:
        """Read a cursor in another way from now on."""
        if model.kind != "cursor" or kind == "cursor" or model.was_read_singly:
            return
        refusal = trio.ClosedResourceError if model.is_closed else Expired if model.is_lost else None
        if refusal is not None and kind != "task":
            with pytest.raises(refusal):
                self.set.add(model.watch)
            return
        model.kind = kind
        model.bookmark_due = model.bookmark_due and kind == "task"
        if kind == "task":
            self.nursery.start_soon(self.always_read, model)
        elif kind == "sink":
            model.watch.pipe_to(model.got.extend)
        else:
            (self.set if kind == "set" else self.always_set).add(model.watch)

    async def read(self, model: Model, *, singly: bool, patient: bool) -> None:
        """One read of a cursor."""
        if model.kind != "cursor":
            return
        expected = model.read(self.world.revision, singly=singly)
        try:
            got = await self.receive(model.watch, singly=singly, patient=patient)
        except (*ENDS, trio.WouldBlock) as error:
            assert type(error) is expected
        else:
            assert got == expected
            model.got += got

    async def receive(self, watch: Watch, *, singly: bool, patient: bool) -> list[Event]:
        if patient:
            with trio.move_on_after(1):
                return [await watch.receive()] if singly else list(await watch.receive_batch())
            raise trio.WouldBlock
        return [watch.receive_nowait()] if singly else list(watch.receive_batch_nowait())

    async def read_set(self) -> None:
        """One read of the set, which must give everything that its members have."""
        members = [model for model in self.models if model.kind == "set" and not model.is_closed]
        found: list[tuple[Watch, tuple[Event, ...]]] = []
        with trio.move_on_after(1):
            found = await self.set.receive()
        for model in members:
            expected = [] if model.is_lost else [tuple(batch) for _, _, batch in model.queue]
            model.queue.clear()
            model.bookmark_due = False
            if (model.is_lost or model.is_ended) and not model.is_over:
                expected.append(())
                model.is_over = True
            batches = [batch for watch, batch in found if watch is model.watch]
            assert batches == expected
            assert isinstance(model.watch.error, Expired) is model.is_lost
            model.got += [event for batch in batches for event in batch]
        assert {watch for watch, _ in found} <= {model.watch for model in members}

    def offer_bookmarks(self) -> None:
        mark = bookmark(self.world.revision)
        for model in self.models:
            is_live = not (model.is_ended or model.is_closed or model.is_lost)
            if is_live and mark.revision > model.start:
                if model.kind == "set" and not model.bookmark_due:
                    model.queue.append((None, None, [mark]))
                model.bookmark_due = True
        self.router.offer_bookmarks(model.watch for model in self.models)

    def end_all(self) -> None:
        self.router.end_all()
        for model in self.models:
            model.end()

    # ---- readers that always read ----

    async def always_read(self, model: Model) -> None:
        singly = False
        while not model.is_over:
            with trio.CancelScope() as model.scope:
                while True:
                    singly = not singly
                    try:
                        model.got += [await model.watch.receive()] if singly else await model.watch.receive_batch()
                    except ENDS:
                        model.is_over = True
                        model.evicted_at_end = self.world.evicted
                        break

    async def always_read_set(self) -> None:
        while True:
            try:
                found = await self.always_set.receive()
            except trio.ClosedResourceError:
                return
            for watch, batch in found:
                model = next(model for model in self.models if model.watch is watch)
                model.got += batch
                if not batch:
                    model.is_over, model.evicted_at_end = True, self.world.evicted

    # ---- the end of an example ----

    async def finish(self) -> None:
        await trio.testing.wait_all_tasks_blocked()
        await self.read_set()
        for model in self.models:
            while model.kind == "cursor" and not (model.current == [] and self.is_dry(model)):
                await self.read(model, singly=False, patient=False)
            model.check()
            if not (model.is_closed or model.is_lost):
                self.check_complete(model)
        for model in self.models:
            model.watch.close()
        self.always_set.close()
        assert self.router.views() == [], "a view outlived its watches"
        assert self.router.watches() == 0

    def is_dry(self, model: Model) -> bool:
        return (
            model.is_closed
            or model.is_lost
            or not (model.queue or model.bookmark_due)
            or (model.is_ended and not model.queue)
        )

    def check_complete(self, model: Model) -> None:
        """All of it was given, or one that was not is in the ring no more."""
        got = [event for event in model.got if event.type is not EventType.BOOKMARK or event.is_initial_events_end]
        if isinstance(model.watch.error, Expired):
            assert model.kind in ("task", "tasks")
            assert len(got) < len(model.owed), "expired, and had everything"
            lost = 0 < model.cut_at <= model.evicted_at_end or model.owed[len(got)].revision <= model.evicted_at_end
            assert lost, "expired, and what it wants is in the ring"
        else:
            assert got == model.owed
            assert model.is_over or not model.is_ended or model.kind in ("cursor", "sink")


KINDS = ["cursor", "cursor", "task", "task", "set", "tasks", "sink"]
WHICH = st.sampled_from([0, 0, 0, 1, 2, 3])
WRITES = st.builds(
    Write,
    key=st.sampled_from(["k1", "k2", "k3"]),
    namespace=st.sampled_from(["n1", "n1", "n2"]),
    labels=st.sampled_from([{}, {"app": "a"}, {"app": "b"}]),
    fields=st.sampled_from([{}, {"spec.nodeName": "x"}]),
    gone=st.sampled_from([False, False, False, False, True]),
)
COMMITS = st.lists(st.lists(WRITES, max_size=3, unique_by=lambda write: write.key), min_size=1, max_size=3)
WHO = st.integers(0, 7)
OPENS = st.tuples(st.just("open"), WHICH, st.integers(-5, 3), st.sampled_from(KINDS), st.booleans())
STEPS = st.one_of(
    st.tuples(st.just("publish"), COMMITS, st.booleans()),
    st.tuples(st.just("publish"), COMMITS, st.booleans()),
    st.tuples(st.just("publish"), COMMITS, st.just(True)),
    OPENS,
    st.tuples(st.just("open"), WHICH, st.just(0), st.sampled_from(KINDS), st.booleans()),
    st.tuples(st.just("read"), WHO, st.booleans(), st.booleans()),
    st.tuples(st.just("read"), WHO, st.booleans(), st.booleans()),
    st.tuples(st.just("read set")),
    st.tuples(st.just("turn"), WHO, st.sampled_from(KINDS)),
    st.tuples(st.just("bookmarks")),
    st.tuples(st.just("settle")),
    st.tuples(st.just("cancel"), WHO),
    st.tuples(st.just("close"), WHO),
    st.tuples(st.just("end all")),
)


async def take(step: tuple[Any, ...], example: Run) -> None:
    what, *details = step
    models = example.models
    model = models[details[0] % len(models)] if models and details and isinstance(details[0], int) else None
    match what:
        case "publish":
            example.publish(details[0])
            if details[1]:
                await trio.testing.wait_all_tasks_blocked()
        case "open":
            example.open(*details)
        case "read set":
            await example.read_set()
        case "bookmarks":
            example.offer_bookmarks()
        case "settle":
            await trio.testing.wait_all_tasks_blocked()
        case "end all":
            example.end_all()
        case "read" if model:
            await example.read(model, singly=details[1], patient=details[2])
        case "turn" if model:
            example.turn(model, details[1])
        case "cancel" if model:
            model.scope.cancel()
        case "close" if model:
            model.close()


@pytest.mark.slow
@settings(max_examples=400)
@given(
    capacity=st.sampled_from([1, 2, 3, 4, 5, 8]),
    opens=st.lists(OPENS, max_size=4),
    steps=st.lists(STEPS, min_size=6, max_size=30),
)
# Closed in the middle of a batch that was read one by one: the campaign waited for the rest of it for ever.
@example(
    capacity=4,
    opens=[("open", 0, 0, "cursor", False)],
    steps=[("publish", [[Write("k1"), Write("k2")]], True), ("read", 0, True, False), ("close", 0)],
)
def test_whatever_happens_a_watch_gets_all_of_its_own_once_and_in_order_or_expires_for_what_it_lost(
    capacity, opens, steps
):
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            example = Run(capacity, nursery)
            for step in [*opens, *steps]:
                await take(step, example)
                for model in example.models:
                    model.check()
            await example.finish()
            nursery.cancel_scope.cancel()

    run(main)
