"""What holds in every rollout, whoever acts first, and whatever users and pods do in the middle of it."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.controllers import _deployment_sizes as sizes
from tests.cacher.controllers.objects import deployment
from tests.cacher.controllers.small_cluster import SmallCluster

IMAGES = ["v1", "v2", "v3"]
SHARES = st.one_of(st.integers(0, 4), st.sampled_from(["0%", "10%", "25%", "50%", "100%"]))

ACTIONS = st.one_of(
    st.tuples(st.just("deployment")),
    st.tuples(st.just("deployment")),
    st.tuples(st.just("set"), st.integers(0, 5)),
    st.tuples(st.just("set"), st.integers(0, 5)),
    st.tuples(st.just("ready"), st.integers(0, 20)),
    st.tuples(st.just("ready"), st.integers(0, 20)),
    st.tuples(st.just("unready"), st.integers(0, 20)),
    st.tuples(st.just("die"), st.integers(0, 20)),
    st.tuples(st.just("image"), st.sampled_from(IMAGES)),
    st.tuples(st.just("scale"), st.integers(0, 9)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("undo")),
    st.tuples(st.just("wait"), st.integers(1, 400)),
)


@st.composite
def deployments(draw):
    recreate = draw(st.integers(0, 4)) == 0
    made = deployment(
        draw(st.integers(0, 8)),
        surge=draw(SHARES),
        unavailable=draw(SHARES),
        revisionHistoryLimit=draw(st.integers(0, 3)),
    )
    if recreate:
        made["spec"]["strategy"] = {"type": "Recreate"}
    return made


def act(cluster, action):
    """Whoever is named does it; a step of the deployment is held to what a step may do."""
    kind, *rest = action
    sets, pods = list(cluster.sets), list(cluster.pods)
    match kind:
        case "deployment":
            checked_step(cluster)
        case "set" if sets:
            cluster.step_set(sets[rest[0] % len(sets)])
        case "ready" if pods:
            cluster.pods[pods[rest[0] % len(pods)]]["ready"] = True
        case "unready" if pods:
            cluster.pods[pods[rest[0] % len(pods)]]["ready"] = False
        case "die" if pods:
            del cluster.pods[pods[rest[0] % len(pods)]]
        case "image":
            cluster.set_image(rest[0])
        case "scale":
            cluster.set_spec(replicas=rest[0])
        case "pause":
            cluster.set_spec(paused=rest[0])
        case "undo" if not cluster.deployment["spec"].get("paused"):
            cluster.undo()
        case "wait":
            cluster.now += rest[0]


def checked_step(cluster):
    before = dict(cluster.sets)
    wanted = cluster.deployment["spec"]["replicas"]
    is_scaling = sizes.is_scaling(cluster.deployment, list(before.values()))
    most = wanted + sizes.max_surge(cluster.deployment)
    must_have = wanted - sizes.max_unavailable(cluster.deployment)
    highest, former = cluster.revision(), cluster.revision()
    highest = max([highest, *(int(one["metadata"]["annotations"][REVISION]) for one in before.values())])

    cluster.step_deployment()

    after = cluster.sets
    total = sum(one["spec"]["replicas"] for one in after.values())
    assert total <= max(most, sum(one["spec"]["replicas"] for one in before.values())), "more than maxSurge"
    if sizes.is_rolling(cluster.deployment) and not is_scaling and not cluster.deployment["spec"].get("paused"):
        seen = sum(available(one) for one in before.values())
        kept = sum(min(available(one), after[uid]["spec"]["replicas"]) for uid, one in before.items() if uid in after)
        assert kept >= min(seen, must_have), "fewer than must be available"
    if cluster.revision() != former:
        assert cluster.revision() >= highest, "a revision went back"
    numbers = [int(one["metadata"]["annotations"][REVISION]) for one in after.values()]
    assert len(set(numbers)) == len(numbers), "two sets with one revision"
    assert all(one["spec"]["replicas"] >= 0 for one in after.values())
    status = cluster.deployment["status"]
    for part in ("updatedReplicas", "readyReplicas", "availableReplicas"):
        assert status.get(part, 0) <= status.get("replicas", 0)


REVISION = "deployment.kubernetes.io/revision"


def available(one):
    return min(one["status"].get("availableReplicas", 0), one["spec"]["replicas"])


@given(deployments(), st.lists(ACTIONS, max_size=60))
@settings(max_examples=150)
def test_no_step_takes_more_than_surge_and_availability_allow_and_revisions_grow(made, actions):
    cluster = SmallCluster(made)
    for action in actions:
        act(cluster, action)


@given(deployments(), st.lists(ACTIONS, max_size=40))
@settings(max_examples=100)
def test_whatever_happened_it_ends_with_the_new_set_alone_if_pods_start(made, actions):
    cluster = SmallCluster(made)
    for action in actions:
        act(cluster, action)
    cluster.set_spec(paused=False)
    cluster.settle()
    wanted = cluster.deployment["spec"]["replicas"]
    image = cluster.deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert cluster.sizes() == ({image: wanted} if wanted else {})
    assert cluster.condition("Progressing") == ("True", "NewReplicaSetAvailable")
    assert cluster.condition("Available") == ("True", "MinimumReplicasAvailable")
    assert len(cluster.sets) <= 1 + cluster.deployment["spec"]["revisionHistoryLimit"]
    status = cluster.deployment["status"]
    assert status["observedGeneration"] == cluster.deployment["metadata"]["generation"]
    assert [status.get(part, 0) for part in ("replicas", "updatedReplicas", "availableReplicas")] == [wanted] * 3


@given(deployments(), st.lists(ACTIONS, max_size=30))
@settings(max_examples=60)
def test_a_decision_changes_nothing_that_it_was_handed_and_is_the_same_again(made, actions):
    cluster = SmallCluster(made)
    for action in actions:
        act(cluster, action)
    before = msgspec.json.encode([cluster.deployment, cluster.sets])
    assert cluster.plan() == cluster.plan()
    assert msgspec.json.encode([cluster.deployment, cluster.sets]) == before


@given(st.integers(1, 8), SHARES, SHARES, st.lists(st.booleans(), max_size=12))
@settings(max_examples=100)
def test_a_new_set_whose_pods_never_become_ready_takes_no_more_than_may_be_unavailable(
    wanted, surge, unavailable, order
):
    """The old pods that availability demands are still there, however long it goes on."""
    cluster = SmallCluster(deployment(wanted, surge=surge, unavailable=unavailable))
    cluster.settle()
    cluster.set_image("bad")
    for first_deployment in order:
        (cluster.step_deployment if first_deployment else lambda: None)()
        for uid in list(cluster.sets):
            cluster.step_set(uid)
    cluster.settle(pods_start=False)
    ready = sum(one["ready"] for one in cluster.pods.values())
    assert ready >= wanted - sizes.max_unavailable(cluster.deployment)
    assert len(cluster.pods) <= wanted + sizes.max_surge(cluster.deployment)
