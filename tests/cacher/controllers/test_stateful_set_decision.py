"""Members of stateful sets: one after the other, by their numbers, each with its name, its claims and its revision."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers._stateful_set_decision import member, ordinal_of, plan_stateful_set
from cacher.controllers._workload_history import by_number, forgotten, history_of
from tests.cacher.controllers.objects import EPOCH, pod, template

HASH = "controller-revision-hash"


def stateful_set(replicas=3, image="v1", **spec):
    return {
        "metadata": {"name": "db", "namespace": "a", "uid": "s-1", "generation": 1},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image),
            "podManagementPolicy": "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            **spec,
        },
        "status": {},
    }


class SmallSet:
    """A stateful set with its revisions and pods; whoever drives it says when pods start and go."""

    def __init__(self, made):
        self.set = made
        self.revisions = []
        self.pods = {}
        """By name: the pod's body, and whether it is ready and going."""

    def views(self):
        return [
            pod(name, owner="s-1", ready=one["ready"], deleted=one["going"], labels=one["body"]["metadata"]["labels"])
            for name, one in self.pods.items()
        ]

    def plan(self):
        found = history_of(self.set, self.revisions, "apps/v1", "StatefulSet", None)
        if found.create:
            self.revisions.append(found.present)
        elif found.renumber:
            name = found.present["metadata"]["name"]
            self.revisions = [found.present if one["metadata"]["name"] == name else one for one in self.revisions]
        wanted = self.set["status"].get("currentRevision")
        current = next((one for one in self.revisions if one["metadata"]["name"] == wanted), found.present)
        return plan_stateful_set(self.set, self.views(), current, found.present, EPOCH + 100)

    def step(self):
        plan = self.plan()
        for body in plan.create:
            self.pods[body["metadata"]["name"]] = {"body": body, "ready": False, "going": False}
        for view in plan.delete:
            self.pods[view.name]["going"] = True
        self.set = {**self.set, "status": plan.status}
        return plan

    def settle(self):
        for _ in range(200):
            before = copy.deepcopy((self.set, self.pods))
            self.step()
            self.pods = {name: {**one, "ready": True} for name, one in self.pods.items() if not one["going"]}
            if before == (self.set, self.pods):
                return
        raise AssertionError("it never came to rest")

    def set_image(self, image):
        self.set = {**self.set, "spec": {**self.set["spec"], "template": template(image)}}

    def images(self):
        return {name: one["body"]["spec"]["containers"][0]["image"] for name, one in sorted(self.pods.items())}


def settled(made=None):
    one = SmallSet(made or stateful_set())
    one.settle()
    return one


def test_members_are_made_one_after_the_other_each_when_the_one_before_is_ready():
    one = SmallSet(stateful_set())
    one.step()
    assert list(one.pods) == ["db-0"]
    one.step()
    assert list(one.pods) == ["db-0"], "it is not ready yet"
    one.pods["db-0"]["ready"] = True
    one.step()
    assert list(one.pods) == ["db-0", "db-1"]


def test_in_parallel_all_are_made_and_deleted_at_once():
    one = SmallSet(stateful_set(podManagementPolicy="Parallel"))
    assert len(one.step().create) == 3
    one.settle()
    one.set["spec"]["replicas"] = 0
    assert sorted(view.name for view in one.step().delete) == ["db-0", "db-1", "db-2"]


def test_the_highest_goes_first_and_the_next_once_it_is_gone():
    one = settled()
    one.set["spec"]["replicas"] = 1
    assert [view.name for view in one.step().delete] == ["db-2"]
    assert one.step().delete == ()
    del one.pods["db-2"]
    assert [view.name for view in one.step().delete] == ["db-1"]


def test_scaling_down_waits_for_a_member_that_is_unwell_unless_that_is_the_one_to_go():
    one = settled()
    one.pods["db-0"]["ready"] = False
    one.set["spec"]["replicas"] = 2
    assert one.step().delete == ()
    one.pods["db-0"]["ready"] = True
    one.pods["db-2"]["ready"] = False
    assert [view.name for view in one.step().delete] == ["db-2"]


def test_an_update_goes_from_the_highest_down_and_waits_for_each():
    one = settled()
    one.set_image("v2")
    assert [view.name for view in one.step().delete] == ["db-2"]
    assert one.step().delete == ()
    del one.pods["db-2"]
    one.step()
    assert one.images() == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    assert one.step().delete == (), "the new one is not ready yet"
    one.settle()
    assert set(one.images().values()) == {"v2"}
    status = one.set["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert (status["currentReplicas"], status["updatedReplicas"], status["readyReplicas"]) == (3, 3, 3)


def test_a_partition_keeps_the_lower_members_at_the_old_revision_also_when_they_are_made_anew():
    one = settled()
    one.set["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2
    one.set_image("v2")
    one.settle()
    assert one.images() == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    del one.pods["db-0"]
    one.settle()
    assert one.images() == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
    assert one.set["status"]["currentRevision"] != one.set["status"]["updateRevision"]
    assert (one.set["status"]["currentReplicas"], one.set["status"]["updatedReplicas"]) == (2, 1)


def test_on_delete_a_member_becomes_new_when_somebody_deletes_it():
    one = settled(stateful_set(updateStrategy={"type": "OnDelete"}))
    one.set_image("v2")
    one.settle()
    assert set(one.images().values()) == {"v1"}
    del one.pods["db-1"]
    one.settle()
    assert one.images()["db-1"] == "v2"


def test_a_template_that_comes_back_gets_the_next_number_and_stays_one_revision():
    one = settled()
    for image in ("v2", "v1"):
        one.set_image(image)
        one.settle()
    assert [item["revision"] for item in by_number(one.revisions)] == [2, 3]
    assert one.revisions[0]["revision"] == 3


def test_revisions_in_use_are_kept_and_the_oldest_others_are_forgotten():
    one = settled(stateful_set(revisionHistoryLimit=1))
    for image in ("v2", "v3", "v4"):
        one.set_image(image)
        one.settle()
    live = {one.set["status"]["currentRevision"]}
    assert [item["revision"] for item in forgotten(one.set, one.revisions, live)] == [1, 2]


def test_a_member_has_its_name_its_host_its_labels_and_its_claims():
    made = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {"x": 1}}])
    plan = SmallSet(made).plan()
    [body] = plan.create
    assert (
        body["metadata"]["labels"].items()
        >= {
            "statefulset.kubernetes.io/pod-name": "db-0",
            "apps.kubernetes.io/pod-index": "0",
        }.items()
    )
    assert (body["spec"]["hostname"], body["spec"]["subdomain"]) == ("db-0", "db")
    assert body["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]
    [claim] = plan.claims
    assert (claim["metadata"]["name"], claim["metadata"]["namespace"], claim["spec"]) == ("data-db-0", "a", {"x": 1})
    assert "ownerReferences" not in claim["metadata"], "it outlives its member"


def test_members_are_counted_from_where_the_set_says():
    one = settled(stateful_set(ordinals={"start": 5}))
    assert list(one.images()) == ["db-5", "db-6", "db-7"]


def test_a_member_that_ended_is_deleted_to_be_made_again():
    views = [pod("db-0", phase="Failed", ready=False, labels={HASH: "r"})]
    revision = {"metadata": {"name": "r"}, "data": {"spec": {"template": template()}}}
    plan = plan_stateful_set(stateful_set(), views, revision, revision, EPOCH)
    assert [view.name for view in plan.delete] == ["db-0"]
    assert plan.create == ()


def test_a_member_is_available_only_after_min_ready_seconds():
    revision = {"metadata": {"name": "r"}, "data": {"spec": {"template": template()}}}
    views = [pod("db-0", ready=0.0, labels={HASH: "r"})]
    made = stateful_set(2, minReadySeconds=30)
    waiting = plan_stateful_set(made, views, revision, revision, EPOCH + 10)
    assert (waiting.create, waiting.status["availableReplicas"], waiting.available_in_s) == ((), 0, 20)
    later = plan_stateful_set(made, views, revision, revision, EPOCH + 30)
    assert [body["metadata"]["name"] for body in later.create] == ["db-1"]


@pytest.mark.parametrize(
    ("name", "number"), [("db-0", 0), ("db-12", 12), ("db-01", None), ("web-0", None), ("db", None), ("db-x", None)]
)
def test_a_members_number_is_at_the_end_of_its_name(name, number):
    assert ordinal_of(name, "db") == number


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["step", "step", "ready", "unready", "vanish"]), st.integers(0, 9)),
        st.tuples(st.just("image"), st.sampled_from(["v1", "v2", "v3"])),
        st.tuples(st.just("scale"), st.integers(0, 5)),
    ),
    max_size=50,
)


@given(ACTIONS)
@settings(max_examples=150)
def test_in_order_at_most_one_member_changes_at_a_time_and_it_all_ends_as_wanted(actions):
    one = SmallSet(stateful_set())
    for kind, value in actions:
        names = sorted(one.pods)
        match kind:
            case "step":
                going = sum(item["going"] for item in one.pods.values())
                plan = one.step()
                assert len(plan.create) + len(plan.delete) <= 1
                if plan.create:
                    ordinal = ordinal_of(plan.create[0]["metadata"]["name"], "db")
                    assert ordinal is not None
                    below = [one.pods.get(f"db-{lower}") for lower in range(ordinal)]
                    assert all(item and item["ready"] and not item["going"] for item in below)
                assert not (plan.delete and going), "two would be away at once"
            case "ready" | "unready" if names:
                one.pods[names[value % len(names)]]["ready"] = kind == "ready"
            case "vanish":
                one.pods = {name: item for name, item in one.pods.items() if not item["going"]}
            case "image":
                one.set_image(value)
            case "scale":
                one.set = {**one.set, "spec": {**one.set["spec"], "replicas": value}}
    one.settle()
    image = one.set["spec"]["template"]["spec"]["containers"][0]["image"]
    assert one.images() == {f"db-{ordinal}": image for ordinal in range(one.set["spec"]["replicas"])}
    assert len({item["revision"] for item in one.revisions}) == len(one.revisions)


def test_a_volume_of_the_template_with_a_claims_name_gives_way_to_the_claim():
    made = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": {}}])
    made["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    volumes = member(made, 0, "r")["spec"]["volumes"]
    assert [one["name"] for one in volumes] == ["tmp", "data"]
    assert "persistentVolumeClaim" in volumes[1]
