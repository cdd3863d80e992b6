"""What a run of a trace came to, as one value: the report that is printed, and the JSON that is the same.

Pure facts and where they come from. How they look is `_render.py`'s concern.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import trio

from .. import CacherStatistics
from ._client_plans import ClientPlan
from ._meter import LagSummary
from ._recorder import ClientLog
from .judges import Verdict

EXIT_OK = 0
EXIT_BROKEN = 1
EXIT_NOT_CONVERGED = 2
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it

NOT_REPEATABLE = "not repeatable"


class CacherFacts(msgspec.Struct, frozen=True):
    """One resource's cache at the end of the play, and who read it."""

    resource: str
    prefix: str
    revision: int
    """Everything up to here is in the cache; 0 where there is no cache, as in what follows of it."""
    events: int
    """Taken from upstream."""
    objects: int
    clients: int
    deliveries: int
    watches_peak: int
    """At the fullest moment that was looked at; at the end there are none."""
    views_peak: int
    ring_length: int
    ring_capacity: int
    ring_resizes: int
    ring_evictions: int
    relists: int
    """Of the cache itself, from upstream."""
    resumes: int
    """Of the cache's own upstream watch."""
    bookmarks: int
    """Given to watches."""
    expired: int
    """Watches that lost an event of their own to the ring."""


class KindFacts(msgspec.Struct, frozen=True):
    """All clients with one sort of selector."""

    kind: str
    clients: int
    deliveries: int


class ClientTotals(msgspec.Struct, frozen=True):
    """What all clients did together."""

    lists: int
    relists: int
    resumes: int
    expired: int
    bookmarks: int
    retries: int
    slow: int
    restless: int
    streaming: int
    late: int


class VerifyFacts(msgspec.Struct, frozen=True):
    """How our watches compare with the recorded ones of a real watch cache."""

    lines: tuple[str, ...]
    """One a recording, then the sum."""
    differences: int


class RunReport(msgspec.Struct, frozen=True):
    """Everything worth knowing about one run of one trace."""

    trace: str
    versions: Mapping[str, str]
    clients: int
    pace: str
    seed: int
    replay: str
    """The command that does the same again."""
    start_revision: int
    end_revision: int
    events_played: int
    events: int
    revisions_played: int
    """Each made by the store as recorded, or the run would have stopped."""
    revisions: int
    trace_s: float
    play_wall_s: float
    deliveries: int
    deliveries_per_s: float
    deliveries_by_second: tuple[int, ...]
    """In each second of the trace's clock."""
    lag: LagSummary
    totals: ClientTotals
    caches: tuple[CacherFacts, ...]
    kinds: tuple[KindFacts, ...]
    memory_peak_bytes: int
    verify: VerifyFacts | None
    guarantees: tuple[Verdict, ...]
    digest: str
    interrupted: bool
    """Stopped by Ctrl-C: the figures are those so far."""
    lagging: tuple[str, ...]
    """Resources whose cache did not reach the end in time."""

    @property
    def checks(self) -> int:
        """All checks of all guarantees."""
        return sum(verdict.checks for verdict in self.guarantees)

    @property
    def broken(self) -> int:
        """All breaches of all guarantees."""
        return sum(verdict.broken for verdict in self.guarantees)

    @property
    def differences(self) -> int:
        """Between our watches and the recorded ones."""
        return self.verify.differences if self.verify else 0

    @property
    def exit_code(self) -> int:
        """0 ok, 1 a guarantee was broken or a recording differs, 2 no convergence, 130 interrupted (and nothing broken so far)."""
        if self.broken or self.differences:
            return EXIT_BROKEN
        if self.interrupted:
            return EXIT_INTERRUPTED
        return EXIT_NOT_CONVERGED if self.lagging else EXIT_OK

    @property
    def verdict(self) -> str:
        """The run in one line, for the end of the report."""
        judged = f"{len(self.guarantees)} guarantees, {self.checks:,} checks, {self.broken} broken"
        match self.exit_code:
            case 1 if self.broken:
                return f"BROKEN: {judged}"
            case 1:
                return f"DIFFERENT: {self.differences} differences from the recorded watches; {judged}"
            case 2:
                return f"NOT CONVERGED: {', '.join(self.lagging)} did not reach revision {self.end_revision}; {judged}"
            case 130:
                return f"INTERRUPTED at {self.events_played:,} of {self.events:,} events: {judged} so far"
        return f"OK: {judged}"

    def to_json(self) -> str:
        """The report as one JSON document, indented."""
        document = msgspec.to_builtins(self) | {"exit_code": self.exit_code, "verdict": self.verdict}
        return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def versions() -> dict[str, str]:
    """What ran: this library, Python, trio and the system."""
    return {
        "watchcache": package_version(),
        "python": platform.python_version(),
        "trio": trio.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def package_version() -> str:
    """The version installed; in a checkout that was never installed there is none to tell."""
    try:
        return importlib.metadata.version("watchcache")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def replay_command(
    trace: str,
    *,
    clients: int,
    pace: str,
    seed: int,
    verify: bool,
    watch_cache: bool = True,
    watch_cache_sizes: Sequence[tuple[str, int]] = (),
) -> str:
    """The command that runs the same again."""
    words = ["watchcache", "trace", trace, "--clients", str(clients), "--seed", str(seed)]
    words += ["--pace", pace] if pace != "max" else []
    words += ["--verify"] if verify else []
    words += [] if watch_cache else ["--watch-cache", "false"]
    sizes = ",".join(f"{resource}={size}" for resource, size in watch_cache_sizes)
    words += ["--watch-cache-sizes", sizes] if sizes else []
    return shlex.join(words)


def cacher_facts(
    resource: str, statistics: CacherStatistics, logs: Sequence[ClientLog], *, watches_peak: int, views_peak: int
) -> CacherFacts:
    """One resource's line. `logs`: of the clients that read it."""
    return CacherFacts(
        resource=resource,
        prefix=statistics.prefix,
        revision=statistics.revision,
        events=statistics.events,
        objects=statistics.objects,
        clients=len(logs),
        deliveries=sum(log.deliveries for log in logs),
        watches_peak=watches_peak,
        views_peak=views_peak,
        ring_length=statistics.ring_length,
        ring_capacity=statistics.ring_capacity,
        ring_resizes=statistics.ring_resizes,
        ring_evictions=statistics.ring_evictions,
        relists=statistics.relists,
        resumes=statistics.resumes,
        bookmarks=statistics.bookmarks,
        expired=statistics.expired,
    )


def kind_facts(plans: Iterable[ClientPlan], logs: Iterable[ClientLog]) -> tuple[KindFacts, ...]:
    """The clients by the sort of their selector, the most numerous first."""
    counts: dict[str, tuple[int, int]] = {}
    for plan, log in zip(plans, logs, strict=True):
        clients, deliveries = counts.get(plan.kind, (0, 0))
        counts[plan.kind] = (clients + 1, deliveries + log.deliveries)
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(KindFacts(kind, clients, deliveries) for kind, (clients, deliveries) in ordered)


def client_totals(plans: Iterable[ClientPlan], logs: Iterable[ClientLog], *, bookmarks: int) -> ClientTotals:
    """Sums over all clients."""
    every, planned = list(logs), list(plans)
    return ClientTotals(
        lists=sum(log.lists for log in every),
        relists=sum(log.relists for log in every),
        resumes=sum(log.resumes for log in every),
        expired=sum(log.expired for log in every),
        bookmarks=bookmarks,
        retries=sum(log.retries for log in every),
        slow=sum(plan.is_slow for plan in planned),
        restless=sum(plan.close_after_batches > 0 for plan in planned),
        streaming=sum(plan.streaming for plan in planned),
        late=sum(plan.start_at_s > 0 for plan in planned),
    )
