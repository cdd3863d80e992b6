"""Small histories for the tests of reports: a store with pods, and clients that are told of them."""

from __future__ import annotations

from random import Random

from cacher.simulation import ClientHistory, History, Listed, Opened, Received, StoreChange, StoreHistory
from watch import Event, EventType, Object, Selector, bookmark

PREFIX = "/registry/pods/"
POD, OTHER = f"{PREFIX}default/web", f"{PREFIX}default/db"


def pod(revision: int, key: str = POD, uid: str = "uid-1") -> Object:
    return Object(key, revision, b"{}", name=key.rpartition("/")[2], namespace="default", uid=uid)


def event(kind: str, revision: int, key: str = POD, uid: str = "uid-1") -> Event:
    return Event(EventType(kind), pod(revision, key, uid), revision)


def store(*changes: tuple[int, str, str | None], start: tuple[Object, ...] = ()) -> StoreHistory:
    """Changes as (revision, key, uid); uid None is a deletion."""
    told = [StoreChange(rev, key, pod(rev, key, uid) if uid is not None else None) for rev, key, uid in changes]
    return StoreHistory(PREFIX, 1, {obj.key: obj for obj in start}, told)


def client(*steps: object, name: str = "client-7", selector: str | None = None, **more: object) -> ClientHistory:
    chosen = Selector() if selector is None else Selector.of(labels=selector)
    return ClientHistory(name, PREFIX, chosen, False, list(steps), resource="v1/pods", **more)  # type: ignore[arg-type]


def history(stores: StoreHistory, *clients: ClientHistory) -> History:
    """Each revision is written at a tenth of it in seconds."""
    published = {change.revision: change.revision / 10 for change in stores.changes}
    return History({PREFIX: stores}, list(clients), [], max(published, default=1), published)


def watching() -> History:
    """web is made at 0.2 s, changed at 0.3, deleted at 0.4, and another web is made at 0.5; the client is told late of each."""
    return history(
        store((2, POD, "uid-1"), (3, POD, "uid-1"), (4, POD, None), (5, POD, "uid-2")),
        client(
            Listed(0.0, 1, ()),
            Opened(0.01, 1),
            Received(0.25, (event("ADDED", 2),)),
            Received(0.45, (event("MODIFIED", 3), event("DELETED", 4))),
            Received(0.55, (event("ADDED", 5, uid="uid-2"), bookmark(5))),
        ),
    )


def crowd(*, clients: int, changes: int) -> History:
    """So many clients who watch a thousand pods, each told of so many changes, of each at a time of its own: nothing repeats
    itself, so that a report of it is as large as one of its length gets."""
    random = Random(7)
    keys = [f"{PREFIX}default/web-{random.randrange(1 << 40):x}" for _ in range(1000)]
    made = [(revision, random.choice(keys)) for revision in range(2, changes + 2)]
    batches = [(revision / 10, (event("MODIFIED", revision, key, key),)) for revision, key in made]
    return history(
        store(*((revision, key, key) for revision, key in made)),
        *(
            client(
                *(Listed(0.0, 1, ()), Opened(0.01, 1)),
                *(Received(at_s + random.random() / 10, batch) for at_s, batch in batches),
                name=f"client-{number}",
            )
            for number in range(clients)
        ),
    )
