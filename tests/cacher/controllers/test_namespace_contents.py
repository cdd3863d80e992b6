"""What is left in a namespace that goes, in words and seconds."""

from __future__ import annotations

import json
from typing import Any

from cacher.controllers._metadata import Metadata
from cacher.controllers._namespace_contents import Report, conditions, left_of, longest_grace_s, without_kubernetes
from cacher.controllers._served import ServedResource

PODS, MAPS = ServedResource("v1", "pods", "Pod"), ServedResource("v1", "configmaps", "ConfigMap")
SETS = ServedResource("apps/v1", "replicasets", "ReplicaSet")
NOW = "2026-11-23T10:00:00Z"


def told(report: Report) -> dict[str, tuple[str, str, str]]:
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in conditions([], report, NOW)}


def test_nothing_left_is_told_as_recorded():
    report = Report("doomed")
    assert report.is_empty
    assert told(report) == {
        "NamespaceDeletionDiscoveryFailure": (
            "False",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        "NamespaceDeletionGroupVersionParsingFailure": (
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        "NamespaceDeletionContentFailure": (
            "False",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        "NamespaceContentRemaining": ("False", "ContentRemoved", "All content successfully removed"),
        "NamespaceFinalizersRemaining": (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    }


def test_what_should_be_gone_and_is_not_is_a_failure_as_recorded():
    left = left_of(PODS, [Metadata(name="p")], pods_s=-0.1)
    assert left is not None
    report = Report("doomed-a", (left,))
    assert not report.is_empty
    assert told(report)["NamespaceDeletionContentFailure"] == (
        "True",
        "ContentDeletionFailed",
        "Failed to delete all resource types, 1 remaining: unexpected items still remain in namespace: doomed-a "
        "for gvr: /v1, Resource=pods",
    )
    assert told(report)["NamespaceContentRemaining"][0] == "False"
    assert report.wait_s == 1


def test_what_takes_its_time_is_counted_and_waited_for():
    left = left_of(PODS, [Metadata(name="p"), Metadata(name="q")], pods_s=25.0)
    assert left is not None
    report = Report("doomed", (left,))
    assert told(report)["NamespaceContentRemaining"] == (
        "True",
        "SomeResourcesRemain",
        "Some resources are remaining: pods. has 2 resource instances",
    )
    assert report.wait_s == 13.5


def test_finalizers_are_counted_over_all_resources():
    held = [Metadata(name="a", finalizers=("x.com/a", "x.com/b")), Metadata(name="b", finalizers=("x.com/a",))]
    left = tuple(one for one in (left_of(MAPS, held), left_of(SETS, held[:1])) if one is not None)
    report = Report("doomed", left)
    assert told(report)["NamespaceFinalizersRemaining"][2] == (
        "Some content in the namespace has finalizers remaining: "
        "x.com/a in 3 resource instances, x.com/b in 2 resource instances"
    )
    assert told(report)["NamespaceContentRemaining"][2] == (
        "Some resources are remaining: configmaps. has 2 resource instances, replicasets.apps has 1 resource instances"
    )
    assert report.wait_s == 8.5


def test_failures_are_told_with_the_rest():
    report = Report("doomed", (), ("pods.: no", "secrets.: neither"))
    assert not report.is_empty
    assert told(report)["NamespaceDeletionContentFailure"][2] == (
        "Failed to delete all resource types, 2 remaining: [pods.: no, secrets.: neither]"
    )


def test_nothing_is_nothing_and_what_is_told_again_keeps_its_time():
    assert left_of(MAPS, []) is None
    first = conditions([], Report("doomed"), NOW)
    assert conditions(first, Report("doomed"), "later") == first


def test_the_longest_grace_of_pods_that_are_not_over():
    def pod(seconds: int | None, phase: str = "Running") -> bytes:
        return json.dumps({"spec": {"terminationGracePeriodSeconds": seconds}, "status": {"phase": phase}}).encode()

    assert longest_grace_s([pod(5), pod(30, "Succeeded"), pod(None), pod(7)]) == 7
    assert longest_grace_s([]) == 0


def test_only_its_own_finalizer_is_taken():
    namespace: dict[str, Any] = {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes", "example.com/mine"]}}
    assert without_kubernetes(namespace)["spec"]["finalizers"] == ["example.com/mine"]
    assert namespace["spec"]["finalizers"] == ["kubernetes", "example.com/mine"]
