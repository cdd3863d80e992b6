"""Worlds from end to end: what a script does, what campaigns and hunts find, that a tape comes to the same again."""

from __future__ import annotations

import msgspec
import pytest
import trio

from cacher.simulation import (
    At,
    Create,
    Delete,
    Fault,
    HalfOpen,
    NotConverged,
    Patch,
    Scenario,
    Site,
    Tape,
    TapeError,
    Topology,
    Until,
    Wait,
    World,
    audit,
    campaign,
    draw,
    hunt,
    play,
    run_seed,
    survey,
)
from tests.cacher.simulation.worlds import ALL, EDGE, PAIRS, PARENTS, ZOMBIE, config_map

NAMES = [scenario.name for scenario in ALL]


@pytest.mark.parametrize("scenario", [PAIRS, ZOMBIE], ids=["pairs", "zombie"])
def test_a_script_breaks_the_buggy_variant_and_not_the_fixed_one(scenario: Scenario):
    buggy = run_seed(scenario, 0, "buggy", hunting=False)
    assert (buggy.outcome, buggy.broken) == ("broken", (scenario.guarantee,))
    assert run_seed(scenario, 0, "fixed", hunting=False).outcome == "held"


def test_a_stale_word_is_told_with_who_gave_it_and_what_it_destroyed():
    result = run_seed(ZOMBIE, 0, "buggy", hunting=False)
    message = result.verdict("NoStaleDestruction").violations[0].message
    assert "zombie in its life 2, on api-2: delete /registry/pods/default/cr-child" in message
    assert "on the word of /registry/configmaps/default/cr" in message


@pytest.mark.parametrize(
    ("scenario", "pattern"),
    [(PAIRS, "intermediate-state"), (ZOMBIE, "stale-state"), (EDGE, "unobserved-state")],
    ids=NAMES,
)
def test_plans_that_are_derived_find_the_bug_that_no_script_told_them_of(scenario: Scenario, pattern: str):
    buggy = campaign(scenario, "buggy")
    assert {find.plan.pattern for find in buggy.finds} == {pattern}
    assert any(scenario.guarantee in find.broken for find in buggy.finds)
    assert all(result.met for result in buggy.results), "a plan whose faults are never met tries nothing"
    assert not campaign(scenario, "fixed").finds


@pytest.mark.parametrize("scenario", ALL, ids=NAMES)
def test_a_hunt_finds_the_bug_from_seeds_alone(scenario: Scenario):
    result = hunt(scenario, "buggy", seeds=200)
    assert result.found is not None
    assert scenario.guarantee in result.found.broken
    assert result.line(scenario.guarantee).startswith(f"found: {scenario.guarantee} after {result.seeds} seeds, ")


def test_a_hunt_finds_the_same_with_several_processes():
    alone, together = hunt(ZOMBIE, "buggy", seeds=40), hunt(ZOMBIE, "buggy", seeds=40, jobs=2)
    assert alone.found is not None
    assert together.found == alone.found
    assert together.seeds == alone.seeds


def test_a_hunt_that_finds_nothing_says_how_much_it_looked_at():
    result = hunt(PAIRS, "fixed", seeds=6)
    assert (result.found, result.seeds, result.others) == (None, 6, [])
    assert result.line().startswith("clean: 6 seeds, ")
    assert result.sometimes["write"] >= 24


def test_a_find_is_played_again_from_its_tape_and_comes_to_the_same():
    found = hunt(ZOMBIE, "buggy", seeds=200).found
    assert found is not None
    tape = found.load()
    assert Tape.from_json(tape.to_json()) == tape
    again = play(ZOMBIE, tape)
    assert (again.digest, again.broken) == (tape.digest, tape.broken)


@pytest.mark.determinism
@pytest.mark.parametrize("seed", range(4))
def test_a_seed_comes_to_the_same_twice(seed: int):
    one, other = (run_seed(ZOMBIE, seed, "buggy", keep=True) for _ in range(2))
    assert one.chronicle is not None
    assert other.chronicle is not None
    assert one.chronicle.lines == other.chronicle.lines
    assert one.digest == other.digest


@pytest.mark.slow
@pytest.mark.determinism
def test_a_seed_comes_to_the_same_in_two_processes_under_two_hash_seeds():
    assert audit("tests.cacher.simulation.worlds:ZOMBIE", "buggy", range(3)) == []


@pytest.mark.slow
def test_an_audit_names_the_first_line_that_differs():
    (difference,) = audit("tests.cacher.simulation.unrepeatable:SCENARIO", "only", [0])
    assert difference.line > 0
    assert "create" in difference.one
    assert difference.one != difference.other
    assert str(difference).startswith(f"seed 0 differs at line {difference.line}:")


def test_different_seeds_come_to_different_runs():
    digests = {run_seed(PAIRS, seed, "buggy").digest for seed in range(5)}
    assert len(digests) == 5


def test_the_survey_of_a_scenario_says_what_there_is_to_aim_at():
    found = survey(ZOMBIE, "buggy")
    assert (found.servers, found.processes) == (("api-1", "api-2"), ("zombie",))
    assert set(found.resources) == {"v1/configmaps", "v1/pods"}
    told = {(moment.point, moment.who, moment.resource, moment.change): moment.times for moment in found.moments}
    assert told["after-write", "zombie", "v1/pods", "created"] == 2
    assert told["server-received", "api-2", "v1/pods", "created"] == 2


# ---- tapes -----------------------------------------------------------------------------------------------------------


def test_an_operation_that_a_tape_leaves_out_is_not_done():
    tape = draw(PAIRS, 0, "fixed", hunting=False)
    done = play(PAIRS, msgspec.structs.replace(tape, faults=(), skipped=(2,)), keep=True)
    assert done.history is not None
    names = {change.key.rpartition("/")[2] for change in done.history.stores["/registry/pods/"].changes}
    assert names == {"one-a", "one-b"}


@pytest.mark.parametrize(
    ("text", "told"),
    [("nonsense", "this is no tape"), ('{"scenario": 1}', "this is no tape"), ("", "this is no tape")],
)
def test_what_is_no_tape_is_refused_with_the_reason(text: str, told: str):
    with pytest.raises(TapeError, match=told):
        Tape.from_json(text)


def test_a_tape_of_another_version_is_refused():
    tape = draw(PAIRS, 0, "fixed")
    with pytest.raises(TapeError, match="of version 2"):
        Tape.from_json(msgspec.structs.replace(tape, version=2).to_json())


def test_a_variant_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="choose one of buggy, fixed"):
        draw(PAIRS, 0, "better")


# ---- a world by hand -------------------------------------------------------------------------------------------------


def alone(workload: object, **more: object) -> Scenario:
    """A scenario without a process."""

    def start(world: World, variant: str) -> None:
        return

    fields: dict[str, object] = {"topology": Topology(latency_s=0.0), "variants": ("only",), **more}
    return Scenario(name="alone", title="alone", start=start, workload=workload, **fields)  # type: ignore[arg-type]


def test_what_a_user_does_is_what_the_store_has():
    done: list[tuple[str, dict[str, str]]] = []

    async def workload(world: World) -> None:
        await world.do(Create(PARENTS, config_map("one", n="1")))
        await world.do(Patch(PARENTS, "one", {"data": {"n": "2"}}))
        await world.do(Until(PARENTS, "one", where={"data.n": "2"}))
        await world.create(PARENTS, config_map("two"))
        await world.do(Delete(PARENTS, "two"))
        await world.do(Delete(PARENTS, "two"))  # gone already: nothing to do
        await world.do(Create(PARENTS, config_map("one", n="9")))  # there already: left as it is
        done.extend((obj.name, obj.parse()["data"]) for obj in world.objects(PARENTS))

    result = run_seed(alone(workload), 0, "only", hunting=False)
    assert result.outcome == "held"
    assert done == [("one", {"n": "2"})]


def test_who_waits_for_what_never_comes_goes_on_and_says_so():
    result = run_seed(alone([Until(PARENTS, "never", within_s=5.0)], settle_s=40.0), 0, "only", hunting=False)
    assert result.outcome == "inconclusive"
    assert len(result.notes) == 1
    assert "gave up waiting for v1/configmaps never" in result.notes[0]


def test_a_check_on_each_change_is_broken_in_its_step():
    async def workload(world: World) -> None:
        world.never("created", PARENTS, where=lambda obj: obj.name == "bad", why="nothing bad")
        world.always(lambda world: "three" if len(world.objects(PARENTS)) > 2 else "", why="two at most")
        for name in ("good", "bad", "third"):
            await world.create(PARENTS, config_map(name))

    result = run_seed(alone(workload), 0, "only", hunting=False)
    assert result.outcome == "broken"
    assert result.broken == ("Checks",)
    assert [fact.partition(":")[0] for fact in result.facts] == ["nothing bad", "two at most"]


def test_a_world_in_which_somebody_writes_for_ever_does_not_settle():
    async def restless(site: Site) -> None:
        parents = site.client.resource("v1", "configmaps")
        for number in range(100_000):
            await parents.patch("one", {"data": {"n": str(number)}}, "default")
            await trio.sleep(5.0)

    def start(world: World, variant: str) -> None:
        world.start(restless, name="restless")

    scenario = Scenario(
        name="restless",
        title="",
        start=start,
        workload=[Create(PARENTS, config_map("one")), Wait(1.0)],
        variants=("only",),
        settle_s=120.0,
    )
    result = run_seed(scenario, 0, "only", hunting=False)
    assert result.outcome == "not-converged"
    assert set(result.broken) == {"Convergent", "Settles"}
    assert "restless wrote" in result.verdict("Settles").violations[0].message


def test_a_world_is_judged_only_when_what_was_learnt_last_could_be_acted_upon():
    """A watch that nobody is at the other end of is given up after a minute; what it then brings is acted upon 10 s later."""

    async def answers(site: Site) -> None:
        informers = site.informers()
        seen = informers.informer("v1", "configmaps").lister
        async with trio.open_nursery() as nursery:
            nursery.start_soon(informers.run)
            while seen.find("late", "default") is None:
                await trio.sleep(0.5)
            await trio.sleep(10)
            await site.client.resource("v1", "configmaps").create(config_map("answer"), "default")
            await trio.sleep_forever()

    def start(world: World, variant: str) -> None:
        world.at_rest(lambda world: "" if len(world.objects(PARENTS)) == 2 else "nobody answered")
        world.start(answers, name="answers")

    scenario = alone([Wait(5.0), Create(PARENTS, config_map("late"))], script=(Fault(At(2), HalfOpen("answers", "*")),))
    result = run_seed(msgspec.structs.replace(scenario, start=start), 0, "only", hunting=False)
    assert (result.outcome, result.facts) == ("held", ())


def test_a_program_that_fails_is_told_and_started_again():
    async def fails_at_first(site: Site) -> None:
        if site.incarnation == 1:
            raise ValueError("not yet")
        await site.client.resource("v1", "configmaps").create(config_map("made"), "default")

    def start(world: World, variant: str) -> None:
        world.start(fails_at_first, name="late")

    scenario = alone([Until(PARENTS, "made", within_s=30.0)])
    result = run_seed(msgspec.structs.replace(scenario, start=start), 0, "only", hunting=False, keep=True)
    assert result.history is not None
    assert [(one.what, one.why) for one in result.history.acts.lives] == [
        ("started", ""),
        ("died", "ValueError: not yet"),
        ("started", ""),
        ("ended", ""),
    ]


def test_a_workload_may_settle_by_itself_and_hear_that_it_did_not():
    heard = []

    async def workload(world: World) -> None:
        try:
            await world.settle(within_s=10.0)  # less than the quiet that counts as settled
        except NotConverged as error:
            heard.append(str(error))

    run_seed(alone(workload), 0, "only", hunting=False)
    assert len(heard) == 1
    assert "not converged 10 s after faults stopped" in heard[0]


@pytest.mark.parametrize(
    ("again", "told"),
    [(("one", "api-1"), "there is a 'one' already"), (("two", "api-9"), "there is no server 'api-9'")],
)
def test_a_process_needs_a_name_of_its_own_and_a_server_that_is_there(again: tuple[str, str], told: str):
    async def idle(site: Site) -> None:
        await trio.sleep_forever()

    world = World(draw(PAIRS, 0, "fixed", hunting=False))
    world.start(idle, name="one")
    with pytest.raises(ValueError, match=told):
        world.start(idle, name=again[0], server=again[1])
