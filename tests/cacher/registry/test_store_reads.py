"""Getting, listing and watching through a store: where it looks, what it shows, decorated where a resource wants it (5.8)."""

from __future__ import annotations

import msgspec
import pytest
import trio

from cacher.registry import APIError, BadRequest, Context, Gone, Hooks, NotFound, Replacement
from cacher.registry._selection import narrowed
from cacher.storage import ListOptions
from tests.cacher.registry.world import CONFIGMAPS, TEAM, configmap, configmaps, open_world, registry_of, run
from watch import EventType, FieldSelector, Selector

BOTH = pytest.mark.parametrize("cached", [False, True])
ALL = Context()


@pytest.mark.parametrize(
    ("namespace", "selector", "key", "is_recursive"),
    [
        ("", Selector(), "/pods", True),
        ("team-a", Selector(), "/pods/team-a", True),
        ("team-a", Selector.of(name="web"), "/pods/team-a/web", False),
        ("", Selector.of(fields="metadata.namespace=team-a"), "/pods/team-a", True),
        ("", Selector.of(fields="metadata.namespace=team-a,metadata.name=web"), "/pods/team-a/web", False),
        ("", Selector.of(name="web"), "/pods", True),
        ("team-a", Selector.of(fields="metadata.name!=web"), "/pods/team-a", True),
        ("team-a", Selector.of(name=".."), "/pods/team-a", True),
        ("team-a", Selector.of(fields="metadata.namespace=team-b"), "/pods/team-a", True),
    ],
)
def test_a_selector_that_names_one_narrows_the_key(namespace, selector, key, is_recursive):
    found, options = narrowed("/pods", namespace, ListOptions(selector=selector), namespaced=True)
    assert (found, options.recursive) == (key, is_recursive)


def test_what_lives_in_no_namespace_is_found_by_its_name():
    found, options = narrowed("/nodes", "", ListOptions(selector=Selector.of(name="n1")), namespaced=False)
    assert (found, options.recursive) == ("/nodes/n1", False)


@BOTH
def test_a_list_has_what_its_namespace_and_selectors_let_through(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            for namespace, name in (("team-a", "a"), ("team-a", "b"), ("team-b", "a")):
                context = Context(namespace)
                await store.create(context, configmap(name, meta={"labels": {"n": name}}))

            async def listed(context, **terms):
                page = await store.list(context, ListOptions(selector=Selector.of(**terms)))
                return [(obj.namespace, obj.name) for obj in page.objects]

            assert await listed(ALL) == [("team-a", "a"), ("team-a", "b"), ("team-b", "a")]
            assert await listed(TEAM) == [("team-a", "a"), ("team-a", "b")]
            assert await listed(TEAM, name="b") == [("team-a", "b")]
            assert await listed(ALL, name="a") == [("team-a", "a"), ("team-b", "a")]
            assert await listed(ALL, labels="n=b") == [("team-a", "b")]
            assert await listed(TEAM, fields="metadata.namespace=team-b") == []
            assert await listed(TEAM, name="none") == []

    run(main)


def test_a_list_comes_in_pages_of_one_moment():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS)
            door = registry.resource("v1", "configmaps")
            for name in "abc":
                await door.create(configmap(name), "team-a")
            first = await door.list("team-a", limit=2)
            await door.delete("c", "team-a")
            rest = await door.list("team-a", limit=2, continue_token=first.continue_token)
            assert [obj.name for obj in (*first.objects, *rest.objects)] == ["a", "b", "c"]
            shown = door.shown(first)
            assert (shown["kind"], shown["apiVersion"]) == ("ConfigMapList", "v1")
            assert shown["metadata"]["remainingItemCount"] == 1
            assert "kind" not in shown["items"][0]

    run(main)


@BOTH
def test_a_get_is_of_now_or_not_older_than_was_asked_for(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            old = await store.create(TEAM, configmap(data={"k": "1"}))
            new, _ = await store.update(TEAM, "a", Replacement(configmap(data={"k": "2"})))
            for version in ("", old["metadata"]["resourceVersion"], new["metadata"]["resourceVersion"]):
                assert await store.get(TEAM, "a", resource_version=version) == new
            with pytest.raises(APIError) as caught:
                await store.get(TEAM, "a", resource_version="99999")
            assert (caught.value.code, caught.value.reason) == (504, "Timeout")
            with pytest.raises(NotFound):
                await store.get(TEAM, "b")
            with pytest.raises(BadRequest, match="Name parameter invalid"):
                await store.get(TEAM, "a/b")

    run(main)


@BOTH
def test_a_watch_brings_changes_of_the_selected_objects(cached):
    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world)
            await store.create(TEAM, configmap("a", meta={"labels": {"l": "1"}}))
            page = await store.list(TEAM, ListOptions())
            options = ListOptions(resource_version=str(page.revision), selector=Selector.of(labels="l=1"))
            async with store.watch(TEAM, options) as stream:
                await store.create(TEAM, configmap("b", meta={"labels": {"l": "1"}}))
                await store.create(Context("team-b"), configmap("c", meta={"labels": {"l": "1"}}))
                await store.update(TEAM, "a", Replacement(configmap("a")))
                await store.delete(TEAM, "b")
                seen: list[tuple[EventType, str]] = []
                while len(seen) < 3:
                    event = await stream.receive()
                    seen.append((event.type, event.object.name))
            assert seen == [(EventType.ADDED, "b"), (EventType.DELETED, "a"), (EventType.DELETED, "b")]

    run(main)


def test_a_watch_that_cannot_start_raises_the_apis_error():
    async def main() -> None:
        async with open_world() as world:
            store = await configmaps(world)
            with pytest.raises(APIError) as caught:
                async with store.watch(TEAM, ListOptions(resource_version="abc")):
                    raise AssertionError("it started")
            assert (caught.value.code, caught.value.reason) == (500, "")

    run(main)


@BOTH
def test_a_decorator_changes_what_is_shown_and_not_what_is_stored(cached):
    def decorate(obj):
        return {**obj, "shown": True}

    async def main() -> None:
        async with open_world(cached=cached) as world:
            store = await configmaps(world, hooks=Hooks(decorator=decorate))
            await store.create(TEAM, configmap())
            assert (await store.get(TEAM, "a"))["shown"]
            assert [obj.parse()["shown"] for obj in (await store.list(TEAM, ListOptions())).objects] == [True]
            async with store.watch(TEAM, ListOptions(resource_version="0", allow_bookmarks=True)) as stream:
                event = await stream.receive()
                assert event.object.parse()["shown"]
                await store.create(TEAM, configmap("b"))
                batch = await stream.receive_batch()
                assert all(event.object.parse()["shown"] for event in batch)
            stored = await store.storage.get("/configmaps/team-a/a")
            assert stored is not None
            assert "shown" not in stored.parse()

    run(main)


def test_a_decorator_leaves_bookmarks_alone():
    """The one that ends the initial events is known by what it is."""

    async def main() -> None:
        async with open_world(cached=True) as world:
            store = await configmaps(world, hooks=Hooks(decorator=lambda obj: {**obj, "shown": True}))
            await store.create(TEAM, configmap())
            options = ListOptions(send_initial_events=True, allow_bookmarks=True, match="NotOlderThan")
            async with store.watch(TEAM, options) as stream:
                events = [await stream.receive(), await stream.receive()]
            assert [event.type for event in events] == [EventType.ADDED, EventType.BOOKMARK]
            assert events[1].is_initial_events_end

    run(main)


def test_a_version_that_history_does_not_reach_is_gone():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS)
            door = registry.resource("v1", "configmaps")
            made = await door.create(configmap(), "team-a")
            await door.update(configmap(data={"k": "1"}), "team-a")
            await world.etcd.compact(world.etcd.revision)
            version = made["metadata"]["resourceVersion"]
            with pytest.raises(Gone):
                await door.list("team-a", resource_version=version, match="Exact")

    run(main)


def test_a_field_that_cannot_be_selected_by_is_refused_in_the_resources_words():
    async def main() -> None:
        async with open_world() as world:
            registry = await registry_of(world, CONFIGMAPS)
            door = registry.resource("v1", "configmaps")
            with pytest.raises(BadRequest) as caught:
                await door.list("team-a", fields="data.k=1")
            assert caught.value.message == (
                '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
            with pytest.raises(BadRequest):
                await door.list("team-a", labels="a b")
            fields = FieldSelector.from_dict({"metadata.name": "x"})
            assert (await door.list("team-a", fields=fields)).objects == ()

    run(main)


def test_a_watch_left_in_the_middle_is_closed():
    async def main() -> None:
        async with open_world(cached=True) as world:
            store = await configmaps(world)
            with trio.move_on_after(5) as scope:
                async with store.watch(TEAM, ListOptions(resource_version="0")) as stream:
                    await stream.receive()
            assert scope.cancelled_caught
            await store.create(TEAM, configmap())
            assert msgspec.to_builtins((await store.list(TEAM, ListOptions())).revision) > 0

    run(main)
