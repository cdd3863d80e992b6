"""A rollout as a real Kubernetes 1.36 control plane wrote it to etcd, read by a few hundred clients of a watch cache.

    python scenarios/rollout.py [--clients N] [--seed N]

This is what `watchcache trace rollout` does, spelled out with the library:

    trace ─▶ etcd ─▶ a cache for each resource ─▶ clients ─▶ history ─▶ judges

Change it and see: other clients, another seed, a client of your own beside them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import trio

from cacher import open_cluster
from cacher.simulation import (
    Player,
    Recorder,
    Streams,
    Timetable,
    Trace,
    catch_up,
    console_for,
    digest,
    find_trace,
    judge_all,
    load_trace,
    open_clients,
    open_resources,
    plan_clients,
    render_guarantees,
    run_deterministic,
    sample_for_ever,
    store_histories,
)


async def play(trace: Trace, clients: int, seed: int) -> Recorder:
    """Play `trace` into a fresh cluster while `clients` read it; what they saw is in the recorder's history."""
    chance = Streams(seed)  # every dice of the run has a name and comes from this one number
    async with open_cluster(snapshot=trace.snapshot, random=chance.stream("cluster")) as cluster:
        # One cache for each resource in the trace: a reflector lists and watches etcd, a ring keeps the history.
        resources = await open_resources(cluster, trace)

        # What is true, taken from the trace alone; the judges compare with it what the clients were shown.
        stores = store_histories(trace, resources)
        recorder = Recorder(stores, end_revision=trace.end_revision)

        # Clients of every kind: all pods, one namespace, one node, every operator of label selectors, one object, …
        plans = plan_clients(stores, clients, chance.stream("clients"), duration_s=trace.duration_s)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(sample_for_ever, resources, recorder)  # looks at the caches every few seconds
            async with open_clients(plans, resources, recorder, store_revision=lambda: cluster.etcd.revision):
                # All watch. A client of your own fits here: start it in the nursery.
                recorder.play_starts()
                clock = Timetable(trio.current_time())
                player = Player(trace, cluster.etcd, clock, before_step=lambda step: recorder.published(step.revision))
                await player.run()  # stops with file and line where a revision is not as recorded
                lagging = await catch_up(resources, trace.last_revisions())
            recorder.play_ends()
            nursery.cancel_scope.cancel()

    recorder.history.finished = not lagging  # from here on, what a client did not get was lost
    return recorder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenario; 0 if every guarantee was kept, else 1."""
    parser = argparse.ArgumentParser(description="A recorded rollout through the watch cache.")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trace", default="rollout", help="a trace's name, or a path such as dir/rollout")
    options = parser.parse_args(arguments)

    trace = load_trace(find_trace(options.trace))
    # Virtual time: the trace's minutes pass as fast as the machine can work, and the same seed gives the same run.
    recorder = run_deterministic(play, trace, options.clients, options.seed, seed=options.seed)

    meter, lag = recorder.meter, recorder.meter.lag()
    print(f"{len(trace.events):,} events in {trace.duration_s:.0f} s of a cluster, to {options.clients:,} clients")
    print(f"{meter.deliveries:,} deliveries, {meter.deliveries_per_s:,.0f} a second")
    print(f"lag p50 {lag.p50_s * 1000:.2f} ms, p99 {lag.p99_s * 1000:.2f} ms, max {lag.max_s * 1000:.2f} ms")
    verdicts = judge_all(recorder.history)
    render_guarantees(verdicts, console_for(sys.stdout))
    print(f"digest: {digest(recorder.history)}")
    return 1 if any(verdict.broken for verdict in verdicts) or not recorder.history.finished else 0


if __name__ == "__main__":
    sys.exit(main())
