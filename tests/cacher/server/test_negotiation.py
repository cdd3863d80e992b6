"""In which form an answer goes: what the router refuses, what the handler refuses, and what is chosen of several."""

from __future__ import annotations

import pytest

from cacher.registry import NotAcceptable, UnsupportedMediaType
from cacher.server._negotiation import (
    LIST_TYPES,
    OBJECT_TYPES,
    accepts_gzip,
    body_type,
    check_patch_type,
    check_route,
    error_type,
    negotiate,
)

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    "accept",
    ["", "*/*", "application/json", "text/html, application/yaml;q=0.1", "application/json;as=Picture", "x,*/*;q=0"],
)
def test_the_router_takes_what_names_a_type_that_there_is(accept):
    check_route(accept, OBJECT_TYPES)


@pytest.mark.parametrize("accept", ["text/html", "application/*", "*", "APPLICATION/JSON", ",", "image/png;q=1"])
def test_the_router_refuses_the_rest_and_lists_what_there_is(accept):
    with pytest.raises(NotAcceptable, match="Available representations: application/json, application/yaml") as raised:
        check_route(accept, LIST_TYPES)
    assert raised.value.status()["details"] == {}
    assert "stream=watch" in raised.value.message


@pytest.mark.parametrize(
    ("accept", "media_type", "shape"),
    [
        ("", "application/json", None),
        ("application/yaml", "application/yaml", None),
        ("application/json;q=0.5,application/yaml", "application/yaml", None),
        ("text/html,*/*", "application/json", None),
        ("application/*", "application/json", None),
        ("application/vnd.kubernetes.protobuf", "application/json", None),
        (TABLE, "application/json", ("Table", "v1")),
        (TABLE.replace("v1", "v1beta1"), "application/json", ("Table", "v1beta1")),
        (TABLE.replace("v1", "v9") + "," + TABLE, "application/json", ("Table", "v1")),
        (
            TABLE.replace("application/json", "application/vnd.kubernetes.protobuf") + ",application/json",
            "application/json",
            None,
        ),
        (TABLE.replace("Table", "PartialObjectMetadata"), "application/json", ("PartialObjectMetadata", "v1")),
        (TABLE.replace("application/json", "application/yaml"), "application/yaml", ("Table", "v1")),
        ('application/json;g="meta.k8s.io";v="v1";as="Table";q=x', "application/json", ("Table", "v1")),
        ("application/json;charset=utf-8;profile=x", "application/json", None),
        ("application/json;stream=watch", "application/json", None),
    ],
)
def test_the_best_clause_that_can_be_made_is_chosen(accept, media_type, shape):
    accepted = negotiate(accept)
    wanted = accepted.transformation
    assert accepted.media_type == media_type
    assert (None if wanted is None else (wanted.kind, wanted.version)) == shape


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        TABLE.replace("Table", "Picture"),
        TABLE.replace("meta.k8s.io", "apps"),
        "application/json;as=Table",
        "application/json;stream=listen",
        "application/yaml;stream=watch",
    ],
)
def test_the_handler_refuses_what_it_cannot_make(accept):
    with pytest.raises(
        NotAcceptable, match="only the following media types are accepted: application/json, application/yaml"
    ):
        negotiate(accept)


def test_a_watch_speaks_no_yaml_and_what_has_no_table_is_shown_as_none():
    with pytest.raises(
        NotAcceptable, match=r"application/json;stream=watch, application/vnd\.kubernetes\.protobuf;stream=watch"
    ):
        negotiate("application/yaml", is_stream=True)
    assert negotiate("application/yaml,application/json", is_stream=True).media_type == "application/json"
    with pytest.raises(NotAcceptable):
        negotiate(TABLE, has_table=False)


@pytest.mark.parametrize(
    ("accept", "media_type"), [("", "json"), ("text/html", "json"), (TABLE, "json"), ("application/yaml;as=x", "yaml")]
)
def test_an_error_is_told_in_the_type_that_was_asked_for_whatever_its_parameters(accept, media_type):
    assert error_type(accept) == f"application/{media_type}"


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/apply-patch"])
def test_a_patch_has_to_say_which_one_it_is(content_type):
    with pytest.raises(UnsupportedMediaType, match="415: Unsupported Media Type"):
        check_patch_type(content_type)
    assert check_patch_type("application/merge-patch+json; charset=utf-8") == "application/merge-patch+json"


def test_bodies_come_in_three_types():
    assert [body_type(one) for one in ("", "Application/YAML;x", "application/vnd.kubernetes.protobuf")] == [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
    ]
    with pytest.raises(UnsupportedMediaType, match="accepted media types include: application/json, application/yaml"):
        body_type("application/merge-patch+json")


@pytest.mark.parametrize(("text", "takes"), [("", False), ("gzip", True), ("br, GZIP;q=0.1", True), ("deflate", False)])
def test_who_takes_compressed_answers_says_so(text, takes):
    assert accepts_gzip(text) is takes
