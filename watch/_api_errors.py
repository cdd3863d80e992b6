"""What the API answers instead of an object: one class a reason, with the code, message and details of Kubernetes.

    APIError
    ├── BadRequest 400        ├── Conflict 409            ├── TooManyRequests 429
    ├── Unauthorized 401      ├── AlreadyExists 409       ├── InternalError 500, PlainServerError 500 (no reason)
    ├── Forbidden 403         ├── ApplyConflict 409       ├── ServiceUnavailable 503
    ├── NotFound, UnknownResource 404 ├── Gone 410           └── Timeout 504
    ├── MethodNotAllowed 405  ├── RequestEntityTooLarge 413
    ├── NotAcceptable 406     ├── UnsupportedMediaType 415
    ├── StorageRead 500       ├── ServerTimeout 500
    └── …                     └── Invalid, Unprocessable 422

Whoever called must act on 4xx other than 409, 410 and 429, for which the docstrings say what to do. They are raised by the
registry in this process and by a client of a server elsewhere, so that whoever writes objects catches the same classes.
Source: kubernetes/apimachinery pkg/api/errors/errors.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec


class GroupResource(msgspec.Struct, frozen=True):
    """A resource's, or a kind's, name with its API group ("" is the core group)."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of several things that are wrong. Fields are left out of the answer where empty."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Flaw(Protocol):
    """One field that is wrong; `str()` is how a message tells it."""

    @property
    def cause(self) -> Cause:
        """How the details tell it."""
        ...


class StatusDetails(msgspec.Struct, frozen=True, omit_defaults=True, rename={"retry_after_s": "retryAfterSeconds"}):
    """What the answer is about."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_s: int = 0


class APIError(Exception):
    """The family. `status()` is the answer's body; `details` None leaves them out, as some answers do."""

    code = 500
    reason = ""

    continue_token = ""
    """Of a list whose pages are gone: with it the rest can be had, at a newer revision."""

    def __init__(self, message: str, details: StatusDetails | None = None) -> None:
        self.message = message
        self.details = details
        super().__init__(message)

    @property
    def retry_after_s(self) -> int:
        """Seconds to stay away; 0: the answer names none."""
        return self.details.retry_after_s if self.details is not None else 0

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What is wrong, one by one; empty where the answer does not say."""
        return self.details.causes if self.details is not None else ()

    def status(self) -> dict[str, Any]:
        """The metav1.Status of this answer, as JSON data."""
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = msgspec.json.decode(msgspec.json.encode(self.details))
        body["code"] = self.code
        return body


def error_from_status(status: Mapping[str, Any]) -> APIError:
    """The error that a server answered, from the body of its answer (a metav1.Status, as JSON data).

    Its class is the most specific one of its code and reason; one that is not known here is an APIError with both.
    Fields that are missing, or of another type, are taken for empty: what a server says of its failure is always shown.
    """
    code, reason = _read(status, "code", int, 500), _read(status, "reason", str, "")
    message = _read(status, "message", str, "") or reason or f"the server answered {code}"
    found = _BY_ANSWER.get((code, reason), APIError)
    error = found.__new__(found)
    APIError.__init__(error, message, _details(status.get("details")))
    error.code, error.reason = code, reason
    metadata = status.get("metadata")
    error.continue_token = _read(metadata, "continue", str, "") if isinstance(metadata, Mapping) else ""
    return error


_T = TypeVar("_T")


def _read(body: Mapping[str, Any], name: str, wanted: type[_T], default: _T) -> _T:
    value = body.get(name)
    return value if isinstance(value, wanted) else default


def _details(body: object) -> StatusDetails | None:
    if not isinstance(body, Mapping):
        return None
    causes = [cause for cause in _read(body, "causes", list, []) if isinstance(cause, Mapping)]
    return StatusDetails(
        name=_read(body, "name", str, ""),
        group=_read(body, "group", str, ""),
        kind=_read(body, "kind", str, ""),
        uid=_read(body, "uid", str, ""),
        causes=tuple(_cause(cause) for cause in causes),
        retry_after_s=_read(body, "retryAfterSeconds", int, 0),
    )


def _cause(body: Mapping[str, Any]) -> Cause:
    return Cause(_read(body, "reason", str, ""), _read(body, "message", str, ""), _read(body, "field", str, ""))


def _of(resource: GroupResource, name: str, **more: Any) -> StatusDetails:
    return StatusDetails(name=name, group=resource.group, kind=resource.name, **more)


class BadRequest(APIError):
    """The request makes no sense: the message says what would."""

    code, reason = 400, "BadRequest"


class Unauthorized(APIError):
    """Nobody knows who is asking: authenticate."""

    code, reason = 401, "Unauthorized"


class Forbidden(APIError):
    """The caller, or the state of things, does not allow it."""

    code, reason = 403, "Forbidden"

    def __init__(self, resource: GroupResource, name: str, why: str, causes: Sequence[Cause] = ()) -> None:
        what = f"{resource} is forbidden" if not name else f'{resource} "{name}" is forbidden'
        super().__init__(f"{what}: {why}", _of(resource, name, causes=tuple(causes)))


class NotFound(APIError):
    """There is no such object (or, without a name, no such resource)."""

    code, reason = 404, "NotFound"

    def __init__(self, resource: GroupResource, name: str) -> None:
        super().__init__(f'{resource} "{name}" not found', _of(resource, name))


class UnknownResource(APIError):
    """There is no such resource, or no such part of one: `what` was asked for."""

    code, reason = 404, "NotFound"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__("the server could not find the requested resource", StatusDetails())


class MethodNotAllowed(APIError):
    """The resource is there and does not know this verb."""

    code, reason = 405, "MethodNotAllowed"

    def __init__(self, resource: GroupResource, verb: str) -> None:
        details = StatusDetails(group=resource.group, kind=resource.name)
        super().__init__(f'{verb} is not supported on resources of kind "{resource}"', details)


class NotAcceptable(APIError):
    """None of the accepted media types can be made."""

    code, reason = 406, "NotAcceptable"


class Conflict(APIError):
    """Somebody else was faster, or a precondition does not hold: read again, decide again, try again."""

    code, reason = 409, "Conflict"

    def __init__(self, resource: GroupResource, name: str, why: str) -> None:
        super().__init__(f'Operation cannot be fulfilled on {resource} "{name}": {why}', _of(resource, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
"""Why an update of an outdated copy is refused."""


class AlreadyExists(APIError):
    """The name is taken: update that object, or choose another name."""

    code, reason = 409, "AlreadyExists"

    def __init__(self, resource: GroupResource, name: str, *, prefix: str = "") -> None:
        super().__init__(f'{prefix}{resource} "{name}" already exists', _of(resource, name))


class GeneratedNameTaken(AlreadyExists):
    """Every name that was generated is taken: try again after a second."""

    def __init__(self, resource: GroupResource, name: str, *, prefix: str = "") -> None:
        APIError.__init__(
            self,
            f'{prefix}{resource} "{name}" already exists, the server was not able to generate a unique name for the object',
            _of(resource, name, retry_after_s=1),
        )


class ApplyConflict(APIError):
    """Other managers own fields that are being applied: leave these out, agree with the owner, or force."""

    code, reason = 409, "Conflict"

    def __init__(self, message: str, causes: Iterable[Cause]) -> None:
        super().__init__(message, StatusDetails(causes=tuple(causes)))


class Gone(APIError):
    """The history asked for is gone: list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(APIError):
    """The object, or the request, is larger than can be taken: make it smaller."""

    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(APIError):
    """The body is of a type that this resource cannot read; the message lists those it can."""

    code, reason = 415, "UnsupportedMediaType"


class Invalid(APIError):
    """The object is not valid: mend the fields that the causes name."""

    code, reason = 422, "Invalid"

    def __init__(self, kind: GroupResource, name: str, errors: Sequence[Flaw]) -> None:
        texts = list(dict.fromkeys(str(error) for error in errors))
        shown = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        causes = tuple(error.cause for error in errors)
        super().__init__(
            f'{kind} "{name}" is invalid: {shown}' if errors else f'{kind} "{name}" is invalid',
            _of(kind, name, causes=causes),
        )


class Unprocessable(APIError):
    """The request was understood and cannot be carried out on the object as it is."""

    code, reason = 422, "Invalid"


class TooManyRequests(APIError):
    """Not now: try again after `retry_after_s`."""

    code, reason = 429, "TooManyRequests"


class InternalError(APIError):
    """Something broke on this side: whoever runs the server must look."""

    code, reason = 500, "InternalError"

    def __init__(self, problem: str) -> None:
        super().__init__(f"Internal error occurred: {problem}", StatusDetails(causes=(Cause(message=problem),)))


class StorageRead(APIError):
    """Some of the objects asked for cannot be read: write them anew, or delete them on purpose."""

    code, reason = 500, "StorageReadError"


class ServerTimeout(APIError):
    """The store did not answer in time: try again after `retry_after_s`."""

    code, reason = 500, "ServerTimeout"

    def __init__(self, resource: GroupResource, operation: str, retry_after_s: int) -> None:
        super().__init__(
            f"The {operation} operation against {resource} could not be completed at this time, please try again.",
            StatusDetails(name=operation, group=resource.group, kind=resource.name, retry_after_s=retry_after_s),
        )


class PlainServerError(APIError):
    """A caller's mistake that Kubernetes answers with a bare 500, without a reason."""

    code, reason = 500, ""


class ServiceUnavailable(APIError):
    """The store does not answer: try again."""

    code, reason = 503, "ServiceUnavailable"


class Timeout(APIError):
    """It took too long, or the revision asked for is not here yet: try again."""

    code, reason = 504, "Timeout"


_BY_ANSWER: dict[tuple[int, str], type[APIError]] = {
    (one.code, one.reason): one
    for one in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, Conflict, AlreadyExists, Gone,
        RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError, StorageRead, ServerTimeout,
        ServiceUnavailable, Timeout,
    )
}  # fmt: skip
