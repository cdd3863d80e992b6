"""A run that broke nothing because it did not do what it was to do is no find, and no evidence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cacher._cli import main
from cacher.simulation import (
    At,
    Create,
    Fault,
    HuntResult,
    RestartServer,
    RunResult,
    Scenario,
    Site,
    Swarm,
    Topology,
    Until,
    Wait,
    World,
    campaign,
    draw,
    explain,
    hunt,
    play,
    simulate,
)
from cacher.simulation._hunt import trophy_of
from cacher.simulation._shrink import NothingToShrink, shrink
from cacher.simulation._simulate import Broken
from tests.cacher.simulation.worlds import PARENTS, config_map


async def mirror(site: Site) -> None:
    informers = site.informers()
    informers.informer("v1", "configmaps")
    await informers.run()


def start(world: World, variant: str) -> None:
    world.start(mirror, name="mirror")


NEVER_MET = Until(PARENTS, "b", within_s=2)
"""Nobody makes b."""


def scenario(*operations: Any, **more: Any) -> Scenario:
    fields: dict[str, Any] = {"swarm": Swarm(kinds=()), "settle_s": 60.0, "topology": Topology(servers=1), **more}
    made = (Create(PARENTS, config_map("a")), Wait(1.0), *operations)
    return Scenario(name="given-up", title="", start=start, variants=("only",), workload=made, **fields)


def played(chosen: Scenario, *faults: Fault) -> RunResult:
    tape = msgspec.structs.replace(draw(chosen, 0, "only", hunting=False), faults=faults)
    return play(chosen, tape, keep=True)


def test_a_run_that_does_all_that_it_is_to_do_has_held():
    result = played(scenario())
    assert (result.outcome, result.is_find, result.facts) == ("held", False, ())


def test_a_user_whom_no_server_answers_for_two_minutes_gives_up_and_the_run_shows_nothing():
    chosen = scenario(Create(PARENTS, config_map("b")), settle_s=300.0)
    result = played(chosen, Fault(At(0.5), RestartServer("api-1", 150.0)))

    assert (result.outcome, result.is_find, result.broken) == ("inconclusive", False, ())
    assert "no server would do" in result.facts[0]
    assert not any("broke" in line for line in explain(result))


def test_an_until_that_is_not_met_when_faults_have_stopped_either_shows_nothing():
    result = played(scenario(NEVER_MET))

    assert result.outcome == "inconclusive"
    assert "gave up waiting for v1/configmaps b" in result.facts[0]


def test_what_a_scenario_wants_to_have_met_is_met_or_the_run_shows_nothing():
    assert played(scenario(wants=("write",))).outcome == "held"
    result = played(scenario(wants=("write", "expired")))
    assert (result.outcome, result.facts) == ("inconclusive", ("never met: expired",))


def test_what_is_broken_counts_also_where_the_user_gave_up():
    def start_and_forbid(world: World, variant: str) -> None:
        start(world, variant)
        world.never("created", PARENTS, why="no parents")

    result = played(msgspec.structs.replace(scenario(NEVER_MET), start=start_and_forbid))
    assert (result.outcome, result.is_find) == ("broken", True)


def test_a_hunt_counts_such_seeds_and_finds_nothing_in_them():
    some = hunt(scenario(NEVER_MET), "only", seeds=2)
    assert (some.found, some.inconclusive, some.others_count) == (None, 2, 0)
    assert some.line().startswith("inconclusive: none of 2 seeds is evidence")

    mixed = msgspec.structs.replace(some, seeds=3)
    assert "3 seeds (2 inconclusive)" in mixed.line()
    assert "inconclusive" not in HuntResult("x", "y", seeds=3).line()
    assert trophy_of(played(scenario(NEVER_MET))).tape == ""


def test_a_campaign_whose_reference_shows_nothing_is_refused():
    with pytest.raises(RuntimeError, match="is inconclusive without a fault"):
        campaign(scenario(NEVER_MET), "only")


def test_there_is_nothing_to_make_smaller_in_a_run_that_shows_nothing():
    chosen = scenario(NEVER_MET)
    with pytest.raises(NothingToShrink, match="inconclusive"):
        shrink(chosen, draw(chosen, 0, "only"))


def test_a_test_fails_where_none_of_its_histories_shows_anything():
    @simulate(seeds=2, faults=Swarm(kinds=()), settle_s=60.0)
    async def test_waits_for_ever(world: World) -> None:
        world.start(mirror, name="mirror")
        await world.until(PARENTS, "b", within_s=2)

    with pytest.raises(Broken, match="inconclusive"):
        test_waits_for_ever()


def test_a_test_passes_where_one_of_its_histories_shows_something():
    given_up: list[int] = []

    @simulate(seeds=2, faults=Swarm(kinds=()), settle_s=60.0)
    async def test_waits_for_ever_once(world: World) -> None:
        world.start(mirror, name="mirror")
        if world.tape.seed == 0:
            given_up.append(0)
            await world.until(PARENTS, "b", within_s=2)

    test_waits_for_ever_once()
    assert given_up


def test_the_command_line_ends_with_2_where_nothing_was_shown(tmp_path, capsys):
    script = tmp_path / "given_up.py"
    script.write_text(
        "from tests.cacher.simulation.test_inconclusive import NEVER_MET, scenario\nSCENARIO = scenario(NEVER_MET)\n"
    )

    assert main(["run", str(script), "--seed", "1"]) == 2
    assert "inconclusive" in capsys.readouterr().out
    assert main(["hunt", str(script), "--seeds", "2"]) == 2
    assert "none of 2 seeds is evidence" in capsys.readouterr().out
