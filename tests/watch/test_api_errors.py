"""watch._api_errors: a server's answer becomes the error that this process would have raised."""

from __future__ import annotations

import pytest

from watch import (
    AlreadyExists,
    APIError,
    BadRequest,
    Conflict,
    Forbidden,
    GroupResource,
    InternalError,
    MethodNotAllowed,
    NotFound,
    ServerTimeout,
    StatusDetails,
    TooManyRequests,
    error_from_status,
)

PODS = GroupResource("", "pods")


@pytest.mark.parametrize(
    "error",
    [
        NotFound(PODS, "web"),
        AlreadyExists(PODS, "web"),
        Conflict(GroupResource("apps", "deployments"), "web", "it changed"),
        Forbidden(PODS, "web", "no"),
        MethodNotAllowed(PODS, "patch"),
        InternalError("a wheel came off"),
        ServerTimeout(PODS, "list", 3),
        BadRequest("what?"),
        TooManyRequests("later", StatusDetails(retry_after_s=7)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_went_over_the_wire_is_the_same_error(error: APIError):
    received = error_from_status(error.status())

    assert type(received) is type(error)
    assert received.status() == error.status()
    assert received.retry_after_s == error.retry_after_s
    assert str(received) == str(error)


def test_an_answer_of_no_known_reason_keeps_its_code_and_reason():
    received = error_from_status({"code": 418, "reason": "Teapot", "message": "short and stout"})

    assert (type(received), received.code, received.reason) == (APIError, 418, "Teapot")
    assert str(received) == "short and stout"


@pytest.mark.parametrize(
    "body", [{}, {"code": "410", "details": []}, {"details": {"causes": [1, {"message": 2}], "name": None}}]
)
def test_a_body_that_is_no_status_is_still_an_error_that_says_something(body: dict):
    received = error_from_status(body)

    assert received.code == 500
    assert str(received)


def test_the_token_of_an_expired_list_comes_along():
    received = error_from_status({"code": 410, "reason": "Expired", "metadata": {"continue": "abc"}})

    assert received.continue_token == "abc"
