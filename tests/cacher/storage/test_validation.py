"""What options mean: the rows of GetList's matrix that no storage decides for itself."""

from __future__ import annotations

import pytest

from cacher.storage import (
    BadRequest,
    InvalidResourceVersion,
    ListOptions,
    ListPlan,
    UnknownMatch,
    encode_continue,
    parse_resource_version,
    parse_watch_resource_version,
    plan_list,
)

PREFIX = "/registry/pods/"
START = PREFIX + "ns/b\0"


@pytest.mark.parametrize(
    ("resource_version", "match", "limit", "recursive", "revision", "minimum"),
    [
        ("", "", 0, True, 0, 0),
        ("", "", 5, True, 0, 0),
        ("0", "", 0, True, 0, 0),
        ("0", "", 5, True, 0, 0),
        ("0", "NotOlderThan", 5, True, 0, 0),
        ("7", "", 0, True, 0, 7),
        ("7", "", -1, True, 0, 7),
        ("7", "", 5, True, 7, 0),
        ("7", "", 5, False, 0, 7),
        ("7", "NotOlderThan", 0, True, 0, 7),
        ("7", "NotOlderThan", 5, True, 0, 7),
        ("7", "Exact", 0, True, 7, 0),
        ("7", "Exact", 5, False, 7, 0),
        ("007", "Exact", 5, False, 7, 0),
    ],
)
def test_where_a_list_is_read(resource_version, match, limit, recursive, revision, minimum):
    """SEMANTICS 1.7.2, before the store is asked."""
    options = ListOptions(resource_version=resource_version, match=match, limit=limit, recursive=recursive)
    assert plan_list(PREFIX, options) == ListPlan(revision, "", minimum)


@pytest.mark.parametrize("resource_version", ["", "0"])
@pytest.mark.parametrize(("token_revision", "revision"), [(7, 7), (-1, 0)])
def test_a_token_says_where_and_at_which_revision(resource_version, token_revision, revision):
    """A resource version of 0 beside it is ignored, and so is the match."""
    token = encode_continue(START, PREFIX, token_revision)
    for match in ("", "Exact", "Nonsense"):
        options = ListOptions(continue_token=token, resource_version=resource_version, match=match, limit=1)
        assert plan_list(PREFIX, options) == ListPlan(revision, START, 0)


def test_a_token_and_a_resource_version_exclude_each_other():
    options = ListOptions(continue_token=encode_continue(START, PREFIX, 7), resource_version="7")
    with pytest.raises(BadRequest) as caught:
        plan_list(PREFIX, options)
    assert caught.value.message == "specifying resource version is not allowed when using continue"


def test_a_token_that_is_none_is_named_before_a_resource_version_that_is_too_much():
    with pytest.raises(BadRequest) as caught:
        plan_list(PREFIX, ListOptions(continue_token="?", resource_version="7"))
    assert caught.value.message.startswith("invalid continue token: continue key is not valid")
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")


def test_a_read_of_one_key_ignores_the_token():
    options = ListOptions(continue_token="?", resource_version="7", match="Exact", recursive=False)
    assert plan_list(PREFIX, options) == ListPlan(7, "", 0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("abc", "invalid syntax"),
        ("-1", "invalid syntax"),
        ("+1", "invalid syntax"),
        (" 1", "invalid syntax"),
        ("1.0", "invalid syntax"),
        ("1_000", "invalid syntax"),
        ("²", "invalid syntax"),
        ("18446744073709551616", "value out of range"),
        ("9" * 5000, "value out of range"),
    ],
)
def test_a_resource_version_is_digits(text, problem):
    """In a list a bad request; in a watch Kubernetes forgets to say so, and the answer is a bare error."""
    message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": {problem}'
    with pytest.raises(InvalidResourceVersion) as of_watch:
        parse_watch_resource_version(text)
    assert (of_watch.value.code, of_watch.value.reason, of_watch.value.message) == (500, "", message)
    with pytest.raises(BadRequest) as of_list:
        plan_list(PREFIX, ListOptions(resource_version=text))
    assert of_list.value.message == f"invalid resource version: {message}"


def test_the_largest_resource_version_is_that_of_64_bits():
    assert parse_resource_version("18446744073709551615") == 2**64 - 1
    assert parse_resource_version("0" * 5000 + "1") == 1
    assert parse_resource_version("") == parse_resource_version("0") == 0


@pytest.mark.parametrize("resource_version", ["0", "7"])
def test_a_match_that_is_none_is_a_bare_error(resource_version):
    with pytest.raises(UnknownMatch) as caught:
        plan_list(PREFIX, ListOptions(resource_version=resource_version, match="Invalid"))
    assert caught.value.message == "unknown ResourceVersionMatch value: Invalid"
    assert (caught.value.code, caught.value.reason) == (500, "")


def test_a_match_without_a_resource_version_is_not_looked_at():
    """The HTTP layer forbids it; a storage that is asked all the same reads the latest."""
    assert plan_list(PREFIX, ListOptions(match="Invalid")) == ListPlan(0, "", 0)
