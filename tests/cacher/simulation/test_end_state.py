"""End states are alike where the same was done, whatever it was called, and differ where something else was."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cacher.simulation._acts import EndState
from cacher.simulation._end_state import agreed, end_state
from cacher.simulation._history import History, StoreChange, StoreHistory
from cacher.simulation.judges import difference
from watch import ObjectReader

SETS, PODS = "/registry/replicasets/", "/registry/pods/"


class Story:
    """Objects as they come and go in one run, whose uids and made-up names begin with `chance`."""

    def __init__(self, chance: str, time: str = "2026-01-01T00:00:00Z") -> None:
        self.chance = chance
        self.time = time
        self.history = History({}, [], [], 1, {})
        self._revision = 1

    def write(self, prefix: str, name: str, uid: str, *, owner: str = "", made_up: bool = False, **more: Any) -> None:
        metadata: dict[str, Any] = {"uid": f"{self.chance}-{uid}", "creationTimestamp": self.time, "namespace": "a"}
        metadata["name"] = f"{name}{self.chance}{uid}" if made_up else name
        if made_up:
            metadata["generateName"] = name
        if owner:
            metadata["ownerReferences"] = [{"uid": f"{self.chance}-{owner}", "controller": True}]
        raw = msgspec.json.encode({"metadata": metadata, **more})
        key = f"{prefix}a/{metadata['name']}"
        self._change(prefix, key, raw)

    def delete(self, prefix: str, name: str) -> None:
        self._change(prefix, f"{prefix}a/{name}", None)

    def _change(self, prefix: str, key: str, raw: bytes | None) -> None:
        self._revision += 1
        store = self.history.stores.setdefault(prefix, StoreHistory(prefix, 1, {}, []))
        obj = ObjectReader().read(key, raw, self._revision) if raw is not None else None
        store.changes.append(StoreChange(self._revision, key, obj))

    def end(self) -> EndState:
        return end_state(self.history)


def told(chance: str, *, time: str = "2026-01-01T00:00:00Z", image: str = "x", swapped: bool = False) -> EndState:
    story = Story(chance, time)
    story.write(SETS, "web", "s1", spec={"replicas": 2})
    pods = ["p1", "p2"]
    for number, uid in enumerate(reversed(pods) if swapped else pods):
        story.write(PODS, "web-", uid, owner="s1", made_up=True, spec={"image": image, "rank": number})
    story.write(PODS, "by-hand", "p3", spec={"follows": f"{chance}-s1", "since": time})
    return story.end()


def test_uids_made_up_names_and_times_make_no_difference():
    one, other = told("abc"), told("xyz", time="2027-05-05T05:05:05Z", swapped=True)
    assert difference(one, other) == []
    assert one == other
    assert list(one.objects) == [
        "/registry/pods/a/by-hand",
        "/registry/replicasets/a/web",
        "/registry/replicasets/a/web/pods~0",
        "/registry/replicasets/a/web/pods~1",
    ]
    assert one.creations["/registry/replicasets/a/web/pods"] == 2


def test_everything_else_does():
    (first, *_) = difference(told("abc"), told("abc", image="y"))
    assert first.startswith("/registry/replicasets/a/web/pods~0 is {")


def test_an_object_that_is_missing_or_too_many_is_told():
    story = Story("abc")
    story.write(PODS, "one", "p1")
    with_one = story.end()
    story.write(PODS, "two", "p2")
    assert difference(story.end(), with_one)[0] == "/registry/pods/a/two is missing"
    assert difference(with_one, story.end())[0] == "/registry/pods/a/two is there, and should not be"


def test_the_way_counts_where_the_end_is_the_same():
    """As Sieve's second oracle: deleted and made again, the object is there as before."""
    straight, detour = Story("abc"), Story("abc")
    for story in (straight, detour):
        story.write(PODS, "one", "p1")
    detour.delete(PODS, "one")
    detour.write(PODS, "one", "p9")
    assert difference(straight.end(), detour.end()) == [
        "/registry/pods/a/one was created 2 times, and 1 in the reference",
        "/registry/pods/a/one was deleted 1 times, and 0 in the reference",
    ]


def test_who_points_at_an_object_that_is_gone_is_told_from_who_points_at_its_successor():
    def points_at(uid: str) -> EndState:
        story = Story("abc")
        story.write(SETS, "web", "s1")
        story.delete(SETS, "web")
        story.write(SETS, "web", "s2")
        story.write(PODS, "one", "p1", owner=uid)
        return story.end()

    assert difference(points_at("s2"), points_at("s2")) == []
    assert difference(points_at("s2"), points_at("s1"))[0].startswith("/registry/pods/a/one is {")


@pytest.mark.parametrize("prefix", ["/registry/events/", "/registry/leases/"])
def test_what_is_about_moments_is_left_out(prefix: str):
    story = Story("abc")
    story.write(prefix, "one", "e1")
    assert story.end() == EndState({}, {}, {})


def test_what_two_faultless_runs_do_not_agree_on_is_marked_and_not_compared():
    reference = agreed(told("abc"), told("abc", image="y"))
    assert reference.unstable == ("/registry/replicasets/a/web/pods~0", "/registry/replicasets/a/web/pods~1")
    assert difference(reference, told("abc", image="z")) == []


def test_owners_in_a_ring_name_nobody_and_harm_nobody():
    story = Story("abc")
    story.write(PODS, "a-", "p1", owner="p2", made_up=True)
    story.write(PODS, "b-", "p2", owner="p1", made_up=True)
    assert len(story.end().objects) == 2
