"""What a storage answers, as the API's errors: the one place where they are translated. Pure.

    storage's             list         get          create          update      delete
    KeyNotFound           404          404          –               404         404
    KeyExists             –            –            409 exists      409         409
    ResourceVersionConflict, InvalidObject   –      –   –           409         409
    Unreachable           500 ServerTimeout, retry in 2 s
    StorageTimeout        500 ServerTimeout for a list; else as it is
    CorruptObject         500 InternalError

What has no row, and every PlainError, is a 500 without a reason; statuses (StatusError, WatchError) stay what they are.
Source: kubernetes/apiserver pkg/registry/generic/registry/storage_factory.go, pkg/api/errors/storage/storage.go.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager

from watch import Expired, TooLargeResourceVersion, WatchError

from ..storage import (
    CorruptObject,
    InternalError,
    InvalidObject,
    KeyExists,
    KeyNotFound,
    PlainError,
    ResourceVersionConflict,
    StatusError,
    StorageError,
    StorageReadError,
    StorageTimeout,
    Unreachable,
)
from . import _errors as api
from ._errors import APIError, Cause, GroupResource, StatusDetails


class Operation(enum.Enum):
    """What the storage was asked to do."""

    LIST = "list"
    GET = "get"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    WATCH = "watch"


_UNEXPECTED, _TOO_MANY = "UnexpectedServerResponse", "FieldValueTooMany"
_CONFLICTS = (KeyExists, ResourceVersionConflict, InvalidObject)
STORAGE_FAMILIES = (StorageError, StatusError, PlainError, WatchError)
RETRY_AFTER_S = 2
"""After which a caller may try again what the store did not do in time."""


@contextmanager
def translated(
    operation: Operation, resource: GroupResource, name: str = "", *, kept: type[StorageError] | None = None
) -> Iterator[None]:
    """Storage errors of the block as APIErrors about `name`; `kept` and other exceptions go through."""
    try:
        yield
    except STORAGE_FAMILIES as error:
        if kept is not None and isinstance(error, kept):
            raise
        raise api_error(error, operation, resource, name) from error


def api_error(error: Exception, operation: Operation, resource: GroupResource, name: str = "") -> APIError:
    """The API's answer for what the storage raised."""
    if isinstance(error, StorageError):
        return _of_storage_error(error, operation, resource, name)
    if isinstance(error, StorageReadError):
        return _of_unreadable(error, operation, resource)
    if isinstance(error, InternalError):
        return api.InternalError(error.problem)
    if isinstance(error, (StatusError, WatchError)):
        return status_error(error)
    return api.PlainServerError(str(error))


def _of_unreadable(error: StorageReadError, operation: Operation, resource: GroupResource) -> APIError:
    """Which objects of a list cannot be read; of a watch, which ends at the first one, the message says it."""
    if operation is not Operation.LIST:
        return api.StorageRead(error.message)
    causes = [Cause(_UNEXPECTED, problem, key) for key, problem in error.causes]
    if not error.is_complete:
        causes.append(Cause(_TOO_MANY, "too many errors, the list is truncated"))
    details = StatusDetails(operation.value, resource.group, resource.name, causes=tuple(causes))
    return api.StorageRead(error.message, details)


def _of_storage_error(error: StorageError, operation: Operation, resource: GroupResource, name: str) -> APIError:
    if isinstance(error, Unreachable) or (isinstance(error, StorageTimeout) and operation is Operation.LIST):
        return api.ServerTimeout(resource, operation.value, RETRY_AFTER_S)
    if isinstance(error, CorruptObject):
        return api.InternalError(str(error))
    if isinstance(error, KeyNotFound) and operation is not Operation.CREATE:
        return api.NotFound(resource, name)
    if isinstance(error, KeyExists) and operation is Operation.CREATE:
        return api.AlreadyExists(resource, name)
    if isinstance(error, _CONFLICTS) and operation in (Operation.UPDATE, Operation.DELETE):
        return api.Conflict(resource, name, str(error))
    return api.PlainServerError(str(error))


_BY_REASON: dict[str, type[APIError]] = {
    cls.reason: cls
    for cls in (api.BadRequest, api.Gone, api.Timeout, api.TooManyRequests, api.ServiceUnavailable, api.Unprocessable)
}


def status_error(error: StatusError | WatchError) -> APIError:
    """The API's answer for what is a status already: the same code, reason and message."""
    retry = int(error.retry_after_s)
    causes: tuple[Cause, ...] = ()
    if isinstance(error, TooLargeResourceVersion):
        causes = (Cause("ResourceVersionTooLarge", "Too large resource version"),)
    details = StatusDetails(retry_after_s=retry, causes=causes) if retry or causes else None
    answer = _BY_REASON.get(error.reason, api.PlainServerError)(error.message, details)
    token = error.continue_token if isinstance(error, (Expired, StatusError)) else ""
    answer.continue_token = token
    return answer
