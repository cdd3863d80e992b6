"""`watchcache serve --controllers`: a cluster that lives in one process, seen by kubectl alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.found import kubectl_params
from tests.clients.kubectl import Kubectl
from tests.clients.served import Served, open_served

pytestmark = pytest.mark.slow

ROLLED_OUT = ("rollout", "status", "deployment/web", "--timeout=55s")


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_served(tmp_path_factory.mktemp("living"), "--controllers") as server:
        yield server


@pytest.fixture(params=kubectl_params(), ids=str)
def lively(request: pytest.FixtureRequest, living: Served, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """A kubectl in a namespace of its own, and every node ready."""
    namespace = f"with-{request.param.version.replace('.', '-')}"
    tool = Kubectl(request.param.path, living.kubeconfig, tmp_path_factory.mktemp("home"), namespace)
    tool("wait", "nodes", "--all", "--for=condition=Ready", "--timeout=55s")
    tool("create", "namespace", namespace)
    return tool


def images(kubectl: Kubectl) -> set[str]:
    pods = kubectl.object("pods", "-l", "app=web", "--field-selector=status.phase=Running")["items"]
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"]["containers"][0]["image"] for pod in alive}


def test_a_deployment_rolls_out_grows_changes_goes_back_and_goes_with_its_namespace(lively):
    lively("create", "deployment", "web", "--image=nginx:1", "--replicas=3")
    assert "successfully rolled out" in lively(*ROLLED_OUT)
    lively("scale", "deployment", "web", "--replicas=50")
    assert "successfully rolled out" in lively(*ROLLED_OUT)
    row = lively("get", "deployment", "web", "--no-headers").split()
    assert row[:4] == ["web", "50/50", "50", "50"]
    lively("set", "image", "deployment/web", "nginx=nginx:2")
    assert "successfully rolled out" in lively(*ROLLED_OUT)
    assert images(lively) == {"nginx:2"}
    lively("rollout", "undo", "deployment/web")
    assert "successfully rolled out" in lively(*ROLLED_OUT)
    assert images(lively) == {"nginx:1"}
    lively("delete", "deployment", "web")
    lively("wait", "pods", "-l", "app=web", "--for=delete", "--timeout=55s")
    assert lively("get", "replicasets", "-o", "name") == ""
    lively("create", "configmap", "left", "--from-literal=a=b")
    lively("delete", "namespace", lively.namespace, "--timeout=55s")
    assert "NotFound" in lively("get", "namespace", lively.namespace, code=1).errors
