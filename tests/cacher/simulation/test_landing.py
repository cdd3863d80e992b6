"""A recorded trace brought to a store with a history of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from cacher import StoreOptions
from cacher.simulation._landing import Landing, LandingRefused, land
from cacher.simulation._player import Player, Timetable
from cacher.simulation._recording import load_recordings
from cacher.simulation._report import RunReport
from cacher.simulation._trace import Trace, find_trace, load_trace
from cacher.simulation._trace_run import RunOptions, TraceRun
from cacher.storage.etcd import open_embedded_etcd
from tests.cacher.simulation.trace_files import TraceFiles, pod, pod_key
from tests.etcd_binaries import etcd_parameters
from tests.etcd_server import EtcdServer, start_etcd_server


def story(directory: Path) -> Trace:
    """Two keys before, one of them on a lease; changes, a deletion and a return, a write elsewhere, the lease's end."""
    files = TraceFiles(100)
    files.begins_with(pod_key("old"), pod("old"), rev=60, create=40, version=3)
    files.begins_with(pod_key("leased"), pod("leased"), rev=55, create=55, version=1, lease=7)
    files.put(pod_key("old"), pod("old", spec={"nodeName": "a"}))
    files.put(pod_key("new"), pod("new"))
    files.elsewhere()
    files.delete(pod_key("old"))
    files.put(pod_key("old"), pod("old", spec={"nodeName": "b"}))
    files.put(pod_key("old"), pod("old", spec={"nodeName": "c"}))
    files.delete(pod_key("leased"))
    return load_trace(files.write(directory))


LANDING = Landing(recorded_start=100, start=208, recorded=(16, 19, 60), landed=(54, 55, 207))


@pytest.mark.parametrize(
    ("recorded", "landed"),
    [(100, 208), (101, 209), (150, 258), (16, 54), (19, 55), (60, 207), (17, 54), (99, 207), (15, 0)],
)
def test_each_recorded_revision_has_a_place_in_the_same_order(recorded, landed):
    assert LANDING.at(recorded) == landed


def test_what_landed_is_played_as_any_trace_and_held_to_it_revision_by_revision(tmp_path, run_trio):
    trace = story(tmp_path)

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            for number in range(20):  # a history of its own
                await etcd.put(f"/elsewhere/{number}", b"x")
            landed = await land(trace, etcd, key_prefix="/other/", lease_ttl_s=3600)
            assert landed.leases == (7,)
            assert landed.landing.landed == (22, 23), "in the order of their revisions: first the one of 55, then of 60"
            assert (landed.trace.start_revision, landed.trace.end_revision) == (23, 30)
            player = Player(landed.trace, etcd, Timetable(0.0), granted=landed.leases)
            played = await player.run()
            assert (played.revision, played.keys_checked, played.leases_granted, played.leases_revoked) == (30, 2, 0, 1)
            held = await etcd.range("/other/", "/other0")
            assert [(kv.key, kv.create_revision, kv.mod_revision, kv.version) for kv in held.kvs] == [
                (b"/other/pods/default/new", 25, 25, 1),
                (b"/other/pods/default/old", 28, 29, 2),
            ]
            assert not (await etcd.range("/registry/", "/registry0")).kvs

    run_trio(main)


def test_events_of_a_landed_trace_have_the_versions_that_their_keys_have_here(tmp_path, run_trio):
    trace = story(tmp_path)

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            landed = (await land(trace, etcd, key_prefix=trace.key_prefix, lease_ttl_s=60)).trace
        old = [(e.revision, e.create, e.version, e.prev) for e in landed.events if e.key == pod_key("old")]
        assert old == [(4, 3, 2, 3), (7, 0, 0, 4), (8, 8, 1, 0), (9, 8, 2, 8)]
        assert landed.last_revisions() == {"/registry/pods/": 10}

    run_trio(main)


def test_a_trace_is_not_mixed_with_what_a_store_holds(tmp_path, run_trio):
    trace = story(tmp_path)

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            await etcd.put("/registry/pods/default/mine", b"{}")
            with pytest.raises(LandingRefused, match=r"1 keys below /registry/.*--etcd-prefix"):
                await land(trace, etcd, key_prefix="/registry/", lease_ttl_s=60)
            assert (await etcd.range("/registry/", "/registry0", count_only=True)).count == 1

    run_trio(main)


def test_a_lease_that_an_earlier_play_left_is_taken_over(tmp_path, run_trio):
    trace = story(tmp_path)

    async def main() -> None:
        async with open_embedded_etcd(random=Random(1)) as etcd:
            for prefix in ("/one/", "/two/"):
                landed = await land(trace, etcd, key_prefix=prefix, lease_ttl_s=60)
                assert landed.leases == (7,)
            assert len((await etcd.lease_time_to_live(7, keys=True)).keys) == 2

    run_trio(main)


def test_recorded_objects_carry_the_revisions_of_here():
    recording = load_recordings(find_trace("rollout"))[0]
    landing = Landing(recording.revision, 5, (), ())
    here = landing.recording(recording)
    assert (here.revision, here.last_revision) == (5, 5 + recording.last_revision - recording.revision)
    _, first = next(iter(recording.events()))
    _, translated = next(iter(here.events()))
    shift = recording.revision - 5
    assert int(translated["metadata"]["resourceVersion"]) == int(first["metadata"]["resourceVersion"]) - shift
    assert {**first, "metadata": None} == {**translated, "metadata": None}


@pytest.fixture(params=etcd_parameters())
def server(request, tmp_path) -> Iterator[EtcdServer]:
    """It runs between trio's runs, of which a play has its own."""
    flags = ["--unsafe-no-fsync"] if request.param.numbers >= (3, 5) else []  # nothing is cut off here
    started = trio.run(partial(start_etcd_server, request.param, tmp_path, random=Random(1), flags=flags))
    yield started
    started.end()


def play_on(server: EtcdServer, trace: Trace, **options: Any) -> RunReport:
    store = StoreOptions(endpoints=(server.endpoint,))
    run = TraceRun(trace, RunOptions(clients=20, verify=True, store=store, **options))
    run.execute()
    return run.report()


@pytest.mark.parametrize("watch_cache", [True, False])
def test_a_trace_is_played_into_a_real_etcd_and_breaks_nothing(server, watch_cache, tmp_path):
    report = play_on(server, story(tmp_path), watch_cache=watch_cache)
    assert (report.exit_code, report.lagging, report.events_played) == (0, (), 6)


@pytest.mark.long
def test_a_recorded_cluster_on_a_real_etcd_shows_its_clients_what_the_real_cache_showed_them(server):
    report = play_on(server, load_trace(find_trace("rollout")))
    assert report.verify is not None
    assert (report.exit_code, report.verify.differences, report.lagging) == (0, 0, ()), report.verify.lines
