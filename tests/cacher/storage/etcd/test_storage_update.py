"""guaranteed_update and delete: the exact loops, with somebody coming in between at every step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.storage import (
    Codec,
    InvalidObject,
    KeyNotFound,
    Preconditions,
    ResponseMeta,
    Semantics,
    UndecodableObject,
    Update,
)
from cacher.storage.etcd import open_embedded_etcd
from tests.cacher.storage.etcd.pods import GARBAGE, create, open_storage, pod, pod_storage
from watch import Object

KEY, FULL = "/pods/ns/a", "/registry/pods/ns/a"


class Refused(Exception):
    """What a caller's own function raises."""


def to(**changes) -> Callable[[Object | None, ResponseMeta], Update]:
    """An update to a pod with these, whatever is there."""
    return lambda _object, _meta: Update(pod("a", **changes))


def run(run_trio, body, **options):
    async def main():
        async with open_storage(**options) as (storage, etcd):
            await body(storage, etcd)

    run_trio(main)


# --- guaranteed_update ------------------------------------------------------------------------------------------------


def test_an_update_gets_what_is_there_and_its_revision(run_trio):
    async def body(storage, etcd):
        created = await storage.create(KEY, pod("a"))
        seen = []

        def update(found: Object | None, meta: ResponseMeta) -> Update:
            seen.append((found, meta))
            assert found is not None
            return Update({**found.parse(), "spec": {"nodeName": "n1"}})

        updated = await storage.guaranteed_update(KEY, update)
        assert seen == [(created, ResponseMeta(created.revision, 0))]
        assert updated.revision == etcd.revision == created.revision + 1
        assert updated.field("spec.nodeName") == "n1"
        assert await storage.get(KEY) == updated

    run(run_trio, body)


def test_what_is_missing_is_made_only_where_that_is_asked_for(run_trio):
    async def body(storage, _etcd):
        with pytest.raises(KeyNotFound):
            await storage.guaranteed_update(KEY, to())
        seen = []

        def update(found: Object | None, meta: ResponseMeta) -> Update:
            seen.append((found, meta.revision))
            return Update(pod("a"))

        made = await storage.guaranteed_update(KEY, update, ignore_not_found=True)
        assert seen == [(None, 0)]
        assert await storage.get(KEY) == made

    run(run_trio, body)


def test_an_update_that_changes_nothing_is_not_written(run_trio):
    """Nor one that differs in what is not stored; a resourceVersion and a selfLink are not."""

    async def body(storage, etcd):
        created = await storage.create(KEY, pod("a", uid="U"))
        same = pod("a", uid="U")
        same["metadata"] |= {"resourceVersion": "99", "selfLink": "/a"}
        for suggestion in (None, created):
            assert (
                await storage.guaranteed_update(KEY, lambda _object, _meta: Update(same), suggestion=suggestion)
                == created
            )
        assert etcd.revision == created.revision

    run(run_trio, body)


def test_bytes_that_we_would_not_have_written_are_written_anew_once(run_trio):
    """[9.1 GuaranteedUpdateChecksStoredData] it is the stored bytes that are compared, not what they mean"""

    async def body(storage, etcd):
        raw = storage.codec.encode(pod("a"))
        await etcd.put(FULL, b" " + raw)
        suggestion = storage.codec.decode(FULL, raw, etcd.revision)
        updated = await storage.guaranteed_update(KEY, to(), suggestion=suggestion)
        assert updated.revision == etcd.revision == suggestion.revision + 1
        assert (await etcd.range(FULL)).kvs[0].value == raw
        assert await storage.guaranteed_update(KEY, to()) == updated

    run(run_trio, body)


def test_stale_bytes_are_written_anew_though_nothing_changes(run_trio):
    """As after an encryption key was replaced."""

    class Staling(Codec):
        stale = True

        def is_stale(self, raw: bytes) -> bool:
            return self.stale

    async def body(storage, _etcd):
        (revision,) = await create(storage, "a")
        for suggestion in (None, await storage.get(KEY)):
            updated = await storage.guaranteed_update(KEY, to(), suggestion=suggestion)
            revision += 1
            assert updated.revision == revision
        storage.codec.stale = False
        assert (await storage.guaranteed_update(KEY, to())).revision == revision

    run(run_trio, body, codec=Staling(group_version="v1", kind="Pod"))


def test_an_update_is_tried_again_on_what_somebody_wrote_in_between(run_trio):
    async def body(storage, etcd):
        await create(storage, "a")
        seen = []

        async def write_between() -> None:
            await etcd.put(FULL, storage.codec.encode(pod("a", node="between")))

        def update(found: Object | None, _meta: ResponseMeta) -> Update:
            assert found is not None
            seen.append(found.field("spec.nodeName"))
            return Update({**found.parse(), "status": {"tries": len(seen)}})

        storage = pod_storage(Interrupted(etcd, write_between))
        updated = await storage.guaranteed_update(KEY, update)
        assert seen == ["", "between"]
        assert updated.parse()["status"] == {"tries": 2}
        assert updated.field("spec.nodeName") == "between"

    run(run_trio, body)


@pytest.mark.parametrize("ignore_not_found", [False, True])
def test_what_was_deleted_in_between_is_missing(run_trio, ignore_not_found):
    async def body(storage, etcd):
        await create(storage, "a")
        seen = []

        async def delete_between() -> None:
            await etcd.delete(FULL)

        def update(found: Object | None, meta: ResponseMeta) -> Update:
            seen.append((found is None, meta.revision == 0))
            return Update(pod("a", node="n"))

        storage = pod_storage(Interrupted(etcd, delete_between))
        if ignore_not_found:
            await storage.guaranteed_update(KEY, update, ignore_not_found=True)
            assert seen == [(False, False), (True, True)]
        else:
            with pytest.raises(KeyNotFound):
                await storage.guaranteed_update(KEY, update)

    run(run_trio, body)


def test_a_refusal_of_a_stale_suggestion_is_forgotten(run_trio):
    async def body(storage, _etcd):
        stale = await storage.create(KEY, pod("a"))
        live = await storage.guaranteed_update(KEY, to(node="n1"))
        seen = []

        def update(found: Object | None, _meta: ResponseMeta) -> Update:
            assert found is not None
            seen.append(found.revision)
            if found.revision == stale.revision:
                raise Refused
            return Update(pod("a", node="n2"))

        updated = await storage.guaranteed_update(KEY, update, suggestion=stale)
        assert seen == [stale.revision, live.revision]
        assert updated.field("spec.nodeName") == "n2"

    run(run_trio, body)


def test_a_refusal_of_what_is_there_is_raised_and_asked_for_once(run_trio):
    """Also on a suggestion, once a read has shown that it was not stale."""

    async def body(storage, etcd):
        current = await storage.create(KEY, pod("a"))
        for suggestion in (None, current):
            calls = 0

            def update(_object: Object | None, _meta: ResponseMeta) -> Update:
                nonlocal calls
                calls += 1
                raise Refused

            with pytest.raises(Refused):
                await storage.guaranteed_update(KEY, update, suggestion=suggestion)
            assert calls == 1
        assert etcd.revision == current.revision

    run(run_trio, body)


def test_a_stale_suggestion_that_would_change_nothing_is_compared_with_what_is_there(run_trio):
    """And what is there is then asked for its update: what the stale one came to is not written over it."""

    async def body(storage, _etcd):
        stale = await storage.create(KEY, pod("a"))
        live = await storage.guaranteed_update(KEY, to(node="n1"))
        seen = []

        def keep(found: Object | None, meta: ResponseMeta) -> Update:
            assert found is not None
            seen.append(meta.revision)
            return Update(found.parse())

        updated = await storage.guaranteed_update(KEY, keep, suggestion=stale)
        assert seen == [stale.revision, live.revision]
        assert updated == live

    run(run_trio, body)


def test_a_suggestion_cannot_hide_that_what_is_there_is_unreadable(run_trio):
    """[9.1 TransformationFailure] an update that changes nothing of the suggestion must not end there"""

    async def body(storage, etcd):
        suggestion = await storage.create(KEY, pod("a"))
        await etcd.put(FULL, GARBAGE)
        with pytest.raises(UndecodableObject):
            await storage.guaranteed_update(KEY, to(), suggestion=suggestion)

    run(run_trio, body)


@pytest.mark.parametrize("is_suggested", [False, True])
def test_preconditions_are_of_what_is_there(run_trio, is_suggested):
    async def body(storage, etcd):
        current = await storage.create(KEY, pod("a", uid="A"))
        suggestion = current if is_suggested else None
        for preconditions, detail in [
            (
                Preconditions(uid="B", resource_version="1"),
                "Precondition failed: UID in precondition: B, UID in object meta: A",
            ),
            (
                Preconditions(uid="A", resource_version="99"),
                "Precondition failed: ResourceVersion in precondition: 99, ResourceVersion in object meta: 2",
            ),
        ]:
            with pytest.raises(InvalidObject) as caught:
                await storage.guaranteed_update(KEY, to(node="n"), preconditions=preconditions, suggestion=suggestion)
            assert (caught.value.key, caught.value.detail) == (FULL, detail)
        assert etcd.revision == current.revision
        held = Preconditions(uid="A", resource_version=current.resource_version)
        updated = await storage.guaranteed_update(KEY, to(uid="A"), preconditions=held, suggestion=suggestion)
        assert updated == current
        with pytest.raises(InvalidObject):
            await storage.guaranteed_update(
                "/pods/ns/missing", to(), preconditions=Preconditions(uid="A"), ignore_not_found=True
            )

    run(run_trio, body)


def test_a_precondition_that_fails_on_a_stale_suggestion_is_asked_of_what_is_there(run_trio):
    async def body(storage, etcd):
        stale = await storage.create(KEY, pod("a", uid="A"))
        await etcd.put(FULL, storage.codec.encode(pod("a", uid="B")))
        updated = await storage.guaranteed_update(
            KEY, to(uid="B", node="n"), preconditions=Preconditions(uid="B"), suggestion=stale
        )
        assert updated.uid == "B"

    run(run_trio, body)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), writers=st.integers(2, 6))
def test_no_update_is_lost_however_many_write(seed, writers):
    """Each of many concurrent updates adds one; stale suggestions and drawn acknowledgements may not cost any."""
    chance = Random(seed)

    async def main():
        async with open_embedded_etcd(random=Random(1), ack_turns=lambda: chance.randrange(5)) as etcd:
            storage = pod_storage(etcd)
            suggestions: list[Object | None] = [None, await storage.create(KEY, pod("a", count=0))]

            async def write() -> None:
                for _ in range(3):
                    suggestion = chance.choice(suggestions)
                    suggestions.append(await storage.guaranteed_update(KEY, add_one, suggestion=suggestion))

            async with trio.open_nursery() as nursery:
                for _ in range(writers):
                    nursery.start_soon(write)
            found = await storage.get(KEY)
            assert found is not None
            assert found.parse()["spec"]["count"] == 3 * writers
            assert etcd.revision == 2 + 3 * writers, "each is one write, and a conflict is none"

    trio.run(main)


def add_one(found: Object | None, _meta: ResponseMeta) -> Update:
    assert found is not None
    value = found.parse()
    value["spec"]["count"] += 1
    return Update(value)


# --- delete -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("semantics", Semantics)
def test_what_is_deleted_carries_the_revision_of_its_end(run_trio, semantics):
    """As of v1.22 that of its last modification."""

    async def body(storage, etcd):
        created = await storage.create(KEY, pod("a"))
        await etcd.put("/elsewhere", b"")
        deleted = await storage.delete(KEY)
        assert deleted == created.at_revision(created.revision if semantics is Semantics.V1_22 else etcd.revision)
        with pytest.raises(KeyNotFound):
            await storage.delete(KEY)

    run(run_trio, body, semantics=semantics)


def test_a_delete_is_validated_again_after_somebody_wrote_in_between(run_trio):
    """[9.1 DeleteWithConflict] and returns what it deleted, not what it first saw"""

    async def body(storage, etcd):
        await create(storage, "a")
        seen = []

        async def validate(found: Object) -> None:
            seen.append(found.field("spec.nodeName"))
            if len(seen) == 1:
                await etcd.put(FULL, storage.codec.encode(pod("a", node="between")))

        deleted = await storage.delete(KEY, validate=validate)
        assert seen == ["", "between"]
        assert deleted is not None
        assert deleted.field("spec.nodeName") == "between"

    run(run_trio, body)


def test_a_delete_of_what_went_in_between_finds_nothing(run_trio):
    async def body(storage, etcd):
        await create(storage, "a")

        async def validate(_object: Object) -> None:
            await etcd.delete(FULL)

        with pytest.raises(KeyNotFound):
            await storage.delete(KEY, validate=validate)

    run(run_trio, body)


def test_a_validation_that_fails_on_what_is_there_is_raised_after_one_call(run_trio):
    async def body(storage, etcd):
        current = await storage.create(KEY, pod("a"))
        calls = []

        async def refuse(found: Object) -> None:
            calls.append(found.revision)
            raise Refused

        for suggestion in (None, current):
            calls.clear()
            with pytest.raises(Refused):
                await storage.delete(KEY, validate=refuse, suggestion=suggestion)
            assert calls == [current.revision]
        assert (await etcd.range(FULL)).count == 1

    run(run_trio, body)


def test_a_validation_that_fails_on_a_stale_suggestion_is_asked_again(run_trio):
    async def body(storage, _etcd):
        stale = await storage.create(KEY, pod("a"))
        live = await storage.guaranteed_update(KEY, to(node="n1"))
        calls = []

        async def refuse_stale(found: Object) -> None:
            calls.append(found.revision)
            if found.revision == stale.revision:
                raise Refused

        deleted = await storage.delete(KEY, validate=refuse_stale, suggestion=stale)
        assert calls == [stale.revision, live.revision]
        assert deleted == live.at_revision(live.revision + 1)

    run(run_trio, body)


def test_a_stale_suggestion_never_decides_what_is_deleted(run_trio):
    async def body(storage, etcd):
        stale = await storage.create(KEY, pod("a", uid="A"))
        await etcd.put(FULL, storage.codec.encode(pod("a", uid="B")))
        with pytest.raises(InvalidObject, match="UID in precondition: A, UID in object meta: B"):
            await storage.delete(KEY, preconditions=Preconditions(uid="A"), suggestion=stale)
        deleted = await storage.delete(KEY, preconditions=Preconditions(uid="B"), suggestion=stale)
        assert deleted is not None
        assert deleted.uid == "B"
        with pytest.raises(KeyNotFound):
            await storage.delete(KEY, suggestion=stale)

    run(run_trio, body)


def test_only_what_cannot_be_read_is_deleted_unseen(run_trio):
    async def body(storage, etcd):
        with pytest.raises(KeyNotFound):
            await storage.delete(KEY, expect_decode_error=True)
        await create(storage, "a")
        with pytest.raises(InvalidObject) as caught:
            await storage.delete(KEY, expect_decode_error=True)
        assert caught.value.detail == ("unsafe deletion is not allowed because the object is decodable from storage")
        await etcd.put(FULL, GARBAGE)
        with pytest.raises(InvalidObject):
            await storage.delete(KEY, expect_decode_error=True, preconditions=Preconditions(uid="A"))
        assert await storage.delete(KEY, expect_decode_error=True) is None
        assert (await etcd.range(FULL)).count == 0

    run(run_trio, body)


@pytest.mark.parametrize(("between", "error"), [("mend", InvalidObject), ("delete", KeyNotFound), ("spoil", None)])
def test_what_becomes_readable_in_between_is_not_deleted_unseen(run_trio, between, error):
    async def body(storage, etcd):
        await etcd.put(FULL, GARBAGE)

        async def interrupt() -> None:
            if between == "delete":
                await etcd.delete(FULL)
            else:
                await etcd.put(FULL, storage.codec.encode(pod("a")) if between == "mend" else GARBAGE + b"!")

        storage = pod_storage(Interrupted(etcd, interrupt))
        if error is None:
            await storage.delete(KEY, expect_decode_error=True)
        else:
            with pytest.raises(error):
                await storage.delete(KEY, expect_decode_error=True)
        assert (await etcd.range(FULL)).count == (1 if between == "mend" else 0)

    run(run_trio, body)


def test_a_cancelled_delete_is_not_taken_for_a_refusal(run_trio):
    async def body(storage, etcd):
        stale = await storage.create(KEY, pod("a"))

        async def wait(_object: Object) -> None:
            await trio.sleep(60)

        with trio.move_on_after(1) as scope:
            await storage.delete(KEY, validate=wait, suggestion=stale)
        assert scope.cancelled_caught
        assert (await etcd.range(FULL)).count == 1

    run(run_trio, body)


class Interrupted:
    """An etcd that lets somebody act just before the first transaction."""

    def __init__(self, etcd, act) -> None:
        self._etcd = etcd
        self._act = act

    async def txn(self, *args, **options):
        act, self._act = self._act, None
        if act is not None:
            await act()
        return await self._etcd.txn(*args, **options)

    @asynccontextmanager
    async def watch(self, *args, **options):
        async with self._etcd.watch(*args, **options) as watch:
            yield watch

    def __getattr__(self, name):
        return getattr(self._etcd, name)
