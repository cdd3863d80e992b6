"""A cluster that Kubernetes' own controllers left at rest is at rest for ours: they would write nothing, and say the same of it.

The states are those before and after the recorded scenarios, when nothing had happened for seconds.
"""

from __future__ import annotations

import pytest

from cacher.controllers._deployment_decision import plan_deployment
from cacher.controllers._deployment_revisions import find_new, new_set
from cacher.controllers._replica_set_decision import plan_replica_set, replica_set_status
from cacher.controllers._times import unix_of
from cacher.controllers._workload_pods import view_of
from tests.cacher.controllers import recorded

NAMES = ["rollout", "finalizers-and-gc"]
NOW = unix_of("2026-11-23T11:00:00Z")


def states(name):
    return [recorded.start(name), recorded.end(name)]


@pytest.mark.parametrize("name", NAMES)
def test_a_deployment_at_rest_needs_nothing(name):
    seen = 0
    for state in states(name):
        sets, pods = recorded.of(state, "replicasets"), recorded.of(state, "pods")
        for deployment in recorded.of(state, "deployments"):
            own = recorded.owned(sets, deployment)
            views = [view_of(pod) for one in own for pod in recorded.owned(pods, one)]
            plan = plan_deployment(deployment, own, views, NOW)
            assert (plan.create, plan.update, plan.delete, plan.status, plan.again_in_s) == (None, (), (), None, None)
            seen += 1
    assert seen >= 8


@pytest.mark.parametrize("name", NAMES)
def test_a_replica_set_at_rest_needs_nothing_and_its_status_is_as_recorded(name):
    seen = 0
    for state in states(name):
        pods = recorded.of(state, "pods")
        for one in recorded.of(state, "replicasets"):
            own = [view_of(pod) for pod in recorded.owned(pods, one)]
            plan = plan_replica_set(one, own, own, NOW)
            assert not plan.create
            assert not plan.delete
            assert replica_set_status(one, own, NOW) == one["status"]
            seen += 1
    assert seen >= 8


@pytest.mark.parametrize("name", NAMES)
def test_the_set_that_is_made_for_a_template_is_the_recorded_one_but_for_its_hash(name):
    """Each ReplicaSet when Kubernetes made it, against what is made here for the deployment as it then was."""
    state = recorded.start(name)
    compared = 0
    for change in recorded.changes(name):
        if change.key.startswith("/registry/replicasets/") and change.old is None:
            assert change.new is not None
            [reference] = change.new["metadata"]["ownerReferences"]
            namespace = change.new["metadata"]["namespace"]
            deployment = state[f"/registry/deployments/{namespace}/{reference['name']}"]
            siblings = recorded.owned(recorded.of(state, "replicasets"), deployment)
            assert find_new(deployment, siblings) is None
            assert _unhashed(new_set(deployment, siblings)) == _unhashed(change.new)
            compared += 1
        if change.new is None:
            state.pop(change.key, None)
        else:
            state[change.key] = change.new
    assert compared >= 6


def _unhashed(one):
    """Without what the API adds, and with every hash as HASH."""
    text = one["metadata"]["labels"]["pod-template-hash"]
    metadata = {
        key: value
        for key, value in one["metadata"].items()
        if key not in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
    }
    return _replaced({"metadata": metadata, "spec": one["spec"]}, text)


def _replaced(value, text):
    if isinstance(value, dict):
        return {key: _replaced(one, text) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, text) for one in value]
    return value.replace(text, "HASH") if isinstance(value, str) else value
