"""Any sequence of definition changes and object writes: what is read can be written back, and no change is missed by a watch."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.registry import APIError, NotFound, PatchType, ResourceDoor
from tests.cacher.registry.widgets import V1, V2, Server, crd, open_server, version, widget
from tests.cacher.registry.world import run
from watch import Event, EventType, Expired

MERGE = PatchType.MERGE

INTEGERS = st.fixed_dictionaries(
    {"type": st.just("integer")}, optional={"default": st.just(5), "minimum": st.integers(1, 5), "maximum": st.just(6)}
)
TEXTS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={"default": st.just("ab"), "maxLength": st.integers(2, 4), "pattern": st.just("^a")},
)
SETS = st.fixed_dictionaries(
    {"type": st.just("array"), "items": st.just({"type": "string"})},
    optional={"x-kubernetes-list-type": st.just("set"), "maxItems": st.integers(1, 3)},
)
CONSTANT = {"rule": "self == oldSelf", "message": "never changes"}
NEVER = st.just([CONSTANT])
RULES = st.sampled_from([[CONSTANT], [{"rule": "!has(self.n) || self.n != 3", "message": "three is none"}]])
IS_SO = st.booleans()
NODES: st.SearchStrategy[dict[str, Any]] = st.one_of(INTEGERS, TEXTS, SETS)


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """A schema of `spec`."""
    names = sorted(draw(st.sets(st.sampled_from("nst"), max_size=3)))
    properties = {name: draw(NODES) for name in names}
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if not properties:
        # Beside other constraints it would undo their ratcheting: Kubernetes does not compare what no schema names.
        return {**found, "x-kubernetes-preserve-unknown-fields": True}
    if draw(IS_SO):
        found["required"] = [names[0]]
    if draw(IS_SO):
        found["x-kubernetes-validations"] = draw(RULES if properties.get("n", {}).get("type") == "integer" else NEVER)
    return found


@st.composite
def definitions(draw: st.DrawFn) -> dict[str, Any]:
    """A definition of widgets, in two versions of one schema, of which one is served at the least.

    Of one schema: what another version would fill in on a write is not there on a read, in Kubernetes either.
    """
    spec = draw(specs())
    stored, served = draw(st.sampled_from(["v1", "v2"])), draw(st.sampled_from([("v1",), ("v2",), ("v1", "v2")]))
    versions = []
    for name in ("v1", "v2"):
        one = version(name, storage=name == stored, root={"properties": {"spec": spec}})
        one["served"] = name in served
        if draw(IS_SO):
            one["subresources"] = {"status": {}}
        versions.append(one)
    return crd(*versions)


VALUES = st.one_of(
    st.integers(0, 8), st.sampled_from(["", "a", "ab", "bcdef"]), st.lists(st.sampled_from("ab"), max_size=3)
)
SPECS = st.dictionaries(st.sampled_from("nstx"), VALUES, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("define"), definitions()),
        st.tuples(st.just("create"), st.sampled_from("ab"), SPECS),
        st.tuples(st.just("update"), st.sampled_from("ab"), SPECS),
        st.tuples(st.just("patch"), st.sampled_from("ab"), SPECS),
        st.tuples(st.just("delete"), st.sampled_from("ab")),
    ),
    min_size=2,
    max_size=10,
)


def doors(server: Server) -> dict[str, ResourceDoor]:
    """Of the versions that are served."""
    found = {}
    for api_version in (V1, V2):
        try:
            found[api_version] = server.widgets(api_version)
        except APIError:
            continue
    return found


async def act(server: Server, step: tuple[Any, ...]) -> None:
    """One step, in the first version that is served; what it is refused does not matter here."""
    api_version, door = next(iter(doors(server).items()))
    match step:
        case ("define", definition):
            await server.define(definition)
        case ("create", name, spec):
            await door.create(widget(name, api_version, spec=spec), "team-a")
        case ("update", name, spec):
            await door.update({**await door.get(name, "team-a"), "spec": spec})
        case ("patch", name, spec):
            await door.patch(name, {"spec": spec}, "team-a", type=MERGE)
        case ("delete", name):
            await door.delete(name, "team-a")
        case _:
            raise AssertionError(step)


@pytest.mark.parametrize("cached", [False, True])
@given(first=definitions(), steps=STEPS)
@settings(max_examples=40)
def test_what_is_read_in_any_version_can_be_written_back_and_is_then_read_so_again(cached, first, steps):
    async def main() -> None:
        async with open_server(cached=cached) as server:
            await server.define(first)
            for step in steps:
                try:
                    await act(server, step)
                except APIError as error:
                    assert error.code < 500, error
                for door in doors(server).values():
                    for obj in (await door.list()).objects:
                        shown = await door.get(obj.name, "team-a")
                        assert shown == obj.to_dict(), "a list and a get show the same"
                        written = await door.update(shown)
                        assert written["spec"] == shown["spec"]
                        again = await door.get(obj.name, "team-a")
                        assert again == written
                        assert await door.update(again) == again, "what is stored as it is shown is not stored again"

    run(main)


class Follower:
    """Who lists, and watches from there, and again wherever the watch ended: the state that it has in the end is the store's.

    A cache that was made for the changed definition has no history before that: then it lists again, as of Kubernetes' own.
    """

    def __init__(self, door: ResourceDoor) -> None:
        self.door = door
        self.state: dict[str, int] = {}
        self.revision = 0
        self.ended = 0

    async def run(self) -> None:
        await self.relist()
        while True:
            try:
                async with self.door.watch(resource_version=str(self.revision)) as stream:
                    while True:
                        self.take(await stream.receive())
            except trio.EndOfChannel:
                self.ended += 1
            except Expired:
                await self.relist()
            except APIError:
                await trio.sleep(0.5)

    async def relist(self) -> None:
        while True:
            try:
                page = await self.door.list()
            except APIError:
                await trio.sleep(0.5)
                continue
            self.state, self.revision = {obj.name: obj.revision for obj in page.objects}, page.revision
            return

    def take(self, event: Event) -> None:
        assert event.revision >= self.revision, "a watch goes forward"
        name = event.object.name
        if event.type is EventType.ADDED:
            assert name not in self.state, "added twice"
        else:
            assert name in self.state, "changed, and never added"
        self.revision = event.revision
        if event.type is EventType.DELETED:
            del self.state[name]
        else:
            self.state[name] = event.revision


@pytest.mark.parametrize("cached", [False, True])
@given(first=definitions(), steps=STEPS)
@settings(max_examples=40)
def test_who_watches_again_where_a_watch_ended_misses_nothing_over_any_changes(cached, first, steps):
    async def main() -> None:
        async with open_server(cached=cached) as server:
            await server.define(first)
            followers = {name: Follower(door) for name, door in doors(server).items()}
            async with trio.open_nursery() as nursery:
                for follower in followers.values():
                    nursery.start_soon(follower.run)
                await trio.testing.wait_all_tasks_blocked()
                for step in steps:
                    try:
                        await act(server, step)
                    except APIError:
                        continue
                await trio.sleep(5)
                for name, door in doors(server).items():
                    if name in followers:
                        objects = (await door.list()).objects
                        assert followers[name].state == {obj.name: obj.revision for obj in objects}
                nursery.cancel_scope.cancel()

    run(main)


@given(seed=st.integers(0, 2**32), cached=st.booleans())
@settings(max_examples=20)
def test_writers_who_go_on_while_definitions_change_are_answered_and_what_they_were_told_is_true(seed, cached):
    """Nobody hangs, nothing fails but with an error that says what to do, and no acknowledged object is lost."""

    async def main() -> None:
        async with open_server(cached=cached) as server:
            await server.define(crd())
            chance = Random(seed)
            made: list[str] = []

            async def create(prefix: str) -> None:
                door = server.widgets()
                for at in range(10):
                    await trio.sleep(chance.random())
                    try:
                        await door.create(widget(f"{prefix}{at}", spec={"size": at}), "team-a")
                        made.append(f"{prefix}{at}")
                    except APIError as error:
                        assert error.code == 429, error

            async def change() -> None:
                for at in range(6):
                    await trio.sleep(chance.random() * 2)
                    await server.define(crd(version(spec={"size": {"type": "integer", "default": at}})))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(create, "a")
                nursery.start_soon(create, "b")
                nursery.start_soon(change)
            assert {obj.name for obj in (await server.widgets().list()).objects} == set(made)
            await server.crds.delete("widgets.example.com")
            await server.gone()
            with pytest.raises(NotFound):
                await server.crds.get("widgets.example.com")

    run(main)
