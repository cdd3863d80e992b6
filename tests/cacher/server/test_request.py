"""What stands on the wire, read as Go reads it."""

from __future__ import annotations

import pytest

from cacher.server._request import BadTarget, read_head, read_query
from cacher.server._routes import Target, group_version_of, read_target, split


def test_a_path_is_decoded_before_it_is_split():
    head = read_head("GET", b"/api/v1/a%2Fb/%25?x=1", [])
    assert head.path == "/api/v1/a/b/%"
    assert split(head.path) == ("api", "v1", "a", "b", "%")


@pytest.mark.parametrize("target", [b"/%zz", b"/%", b"/a%2", b"*", b"x", b""])
def test_a_target_that_is_no_path_is_refused(target):
    with pytest.raises(BadTarget):
        read_head("GET", target, [])


@pytest.mark.parametrize(("target", "path"), [(b"http://h:1/api?x", "/api"), (b"https://h", "/"), (b"/", "/")])
def test_a_target_may_name_the_host(target, path):
    assert read_head("GET", target, []).path == path


def test_headers_are_found_in_any_case_and_joined():
    head = read_head("GET", b"/", [(b"accept", b"a"), (b"ACCEPT", b"b"), (b"X", b"\xe9")])
    assert (head.header("accept"), head.header("x"), head.header("none")) == ("a,b", "é", "")


def test_parameters_that_are_not_escaped_are_left_out_and_others_kept_in_order():
    assert read_query(b"a=1&a=2&b=%zz&%g=1&c=x+y%20z&;d=1&e&=&%C3%A9=%C3%A9") == {
        "a": ["1", "2"],
        "c": ["x y z"],
        "e": [""],
        "": [""],
        "é": ["é"],
    }


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target("v1", "pods")),
        ("/api/v1/namespaces", Target("v1", "namespaces")),
        ("/api/v1/namespaces/n", Target("v1", "namespaces", name="n")),
        ("/api/v1/namespaces/n/status", Target("v1", "namespaces", name="n", part="status")),
        ("/api/v1/namespaces/n/pods", Target("v1", "pods", "n")),
        ("/api/v1/namespaces/n/pods/p/status/", Target("v1", "pods", "n", "p", "status")),
        ("/apis/apps/v1/deployments", Target("apps/v1", "deployments")),
        ("/apis/apps/v1/namespaces/n/deployments/d/x/y", Target("apps/v1", "deployments", "n", "d", "x", ("y",))),
        ("/api/v1/watch/namespaces/n/pods/p", Target("v1", "pods", "n", "p", is_old_watch=True)),
        ("/api/v1/watch", None),
        ("/api/v1/namespaces//pods", None),
    ],
)
def test_a_path_names_a_resource_an_object_or_a_part(path, target):
    found = group_version_of(split(path))
    assert found is not None
    assert read_target(*found) == target


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/apis/apps", "/version"])
def test_other_paths_name_no_group_version(path):
    assert group_version_of(split(path)) is None
