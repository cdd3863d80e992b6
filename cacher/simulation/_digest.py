"""The digest of a run: one short text that is equal exactly when every client got the same events in the same order.

Over each client's events (type, key, revision, content), not over its batches: how events were grouped in time is not part of
what a client was told. Pure.
"""

from __future__ import annotations

from hashlib import blake2b

from watch import Event

from ._history import History, Received

_TOKEN_BYTES = 16
_DIGEST_BYTES = 16


def digest(history: History) -> str:
    """The digest over all clients, in the order of the history, as hex.

    Cost: one dict lookup and 16 bytes hashed a delivery; each distinct event and object is hashed once (10 million
    deliveries take a few seconds).
    """
    tokens = _Tokens()
    total = blake2b(digest_size=_DIGEST_BYTES)
    for client in history.clients:
        own = blake2b(client.name.encode(), digest_size=_TOKEN_BYTES)
        own.update(b"".join([tokens.of_batch(step.batch) for step in client.steps if type(step) is Received]))
        total.update(own.digest())
    return total.hexdigest()


class _Tokens:
    """What stands for an event in the digest, remembered by identity.

    An id says something only while its object lives. The history keeps every batch, and through it every event and its bytes,
    alive for as long as this does its work.
    """

    def __init__(self) -> None:
        self._batches: dict[int, bytes] = {}
        self._events: dict[int, bytes] = {}
        self._contents: dict[int, bytes] = {}

    def of_batch(self, batch: tuple[Event, ...]) -> bytes:
        found = self._batches.get(id(batch))
        if found is None:
            found = self._batches[id(batch)] = b"".join(map(self._of_event, batch))
        return found

    def _of_event(self, event: Event) -> bytes:
        found = self._events.get(id(event))
        if found is None:
            head = f"{event.type}\0{event.key}\0{event.revision}\0".encode()
            content = self._of_content(event.object.raw)
            found = self._events[id(event)] = blake2b(head + content, digest_size=_TOKEN_BYTES).digest()
        return found

    def _of_content(self, raw: bytes) -> bytes:
        """One object is in several events: as itself, as another view's, and as a deletion's last version."""
        found = self._contents.get(id(raw))
        if found is None:
            found = self._contents[id(raw)] = blake2b(raw, digest_size=_TOKEN_BYTES).digest()
        return found
