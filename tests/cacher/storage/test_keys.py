"""Keys: what is refused, with which words, and where etcd keeps what is not."""

from __future__ import annotations

import pytest

from cacher.storage import InvalidKey, check_resource_prefix, prepare_key, prepare_root


@pytest.mark.parametrize(
    ("root", "kept"),
    [
        ("", "/"),
        ("/", "/"),
        ("registry", "/registry/"),
        ("/registry", "/registry/"),
        ("registry/", "/registry/"),
        ("//my//deep/./registry//", "/my/deep/registry/"),
        ("/a/../b", "/b/"),
        ("../b", "/b/"),
    ],
)
def test_prefix_a_root_has_one_slash_at_either_end(root, kept):
    """[9.4 TestPrefix] however it was written"""
    assert prepare_root(root) == kept


@pytest.mark.parametrize(
    ("key", "recursive", "prepared"),
    [
        ("/pods/", False, "/pods/"),
        ("/pods/ns", False, "/pods/ns"),
        ("/pods/ns/name", False, "/pods/ns/name"),
        ("/pods", True, "/pods/"),
        ("/pods/", True, "/pods/"),
        ("/pods/ns", True, "/pods/ns/"),
        ("/pods/ns/name", True, "/pods/ns/name/"),
        ("/pods/..data/.hidden", False, "/pods/..data/.hidden"),
    ],
)
def test_prepare_key_a_recursive_key_ends_in_a_slash(key, recursive, prepared):
    """[9.4 TestPrepareKey] so that it never reads the keys that only begin alike"""
    assert prepare_key("/pods", key, recursive=recursive) == prepared
    assert prepare_key("/pods/", key, recursive=recursive) == prepared, "however the prefix was written"


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", 'empty key: ""'),
        ("/", 'empty key: "/"'),
        (".", 'invalid key: "."'),
        ("..", 'invalid key: ".."'),
        ("/pods/../secrets", 'invalid key: "/pods/../secrets"'),
        ("../pods", 'invalid key: "../pods"'),
        ("/pods/..", 'invalid key: "/pods/.."'),
        ("/pods/./a", 'invalid key: "/pods/./a"'),
        ("./pods", 'invalid key: "./pods"'),
        ("/pods/.", 'invalid key: "/pods/."'),
        ("/foo/", 'invalid key: "/foo/" lacks resource prefix: "/pods/"'),
        ("pods/", 'invalid key: "pods/" lacks resource prefix: "/pods/"'),
        ("/pods.apps/", 'invalid key: "/pods.apps/" lacks resource prefix: "/pods/"'),
        ('/a"\n\\é\x01\u200b/', 'invalid key: "/a\\"\\n\\\\é\\x01\\u200b/" lacks resource prefix: "/pods/"'),
    ],
)
def test_invalid_keys_are_refused_in_kubernetes_words(key, message, recursive):
    """[9.4 TestInvalidKeys] climbing, empty and foreign keys"""
    with pytest.raises(InvalidKey) as caught:
        prepare_key("/pods", key, recursive=recursive)
    assert caught.value.message == message


def test_invalid_keys_the_bare_prefix_is_a_key_of_recursive_reads_alone():
    """[9.4 TestInvalidKeys] "/pods" is where all pods are, and no pod"""
    assert prepare_key("/pods", "/pods", recursive=True) == "/pods/"
    with pytest.raises(InvalidKey, match="lacks resource prefix"):
        prepare_key("/pods", "/pods", recursive=False)


def test_a_resource_prefix_starts_with_a_slash_and_names_something():
    assert check_resource_prefix("/services/specs") == "/services/specs"
    for prefix, message in [
        ("", "resourcePrefix cannot be empty"),
        ("/", "resourcePrefix cannot be /"),
        ("pods", "resourcePrefix needs to start from /"),
    ]:
        with pytest.raises(InvalidKey) as caught:
            check_resource_prefix(prefix)
        assert caught.value.message == message
