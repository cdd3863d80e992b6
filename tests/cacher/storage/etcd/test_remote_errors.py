"""What a failed call means: every row of the table, with the words as etcd and grpc write them."""

from __future__ import annotations

import pytest

from cacher.storage.etcd import (
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
from cacher.storage.etcd._remote_errors import CODES, WORDS, Asked, CallFailed, Fate, error_of, meaning

ASKED = Asked(revision=7, lease=3, key=b"k")
REFUSED_CONNECTION = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: "
    "connect: Connection refused (111)"
)

# code, details as they come, error, fate, whether a write that failed so may have been done
ROWS: list[tuple[str, str, type[EtcdError], Fate, bool]] = [
    ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", CompactedError, Fate.REFUSED, False),
    (
        "OUT_OF_RANGE",
        "etcdserver: mvcc: required revision is a future revision",
        FutureRevisionError,
        Fate.REFUSED,
        False,
    ),
    ("NOT_FOUND", "etcdserver: requested lease not found", LeaseNotFoundError, Fate.REFUSED, False),
    ("FAILED_PRECONDITION", "etcdserver: lease already exists", LeaseExistsError, Fate.REFUSED, False),
    ("OUT_OF_RANGE", "etcdserver: too large lease TTL", InvalidRequestError, Fate.REFUSED, False),
    ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request", DuplicateKeyError, Fate.REFUSED, False),
    (
        "INVALID_ARGUMENT",
        "etcdserver: too many operations in txn request",
        TooManyOperationsError,
        Fate.REFUSED,
        False,
    ),
    ("INVALID_ARGUMENT", "etcdserver: request is too large", RequestTooLargeError, Fate.REFUSED, False),
    (
        "RESOURCE_EXHAUSTED",
        "grpc: received message larger than max (3000020 vs. 2097152)",
        RequestTooLargeError,
        Fate.REFUSED,
        False,
    ),
    (
        "RESOURCE_EXHAUSTED",
        "trying to send message larger than max (3 vs. 2)",
        RequestTooLargeError,
        Fate.REFUSED,
        False,
    ),
    ("INVALID_ARGUMENT", "etcdserver: key is not provided", InvalidRequestError, Fate.REFUSED, False),
    ("UNKNOWN", "mvcc: watcher range is empty", InvalidRequestError, Fate.REFUSED, False),
    ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", NoSpaceError, Fate.REFUSED, False),
    ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", TooManyRequestsError, Fate.REFUSED, False),
    ("UNAUTHENTICATED", "etcdserver: invalid auth token", UnauthenticatedError, Fate.LOGIN, False),
    ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", UnauthenticatedError, Fate.LOGIN, False),
    ("INVALID_ARGUMENT", "etcdserver: user name is empty", UnauthenticatedError, Fate.LOGIN, False),
    (
        "INVALID_ARGUMENT",
        "etcdserver: authentication failed, invalid user ID or password",
        UnauthenticatedError,
        Fate.REFUSED,
        False,
    ),
    ("PERMISSION_DENIED", "etcdserver: permission denied", PermissionDeniedError, Fate.REFUSED, False),
    ("UNAVAILABLE", "etcdserver: no leader", NoLeaderError, Fate.NOT_DONE, False),
    ("UNAVAILABLE", "etcdserver: not capable", UnavailableError, Fate.NOT_DONE, False),
    ("FAILED_PRECONDITION", "etcdserver: rpc not supported for learner", UnavailableError, Fate.NOT_DONE, False),
    ("FAILED_PRECONDITION", "etcdserver: not leader", NoLeaderError, Fate.UNKNOWN, True),
    ("UNAVAILABLE", "etcdserver: leader changed", NoLeaderError, Fate.UNKNOWN, True),
    ("UNAVAILABLE", "etcdserver: request timed out", DeadlineError, Fate.UNKNOWN, True),
    (
        "UNAVAILABLE",
        "etcdserver: request timed out, possibly due to previous leader failure",
        DeadlineError,
        Fate.UNKNOWN,
        True,
    ),
    ("UNAVAILABLE", "etcdserver: server stopped", UnavailableError, Fate.UNKNOWN, True),
    ("UNAVAILABLE", "etcdserver: unhealthy cluster", UnavailableError, Fate.UNKNOWN, True),
    ("DATA_LOSS", "etcdserver: corrupt cluster", ServerError, Fate.REFUSED, False),
    ("UNAVAILABLE", REFUSED_CONNECTION, UnavailableError, Fate.NOT_DONE, False),
    ("UNAVAILABLE", "connections to all backends failing; last error: x", UnavailableError, Fate.NOT_DONE, False),
    ("UNAVAILABLE", "DNS resolution failed for nowhere.invalid:2379", UnavailableError, Fate.NOT_DONE, False),
    # Without words of etcd's, the code.
    ("UNAVAILABLE", "Socket closed", UnavailableError, Fate.UNKNOWN, True),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineError, Fate.UNKNOWN, True),
    ("CANCELLED", "", UnavailableError, Fate.UNKNOWN, True),
    ("ABORTED", "", UnavailableError, Fate.UNKNOWN, True),
    ("INTERNAL", "Received RST_STREAM with error code 2", UnavailableError, Fate.UNKNOWN, True),
    ("UNAUTHENTICATED", "who?", UnauthenticatedError, Fate.LOGIN, False),
    ("PERMISSION_DENIED", "no", PermissionDeniedError, Fate.REFUSED, False),
    ("INVALID_ARGUMENT", "no", InvalidRequestError, Fate.REFUSED, False),
    ("RESOURCE_EXHAUSTED", "no", TooManyRequestsError, Fate.REFUSED, False),
    ("UNIMPLEMENTED", "unknown service", ServerError, Fate.REFUSED, True),
    ("UNKNOWN", "panic", ServerError, Fate.REFUSED, True),
]


@pytest.mark.parametrize(("code", "details", "kind", "fate", "may_be_done"), ROWS)
def test_a_failure_has_its_error_and_its_fate(code, details, kind, fate, may_be_done):
    failed = CallFailed(code, details)
    assert meaning(failed).fate is fate
    of_write = error_of(failed, ASKED, is_write=True, where="http://127.0.0.1:1")
    assert type(of_write) is kind
    assert of_write.outcome_unknown is may_be_done
    assert type(error_of(failed, ASKED, is_write=False)) is kind
    assert not error_of(failed, ASKED, is_write=False).outcome_unknown


def test_every_row_of_the_table_was_shown():
    shown = [(code, details) for code, details, *_ in ROWS]
    for words, found in WORDS:
        assert any(words in details and meaning(CallFailed(code, details)) == found for code, details in shown), words
    assert {code for code, _ in shown} >= set(CODES)


def test_errors_name_what_the_request_named_where_etcd_does_not():
    def raised(details: str) -> EtcdError:
        return error_of(CallFailed("UNKNOWN", details), ASKED, is_write=True)

    future = raised("etcdserver: mvcc: required revision is a future revision")
    assert isinstance(future, FutureRevisionError)
    assert future.asked == 7
    lease = raised("etcdserver: requested lease not found")
    assert isinstance(lease, LeaseNotFoundError)
    assert lease.lease == 3
    key = raised("etcdserver: duplicate key given in txn request")
    assert isinstance(key, DuplicateKeyError)
    assert key.key == b"k"


def test_messages_say_what_to_do():
    """And where, of the way there."""
    lost = error_of(CallFailed("UNAVAILABLE", "Socket closed"), ASKED, is_write=True, where="http://h:1")
    assert str(lost) == "etcd at http://h:1: Socket closed: the write may have been done: read to know"
    full = error_of(CallFailed("", "etcdserver: mvcc: database space exceeded"), ASKED, is_write=True)
    assert "compact, defragment and disarm" in str(full)
    assert str(error_of(CallFailed("CANCELLED", ""), ASKED, is_write=False)) == "CANCELLED: try again"
