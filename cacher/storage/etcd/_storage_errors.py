"""What an error of etcd's is to those who know storages and no etcd: one table. Pure.

    DeadlineError; a write whose outcome is unknown    StorageTimeout     500, of a list ServerTimeout, come back in 2 s
    UnavailableError, NoLeaderError                    Unreachable        500 ServerTimeout, come back in 2 s
    TooManyRequestsError                               TooManyRequests    429, come back in 1 s
    RequestTooLargeError, of a write                   RequestTooLarge    500, without a reason (`Requests.swap`)
    all others                                         InternalError      500, with etcd's words

A stream of a watch has no key to name and ends in any case, so there all but TooManyRequests are InternalError.
CompactedError and FutureRevisionError are left alone: what they mean depends on what was asked.

Source: kubernetes/apiserver pkg/storage/errors/storage.go, for the first two. Differs: Kubernetes answers 500 also to a server
that is asked too much.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .._errors import InternalError, StatusError, StorageTimeout, TooManyRequests, Unreachable
from ._protocol import (
    CompactedError,
    DeadlineError,
    EtcdError,
    FutureRevisionError,
    TooManyRequestsError,
    UnavailableError,
)


@contextmanager
def as_storage_errors(key: str) -> Iterator[None]:
    """Within it, etcd's errors are raised as a storage's, about `key`."""
    try:
        yield
    except (CompactedError, FutureRevisionError):
        raise
    except EtcdError as error:
        raise storage_error(error, key) from error


def storage_error(error: EtcdError, key: str) -> Exception:
    """What a call says instead of `error`."""
    if isinstance(error, DeadlineError) or error.outcome_unknown:
        return StorageTimeout(key, detail=str(error))
    if isinstance(error, UnavailableError):
        return Unreachable(key, detail=str(error))
    return stream_error(error)


def stream_error(error: Exception) -> StatusError:
    """What a stream says instead of `error`, an EtcdError or the loss of a connection."""
    if isinstance(error, TooManyRequestsError):
        return TooManyRequests(str(error), retry_after_s=1)
    return InternalError(str(error) or "the connection to etcd was lost")
