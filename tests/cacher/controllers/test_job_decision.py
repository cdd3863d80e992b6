"""Jobs: how many pods at once, when it is over, and that each pod counts once."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._job_counting import FINALIZER, format_indexes, parse_indexes
from cacher.controllers._job_decision import JobOptions, is_finished, job_pod, plan_job
from tests.cacher.controllers.objects import EPOCH, at, pod, template

OPTIONS = JobOptions()


def job(completions=1, parallelism=1, **spec):
    return {
        "metadata": {"name": "work", "namespace": "a", "uid": "job", "generation": 1},
        "spec": {
            "completions": completions,
            "parallelism": parallelism,
            "backoffLimit": 6,
            "template": template(restartPolicy="Never"),
            **spec,
        },
        "status": {},
    }


class SmallJob:
    """A job and its pods; whoever drives it says when a pod starts and how it ends."""

    def __init__(self, made):
        self.job = made
        self.pods = {}
        self.now = 0.0
        self.made = 0

    def views(self):
        return [
            pod(
                name,
                owner="job",
                phase=one["phase"],
                ready=one["phase"] == "Running",
                deleted=one["going"],
                created=one["created"],
                finished=one["ended"],
                annotations=one["annotations"],
                finalizers=[FINALIZER] if one["held"] else [],
            )
            for name, one in self.pods.items()
        ]

    def step(self):
        plan = plan_job(self.job, self.views(), EPOCH + self.now, OPTIONS)
        for index in plan.create:
            self.made += 1
            body = job_pod(self.job, index)
            self.pods[f"p{self.made}"] = {
                "phase": "Pending",
                "going": False,
                "created": self.now,
                "ended": None,
                "held": True,
                "annotations": body["metadata"].get("annotations", {}),
            }
        for view in plan.delete:
            self.pods[view.name]["going"] = True
        if plan.status is not None:
            self.job = {**self.job, "status": copy.deepcopy(plan.status)}
        for view in plan.release:
            self.pods[view.name]["held"] = False
        return plan

    def end(self, name, phase="Succeeded"):
        self.pods[name] |= {"phase": phase, "ended": self.now}

    def clear(self):
        """Pods that were deleted and are held by nothing are gone."""
        for name, one in list(self.pods.items()):
            if one["going"] and one["phase"] not in ("Succeeded", "Failed"):
                self.end(name, "Failed")
            if one["going"] and not one["held"]:
                del self.pods[name]

    def running(self):
        return [name for name, one in self.pods.items() if one["phase"] in ("Pending", "Running") and not one["going"]]

    def told(self):
        return [(one["type"], one["reason"]) for one in self.job["status"].get("conditions", ())]


def test_a_job_of_two_goes_the_way_that_the_real_one_went():
    """Step by step what was recorded of job-1 of the scenario `churn`."""
    one = SmallJob(job(2, 2))
    states = []

    def step():
        one.step()
        state = {key: value for key, value in one.job["status"].items() if key not in ("startTime", "completionTime")}
        state["conditions"] = one.told()
        states.append(state)

    step()
    one.pods["p1"]["phase"] = "Running"
    step()
    one.pods["p2"]["phase"] = "Running"
    one.end("p1")
    step()
    step()
    one.end("p2")
    step()
    step()
    met, done = ("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")
    idle = {"terminating": 0, "uncountedTerminatedPods": {}, "conditions": []}
    assert states == [
        {**idle, "active": 2, "ready": 0},
        {**idle, "active": 2, "ready": 1},
        {**idle, "active": 1, "ready": 1, "uncountedTerminatedPods": {"succeeded": ["uid-p1"]}},
        {**idle, "active": 1, "ready": 1, "succeeded": 1},
        {**idle, "ready": 0, "succeeded": 1, "uncountedTerminatedPods": {"succeeded": ["uid-p2"]}, "conditions": [met]},
        {**idle, "ready": 0, "succeeded": 2, "conditions": [met, done]},
    ]
    assert one.job["status"]["completionTime"] == at(0)
    assert is_finished(one.job)
    assert plan_job(one.job, one.views(), EPOCH, OPTIONS).status is None


def test_a_job_that_fails_too_often_goes_the_way_that_the_real_one_went():
    """What was recorded of job-0 of the scenario `churn`: a second pod ten seconds after the first one's end, then the end."""
    one = SmallJob(job(1, 1, backoffLimit=1))
    one.step()
    one.now = 4
    one.end("p1", "Failed")
    one.step()
    assert one.job["status"]["uncountedTerminatedPods"] == {"failed": ["uid-p1"]}
    plan = one.step()
    assert (one.job["status"]["failed"], plan.create, plan.again_in_s) == (1, (), 10)
    one.now = 14
    assert len(one.step().create) == 1
    one.now = 18
    one.end("p2", "Failed")
    one.step()
    assert one.told() == [("FailureTarget", "BackoffLimitExceeded")]
    assert one.job["status"]["uncountedTerminatedPods"] == {"failed": ["uid-p2"]}
    one.step()
    assert one.told() == [("FailureTarget", "BackoffLimitExceeded"), ("Failed", "BackoffLimitExceeded")]
    assert one.job["status"]["failed"] == 2
    assert "completionTime" not in one.job["status"]


def test_waits_double_with_each_failure_up_to_ten_minutes_and_a_success_ends_them():
    one = SmallJob(job(5, 1, backoffLimit=100))
    waits = []
    for _ in range(9):
        one.step()
        one.end(one.running()[0], "Failed")
        one.step()
        waits.append(one.step().again_in_s)
        one.now += waits[-1]
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    one.step()
    one.end(one.running()[0])
    one.step()
    assert len(one.running()) == 1, "the next is made at once"


def test_what_runs_when_the_deadline_passes_is_deleted_and_the_job_fails_once_it_is_gone():
    one = SmallJob(job(3, 2, activeDeadlineSeconds=30))
    assert one.step().again_in_s is None or one.step().again_in_s == 30
    one.now = 10
    assert one.step().again_in_s == 20
    one.now = 30
    plan = one.step()
    assert len(plan.delete) == 2
    assert one.told() == [("FailureTarget", "DeadlineExceeded")]
    one.step()
    assert len(one.told()) == 1, "its pods are still there"
    for _ in range(3):
        one.clear()
        one.step()
    assert one.told()[-1] == ("Failed", "DeadlineExceeded")


def test_pods_of_an_indexed_job_have_its_numbers_and_a_number_that_is_done_is_not_done_again():
    one = SmallJob(job(3, 2, completionMode="Indexed"))
    assert one.step().create == (0, 1)
    one.end("p2")
    plan = one.step()
    assert plan.create == (2,)
    assert one.job["status"]["completedIndexes"] == "1"
    one.now = 1
    one.end("p1", "Failed")
    assert one.step().create == ()
    one.now = 11
    assert one.step().create == (0,)
    for name in one.running():
        one.end(name)
    one.step()
    one.step()
    assert (one.job["status"]["completedIndexes"], one.job["status"]["succeeded"]) == ("0-2", 3)
    assert one.told()[-1][0] == "Complete"
    body = job_pod(one.job, 2)
    assert body["metadata"]["generateName"] == "work-2-"
    assert body["spec"]["hostname"] == "work-2"
    assert body["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"


def test_without_completions_one_success_lets_the_others_come_to_their_end():
    one = SmallJob(job(None, 3))
    assert len(one.step().create) == 3
    one.end("p1")
    assert one.step().create == ()
    assert one.told() == []
    one.end("p2")
    one.end("p3")
    one.step()
    one.step()
    assert one.told()[-1][0] == "Complete"
    assert one.job["status"]["succeeded"] == 3


def test_a_suspended_job_has_no_pods_and_starts_anew():
    one = SmallJob(job(2, 2))
    one.step()
    one.job["spec"]["suspend"] = True
    assert len(one.step().delete) == 2
    assert one.told() == [("Suspended", "JobSuspended")]
    assert "startTime" not in one.job["status"]
    one.pods.clear()
    one.now = 100
    one.job["spec"]["suspend"] = False
    assert len(one.step().create) == 2
    assert one.told() == [("Suspended", "JobResumed")]
    assert one.job["status"]["startTime"] == at(100)


def test_fewer_at_once_means_that_some_are_deleted():
    one = SmallJob(job(5, 4))
    one.step()
    one.job["spec"]["parallelism"] = 1
    assert len(one.step().delete) == 3


def test_a_pod_that_is_deleted_counts_as_failed_at_once_or_when_it_has_ended_as_the_job_says():
    for policy, counted in (("TerminatingOrFailed", 1), ("Failed", 0)):
        one = SmallJob(job(1, 1, podReplacementPolicy=policy))
        one.step()
        one.pods["p1"]["going"] = True
        one.step()
        assert len(one.job["status"]["uncountedTerminatedPods"].get("failed", [])) == counted


def test_a_container_that_restarts_too_often_ends_a_job_whose_pods_are_restarted():
    made = job(1, 1, backoffLimit=2, template=template(restartPolicy="OnFailure"))
    for restarts, over in ((1, []), (2, ["FailureTarget"])):
        plan = plan_job(made, [pod("p", owner="job", restarts=restarts, finalizers=[FINALIZER])], EPOCH, OPTIONS)
        assert plan.status is not None
        assert [one["type"] for one in plan.status.get("conditions", ())] == over


def test_a_finished_job_lets_go_of_what_is_left():
    finished = job()
    finished["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    plan = plan_job(finished, [pod("p", finalizers=[FINALIZER]), pod("q")], EPOCH, OPTIONS)
    assert [one.name for one in plan.release] == ["p"]
    assert (plan.create, plan.status) == ((), None)


@pytest.mark.parametrize(
    ("text", "numbers"), [("", []), ("3", [3]), ("1,3-5", [1, 3, 4, 5]), ("0-1", [0, 1]), ("x,2", [2])]
)
def test_indexes_are_read(text, numbers):
    assert parse_indexes(text) == numbers


@given(st.sets(st.integers(0, 30)))
def test_indexes_are_written_and_read_back(numbers):
    assert parse_indexes(format_indexes(sorted(numbers))) == sorted(numbers)
    assert format_indexes([1, 2, 4, 5, 6]) == "1,2,4-6"


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["step", "step", "good", "bad", "delete", "clear", "wait", "lose-write"]), st.integers(0, 9)
    ),
    max_size=60,
)


@given(st.integers(1, 5), st.integers(1, 4), st.booleans(), ACTIONS)
@settings(max_examples=200)
def test_every_pod_counts_once_whatever_is_lost_in_between(completions, parallelism, indexed, actions):
    one = SmallJob(job(completions, parallelism, backoffLimit=50, **({"completionMode": "Indexed"} if indexed else {})))
    succeeded: set[str] = set()
    failed: set[str] = set()
    indexes: set[str] = set()

    def end(name, phase):
        one.end(name, phase)
        (succeeded if phase == "Succeeded" else failed).add(name)
        if phase == "Succeeded" and indexed:
            indexes.add(one.pods[name]["annotations"]["batch.kubernetes.io/job-completion-index"])

    def act(kind, value):
        running = one.running()
        match kind:
            case "step":
                one.step()
                assert len(one.running()) <= parallelism
            case "good" | "bad" if running:
                end(running[value % len(running)], "Succeeded" if kind == "good" else "Failed")
            case "delete" if running:
                name = running[value % len(running)]
                one.pods[name]["going"] = True
                failed.add(name)
            case "clear":
                one.clear()
            case "wait":
                one.now += 700
            case "lose-write":  # the finalizers were to go, and nobody took them away
                held = {name: item["held"] for name, item in one.pods.items()}
                one.step()
                for name, was in held.items():
                    one.pods[name]["held"] = was

    for kind, value in actions:
        act(kind, value)
    for _ in range(completions * 4 + 10):
        if is_finished(one.job):
            break
        act("wait", 0)
        act("step", 0)
        for name in one.running():
            end(name, "Succeeded")
        act("step", 0)
        act("clear", 0)
    status = one.job["status"]
    assert one.told()[-1][0] == "Complete"
    assert status["uncountedTerminatedPods"] == {}
    assert status.get("failed", 0) == len(failed - succeeded)
    assert status["succeeded"] == (len(indexes) if indexed else len(succeeded))
    one.step()
    assert not any(item["held"] for item in one.pods.values())
