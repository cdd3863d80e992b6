"""What may be a name, a label, a key: the last that may and the first that may not, in Kubernetes' words."""

from __future__ import annotations

import pytest

from cacher.registry._names import (
    config_key,
    dns1035_label,
    dns1123_label,
    dns1123_subdomain,
    label_value,
    name_is_label_1035,
    name_is_path_segment,
    name_is_subdomain,
    path_segment,
    qualified_name,
)

VALID = [
    (dns1123_subdomain, ["a", "a.b", "0-1", "a" * 253]),
    (dns1123_label, ["a", "0", "a-b", "a" * 63]),
    (dns1035_label, ["a", "a0", "a-b", "a" * 63]),
    (qualified_name, ["a", "A_b.c", "example.com/a", "a" * 63, "b" * 253 + "/a"]),
    (label_value, ["", "a", "A_b.c", "1", "a" * 63]),
    (config_key, ["a", ".a", "a..b", "_", "a" * 253]),
    (path_segment, ["a", "...", "a b", "Ü"]),
]
INVALID = [
    (dns1123_subdomain, ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a" * 254, "a\n"]),
    (dns1123_label, ["", "A", "a.b", "-a", "a" * 64]),
    (dns1035_label, ["", "0a", "a.b", "a" * 64]),
    (qualified_name, ["", "/a", "a/", "a/b/c", "-a", "A.com/a", "a" * 64, "b" * 254 + "/a"]),
    (label_value, ["-", "a-", "a b", "a" * 64]),
    (config_key, ["", "a b", ".", "..", "..a", "a" * 254]),
    (path_segment, [".", "..", "a/b", "a%b"]),
]


@pytest.mark.parametrize(("check", "text"), [(check, text) for check, texts in VALID for text in texts])
def test_what_may_be(check, text):
    assert check(text) == []


@pytest.mark.parametrize(("check", "text"), [(check, text) for check, texts in INVALID for text in texts])
def test_what_may_not_be(check, text):
    assert check(text)


@pytest.mark.parametrize(
    ("check", "text", "says"),
    [
        (dns1123_label, "a.b", ["must not contain dots"]),
        (dns1123_label, "a" * 64, ["must be no more than 63 bytes"]),
        (qualified_name, "/a", ["prefix part must be non-empty"]),
        (config_key, "..a", ["must not start with '..'"]),
        (config_key, "..", ["must not be '..'"]),
        (path_segment, "a/%", ["may not contain '/'", "may not contain '%'"]),
    ],
)
def test_what_is_said_of_it(check, text, says):
    assert check(text) == says


def test_an_empty_qualified_name_is_told_twice_as_kubernetes_tells_it():
    empty, shape = qualified_name("")
    assert empty == "name part must be non-empty"
    assert shape.startswith("name part must consist of alphanumeric characters")


def test_a_prefix_may_end_in_a_dash():
    assert name_is_subdomain("web-", True) == []
    assert name_is_subdomain("web-", False)
    assert name_is_label_1035("00-", True)
    assert name_is_path_segment(".", True) == []
    assert name_is_path_segment(".", False)
