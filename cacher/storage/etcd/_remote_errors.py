"""What a failed call to etcd means: a table from grpc's code and etcd's words to our error, and to what may be done. Pure.

    REFUSED    etcd decided, and will decide so again: raised
    NOT_DONE   it was never sent, or a member refused it before doing anything: tried at the next endpoint, writes too
    UNKNOWN    whether it was done is not known: reads are tried again, a write is raised with `outcome_unknown`
    LOGIN      the token is not, or no longer, good: log in, and try again, writes too

Source: etcd api/v3rpc/rpctypes/error.go, for the words; client/v3/retry.go (isSafeRetryMutableRPC) for what is not sent.
"""

from __future__ import annotations

import enum

import msgspec

from ._protocol import (
    CompactedError,
    DeadlineError,
    DuplicateKeyError,
    EtcdError,
    FutureRevisionError,
    InvalidRequestError,
    LeaseExistsError,
    LeaseNotFoundError,
    NoLeaderError,
    NoSpaceError,
    PermissionDeniedError,
    RequestTooLargeError,
    ServerError,
    TooManyOperationsError,
    TooManyRequestsError,
    UnauthenticatedError,
    UnavailableError,
)


class Fate(enum.Enum):
    """What became of a request that failed, and so what may be done."""

    REFUSED = "refused"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"
    LOGIN = "log in"


class CallFailed(Exception):
    """A call as grpc ended it: the name of its code (`UNAVAILABLE`), and the words with it."""

    def __init__(self, code: str, details: str) -> None:
        self.code = code
        self.details = details
        super().__init__(f"{code}: {details}")


class Asked(msgspec.Struct, frozen=True):
    """What the request had named, for errors in whose words etcd leaves it out."""

    revision: int = 0
    lease: int = 0
    key: bytes = b""


class Meaning(msgspec.Struct, frozen=True):
    """A row of the table."""

    kind: type[EtcdError]
    fate: Fate


_REFUSED, _NOT_DONE, _UNKNOWN, _LOGIN = Fate

WORDS: tuple[tuple[str, Meaning], ...] = (
    ("required revision has been compacted", Meaning(CompactedError, _REFUSED)),
    ("required revision is a future revision", Meaning(FutureRevisionError, _REFUSED)),
    ("requested lease not found", Meaning(LeaseNotFoundError, _REFUSED)),
    ("lease already exists", Meaning(LeaseExistsError, _REFUSED)),
    ("too large lease TTL", Meaning(InvalidRequestError, _REFUSED)),
    ("duplicate key given in txn request", Meaning(DuplicateKeyError, _REFUSED)),
    ("too many operations in txn request", Meaning(TooManyOperationsError, _REFUSED)),
    ("request is too large", Meaning(RequestTooLargeError, _REFUSED)),
    (
        "received message larger than max",
        Meaning(RequestTooLargeError, _REFUSED),
    ),  # by etcd's grpc, before etcd sees it
    ("message larger than max", Meaning(RequestTooLargeError, _REFUSED)),
    ("key is not provided", Meaning(InvalidRequestError, _REFUSED)),
    ("watcher range is empty", Meaning(InvalidRequestError, _REFUSED)),
    ("database space exceeded", Meaning(NoSpaceError, _REFUSED)),
    ("too many requests", Meaning(TooManyRequestsError, _REFUSED)),
    ("invalid auth token", Meaning(UnauthenticatedError, _LOGIN)),
    ("revision of auth store is old", Meaning(UnauthenticatedError, _LOGIN)),
    ("user name is empty", Meaning(UnauthenticatedError, _LOGIN)),
    ("authentication failed", Meaning(UnauthenticatedError, _REFUSED)),
    ("permission denied", Meaning(PermissionDeniedError, _REFUSED)),
    # Said by a member before it does anything, since every request asks for one that has a leader.
    ("no leader", Meaning(NoLeaderError, _NOT_DONE)),
    ("not capable", Meaning(UnavailableError, _NOT_DONE)),  # it is starting, and does not know its cluster's version
    ("rpc not supported for learner", Meaning(UnavailableError, _NOT_DONE)),
    ("not leader", Meaning(NoLeaderError, _UNKNOWN)),
    ("leader changed", Meaning(NoLeaderError, _UNKNOWN)),
    ("request timed out", Meaning(DeadlineError, _UNKNOWN)),
    ("server stopped", Meaning(UnavailableError, _UNKNOWN)),
    ("unhealthy cluster", Meaning(UnavailableError, _UNKNOWN)),
    ("corrupt cluster", Meaning(ServerError, _REFUSED)),
    # grpc's own: there was no connection, so nothing was sent.
    ("failed to connect to all addresses", Meaning(UnavailableError, _NOT_DONE)),
    ("connections to all backends failing", Meaning(UnavailableError, _NOT_DONE)),
    ("DNS resolution failed", Meaning(UnavailableError, _NOT_DONE)),
)
"""Words, wherever in the details they stand; the first that are found decide."""

CODES: dict[str, Meaning] = {
    "UNAVAILABLE": Meaning(UnavailableError, _UNKNOWN),
    "DEADLINE_EXCEEDED": Meaning(DeadlineError, _UNKNOWN),
    "CANCELLED": Meaning(UnavailableError, _UNKNOWN),  # not by us: a server that is being stopped
    "ABORTED": Meaning(UnavailableError, _UNKNOWN),
    "INTERNAL": Meaning(UnavailableError, _UNKNOWN),  # a stream that was reset
    "UNAUTHENTICATED": Meaning(UnauthenticatedError, _LOGIN),
    "PERMISSION_DENIED": Meaning(PermissionDeniedError, _REFUSED),
    "INVALID_ARGUMENT": Meaning(InvalidRequestError, _REFUSED),
    "RESOURCE_EXHAUSTED": Meaning(TooManyRequestsError, _REFUSED),
}
"""By the code, where no words are found. Other codes: ServerError, which a write may have left half known."""

_OTHER = Meaning(ServerError, _REFUSED)

_CURES: dict[type[EtcdError], str] = {
    RequestTooLargeError: "write less, or less at once",
    TooManyOperationsError: "split it",
    UnauthenticatedError: "hand in a user and the right password",
    PermissionDeniedError: "whoever keeps etcd's roles must grant this range of keys to this user",
    NoSpaceError: "whoever runs etcd must compact, defragment and disarm the alarm",
    TooManyRequestsError: "come back in a moment",
}


def meaning(failed: CallFailed) -> Meaning:
    """What the table says of it."""
    for words, found in WORDS:
        if words in failed.details:
            return found
    return CODES.get(failed.code, _OTHER)


def error_of(failed: CallFailed, asked: Asked, *, is_write: bool, where: str = "") -> EtcdError:
    """The error to raise.

    Args:
        is_write: then an unknown fate is told in `outcome_unknown`.
        where: the endpoint, for messages about the way there.
    """
    found = meaning(failed)
    kind = found.kind
    if kind is CompactedError:
        return CompactedError(asked.revision)
    if kind is FutureRevisionError:
        return FutureRevisionError(asked.revision, 0)
    if kind is LeaseNotFoundError:
        return LeaseNotFoundError(asked.lease)
    if kind is LeaseExistsError:
        return LeaseExistsError(asked.lease)
    if kind is DuplicateKeyError:
        return DuplicateKeyError(asked.key)
    said = failed.details or failed.code
    outcome_unknown = is_write and (found.fate is Fate.UNKNOWN or found is _OTHER)
    if issubclass(kind, UnavailableError | ServerError):
        at = f"etcd at {where}: " if where else ""
        cure = "the write may have been done: read to know" if outcome_unknown else "try again"
        return kind(f"{at}{said}: {cure}", outcome_unknown=outcome_unknown)
    cure = _CURES.get(kind, "")
    return kind(f"{said}: {cure}" if cure else said)
