"""A recorded trace brought to a store that has a history of its own: the same writes, at the revisions that it gives them.

A real etcd cannot be restored to a recorded revision by its clients. So the snapshot's keys are written first, in the order
of their revisions, and each recorded revision from there on becomes the next one here:

    recorded   16  19  …  17265 │ 17266  17267  …  29952        the snapshot │ the steps
    landed     54  55  …    207 │   208    209  …  12894

The landed trace is a trace like any other: the player holds the store to it revision by revision, and the judges take
the truth from it. Everything but `land` is pure.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from cacher.storage.etcd import Etcd, KeyValue, LeaseExistsError, Put, Snapshot, prefix_end

from ._recording import Document, Recording
from ._trace import Trace, TraceEvent

OPERATIONS_MAX = 128
"""In one transaction. Source: etcd's --max-txn-ops."""


class LandingRefused(Exception):
    """The store cannot take the trace; the message says why, and what would help."""


class Landing(msgspec.Struct, frozen=True):
    """What became of the recorded revisions. Strictly increasing, where a revision is one of the trace's."""

    recorded_start: int
    start: int
    """The store's revision with the snapshot written, and nothing after it."""
    recorded: tuple[int, ...]
    """The revisions of the snapshot's keys, rising."""
    landed: tuple[int, ...]
    """Where each of these was written."""

    def at(self, revision: int) -> int:
        """Where `revision` landed; of one before the snapshot that left no key, where the last key before it did.

        Cost: O(log keys).
        """
        if revision >= self.recorded_start:
            return self.start + revision - self.recorded_start
        index = bisect_right(self.recorded, revision)
        return self.landed[index - 1] if index else 0

    def document(self, document: Document) -> Document:
        """A recorded object as a client here would get it. Changes it in place, and returns it."""
        metadata = document["metadata"]
        metadata["resourceVersion"] = str(self.at(int(metadata["resourceVersion"])))
        return document

    def recording(self, recording: Recording) -> Recording:
        """A recorded client as it would have been here."""
        return msgspec.structs.replace(
            recording,
            revision=self.at(recording.revision),
            last_revision=self.at(recording.last_revision),
            translate=self.document,
        )


class Landed(msgspec.Struct, frozen=True):
    """A trace whose snapshot is in a store."""

    trace: Trace
    """With the revisions, versions and keys that it has there."""
    landing: Landing
    leases: tuple[int, ...]
    """Those that have been granted."""


async def land(trace: Trace, etcd: Etcd, *, key_prefix: str, lease_ttl_s: int) -> Landed:
    """Writes the snapshot of `trace` below `key_prefix`. Nobody else may write to the store, here or during the play.

    Raises:
        LandingRefused: there are keys below it already, or a transaction would be too large for etcd.
        EtcdError: the store refused, or could not be reached.
    """
    await _check_empty(etcd, key_prefix)
    leases = tuple(sorted({kv.lease for kv in trace.snapshot.kvs if kv.lease}))
    for lease in leases:
        await grant(etcd, lease, lease_ttl_s)
    recorded, landed = [], []
    kvs = sorted(trace.snapshot.kvs, key=lambda kv: kv.mod_revision)
    for revision, group in itertools.groupby(kvs, key=lambda kv: kv.mod_revision):
        puts = [Put(_moved(kv.key, trace.key_prefix, key_prefix), kv.value, lease=kv.lease) for kv in group]
        if len(puts) > OPERATIONS_MAX:
            raise LandingRefused(f"revision {revision} wrote {len(puts)} keys: etcd takes {OPERATIONS_MAX} at once")
        recorded.append(revision)
        landed.append((await etcd.txn(success=puts)).revision)
    start = landed[-1] if landed else (await etcd.range(key_prefix, count_only=True)).revision
    landing = Landing(trace.start_revision, start, tuple(recorded), tuple(landed))
    return Landed(landed_trace(trace, landing, key_prefix), landing, leases)


async def grant(etcd: Etcd, lease: int, ttl_s: int) -> None:
    """A lease of this id; one that is left of an earlier play is taken over."""
    try:
        await etcd.lease_grant(ttl_s, lease=lease)
    except LeaseExistsError:
        await etcd.lease_keep_alive(lease)


async def _check_empty(etcd: Etcd, key_prefix: str) -> None:
    found = await etcd.range(key_prefix, prefix_end(key_prefix.encode()), count_only=True)
    if found.count:
        raise LandingRefused(
            f"the store holds {found.count:,} keys below {key_prefix}, which a trace would be mixed with: delete them, or play"
            " it below another --etcd-prefix"
        )


def landed_trace(trace: Trace, landing: Landing, key_prefix: str) -> Trace:
    """`trace` with the revisions and versions of `landing`, its keys below `key_prefix`. Cost: O(events)."""
    old = trace.key_prefix
    kvs = tuple(_landed_kv(kv, landing, old, key_prefix) for kv in trace.snapshot.kvs)
    versions = {kv.key.decode(): kv.version for kv in trace.snapshot.kvs}
    return msgspec.structs.replace(
        trace,
        start_revision=landing.start,
        end_revision=landing.at(trace.end_revision),
        snapshot=Snapshot(landing.start, kvs),
        events=_landed_events(trace.events, versions, landing, old, key_prefix),
        outside=tuple(msgspec.structs.replace(write, rev=landing.at(write.rev)) for write in trace.outside),
        key_prefix=key_prefix,
    )


def _landed_kv(kv: KeyValue, landing: Landing, old: str, new: str) -> KeyValue:
    revision = landing.at(kv.mod_revision)
    return KeyValue(_moved(kv.key, old, new), kv.value, revision, revision, 1, kv.lease)


def _landed_events(
    events: Sequence[TraceEvent], versions: dict[str, int], landing: Landing, old: str, new: str
) -> list[TraceEvent]:
    """`versions`: of the snapshot's keys, as recorded, that have not been deleted since."""
    landed: list[TraceEvent] = []
    first: dict[str, int] = dict.fromkeys(versions, 0)  # where keys of the snapshot were landed, once it is known
    for event in events:
        is_from_snapshot = event.key in first
        if is_from_snapshot and not first[event.key]:
            first[event.key] = landing.at(event.prev)
        before = versions[event.key] - 1 if is_from_snapshot else 0
        landed.append(
            msgspec.structs.replace(
                event,
                revision=landing.at(event.revision),
                key=new + event.key.removeprefix(old),
                create=(first[event.key] if is_from_snapshot else landing.at(event.create)) if event.create else 0,
                version=event.version - before if event.version else 0,
                prev=landing.at(event.prev) if event.prev else 0,
            )
        )
        if not event.version:  # deleted: if it comes again, it begins anew
            first.pop(event.key, None)
    return landed


def _moved(key: bytes, old: str, new: str) -> bytes:
    return new.encode() + key.removeprefix(old.encode())
