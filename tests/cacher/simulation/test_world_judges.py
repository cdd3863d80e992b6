"""The judges of worlds: each lets an honest history pass and convicts one in which its guarantee was broken, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cacher.simulation._acts import (
    Asked,
    Belief,
    Copy,
    EndState,
    Handled,
    Lived,
    Request,
    SyncedAt,
    Wanted,
    Written,
)
from cacher.simulation._history import (
    ClientHistory,
    Ended,
    EndReason,
    History,
    Listed,
    Opened,
    Received,
    StoreChange,
    StoreHistory,
)
from cacher.simulation.judges import (
    ALL_JUDGES,
    BOOKMARKABLE,
    COALESCE_PROOF,
    CONDITIONAL,
    CONVERGENT,
    CRASH_PROOF,
    FRESH,
    FRUGAL,
    LIVE,
    LIVELY,
    MATCHED,
    NO_OVERSHOOT,
    NO_STALE_DESTRUCTION,
    PAIRED,
    RESUMABLE,
    SETTLES,
    SYNCED,
    WORLD_JUDGES,
    Judge,
    frugal,
)
from watch import Event, EventType, Object, ObjectReader, Selector, bookmark

PODS, SETS = "/registry/pods/", "/registry/replicasets/"
ADDED, MODIFIED, DELETED = EventType.ADDED, EventType.MODIFIED, EventType.DELETED


class Book:
    """A history in the making: a store, one client of its pods called `c#1 pods`, and what processes did."""

    def __init__(self) -> None:
        self.history = History({}, [], [], 1, {}, finished=True)
        for prefix in (PODS, SETS):
            self.history.stores[prefix] = StoreHistory(prefix, 1, {}, [])
        self.acts = self.history.acts
        self.acts.phases.faults_end_s = 100.0
        self.acts.phases.settled_s = 140.0
        self.acts.phases.end_s = 400.0
        self.current: dict[str, Object] = {}
        self.steps = self.client("c", 1)

    def client(self, process: str, incarnation: int) -> list[Any]:
        name = f"{process}#{incarnation} pods"
        client = ClientHistory(name, PODS, Selector(), True, [], "v1/pods", process, incarnation)
        self.history.clients.append(client)
        return client.steps

    def write(
        self, revision: int, name: str, uid: str = "u", *, prefix: str = PODS, request: int = -1, **spec: Any
    ) -> Event:
        """The next revision of an object; the event that a watch should bring."""
        metadata: dict[str, Any] = {"name": name, "namespace": "a", "uid": uid}
        metadata.update(spec.pop("metadata", {}))
        raw = msgspec.json.encode({"metadata": metadata, "spec": spec})
        key = f"{prefix}a/{name}"
        obj = ObjectReader().read(key, raw, revision)
        previous = self.current.get(key)
        self._note(revision, key, obj, previous, prefix, request)
        self.current[key] = obj
        return Event(ADDED if previous is None else MODIFIED, obj, revision, previous)

    def delete(self, revision: int, name: str, *, prefix: str = PODS, request: int = -1) -> Event:
        key = f"{prefix}a/{name}"
        previous = self.current.pop(key)
        self._note(revision, key, None, previous, prefix, request)
        return Event(DELETED, previous.at_revision(revision), revision, previous)

    def _note(
        self, revision: int, key: str, obj: Object | None, previous: Object | None, prefix: str, request: int
    ) -> None:
        self.history.stores[prefix].changes.append(StoreChange(revision, key, obj))
        self.history.published_at_s[revision] = float(revision)
        self.history.end_revision = revision
        uids = [one.uid if one is not None else "" for one in (obj, previous)]
        self.acts.written.append(Written(revision, float(revision), key, prefix, uids[0], uids[1], request))

    def request(self, verb: str, name: str, *beliefs: Belief, process: str = "c", life: int = 1) -> int:
        """A request that succeeded; its number."""
        number = len(self.acts.requests)
        key = f"{PODS}a/{name}"
        self.acts.requests.append(
            Request(number, 50.0, process, life, "api-1", verb, "v1/pods", "a", name, key, "ok", beliefs=beliefs)
        )
        return number

    def opened(self, revision: int, at_s: float = 1.0) -> None:
        self.steps.append(Opened(at_s, revision))

    def got(self, *events: Event, at_s: float = 0.0) -> None:
        self.steps.append(Received(at_s or float(events[-1].revision), events))

    def ended(self, at_s: float = 90.0, reason: EndReason = EndReason.ENDED, **more: Any) -> None:
        self.steps.append(Ended(at_s, reason, **more))

    def copy(self, at_s: float, revision: int, *, is_live: bool = True, is_final: bool = False) -> None:
        objects = tuple(obj for key, obj in sorted(self.current.items()) if key.startswith(PODS))
        self.acts.copies.append(
            Copy(at_s, "c#1 pods", PODS, Selector(), revision, True, is_live, at_s, objects, is_final)
        )


def honest() -> Book:
    """All that the judges look at, and nothing wrong."""
    book = Book()
    one, two = book.write(2, "one", "u1"), book.write(3, "two", "u2")
    book.steps.append(Listed(3.0, 3, (one.object, two.object), 3, "", False))
    book.opened(3, 3.0)
    three = book.write(4, "three", "u3")
    book.got(three)
    book.got(bookmark(4), at_s=60.0)
    book.ended()
    book.opened(4, 91.0)
    gone = book.delete(5, "two", request=book.request("delete", "two", Belief(f"{PODS}a/two", "u2", 3)))
    book.acts.requests[-1].uid, book.acts.requests[-1].version = "u2", "3"
    book.got(gone, at_s=120.0)
    book.got(bookmark(5), at_s=390.0)
    for kind, event in (("add", one), ("add", two), ("add", three), ("delete", gone)):
        book.acts.handled.append(
            Handled(
                event.revision, "c#1 pods", kind, event.key, event.object.uid, event.revision, is_initial=kind == "add"
            )
        )
    book.acts.synced.append(SyncedAt(3.5, "c#1 pods", 2))
    book.acts.asked.append(Asked(0.0, "api-1", "list", PODS, 2))
    book.acts.lives.append(Lived(0.0, "c", 1, "api-1", "started"))
    book.acts.wanted.append(Wanted(SETS, "spec.replicas", PODS))
    book.write(6, "set", "s1", prefix=SETS, replicas=1)
    child = book.write(7, "child", "u7", metadata={"ownerReferences": [{"uid": "s1", "controller": True}]})
    book.got(child, at_s=391.0)
    book.copy(391.0, 7, is_final=True)
    book.acts.reference = book.acts.end_state = EndState({"a": b"{}"}, {"a": 1}, {})
    book.acts.faults.append("crash")
    return book


WORLD_ONLY = WORLD_JUDGES[len(ALL_JUDGES) :]


@pytest.mark.parametrize("judge", WORLD_ONLY, ids=lambda judge: judge.name)
def test_a_judge_looks_at_an_honest_history_and_finds_nothing(judge: Judge):
    book = honest()
    if judge is CRASH_PROOF:
        book.acts.lives.append(Lived(10.0, "c", 1, "api-1", "crashed"))
    verdict = judge.judge(book.history)
    assert verdict.violations == ()
    assert verdict.held


def test_every_judge_of_worlds_has_a_deed_that_it_convicts():
    assert {judge for judge, _ in DEEDS} == set(WORLD_ONLY)


# ---- what can be done wrong ------------------------------------------------------------------------------------------


def skips_after_a_reconnect(book: Book) -> None:
    missed, next_one = book.write(8, "missed"), book.write(9, "next")
    book.ended(395.0)
    book.opened(7, 396.0)
    book.got(next_one, at_s=397.0)
    assert missed.revision == 8


def repeats_after_a_reconnect(book: Book) -> None:
    book.ended(395.0)
    book.opened(7, 396.0)
    book.got(Event(ADDED, book.current[f"{PODS}a/child"], 7), at_s=397.0)


def promises_too_much(book: Book) -> None:
    late = book.write(8, "late")
    book.got(bookmark(8), at_s=395.0)
    book.got(late, at_s=396.0)


def lists_the_past_as_the_latest(book: Book) -> None:
    book.steps.append(Listed(398.0, 5, (), 7, "", False))


def lists_older_than_asked(book: Book) -> None:
    book.steps.append(Listed(398.0, 5, (), 0, "6", False))


def lists_another_than_exactly_asked(book: Book) -> None:
    book.steps.append(Listed(398.0, 6, (), 0, "5", True))


def falls_silent(book: Book) -> None:
    book.write(8, "unheard")
    book.history.published_at_s[8] = 110.0


def keeps_a_copy_that_differs(book: Book) -> None:
    copy = book.acts.copies[-1]
    book.acts.copies[-1] = msgspec.structs.replace(copy, objects=(copy.objects or ())[1:])


def never_converges(book: Book) -> None:
    book.acts.phases.lagging = ("api-2 is down",)


def lists_too_often(book: Book) -> None:
    book.acts.asked.extend(Asked(float(number) / 10, "api-1", "list", PODS, 1) for number in range(500))


def adds_twice(book: Book) -> None:
    book.acts.handled.append(book.acts.handled[0])


def updates_what_never_was(book: Book) -> None:
    book.acts.handled.append(Handled(9.0, "c#1 pods", "update", f"{PODS}a/nobody", "u", 9))


def tells_another_object_as_an_update(book: Book) -> None:
    book.acts.handled.append(Handled(9.0, "c#1 pods", "update", f"{PODS}a/one", "another", 9, "u1"))


def is_synced_too_soon(book: Book) -> None:
    book.acts.synced[0] = SyncedAt(3.5, "c#1 pods", 1)


def is_synced_without_a_state(book: Book) -> None:
    book.client("d", 1)
    book.acts.synced.append(SyncedAt(3.5, "d#1 pods", 4))


def calls_itself_live_and_is_deaf(book: Book) -> None:
    book.copy(300.0, 5)


def destroys_a_successor(book: Book) -> None:
    """The word is that of `cr` of uid p1, which was gone before the child that is deleted was made."""
    book.write(8, "cr", "p1")
    book.delete(9, "cr")
    book.write(10, "cr", "p2")
    book.write(11, "cr-child", "c2")
    book.delete(12, "cr-child", request=book.request("delete", "cr-child", Belief(f"{PODS}a/cr", "p1", 8)))


def destroys_by_the_word_of_the_past(book: Book) -> None:
    """An earlier life had been shown that the parent wants more; this one believes an older version."""
    parent, victim = book.write(8, "cr", "p1", replicas=1), book.write(9, "victim", "v")
    newer = book.write(10, "cr", "p1", replicas=2)
    book.client("c", 2)
    book.got(parent, victim, newer, at_s=200.0)
    number = book.request("delete", "victim", Belief(parent.key, "p1", 8), life=2)
    book.delete(11, "victim", request=number)


def loses_an_object_to_a_crash(book: Book) -> None:
    book.acts.lives.append(Lived(10.0, "c", 1, "api-1", "crashed"))
    book.acts.end_state = EndState({}, {"a": 1}, {})


def deletes_once_more_after_a_crash(book: Book) -> None:
    book.acts.lives.append(Lived(10.0, "c", 1, "api-1", "crashed"))
    book.acts.end_state = EndState({"a": b"{}"}, {"a": 2}, {"a": 1})


def misses_what_was_merged(book: Book) -> None:
    book.acts.end_state = EndState({"a": b'{"b":1}'}, {"a": 1}, {})


def makes_one_too_many(book: Book) -> None:
    book.write(8, "child-2", "u8", metadata={"ownerReferences": [{"uid": "s1", "controller": True}]})


def makes_more_though_fewer_are_wanted(book: Book) -> None:
    """Two were wanted, then one: the second may stay a while, and a third may not come."""
    owned = {"ownerReferences": [{"uid": "s1", "controller": True}]}
    book.write(8, "set", "s1", prefix=SETS, replicas=2)
    book.write(9, "child-2", "u8", metadata=owned)
    book.write(10, "set", "s1", prefix=SETS, replicas=1)
    book.write(11, "child-3", "u9", metadata=owned)


def limited(book: Book, verb: str, name: str, *, uid: str = "", version: int = 0) -> int:
    """The number of a request that is limited to a uid, or a version."""
    number = book.request(verb, name)
    request = book.acts.requests[number]
    request.uid, request.version = uid, str(version or "")
    return number


def deletes_another_than_the_uid_says(book: Book) -> None:
    book.delete(8, "one", request=limited(book, "delete", "one", uid="u0"))


def updates_another_version_than_it_read(book: Book) -> None:
    book.write(8, "one", "u1")
    book.write(9, "one", "u1", request=limited(book, "update", "one", version=2))


def makes_what_was_to_be_updated(book: Book) -> None:
    book.write(8, "new", "u9", request=limited(book, "update", "new", version=2))


def writes_without_end(book: Book) -> None:
    number = book.request("update", "one")
    book.write(8, "one", "u1", request=number)
    book.acts.written[-1] = msgspec.structs.replace(book.acts.written[-1], at_s=390.0)


DEEDS: list[tuple[Judge, Callable[[Book], None]]] = [
    (RESUMABLE, skips_after_a_reconnect),
    (RESUMABLE, repeats_after_a_reconnect),
    (BOOKMARKABLE, promises_too_much),
    (FRESH, lists_the_past_as_the_latest),
    (MATCHED, lists_older_than_asked),
    (MATCHED, lists_another_than_exactly_asked),
    (LIVELY, falls_silent),
    (CONVERGENT, keeps_a_copy_that_differs),
    (CONVERGENT, never_converges),
    (FRUGAL, lists_too_often),
    (CONDITIONAL, deletes_another_than_the_uid_says),
    (CONDITIONAL, updates_another_version_than_it_read),
    (CONDITIONAL, makes_what_was_to_be_updated),
    (PAIRED, adds_twice),
    (PAIRED, updates_what_never_was),
    (PAIRED, tells_another_object_as_an_update),
    (SYNCED, is_synced_too_soon),
    (SYNCED, is_synced_without_a_state),
    (LIVE, calls_itself_live_and_is_deaf),
    (NO_STALE_DESTRUCTION, destroys_a_successor),
    (NO_STALE_DESTRUCTION, destroys_by_the_word_of_the_past),
    (CRASH_PROOF, loses_an_object_to_a_crash),
    (CRASH_PROOF, deletes_once_more_after_a_crash),
    (COALESCE_PROOF, misses_what_was_merged),
    (NO_OVERSHOOT, makes_one_too_many),
    (NO_OVERSHOOT, makes_more_though_fewer_are_wanted),
    (SETTLES, writes_without_end),
]


@pytest.mark.parametrize(("judge", "deed"), DEEDS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_judge_convicts_who_broke_its_guarantee(judge: Judge, deed: Callable[[Book], None]):
    book = honest()
    deed(book)
    verdict = judge.judge(book.history)
    assert verdict.broken
    first = verdict.violations[0]
    assert first.message.startswith(f"broke {judge.name} - {judge.sentence}: ")
    assert first.where


# ---- what is no breach -----------------------------------------------------------------------------------------------


def test_a_copy_that_only_lags_destroys_nothing_stale():
    """The parent has changed meanwhile, and nobody of this process has seen it: a race that nobody can avoid."""
    book = honest()
    parent = book.write(8, "cr", "p1", replicas=1)
    book.write(9, "victim", "v")
    book.write(10, "cr", "p1", replicas=2)
    book.delete(11, "victim", request=book.request("delete", "victim", Belief(parent.key, "p1", 8)))
    assert NO_STALE_DESTRUCTION.judge(book.history).held


def test_what_was_made_while_its_parent_was_there_may_go_after_it():
    book = honest()
    book.write(8, "cr", "p1")
    book.write(9, "cr-child", "c1")
    book.delete(10, "cr")
    book.delete(11, "cr-child", request=book.request("delete", "cr-child", Belief(f"{PODS}a/cr", "p1", 8)))
    assert NO_STALE_DESTRUCTION.judge(book.history).held


def test_what_says_that_it_belongs_to_the_one_believed_may_go_though_it_was_made_after_its_end():
    """A life that knew nothing of the parent's end made an orphan, and the next one takes it away."""
    for named, holds in (
        ({"ownerReferences": [{"uid": "p1"}]}, True),
        ({"ownerReferences": [{"uid": "p2"}]}, False),
        ({"annotations": {"example.com/of": "p1"}}, True),
        ({"annotations": {"example.com/of": "p2"}}, False),
        ({"labels": {"of": "p1"}}, True),
    ):
        book = honest()
        book.write(8, "cr", "p1")
        book.delete(9, "cr")
        book.write(10, "cr-child", "c1", metadata=named)
        book.delete(11, "cr-child", request=book.request("delete", "cr-child", Belief(f"{PODS}a/cr", "p1", 8)))
        assert NO_STALE_DESTRUCTION.judge(book.history).held is holds


def test_what_was_being_deleted_already_may_be_deleted_by_who_has_yet_to_see_that():
    for of_victim in (True, False):
        book = honest()
        ending = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
        victim, other = book.write(8, "victim", "v"), book.write(9, "other", "o")
        believed = victim if of_victim else other
        newer = (
            book.write(10, "victim", "v", metadata=ending)
            if of_victim
            else book.write(10, "other", "o", metadata=ending)
        )
        book.client("c", 2)
        book.got(victim, other, newer, at_s=200.0)
        number = book.request("delete", "victim", Belief(believed.key, believed.object.uid, believed.revision), life=2)
        book.delete(11, "victim", request=number)
        assert NO_STALE_DESTRUCTION.judge(book.history).held is of_victim


def test_an_end_that_was_brought_forward_is_no_other_wish():
    """Who deletes at once what was given time already wants the same, sooner; who began to delete it wants something else."""
    early, late = ({"deletionTimestamp": f"2026-01-01T00:00:{second}Z"} for second in ("05", "35"))
    for first, holds in ((late, True), ({}, False)):
        book = honest()
        victim = book.write(8, "victim", "v")
        believed, newer = book.write(9, "other", "o", metadata=first), book.write(10, "other", "o", metadata=early)
        book.client("c", 2)
        book.got(victim, believed, newer, at_s=200.0)
        number = book.request("delete", "victim", Belief(believed.key, "o", 9), life=2)
        book.delete(11, "victim", request=number)
        assert NO_STALE_DESTRUCTION.judge(book.history).held is holds


def test_a_write_whose_reasons_nobody_knows_is_not_judged():
    book = honest()
    book.delete(8, "one", request=book.request("delete", "one"))
    assert NO_STALE_DESTRUCTION.judge(book.history).violations == ()


def test_who_is_told_to_want_fewer_has_time_to_delete():
    book = honest()
    owned = {"ownerReferences": [{"uid": "s1", "controller": True}]}
    book.write(8, "set", "s1", prefix=SETS, replicas=2)
    book.write(9, "child-2", "u8", metadata=owned)
    book.write(10, "set", "s1", prefix=SETS, replicas=1)
    assert NO_OVERSHOOT.judge(book.history).held


def test_a_silence_before_faults_end_is_forgiven_until_long_after():
    book = honest()
    book.write(8, "unheard")
    book.history.published_at_s[8] = 50.0
    book.acts.phases.end_s = 270.0
    assert LIVELY.judge(book.history).violations == ()


def test_a_world_that_never_settled_is_not_compared_with_its_reference():
    book = honest()
    loses_an_object_to_a_crash(book)
    book.acts.phases.settled_s = None
    assert not CRASH_PROOF.judge(book.history).tested


def test_what_two_faultless_runs_disagree_on_is_not_compared():
    book = honest()
    misses_what_was_merged(book)
    book.acts.reference = EndState({"a": b"{}"}, {"a": 1}, {}, unstable=("a",))
    assert COALESCE_PROOF.judge(book.history).violations == ()


def test_a_deletion_in_two_writes_is_limited_to_the_version_of_the_first():
    """The deletion timestamp first: what is then taken away is of a later version."""
    book = honest()
    number = limited(book, "delete", "one", uid="u1", version=2)
    book.write(8, "one", "u1", request=number, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    book.delete(9, "one", request=number)
    assert CONDITIONAL.judge(book.history).held


@pytest.mark.parametrize("lists_max", [1, 2])
def test_a_budget_is_what_it_is_set_to_be(lists_max: int):
    book = honest()
    book.acts.asked.append(Asked(1.0, "api-1", "list", PODS, 2))
    assert frugal(lists_max).judge(book.history).broken == (lists_max == 1)
    assert frugal(objects_max=3).judge(book.history).broken == 1
    assert frugal(objects_max=4).judge(book.history).broken == 0
