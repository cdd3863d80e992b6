"""The timeline of a run: lanes, requests, bands and plots, from its recorded history. Pure.

store
cache of each server                 what it was seen to hold, what it asked the store for
each process                         its requests, lives and deaths
  each of its watches                lists and events, over all of its lives
each client without a process
"""

from __future__ import annotations

from collections.abc import Sequence

from ..simulation import Chronicle, ClientHistory, History, Lived, Verdict
from ._lanes import ClientMarks, Marks
from ._levels import MARKS_MAX, Chosen, choose, fair_share, thin
from ._model import (
    ASKED,
    LIFE,
    SAMPLED,
    WRITTEN,
    Band,
    Breach,
    Lane,
    Request,
    Timeline,
)
from ._plots import plots_of
from ._versions import START, UNKNOWN, VersionTable, microseconds_of

STORE_NAME = "store"
"""The name of its lane, and what faults call it."""
LATE_S = 3600.0
"""A run whose first moment is later than this on its clock went by the real one: it is told from its own beginning."""
LEFT_OUT_NAMED = 20


def origin_of(history: History) -> float:
    """Where a report's time begins on the run's clock: 0 of a virtual one, so that all told times agree with the judges'."""
    first = min(history.published_at_s.values(), default=0.0)
    return 0.0 if first < LATE_S else first


def timeline_of(
    history: History,
    verdicts: Sequence[Verdict] = (),
    chronicle: Chronicle | None = None,
    *,
    marks_max: int = MARKS_MAX,
) -> tuple[Timeline, list[Breach]]:
    """The timeline, and the breaches in order of time.

    Args:
        marks_max: beyond so many, whole clients are left out, those that a guarantee was broken for last.
    Cost: a few µs a delivery; see `ClientMarks`.
    """
    return _Building(history, verdicts, chronicle, marks_max).build()


class _Building:
    def __init__(
        self, history: History, verdicts: Sequence[Verdict], chronicle: Chronicle | None, marks_max: int
    ) -> None:
        self.history = history
        self.verdicts = verdicts
        self.chronicle = chronicle
        self.marks_max = marks_max
        self.origin_s = origin_of(history)
        written = [(one.revision, one.at_s) for one in history.acts.written]
        self.table = VersionTable(history, microseconds_of(history.published_at_s, written, self.origin_s))
        self.clients = ClientMarks(self.table, self.origin_s)
        self.texts: dict[str, int] = {}
        self.lanes: list[Lane] = []
        self.by_name: dict[str, int] = {}
        self.left_out: Chosen = Chosen((), ())

    def us(self, at_s: float) -> int:
        """Microseconds from the origin."""
        return round((at_s - self.origin_s) * 1e6)

    def text(self, text: str) -> int:
        """The number of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def build(self) -> tuple[Timeline, list[Breach]]:
        """Everything."""
        self._world_lanes()
        processes = self._process_lanes()
        self._client_lanes(processes)
        breaches = self._breaches()
        self._thin(breaches)
        requests = self._requests()
        timeline = Timeline(
            end_us=self._end_us(),
            lanes=self.lanes,
            versions=self.table.versions(),
            listings=self.clients.listings,
            requests=requests,
            texts=list(self.texts),
            bands=self._bands(),
            plots=plots_of(self.history, self.origin_s, self._end_us()),
            origin_s=self.origin_s,
            marks_seen=sum(map(_steps, self.history.clients)) + self.table.known,
            lanes_left_out=list(self.left_out.left_out[:LEFT_OUT_NAMED]),
            lanes_left_out_count=len(self.left_out.left_out),
        )
        return timeline, breaches

    # ---- lanes -------------------------------------------------------------------------------------------------------

    def _lane(self, lane: Lane) -> int:
        self.by_name[lane.name] = len(self.lanes)
        self.lanes.append(lane)
        return len(self.lanes) - 1

    def _world_lanes(self) -> None:
        told = [line.split(" ", 2) for line in self.chronicle.lines] if self.chronicle is not None else []
        users = Marks()
        for at_s, _, what in (words for words in told if words[1] == "user"):
            users.add(self.us(float(at_s)), LIFE, self.text(what))
        if users:
            self._lane(users.lane("workload", "workload", note="what the user does"))
        store = Marks()
        for number in range(self.table.known):
            if self.table.changes[number] not in (START, UNKNOWN):
                store.add(self.table.at_us[number], WRITTEN, number)
        self._lane(store.lane(STORE_NAME, "store", note="etcd"))
        for name, marks in self._caches().items():
            marks.sort()
            self._lane(marks.lane(name or "caches", "cache", note="API server" if name else "all caches"))

    def _caches(self) -> dict[str, Marks]:
        found: dict[str, Marks] = {}
        for sample in self.history.samples:
            if sample.ring_capacity:
                at_us, ring = self.us(sample.at_s), f"{sample.ring_length}/{sample.ring_capacity}"
                text = f"{sample.prefix}: at revision {sample.revision}, ring {ring}, {sample.log_events} in logs"
                found.setdefault(sample.server, Marks()).add(at_us, SAMPLED, self.text(text))
        for asked in self.history.acts.asked:
            text = f"asks the store: {asked.what} {asked.prefix}" + (
                f", {asked.objects} objects" if asked.objects else ""
            )
            found.setdefault(asked.server, Marks()).add(self.us(asked.at_s), SAMPLED, self.text(text))
        return dict(sorted(found.items()))

    def _process_lanes(self) -> dict[str, list[ClientHistory]]:
        """The lane of each process, and below it those of its watches. Returns the clients of no process, under ""."""
        by_process: dict[str, dict[str, list[ClientHistory]]] = {}
        loose: list[ClientHistory] = []
        for client in self.history.clients:
            if client.process:
                watch = client.name.partition(" ")[2] or client.resource
                by_process.setdefault(client.process, {}).setdefault(watch, []).append(client)
            else:
                loose.append(client)
        names = dict.fromkeys((*by_process, *(one.process for one in self.history.acts.lives)))
        names.update(dict.fromkeys(one.process for one in self.history.acts.requests))
        for process in names:
            parent = self._lane(self._process_lane(process))
            for watch, lives in by_process.get(process, {}).items():
                self._watch_lane(f"{process} · {watch}", lives, parent)
        return {"": loose}

    def _process_lane(self, process: str) -> Lane:
        marks = Marks()
        for life in (one for one in self.history.acts.lives if one.process == process):
            marks.add(self.us(life.at_s), LIFE, self.text(_life(life)))
        for request in (one for one in self.history.acts.requests if one.process == process):
            marks.add(self.us(request.at_s), ASKED, request.number)
        marks.sort()
        return marks.lane(process, "process", note="controller")

    def _watch_lane(self, name: str, lives: Sequence[ClientHistory], parent: int) -> None:
        marks = Marks()
        for client in lives:
            self.clients.add(client, marks)
        first = lives[0]
        lane = marks.lane(
            name, "watch", under=parent, note=_watched(first), sees_all=_sees_all(first), prefix=first.prefix
        )
        for client in lives:
            self.by_name[client.name] = len(self.lanes)
        self._lane(lane)

    def _client_lanes(self, clients: dict[str, list[ClientHistory]]) -> None:
        broken = dict.fromkeys(violation.where for verdict in self.verdicts for violation in verdict.violations)
        spent = sum(len(lane.at_us) for lane in self.lanes)
        loose = clients[""]
        sizes = [(client.name, _steps(client), client.name in broken) for client in loose]
        # Half of all is for clients, however much the store was told; what is too much then is thinned.
        self.left_out = choose(sizes, max(self.marks_max // 2, self.marks_max - spent))
        if loose and not self.left_out.kept:
            self.left_out = Chosen((loose[0].name,), tuple(client.name for client in loose[1:]))
        kept = dict.fromkeys(self.left_out.kept)
        for client in loose:
            if client.name in kept:
                marks = Marks()
                self.clients.add(client, marks)
                note = _watched(client) + (", slow on purpose" if client.slow else "")
                self._lane(
                    marks.lane(client.name, "client", note=note, sees_all=_sees_all(client), prefix=client.prefix)
                )

    def _thin(self, breaches: Sequence[Breach]) -> None:
        """Where the lanes that had to be kept are too long by themselves, they lose what is far from any breach."""
        if sum(len(lane.at_us) for lane in self.lanes) <= self.marks_max:
            return
        share = fair_share([len(lane.at_us) for lane in self.lanes], self.marks_max)
        for number, lane in enumerate(self.lanes):
            around = [breach.at_us for breach in breaches if breach.lane in (number, -1)]
            self.lanes[number] = thin(lane, share, around, self.table, self.clients)

    # ---- what is not a lane ------------------------------------------------------------------------------------------

    def _breaches(self) -> list[Breach]:
        found = []
        for verdict in self.verdicts:
            for violation in verdict.violations:
                lane = self.by_name.get(violation.where, self._lane_of_prefix(violation.where))
                breach = Breach(self.us(violation.at_s), lane, violation.revision, verdict.name, violation.message)
                found.append(breach)
        for looked in self.history.acts.looked:
            found.append(
                Breach(self.us(looked.at_s), self.by_name[STORE_NAME], looked.revision, looked.name, looked.facts)
            )
        return sorted(found, key=lambda breach: breach.at_us)

    def _lane_of_prefix(self, where: str) -> int:
        """Of a place that is no lane by name: the longest lane name that it begins with, or the caches' for a prefix."""
        if where.startswith("/"):
            return self.by_name.get("caches", -1)
        named = [name for name in self.by_name if where.startswith((f"{name} ", f"{name}/", f"{name}#"))]
        return self.by_name[max(named, key=len)] if named else -1

    def _requests(self) -> list[Request]:
        written: dict[int, list[int]] = {}
        for one in self.history.acts.written:
            if one.request >= 0:
                written.setdefault(one.request, []).append(self.table.of_key(one.key, one.revision, one.uid))
        found = []
        for request in self.history.acts.requests:
            named = f"{request.namespace}/{request.name}".strip("/")
            found.append(
                Request(
                    at_us=self.us(request.at_s),
                    done_us=self.us(request.done_s or request.at_s),
                    lane=self.by_name[request.process],
                    text=f"{request.verb} {request.resource} {named}".rstrip(),
                    server=request.server,
                    outcome=request.outcome,
                    versions=written.get(request.number, []),
                    beliefs=[
                        (self.table.of_key(one.key, one.revision, one.uid), one.server, self.us(one.at_s))
                        for one in request.beliefs
                    ],
                )
            )
        return found

    def _bands(self) -> list[Band]:
        end_us, phases = self._end_us(), self.history.acts.phases
        found = [
            Band(
                self.us(struck.at_s),
                self.us(struck.mended_s)
                if struck.mended_s is not None
                else end_us
                if struck.is_lasting
                else self.us(struck.at_s),
                "fault",
                struck.what,
                sorted({self.by_name[name] for name in struck.targets if name in self.by_name}),
            )
            for struck in self.history.acts.struck
        ]
        down: dict[str, Lived] = {}
        for life in self.history.acts.lives:
            if life.what == "started" and life.process in down:
                found.append(self._down(down.pop(life.process), self.us(life.at_s)))
            elif life.what in ("crashed", "died"):
                down.setdefault(life.process, life)
        found += [self._down(life, end_us) for life in down.values()]
        if phases.faults_end_s is not None:
            found.append(
                Band(
                    self.us(phases.faults_end_s), end_us, "phase", "faults have stopped, and everything is to converge"
                )
            )
        return found

    def _down(self, life: Lived, until_us: int) -> Band:
        text = f"{life.process} is down: {life.what} {life.why}".rstrip()
        return Band(self.us(life.at_s), until_us, "down", text, [self.by_name[life.process]])

    def _end_us(self) -> int:
        history = self.history
        ends = [history.acts.phases.end_s, *(sample.at_s for sample in history.samples[-1:])]
        ends += [client.steps[-1].at_s for client in history.clients if client.steps]
        ends += list(history.published_at_s.values())[-1:]
        return max(1, *(self.us(end_s) for end_s in ends if end_s), 1)


def _steps(client: ClientHistory) -> int:
    return sum(len(batch) if (batch := getattr(step, "batch", None)) is not None else 1 for step in client.steps)


def _watched(client: ClientHistory) -> str:
    selector = str(client.selector)
    return f"{client.resource or client.prefix}, {selector}"


def _sees_all(client: ClientHistory) -> bool:
    return client.selector == type(client.selector)()


def _life(life: Lived) -> str:
    return f"{life.what}, life {life.incarnation}, on {life.server}{f': {life.why}' if life.why else ''}"
