"""Storage errors as API errors: every row of the table, for every operation (1.4)."""

from __future__ import annotations

import pytest

from cacher.registry import GroupResource, Operation, api_error
from cacher.storage import (
    BadRequest,
    CorruptObject,
    InternalError,
    InvalidKey,
    InvalidObject,
    KeyExists,
    KeyNotFound,
    ResourceVersionConflict,
    StatusError,
    StorageReadError,
    StorageTimeout,
    UndecodableObject,
    Unreachable,
)
from watch import Expired, NotReady, TooLargeResourceVersion

PODS = GroupResource("", "pods")
LIST, GET, CREATE, UPDATE, DELETE = (Operation(name) for name in ("list", "get", "create", "update", "delete"))
EVERY = (LIST, GET, CREATE, UPDATE, DELETE)


def answer(error, operation):
    found = api_error(error, operation, PODS, "a")
    return found.code, found.reason


@pytest.mark.parametrize(
    ("error", "answers"),
    [
        (
            KeyNotFound,
            {LIST: (404, "NotFound"), GET: (404, "NotFound"), UPDATE: (404, "NotFound"), DELETE: (404, "NotFound")},
        ),
        (KeyExists, {CREATE: (409, "AlreadyExists"), UPDATE: (409, "Conflict"), DELETE: (409, "Conflict")}),
        (ResourceVersionConflict, {UPDATE: (409, "Conflict"), DELETE: (409, "Conflict")}),
        (InvalidObject, {UPDATE: (409, "Conflict"), DELETE: (409, "Conflict")}),
        (Unreachable, dict.fromkeys(EVERY, (500, "ServerTimeout"))),
        (StorageTimeout, {LIST: (500, "ServerTimeout")}),
        (CorruptObject, dict.fromkeys(EVERY, (500, "InternalError"))),
    ],
)
def test_each_storage_error_has_its_row_and_what_has_none_is_500_without_a_reason(error, answers):
    for operation in EVERY:
        assert answer(error("/pods/a"), operation) == answers.get(operation, (500, ""))


def test_a_conflict_tells_what_the_storage_said():
    found = api_error(InvalidObject("/registry/pods/a", detail="Precondition failed"), UPDATE, PODS, "a")
    assert found.message == (
        'Operation cannot be fulfilled on pods "a": StorageError: invalid object, Code: 4, Key: /registry/pods/a, '
        "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed"
    )


def test_an_operation_that_was_not_done_in_time_may_be_tried_again():
    assert api_error(Unreachable("/pods"), LIST, PODS).status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "The list operation against pods could not be completed at this time, please try again.",
        "reason": "ServerTimeout",
        "details": {"name": "list", "kind": "pods", "retryAfterSeconds": 2},
        "code": 500,
    }


def test_statuses_stay_what_they_are():
    expired = api_error(Expired(5, 9, message="too old resource version: 5 (9)"), LIST, PODS)
    assert expired.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "too old resource version: 5 (9)",
        "reason": "Expired",
        "code": 410,
    }
    large = api_error(TooLargeResourceVersion(9, 5), GET, PODS, "a").status()
    assert (large["code"], large["reason"]) == (504, "Timeout")
    assert large["details"] == {
        "retryAfterSeconds": 1,
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
    }
    busy = api_error(NotReady("starting"), LIST, PODS)
    assert (busy.code, busy.reason, busy.retry_after_s) == (429, "TooManyRequests", 1)
    assert answer(BadRequest("no"), LIST) == (400, "BadRequest")
    assert answer(InvalidKey("no"), LIST) == (500, "")
    for operation in (UPDATE, DELETE):
        assert answer(UndecodableObject("object not decodable"), operation) == (500, "")
    internal = api_error(InternalError("broken"), GET, PODS, "a").status()
    assert internal["message"] == "Internal error occurred: broken"
    assert internal["details"] == {"causes": [{"message": "broken"}]}


def test_an_expired_page_brings_the_token_of_the_rest():
    found = api_error(Expired(5, 9, continue_token="more"), LIST, PODS)
    assert found.status()["metadata"] == {"continue": "more"}


def test_objects_that_cannot_be_read_are_named():
    found = api_error(StorageReadError("failed to read", [("/pods/a", "not JSON")]), LIST, PODS).status()
    assert (found["code"], found["reason"]) == (500, "StorageReadError")
    assert found["details"] == {
        "name": "list",
        "kind": "pods",
        "causes": [{"reason": "UnexpectedServerResponse", "message": "not JSON", "field": "/pods/a"}],
    }


def test_a_list_that_stopped_at_too_many_unreadable_objects_says_so():
    keys = [(f"/pods/{at}", "not JSON") for at in range(100)]
    causes = api_error(StorageReadError("failed", keys, is_complete=False), LIST, PODS).status()["details"]["causes"]
    assert len(causes) == 101
    assert causes[-1] == {"reason": "FieldValueTooMany", "message": "too many errors, the list is truncated"}


def test_a_store_that_is_asked_too_much_is_asked_again_later():
    class Busy(StatusError):
        """What a storage may say of its own: the code and reason are the answer's."""

        code, reason = 429, "TooManyRequests"

    found = api_error(Busy("etcdserver: too many requests", retry_after_s=1), CREATE, PODS, "a")
    assert (found.code, found.reason, found.retry_after_s) == (429, "TooManyRequests", 1)
    assert found.status()["message"] == "etcdserver: too many requests"
