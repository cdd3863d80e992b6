"""What a deployment does, told in the order of a user's day: rollouts, pauses, undoing, scaling, and what goes wrong."""

from __future__ import annotations

import pytest

from cacher.controllers._deployment_revisions import forgotten, new_set, previous_revision, renewed, undo_patch
from cacher.controllers._deployment_sizes import fenceposts, scale, shrink_old_sets
from cacher.controllers._deployment_status import counted
from tests.cacher.controllers.objects import EPOCH, at, deployment
from tests.cacher.controllers.small_cluster import SmallCluster, image_of

PREFIX = "deployment.kubernetes.io/"


def settled(made=None):
    cluster = SmallCluster(made or deployment())
    cluster.settle()
    return cluster


def test_the_first_step_makes_the_set_says_so_and_numbers_it():
    cluster = SmallCluster(deployment())
    plan = cluster.step_deployment()
    assert plan.create is not None
    assert plan.create["spec"]["replicas"] == 3
    assert plan.create["metadata"]["annotations"] == {
        PREFIX + "revision": "1",
        PREFIX + "desired-replicas": "3",
        PREFIX + "max-replicas": "4",
    }
    assert cluster.revision() == 1
    assert cluster.condition("Progressing") == ("True", "NewReplicaSetCreated")
    assert cluster.condition("Available") == ("False", "MinimumReplicasUnavailable")


def test_a_set_that_was_there_before_the_deployment_is_found_and_not_made_again():
    cluster = SmallCluster(deployment())
    cluster.step_deployment()
    cluster.deployment = deployment()
    plan = cluster.step_deployment()
    assert plan.create is None
    assert cluster.condition("Progressing") == ("True", "FoundNewReplicaSet")
    assert cluster.revision() == 1


def test_a_rollout_that_came_to_its_end_stays_there_when_pods_fall_ill_and_recover():
    cluster = settled()
    [uid] = cluster.sets
    for ready in ([False, False, True], [True, False, True], [True, True, True]):
        for one, is_ready in zip(cluster.pods.values(), ready, strict=True):
            one["ready"] = is_ready
        cluster.count(uid)
        cluster.step_deployment()
        assert cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")
        assert cluster.condition("Available") == (
            ("True", "MinimumReplicasAvailable") if all(ready) else ("False", "MinimumReplicasUnavailable")
        )


def test_pods_that_are_there_and_never_become_available_are_no_success():
    cluster = SmallCluster(deployment())
    cluster.settle(pods_start=False)
    assert len(cluster.pods) == 3
    assert cluster.condition("Progressing") == ("True", "ReplicaSetUpdated")
    assert cluster.condition("Available") == ("False", "MinimumReplicasUnavailable")


def test_a_rollout_goes_up_by_the_surge_then_down_by_what_became_available():
    cluster = settled()
    cluster.set_image("v2")
    cluster.step_deployment()
    assert cluster.sizes() == {"v1": 3, "v2": 1}
    assert not cluster.step_deployment().update, "nothing goes before the new pod is available"
    new = next(uid for uid, one in cluster.sets.items() if image_of(one) == "v2")
    cluster.step_set(new)
    cluster.step_deployment()
    assert cluster.sizes() == {"v1": 3, "v2": 1}
    next(one for one in cluster.pods.values() if one["owner"] == new)["ready"] = True
    cluster.count(new)
    cluster.step_deployment()
    assert cluster.sizes() == {"v1": 2, "v2": 1}


def test_undoing_makes_the_old_set_new_again_with_the_next_number_and_keeps_the_numbers_it_had():
    cluster = settled()
    for image in ("v2", "v1", "v2", "v1"):
        cluster.set_image(image)
        cluster.settle()
    numbers = {image_of(one): one["metadata"]["annotations"] for one in cluster.sets.values()}
    assert numbers["v1"][PREFIX + "revision"] == "5"
    assert numbers["v1"][PREFIX + "revision-history"] == "1,3"
    assert numbers["v2"][PREFIX + "revision"] == "4"
    assert numbers["v2"][PREFIX + "revision-history"] == "2"
    assert cluster.revision() == 5


def test_kubectl_undo_takes_the_template_and_annotations_of_the_revision_before():
    cluster = settled()
    cluster.deployment["metadata"].setdefault("annotations", {})["kubernetes.io/change-cause"] = "first"
    cluster.settle()
    cluster.deployment["metadata"]["annotations"]["kubernetes.io/change-cause"] = "second"
    cluster.set_image("v2")
    cluster.settle()
    patch = undo_patch(cluster.deployment, list(cluster.sets.values()))
    assert patch is not None
    template, annotations = (operation["value"] for operation in patch)
    assert [operation["path"] for operation in patch] == ["/spec/template", "/metadata/annotations"]
    assert template["spec"]["containers"][0]["image"] == "v1"
    assert template["metadata"]["labels"] == {"app": "web"}, "without the hash"
    assert annotations == {PREFIX + "revision": "2", "kubernetes.io/change-cause": "first"}


def test_undoing_to_what_is_there_already_is_nothing_and_to_what_never_was_says_what_there_is():
    cluster = settled()
    sets = list(cluster.sets.values())
    assert undo_patch(cluster.deployment, sets, 1) is None
    with pytest.raises(LookupError, match=r"no revision 7: its ReplicaSets have 1"):
        undo_patch(cluster.deployment, sets, 7)
    with pytest.raises(LookupError, match="no earlier revision"):
        undo_patch(cluster.deployment, sets)


@pytest.mark.parametrize(("wanted", "image"), [("1", "v1"), ("0", "v2"), ("9", "v3")])
def test_a_rollback_by_the_api_is_answered_and_asked_for_no_more(wanted, image):
    cluster = settled()
    for other in ("v2", "v3"):
        cluster.set_image(other)
        cluster.settle()
    cluster.deployment["metadata"]["annotations"]["deprecated.deployment.rollback.to"] = wanted
    plan = cluster.step_deployment()
    assert plan.roll_back is not None
    assert "deprecated.deployment.rollback.to" not in cluster.deployment["metadata"]["annotations"]
    assert cluster.deployment["spec"]["template"]["spec"]["containers"][0]["image"] == image


def test_a_paused_deployment_is_scaled_and_not_rolled_out_and_says_that_it_is_paused():
    cluster = settled()
    cluster.set_spec(paused=True)
    cluster.set_image("v2")
    cluster.set_spec(replicas=5)
    cluster.settle()
    assert cluster.sizes() == {"v1": 5}
    assert cluster.condition("Progressing") == ("Unknown", "DeploymentPaused")
    cluster.set_spec(paused=False)
    cluster.step_deployment()
    assert cluster.condition("Progressing")[1] in ("DeploymentResumed", "NewReplicaSetCreated")
    cluster.settle()
    assert cluster.sizes() == {"v2": 5}


def test_recreate_waits_until_every_old_pod_is_gone():
    cluster = settled(deployment(strategy={"type": "Recreate"}))
    cluster.set_image("v2")
    cluster.step_deployment()
    assert cluster.sizes() == {}
    [old] = cluster.sets
    cluster.step_deployment()
    assert len(cluster.sets) == 1, "its pods are still there"
    cluster.step_set(old)
    cluster.step_deployment()
    assert cluster.sizes() == {"v2": 3}


def test_a_rollout_without_progress_times_out_after_its_deadline_and_says_when_to_look():
    cluster = settled(deployment(progressDeadlineSeconds=60))
    cluster.set_image("bad")
    cluster.settle(pods_start=False)
    began = cluster.now
    plan = cluster.plan()
    assert plan.again_in_s is not None
    assert 55 <= plan.again_in_s <= 62
    cluster.now = began + plan.again_in_s
    cluster.step_deployment()
    assert cluster.condition("Progressing") == ("False", "ProgressDeadlineExceeded")
    assert cluster.plan().again_in_s is None
    cluster.set_image("v1")
    cluster.settle()
    assert cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")


def test_without_a_deadline_nothing_is_said_of_progress():
    cluster = settled(deployment(progressDeadlineSeconds=2**31 - 1))
    assert cluster.condition("Progressing") is None
    assert cluster.condition("Available") == ("True", "MinimumReplicasAvailable")


def test_a_deployment_that_is_being_deleted_only_counts():
    cluster = settled()
    cluster.deployment["metadata"]["deletionTimestamp"] = at(1)
    cluster.set_image("v2")
    plan = cluster.step_deployment()
    assert (plan.create, plan.update, plan.delete) == (None, (), ())
    assert cluster.deployment["status"]["observedGeneration"] == 2


def test_what_keeps_a_set_from_making_pods_is_told_by_the_deployment_until_it_is_over():
    cluster = SmallCluster(deployment())
    cluster.step_deployment()
    [uid] = cluster.sets
    broken = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
    cluster.sets[uid]["status"]["conditions"] = [broken]
    cluster.step_deployment()
    assert cluster.condition("ReplicaFailure") == ("True", "FailedCreate")
    cluster.settle()
    assert cluster.condition("ReplicaFailure") is None


@pytest.mark.parametrize(
    ("surge", "unavailable", "wanted", "posts"),
    [
        # Source: kubernetes pkg/controller/deployment/util, TestResolveFenceposts
        ("0%", "0%", 0, (0, 1)),
        ("39%", "39%", 5, (2, 1)),
        ("0%", "0%", 10, (0, 1)),
        ("1%", "1%", 10, (1, 0)),
        ("50%", "2", 10, None),
        (5, 1, 7, (5, 1)),
        ("25%", "25%", 4, (1, 1)),
    ],
)
def test_shares_are_rounded_up_for_surge_and_down_for_unavailable_and_are_never_both_nothing(
    surge, unavailable, wanted, posts
):
    made = deployment(wanted, surge=surge, unavailable=unavailable)
    if posts is None:
        with pytest.raises(ValueError, match="neither a number nor a percentage"):
            fenceposts(made)
    else:
        assert fenceposts(made) == posts


def sized(name, size, created=0.0, before=None):
    annotations = {PREFIX + "max-replicas": str(before)} if before else {}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": at(created), "annotations": annotations},
        "spec": {"replicas": size},
        "status": {},
    }


@pytest.mark.parametrize(
    ("wanted", "before", "new", "old", "expected"),
    [
        # (new number, the old number, the new set's size, the old sets' sizes, what they get: new, old…)
        # Source: kubernetes pkg/controller/deployment/sync_test.go, TestScale
        (10, 10, 5, [5], [5, 5]),
        (12, 10, 10, [], [12]),
        (6, 10, 10, [], [6]),
        (15, 10, 5, [5, 0], None),
        (20, 10, None, [7, 3], [14, 6]),
        (5, 10, None, [5, 3, 2], None),
        (10, 5, 5, [0, 0], [10]),
    ],
)
def test_a_new_number_is_shared_in_proportion(wanted, before, new, old, expected):
    made = deployment(wanted, surge=0, unavailable=1)
    new_one = None if new is None else sized("new", new, 9, before)
    sets = [sized(f"old-{at_}", size, at_, before) for at_, size in enumerate(old)]
    found = {resize.replica_set["metadata"]["name"]: resize.size for resize in scale(made, sets, new_one)}
    sizes = {one["metadata"]["name"]: one["spec"]["replicas"] for one in [*sets, *([new_one] if new_one else [])]}
    after = sizes | found
    assert sum(after.values()) == wanted
    if expected is not None:
        assert [size for _, size in sorted(after.items()) if size] == expected


@pytest.mark.parametrize(
    ("wanted", "unavailable", "old", "new", "left"),
    [
        # (size, available) of the old set and the new one. Source: deployment/rolling_test.go, reconcileOldReplicaSets
        (10, 0, (10, 10), (0, 0), 10),
        (10, 2, (10, 10), (0, 0), 8),
        (10, 2, (10, 8), (0, 0), 8),
        (10, 2, (10, 9), (0, 0), 8),
        (10, 2, (8, 8), (2, 0), 8),
        # Pods that are not available go freely only while the new set's own do not count as missing.
        (3, 0, (3, 0), (1, 0), 3),
        (3, 0, (3, 0), (1, 1), 2),
        (3, 0, (3, 2), (1, 1), 2),
    ],
)
def test_old_pods_go_only_for_what_is_available_and_the_unhealthy_first(wanted, unavailable, old, new, left):
    def one(name, size, available):
        return {**sized(name, size), "status": {"availableReplicas": available}}

    made = deployment(wanted, surge=1, unavailable=unavailable)
    found = shrink_old_sets(made, [one("old", *old)], one("new", *new))
    assert [resize.size for resize in found] == ([left] if left != old[0] else [])


def test_a_share_is_never_more_than_what_is_left():
    """The leftover goes to the largest; none grows when others shrink."""
    made = deployment(5, surge=0, unavailable=1)
    sets = [sized("a", 5, 0, 10), sized("b", 3, 1, 10), sized("c", 2, 2, 10)]
    found = {resize.replica_set["metadata"]["name"]: resize.size for resize in scale(made, sets, None)}
    assert found == {"a": 2, "b": 2, "c": 1}


def test_only_as_many_old_sets_are_kept_as_are_asked_for_and_none_with_pods_goes():
    cluster = settled(deployment(revisionHistoryLimit=1))
    for image in ("v2", "v3", "v4"):
        cluster.set_image(image)
        cluster.settle()
    assert sorted(image_of(one) for one in cluster.sets.values()) == ["v3", "v4"]
    old = [one for one in cluster.sets.values() if image_of(one) == "v3"]
    cluster.deployment["spec"]["revisionHistoryLimit"] = 0
    assert forgotten(cluster.deployment, old) == old
    for keeps in ({"replicas": 1}, {"observedGeneration": 0}):
        unfinished = {**old[0], "status": {**old[0]["status"], **keeps}}
        assert forgotten(cluster.deployment, [unfinished]) == []
    cluster.deployment["spec"]["revisionHistoryLimit"] = 2**31 - 1
    assert forgotten(cluster.deployment, old) == []


def test_the_history_of_a_set_that_comes_back_again_and_again_stays_short():
    made = deployment()
    one = {**new_set(made, []), "status": {}}
    one["metadata"] = {**one["metadata"], "uid": "rs", "creationTimestamp": at(0)}
    for turn in range(1, 2000, 2):
        old = {"metadata": {"name": "o", "annotations": {PREFIX + "revision": str(turn + 1)}}}
        one = renewed(made, one, [old])
    history = one["metadata"]["annotations"][PREFIX + "revision-history"]
    assert len(history) <= 2000
    assert history.endswith((",1998", ",1999"))
    assert renewed(made, one, []) == one, "renewing twice changes nothing"


def test_an_annotation_of_the_deployment_reaches_its_set_and_kubectls_own_do_not():
    made = deployment()
    made["metadata"]["annotations"] = {
        "team": "a",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        PREFIX + "revision": "4",
    }
    assert new_set(made, [])["metadata"]["annotations"] == {
        "team": "a",
        PREFIX + "revision": "1",
        PREFIX + "desired-replicas": "3",
        PREFIX + "max-replicas": "4",
    }


def test_min_ready_seconds_reach_the_set():
    cluster = settled()
    cluster.set_spec(minReadySeconds=5)
    cluster.step_deployment()
    assert [one["spec"]["minReadySeconds"] for one in cluster.sets.values()] == [5]


def test_the_name_of_a_set_is_another_after_a_collision():
    made = deployment()
    first = new_set(made, [])["metadata"]["name"]
    made["status"] = {"collisionCount": 1}
    second = new_set(made, [])["metadata"]["name"]
    assert first.startswith("web-")
    assert second.startswith("web-")
    assert first != second


def test_the_revision_before_is_the_second_highest():
    def numbered(*numbers):
        return [{"metadata": {"annotations": {PREFIX + "revision": str(number)}}} for number in numbers]

    assert previous_revision(numbered(3, 1, 2)) == 2
    assert previous_revision(numbered(1)) == 0
    assert previous_revision([]) == 0


def test_a_set_that_does_not_count_terminating_pods_makes_the_sum_unknown():
    made = deployment()
    old = [{"metadata": {"name": "o"}, "spec": {"replicas": 0}, "status": {"terminatingReplicas": 2}}]
    new = {"metadata": {"name": "n"}, "spec": {"replicas": 3}, "status": {}}
    assert "terminatingReplicas" not in counted(made, {}, old, new, EPOCH)
    assert counted(made, {}, old, None, EPOCH)["terminatingReplicas"] == 2
