"""Errors: Kubernetes' codes, reasons and words."""

from __future__ import annotations

import pytest

from cacher import storage
from cacher.storage import BadRequest, InternalError, KeyExists, KeyNotFound, StorageReadError


def test_an_error_of_the_store_reads_as_in_kubernetes():
    error = KeyNotFound("/registry/pods/a", 7, "gone")
    assert str(error) == (
        "StorageError: key not found, Code: 1, Key: /registry/pods/a, ResourceVersion: 7, AdditionalErrorMsg: gone"
    )
    assert (error.key, error.revision, error.detail) == ("/registry/pods/a", 7, "gone")


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [
        ("KeyNotFound", 1, "key not found"),
        ("KeyExists", 2, "key exists"),
        ("ResourceVersionConflict", 3, "resource version conflicts"),
        ("InvalidObject", 4, "invalid object"),
        ("Unreachable", 5, "server unreachable"),
        ("StorageTimeout", 6, "request timeout"),
        ("CorruptObject", 7, "corrupt object"),
    ],
)
def test_each_error_of_the_store_has_its_number(name, number, text):
    error = getattr(storage, name)("k")
    assert (error.number, error.text) == (number, text)


def test_a_status_says_what_the_api_says():
    for error, code, reason, message in [
        (BadRequest("no"), 400, "BadRequest", "no"),
        (InternalError("broken"), 500, "InternalError", "Internal error occurred: broken"),
        (StorageReadError("unreadable", [("k", "why")]), 500, "StorageReadError", "unreadable"),
    ]:
        assert (error.code, error.reason, error.message, str(error)) == (code, reason, message, message)
        assert error.retry_after_s == 0


def test_an_unreadable_list_is_an_internal_error_that_names_the_objects():
    error = StorageReadError("unreadable", [("a", "1"), ("b", "2")], is_complete=False)
    assert isinstance(error, InternalError)
    assert (error.causes, error.is_complete) == ((("a", "1"), ("b", "2")), False)


def test_what_has_no_status_shows_as_500_without_a_reason():
    error = storage.ResourceVersionSetOnCreate()
    assert (error.code, error.reason, error.retry_after_s) == (500, "", 0)
    assert error.message == "resourceVersion should not be set on objects to be created"
    assert isinstance(error, ValueError)
    assert not isinstance(KeyExists("k"), ValueError)
