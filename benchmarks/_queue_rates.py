"""The work queue, and an index of a store, in a process of its own: operations a second, as JSON.

python -m benchmarks._queue_rates KEYS
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

import trio

from reflector import Replacement, Store

from ._controllers import deep, in_turn
from ._informers import NAMESPACES, stored_pod

ROUNDS = 20
LOOKED_UP = 100_000
"""Objects in the store whose index is read."""


async def _measure(count: int) -> dict[str, float]:
    keys = [f"namespace-{number % 1_000}/pod-{number}" for number in range(count)]
    return {"queue": _rate(in_turn, keys), "deep": _rate(deep, keys), "index": _lookups(LOOKED_UP)}


def _rate(act: Callable[[list[str]], None], keys: list[str]) -> float:
    gc.collect()
    began = time.perf_counter()
    act(keys)
    return len(keys) / (time.perf_counter() - began)


def _lookups(count: int) -> float:
    """Of an index, each of a hundred objects whose names are read."""
    store = Store()
    store.replace(Replacement(tuple(stored_pod(number, number + 1) for number in range(count)), count, ()))
    values = [f"namespace-{number}" for number in range(NAMESPACES)]
    gc.collect()
    length = 0
    began = time.perf_counter()
    for _ in range(ROUNDS):
        for value in values:
            for obj in store.by_index("namespace", value):
                length += len(obj.name)
    assert length
    return ROUNDS * NAMESPACES / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(trio.run(_measure, int(sys.argv[1]))))
