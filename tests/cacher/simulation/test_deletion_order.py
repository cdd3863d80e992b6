"""Claims about the order in which things go: histories that break each of them, and the recorded ones, which break none."""

from __future__ import annotations

import msgspec
import pytest

from cacher.simulation import deletion_order, find_trace, load_trace, object_changes

MAPS = "/registry/configmaps/a/"
NAMESPACE = "/registry/namespaces/a"


def stored(name, *, owner="", finalizers=(), going=False, namespace="a", kind="ConfigMap", blocks=True, uid=""):
    metadata = {"name": name, "uid": uid or f"uid-{name}"}
    if namespace:
        metadata["namespace"] = namespace
    if owner:
        metadata["ownerReferences"] = [{"uid": f"uid-{owner}", "blockOwnerDeletion": blocks}]
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    if going:
        metadata["deletionTimestamp"] = "now"
    return msgspec.json.encode({"kind": kind, "metadata": metadata})


def kept(*events):
    return deletion_order({}, [(number, key, value) for number, (key, value) in enumerate(events, 1)])


GOING_ROOT = (MAPS + "root", stored("root", finalizers=["foregroundDeletion"], going=True))
ORPHANING_ROOT = (MAPS + "root", stored("root", finalizers=["orphan"], going=True))
CHILD = (MAPS + "child", stored("child", owner="root"))
FREE_CHILD = (MAPS + "child", stored("child"))
GOING_NAMESPACE = (NAMESPACE, stored("a", namespace="", kind="Namespace", going=True))


def gone(key):
    return (key, b"")


HISTORIES = {
    "children before their owner": ("foreground", [GOING_ROOT, CHILD, gone(MAPS + "child"), gone(MAPS + "root")], True),
    "an owner before its child": ("foreground", [GOING_ROOT, CHILD, gone(MAPS + "root")], False),
    "a child that does not block": (
        "foreground",
        [GOING_ROOT, (MAPS + "child", stored("child", owner="root", blocks=False)), gone(MAPS + "root")],
        True,
    ),
    "a child that was let go": ("foreground", [GOING_ROOT, CHILD, FREE_CHILD, gone(MAPS + "root")], True),
    "the last finalizer": (
        "finalizers",
        [(MAPS + "x", stored("x", finalizers=["one"], going=True)), gone(MAPS + "x")],
        True,
    ),
    "one of two finalizers": (
        "finalizers",
        [(MAPS + "x", stored("x", finalizers=["one", "two"], going=True)), gone(MAPS + "x")],
        False,
    ),
    "held and never marked": ("finalizers", [(MAPS + "x", stored("x", finalizers=["one"])), gone(MAPS + "x")], False),
    "orphans first": ("orphans", [ORPHANING_ROOT, CHILD, FREE_CHILD, gone(MAPS + "root")], True),
    "orphans that still name it": ("orphans", [ORPHANING_ROOT, CHILD, gone(MAPS + "root")], False),
    "a namespace last": ("namespace", [FREE_CHILD, GOING_NAMESPACE, gone(MAPS + "child"), gone(NAMESPACE)], True),
    "a namespace before its content": ("namespace", [FREE_CHILD, GOING_NAMESPACE, gone(NAMESPACE)], False),
    "something new in a namespace that goes": ("namespace", [GOING_NAMESPACE, FREE_CHILD], False),
    "an event in a namespace that goes": (
        "namespace",
        [GOING_NAMESPACE, ("/registry/events/a/e", stored("e")), gone(NAMESPACE)],
        True,
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_keeps_its_claim_or_is_convicted(name):
    claim, events, holds = HISTORIES[name]
    found = kept(*events)
    assert found.tested[claim] >= 1
    assert (not found.broken) is holds, found.broken
    assert all(line.startswith(claim) for line in found.broken)


def test_a_name_that_is_made_again_is_another_object():
    """Its former life is over with the write of the new one, as far as anybody sees."""
    found = kept(
        (MAPS + "x", stored("x", finalizers=["one", "two"], going=True)), (MAPS + "x", stored("x", uid="other"))
    )
    assert len(found.broken) == 1


def test_changes_tell_what_was_there_before_and_pass_by_what_is_no_object():
    start = {MAPS + "x": stored("x"), "/registry/ranges/y": b"k8s\x00binary"}
    events = [(5, MAPS + "x", b""), (6, "/registry/ranges/y", b"\x00"), (7, "/registry/z", b"[]")]
    [change] = object_changes(start, events)
    assert (change.revision, change.key, change.after) == (5, MAPS + "x", None)
    assert change.before is not None
    assert change.before["metadata"]["name"] == "x"


@pytest.mark.parametrize(("name", "least"), [("rollout", 0), ("finalizers-and-gc", 4)])
def test_what_was_recorded_keeps_every_claim(name, least):
    trace = load_trace(find_trace(name))
    start = {kv.key.decode(): kv.value for kv in trace.snapshot.kvs}
    found = deletion_order(start, ((event.revision, event.key, event.value) for event in trace.events))
    assert found.broken == ()
    assert all(count >= least for count in found.tested.values())
