"""Watches of a cached storage: which of them is told of an event, and as what."""

from __future__ import annotations

import pytest

from cacher.storage import ListOptions
from tests.cacher.layers import ALL_PODS, ON_NODE_1, layers, run, taken, told
from watch import Selector


@pytest.mark.parametrize(
    ("key", "recursive", "selector", "expected"),
    [
        ("/pods", True, Selector(), "a/x a/y ab/x b/x"),
        ("/pods/", True, Selector(), "a/x a/y ab/x b/x"),
        ("/pods/", False, Selector(), ""),
        ("/pods/a", True, Selector(), "a/x a/y"),
        ("/pods/a/", True, Selector(), "a/x a/y"),
        ("/pods/a/", False, Selector(), ""),
        ("/pods/a/x", False, Selector(), "a/x"),
        ("/pods/a/x", True, Selector(), ""),
        ("/pods/x", False, Selector(), ""),
        ("/pods", True, Selector.of("ab"), "ab/x"),
        ("/pods/a", True, Selector.of("ab"), ""),
        ("/pods/a", True, Selector.of("a"), "a/x a/y"),
        ("/pods", True, Selector.of(name="x"), "a/x ab/x b/x"),
        ("/pods/a", True, Selector.of(name="x"), "a/x"),
        ("/pods/a/x", False, Selector.of(name="y"), ""),
        ("/pods", True, ON_NODE_1, "a/x b/x"),
        ("/pods/a", True, ON_NODE_1, "a/x"),
        ("/pods", True, Selector.of(labels="on=n2"), "a/y ab/x"),
        ("/pods/a", True, Selector.of(labels="on=n2"), "a/y"),
        ("/pods/a", True, Selector.of(labels="on=n2", fields="spec.nodeName=n1"), ""),
        ("/pods/a/y", False, ON_NODE_1, ""),
        ("/pods/a/x/deep", True, Selector(), ""),
    ],
)
def test_a_watch_is_told_of_what_is_under_its_key_and_matches(key, recursive, selector, expected):
    """[9.3 TestFilterWithAttrsAndPrefixFunction_WrongPrefix] [9.3 TestFilterWithAttrsAndPrefixFunction_NilShardSelector] Key and
    selector both; in the state, in the history and live."""

    async def main() -> None:
        written = {"a/x": "n1", "a/y": "n2", "ab/x": "n2", "b/x": "n1"}
        async with layers() as all_:
            listed = str(all_.etcd.revision)

            async def begin(**options: object) -> list[str]:
                asked = ListOptions(recursive=recursive, selector=selector, **options)  # type: ignore[arg-type]
                async with all_.storage.watch(key, asked) as stream:
                    return [f"{event.object.namespace}/{event.object.name}" for event in await taken(stream)]

            options = ListOptions(resource_version=listed, recursive=recursive, selector=selector)
            async with all_.storage.watch(key, options) as stream:
                for path, node in written.items():
                    await all_.put(path, node=node, labels={"on": node})
                live = [f"{event.object.namespace}/{event.object.name}" for event in await taken(stream)]
            history, state = await begin(resource_version=listed), await begin(resource_version="0")
            assert live == history == state == expected.split()

    run(main)


def test_a_deletion_is_told_to_each_watch_as_it_saw_the_object():
    """[9.3 TestCachingDeleteEvents] The last version that matched, at the revision at which it ceased to."""

    async def main() -> None:
        async with layers() as all_:
            start = str(all_.etcd.revision)
            foo, bar = (Selector.of(labels={label: "true"}) for label in ("foo", "bar"))
            async with (
                all_.storage.watch(ALL_PODS, ListOptions(resource_version=start)) as everything,
                all_.storage.watch(ALL_PODS, ListOptions(resource_version=start, selector=foo)) as foos,
                all_.storage.watch(ALL_PODS, ListOptions(resource_version=start, selector=bar)) as bars,
            ):
                one = await all_.put("a/pod", labels={"foo": "true", "bar": "true"})
                two = await all_.put("a/pod", labels={"foo": "true"})
                three = await all_.put("a/pod")
                gone = await all_.drop("a/pod")
                seen = {}
                for name, stream in (("all", everything), ("foo", foos), ("bar", bars)):
                    seen[name] = await taken(stream)
            assert told(seen["all"]) == [
                ("ADDED", "pod", one), ("MODIFIED", "pod", two), ("MODIFIED", "pod", three), ("DELETED", "pod", gone),
            ]  # fmt: skip
            assert told(seen["foo"]) == [("ADDED", "pod", one), ("MODIFIED", "pod", two), ("DELETED", "pod", three)]
            assert told(seen["bar"]) == [("ADDED", "pod", one), ("DELETED", "pod", two)]
            assert seen["foo"][-1].object == seen["all"][1].object.at_revision(three)
            assert seen["bar"][-1].object == seen["all"][0].object.at_revision(two)
            assert seen["all"][-1].object == seen["all"][2].object.at_revision(gone)

    run(main)


def test_an_event_is_one_object_to_all_who_watch():
    """[9.3 TestCachingObjects] Nothing is copied for a watcher, so what it encodes can be shared."""

    async def main() -> None:
        async with layers() as all_:
            options = ListOptions(resource_version=str(all_.etcd.revision))
            async with all_.storage.watch(ALL_PODS, options) as one, all_.storage.watch("/pods/a", options) as other:
                await all_.put("a/pod")
                gone = await all_.drop("a/pod")
                mine, theirs = await taken(one), await taken(other)
            assert all(here.object is there.object for here, there in zip(mine, theirs, strict=True))
            assert mine[-1].object.revision == gone

    run(main)
