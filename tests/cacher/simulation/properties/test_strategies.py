"""cacher.simulation.properties: what is drawn can be created, selected by, put on a tape and played."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.simulation import (
    AnyOperation,
    Create,
    Delete,
    Fault,
    Kind,
    Patch,
    Scenario,
    Tape,
    Topology,
    Wait,
    World,
    custom_resource,
    play,
)
from cacher.simulation._faults import kind_of, tell_fault
from cacher.simulation.properties import (
    actions,
    fault_plans,
    faults,
    field_selectors,
    label_selectors,
    objects,
    operations,
    selectors,
)
from watch import Selector

PODS = "v1/pods"
KNOWN = [PODS, "v1/configmaps", "v1/secrets", "v1/services", "apps/v1/deployments", "apps/v1/replicasets",
         "apps/v1/statefulsets", "v1/namespaces"]  # fmt: skip
CALM = Topology(
    ring_capacity=16,
    ring_capacity_max=16,
    latency_s=0.001,
    definitions=(custom_resource("example.com/v1/birds", "Bird"),),
)


def played(*done: AnyOperation, faults: tuple[Fault, ...] = (), start=lambda _world: None) -> World:
    worlds: list[World] = []

    def begin(world: World, _variant: str) -> None:
        worlds.append(world)
        start(world)

    scenario = Scenario(name="drawn", title="", start=begin, workload=(), variants=("one",), topology=CALM)
    tape = Tape("drawn", "one", 1, 1, CALM, operations=done, faults=faults)
    tape = Tape.from_json(tape.to_json())
    result = play(scenario, tape)
    assert result.outcome == "held", (result.facts, result.failure)
    return worlds[0]


@settings(max_examples=3)
@given(data=st.data())
@pytest.mark.parametrize("resource", [*KNOWN, "example.com/v1/birds"])
def test_every_object_that_is_drawn_can_be_created(resource: str, data):
    obj = data.draw(objects(resource))
    world = played(Create(resource, obj))
    assert obj["metadata"]["name"] in {one.name for one in world.objects(resource)}


@settings(max_examples=5)
@given(done=st.lists(operations({PODS: objects(PODS)}), max_size=8))
def test_operations_are_what_a_user_may_do_in_any_order(done: list[AnyOperation]):
    played(*done)
    assert {type(one) for one in done} <= {Create, Patch, Delete, Wait}


def test_operations_of_nothing_are_refused():
    with pytest.raises(ValueError, match="resources is empty"):
        operations({})


@given(text=label_selectors())
def test_a_label_selector_is_of_the_grammar(text: str):
    Selector.of(labels=text or None)


@given(text=field_selectors(PODS))
def test_a_field_selector_is_of_what_the_resource_can_be_selected_by(text: str):
    Selector.of(fields=text or None)


@given(selector=selectors(PODS))
def test_a_selector_is_one(selector: Selector):
    assert isinstance(selector, Selector)


@given(selector=selectors("v1/namespaces"))
def test_what_is_in_no_namespace_is_not_selected_by_one(selector: Selector):
    assert selector.namespace == ""


@given(plan=fault_plans(processes=("p",), resources=(PODS,)))
def test_a_plan_is_told_and_kept_on_a_tape(plan: tuple[Fault, ...]):
    for fault in plan:
        assert tell_fault(fault)
        assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault


@pytest.mark.parametrize("kind", list(Kind))
@settings(max_examples=5)
@given(data=st.data())
def test_there_is_a_strategy_for_each_kind(kind: Kind, data):
    assert kind_of(data.draw(actions(processes=("p",), kinds=(kind,)))) is kind


@settings(max_examples=20)
@given(action=actions())
def test_without_processes_none_is_struck(action):
    assert "process" not in msgspec.to_builtins(action)


def test_where_no_kind_is_left_that_is_said():
    with pytest.raises(ValueError, match="no kind of fault is left"):
        actions(kinds=(Kind.CRASH,))


@settings(max_examples=10)
@given(fault=faults(resources=(PODS,), within_s=10))
def test_a_world_survives_what_is_drawn(fault: Fault):
    pod = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "c"}]}}
    played(Create(PODS, pod), Wait(20.0), Delete(PODS, "a"), faults=(fault,))
