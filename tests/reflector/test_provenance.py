"""RecordingClient, Journal and what a reconcile reads: what is known afterwards of each write, and of nothing else."""

from __future__ import annotations

from random import Random

import pytest
import trio
import trio.testing

import cacher
from reflector import (
    Controller,
    ExponentialLimiter,
    Journal,
    Reconcile,
    RecordingClient,
    SharedInformers,
    update_exactly,
)
from reflector._reads import MEMBERS_MAX, READS_MAX, RECONCILIATION
from watch import APIError


def run(async_fn, *, writes_max=1000):
    """`async_fn(world)` over a cluster, with one controller whose reconcile is `world.reconcile`."""

    async def main():
        async with (
            cacher.open_cluster(random=Random(1), epoch_s=0, checks_namespaces=False, name="east") as cluster,
            trio.open_nursery() as nursery,
        ):
            world = World(cluster, Journal(clock=cluster.clock, writes_max=writes_max))
            nursery.start_soon(world.informers.run)
            nursery.start_soon(world.controller.run)
            await world.informers.wait_until_synced()
            await async_fn(world)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class World:
    def __init__(self, cluster, journal):
        self.cluster = cluster
        self.journal = journal
        self.client = RecordingClient(cluster, journal)
        self.informers = SharedInformers(self.client, random=Random(2))
        self.copy = self.informers.informer("v1", "configmaps")
        self.maps = self.client.resource("v1", "configmaps")
        self.behind = cluster.resource("v1", "configmaps")  # past the recording
        self.controller = Controller(
            "keeper", self._reconcile, random=Random(3), limiter=ExponentialLimiter(60.0, 100.0), own_writes_s=0
        ).reads(self.copy)
        self.reconcile: Reconcile

    async def _reconcile(self, key):
        await self.reconcile(key)

    async def turn(self, reconcile, key="the-key"):
        """One reconcile, to its end."""
        over = trio.Event()

        async def once(key):
            try:
                return await reconcile(key)
            finally:
                over.set()

        self.reconcile = once
        self.controller.queue.add(key)
        await over.wait()
        await trio.testing.wait_all_tasks_blocked()

    async def shown(self):
        await self.copy.wait_until_revision(self.cluster.etcd.revision)


def config(name="a", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_write_is_kept_with_what_was_read_before_it_and_not_with_what_was_read_after():
    async def main(world):
        await world.behind.create(config("a"), "shop")
        await world.shown()

        async def reconcile(key):
            seen = world.copy.lister.get("a", "shop")
            assert world.copy.lister.find("missing", "shop") is None
            await trio.sleep(3)
            await update_exactly(world.maps, seen, config("a", x="1"))
            world.copy.lister.find("later", "shop")

        await world.turn(reconcile)
        (write,) = world.journal.writes()
        assert (write.controller, write.reconcile_key, write.verb) == ("keeper", "the-key", "update")
        assert (write.source, write.key) == ("east/v1/configmaps", "shop/a")
        assert write.revision == write.known[-2].revision
        first, second = write.reads
        stored = await world.behind.find("a", "shop")
        assert (first.source, first.key, first.uid) == ("copy east/v1/configmaps/everything", "shop/a", stored.uid)
        assert first.revision == int(write.demanded_revision) < write.revision == stored.revision
        assert (second.key, second.found, second.revision) == ("shop/missing", 0, first.revision)
        assert write.at_s - first.at_s == 3

    run(main)


def test_the_age_of_what_was_read_is_that_of_the_copy():
    async def main(world):
        await world.behind.create(config("a"), "shop")
        await world.shown()
        await trio.sleep(20)  # nothing is heard meanwhile

        async def reconcile(key):
            world.copy.lister.get("a", "shop")
            await world.maps.get("a", "shop")
            await world.maps.patch("a", {"data": {"x": "1"}}, "shop")

        await world.turn(reconcile)
        copied, asked = world.journal.writes()[0].reads
        assert copied.age_s == pytest.approx(20, abs=0.5)
        assert (asked.source, asked.age_s) == ("server east/v1/configmaps", 0)
        assert asked.uid == copied.uid

    run(main)


def test_why_says_it_all():
    async def main(world):
        await world.behind.create(config("a"), "shop")
        await world.shown()

        async def reconcile(key):
            assert len(world.copy.lister.list("shop")) == 1
            assert world.copy.lister.list(labels="app=web") == ()
            seen = world.copy.lister.get("a", "shop")
            await update_exactly(world.maps, seen, config("a", x="1"))

        await world.turn(reconcile)
        seen_at, made_at = int(world.journal.writes()[0].demanded_revision), world.cluster.etcd.revision
        uid = (await world.behind.find("a", "shop")).uid
        text = world.journal.last("configmaps", "shop/a").why()
        copy, age = "copy east/v1/configmaps/everything", text.rpartition(", ")[2]
        assert text.splitlines() == [
            f"1970-01-01T00:00:00.{text[20:26]}Z  update east/v1/configmaps shop/a: made revision {made_at}",
            "  by keeper (the-key, its reconcile 1)",
            f"  demanded: only uid {uid}, only at revision {seen_at}",
            "  having read before it:",
            f"    list   {copy} all in shop: 1 at revision {seen_at} (shop/a@{seen_at}); read 0.000 s before, {age}",
            f"    list   {copy} labels(app=web): 0 at revision {seen_at}; read 0.000 s before, {age}",
            f"    get    {copy} shop/a: uid {uid}, revision {seen_at}; read 0.000 s before, {age}",
        ]
        assert str(world.journal) == text

    run(main)


def test_each_verb_is_kept_and_its_answer_counts_as_read():
    async def main(world):
        async def reconcile(key):
            made = await world.maps.create(config("a"), "shop")
            await world.maps.update({**made, "data": {"x": "1"}}, "shop")
            await world.maps.patch("a", {"data": {"x": "2"}}, "shop")
            await world.maps.delete("a", "shop", uid=made["metadata"]["uid"])

        await world.turn(reconcile)
        writes = world.journal.writes(controller="keeper", plural="v1/configmaps", key="shop/a")
        assert [write.verb for write in writes] == ["create", "update", "patch", "delete"]
        assert [len(write.reads) for write in writes] == [0, 1, 2, 3]
        assert [read.verb for read in writes[-1].reads] == ["create", "update", "patch"]
        assert len({write.uid for write in writes}) == 1
        assert writes[2].patch == '{"data":{"x":"2"}}'
        assert "demanded: nothing of what it writes to" in writes[2].why()
        assert writes[3].demanded_uid == writes[0].uid
        assert writes[0].why().endswith("having read nothing before it")

    run(main)


def test_a_subresource_is_told_from_its_object():
    async def main(world):
        deployments = world.client.resource("v1", "namespaces")

        async def reconcile(key):
            made = await deployments.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
            await deployments.subresource("status").update(made)

        await world.turn(reconcile)
        assert [write.source for write in world.journal.writes()] == ["east/v1/namespaces", "east/v1/namespaces/status"]
        assert [write.key for write in world.journal.writes(plural="namespaces")] == ["shop", "shop"]

    run(main)


def test_a_write_that_fails_is_kept_with_its_failure():
    async def main(world):
        async def reconcile(key):
            with pytest.raises(APIError):
                await world.maps.get("a", "shop")
            with pytest.raises(APIError):
                await world.maps.patch("a", {}, "shop")
            await world.maps.create(config("b"), "shop")
            reconciliation = RECONCILIATION.get()
            assert reconciliation is not None
            assert [one.key for one in reconciliation.writes] == ["shop/b"]

        await world.turn(reconcile)
        assert world.controller.statistics().failures == 0
        write, after = world.journal.writes()
        assert after.reads == write.reads, "what failed told nothing of the object"
        assert write.failure == 'NotFound: configmaps "a" not found'
        (read,) = write.reads
        assert (read.verb, read.found) == ("get", 0)
        assert "failed: NotFound" in write.why()
        assert "not there; read" in write.why()

    run(main)


def test_a_write_that_is_cancelled_has_an_unknown_fate():
    async def main(world):
        async def reconcile(key):
            with trio.move_on_after(0) as scope:
                await world.maps.create(config("a"), "shop")
            assert scope.cancelled_caught

        await world.turn(reconcile)
        assert "its fate is unknown" in world.journal.writes()[0].failure

    run(main)


def test_what_is_written_outside_of_a_reconcile_is_kept_as_nobodys():
    async def main(world):
        world.copy.lister.find("a", "shop")
        await world.maps.create(config("a"), "shop")
        (write,) = world.journal.writes()
        assert (write.controller, write.reads) == ("", ())
        assert "by no reconcile" in write.why()

    run(main)


def test_tasks_that_a_reconcile_starts_are_part_of_it_and_other_reconciles_are_not():
    async def main(world):
        async def make(name):
            world.copy.lister.find(name, "shop")
            await world.maps.create(config(name), "shop")

        async def reconcile(key):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make, f"{key}-1")
                nursery.start_soon(make, f"{key}-2")

        await world.turn(reconcile, "first")
        await world.turn(reconcile, "second")
        for number, key in enumerate(("first", "second"), start=1):
            for write in world.journal.writes(key=f"shop/{key}-2"):
                assert (write.reconcile_key, write.reconcile) == (key, number)
                assert {read.key.removeprefix("shop/")[:-2] for read in write.reads} == {key}

    run(main)


def test_reading_the_same_again_is_one_read_and_another_version_is_another():
    async def main(world):
        await world.behind.create(config("a"), "shop")
        await world.shown()

        async def reconcile(key):
            for _ in range(3):
                world.copy.lister.get("a", "shop")
            await world.behind.patch("a", {"data": {"x": "1"}}, "shop")
            await world.shown()
            world.copy.lister.get("a", "shop")
            await world.maps.delete("a", "shop")

        await world.turn(reconcile)
        first, second = world.journal.writes()[0].reads
        assert first.revision < second.revision

    run(main)


def test_long_lists_and_many_reads_are_kept_in_part_and_counted():
    async def main(world):
        for number in range(MEMBERS_MAX + 3):
            await world.behind.create(config(f"c{number:02}"), "shop")
        await world.shown()

        async def reconcile(key):
            world.copy.lister.list()
            for number in range(READS_MAX + 4):
                world.copy.lister.find(f"none-{number}", "shop")
            await world.maps.create(config("z"), "shop")

        await world.turn(reconcile)
        (write,) = world.journal.writes()
        assert write.reads[0].members.endswith(" and 3 more")
        assert write.reads[0].members.count("@") == MEMBERS_MAX
        assert len(write.reads) == READS_MAX
        assert write.left_out == 5
        assert "and 5 more" in write.why()

    run(main)


def test_the_journal_keeps_the_newest_writes_and_counts_the_others():
    async def main(world):
        for number in range(7):
            await world.maps.create(config(f"c{number}"), "shop")
        assert [write.key for write in world.journal.writes()] == ["shop/c4", "shop/c5", "shop/c6"]
        assert (len(world.journal), world.journal.dropped) == (3, 4)
        assert world.journal.last("configmaps", "shop/c0") is None
        assert world.journal.last("secrets", "shop/c6") is None

    run(main, writes_max=3)


def test_a_journal_of_nothing_is_refused():
    with pytest.raises(ValueError, match="choose 1 or more"):
        Journal(writes_max=0)


def test_a_long_patch_is_kept_in_part():
    async def main(world):
        await world.behind.create(config("a"), "shop")
        await world.maps.patch("a", {"data": {"x": "y" * 1000}}, "shop")
        assert world.journal.writes()[0].patch.endswith("yyy…")
        assert len(world.journal.writes()[0].patch) < 250

    run(main)
