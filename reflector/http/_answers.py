"""What a server's refusal means: to somebody who called a verb, to somebody who mirrors, and whether to ask again. Pure.

    status, headers, body ─► APIError ─► raised by verbs
                                     └─► watch.Expired, TooLargeResourceVersion, NotReady, ServerRefused: for a Reflector

Source: kubernetes/apimachinery pkg/api/errors/errors.go (NewGenericServerResponse), client-go rest/with_retry.go.
Differs: a write is repeated only after an answer that says that it was not carried out (429, 503). client-go repeats
it after any 5xx with a Retry-After, and so may create twice what it was told of once.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from watch import (
    APIError,
    Expired,
    InvalidSelector,
    NotFound,
    NotReady,
    TooLargeResourceVersion,
    UnknownResource,
    WatchError,
    error_from_status,
)

from ._connection import ResponseHead

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
"""What a code means where the answer is no Status: a proxy's, or one of flow control."""
NO_RESOURCE = UnknownResource("").message
MESSAGE_MAX = 2_000
"""Characters of an answer that is no Status which an error shows."""

_TOO_LARGE_CAUSE = "ResourceVersionTooLarge"
_TOO_LARGE_TEXT = "Too large resource version"
_REVISIONS = re.compile(r"Too large resource version: (\d+), current: (\d+)")
_SELECTOR_PROBLEMS = ("field label not supported", "is not a known field selector", "unable to parse requirement")


class ServerRefused(WatchError):
    """The server answered a list or a watch with an error that says nothing of revisions: `error` says who must act.

    A Reflector waits and asks again: what is forbidden, or not defined, may be otherwise soon.
    """

    def __init__(self, error: APIError) -> None:
        self.error = error
        self.code = error.code
        self.reason = error.reason
        self.retry_after_s = error.retry_after_s
        super().__init__(f"the server answered {error.code} {error.reason}".rstrip() + f": {error.message}")


class BadAnswer(WatchError):
    """The server sent what no API server sends. It is not believed; what it said is asked for again."""


def answered_error(head: ResponseHead, body: bytes, asked: str = "") -> APIError:
    """The error that a response of 300 and above is. `asked`: where."""
    try:
        status: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = " ".join(body.decode("utf-8", "replace").split())[:MESSAGE_MAX]
        message = text or f"the server answered {head.status} and nothing else"
        reason = REASONS.get(head.status, REASONS[500] if head.status >= 500 else "")
        status = {"message": message, "reason": reason}
    if not isinstance(status.get("code"), int):
        status["code"] = head.status
    if not isinstance(status.get("reason"), str) and head.status != 500:
        status["reason"] = REASONS.get(head.status, "")  # a bare 500 has none in Kubernetes either
    if after_s := retry_after_s(head):
        details = status.get("details")
        status["details"] = {**(details if isinstance(details, dict) else {}), "retryAfterSeconds": after_s}
    error = error_from_status(status)
    # A resource that is not there is another thing than an object that is not, though only the text tells.
    return UnknownResource(asked) if isinstance(error, NotFound) and error.message == NO_RESOURCE else error


def retry_after_s(head: ResponseHead) -> int:
    """The seconds that the header names; 0 where it names none, or a date, which no API server does."""
    value = head.header("retry-after").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0


def repeat_after_s(method: str, head: ResponseHead) -> int:
    """Seconds after which the same request may be sent again; 0: not by itself.

    A read may be repeated where the store did not answer; a write where the answer says that nobody looked at it. A revision
    that the server has not seen yet (504) is its reader's matter: he may ask for another.
    """
    after_s = retry_after_s(head)
    is_untouched = head.status in (429, 503)
    return after_s if is_untouched or (head.status == 500 and method == "GET") else 0


def mirrored(error: APIError, asked: int, selector: str = "") -> WatchError:
    """What the refusal of a list or a watch is to a Reflector.

    Args:
        asked: the revision that was asked for; 0: none.
        selector: what the objects were selected by, as text.
    """
    if error.code == 410:
        return Expired(asked, 0, message=error.message, continue_token=error.continue_token)
    if is_too_large(error):
        told = _REVISIONS.search(error.message)
        current = int(told[2]) if told else 0
        return TooLargeResourceVersion(asked, current, retry_after_s=error.retry_after_s or 1)
    if error.code in (429, 503):
        return NotReady(f"{error.code} {error.message}", retry_after_s=error.retry_after_s)
    if error.code == 400 and any(problem in error.message for problem in _SELECTOR_PROBLEMS):
        return InvalidSelector(selector, error.message)
    return ServerRefused(error)


def is_too_large(error: APIError) -> bool:
    """Whether the server has not seen the revision yet. Old ones say so in words alone."""
    if any(cause.reason == _TOO_LARGE_CAUSE or cause.message == _TOO_LARGE_TEXT for cause in error.causes):
        return True
    return error.code == 504 and _TOO_LARGE_TEXT in error.message
