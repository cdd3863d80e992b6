"""What a storage can answer instead of a result. Two families, as in Kubernetes: what the store knows of keys, and API statuses.

    StorageError                    knows keys, not resources; the registry above translates it once
    ├── KeyNotFound          1
    ├── KeyExists            2
    ├── ResourceVersionConflict 3
    ├── InvalidObject        4      a precondition failed, or validation refused
    ├── Unreachable          5
    ├── StorageTimeout       6
    └── CorruptObject        7      the stored bytes are no object

    StatusError                     says what the API says: code, reason, message, retry seconds, causes
    ├── BadRequest         400
    ├── TooManyRequests    429
    ├── InternalError      500
    │   ├── UnreadableObject        what a get found is no object
    │   ├── ProgressUntrusted       a state cannot be streamed over this store
    │   └── StorageReadError        several objects of a list are unreadable
    └── (and watch.Expired 410, watch.TooLargeResourceVersion 504, watch.NotReady 429, which share its members)

    PlainError                      what has no API status, a caller's mistake or a spoilt value: HTTP 500 without a reason
    │                               (also a ValueError)
    ├── InvalidKey
    ├── InvalidResourceVersion      of a watch, and of a get from a cache; others answer BadRequest
    ├── InvalidValue
    ├── ResourceVersionSetOnCreate
    ├── RequestTooLarge
    ├── UndecodableObject           of an update and a deletion; a get and a list answer statuses
    └── UnknownMatch

Source: kubernetes/apiserver pkg/storage/errors.go; apimachinery pkg/api/errors/errors.go.
"""

from __future__ import annotations

from collections.abc import Sequence


class StorageError(Exception):
    """`number` is Kubernetes' code of the error (not HTTP's), `key` and `revision` (0: none) what it is about."""

    number = 0
    text = ""

    def __init__(self, key: str, revision: int = 0, detail: str = "") -> None:
        self.key = key
        self.revision = revision
        self.detail = detail
        super().__init__(
            f"StorageError: {self.text}, Code: {self.number}, Key: {key}, ResourceVersion: {revision}, "
            f"AdditionalErrorMsg: {detail}"
        )


class KeyNotFound(StorageError):
    """There is nothing under the key: create it first, or ask with `ignore_not_found`."""

    number, text = 1, "key not found"


class KeyExists(StorageError):
    """There is something under the key already: update it, or choose another name."""

    number, text = 2, "key exists"


class ResourceVersionConflict(StorageError):
    """The object is not at the revision that was expected: read it again."""

    number, text = 3, "resource version conflicts"


class InvalidObject(StorageError):
    """A precondition does not hold, or the operation was refused; `detail` says which."""

    number, text = 4, "invalid object"


class Unreachable(StorageError):
    """The store does not answer: try again."""

    number, text = 5, "server unreachable"


class StorageTimeout(StorageError):
    """The deadline passed: try again, with more time or for less."""

    number, text = 6, "request timeout"


class CorruptObject(StorageError):
    """The bytes under the key are no object: write it anew, or delete it with `expect_decode_error`."""

    number, text = 7, "corrupt object"


class PlainError(ValueError):
    """The family of what Kubernetes answers with a bare error, which its API shows as 500 without a reason."""

    code = 500
    reason = ""
    retry_after_s: float = 0

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class InvalidKey(PlainError):
    """The key is none of this storage's: the message says why."""


class InvalidResourceVersion(PlainError):
    """A watch's, or a cached get's, resource version is no number: hand in what a list or an event gave."""


class InvalidValue(PlainError):
    """What is to be stored is not a JSON object."""


class ResourceVersionSetOnCreate(PlainError):
    """The object to be created carries a resourceVersion: leave it out."""

    def __init__(self) -> None:
        super().__init__("resourceVersion should not be set on objects to be created")


class RequestTooLarge(PlainError):
    """The object, with what else it takes to write it, is larger than the store takes at once: make it smaller."""

    def __init__(self) -> None:
        super().__init__("etcdserver: request is too large")


class UndecodableObject(PlainError):
    """What is to be changed or deleted is no object: put it right in the store, or delete it with `expect_decode_error`.

    Source: etcd3/store.go, getState: the decoder's error as it is, where a failed decryption would be an InternalError.
    """


class UnknownMatch(PlainError):
    """The resourceVersionMatch is neither Exact nor NotOlderThan: write one of them, or leave it out."""


class StatusError(Exception):
    """What the API answers: `code` (HTTP's), `reason`, `message`, `retry_after_s` (0: none)."""

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, *, retry_after_s: float = 0, continue_token: str = "") -> None:
        self.message = message
        self.retry_after_s = retry_after_s
        self.continue_token = continue_token
        super().__init__(message)


class BadRequest(StatusError):
    """The request makes no sense; the message says what would."""

    code = 400
    reason = "BadRequest"


class TooManyRequests(StatusError):
    """The store has more to do than it manages, and did not do this: come back after `retry_after_s`, with less."""

    code = 429
    reason = "TooManyRequests"


class InternalError(StatusError):
    """The store holds, or did, what it should not; whoever runs it must look. `problem` is the message without its opening."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"Internal error occurred: {problem}")


class UnreadableObject(InternalError):
    """A get: the bytes under the key are no object. Write it anew, or delete it with `expect_decode_error`."""


class ProgressUntrusted(InternalError):
    """A watch cannot say where its initial state ends, since the store's word on its progress is not to be trusted.

    List, and watch from the list's revision.
    """

    def __init__(self) -> None:
        super().__init__(
            "a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled"
        )


CAUSES_MAX = 100
"""Unreadable objects that are named; a list stops at so many.
Source: etcd3/corrupt_obj_deleter.go, maxCorruptObjErrsToAggregate."""


class StorageReadError(InternalError):
    """Some of the objects asked for cannot be read: write the named ones anew, or delete them with `expect_decode_error`.

    `causes` are (key, problem), at most CAUSES_MAX; then `is_complete` is False, since more of them may follow. The API shows
    each as a cause of type UnexpectedServerResponse whose field is the key, and in the end FieldValueTooMany where it stopped.
    """

    reason = "StorageReadError"

    def __init__(self, message: str, causes: Sequence[tuple[str, str]], *, is_complete: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.args = (message,)
        self.causes = tuple(causes)
        self.is_complete = is_complete
