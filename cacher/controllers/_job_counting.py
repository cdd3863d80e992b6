"""How the pods of a job are counted: each once, also if it is deleted before anybody looked. Pure.

    a pod ends, with the job's finalizer  →  its uid is uncounted, in the job's status  →  the finalizer goes  →  it is a number

So whatever is lost in between is done again, and a pod is gone only when it is counted. In an indexed job the index of a pod that
succeeded is noted at once, since an index counts once anyway.

Source: kubernetes pkg/controller/job/{job_controller,indexed_job_utils,backoff_utils}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from reflector import JSONObject

from ._workload_objects import spec_of, status_of
from ._workload_pods import PodView

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"


class Tally(msgspec.Struct, frozen=True):
    """What became of the job's pods up to now."""

    succeeded: int
    """Those of the status, that will be in it after this step."""
    failed: int
    uncounted_succeeded: tuple[str, ...]
    """Uids of pods that ended, and still have, or had when it was last looked, the finalizer."""
    uncounted_failed: tuple[str, ...]
    release: tuple[PodView, ...]
    """Pods that are in the status, so that their finalizers may go."""
    indexes: tuple[int, ...]
    """Of an indexed job: those that are done."""

    @property
    def all_succeeded(self) -> int:
        """With those that are uncounted."""
        return self.succeeded + len(self.uncounted_succeeded)

    @property
    def all_failed(self) -> int:
        """With those that are uncounted."""
        return self.failed + len(self.uncounted_failed)


def is_indexed(job: JSONObject) -> bool:
    """Whether its pods have numbers, each of which is to succeed once."""
    return spec_of(job).get("completionMode") == "Indexed"


def replaces_only_failed(job: JSONObject) -> bool:
    """Whether a pod that is being deleted is waited for, before it counts as failed and is replaced."""
    return spec_of(job).get("podReplacementPolicy") == "Failed"


def has_failed(job: JSONObject, pod: PodView) -> bool:
    """Whether it counts as failed. Source: isPodFailed."""
    if pod.phase == "Failed":
        return True
    return pod.is_terminating and pod.phase != "Succeeded" and not replaces_only_failed(job)


def is_tracked(pod: PodView) -> bool:
    """Whether it still has the finalizer."""
    return FINALIZER in pod.finalizers


def index_of(pod: PodView) -> int | None:
    """The pod's number in an indexed job."""
    text = pod.annotations.get(INDEX, "")
    return int(text) if text.isascii() and text.isdigit() else None


def tally(job: JSONObject, pods: Sequence[PodView]) -> Tally:
    """The pods counted: what the status says, what ended since, and what need not be waited for any more."""
    status = status_of(job)
    uncounted: Mapping[str, Any] = status.get("uncountedTerminatedPods") or {}
    tracked = {pod.uid: pod for pod in pods if is_tracked(pod)}
    succeeded, failed = int(status.get("succeeded") or 0), int(status.get("failed") or 0)

    still_succeeded = [uid for uid in uncounted.get("succeeded") or () if uid in tracked]
    still_failed = [uid for uid in uncounted.get("failed") or () if uid in tracked]
    succeeded += len(uncounted.get("succeeded") or ()) - len(still_succeeded)
    failed += len(uncounted.get("failed") or ()) - len(still_failed)

    seen = {*still_succeeded, *still_failed}
    new = [pod for pod in tracked.values() if pod.uid not in seen]
    new_succeeded = [pod for pod in new if pod.phase == "Succeeded"]
    new_failed = [pod for pod in new if has_failed(job, pod)]
    indexes: list[int] = []
    if is_indexed(job):
        done = {*parse_indexes(str(status.get("completedIndexes") or "")), *_numbers(job, new_succeeded)}
        indexes = sorted(done)
        succeeded, still_succeeded = len(indexes), []
    else:
        still_succeeded += [pod.uid for pod in new_succeeded]
    still_failed += [pod.uid for pod in new_failed]
    return Tally(
        succeeded,
        failed,
        tuple(still_succeeded),
        tuple(still_failed),
        tuple(pod for pod in tracked.values() if pod.uid in seen or pod.phase == "Succeeded" or has_failed(job, pod)),
        tuple(indexes),
    )


def _numbers(job: JSONObject, pods: Iterable[PodView]) -> list[int]:
    completions = int(spec_of(job).get("completions") or 0)
    found = [index_of(pod) for pod in pods]
    return [index for index in found if index is not None and index < completions]


def parse_indexes(text: str) -> list[int]:
    """The numbers of a text such as "1,3-5"."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found += range(int(first), int(last if last.isdigit() else first) + 1)
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Sorted numbers as a text such as "1,3-5"; two in a row are told apart, as Kubernetes does: "3,4"."""
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(_run(run) for run in runs)


def _run(run: Sequence[int]) -> str:
    return ",".join(str(one) for one in run) if len(run) < 3 else f"{run[0]}-{run[-1]}"


def backoff_s(job: JSONObject, pods: Sequence[PodView], now: float, first_s: float, most_s: float) -> float:
    """Seconds until new pods may be made: after each failure in a row twice as long, counted from the last one's end.

    Differs: it is counted by the pods that are there, where Kubernetes remembers those that it saw, until it is restarted.
    """
    ended = sorted(
        (pod for pod in pods if pod.phase == "Succeeded" or has_failed(job, pod)), key=lambda pod: pod.finished_s
    )
    in_a_row = 0
    for pod in reversed(ended):
        if pod.phase == "Succeeded":
            break
        in_a_row += 1
    if not in_a_row:
        return 0.0
    wait = min(first_s * 2.0 ** min(in_a_row - 1, 32), most_s)
    return max(0.0, ended[-1].finished_s + wait - now)
