"""What a run must have met to count as evidence: a run without a relist, a 410 or a crash says nothing of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ._history import Ended, EndReason, History, Listed, Opened


def counts_of(history: History, own: Mapping[str, int]) -> dict[str, int]:
    """How often each thing was met, by name; those that were not are 0. `own`: what the world counted itself."""
    counts = dict.fromkeys(NAMES, 0)
    for client in history.clients:
        states = 0
        opened = 0
        for step in client.steps:
            if isinstance(step, Listed) or (isinstance(step, Opened) and step.initial):
                states += 1
            if isinstance(step, Opened) and not step.initial:
                opened += 1
            if isinstance(step, Ended):
                counts["expired"] += step.reason is EndReason.EXPIRED
                counts["stream lost"] += step.reason is EndReason.ENDED
        counts["relist"] += max(0, states - 1)
        counts["resume"] += max(0, opened - 1)
    counts["ring wrapped"] = sum(sample.ring_length == sample.ring_capacity for sample in history.samples)
    for request in history.acts.requests:
        counts["conflict"] += request.outcome == "Conflict"
        counts["lost"] += request.outcome in ("ConnectionResetError", "TooSlowError")
        counts["refused"] += request.outcome == "ConnectionRefusedError"
    for lived in history.acts.lives:
        counts["crash"] += lived.what == "crashed"
        counts["died"] += lived.what == "died"
    counts["tombstone"] = sum(handled.is_tombstone for handled in history.acts.handled)
    counts["write"] = len(history.acts.written)
    counts["fault"] = len(history.acts.faults)
    for light in history.acts.light:
        counts["evicted"] += light.evicted
        counts["expired"] += light.expired + light.refused
        counts["relist"] += max(0, light.lists - 1)
        counts["resume"] += max(0, light.opened - max(1, light.lists))
        counts["stream lost"] += light.lost
    if history.restores:
        counts["restored"] = len(history.restores)
    for name, number in own.items():
        counts[name] = counts.get(name, 0) + number
    return counts


NAMES = (
    "relist",
    "resume",
    "expired",
    "stream lost",
    "evicted",
    "ring wrapped",
    "conflict",
    "lost",
    "refused",
    "crash",
    "died",
    "tombstone",
    "write",
    "fault",
)
"""In the order of a report."""
