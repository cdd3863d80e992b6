"""Store: what each step changed, whole or not at all; and its indexes, against what can be read off its objects."""

from __future__ import annotations

import json
from random import Random

import pytest
import trio
import trio.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reflector import (
    Changes,
    IndexFunctionFailed,
    Reflector,
    Replacement,
    Store,
    StoreChange,
    UnknownIndex,
    by_field,
    by_label,
    object_key,
)
from tests.reflector.scripted import ScriptedSource, deleted, obj, page, put
from watch import Event, EventType, Object, ObjectReader

READER = ObjectReader(["spec.nodeName"])


def pod(name, revision, *, namespace="a", uid="", node="", labels=None):
    metadata = {"name": name, "namespace": namespace, "uid": uid, "labels": labels or {}}
    raw = json.dumps({"metadata": metadata, "spec": {"nodeName": node} if node else {}}).encode()
    return READER.read(f"/registry/pods/{namespace}/{name}", raw, revision)


def listed(revision, *objects):
    return Replacement(objects, revision, ())


def happened(revision, *events):
    return Changes(tuple(Event(EventType(kind), each, revision) for kind, each in events), revision)


def told(changes):
    """What changes say, in short: kind, name, revisions of old and new."""
    return [
        (change.kind.value, change.key, change.old and change.old.revision, change.new and change.new.revision)
        for change in changes
    ]


# ---- replace -------------------------------------------------------------------------------------------------------


def test_replace_tells_deletions_first_and_then_the_others_as_they_were_listed():
    """[9.5 TestReplaceEvents] [9.5 TestDeltaFIFO_ReplaceMakesDeletions]"""
    store = Store()
    assert told(store.replace(listed(5, pod("x", 1), pod("y", 2), pod("z", 3)))) == [
        ("ADDED", "a/x", None, 1),
        ("ADDED", "a/y", None, 2),
        ("ADDED", "a/z", None, 3),
    ]
    changes = store.replace(listed(9, pod("new", 8), pod("z", 7), pod("x", 1)))
    assert told(changes) == [("DELETED", "a/y", 2, None), ("ADDED", "a/new", None, 8), ("UPDATED", "a/z", 3, 7)]
    assert changes[0].is_tombstone
    assert not changes[1].is_tombstone
    assert (store.revision, sorted(store.keys())) == (9, ["a/new", "a/x", "a/z"])


def test_what_a_list_shows_unchanged_is_no_change_and_stays_the_very_object():
    store = Store()
    held = pod("x", 1)
    store.replace(listed(1, held))
    assert store.replace(listed(9, pod("x", 1))) == ()
    assert store.get("a/x") is held
    assert store.revision == 9


def test_equal_revisions_with_other_bytes_are_a_change():
    """As after a restore of the source from a backup, which counts its revisions anew."""
    store = Store()
    store.replace(listed(1, pod("x", 1)))
    assert told(store.replace(listed(1, pod("x", 1, node="n1")))) == [("UPDATED", "a/x", 1, 1)]


@pytest.mark.parametrize("how", ["listed", "modified", "added"])
def test_an_object_with_a_new_uid_is_a_deletion_and_an_addition(how):
    store = Store()
    store.replace(listed(2, pod("other", 1, uid="o"), pod("x", 2, uid="first")))
    after = pod("x", 7, uid="second")
    if how == "listed":
        changes = store.replace(listed(7, pod("other", 6, uid="o"), after))
        assert told(changes) == [
            ("DELETED", "a/x", 2, None),
            ("UPDATED", "a/other", 1, 6),
            ("ADDED", "a/x", None, 7),
        ]
    else:
        changes = store.apply(happened(7, (how.upper(), after)))
        assert told(changes) == [("DELETED", "a/x", 2, None), ("ADDED", "a/x", None, 7)]
    assert changes[0].is_tombstone
    assert store.get("a/x") is after


def test_where_a_uid_is_missing_the_name_decides():
    store = Store()
    store.replace(listed(2, pod("x", 2, uid="first")))
    assert told(store.replace(listed(3, pod("x", 3)))) == [("UPDATED", "a/x", 2, 3)]
    assert told(store.replace(listed(4, pod("x", 4, uid="second")))) == [("UPDATED", "a/x", 3, 4)]


# ---- events --------------------------------------------------------------------------------------------------------


def test_events_are_told_by_what_was_there_and_not_by_their_own_word():
    store = Store()
    assert told(store.apply(happened(3, ("MODIFIED", pod("x", 3)), ("ADDED", pod("y", 3))))) == [
        ("ADDED", "a/x", None, 3),
        ("ADDED", "a/y", None, 3),
    ]
    assert told(store.apply(happened(4, ("ADDED", pod("x", 4))))) == [("UPDATED", "a/x", 3, 4)]


def test_a_deletion_has_the_last_state_held_and_the_final_one():
    store = Store()
    store.replace(listed(2, pod("x", 2)))
    final = pod("x", 9, node="n1")
    (change,) = store.apply(happened(9, ("DELETED", final)))
    assert change.old is not None
    assert (change.old.revision, change.new, change.final) == (2, None, final)
    assert not change.is_tombstone
    assert len(store) == 0


def test_the_deletion_of_another_object_under_the_name_leaves_a_tombstone_of_ours():
    store = Store()
    store.replace(listed(2, pod("x", 2, uid="ours")))
    (change,) = store.apply(happened(9, ("DELETED", pod("x", 9, uid="one we never saw"))))
    assert change.is_tombstone
    assert change.old is not None
    assert change.old.uid == "ours"


def test_what_is_known_already_is_no_change():
    """[9.5 TestThreadSafeStoreReplaceResourceVersion]"""
    store = Store()
    store.replace(listed(2, pod("x", 2)))
    assert store.apply(happened(3, ("MODIFIED", pod("x", 2)), ("DELETED", pod("never there", 3)))) == ()
    assert store.revision == 3
    store.bookmark(8)
    assert store.revision == 8


def test_events_of_one_object_in_one_step_follow_each_other():
    store = Store({"node": by_field("spec.nodeName")})
    store.replace(listed(1, pod("x", 1)))
    steps = [("MODIFIED", pod("x", 5, node="n1")), ("DELETED", pod("x", 5)), ("ADDED", pod("x", 5, node="n2"))]
    assert told(store.apply(happened(5, *steps))) == [
        ("UPDATED", "a/x", 1, 5),
        ("DELETED", "a/x", 5, None),
        ("ADDED", "a/x", None, 5),
    ]
    assert store.index_values("node") == ("n2",)


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_an_object_is_called_by_namespace_and_name_or_name_or_its_storage_key():
    assert object_key(pod("x", 1)) == "a/x"
    assert object_key(Object("/registry/nodes/n1", 1, b"{}", name="n1")) == "n1"
    assert object_key(Object("/raw/1", 1, b"{}")) == "/raw/1"
    assert object_key(Object("/raw/2", 1, b"{}", namespace="a")) == "/raw/2"


# ---- indexes -------------------------------------------------------------------------------------------------------


def app_of(each):
    return [each.labels["app"]] if "app" in each.labels else []


def test_an_index_finds_objects_by_each_of_their_values():
    """[9.5 TestIndexer] [9.5 TestGetIndexFuncValues]"""
    store = Store({"teams": lambda each: each.labels.get("teams", "").split("-"), "app": by_label("app")})
    store.replace(
        listed(
            3,
            pod("x", 1, labels={"teams": "red-blue"}),
            pod("y", 2, labels={"teams": "blue", "app": "shop"}),
            pod("z", 3),
        )
    )
    assert store.index_keys("teams", "blue") == ("a/x", "a/y")
    assert [each.name for each in store.by_index("teams", "red")] == ["x"]
    assert store.index_values("app") == ("shop",)
    assert store.by_index("app", "none such") == ()
    assert [each.name for each in store.alike("teams", "a/x")] == ["x", "y"]
    assert store.alike("teams", "a/none such") == ()
    assert store.indexes == ("namespace", "teams", "app")


def test_values_that_nobody_has_any_more_are_not_kept():
    """[9.5 TestThreadSafeStoreDeleteRemovesEmptySetsFromIndex]"""
    store = Store({"app": app_of})
    store.replace(listed(1, pod("x", 1, labels={"app": "one"}), pod("y", 1, namespace="b", labels={"app": "one"})))
    store.apply(happened(2, ("MODIFIED", pod("x", 2, labels={"app": "two"})), ("DELETED", pod("y", 2, namespace="b"))))
    assert store.index_values("app") == ("two",)
    assert store.index_values("namespace") == ("a",)
    assert store._indexer._values.keys() == {"a/x"}


def test_objects_are_followed_in_several_indexes_through_changes_and_deletions():
    """[9.5 TestMultiIndexKeys] [9.5 TestThreadSafeStoreAddKeepsNonEmptySetPostDeleteFromIndex]
    [9.5 TestThreadSafeStoreIndexingFunctionsWithMultipleValues]"""
    store = Store({"app": app_of, "both": lambda each: [*app_of(each), each.field("spec.nodeName")]})
    one, two = {"app": "one"}, {"app": "two"}
    store.replace(listed(1, pod("x", 1, node="n1", labels=one), pod("y", 1, node="n1", labels=one)))
    assert store.index_keys("app", "one") == store.index_keys("both", "n1") == ("a/x", "a/y")
    store.apply(happened(2, ("MODIFIED", pod("x", 2, node="n2", labels=two))))
    assert store.index_keys("app", "one") == store.index_keys("both", "n1") == ("a/y",)
    assert store.index_keys("both", "n2") == store.index_keys("both", "two") == ("a/x",)
    store.apply(happened(3, ("DELETED", pod("y", 3))))
    assert store.index_keys("app", "one") == store.index_keys("both", "n1") == ()
    assert sorted(store.index_values("both")) == ["n2", "two"]


def test_an_index_that_is_added_later_is_complete_at_once():
    store = Store()
    store.replace(listed(1, pod("x", 1, labels={"app": "one"})))
    store.add_index("app", app_of)
    assert store.index_keys("app", "one") == ("a/x",)
    store.apply(happened(2, ("MODIFIED", pod("x", 2, labels={"app": "two"}))))
    assert store.index_values("app") == ("two",)


def test_a_name_of_an_index_is_given_once():
    with pytest.raises(ValueError, match="'namespace' is every store's own"):
        Store({"namespace": app_of})
    store = Store({"app": app_of})
    for name in ("app", "namespace"):
        with pytest.raises(ValueError, match="choose another name"):
            store.add_index(name, app_of)


def test_an_index_that_does_not_exist_is_named_with_those_that_do():
    store = Store({"app": app_of})
    store.replace(listed(1, pod("x", 1)))
    for ask in (
        lambda: store.by_index("ap", "one"),
        lambda: store.index_keys("ap", "one"),
        lambda: store.index_values("ap"),
        lambda: store.alike("ap", "a/x"),
    ):
        with pytest.raises(UnknownIndex, match="no index 'ap': there are namespace, app"):
            ask()


def fails_on_evil(each):
    if each.name == "evil":
        raise KeyError("app")
    return app_of(each)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (fails_on_evil, "KeyError: 'app'"),
        (lambda each: "text" if each.name == "evil" else [], "it returned 'text'"),
        (lambda each: [1] if each.name == "evil" else [], r"it returned \[1\]"),
        (lambda each: None if each.name == "evil" else [], "TypeError"),
    ],
)
def test_an_index_function_that_fails_leaves_everything_as_it_was(function, problem):
    store = Store({"app": function})
    store.replace(listed(1, pod("x", 1, labels={"app": "one"}), pod("y", 1)))
    before = contents(store)
    for step in (
        lambda: store.replace(listed(2, pod("new", 2), pod("evil", 2), pod("y", 2))),
        lambda: store.apply(happened(2, ("DELETED", pod("x", 2)), ("ADDED", pod("new", 2)), ("ADDED", pod("evil", 2)))),
    ):
        with pytest.raises(IndexFunctionFailed, match=f"index 'app' failed on a/evil: {problem}"):
            step()
        assert contents(store) == before


def test_an_added_index_whose_function_fails_is_not_there():
    store = Store()
    store.replace(listed(1, pod("x", 1), pod("evil", 1)))
    before = contents(store)
    with pytest.raises(IndexFunctionFailed):
        store.add_index("app", fails_on_evil)
    assert contents(store) == before
    store.add_index("app", app_of)


def test_an_index_function_that_changes_its_mind_leaves_nothing_behind():
    minds = iter("abcdefgh")
    store = Store({"mood": lambda each: [next(minds)]})
    store.replace(listed(1, pod("x", 1)))
    store.apply(happened(2, ("MODIFIED", pod("x", 2))))
    assert store.index_values("mood") == ("b",)
    store.apply(happened(3, ("DELETED", pod("x", 3))))
    assert store.index_values("mood") == ()


def test_a_value_that_a_function_returns_twice_counts_once():
    store = Store({"twice": lambda each: ["v", "w", "v"]})
    store.replace(listed(1, pod("x", 1)))
    assert store.index_keys("twice", "v") == ("a/x",)
    store.apply(happened(2, ("DELETED", pod("x", 2))))
    assert store.index_values("twice") == ()


def test_a_result_is_left_alone_by_later_steps():
    store = Store({"app": app_of})
    store.replace(listed(1, pod("x", 1, labels={"app": "one"})))
    results = [store.objects(), store.keys(), store.by_index("app", "one"), store.index_values("app")]
    copies = [tuple(result) for result in results]
    store.replace(listed(2))
    assert results == copies


# ---- any history ---------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "app": by_label("app"),
    "node": by_field("spec.nodeName"),
    "letters": lambda each: [*sorted(set(each.labels.get("app", ""))), "all"],
}


def contents(store):
    return (
        store.revision,
        sorted(store.objects(), key=object_key),
        {
            name: {value: sorted(store.index_keys(name, value)) for value in store.index_values(name)}
            for name in store.indexes
        },
    )


class StoreMachine(RuleBasedStateMachine):
    """The model: a dict, told what happened one object at a time; indexes are read off it afresh."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store({"app": FUNCTIONS["app"]})
        self.indexes = {"namespace": lambda each: [each.namespace], "app": FUNCTIONS["app"]}
        self.model: dict[str, Object] = {}
        self.follower: dict[str, Object] = {}  # knows only what changes tell
        self.revision = 0

    def follow(self, changes):
        for change in changes:
            assert isinstance(change, StoreChange)
            assert change.old == self.follower.pop(change.key, None)
            assert (change.old is None, change.new is None) == (change.kind == "ADDED", change.kind == "DELETED")
            if change.new is not None:
                assert change.old is None or change.old.uid == change.new.uid
                assert change.old is None or change.old != change.new
                self.follower[change.key] = change.new

    pods = st.builds(
        lambda name, namespace, uid, node, app: (name, namespace, uid, node, {"app": app} if app else {}),
        st.sampled_from("xyz"),
        st.sampled_from("ab"),
        st.sampled_from(["u1", "u2"]),
        st.sampled_from(["", "n1", "n2"]),
        st.sampled_from(["", "shop", "shed"]),
    )

    def make(self, drawn):
        name, namespace, uid, node, labels = drawn
        return pod(name, self.revision, namespace=namespace, uid=uid, node=node, labels=labels)

    @rule(drawn=st.lists(st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), pods), min_size=1, max_size=5))
    def events(self, drawn):
        self.revision += 1
        events = [(kind, self.make(each)) for kind, each in drawn]
        self.follow(self.store.apply(happened(self.revision, *events)))
        for kind, each in events:
            if kind == "DELETED":
                self.model.pop(object_key(each), None)
            else:
                self.model[object_key(each)] = each

    @rule(drawn=st.lists(pods, max_size=6), kept=st.integers(0, 6))
    def relist(self, drawn, kept):
        self.revision += 1
        objects = [*list(self.model.values())[:kept], *map(self.make, drawn)]
        changes = self.store.replace(listed(self.revision, *objects))
        self.follow(changes)
        kinds = [change.kind == "DELETED" for change in changes]
        assert kinds == sorted(kinds, reverse=True)
        self.model = {object_key(each): each for each in objects}

    @precondition(lambda self: len(self.indexes) < 4)
    @rule(name=st.sampled_from(["node", "letters"]))
    def add_index(self, name):
        if name not in self.indexes:
            self.store.add_index(name, FUNCTIONS[name])
            self.indexes[name] = FUNCTIONS[name]

    @invariant()
    def agrees(self):
        read_off: dict[str, dict[str, list[str]]] = {name: {} for name in self.indexes}
        for name, function in self.indexes.items():
            for key in sorted(self.model):
                for value in function(self.model[key]):
                    read_off[name].setdefault(value, []).append(key)
        objects = sorted(self.model.values(), key=object_key)
        assert contents(self.store) == (self.revision, objects, read_off)
        assert self.follower == self.model
        for name, values in read_off.items():
            for value, keys in values.items():
                found = self.store.by_index(name, value)
                assert sorted(found, key=object_key) == [self.model[key] for key in keys]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=20)


# ---- what it is for ------------------------------------------------------------------------------------------------


def test_a_reflector_keeps_it():
    source = ScriptedSource([page(5, x=1, y=2)], [[put(6, "x"), deleted(7, "y"), put(8, "z"), Changes((), 9)]])
    store = Store()

    async def main():
        with trio.move_on_after(10):
            await Reflector(source, store, random=Random(1)).run()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert {each.name: each.revision for each in store.objects()} == {"x": 6, "z": 8}
    assert store.revision == 9
    assert store.get("x") == obj("x", 6)
