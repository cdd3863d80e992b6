"""Real kubectl, unchanged, on `watchcache serve`: every command, its exit code and what it prints.

Each test has a namespace of its own on one server, with TLS and the generated token. There are no controllers here, so what
they would write (a status, replica sets) is written by the tests.
"""

from __future__ import annotations

import base64
import json

import pytest

from tests.clients.kubectl import Kubectl
from tests.clients.manifests import KINDS, WIDGETS, Kind, deployment, widget

pytestmark = pytest.mark.slow

of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)


@pytest.fixture(autouse=True)
def _widgets(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", send=WIDGETS)
    kubectl("wait", "--for=condition=Established", "crd/widgets.shop.example.com", "--timeout=30s")


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# ---- what there is ---------------------------------------------------------------------------------------------------


def test_it_sees_which_version_and_which_resources_there_are(kubectl):
    assert "Server Version: v1.36." in kubectl("version")
    resources = kubectl("api-resources")
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in rows(resources)
    assert ["widgets", "wd", "shop.example.com/v1", "true", "Widget"] in rows(resources)
    assert {"v1", "apps/v1", "shop.example.com/v1"} <= set(kubectl("api-versions").split())
    assert "is running at https://127.0.0.1:" in kubectl("cluster-info")


def test_it_explains_kinds_and_their_fields(kubectl):
    assert "KIND:       Deployment" in kubectl("explain", "deployments")
    strategy = kubectl("explain", "deploy.spec.strategy.rollingUpdate.maxSurge")
    assert "FIELD: maxSurge <IntOrString>" in strategy
    assert "beyond those wanted" in strategy
    recursive = kubectl("explain", "pod.spec.containers", "--recursive")
    assert "containerPort\t<integer> -required-" in recursive
    told = kubectl("explain", "widgets.spec.color")
    assert "FIELD: color <string>" in told
    assert "Its color." in told
    assert "Something to sell." in kubectl("explain", "wd")
    assert 'field "nope" does not exist' in kubectl("explain", "pod.spec.nope", code=1).errors


def test_it_is_told_who_it_is_and_what_it_may(kubectl):
    assert kubectl("auth", "can-i", "delete", "pods") == "yes\n"
    assert "watchcache-admin" in kubectl("auth", "whoami")


# ---- reading ---------------------------------------------------------------------------------------------------------


@of_each_kind
def test_it_creates_gets_describes_and_deletes(kubectl, kind: Kind):
    assert kubectl("create", "-f", "-", send=kind.make("one", "red")) == f"{kind.shown}/one created\n"
    assert "AlreadyExists" in kubectl("create", "-f", "-", send=kind.make("one", "red"), code=1).errors
    header, row = rows(kubectl("get", kind.plural))
    assert tuple(header[: len(kind.columns)]) == kind.columns
    assert row[0] == "one"
    assert len(rows(kubectl("get", kind.plural, "-o", "wide"))) == 2
    assert kubectl("get", kind.plural, "-o", "name") == f"{kind.shown}/one\n"
    assert kind.value_in(kubectl.object(kind.plural, "one")) == "red"
    assert "kind: " in kubectl("get", kind.plural, "one", "-o", "yaml")
    assert f"Name:{' ' * 5}" in kubectl("describe", kind.plural, "one").replace("Name:         ", "Name:     ")
    assert f"{kind.shown.partition('.')[0]}" in kubectl("delete", kind.plural, "one")
    assert "NotFound" in kubectl("get", kind.plural, "one", code=1).errors
    assert "No resources found" in kubectl("get", kind.plural).errors


@of_each_kind
def test_it_selects_and_reads_in_pages(kubectl, kind: Kind):
    made = [kind.make(name, "red") for name in ("one", "three", "two")]
    made[1]["metadata"]["labels"]["app"] = "other"
    if kind.plural == "deployments":
        made[1]["spec"]["selector"]["matchLabels"]["app"] = "other"
        made[1]["spec"]["template"]["metadata"]["labels"]["app"] = "other"
    kubectl("create", "-f", "-", send=made)
    names = [row[0] for row in rows(kubectl("get", kind.plural, "--chunk-size=1"))]
    assert names == ["NAME", "one", "three", "two"]
    assert [row[0] for row in rows(kubectl("get", kind.plural, "-l", "app=shop", "--no-headers"))] == ["one", "two"]
    assert [row[0] for row in rows(kubectl("get", kind.plural, "-l", "app notin (shop)", "--no-headers"))] == ["three"]
    by_field = kubectl("get", kind.plural, "--field-selector=metadata.name=two", "--no-headers")
    assert [row[0] for row in rows(by_field)] == ["two"]
    assert len(rows(kubectl("get", kind.plural, "-A", "-l", "app", "--no-headers"))) >= 3
    assert len(kubectl.object(kind.plural)["items"]) == 3
    listed = kubectl("get", "all", "-o", "name").split()
    assert (f"{kind.shown}/one" in listed) is (kind.plural != "configmaps")


@of_each_kind
def test_it_watches(kubectl, kind: Kind):
    kubectl("create", "-f", "-", send=kind.make("one", "red"))
    with (
        kubectl.running("get", kind.plural, "--watch", "--output-watch-events") as watch,
        kubectl.running("get", kind.plural, "--watch-only", "-o", "name") as only,
        kubectl.running("get", kind.plural, "one", "-w", "-o", 'jsonpath={.metadata.labels.size}{"\\n"}') as label,
    ):
        watch.until("ADDED", "one")
        assert label.next() == ""
        kubectl("create", "-f", "-", send=kind.make("two", "red"))
        watch.until("ADDED", "two")
        kubectl("label", kind.plural, "one", "size=big")
        watch.until("MODIFIED", "one")
        assert label.until("big") == "big"
        kubectl("delete", kind.plural, "two")
        watch.until("DELETED", "two")
        # It says nothing of what was there when it began, and nothing says when that is.
        for number in range(50):
            kubectl("label", kind.plural, "one", f"number={number}", "--overwrite")
            if only.has_come(1.0):
                break
        only.until(f"{kind.shown}/one")


# ---- writing ---------------------------------------------------------------------------------------------------------


@of_each_kind
def test_it_applies_on_its_own_side(kubectl, kind: Kind):
    red, blue = kind.make("one", "red"), kind.make("one", "blue")
    assert kubectl("apply", "-f", "-", send=red) == f"{kind.shown}/one created\n"
    assert kubectl("apply", "-f", "-", send=red) == f"{kind.shown}/one unchanged\n"
    assert kubectl("diff", "-f", "-", send=red) == ""
    assert "blue" in kubectl("diff", "-f", "-", send=blue, code=1)
    dry = kubectl("apply", "--dry-run=server", "-f", "-", send=blue)
    assert dry == f"{kind.shown}/one configured (server dry run)\n"
    assert kind.value_in(kubectl.object(kind.plural, "one")) == "red"
    assert kubectl("apply", "-f", "-", send=blue) == f"{kind.shown}/one configured\n"
    assert kind.value_in(kubectl.object(kind.plural, "one")) == "blue"


@of_each_kind
def test_it_applies_on_the_servers_side(kubectl, kind: Kind):
    words = ("apply", "--server-side", "-f", "-")
    assert kubectl(*words, send=kind.make("one", "red")) == f"{kind.shown}/one serverside-applied\n"
    refused = kubectl(*words, "--field-manager=other", send=kind.make("one", "blue"), code=1).errors
    assert "Apply failed with 1 conflict" in refused
    assert kind.value_in(kubectl.object(kind.plural, "one")) == "red"
    kubectl(*words, "--field-manager=other", "--force-conflicts", send=kind.make("one", "blue"))
    found = kubectl.object(kind.plural, "one", "--show-managed-fields")
    assert kind.value_in(found) == "blue"
    managers = {entry["manager"]: entry["operation"] for entry in found["metadata"]["managedFields"]}
    assert managers == {"kubectl": "Apply", "other": "Apply"}


@of_each_kind
def test_it_patches_edits_and_replaces(kubectl, kind: Kind, tmp_path):
    kubectl("create", "-f", "-", send=kind.make("one", "red"))
    patch = json.dumps(kind.as_patch("blue"))
    if kind.is_custom:
        assert (
            "is not supported by shop.example.com/v1"
            in kubectl("patch", kind.plural, "one", "-p", patch, code=1).errors
        )
        kubectl("patch", kind.plural, "one", "--type=merge", "-p", patch)
    else:
        assert kubectl("patch", kind.plural, "one", "-p", patch) == f"{kind.shown}/one patched\n"
    assert kind.value_in(kubectl.object(kind.plural, "one")) == "blue"
    assert "(no change)" in kubectl("patch", kind.plural, "one", "--type=merge", "-p", "{}")
    steps = [
        {"op": "test", "path": "/metadata/name", "value": "one"},
        {"op": "replace", "path": kind.path, "value": "x/green"},
    ]
    kubectl("patch", kind.plural, "one", "--type=json", "-p", json.dumps(steps))
    found = kubectl.object(kind.plural, "one")
    assert kind.value_in(found) == "green"
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s,x/green,x/white, "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    assert kubectl("edit", kind.plural, "one", EDITOR=str(editor)) == f"{kind.shown}/one edited\n"
    found = kubectl.object(kind.plural, "one")
    assert kind.value_in(found) == "white"
    found["metadata"]["labels"]["size"] = "big"
    assert kubectl("replace", "-f", "-", send=found) == f"{kind.shown}/one replaced\n"
    assert "Conflict" in kubectl("replace", "-f", "-", send=found, code=1).errors
    assert kubectl.object(kind.plural, "one")["metadata"]["labels"]["size"] == "big"


@of_each_kind
def test_it_labels_and_annotates(kubectl, kind: Kind):
    kubectl("create", "-f", "-", send=kind.make("one", "red"))
    assert kubectl("label", kind.plural, "one", "size=big") == f"{kind.shown}/one labeled\n"
    assert "already has a value" in kubectl("label", kind.plural, "one", "size=small", code=1).errors
    kubectl("label", kind.plural, "one", "size-", "app=other", "--overwrite")
    assert kubectl("annotate", kind.plural, "one", "note=hello world") == f"{kind.shown}/one annotated\n"
    metadata = kubectl.object(kind.plural, "one")["metadata"]
    assert metadata["labels"] == {"app": "other"}
    assert metadata["annotations"]["note"] == "hello world"


@of_each_kind
def test_it_is_told_of_fields_that_nobody_knows(kubectl, kind: Kind):
    wrong = {**kind.make("one", "red"), "nope": 1}
    assert 'unknown field "nope"' in kubectl("create", "-f", "-", send=wrong, code=1).errors
    warned = kubectl("create", "--validate=warn", "-f", "-", send=wrong)
    assert 'Warning: unknown field "nope"' in warned.errors
    assert "nope" not in kubectl.object(kind.plural, "one")


@of_each_kind
def test_it_waits_for_a_value_and_for_an_end(kubectl, kind: Kind):
    held = kind.make("one", "red")
    held["metadata"]["finalizers"] = ["shop.example.com/hold"]
    kubectl("create", "-f", "-", send=held)
    with kubectl.running(
        "wait", f"{kind.plural}/one", "--for=jsonpath={.metadata.labels.size}=big", "--timeout=50s"
    ) as wait:
        kubectl("label", kind.plural, "one", "size=big")
        assert wait.next() == f"{kind.shown}/one condition met"
    kubectl("delete", kind.plural, "one", "--wait=false")
    assert kubectl.object(kind.plural, "one")["metadata"]["deletionTimestamp"]
    with (
        kubectl.running("wait", f"{kind.plural}/one", "--for=delete", "--timeout=50s") as wait,
        kubectl.running("delete", kind.plural, "one", "--timeout=50s") as delete,
    ):
        assert "deleted" in delete.next()
        kubectl("patch", kind.plural, "one", "--type=json", "-p", '[{"op":"remove","path":"/metadata/finalizers"}]')
        assert (wait.end(), delete.end()) == (0, 0)
    kubectl("get", kind.plural, "one", code=1)


@of_each_kind
def test_it_deletes_all(kubectl, kind: Kind):
    kubectl("create", "-f", "-", send=[kind.make(name, "red") for name in ("one", "two")])
    assert len(kubectl("delete", kind.plural, "--all").splitlines()) == 2
    assert kubectl("get", kind.plural, "-o", "name") == ""


OTHERS = [
    {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": {"pods": "2"}}},
    {"apiVersion": "v1", "kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "spec": {"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}},
    },
]


@pytest.mark.parametrize("made", OTHERS, ids=lambda made: made["kind"])
def test_kinds_without_rules_of_their_own_are_applied_and_patched_too(kubectl, made):
    """kubectl sends strategic merges of every kind that it was compiled with."""
    one = {**made, "metadata": {"name": "one"}}
    kubectl("apply", "-f", "-", send=one)
    labeled = {**made, "metadata": {"name": "one", "labels": {"a": "b"}}}
    assert kubectl("apply", "-f", "-", send=labeled).endswith("/one configured\n")
    assert kubectl("apply", "-f", "-", send=labeled).endswith("/one unchanged\n")
    kubectl("patch", made["kind"], "one", "-p", '{"metadata":{"labels":{"a":null,"c":"d"}}}')
    found = kubectl.object(made["kind"], "one")
    assert found["metadata"]["labels"] == {"c": "d"}
    assert found["spec"] == made["spec"]
    wrong = {**one, "spec": {**made["spec"], "nope": 1}}
    assert 'unknown field "spec.nope"' in kubectl("apply", "-f", "-", send=wrong, code=1).errors


# ---- workloads -------------------------------------------------------------------------------------------------------

CONDITIONS = [
    {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "it has enough"},
    {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "it has come"},
]


def roll_out(kubectl: Kubectl, name: str) -> None:
    """What a controller would write once all pods are there."""
    found = kubectl.object("deployment", name)
    wanted = found["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted)
    status = {"observedGeneration": found["metadata"]["generation"], "conditions": CONDITIONS, **counts}
    kubectl("patch", "deployment", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def test_it_scales(kubectl):
    kubectl("create", "-f", "-", send=[deployment("web", "red"), widget("one", "red")])
    assert kubectl("scale", "deployment", "web", "--replicas=5") == "deployment.apps/web scaled\n"
    assert kubectl.object("deployment", "web")["spec"]["replicas"] == 5
    kubectl("scale", "deployment", "web", "--replicas=1", "--current-replicas=4", code=1)
    assert kubectl("scale", "widget", "one", "--replicas=7") == "widget.shop.example.com/one scaled\n"
    assert kubectl.object("widget", "one")["spec"]["replicas"] == 7
    assert json.loads(kubectl("get", "widget", "one", "--subresource=scale", "-o", "json"))["spec"] == {"replicas": 7}


def test_it_follows_a_rollout(kubectl):
    kubectl("create", "-f", "-", send=deployment("web", "red"))
    with kubectl.running("rollout", "status", "deployment/web", "--timeout=50s") as status:
        assert "Waiting for deployment" in status.next()
        roll_out(kubectl, "web")
        status.until("successfully rolled out")
    assert kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=30s").endswith("condition met\n")
    assert kubectl("set", "image", "deployment/web", "main=registry.example/blue").endswith("image updated\n")
    late = kubectl("rollout", "status", "deployment/web", "--timeout=1s", code=1)
    assert "timed out waiting" in late + late.errors
    assert kubectl("rollout", "restart", "deployment/web").endswith("restarted\n")
    template = kubectl.object("deployment", "web")["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert kubectl("rollout", "pause", "deployment/web").endswith("paused\n")
    assert kubectl.object("deployment", "web")["spec"]["paused"] is True
    assert kubectl("rollout", "resume", "deployment/web").endswith("resumed\n")
    roll_out(kubectl, "web")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_it_goes_back_to_a_former_revision(kubectl):
    kubectl("create", "-f", "-", send=deployment("web", "blue"))
    kubectl("annotate", "deployment", "web", "deployment.kubernetes.io/revision=2")
    owner = kubectl.object("deployment", "web")
    for revision, value in ((1, "red"), (2, "blue")):
        kubectl("create", "-f", "-", send=replica_set(owner, revision, value))
    history = kubectl("rollout", "history", "deployment/web")
    assert [row[0] for row in rows(history) if row and row[0].isdigit()] == ["1", "2"]
    assert "registry.example/red" in kubectl("rollout", "history", "deployment/web", "--revision=1")
    assert kubectl("rollout", "undo", "deployment/web").endswith("rolled back\n")
    template = kubectl.object("deployment", "web")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "registry.example/red"


def replica_set(owner, revision: int, value: str):
    labels = {"app": "shop", "pod-template-hash": f"hash{revision}"}
    template = deployment("web", value)["spec"]["template"]
    reference = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"web-hash{revision}",
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [reference],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {"labels": labels}},
        },
    }


# ---- what is made without a file -------------------------------------------------------------------------------------

GENERATED = [
    (("deployment", "web", "--image=nginx", "--replicas=3", "--port=80"), "deployment", "web"),
    (("configmap", "settings", "--from-literal=a=b"), "configmap", "settings"),
    (("secret", "generic", "key", "--from-literal=a=b"), "secret", "key"),
    (("secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p"), "secret", "pull"),
    (("serviceaccount", "robot"), "serviceaccount", "robot"),
    (("job", "once", "--image=busybox", "--", "date"), "job", "once"),
    (("cronjob", "often", "--image=busybox", "--schedule=*/5 * * * *", "--", "date"), "cronjob", "often"),
    (("quota", "little", "--hard=pods=2,requests.cpu=1"), "quota", "little"),
    (("service", "clusterip", "inside", "--tcp=80:8080"), "service", "inside"),
    (("service", "nodeport", "outside", "--tcp=80"), "service", "outside"),
    (("service", "externalname", "far", "--external-name=example.com"), "service", "far"),
    (("poddisruptionbudget", "careful", "--selector=app=shop", "--min-available=50%"), "pdb", "careful"),
    (("ingress", "door", "--rule=shop.example/*=inside:80"), "ingress", "door"),
]


@pytest.mark.parametrize(
    ("words", "kind", "name"), GENERATED, ids=lambda value: "-" if isinstance(value, str) else value[0]
)
def test_it_makes_objects_of_words(kubectl, words, kind, name):
    assert kubectl("create", *words).endswith(f"/{name} created\n")
    found = kubectl.object(kind, name)
    assert found["metadata"]["name"] == name
    assert found["metadata"]["uid"]
    managers = kubectl.object(kind, name, "--show-managed-fields")["metadata"].get("managedFields", [])
    # Of a service account nothing was said but its name, which nobody manages.
    assert [entry["manager"] for entry in managers] == (["kubectl-create"] if kind != "serviceaccount" else [])
    assert "already exists" in kubectl("create", *words, code=1).errors


def test_what_it_makes_of_words_is_what_was_said(kubectl):
    kubectl("create", "secret", "generic", "key", "--from-literal=password=s3cret")
    assert base64.b64decode(kubectl.object("secret", "key")["data"]["password"]) == b"s3cret"
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=3", "--port=80")
    spec = kubectl.object("deployment", "web")["spec"]
    assert (spec["replicas"], spec["strategy"]["type"]) == (3, "RollingUpdate")
    assert spec["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    dry = json.loads(kubectl("create", "configmap", "a", "--dry-run=server", "-o", "json"))
    assert dry["metadata"]["name"] == "a"
    kubectl("get", "configmap", "a", code=1)


def test_it_runs_and_exposes(kubectl):
    assert kubectl("run", "shell", "--image=busybox", "--labels=app=shop") == "pod/shell created\n"
    assert kubectl("expose", "pod", "shell", "--port=80") == "service/shell exposed\n"
    assert kubectl.object("service", "shell")["spec"]["selector"] == {"app": "shop"}
    kubectl("create", "-f", "-", send=deployment("web", "red"))
    assert kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort") == "service/web exposed\n"
    assert kubectl.object("service", "web")["spec"]["ports"][0]["nodePort"] >= 30_000
    assert kubectl("set", "env", "deployment/web", "A=B").endswith("env updated\n")
    assert kubectl("set", "resources", "deployment/web", "--limits=cpu=1").endswith("resource requirements updated\n")


def test_a_namespace_goes_with_a_word(kubectl):
    kubectl("create", "namespace", f"{kubectl.namespace}-gone")
    kubectl("delete", "namespace", f"{kubectl.namespace}-gone", "--wait=false")
    assert "Terminating" in kubectl("get", "namespace", f"{kubectl.namespace}-gone")
    refused = kubectl("create", "configmap", "late", "-n", f"{kubectl.namespace}-gone", code=1).errors
    assert "because it is being terminated" in refused


# ---- what is not served ----------------------------------------------------------------------------------------------


def test_what_is_not_served_ends_with_a_clear_error(kubectl):
    kubectl("run", "shell", "--image=busybox")
    missing = "could not find the requested resource"
    assert missing in kubectl("logs", "shell", code=1).errors
    assert missing in kubectl("exec", "shell", "--", "date", code=1).errors
    assert missing in kubectl("create", "token", "default", code=1).errors
    assert "Metrics API not available" in kubectl("top", "pods", code=1).errors
    kubectl("create", "deployment", "web", "--image=nginx")
    assert "failed to create autoscaling/v2 HPA" in kubectl("autoscale", "deployment", "web", "--max=3", code=1).errors
    assert "the server doesn't have a resource type" in kubectl("get", "nothing", code=1).errors
