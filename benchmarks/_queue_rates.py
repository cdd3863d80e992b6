"""The work queue in a process of its own: operations a second, as JSON.

python -m benchmarks._queue_rates KEYS
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable

import trio

from ._controllers import deep, in_turn


async def _measure(count: int) -> dict[str, float]:
    keys = [f"namespace-{number % 1_000}/pod-{number}" for number in range(count)]
    return {"queue": _rate(in_turn, keys), "deep": _rate(deep, keys)}


def _rate(act: Callable[[list[str]], None], keys: list[str]) -> float:
    gc.collect()
    began = time.perf_counter()
    act(keys)
    return len(keys) / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(trio.run(_measure, int(sys.argv[1]))))
