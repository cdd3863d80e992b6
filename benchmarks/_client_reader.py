"""A client that watches, in a process of its own, so that its CPU is nobody else's: ours, or kubernetes' own for Python.

    python -m benchmarks._client_reader ours|kubernetes PORT REVISION EVENTS TOKEN

Says "ready" once its watch is about to begin, and in the end a line of JSON, `Taken`. It loops over every event and reads its
version.
"""

from __future__ import annotations

import importlib
import resource
import sys
import time
import warnings

import msgspec
import trio

from reflector import connect

NAMESPACE = "watched"


class Taken(msgspec.Struct, frozen=True):
    """What a client took, from its first event to its last."""

    seconds: float
    cpu_s: float
    """Of the whole watch, opening it as well."""


def main() -> None:
    """See the module."""
    who, port, revision, events, token = sys.argv[1:]
    url = f"https://127.0.0.1:{port}"
    if who == "ours":
        taken = trio.run(_ours, url, int(revision), int(events), token)
    else:
        taken = _kubernetes(url, revision, int(events), token)
    print(msgspec.json.encode(taken).decode(), flush=True)


async def _ours(url: str, revision: int, events: int, token: str) -> Taken:
    async with connect(url, token=token, insecure=True) as client:
        source = client.resource("v1", "configmaps").lister_watcher(namespace=NAMESPACE)
        async with source.watch(revision) as stream:
            print("ready", flush=True)
            before, began, taken, newest = _cpu_s(), 0.0, 0, 0
            while taken < events:
                changes = await stream.receive()
                began = began or time.perf_counter()
                for event in changes.events:
                    newest = event.revision
                taken += len(changes.events)
            assert newest
            return Taken(time.perf_counter() - began, _cpu_s() - before)


def _kubernetes(url: str, revision: str, events: int, token: str) -> Taken:
    """Of the package `kubernetes`, which is installed for the measurement or is not there."""
    kubernetes = importlib.import_module("kubernetes")
    warnings.simplefilter("ignore")  # nobody's certificate is verified here, on both sides
    config = kubernetes.client.Configuration(host=url)
    config.api_key = {"authorization": f"Bearer {token}"}
    config.verify_ssl = False
    core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(config))
    watch = kubernetes.watch.Watch()
    stream = watch.stream(core.list_namespaced_config_map, NAMESPACE, resource_version=revision)
    print("ready", flush=True)
    before, began, newest = _cpu_s(), 0.0, ""
    for taken, event in enumerate(stream, 1):
        began = began or time.perf_counter()
        newest = event["object"].metadata.resource_version
        if taken == events:
            break
    assert newest
    return Taken(time.perf_counter() - began, _cpu_s() - before)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
