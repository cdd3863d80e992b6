"""A pod's life on a node that is not there, step by step."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.controllers._pod_runs import (
    Act,
    Host,
    Plan,
    Stage,
    Step,
    accepted,
    backoff_s,
    ended,
    next_step,
    pull_failed,
    reported,
    restarts_of,
    stage_began,
    stage_of,
    started,
    stopped,
)

HOST = Host("172.16.0.1", "10.128.0.1")
NOW, LATER = "2026-11-23T10:00:00Z", "2026-11-23T10:00:05Z"


def pod(policy: str = "Always", **spec: Any) -> dict[str, Any]:
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": NOW}
    return {
        "metadata": {"name": "p", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {"containers": [{"name": "main", "image": "app:v1"}], "restartPolicy": policy, **spec},
        "status": {"phase": "Pending", "qosClass": "BestEffort", "conditions": [scheduled]},
    }


def at(one: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {**one, "status": status}


def going(one: dict[str, Any], grace_s: int = 30) -> dict[str, Any]:
    marks = {"deletionTimestamp": LATER, "deletionGracePeriodSeconds": grace_s}
    return {**one, "metadata": {**one["metadata"], **marks}}


def creating(one: dict[str, Any]) -> dict[str, Any]:
    return at(one, accepted(one, HOST, NOW))


def running(one: dict[str, Any]) -> dict[str, Any]:
    made = creating(one)
    return at(made, started(made, HOST, LATER))


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status["conditions"]}


def test_a_pod_is_accepted_started_and_runs_for_ever():
    plan = Plan(start_s=2.0)
    assert next_step(pod(), plan, 0) == Step(Act.ACCEPT)
    assert next_step(creating(pod()), plan, 0.5) == Step(Act.START, 1.5)
    assert next_step(creating(pod()), plan, 2.5) == Step(Act.START)
    assert next_step(running(pod()), plan, 1e9) == Step(Act.NOTHING)


def test_the_stages_are_read_off_the_status_with_when_they_began():
    one = pod("OnFailure")
    assert (stage_of(one), stage_began(one)) == (Stage.NEW, None)
    assert stage_of(creating(one)) is Stage.CREATING
    up = running(one)
    again = at(up, ended(up, 1, LATER))
    crashed = at(again, ended(again, 1, LATER))
    over = at(up, ended(up, 0, LATER))
    assert [stage_of(each) for each in (up, again, crashed, over)] == [
        Stage.RUNNING,
        Stage.RUNNING,
        Stage.CRASHED,
        Stage.OVER,
    ]
    began = [stage_began(each) for each in (creating(one), up, again, crashed)]
    assert began[0] is not None
    assert began[1:] == [began[0] + 5] * 3


def test_the_status_of_a_pod_that_runs_is_as_recorded():
    status = running(pod())["status"]
    assert [one["type"] for one in status["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    assert set(conditions(status).values()) == {"True"}
    assert all(one["observedGeneration"] == 1 for one in status["conditions"][:4])
    assert (status["phase"], status["podIP"], status["hostIP"]) == ("Running", "10.128.0.1", "172.16.0.1")
    assert status["startTime"] == NOW
    assert status["qosClass"] == "BestEffort"
    assert status["containerStatuses"] == [
        {
            "name": "main",
            "state": {"running": {"startedAt": LATER}},
            "lastState": {},
            "ready": True,
            "restartCount": 0,
            "image": "app:v1",
            "imageID": "",
            "containerID": "simulated://u-main",
            "started": True,
        }
    ]


def test_a_pod_that_is_being_made_is_not_ready_and_says_why():
    status = creating(pod())["status"]
    assert conditions(status) == {
        "PodReadyToStartContainers": "False",
        "Initialized": "True",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    assert status["conditions"][2]["reason"] == "ContainersNotReady"
    assert status["conditions"][2]["message"] == "containers with unready status: [main]"
    assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert "podIP" not in status


def test_what_runs_before_has_run_and_sidecars_go_on():
    one = pod(initContainers=[{"name": "init"}, {"name": "side", "restartPolicy": "Always"}])
    assert conditions(creating(one)["status"])["Initialized"] == "False"
    init, side = running(one)["status"]["initContainerStatuses"]
    assert init["state"]["terminated"]["reason"] == "Completed"
    assert "running" in side["state"]
    assert conditions(running(one)["status"])["Initialized"] == "True"


@pytest.mark.parametrize(
    ("policy", "exit_code", "stage", "phase"),
    [
        ("Never", 0, Stage.OVER, "Succeeded"),
        ("Never", 1, Stage.OVER, "Failed"),
        ("OnFailure", 0, Stage.OVER, "Succeeded"),
        ("OnFailure", 1, Stage.RUNNING, "Running"),
        ("Always", 0, Stage.RUNNING, "Running"),
        ("Always", 1, Stage.RUNNING, "Running"),
    ],
)
def test_what_comes_of_a_pod_whose_containers_end_is_its_policys(policy, exit_code, stage, phase):
    up = running(pod(policy))
    assert next_step(up, Plan(run_s=3.0), 1.0) == Step(Act.END, 2.0)
    after = at(up, ended(up, exit_code, LATER))
    assert stage_of(after) is stage
    assert after["status"]["phase"] == phase
    if stage is Stage.OVER:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        assert [one.get("reason") for one in after["status"]["conditions"][2:4]] == [reason, reason]
        assert next_step(after, Plan(), 1e9) == Step(Act.NOTHING)
    else:
        assert restarts_of(after) == 1


def test_a_container_that_ends_again_waits_and_is_started_again():
    up = running(pod())
    again = at(up, ended(up, 1, LATER))
    crashed = at(again, ended(again, 1, LATER))
    assert restarts_of(crashed) == 1
    state = crashed["status"]["containerStatuses"][0]
    assert state["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert state["lastState"]["terminated"]["exitCode"] == 1
    assert conditions(crashed["status"])["Ready"] == "False"
    assert next_step(crashed, Plan(), 4.0) == Step(Act.START, 6.0)
    up_again = at(crashed, started(crashed, HOST, LATER))
    assert restarts_of(up_again) == 2
    assert backoff_s(2) == 20.0


def test_an_image_that_nobody_has_is_told_once():
    one, plan = creating(pod()), Plan(start_s=1.0, has_image=False)
    assert next_step(one, plan, 0.0) == Step(Act.FAIL_PULL, 1.0)
    failed = at(one, pull_failed(one, LATER))
    assert stage_of(failed) is Stage.CREATING
    assert next_step(failed, plan, 100.0) == Step(Act.NOTHING)


def test_a_pod_that_is_deleted_gets_its_time_and_no_more():
    plan = Plan(stop_s=5.0)
    assert next_step(going(running(pod())), plan, 100, 1.0) == Step(Act.STOP, 4.0)
    assert next_step(going(running(pod()), grace_s=2), plan, 100, 1.0) == Step(Act.STOP, 1.0)
    assert next_step(going(creating(pod())), plan, 0, 0.0) == Step(Act.STOP)
    over = going(at(running(pod()), stopped(running(pod()), 0, LATER)))
    assert next_step(over, plan, 0, 9.0) == Step(Act.REMOVE)
    assert next_step(going(over, grace_s=0), plan, 0, 9.0) == Step(Act.NOTHING)  # finalizers hold it


def test_a_pod_that_somebody_called_unready_says_itself_again():
    up = running(pod())
    doubted = [{**one, "status": "False"} if one["type"] == "Ready" else one for one in up["status"]["conditions"]]
    wrong = at(up, {**up["status"], "conditions": doubted})
    assert next_step(wrong, Plan(), 5.0) == Step(Act.REPORT)
    mended = at(wrong, reported(wrong, LATER))
    assert conditions(mended["status"])["Ready"] == "True"
    assert next_step(mended, Plan(), 5.0) == Step(Act.NOTHING)


def test_conditions_of_others_stay():
    one = pod()
    one["status"]["conditions"].append({"type": "example.com/gate", "status": "True"})
    kinds = [each["type"] for each in running(one)["status"]["conditions"]]
    assert kinds[-2:] == ["PodScheduled", "example.com/gate"]


@given(
    policy=st.sampled_from(["Always", "OnFailure", "Never"]),
    exit_code=st.integers(0, 2),
    deleted_at=st.integers(0, 8),
    has_image=st.booleans(),
)
def test_every_pod_that_is_deleted_comes_to_its_end(policy, exit_code, deleted_at, has_image):
    """Step by step, each as long as it takes; deleted after some of them. It is removed once, and nothing follows."""
    one, plan = pod(policy), Plan(1.0, 1.0, exit_code, 1.0, has_image)
    for count in range(20):
        if count == deleted_at:
            one = going(one)
        step = next_step(one, plan, inf, inf)
        assert step.in_s == 0
        match step.act:
            case Act.ACCEPT:
                one = at(one, accepted(one, HOST, NOW))
            case Act.FAIL_PULL:
                one = at(one, pull_failed(one, NOW))
            case Act.START:
                one = at(one, started(one, HOST, NOW))
            case Act.END:
                one = at(one, ended(one, exit_code, NOW))
            case Act.STOP:
                one = at(one, stopped(one, 0, NOW))
            case Act.REMOVE:
                assert count >= deleted_at
                return
            case _:
                assert count < deleted_at
        phase = one["status"]["phase"]
        assert (stage_of(one) is Stage.OVER) == (phase in ("Succeeded", "Failed"))
        ready = conditions(one["status"]).get("Ready") == "True"
        assert ready == (stage_of(one) is Stage.RUNNING)
    raise AssertionError("it was never removed")
