"""A store that is given back an earlier state: what it then holds, who notices, and what the judges make of two histories."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from cacher.simulation import (
    At,
    Create,
    Delete,
    Fault,
    Kind,
    LoseLeader,
    Patch,
    RestoreBackup,
    RunResult,
    Scenario,
    Site,
    Swarm,
    Tape,
    Topology,
    Wait,
    World,
    draw,
    play,
    scenario_of,
)
from cacher.simulation._history import (
    ClientHistory,
    Ended,
    EndReason,
    History,
    Listed,
    Opened,
    Received,
    Restored,
    Step,
    StoreChange,
    StoreHistory,
)
from cacher.simulation._store import BUMP, SimStore
from cacher.simulation._store_link import StoreLink
from cacher.simulation.judges import (
    COHERENT,
    CONVERGENT,
    FAITHFUL,
    ISOLATED,
    MONOTONIC,
    RELIABLE,
    WORLD_JUDGES,
    Judge,
    judge_with,
)
from cacher.storage.etcd import Snapshot
from tests.cacher.simulation.worlds import PARENTS, config_map
from watch import Event, EventType, Object, ObjectReader, Selector, WatchError, bookmark

# ---- in a world ------------------------------------------------------------------------------------------------------


async def mirror(site: Site) -> None:
    informers = site.informers()
    informers.informer("v1", "configmaps")
    informers.informer("v1", "events")
    await informers.run()


def start(world: World, variant: str) -> None:
    world.bumps_restored = variant == "bumped"
    world.start(mirror, name="one", server="api-1")
    world.start(mirror, name="two", server="api-2")


def scenario(*operations: Any) -> Scenario:
    return Scenario(
        name="restored",
        title="",
        start=start,
        variants=("bumped", "plain"),
        workload=operations,
        topology=Topology(ring_capacity=64, ring_capacity_max=64, latency_s=0.001),
    )


MADE = [one for number in range(6) for one in (Create(PARENTS, config_map(f"p{number}")), Wait(1.0))]


def played(*faults: Fault, variant: str = "bumped", operations: list[Any] | None = None) -> RunResult:
    chosen = scenario(*(MADE if operations is None else operations))
    tape = draw(chosen, 0, variant, hunting=False)
    result = play(chosen, msgspec.structs.replace(tape, faults=faults, settle_s=200), keep=True)
    assert not result.failure, result.failure
    return result


def held(result: RunResult, name: str) -> list[str]:
    """What the last look at that copy of the parents showed."""
    assert result.history is not None
    copies = [copy for copy in result.history.acts.copies if copy.is_final and copy.holder.startswith(f"{name}#")]
    return [obj.name for copy in copies if "configmaps" in copy.prefix for obj in copy.objects or ()]


def restored(result: RunResult) -> Restored:
    assert result.history is not None
    (one,) = result.history.restores
    return one


@pytest.mark.parametrize("variant", ["bumped", "plain"])
def test_what_came_after_the_backup_is_gone_and_what_it_held_is_back(variant):
    """Undone are a creation, an update and a deletion: p1 is there again, as it was, p0 has no n, and there is no p5."""
    operations = [
        *MADE[:8],
        Wait(5.0),
        Patch(PARENTS, "p0", {"data": {"n": "1"}}),
        Delete(PARENTS, "p1"),
        Create(PARENTS, config_map("p5")),
        Wait(30.0),
    ]
    result = played(Fault(At(15.0), RestoreBackup(3, 1.0)), variant=variant, operations=operations)
    start = restored(result).start["/registry/configmaps/"]

    assert sorted(obj.name for obj in start.values()) == ["p0", "p1", "p2", "p3"]
    assert not start["/registry/configmaps/default/p0"].parse().get("data")
    assert result.history is not None
    assert set(result.history.stores["/registry/configmaps/"].start) == set(), "a history of its own, beside the first"
    if variant == "bumped":
        assert held(result, "one") == held(result, "two") == ["p0", "p1", "p2", "p3"]
        assert result.outcome == "held"


def test_a_store_that_was_bumped_goes_on_above_all_that_it_told_and_every_watch_expires():
    result = played(Fault(At(3.5), RestoreBackup(2, 1.0)))
    one = restored(result)

    assert one.revision == one.last_revision - 2 + BUMP
    assert result.history is not None
    assert result.sometimes["expired"] >= 2, "each mirror was told that its revision is one of the past"
    assert result.sometimes["restored"] == 1
    assert result.outcome == "held"
    assert held(result, "one") == held(result, "two")


def test_where_revisions_come_a_second_time_who_remembers_the_first_is_misled_and_convicted():
    result = played(Fault(At(3.5), RestoreBackup(1, 0.1)), variant="plain")

    assert {"Reliable", "Convergent"} <= set(result.broken)
    assert restored(result).revision == restored(result).last_revision - 1


def test_there_is_no_backup_of_what_was_before_the_world_began():
    """Else its namespace would be gone, and nothing could be written any more."""
    result = played(Fault(At(2.5), RestoreBackup(1_000, 1.0)))

    assert restored(result).start["/registry/namespaces/"]
    assert not restored(result).start["/registry/configmaps/"]
    assert result.outcome == "held"


def test_a_store_may_be_restored_twice_and_not_further_back_than_the_last_time():
    result = played(Fault(At(2.5), RestoreBackup(1, 0.1)), Fault(At(4.5), RestoreBackup(1_000, 0.1)))
    assert result.history is not None
    first, second = result.history.restores

    assert second.revision == first.revision + BUMP
    assert second.start["/registry/configmaps/"] == first.start["/registry/configmaps/"]
    assert result.outcome == "held"


def test_of_two_that_restore_at_one_time_the_second_does_nothing():
    result = played(Fault(At(3.0), RestoreBackup(1, 0.1)), Fault(At(3.0), RestoreBackup(2, 0.1)))

    assert restored(result).revision > BUMP
    assert result.outcome == "held"


def test_leases_begin_their_time_anew_and_take_their_keys_with_them_when_it_is_over():
    """An event lives for an hour; that of the backup for an hour from then on."""
    event = {
        "metadata": {"name": "seen", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "Seen",
    }
    operations = [Create("v1/events", event), Wait(1.0), Create(PARENTS, config_map("p")), Wait(6_000.0)]
    result = played(Fault(At(1_800.0), RestoreBackup(1, 1.0)), operations=operations)
    assert result.history is not None
    deleted = [one for one in result.history.acts.written if one.is_deletion and "/events/" in one.key]

    assert [5_400.0 < one.at_s < 5_500.0 for one in deleted] == [True], "a lease is an hour and a little"
    assert result.outcome == "held"


async def lister(site: Site) -> None:
    """Asks for the latest state every other second."""
    source = site.remote.resource("v1", "configmaps").lister_watcher()
    while True:
        with suppress(WatchError, OSError, trio.TooSlowError):
            await source.list()
        await trio.sleep(2.0)


def start_lister(world: World, variant: str) -> None:
    world.bumps_restored = False
    world.start(lister, name="lister")


@pytest.mark.parametrize("tells", [True, False])
def test_a_cache_notices_that_its_store_is_behind_and_one_that_is_not_told_is_convicted(monkeypatch, tells):
    """The broken system: a store that lets a watch wait for a revision that it has yet to come to, for the second time."""
    if not tells:
        monkeypatch.setattr(StoreLink, "is_ahead", lambda link, revision: False)
    shipped = scenario(*MADE[:8], Wait(30.0))
    listing = msgspec.structs.replace(shipped, start=start_lister)
    fault = Fault(At(5.0), RestoreBackup(2, 1.0))
    tape = msgspec.structs.replace(draw(listing, 0, "plain", hunting=False), faults=(fault,), settle_s=200)
    result = play(listing, tape)

    assert ("Fresh" in result.broken) is not tells


def test_the_draw_of_a_restore_moves_no_other_draw_and_none_is_drawn_unless_asked_for():
    shipped = scenario(*MADE)
    for seed in range(30):
        asked = msgspec.structs.replace(shipped, swarm=Swarm(restores=0.5))
        without, more = draw(shipped, seed, "bumped"), draw(asked, seed, "bumped")
        assert more.faults[: len(without.faults)] == without.faults
        assert msgspec.structs.replace(more, faults=()) == msgspec.structs.replace(without, faults=())
        assert all(isinstance(fault.do, RestoreBackup) for fault in more.faults[len(without.faults) :])
        assert len(more.faults) - len(without.faults) in (0, 1)
    assert Kind.RESTORE_BACKUP not in Swarm().kinds


def test_a_watch_that_is_opened_while_a_backup_is_brought_is_over_when_it_has_come():
    """Else it would be of a store that nobody writes to any more: as quiet as one in which nothing happens."""
    tape = Tape.from_json((Path(__file__).parent / "opened_while_restoring.json").read_bytes())
    result = play(scenario_of(tape), tape)
    assert (result.outcome, result.broken) == ("held", ())
    assert result.sometimes["restored"]


def test_a_watch_that_is_open_when_the_backup_has_come_at_last_is_over_as_well(monkeypatch):
    """The store answers again before its backup is there, as where another fault brings it back: caches watch it until then."""
    bring = SimStore._backup

    async def bring_late(store: SimStore, revision: int) -> Snapshot:
        await trio.sleep(3.0)
        return await bring(store, revision)

    monkeypatch.setattr(SimStore, "_backup", bring_late)
    result = played(Fault(At(3.5), RestoreBackup(1, 0.1)))

    assert result.outcome == "held"
    assert held(result, "one") == held(result, "two")
    assert restored(result).at_s > 6.0


def test_a_restore_is_met_while_the_store_has_no_leader_as_well():
    result = played(Fault(At(3.0), LoseLeader(), 5.0), Fault(At(4.0), RestoreBackup(2, 10.0)))

    assert result.outcome == "held"
    assert restored(result).last_revision


# ---- what the judges make of it --------------------------------------------------------------------------------------

PREFIX = "/registry/configmaps/"
ADDED = EventType.ADDED


def thing(name: str, revision: int, uid: str = "") -> Object:
    raw = msgspec.json.encode({"metadata": {"name": name, "namespace": "a", "uid": uid or f"{name}-{revision}"}})
    return ObjectReader().read(f"{PREFIX}a/{name}", raw, revision)


A, B, C = thing("a", 2), thing("b", 3), thing("c", 4)
"""The first history."""
B2, C2, D2 = thing("x", 3), thing("y", 4), thing("z", 5)
"""The second, from a backup of 2: the same revisions, other writes."""
RESTORED_S = 10.0


def history(*steps: Step, second: tuple[Object, ...] = (B2, C2, D2), bump: int = 0) -> History:
    """What one client saw of a store that wrote A, B and C, was restored to 2 at 10 s, and wrote `second`."""
    first = [StoreChange(obj.revision, obj.key, obj) for obj in (A, B, C)]
    then = [StoreChange(obj.revision, obj.key, obj) for obj in second]
    store = StoreHistory(PREFIX, 1, {}, [*first, *then])
    client = ClientHistory("one", PREFIX, Selector(), True, list(steps))
    told = History({PREFIX: store}, [client], [], second[-1].revision, {}, finished=True)
    told.published_at_s = {obj.revision: RESTORED_S + obj.revision % BUMP for obj in second}
    before_s = {obj.revision: float(obj.revision) for obj in (A, B, C)}
    told.restores.append(Restored(RESTORED_S, 2 + bump, 4, {PREFIX: {A.key: A}}, {PREFIX: 3}, 0, before_s))
    return told


def made(obj: Object) -> Event:
    return Event(ADDED, obj, obj.revision)


def got(at_s: float, *objects: Object) -> Received:
    return Received(at_s, tuple(made(obj) for obj in objects))


def listed(at_s: float, revision: int, *objects: Object) -> Listed:
    return Listed(at_s, revision, tuple(sorted(objects, key=lambda obj: obj.key)))


def gone(at_s: float, reason: EndReason = EndReason.ENDED) -> Ended:
    return Ended(at_s, reason)


def convicted(*steps: Step, **more: Any) -> list[str]:
    return [verdict.name for verdict in judge_with(WORLD_JUDGES, history(*steps, **more)) if verdict.broken]


BEFORE = (listed(2.5, 2, A), Opened(2.5, 2), got(4.5, B, C))
"""Up to 4 of the first history."""


def test_who_lists_again_after_the_restore_is_told_the_truth_of_both():
    assert convicted(*BEFORE, gone(10.5), listed(11.0, 2, A), Opened(11.0, 2), got(16.0, B2, C2, D2)) == []


def test_one_revision_is_two_states_and_each_of_them_was_true_once():
    assert convicted(listed(3.5, 3, A, B), listed(14.0, 3, A, B2)) == []
    assert "Coherent" in convicted(listed(3.5, 3, A, B2)), "it was not yet"
    assert "Coherent" in convicted(listed(14.0, 3, A, B, B2)), "and never all of it"


def test_a_watch_that_goes_on_from_the_first_history_into_the_second_is_convicted():
    assert convicted(*BEFORE, gone(10.5), Opened(11.0, 4), got(16.0, D2)) == ["Reliable"]
    assert convicted(*BEFORE, got(16.0, D2)) == ["Reliable"], "also where it was never interrupted"


def test_who_was_shown_the_second_history_and_then_the_first_went_back_in_time():
    after = (listed(15.0, 4, A, B2, C2),)
    assert convicted(*BEFORE, gone(10.5), *after) == []
    assert convicted(*after, listed(16.0, 4, A, B, C)) == ["Monotonic"]


def test_where_the_store_went_on_far_above_revisions_alone_tell_the_histories_apart():
    high = tuple(thing(name, BUMP + 2 + number) for number, name in enumerate("xyz", 1))
    fine = (*BEFORE, Ended(10.5, EndReason.EXPIRED, BUMP + 3), listed(11.0, BUMP + 2, A), Opened(11.0, BUMP + 2))
    assert convicted(*fine, got(16.0, *high), second=high, bump=BUMP) == []
    crossing = (*BEFORE, gone(10.5), Opened(11.0, 4), got(16.0, *high))
    assert "Reliable" in convicted(*crossing, second=high, bump=BUMP)
    assert "Monotonic" in convicted(*fine, gone(17.0), listed(18.0, 4, A, B, C), second=high, bump=BUMP)


def test_a_state_that_is_streamed_is_judged_by_what_it_shows():
    end = bookmark(3, initial_events_end=True)
    for at_s, rest in ((3.5, B), (14.0, B2)):
        batch = Received(at_s, (made(A), made(rest), end))
        assert convicted(Opened(at_s, 0, initial=True), batch, gone(at_s)) == []
    wrong = Received(14.0, (made(A), made(C2), end))
    assert "Faithful" in convicted(Opened(14.0, 0, initial=True), wrong, gone(14.0))


def test_a_watch_of_what_was_undone_expires_for_that_alone_and_not_before():
    over = Ended(11.0, EndReason.EXPIRED, 3)
    assert convicted(*BEFORE, over) == []
    early: list[Judge] = [RELIABLE, COHERENT, FAITHFUL, MONOTONIC, ISOLATED, CONVERGENT]
    told = history(*BEFORE, Ended(9.0, EndReason.EXPIRED, 3))
    assert [verdict.name for verdict in judge_with(early, told) if verdict.broken] == ["Reliable"]
