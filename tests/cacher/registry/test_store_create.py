"""Creating: what the server sets, in which order its hooks run, names that are generated, and dry runs (5.3)."""

from __future__ import annotations

import random
import re

import pytest
import trio

from cacher.registry import (
    AlreadyExists,
    BadRequest,
    ConfigMapStrategy,
    Context,
    CreateOptions,
    DeleteOptions,
    GeneratedNameTaken,
    Hooks,
    Invalid,
    NotFound,
    PlainServerError,
    Replacement,
    ServerTimeout,
)
from cacher.registry._store_create import generate_name
from cacher.storage import ListOptions, Unreachable
from tests.cacher.registry.world import TEAM, configmap, configmaps, open_world, run

BOTH = pytest.mark.parametrize("cached", [False, True])
DRY = CreateOptions(dry_run=True)


@BOTH
def test_a_new_object_has_a_uid_a_time_and_a_version_of_its_own(cached):
    """What a client says of them, or of a deletion, does not count; a config map's generation does."""

    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            told = {
                "uid": "1",
                "creationTimestamp": "2001-01-01T00:00:00Z",
                "deletionTimestamp": "2001-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": 5,
                "selfLink": "/x",
                "generation": 7,
            }
            await trio.sleep(10)
            made = await store.create(TEAM, configmap(meta=told, data={"k": "v"}))
            uid = made["metadata"].pop("uid")
            assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uid)
            assert made["metadata"] == {
                "name": "a",
                "namespace": "team-a",
                "creationTimestamp": "2023-11-14T22:13:30Z",
                "resourceVersion": made["metadata"]["resourceVersion"],
                "generation": 7,
            }
            assert int(made["metadata"]["resourceVersion"]) > 0
            assert (await store.get(TEAM, "a"))["metadata"]["uid"] == uid

    run(main)


def test_what_was_handed_in_is_not_changed():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            mine = configmap(data={"k": "v"})
            await store.create(TEAM, mine)
            assert mine == configmap(data={"k": "v"})

    run(main)


def test_a_namespace_comes_from_the_request_or_agrees_with_it():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap("b", meta={"namespace": "team-a"}))
            assert made["metadata"]["namespace"] == "team-a"
            with pytest.raises(BadRequest, match="does not match the namespace sent on the request"):
                await store.create(TEAM, configmap(meta={"namespace": "team-b"}))
            with pytest.raises(BadRequest, match=r"Namespace parameter required."):
                await store.get(Context(), "a")

    run(main)


@BOTH
def test_a_name_that_is_taken_is_refused_and_one_that_is_going_says_so(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap(meta={"finalizers": ["example.com/hold"]}))
            with pytest.raises(AlreadyExists) as caught:
                await store.create(TEAM, configmap())
            assert caught.value.message == 'configmaps "a" already exists'
            await store.delete(TEAM, "a")
            with pytest.raises(AlreadyExists) as caught:
                await store.create(TEAM, configmap())
            assert caught.value.message == 'object is being deleted: configmaps "a" already exists'

    run(main)


def test_a_generated_name_is_a_label_however_long_its_beginning():
    name = generate_name("x" * 80, random.Random(1))
    assert re.fullmatch("x{58}[bcdfghjklmnpqrstvwxz2456789]{5}", name)


class _SameName(random.Random):
    """Draws the same letter for a while, and so the same names."""

    draws = 0
    same = 0

    def choice(self, seq):
        self.draws += 1
        return seq[0] if self.draws <= self.same * 5 else super().choice(seq)


@pytest.mark.parametrize(("taken", "succeeds"), [(7, True), (8, False)])
def test_eight_generated_names_are_tried(taken, succeeds):
    """The last of eight may be the first that is free; a ninth is not tried."""

    async def main() -> None:
        async with open_world() as world:
            chance = _SameName(1)
            chance.same = taken
            store = await configmaps(world)
            await store.create(TEAM, configmap("web-bbbbb"))
            store.environment = type(store.environment)(now=store.environment.now, random=chance)
            unnamed = {"metadata": {"generateName": "web-"}}
            if succeeds:
                made = await store.create(TEAM, unnamed)
                assert made["metadata"]["name"].startswith("web-")
                assert made["metadata"]["name"] != "web-bbbbb"
            else:
                with pytest.raises(GeneratedNameTaken) as caught:
                    await store.create(TEAM, unnamed)
                assert caught.value.retry_after_s == 1
                assert caught.value.message.endswith("was not able to generate a unique name for the object")
            assert chance.draws == 40

    run(main)


def test_a_name_beside_generate_name_is_tried_once():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            named = configmap("fixed", meta={"generateName": "web-"})
            assert (await store.create(TEAM, named))["metadata"]["name"] == "fixed"
            with pytest.raises(GeneratedNameTaken):
                await store.create(TEAM, named)
            assert len((await store.list(TEAM, ListOptions())).objects) == 1

    run(main)


@pytest.mark.parametrize(("version", "is_refused"), [("5", True), ("0", False), ("abc", False)])
def test_a_new_object_carries_no_version(version, is_refused):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            new = configmap(meta={"resourceVersion": version})
            if is_refused:
                with pytest.raises(PlainServerError, match="should not be set on objects to be created"):
                    await store.create(TEAM, new)
            else:
                made = await store.create(TEAM, new)
                assert made["metadata"]["resourceVersion"] != version

    run(main)


class _Telling(ConfigMapStrategy):
    """Notes the order in which it is asked."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    def prepare_for_create(self, context, obj):
        self.told.append("prepare_for_create")
        return obj

    def validate(self, context, obj):
        self.told.append("validate")
        return super().validate(context, obj)

    def warnings_on_create(self, context, obj):
        self.told.append("warnings_on_create")
        return ["mind the gap"]

    def canonicalize(self, obj):
        self.told.append("canonicalize")
        return obj


def test_hooks_and_strategy_run_in_kubernetes_order():
    """5.3: begin, the strategy, admission, the store, finish, after, decorator."""
    told: list[str] = []

    def begin(context, obj, options):
        told.append(f"begin {bool(obj['metadata']['uid'])}")
        return lambda success: told.append(f"finish {success}")

    def decorate(obj):
        told.append("decorate")
        return {**obj, "shown": True}

    hooks = Hooks(begin_create=begin, after_create=lambda obj, options: told.append("after"), decorator=decorate)

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, _Telling(told), hooks=hooks)
            warned: list[str] = []
            context = Context("team-a", warn=warned.append)
            made = await store.create(context, configmap(), validate=lambda obj: told.append("admission"))
            assert made["shown"] is True
            assert warned == ["mind the gap"]
            assert told == [
                "begin True",
                "prepare_for_create",
                "validate",
                "warnings_on_create",
                "canonicalize",
                "admission",
                "finish True",
                "after",
                "decorate",
            ]
            told.clear()
            with pytest.raises(Invalid):
                await store.create(context, configmap("a b"))
            assert told == ["begin True", "prepare_for_create", "validate", "finish False"]
            stored = await store.storage.get("/configmaps/team-a/a")
            assert stored is not None
            assert "shown" not in stored.parse()

    run(main)


def test_a_strategy_that_checks_no_metadata_still_gets_a_name_and_a_namespace_checked():
    class Careless(ConfigMapStrategy):
        def validate(self, context, obj):
            return []

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, Careless())
            assert (await store.create(TEAM, configmap("Loud_Name")))["metadata"]["name"] == "Loud_Name"
            with pytest.raises(Invalid, match="may not contain '/'"):
                await store.create(TEAM, configmap("a/b"))
            with pytest.raises(Invalid, match="name or generateName is required"):
                await store.create(TEAM, configmap(""))

    run(main)


@BOTH
def test_a_dry_run_answers_as_a_create_and_stores_nothing(cached):
    """5.7: no version; what is there already is seen."""

    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            made = await store.create(TEAM, configmap(data={"k": "v"}), options=DRY)
            assert made["metadata"]["uid"]
            assert "resourceVersion" not in made["metadata"]
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")
            await store.create(TEAM, configmap())
            with pytest.raises(AlreadyExists):
                await store.create(TEAM, configmap(), options=DRY)

    run(main)


def test_a_new_object_lives_as_long_as_its_hook_says():
    """The store forgets it then: an event after its hour."""

    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world, hooks=Hooks(ttl_s=lambda obj, left_s, is_update: 60))
            await store.create(TEAM, configmap())
            await trio.sleep(50)
            await store.update(TEAM, "a", Replacement(configmap(data={"k": "1"})))
            await trio.sleep(50)
            assert (await store.get(TEAM, "a"))["data"] == {"k": "1"}
            await trio.sleep(600)
            with pytest.raises(NotFound):
                await store.get(TEAM, "a")

    run(main)


def test_what_the_store_does_not_answer_is_told_as_a_timeout(monkeypatch):
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)

            async def create(key, value, *, ttl_s=0):
                raise Unreachable(key)

            monkeypatch.setattr(store.storage, "create", create)
            with pytest.raises(ServerTimeout) as caught:
                await store.create(TEAM, configmap())
            assert (caught.value.code, caught.value.retry_after_s) == (500, 2)
            assert "The create operation against configmaps could not be completed" in caught.value.message

    run(main)


def test_a_deleted_name_can_be_had_again_with_another_uid():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            first = await store.create(TEAM, configmap())
            await store.delete(TEAM, "a", options=DeleteOptions())
            assert (await store.create(TEAM, configmap()))["metadata"]["uid"] != first["metadata"]["uid"]

    run(main)
