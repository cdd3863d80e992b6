"""Looking at caches while a run goes on, for the judges: how full they are, and now and then all that they hold."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from watch import NotReady

from .. import Resource
from ._recorder import Recorder

SAMPLE_PERIOD_S = 5.0
"""Every so often each cache is looked at, in seconds of the trace."""
LOOKS_A_COHERENT = 3
"""Every third look takes all objects along, to be compared with the store's: the judge's work grows with them."""


async def sample_for_ever(
    resources: Mapping[str, Resource], recorder: Recorder, period_s: float = SAMPLE_PERIOD_S
) -> None:
    """Look at each of `resources` every `period_s`, beginning now, until cancelled. Start it in a nursery."""
    looks = 0
    while True:
        await sample(resources, recorder, with_objects=looks % LOOKS_A_COHERENT == 0)
        looks += 1
        await trio.sleep(period_s)


async def sample(resources: Mapping[str, Resource], recorder: Recorder, *, with_objects: bool) -> None:
    """Look at each of `resources` that has a cache once; with `with_objects` also at all that it holds.

    Cost: O(views), and O(objects) with them.
    """
    for resource in resources.values():
        if not resource.is_cached:
            continue
        recorder.sampled(resource.statistics())
        if with_objects:
            try:
                found = await resource.list(resource_version="0")
            except NotReady:
                continue  # it says nothing now, so there is nothing to compare
            recorder.sampled(resource.statistics(), revision=found.revision, objects=found.objects)
