"""CacherStorage over a frail etcd against a model that keeps every version: whatever is asked, in whatever order.

The rules only write a script; it is played at the end under a virtual clock, with writes and reads overlapping, late calls,
lost streams and caches that begin anew. What came out is judged afterwards, when the model knows every revision:

    a list      is the model's state at the revision that it names, and that revision is one that its options allow
    a watch     is the model's history after a revision that its options allow, with nothing missing once all is quiet
    a write     saw what was there just before its own revision; a deletion returns that, at the deletion's revision
    an error    has a reason that the model can see
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from cacher.simulation import run_deterministic
from cacher.storage import Match
from tests.cacher.storage_model import Choice
from tests.cacher.storage_world import KEYS, REACHED, Step, play
from tests.conftest import PROFILE

APPS, NODES = st.sampled_from(["x", "y"]), st.sampled_from(["m", "n"])
SCOPES = st.sampled_from(
    [
        *[
            ("/pods/", True),
            ("/pods/", True),
            ("/pods/", True),
            ("/pods/a/", True),
            ("/pods/a", True),
            ("/pods/a/x", False),
        ],
        *[("/pods/q/", True), ("/pods/a/x", True), ("/pods/x", False), ("/pods/a", False)],  # with nothing in them
    ]
)
CHOICES = st.builds(
    lambda scope, app, node: Choice(scope[0], scope[1], app, node),
    SCOPES,
    st.none() | APPS,
    st.sampled_from([None, None, "m", "n"]),
)
VERSIONS = st.sampled_from(["", "", "0", "0"]) | st.integers(-2, 12)
MATCHES = st.sampled_from(["", Match.EXACT.value, Match.NOT_OLDER_THAN.value])
PAUSES = st.sampled_from([0.0, 0.0, 0.05, 1.0])
GUARDS = st.none() | st.none() | st.integers(0, 3)


class StorageAgainstModel(RuleBasedStateMachine):
    """Writes a script; `teardown` plays it."""

    def __init__(self) -> None:
        super().__init__()
        self.script: list[Step] = []

    @initialize(
        seed=st.integers(0, 1000),
        before=st.sampled_from([5, 4, 3, 1, 0]),
        cached=st.sampled_from([True, True, True, False]),
    )
    def open(self, seed: int, before: int, cached: bool) -> None:
        """Not `cached`: the store alone, which the same model must describe, or it was bent to the cache."""
        self.seed, self.before, self.cached = seed, before, cached

    def add(self, name: str, waits: bool = True, **arguments: Any) -> None:
        self.script.append(Step(name, arguments, waits))

    @rule(key=st.sampled_from(KEYS), app=APPS, node=NODES, waits=st.booleans())
    def create(self, waits: bool, **arguments: Any) -> None:
        self.add("create", waits, **arguments)

    @rule(
        key=st.sampled_from(KEYS),
        app=APPS,
        node=NODES,
        upsert=st.booleans(),
        same=st.sampled_from([False, False, True]),
        guard=GUARDS,
        waits=st.booleans(),
    )
    def update(self, waits: bool, **arguments: Any) -> None:
        self.add("update", waits, **arguments)

    @rule(app=APPS, count=st.integers(2, 8))
    def update_much(self, app: str, count: int) -> None:
        """So that the history outgrows the ring."""
        for number in range(count):
            self.add("update", key=KEYS[number % 2], app=app, node="m", upsert=True, same=False, guard=None)

    @rule(key=st.sampled_from(KEYS), guard=GUARDS, waits=st.booleans())
    def delete(self, waits: bool, **arguments: Any) -> None:
        self.add("delete", waits, **arguments)

    @rule()
    def write_elsewhere(self) -> None:
        self.add("write_elsewhere")

    @rule(choice=CHOICES, back=VERSIONS, match=MATCHES, limit=st.integers(0, 2), pause_s=PAUSES, waits=st.booleans())
    def read_list(self, waits: bool, **arguments: Any) -> None:
        self.add("read_list", waits, **arguments)

    @rule(back=VERSIONS, match=MATCHES, limit=st.integers(1, 2), pause_s=PAUSES, app=APPS)
    def read_pages_while_they_change(self, app: str, **arguments: Any) -> None:
        self.add("read_list", waits=False, choice=Choice(), **arguments)
        self.add("sleep", seconds=0.01)
        self.add("delete", key=KEYS[1], guard=None)
        self.add("create", key=KEYS[3], app=app, node="n")

    @rule(key=st.sampled_from(KEYS), back=VERSIONS, ignore=st.booleans(), waits=st.booleans())
    def get(self, waits: bool, **arguments: Any) -> None:
        self.add("get", waits, **arguments)

    @rule(
        choice=CHOICES,
        back=VERSIONS,
        initial=st.sampled_from([None, None, True, True, False]),
        bookmarks=st.booleans(),
        pause_s=PAUSES,
        life_s=st.sampled_from([0.5, 1e9, 1e9]),
    )
    def watch(self, **arguments: Any) -> None:
        self.add("watch", waits=False, **arguments)

    @rule(
        choice=CHOICES,
        initial=st.sampled_from([None, True]),
        bookmarks=st.booleans(),
        app=APPS,
        ahead=st.integers(0, 3),
    )
    def watch_while_they_change(self, app: str, ahead: int, **arguments: Any) -> None:
        for number in range(ahead + 2):
            if number == ahead:
                self.add("watch", waits=False, back="0", pause_s=0.0, life_s=1e9, **arguments)
            self.add("update", False, key=KEYS[number], app=app, node="m", upsert=True, same=False, guard=None)

    @rule(choice=CHOICES, app=APPS, late_s=st.sampled_from([0.3, 4.0, 4.0]))
    def watch_what_comes_late(self, choice: Choice, app: str, late_s: float) -> None:
        """A state that the cache has not reached yet, and may not within the 3 s that it waits."""
        self.add("slow", call_s=0.0, stream_s=late_s)
        self.add("update", key=KEYS[0], app=app, node="m", upsert=True, same=False, guard=None)
        self.add("watch", waits=False, choice=choice, back=0, initial=True, bookmarks=True, pause_s=0.0, life_s=1e9)

    @rule()
    def check(self) -> None:
        self.add("check")

    @rule(back=st.integers(0, 6), is_told=st.booleans())
    def compact(self, **arguments: Any) -> None:
        self.add("compact", **arguments)

    @rule()
    def lose_streams(self) -> None:
        self.add("lose")

    @rule()
    def begin_anew(self) -> None:
        self.add("expire")

    @rule(call_s=st.sampled_from([0.0, 0.01, 0.7]), stream_s=st.sampled_from([0.0, 0.0, 0.3, 4.0]))
    def slow(self, call_s: float, stream_s: float) -> None:
        self.add("slow", call_s=call_s, stream_s=stream_s)

    @rule(seconds=st.sampled_from([0.001, 0.2, 5.0, 70.0]))
    def sleep(self, seconds: float) -> None:
        self.add("sleep", seconds=seconds)

    def teardown(self) -> None:
        if self.script:
            run_deterministic(play, self.script, self.seed, self.before, self.cached, seed=self.seed)


# A campaign that never saw a relist has proved nothing about relists.
TO_BE_REACHED = (
    "an update was tried again",
    "a precondition failed",
    "a page with another to come",
    "a bookmark",
    "a consistency check",
    "a watch ended by EndOfChannel",
    "a watch ended by Expired",
    "Expired",
    "NotReady",
    "TooLargeResourceVersion",
)
# These need luck: which scripts are drawn shifts with each change of the code, from which Hypothesis takes constants.
TO_BE_REACHED_BY_MANY = ("a page was compacted", "a watch ended by TooLargeResourceVersion")


class TestStorageAgainstModel(StorageAgainstModel.TestCase):  # type: ignore[valid-type, misc]
    settings = settings(max_examples=120, stateful_step_count=30, deadline=None)

    def runTest(self) -> None:  # noqa: N802 - unittest's name
        """Every script is judged, and together they came to everything that there is to judge."""
        REACHED.clear()
        super().runTest()
        wanted = TO_BE_REACHED + TO_BE_REACHED_BY_MANY * (PROFILE == "long")
        assert [what for what in wanted if not REACHED[what]] == []

    # By these marks Hypothesis' plugin knows it, and counts its examples.
    runTest.is_hypothesis_test = True  # type: ignore[attr-defined]
