"""Every fault does what it says, is mended, and a world gets over it; triggers are met when and where they say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any, get_args

import msgspec
import pytest
import trio

from cacher.simulation import (
    AllOf,
    AnyOf,
    At,
    BlockEvents,
    Compact,
    Crash,
    Create,
    Cut,
    DropBookmarks,
    Duplicate,
    EndlessList,
    Evict,
    ExpireLeases,
    Fault,
    HalfOpen,
    JumpClock,
    Kind,
    Lag,
    LateBookmarks,
    Later,
    LieProgress,
    Lose,
    LoseLeader,
    Patch,
    PauseCache,
    Reconnect,
    RestartServer,
    RestartStore,
    RestoreBackup,
    RunResult,
    Scenario,
    ShrinkRing,
    Site,
    Swarm,
    Swizzle,
    Topology,
    Upon,
    Wait,
    World,
    draw,
    play,
)
from cacher.simulation._faults import AnyAction, AnyTrigger, kind_of, leaves, tell_fault
from cacher.simulation._history import Ended, EndReason, Received
from cacher.simulation._swarm import Moment, Survey, draw_faults, draw_topology
from reflector import Functions
from tests.cacher.simulation.worlds import PARENTS, config_map
from watch import AlreadyExists, APIError

SECONDS = 100


async def watcher(site: Site) -> None:
    """Mirrors the parents, and answers each that it sees by a secret of its name."""
    informers = site.informers()
    parents = informers.informer("v1", "configmaps")
    secrets = site.client.resource("v1", "secrets")
    told: list[str] = []
    parents.add_handler(Functions(on_add=lambda obj, _: told.append(obj.name)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informers.run)
        while True:
            await trio.sleep(0.5)
            while told:
                try:
                    await secrets.create({"metadata": {"name": told[0], "namespace": "default"}}, "default")
                except AlreadyExists:
                    pass
                except (APIError, OSError, trio.TooSlowError):
                    break
                told.pop(0)


def start(world: World, variant: str) -> None:
    world.start(watcher, name="watcher")


def scenario(**more: Any) -> Scenario:
    """A parent every second, which is patched a little later."""
    operations: list[Any] = []
    for number in range(SECONDS // 4):
        operations += [
            Create(PARENTS, config_map(f"p{number}", n="0")),
            Wait(2.0),
            Patch(PARENTS, f"p{number}", {"data": {"n": "1"}}),
            Wait(2.0),
        ]
    fields: dict[str, Any] = {
        "topology": Topology(ring_capacity=16, ring_capacity_max=64, latency_s=0.001),
        "workload": operations,
        **more,
    }
    return Scenario(name="watched", title="", start=start, variants=("only",), **fields)


def played(*faults: Fault, **more: Any) -> RunResult:
    chosen = scenario(**more)
    tape = msgspec.structs.replace(draw(chosen, 0, "only", hunting=False), faults=faults)
    result = play(chosen, tape, keep=True)
    assert not result.failure, result.failure
    return result


def gaps(result: RunResult) -> float:
    """The longest that the process heard nothing of the parents, while they were written."""
    assert result.history is not None
    clients = [client for client in result.history.clients if client.resource == PARENTS]
    times = sorted(step.at_s for client in clients for step in client.steps if isinstance(step, Received))
    times = [at_s for at_s in times if at_s <= SECONDS]
    return max(after - before for before, after in itertools.pairwise(times))


def ends(result: RunResult) -> list[EndReason]:
    assert result.history is not None
    return [step.reason for client in result.history.clients for step in client.steps if isinstance(step, Ended)]


def lives(result: RunResult) -> list[tuple[str, str]]:
    assert result.history is not None
    return [(one.what, one.server) for one in result.history.acts.lives]


def outcomes(result: RunResult) -> list[str]:
    assert result.history is not None
    return [request.outcome for request in result.history.acts.requests]


def lines(result: RunResult) -> str:
    assert result.chronicle is not None
    return "\n".join(result.chronicle.lines)


def slowest_s(result: RunResult) -> float:
    """How long the slowest request took."""
    assert result.history is not None
    return max(request.done_s - request.at_s for request in result.history.acts.requests)


DONE: dict[Kind, tuple[AnyAction, float, Callable[[RunResult], bool]]] = {
    Kind.PAUSE_CACHE: (PauseCache("api-1", PARENTS), 30, lambda result: gaps(result) > 25),
    Kind.CRASH: (
        Crash("watcher", 3.0, "api-2"),
        0,
        lambda result: lives(result)[1:] == [("crashed", "api-2"), ("started", "api-2")],
    ),
    Kind.RECONNECT: (Reconnect("watcher", "api-2"), 0, lambda result: EndReason.ENDED in ends(result)),
    Kind.BLOCK_EVENTS: (BlockEvents("watcher", PARENTS), 30, lambda result: gaps(result) > 25),
    Kind.LAG: (Lag("watcher", "*", 3.0), 30, lambda result: slowest_s(result) > 2.9),
    Kind.LOSE: (Lose("watcher", "*", 1.0, reply=True), 20, lambda result: "ConnectionResetError" in outcomes(result)),
    Kind.DUPLICATE: (Duplicate("watcher", "*", 1.0), 30, lambda result: "AlreadyExists" in outcomes(result)),
    Kind.HALF_OPEN: (HalfOpen("watcher", "*"), 0, lambda result: gaps(result) > 30),
    Kind.CUT: (Cut("watcher", "api-1"), 20, lambda result: gaps(result) > 15),
    Kind.SWIZZLE: (Swizzle(("watcher", "api-2"), 10.0), 0, lambda result: gaps(result) > 8),
    Kind.SHRINK_RING: (
        ShrinkRing("api-1", PARENTS, 1),
        0,
        lambda result: any(sample.ring_capacity == 1 for sample in result.history.samples),  # type: ignore[union-attr]
    ),
    Kind.COMPACT: (Compact(0), 0, lambda result: "store compacted at" in lines(result)),
    Kind.EXPIRE_LEASES: (ExpireLeases(), 0, lambda result: "fault expire-leases" in lines(result)),
    Kind.DROP_BOOKMARKS: (DropBookmarks(), 0, lambda result: result.outcome == "held"),
    Kind.LATE_BOOKMARKS: (LateBookmarks(20.0), 60, lambda result: result.outcome == "held"),
    Kind.ENDLESS_LIST: (EndlessList(), 0, lambda result: result.outcome == "held"),
    Kind.EVICT: (Evict("api-1"), 0, lambda result: EndReason.ENDED in ends(result)),
    Kind.JUMP_CLOCK: (JumpClock("api-1", 86400.0), 30, lambda result: _days(result) == {1, 2}),
    Kind.LIE_PROGRESS: (LieProgress(held_s=1.0), 30, lambda result: gaps(result) > 2.9),
    Kind.LOSE_LEADER: (LoseLeader(), 20, lambda result: gaps(result) > 15),
    Kind.RESTART_SERVER: (RestartServer("api-1", 5.0), 0, lambda result: "api-1 went down" in lines(result)),
    Kind.RESTART_STORE: (RestartStore(10.0), 0, lambda result: gaps(result) > 8),
    Kind.RESTORE_BACKUP: (RestoreBackup(3, 10.0), 0, lambda result: EndReason.EXPIRED in ends(result)),
}
"""For each kind: an action, how long it lasts, and how its effect shows."""


def _days(result: RunResult) -> set[int]:
    """The days of January on which objects were made."""
    assert result.history is not None
    changes = result.history.stores["/registry/configmaps/"].changes
    stamps = [change.object.parse()["metadata"]["creationTimestamp"] for change in changes if change.object is not None]
    return {int(stamp[8:10]) for stamp in stamps}


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_a_fault_shows_and_the_world_gets_over_it(kind: Kind):
    action, for_s, shows = DONE[kind]
    assert kind_of(action) is kind
    result = played(Fault(At(20.0), action, for_s))
    assert shows(result), lines(result)[-3000:]
    if kind is not Kind.LIE_PROGRESS:  # over a store that lies, nobody can keep what was promised
        assert result.outcome == "held", (result.broken, result.facts)


def test_nothing_of_that_shows_in_a_world_without_faults():
    calm = played()
    quiet = {kind for kind, (_, _, shows) in DONE.items() if shows(calm)}
    assert quiet == {Kind.DROP_BOOKMARKS, Kind.LATE_BOOKMARKS, Kind.ENDLESS_LIST}


def test_bookmarks_that_are_dropped_do_not_arrive():
    def bookmarks(result: RunResult) -> int:
        assert result.history is not None
        steps = [step for client in result.history.clients for step in client.steps if isinstance(step, Received)]
        return sum(
            event.type == "BOOKMARK" and not event.is_initial_events_end for step in steps for event in step.batch
        )

    quiet = {"workload": [Create(PARENTS, config_map("one")), Wait(300.0)]}
    assert bookmarks(played(**quiet)) > bookmarks(played(Fault(At(0.0), DropBookmarks()), **quiet))


def test_a_state_that_is_never_ended_is_given_up_for_a_list():
    endless = played(Fault(At(0.0), EndlessList()), Fault(At(1.0), Crash("watcher", 0.5)))
    assert "listed" in lines(endless)
    assert "listed" not in lines(played(Fault(At(1.0), Crash("watcher", 0.5))))


# ---- triggers --------------------------------------------------------------------------------------------------------


def met_at(trigger: AnyTrigger) -> float | None:
    """When a trigger was met, in seconds; None: never."""
    result = played(Fault(trigger, Compact(1000)))
    assert result.history is not None
    times = [float(line.partition(" ")[0]) for line in result.history.acts.faults]
    assert len(times) <= 1
    return times[0] if times else None


POINTS = {
    "written": "",
    "server-received": "api-1",
    "before-received": "watcher",
    "received": "watcher",
}


@pytest.mark.parametrize("point", POINTS)
def test_a_change_is_seen_at_every_point_in_turn(point: Any):
    at_s = met_at(Upon(point, PARENTS, "created", name="p2", who=POINTS[point]))
    assert at_s is not None
    assert 8.0 <= at_s < 8.1


@pytest.mark.parametrize("point", ["before-write", "after-write"])
def test_a_request_is_seen_before_and_after_it_is_done(point: Any):
    assert met_at(Upon(point, "v1/secrets", "created", name="p2", who="watcher")) is not None
    assert met_at(Upon(point, "v1/secrets", "created", name="p2", who="nobody")) is None


def test_an_occurrence_is_counted_from_one():
    first, third = (met_at(Upon("written", PARENTS, "created", occurrence=number)) for number in (1, 3))
    assert first is not None
    assert third is not None
    assert 8.0 <= third - first < 8.1


def test_a_field_is_looked_at_only_where_it_changed():
    assert met_at(Upon("written", PARENTS, field="data.n", becomes="1")) == pytest.approx(2.0, abs=0.1)
    assert met_at(Upon("written", PARENTS, "updated", field="metadata.uid")) is None


def test_triggers_are_put_together():
    one, other = Upon("written", PARENTS, "created", name="p1"), Upon("written", PARENTS, "created", name="p3")
    assert met_at(AnyOf((one, other))) == pytest.approx(4.0, abs=0.1)
    assert met_at(AllOf((one, other))) == pytest.approx(12.0, abs=0.1)
    assert met_at(Later(one, 3.0)) == pytest.approx(7.0, abs=0.1)
    assert list(leaves(AllOf((one, Later(other, 1.0))))) == [one, other]


def test_what_lasts_until_something_is_mended_then():
    pause = Fault(
        At(10.0), PauseCache("api-1", PARENTS), until=Later(Upon("written", PARENTS, "created", name="p8"), 1.0)
    )
    assert 24.9 < gaps(played(pause)) < 25.5  # from what was written at 8 s to 33 s


# ---- as data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_a_fault_goes_through_json_and_is_told_in_words(kind: Kind):
    fault = Fault(Later(Upon("received", PARENTS, who="watcher"), 2.0), DONE[kind][0], 3.0, At(9.0))
    assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault
    assert tell_fault(fault).startswith(f"2 s after upon received by watcher #1 {PARENTS}: {kind}")


def test_every_action_has_its_kind():
    assert {kind_of(action) for action, _, _ in DONE.values()} == set(Kind)
    assert len(get_args(AnyAction)) == len(Kind)


SURVEY = Survey(("api-1", "api-2"), ("a", "b"), (PARENTS,), (Moment("after-write", "a", PARENTS, "created", 5),), 50.0)


def test_a_swarm_turns_on_some_kinds_and_leaves_out_others():
    """Not each seed has each kind, and all together have all of them."""
    per_seed = [{kind_of(fault.do) for fault in draw_faults(Swarm(), SURVEY, Random(seed))} for seed in range(400)]
    assert set().union(*per_seed) == set(Swarm().kinds)
    assert max(map(len, per_seed)) < len(Swarm().kinds) / 2
    assert min(map(len, per_seed)) == 0


def test_a_swarm_keeps_to_its_kinds_and_its_number():
    swarm = Swarm(kinds=(Kind.CRASH, Kind.LAG), faults_max=4)
    drawn = [draw_faults(swarm, SURVEY, Random(seed)) for seed in range(200)]
    assert {kind_of(fault.do) for faults in drawn for fault in faults} == {Kind.CRASH, Kind.LAG}
    assert max(map(len, drawn)) == 4


def test_a_swarm_names_only_what_the_survey_has():
    for seed in range(200):
        for fault in draw_faults(Swarm(), SURVEY, Random(seed)):
            for one in leaves(fault.when):
                assert isinstance(one, At) or (one.resource, one.name) == (PARENTS, "")
            assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault


def test_rings_are_drawn_within_their_bounds_and_the_least_one_often():
    drawn = [draw_topology(Topology(ring_capacity=(3, 9)), Random(seed)) for seed in range(200)]
    sizes = [topology.ring_capacity for topology in drawn]
    assert {3, 9} < set(sizes) <= set(range(3, 10))
    assert sizes.count(3) > 40
    assert all(topology.ring_capacity_max >= topology.ring_capacity for topology in drawn)  # type: ignore[operator]
