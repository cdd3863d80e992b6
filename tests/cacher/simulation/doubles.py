"""A cache in miniature with its store and clients, honest unless told to break one guarantee in one place.

It is a double for the whole path: it writes, filters, rings, hands out and resumes, and records a History as a run does. Given a
Break it goes wrong at the n-th occasion for it, once, and says in `broke` whether that really made the history wrong.

It is not built on the judges' model: selectors are asked by `Selector.matches`, the transition is written out, states are copies.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from cacher.simulation._history import (
    CacheSample,
    ClientHistory,
    Ended,
    EndReason,
    History,
    Listed,
    Opened,
    Received,
    StoreChange,
    StoreHistory,
)
from watch import Event, EventType, Object, ObjectReader, Selector, bookmark

PREFIX = "/registry/pods/"
START_REVISION = 10
FIELDS = ("spec.nodeName", "status.phase")
ROUND_S = 5.0
"""Between two actions: far more than a healthy watcher may wait."""

Write = tuple[int, "Pod | None"]
"""The number of a key, and what to put there; None deletes it."""


class Break(enum.Enum):
    """What can be done wrong. The value names the judge that must convict."""

    def __init__(self, judge: str, deed: str) -> None:
        self.judge = judge
        self.deed = deed

    REORDER = "Ordered", "swaps two events of a batch"
    FALLING_BOOKMARK = "Ordered", "sends a bookmark below the last event"
    UNSORTED_INITIAL = "Ordered", "streams the initial state in reverse"
    DELIVER_TWICE = "Unique", "delivers an event twice"
    INITIAL_TWICE = "Unique", "streams an initial object twice"
    SPLIT_REVISION = "Atomic", "cuts a revision in two batches"
    SWALLOW = "Reliable", "loses an event"
    LOSE_AFTER_RESUME = "Reliable", "loses the first event after a reconnect"
    RESUME_AHEAD = "Reliable", "resumes at the present, past what was not taken"
    INVENT = "Reliable", "delivers an event that never was"
    NOT_ASKED_FOR = "Reliable", "delivers an event of another selector"
    REPEAT_BEFORE_START = "Reliable", "delivers the event at the revision that the watch starts after"
    LYING_BOOKMARK = "Reliable", "promises by bookmark what it has not delivered"
    FUTURE_BOOKMARK = "Reliable", "promises by bookmark what never happens"
    EARLY_BOOKMARK = "Reliable", "sends a plain bookmark before the initial state is complete"
    ENDLESS_INITIAL = "Reliable", "never says that the initial state is complete"
    EXPIRE_CAUGHT_UP = "Reliable", "expires a watcher that has taken all"
    EXPIRE_IN_REACH = "Reliable", "expires a watcher whose events are all in the ring"
    WRONG_TYPE_ON_LEAVE = "Faithful", "MODIFIED for an object that left the selector"
    NEW_BYTES_ON_LEAVE = "Faithful", "DELETED with the version that no longer matches"
    MODIFIED_ON_ENTER = "Faithful", "MODIFIED for an object that came into the selector"
    OLD_REVISION_ON_DELETE = "Faithful", "DELETED with the object's own revision"
    NO_PREVIOUS = "Faithful", "leaves out the previous object"
    WRONG_PREVIOUS = "Faithful", "gives the new object as the previous one"
    LEAKED_PREVIOUS = "Faithful", "shows the version before it came into the selector"
    CORRUPT_BYTES = "Faithful", "changes one byte"
    WRONG_LABELS = "Faithful", "a head with a label that the JSON has not"
    WRONG_FIELD = "Faithful", "a head with a field that the JSON has not"
    LOSE_INITIAL = "Faithful", "leaves an object out of the initial state"
    OLD_INITIAL_VERSION = "Faithful", "streams an old version in the initial state"
    STALE_LIST = "Coherent", "lists an older state as the present one"
    LOSE_FROM_LIST = "Coherent", "leaves an object out of a list"
    UNSORTED_LIST = "Coherent", "lists in reverse"
    FORGET_DELETE = "Coherent", "keeps a deleted object"
    FUTURE_LIST = "Coherent", "lists at a revision that never was"
    GO_BACK = "Monotonic", "lists an older state to a client that knows better"
    GO_BACK_INITIAL = "Monotonic", "streams an older state to a client that knows better"
    NOT_THE_LATEST = "Monotonic", "lists an older state to who asked for the latest"
    OVERFULL_RING = "Bounded", "holds more than its capacity"
    OVERGROWN_RING = "Bounded", "grows beyond the maximum"
    OVERLONG_LOG = "Bounded", "keeps events for readers that the ring has dropped"
    DELAY_ALL = "Isolated", "makes everybody wait for a slow watcher"


class Pod(msgspec.Struct, frozen=True):
    """What one version says."""

    namespace: str = "a"
    app: str = ""
    rank: str = ""
    node: str = ""
    phase: str = ""
    note: int = 0


_reader = ObjectReader(FIELDS)


def stored(number: int, pod: Pod, revision: int) -> Object:
    """The object of key number `number`, whose place tells its namespace and name."""
    labels = {name: value for name, value in (("app", pod.app), ("rank", pod.rank)) if value}
    meta = {"name": f"pod-{number}", "namespace": pod.namespace, "uid": f"u{number}", "labels": labels}
    value = {"metadata": meta, "spec": {"nodeName": pod.node} if pod.node else {}, "note": pod.note}
    if pod.phase:
        value["status"] = {"phase": pod.phase}
    return _reader.read(f"{PREFIX}{number:03}", msgspec.json.encode(value), revision)


@dataclass
class Client:
    """A client and what the cache keeps for it."""

    history: ClientHistory
    pending: list[Event] = field(default_factory=list)
    known: int = -1
    """Where it would resume; -1: nowhere."""
    is_open: bool = False
    lost_at: int = 0
    """The revision of an event that was taken from it unseen; wrong as soon as the watch speaks beyond."""

    @property
    def selector(self) -> Selector:
        return self.history.selector

    def matches(self, obj: Object | None) -> bool:
        return obj is not None and self.selector.matches(obj)


class World:
    """Store, cache and clients. Each method is one action; the clock moves between two of them."""

    def __init__(self, start: Sequence[Write] = (), *, capacity: int = 1000, wrong: Break | None = None, nth: int = 0):
        self.wrong = wrong
        self.broke = False
        """Whether what went wrong can be seen: an event spoilt for a client that never took it harmed nobody."""
        self._left = nth
        self._spoiled: Event | None = None
        self.now_s = 0.0
        self.revision = START_REVISION
        self.capacity = capacity
        self.ring: list[Event] = []
        self.oldest = START_REVISION + 1
        objects = [stored(number, pod, START_REVISION) for number, pod in start if pod is not None]
        self.objects = {obj.key: obj for obj in objects}
        self.states = {START_REVISION: dict(self.objects)}
        self.clients: list[Client] = []
        store = StoreHistory(PREFIX, START_REVISION, dict(self.objects), [])
        self.history = History({PREFIX: store}, [], [], START_REVISION, {})

    # ---- actions ----

    def join(self, selector: Selector, *, slow: bool = False, initial: bool = False) -> Client:
        """One more client, which lists and watches, or watches with the state first."""
        self._tick()
        history = ClientHistory(f"client-{len(self.clients)}", PREFIX, selector, slow, [])
        client = Client(history)
        self.clients.append(client)
        self.history.clients.append(history)
        self._begin(client, initial=initial)
        return client

    def write(self, *transactions: Sequence[Write]) -> None:
        """One revision a transaction; then everybody who is not slow takes, in one batch."""
        self._tick()
        for transaction in transactions:
            self._commit(dict(transaction))
        if self.clients and self._goes_wrong(
            Break.DELAY_ALL, any(c.pending and not c.history.slow for c in self.clients)
        ):
            self._tick()
        for client in self.clients:
            if not client.history.slow:
                self._take(client)

    def take(self, client: Client) -> None:
        """A slow client takes what there is."""
        self._tick()
        self._take(client)

    def send_bookmarks(self) -> None:
        """Everybody who has taken all gets one."""
        self._tick()
        for client in self.clients:
            self._send_bookmark(client)

    def reconnect(self, client: Client) -> None:
        """The cache ends the watch; the client takes what is left of it, and watches again from there."""
        self._tick()
        if not client.is_open:
            return
        ahead = self._goes_wrong(Break.RESUME_AHEAD, bool(client.pending))
        if not ahead:
            self._take(client)
        if client.is_open:
            self._close(client, EndReason.ENDED)
        if client.known >= 0:
            self._watch(client, self.revision if ahead else client.known)

    def part(self, client: Client) -> None:
        """The client goes away without taking what there is."""
        self._tick()
        if client.is_open:
            self._close(client, EndReason.CLOSED_BY_CLIENT)

    def come_back(self, client: Client) -> None:
        """The client resumes, and takes what it missed."""
        self._tick()
        if not client.is_open:
            self._watch(client, client.known)

    def start_over(self, client: Client, *, initial: bool = False) -> None:
        """The client gives its watch up, and lists again or streams the state again."""
        self._tick()
        if client.is_open:
            self._close(client, EndReason.CLOSED_BY_CLIENT)
        self._begin(client, initial=initial)

    def sample(self) -> None:
        """Somebody looks into the cache."""
        self._tick()
        objects = dict(self.objects)
        gone = [obj for obj in self._earlier_objects() if obj.key not in objects]
        if self._goes_wrong(Break.FORGET_DELETE, bool(gone)):
            objects[gone[0].key] = gone[0]
        shown = tuple(objects[key] for key in sorted(objects))
        length, capacity, log = len(self.ring), self.capacity, max(map(self._kept, self.clients), default=0)
        length += (capacity + 1 - length) * self._goes_wrong(Break.OVERFULL_RING)
        log += (length + 1 - log) * self._goes_wrong(Break.OVERLONG_LOG)
        most = capacity - self._goes_wrong(Break.OVERGROWN_RING)
        self.history.samples.append(
            CacheSample(self.now_s, PREFIX, self.revision, length, capacity, most, log, shown, view_log_events_max=log)
        )

    def finish(self) -> History:
        """Everybody takes what is left and closes."""
        self._tick()
        for client in self.clients:
            self._take(client)
            if client.is_open and self._goes_wrong(Break.FUTURE_BOOKMARK):
                self._record(client, (bookmark(self.revision + 1),))
            if client.is_open:
                self.broke = self.broke or client.lost_at > 0
                client.history.steps.append(Ended(self.now_s, EndReason.CLOSED_BY_CLIENT, drained=True))
                client.is_open = False
        self.history.end_revision = self.revision
        return self.history

    def _kept(self, client: Client) -> int:
        return sum(event.revision >= self.oldest for event in client.pending)

    # ---- the store and the ring ----

    def _commit(self, writes: dict[int, Pod | None]) -> None:
        changes: list[tuple[str, Object | None, Object | None]] = []
        revision = self.revision + 1
        for number, pod in writes.items():
            key = f"{PREFIX}{number:03}"
            before = self.objects.get(key)
            if before is not None or pod is not None:
                changes.append((key, before, None if pod is None else stored(number, pod, revision)))
        if not changes:
            return
        self.revision = revision
        self.history.published_at_s[revision] = self.now_s
        for key, before, after in changes:
            self.history.stores[PREFIX].changes.append(StoreChange(revision, key, after))
            if after is not None:
                self.objects[key] = after
            else:
                del self.objects[key]
            self._publish(before, after)
        self.states[revision] = dict(self.objects)
        self._evict()

    def _publish(self, before: Object | None, after: Object | None) -> None:
        shown = after if after is not None else before
        assert shown is not None
        kind = EventType.DELETED if after is None else EventType.ADDED if before is None else EventType.MODIFIED
        self.ring.append(Event(kind, shown.at_revision(self.revision), self.revision, before))
        for client in self.clients:
            if client.is_open:
                client.pending.extend(self._seen_by(client, self.ring[-1]))

    def _evict(self) -> None:
        while len(self.ring) > self.capacity:
            dropped = self.ring[0].revision
            self.ring = [event for event in self.ring if event.revision != dropped]
            self.oldest = self.ring[0].revision if self.ring else dropped + 1

    # ---- the filter ----

    def _seen_by(self, client: Client, event: Event) -> list[Event]:
        now = event.object if event.type is not EventType.DELETED else None
        before = event.previous
        was, matches = client.matches(before), client.matches(now)
        if matches and now is not None:
            return [self._entered_or_changed(event, now, before if was else None)]
        if was and before is not None:
            return [self._left_or_deleted(event, now, before)]
        return [self._spoil(event)] if self._goes_wrong(Break.NOT_ASKED_FOR, yet=False) else []

    def _entered_or_changed(self, event: Event, now: Object, before: Object | None) -> Event:
        if before is None:
            if self._goes_wrong(Break.MODIFIED_ON_ENTER, yet=False):
                return self._spoil(Event(EventType.MODIFIED, now, event.revision, event.previous))
            if self._goes_wrong(Break.LEAKED_PREVIOUS, event.previous is not None, yet=False):
                return self._spoil(Event(EventType.ADDED, now, event.revision, event.previous))
            return self._spoil_object(Event(EventType.ADDED, now, event.revision))
        if self._goes_wrong(Break.NO_PREVIOUS, yet=False):
            return self._spoil(Event(EventType.MODIFIED, now, event.revision))
        if self._goes_wrong(Break.WRONG_PREVIOUS, yet=False):
            return self._spoil(Event(EventType.MODIFIED, now, event.revision, now))
        return self._spoil_object(Event(EventType.MODIFIED, now, event.revision, before))

    def _left_or_deleted(self, event: Event, now: Object | None, before: Object) -> Event:
        if self._goes_wrong(Break.WRONG_TYPE_ON_LEAVE, now is not None, yet=False):
            return self._spoil(Event(EventType.MODIFIED, now or before, event.revision, before))
        if self._goes_wrong(Break.NEW_BYTES_ON_LEAVE, now is not None, yet=False):
            return self._spoil(Event(EventType.DELETED, now or before, event.revision, before))
        if self._goes_wrong(Break.OLD_REVISION_ON_DELETE, yet=False):
            return self._spoil(Event(EventType.DELETED, before, event.revision, before))
        return self._spoil_object(Event(EventType.DELETED, before.at_revision(event.revision), event.revision, before))

    def _spoil_object(self, event: Event) -> Event:
        obj = event.object
        if self._goes_wrong(Break.CORRUPT_BYTES, yet=False):
            obj = msgspec.structs.replace(obj, raw=obj.raw.replace(b'"note"', b'"mote"'))
        if self._goes_wrong(Break.WRONG_LABELS, yet=False):
            obj = msgspec.structs.replace(obj, labels=obj.labels | {"seen": "never"})
        if self._goes_wrong(Break.WRONG_FIELD, yet=False):
            obj = msgspec.structs.replace(obj, fields={"spec.nodeName": "nowhere"})
        return event if obj is event.object else self._spoil(msgspec.structs.replace(event, object=obj))

    def _spoil(self, event: Event) -> Event:
        """The event is wrong, and the history is as soon as somebody gets it."""
        self._spoiled = event
        return event

    # ---- one client ----

    def _begin(self, client: Client, *, initial: bool) -> None:
        client.lost_at = 0
        if initial:
            self._open_with_state(client)
        else:
            self._watch(client, self._list(client))

    def _list(self, client: Client) -> int:
        revision, minimum = self.revision, self.revision
        older = max((at for at in self.states if at < revision and at >= self.oldest - 1), default=-1)
        if self._goes_wrong(Break.GO_BACK, 0 <= older < client.known):
            revision, minimum = older, 0
        elif self._goes_wrong(Break.NOT_THE_LATEST, older >= max(0, client.known)):
            revision = older
        objects = self._state(client, revision)
        stale = next((state for at in sorted(self.states) if (state := self._state(client, at)) != objects), objects)
        if self._goes_wrong(Break.STALE_LIST, stale != objects):
            objects = stale
        if self._goes_wrong(Break.LOSE_FROM_LIST, bool(objects)):
            objects = objects[1:]
        if self._goes_wrong(Break.UNSORTED_LIST, len(objects) > 1):
            objects = objects[::-1]
        if self._goes_wrong(
            Break.FUTURE_LIST
        ):  # to another client, which does nothing else: what follows would be wrong too
            lie = Listed(self.now_s, revision + 1_000_000, objects)
            self.history.clients.append(ClientHistory("misled", PREFIX, client.selector, False, [lie]))
        client.history.steps.append(Listed(self.now_s, revision, objects, minimum))
        return revision

    def _state(self, client: Client, revision: int) -> tuple[Object, ...]:
        state = self.states[revision]
        return tuple(state[key] for key in sorted(state) if client.selector.matches(state[key]))

    def _watch(self, client: Client, revision: int) -> None:
        self.broke = self.broke or 0 < client.lost_at <= revision  # it will never be asked for again
        client.lost_at = 0
        client.history.steps.append(Opened(self.now_s, revision))
        client.pending.clear()
        if revision < self.oldest - 1:
            client.history.steps.append(Ended(self.now_s, EndReason.EXPIRED, self.oldest, refused=True))
            self._watch(client, self._list(client))
            return
        resumed, client.known, client.is_open = client.known == revision, revision, True
        missed = [event for event in self.ring if event.revision > revision]
        seen = [mine for event in missed for mine in self._seen_by(client, event)]
        if resumed and not client.history.slow and self._goes_wrong(Break.LOSE_AFTER_RESUME, bool(seen), yet=False):
            client.lost_at = seen.pop(0).revision
        client.pending.extend(seen)
        at_start = [event for event in self.ring if event.revision == revision and client.matches(event.object)]
        if self._goes_wrong(Break.REPEAT_BEFORE_START, bool(at_start)):
            self._record(client, tuple(mine for event in at_start[:1] for mine in self._seen_by(client, event)))
        if not client.history.slow:
            self._take(client)

    def _open_with_state(self, client: Client) -> None:
        revision = self.revision
        older = max((at for at in self.states if at < client.known and at >= self.oldest - 1), default=-1)
        if self._goes_wrong(Break.GO_BACK_INITIAL, older >= 0):
            revision = older
        client.history.steps.append(Opened(self.now_s, 0, initial=True))
        client.pending.clear()
        state = self._spoilt_state(client, list(self._state(client, revision)), revision)
        batch = [Event(EventType.ADDED, obj, obj.revision) for obj in state]
        if self._goes_wrong(Break.EARLY_BOOKMARK):
            batch.insert(0, bookmark(revision))
        if self._goes_wrong(Break.ENDLESS_INITIAL, revision == self.revision and bool(batch)):
            self._endless(client, batch)
            return
        batch.append(bookmark(revision, initial_events_end=True))
        client.history.steps.append(Received(self.now_s, tuple(batch)))
        client.known, client.is_open = revision, True
        missed = [event for event in self.ring if event.revision > revision]
        client.pending.extend(mine for event in missed for mine in self._seen_by(client, event))
        if not client.history.slow:
            self._take(client)

    def _endless(self, client: Client, batch: list[Event]) -> None:
        """A watch that never gets beyond its state, drained at once; then the client begins anew, honestly served."""
        client.history.steps.append(Received(self.now_s, tuple(batch)))
        client.history.steps.append(Ended(self.now_s, EndReason.CLOSED_BY_CLIENT, drained=True))
        self._open_with_state(client)

    def _spoilt_state(self, client: Client, state: list[Object], revision: int) -> list[Object]:
        if self._goes_wrong(Break.UNSORTED_INITIAL, len(state) > 1):
            state.reverse()
        if self._goes_wrong(Break.INITIAL_TWICE, bool(state)):
            state.append(state[-1])
        if self._goes_wrong(Break.LOSE_INITIAL, bool(state)):
            state.pop()
        elder = {obj.key: obj for at in sorted(self.states) for obj in self._state(client, at) if at < revision}
        old = [index for index, obj in enumerate(state) if elder.get(obj.key, obj) != obj]
        if self._goes_wrong(Break.OLD_INITIAL_VERSION, bool(old)):
            state[old[0]] = elder[state[old[0]].key]
        return state

    def _take(self, client: Client) -> None:
        if not client.is_open:
            return
        slow = client.history.slow
        gone = bool(client.pending) and client.pending[0].revision < self.oldest
        in_reach = not gone and bool(client.pending)
        own = [event for event in client.pending if self.wrong is not Break.NOT_ASKED_FOR or event is not self._spoiled]
        self.broke = self.broke or (
            gone and not any(event.revision < self.oldest for event in own)
        )  # for another's event
        if (
            gone
            or self._goes_wrong(Break.EXPIRE_CAUGHT_UP, slow and not client.pending)
            or self._goes_wrong(Break.EXPIRE_IN_REACH, slow and in_reach)
        ):
            self._close(client, EndReason.EXPIRED)
            self._watch(client, self._list(client))
            return
        if not client.pending:
            return
        if self._goes_wrong(Break.LYING_BOOKMARK):
            client.history.steps.append(Received(self.now_s, (bookmark(client.pending[0].revision),)))
        batch, client.pending = client.pending, []
        client.known = batch[-1].revision
        for part in self._spoilt_batch(client, batch):
            if part:
                self._record(client, tuple(part))

    def _spoilt_batch(self, client: Client, batch: list[Event]) -> list[list[Event]]:
        if self._goes_wrong(Break.REORDER, batch[0].revision != batch[-1].revision):
            return [[batch[-1], *batch[1:-1], batch[0]]]
        if self._goes_wrong(Break.DELIVER_TWICE):
            return [[*batch, batch[-1]]]
        if self._goes_wrong(Break.INVENT):
            ghost = msgspec.structs.replace(batch[-1].object, key=f"{PREFIX}ghost")
            return [[*batch, Event(EventType.ADDED, ghost, batch[-1].revision)]]
        cut = next((i for i in range(1, len(batch)) if batch[i - 1].revision == batch[i].revision), 0)
        if self._goes_wrong(Break.SPLIT_REVISION, cut > 0):
            return [batch[:cut], batch[cut:]]
        if not client.history.slow and self._goes_wrong(Break.SWALLOW, yet=False):
            # Wrong as soon as the watch speaks again; what it speaks in this very batch counts.
            rest = batch[1:]
            client.lost_at = batch[0].revision
            self.broke = any(event.revision >= client.lost_at for event in rest)
            return [rest]
        return [batch]

    def _send_bookmark(self, client: Client) -> None:
        if not client.is_open or client.pending:
            return
        last = client.history.steps[-1]
        base = self._opened_at(client)
        if isinstance(last, Received) and last.batch[-1].type is not EventType.BOOKMARK:
            below = last.batch[-1].revision - 1
            if self._goes_wrong(Break.FALLING_BOOKMARK, below >= base):
                self._record(client, (bookmark(below),))
                return
        self._record(client, (bookmark(self.revision),))
        client.known = self.revision

    def _opened_at(self, client: Client) -> int:
        """The revision from which the client's watch began to speak."""
        for step in reversed(client.history.steps):
            if isinstance(step, Opened) and not step.initial:
                return step.revision
            if isinstance(step, Received):
                for event in step.batch:
                    if event.is_initial_events_end:
                        return event.revision
        return 0

    def _close(self, client: Client, reason: EndReason) -> None:
        oldest = self.oldest if reason is EndReason.EXPIRED else 0
        client.history.steps.append(Ended(self.now_s, reason, oldest))
        client.is_open = False
        client.pending.clear()

    def _record(self, client: Client, batch: tuple[Event, ...]) -> None:
        if 0 < client.lost_at <= batch[-1].revision or any(event is self._spoiled for event in batch):
            self.broke = True
        client.history.steps.append(Received(self.now_s, batch))

    # ---- going wrong ----

    def _goes_wrong(self, how: Break, possible: bool = True, *, yet: bool = True) -> bool:
        """True once: at the n-th possible occasion for the chosen Break. `yet`: that alone makes the history wrong."""
        if self.wrong is not how or not possible:
            return False
        self._left -= 1
        if self._left != -1:
            return False
        self.broke = self.broke or yet
        return True

    def _earlier_objects(self) -> list[Object]:
        return [obj for revision in sorted(self.states) for obj in self.states[revision].values()]

    def _tick(self) -> None:
        self.now_s += ROUND_S


# ---- a story in which everything happens at least once -------------------------------------------------------------


def tell_all(wrong: Break | None = None, nth: int = 0) -> World:
    """Clients of several selectors, healthy and slow; creates, changes, enters, leaves, deletes; every kind of reconnect."""
    start = [(0, Pod(app="web")), (1, Pod("b", app="db", rank="5")), (2, Pod(app="web", node="n1")), (7, Pod())]
    world = World(start, capacity=12, wrong=wrong, nth=nth)
    everything = world.join(Selector())
    web = world.join(Selector.of(labels="app=web"))
    slow = world.join(Selector.of(labels="app=web"), slow=True)
    node = world.join(Selector.of("a", fields="spec.nodeName=n1"), initial=True)
    world.send_bookmarks()
    world.write(
        [(3, Pod(app="web"))], [(0, Pod(app="api"))], [(2, Pod(app="web", node="n1", note=1)), (4, Pod(node="n1"))]
    )
    world.sample()
    world.write([(0, Pod(app="web", note=2)), (3, Pod(app="web", note=3))], [(2, None), (4, Pod(node="n2"))])
    world.send_bookmarks()
    world.reconnect(web)
    world.take(slow)
    world.take(slow)
    world.part(web)
    world.part(node)
    world.write([(0, Pod(app="web", note=4))], [(5, Pod(app="web", node="n1"))])
    world.come_back(web)
    world.come_back(node)
    world.reconnect(slow)
    world.write([(5, Pod(app="web", note=5))], [(0, Pod(app="web", note=6)), (7, None)])
    world.start_over(everything)
    world.start_over(node, initial=True)
    world.start_over(web, initial=True)
    world.sample()
    for note in range(8):  # past the slow one's reach
        world.write([(0, Pod(app="web", note=note)), (1, Pod("b", note=note))])
    world.take(slow)
    world.write([(6, Pod(app="web", rank="9"))])
    world.part(everything)
    for note in range(8):  # and past that of one who went away
        world.write([(0, Pod(app="db", note=note)), (1, Pod("b", note=note))])
    world.come_back(everything)
    world.join(Selector.of(fields="status.phase!=Failed"))
    world.finish()
    return world
