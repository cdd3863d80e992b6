"""Which pods go first where some have to: those that serve least, and of equal ones those that leave the rest best spread. Pure.

Source: kubernetes pkg/controller/controller_utils.go (ActivePodsWithRanks), pkg/controller/replicaset/replica_set.go
(getPodsToDelete).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from ._workload_pods import PodView

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_INT32 = 2**31

Key = tuple[bool, int, bool, int, int, int, int, int, str]


def pods_to_delete(pods: Sequence[PodView], related: Sequence[PodView], count: int, now: float) -> list[PodView]:
    """The `count` of `pods` that go first.

    Args:
        pods: active ones, of one owner.
        related: active pods of this owner and its siblings: a node with many of them can spare one.
    """
    if count >= len(pods):
        return list(pods)
    return sorted(pods, key=deletion_key(related, now))[: max(count, 0)]


def deletion_key(related: Sequence[PodView], now: float) -> Callable[[PodView], Key]:
    """What pods are sorted by; the lowest goes first.

    Unassigned before assigned; pending before unknown before running; not ready before ready; a lower cost; more related pods on
    its node; ready for a shorter time; more restarts; younger. Times count by their order of magnitude only, so that it is not
    always the youngest that goes; what is left is decided by the uid.
    """
    on_node = Counter(pod.node for pod in related if pod.node)

    def key(pod: PodView) -> Key:
        return (
            bool(pod.node),
            _PHASES.get(pod.phase, 0),
            pod.is_ready,
            deletion_cost(pod),
            -on_node[pod.node],
            _magnitude(now - pod.ready_s) if pod.is_ready else -1,
            -pod.restarts,
            _magnitude(now - pod.created_s),
            pod.uid,
        )

    return key


def deletion_cost(pod: PodView) -> int:
    """What its annotation says; 0 where it says nothing, or no 32-bit number as Kubernetes writes one."""
    text = pod.annotations.get(DELETION_COST, "0")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (len(digits) > 1 and digits.startswith("0")):
        return 0
    return int(text) if -_INT32 <= int(text) < _INT32 else 0


def _magnitude(age_s: float) -> int:
    """log2 of an age in nanoseconds: whoever is twice as old is another order."""
    return math.floor(math.log2(age_s * 1e9)) if age_s > 0 else -1
