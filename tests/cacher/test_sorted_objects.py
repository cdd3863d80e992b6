"""Objects in chunks, against a dict that is sorted at every look."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cacher._sorted_objects as module
from cacher._sorted_objects import SortedObjects
from watch import Object


@pytest.fixture(autouse=True, scope="module")
def short_chunks():
    """Chunks of 4, so that a few dozen keys split and join them; and few may wait to be put in."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "CHUNK", 4)
        patched.setattr(module, "RENEWED_MAX", 5)
        patched.setattr(module, "OVERLAID", 2)
        yield


def obj(key: str, revision: int = 1) -> Object:
    return Object(key, revision, b"{}")


KEYS = st.integers(0, 60).map(lambda number: f"/p/{number:02}")
BOUNDS = st.sampled_from(["", "/p/", "/p/00", "/p/17", "/p/17\0", "/p/30", "/p/60", "/p/99", "/q"])


@pytest.mark.slow
@settings(max_examples=200)
@given(
    first=st.sets(KEYS), changes=st.lists(st.tuples(KEYS, st.sampled_from(["put", "renew", "remove"])), max_size=120),
    asked=st.lists(st.tuples(BOUNDS, BOUNDS, st.integers(0, 9)), min_size=1, max_size=8),
)  # fmt: skip
def test_whatever_comes_and_goes_a_range_is_what_a_sorted_dict_has(first, changes, asked):
    held = {key: obj(key) for key in first}
    objects = SortedObjects([held[key] for key in sorted(held)])
    for revision, (key, what) in enumerate(changes, start=2):
        if what == "put" or (what == "renew" and key not in held):
            held[key] = obj(key, revision)
            objects.put(held[key])
        elif what == "renew":
            held[key] = obj(key, revision)
            objects.renew(held[key])
        elif key in held:
            del held[key]
            objects.remove(key)
        else:
            with pytest.raises(KeyError):
                objects.remove(key)
        objects._check()
    every = [held[key] for key in sorted(held)]
    for start, end, most in asked:
        expected = [each for each in every if start <= each.key < end]
        assert objects.between(start, end, most) == expected[: most or None]
        assert objects.count(start, end) == len(expected)
    assert list(objects) == every


def test_what_is_renewed_waits_for_a_reader_and_never_in_great_number():
    objects = SortedObjects([obj(f"/p/{number:02}") for number in range(20)])
    for turn in range(2, 50):
        objects.renew(obj("/p/07", turn))
        assert len(objects._renewed) == 1, "one key written often is looked up once"
    for number in range(20):
        objects.renew(obj(f"/p/{number:02}", 50))
        assert len(objects._renewed) < module.RENEWED_MAX
    for number in range(3):
        objects.renew(obj(f"/p/{number:02}", 50))
    waiting = len(objects._renewed)
    assert [each.revision for each in objects.between("/p/03", "/p/07")] == [50] * 4
    assert len(objects._renewed) == waiting, "a short list does not pay for what was written elsewhere"
    assert [each.revision for each in objects.between("/p/", "/q")] == [50] * 20
    assert not objects._renewed


def test_what_is_returned_is_the_callers_to_change():
    objects = SortedObjects([obj(f"/p/{number:02}") for number in range(3)])
    objects.between("", "/q").clear()
    assert len(objects.between("", "/q")) == 3


@pytest.mark.parametrize("upwards", [True, False])
def test_chunks_stay_few_and_short_in_whatever_order_keys_come_and_go(upwards):
    objects = SortedObjects()
    order = range(200) if upwards else range(199, -1, -1)
    for number in order:
        objects.put(obj(f"/p/{number:03}"))
    objects._check()
    assert len(objects._keys) <= 200 / 3
    for number in order:
        if number % 20:
            objects.remove(f"/p/{number:03}")
    objects._check()
    assert len(objects._keys) <= 10
    assert [each.key for each in objects] == [f"/p/{number:03}" for number in range(0, 200, 20)]


def test_a_key_that_is_put_again_is_kept_once_as_the_objects_own():
    """Two equal texts of a key would be kept for as long as the object is updated."""
    first, again = obj("".join(["/p/", "a"])), obj("".join(["/p/", "a"]), 2)
    objects = SortedObjects([first])
    objects.put(again)
    assert objects._keys[0][0] is again.key


def test_the_self_check_finds_an_object_beside_anothers_key():
    objects = SortedObjects([obj("/p/a"), obj("/p/b")])
    objects._objects[0].reverse()
    with pytest.raises(AssertionError, match="beside its own key"):
        objects._check()
