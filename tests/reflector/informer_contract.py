"""What holds of an informer over any source. Each case is a function of an open World; `test_informer_contract` runs them all.

The judge of handlers is `Witness`: it refuses every call that does not follow from the ones before it, and what it knows in the end
is to be what the store shows, and what is true.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import trio

from reflector import InformerStopped, ListerWatcher, SharedInformer, Store, Tombstone, object_key
from tests.reflector.informer_worlds import Unruly, World
from watch import Object

Case = Callable[[World, Random], Awaitable[None]]
CASES: dict[str, Case] = {}
HONEST = ["a_quiet_source_is_live", "an_honest_source_is_believed_and_listed_once"]
"""Cases of sources that do not lie."""


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


class Witness:
    """Knows what it was told, and checks each call against that and against the store."""

    def __init__(self, store: Store, *, pause_s: Callable[[], float] | None = None) -> None:
        self.known: dict[str, Object] = {}
        self.initial = 0
        self.calls = 0
        self.tombstones = 0
        self.recreated = 0
        self._gone_uids: set[str] = set()
        self._store = store
        self._pause_s = pause_s
        self._is_busy = False

    def on_add(self, obj: Object, is_in_initial_list: bool) -> Any:
        key = object_key(obj)
        assert key not in self.known, f"{key} is added twice"
        self.initial += is_in_initial_list
        self.known[key] = obj
        return self._called(obj)

    def on_update(self, old: Object, new: Object) -> Any:
        key = object_key(new)
        assert self.known[key] is old, f"{key} is updated from what was never told"
        assert old.uid == new.uid, f"{key} is another object, and told as an update"
        assert old is not new, "what did not change is not told"
        self.known[key] = new
        return self._called(new)

    def on_delete(self, obj: Object | Tombstone) -> Any:
        key = object_key(obj)
        known = self.known.pop(key)
        assert obj.uid == known.uid, f"{key} is deleted as another object"
        if isinstance(obj, Tombstone):
            self.tombstones += 1
        held = self._store.get(key)
        assert held is None or held.revision > known.revision, f"{key} is told as deleted while the store has it"
        return self._called(None)

    def _called(self, obj: Object | None) -> Any:
        self.calls += 1
        assert not self._is_busy, "one call at a time"
        if obj is not None:
            held = self._store.get(object_key(obj))
            assert self._store.revision >= obj.revision, "the store is behind what is told"
            assert held is None or held.revision >= obj.revision, "the store has an older version than is told"
        return None if self._pause_s is None else self._linger(self._pause_s())

    async def _linger(self, seconds: float) -> None:
        self._is_busy = True
        await trio.sleep(seconds)
        self._is_busy = False


@asynccontextmanager
async def running(informer: SharedInformer) -> AsyncIterator[SharedInformer]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informer.run)
        yield informer
        nursery.cancel_scope.cancel()


async def caught_up(informer: SharedInformer, world: World) -> None:
    """Return once the informer shows all that has happened, and has told it."""
    with trio.fail_after(600):
        await informer.wait_until_revision(world.revision)
        while any(each.queue_length or each.busy_s for each in informer.statistics().handlers):
            await trio.sleep(1)
    assert state_of(informer.store) == world.truth()


def made(source: ListerWatcher, random: Random, **options: Any) -> SharedInformer:
    """An informer that takes a list of a few thousand objects for endless, so that a liar's does not take long."""
    return SharedInformer(source, random=random, kind="Pod", objects_max=5_000, **options)


def state_of(store: Store) -> dict[str, tuple[str, int]]:
    return {key: (obj.uid, obj.revision) for key, obj in store.items()}


def known_to(witness: Witness) -> dict[str, tuple[str, int]]:
    return {key: (obj.uid, obj.revision) for key, obj in witness.known.items()}


def check_handlers(informer: SharedInformer) -> None:
    for each in informer.statistics().handlers:
        assert each.failures == 0, each.last_failure


@case
async def it_shows_and_tells_all_that_is_true(world: World, random: Random) -> None:
    informer = made(world.source, random, detects_mutations=True)
    witness = Witness(informer.store)
    registration = informer.add_handler(witness)
    assert not informer.has_synced
    assert not informer.is_live()
    async with running(informer):
        with trio.fail_after(600):
            await informer.wait_until_synced()
            await registration.wait_until_synced()
        assert informer.is_live()
        assert witness.initial == len(witness.known) == len(informer.store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.play)
        await caught_up(informer, world)
        assert known_to(witness) == world.truth()
        assert informer.last_revision >= max((obj.revision for obj in informer.store.objects()), default=0)
        check_handlers(informer)


@case
async def each_of_many_handlers_is_told_all_at_its_own_pace(world: World, random: Random) -> None:
    """One keeps up, one is slow, one is hopeless: its queue is merged; late ones begin with what there is."""
    informer = made(world.source, random)
    witnesses = [
        Witness(informer.store),
        Witness(informer.store, pause_s=lambda: 0.01),
        Witness(informer.store, pause_s=lambda: 3 * random.random()),
    ]
    registrations = [informer.add_handler(witness, queue_size=8) for witness in witnesses]
    async with running(informer), trio.open_nursery() as nursery:
        await informer.wait_until_synced()
        nursery.start_soon(world.play)
        for _ in range(5):
            await trio.sleep(20)
            witnesses.append(Witness(informer.store, pause_s=lambda: 0.001))
            registrations.append(informer.add_handler(witnesses[-1]))
            await registrations[-1].wait_until_synced()
            assert witnesses[-1].initial >= 0
        await trio.sleep(100)
        await caught_up(informer, world)
        for witness in witnesses:
            assert known_to(witness) == world.truth()
        check_handlers(informer)


@case
async def a_handler_that_fails_or_hangs_hurts_nobody_else(world: World, random: Random) -> None:
    informer = made(world.source, random)
    witness = Witness(informer.store)

    class Clumsy(Witness):
        def on_add(self, obj: Object, is_in_initial_list: bool) -> Any:
            super().on_add(obj, is_in_initial_list)
            raise ValueError("clumsy")

        def on_update(self, old: Object, new: Object) -> Any:
            super().on_update(old, new)
            raise ValueError("clumsy")

    class Stuck(Witness):
        async def on_add(self, obj: Object, is_in_initial_list: bool) -> Any:
            await trio.sleep_forever()

        async def on_update(self, old: Object, new: Object) -> Any:
            await trio.sleep_forever()

    clumsy = Clumsy(informer.store)
    failing = informer.add_handler(clumsy)
    hanging = informer.add_handler(Stuck(informer.store), queue_size=4)
    informer.add_handler(witness)
    async with running(informer):
        await informer.wait_until_synced()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.play)
        with trio.fail_after(600):
            await informer.wait_until_revision(world.revision)
            await trio.sleep(1)
        assert known_to(witness) == known_to(clumsy) == world.truth() == state_of(informer.store)
        assert failing.statistics().failures > 0
        assert "clumsy" in failing.statistics().last_failure
        stuck = hanging.statistics()
        assert stuck.busy_s > 0
        assert stuck.queue_length <= 2 * (12 + 700)  # what there is, and what it takes for there
        assert stuck.lag_s > 0
        await hanging.remove()
        await hanging.remove()
        assert len(informer.statistics().handlers) == 2


@case
async def what_is_missed_is_made_up_for(world: World, random: Random) -> None:
    """Cut off again and again, and the history gone each second time: deletions are tombstones, and no state is lost."""
    source = Unruly(world.source)
    informer = made(source, random)
    witness = Witness(informer.store)
    informer.add_handler(witness)
    async with running(informer), trio.open_nursery() as nursery:
        await informer.wait_until_synced()
        nursery.start_soon(world.play)
        for number in range(12):
            await trio.sleep(12 * random.random())
            source.cut(forgets=bool(number % 2))
            await trio.sleep(12 * random.random())
            source.mend()
        await trio.sleep(200)
        await caught_up(informer, world)
        assert known_to(witness) == world.truth()
        figures = informer.statistics().reflector
        assert figures.relists > 0
        check_handlers(informer)


@case
async def a_frozen_source_is_noticed_and_what_it_hid_is_made_up_for(world: World, random: Random) -> None:
    """has_synced stays true; is_live says the truth, and comes back with the source."""
    source = Unruly(world.source)
    informer = made(source, random)
    witness = Witness(informer.store)
    informer.add_handler(witness)
    async with running(informer), trio.open_nursery() as nursery:
        await informer.wait_until_synced()
        nursery.start_soon(world.play)
        await trio.sleep(20)
        source.freeze()
        await trio.sleep(89)
        assert informer.is_live(within_s=110)
        await trio.sleep(41)
        assert not informer.is_live()
        assert informer.has_synced
        assert informer.staleness_s > 90
        source.thaw()
        with trio.fail_after(600):
            while not informer.is_live():
                await trio.sleep(1)
        await caught_up(informer, world)
        assert known_to(witness) == world.truth()


@case
async def a_quiet_source_is_live(world: World, random: Random) -> None:
    informer = made(world.source, random)
    async with running(informer):
        await informer.wait_until_synced()
        await caught_up(informer, world)
        for _ in range(100):
            await trio.sleep(7)
            assert informer.is_live(), informer.staleness_s
        figures = informer.statistics().reflector
        assert (figures.relists, figures.failures) == (0, 0)


@case
async def an_honest_source_is_believed_and_listed_once(world: World, random: Random) -> None:
    """However often it is asked how far it is, in the midst of what it brings."""
    informer = made(world.source, random)
    async with running(informer), trio.open_nursery() as nursery:
        await informer.wait_until_synced()
        nursery.start_soon(world.play)
        for _ in range(300):
            await trio.sleep(random.random())
            await informer.wait_until_revision(world.revision)
        await trio.sleep(200)
        await caught_up(informer, world)
        figures = informer.statistics().reflector
        assert (figures.lists, figures.failures) == (1, 0), informer.last_failure


@case
async def lists_and_streams_show_the_same(world: World, random: Random) -> None:
    informers = [made(world.source, random, streams=streams, page_size=7) for streams in (True, False)]
    async with running(informers[0]), running(informers[1]), trio.open_nursery() as nursery:
        nursery.start_soon(world.play)
        await trio.sleep(30)
        for informer in informers:
            with trio.fail_after(600):
                await informer.wait_until_synced()
        await trio.sleep(200)
        for informer in informers:
            await caught_up(informer, world)
        one, two = (dict(informer.store.items()) for informer in informers)
        assert one == two


@case
async def a_transform_is_applied_once_to_all_that_is_shown(world: World, random: Random) -> None:

    def marked(obj: Object) -> Object:
        assert "seen" not in obj.labels
        return msgspec.structs.replace(obj, labels={**obj.labels, "seen": "yes"}, raw=b"{}")

    source = Unruly(world.source)
    informer = made(source, random, transform=marked)

    class Marked(Witness):
        def on_add(self, obj: Object, is_in_initial_list: bool) -> Any:
            assert obj.labels["seen"] == "yes"
            return super().on_add(obj, is_in_initial_list)

        def on_delete(self, obj: Object | Tombstone) -> Any:
            known = obj.last_known if isinstance(obj, Tombstone) else obj
            assert (known.labels["seen"], known.raw) == ("yes", b"{}")
            return super().on_delete(obj)

    witness = Marked(informer.store)
    informer.add_handler(witness)
    async with running(informer), trio.open_nursery() as nursery:
        await informer.wait_until_synced()
        nursery.start_soon(world.play)
        await trio.sleep(30)
        source.cut(forgets=True)
        await trio.sleep(10)
        source.mend()
        await trio.sleep(200)
        await caught_up(informer, world)
        assert known_to(witness) == world.truth()
        check_handlers(informer)


@case
async def when_it_stops_nothing_is_told_any_more_and_nobody_waits(world: World, random: Random) -> None:
    informer = made(world.source, random)
    witness = Witness(informer.store)
    stopped: list[str] = []

    async def wait() -> None:
        try:
            await informer.wait_until_revision(10**9)
        except InformerStopped as error:
            stopped.append(str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        async with running(informer):
            await informer.wait_until_synced()
        informer_revision = informer.last_revision
    assert len(stopped) == 1
    assert informer.has_synced
    calls = witness.calls
    await world.play()
    await trio.sleep(100)
    assert (witness.calls, informer.last_revision) == (calls, informer_revision)
    try:
        informer.add_handler(witness)
    except InformerStopped:
        return
    raise AssertionError("a handler was added to an informer that has stopped")
