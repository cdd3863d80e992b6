"""Endpoints: how they are written, who is asked next, and how long the waits are."""

from __future__ import annotations

from random import Random

import pytest

from cacher.storage.etcd._endpoints import WAIT_MAX_S, Endpoint, Rotation, Waits, parse_endpoints


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://127.0.0.1:2379", ["http://127.0.0.1:2379"]),
        ("https://etcd.local:23790/", ["https://etcd.local:23790"]),
        ("127.0.0.1:1", ["http://127.0.0.1:1"]),
        ("localhost", ["http://localhost:2379"]),
        ("http://[::1]:5", ["http://[::1]:5"]),
        ("a:1, b:2,,a:1", ["http://a:1", "http://b:2"]),
        (["http://a:1", "b:2"], ["http://a:1", "http://b:2"]),
    ],
)
def test_endpoints_are_read_in_their_order_each_once(text, found):
    assert [str(endpoint) for endpoint in parse_endpoints(text)] == found


@pytest.mark.parametrize(
    "text", ["", " , ", [], "ftp://a:1", "http://", "http://a:port", "http://a:99999", "http://a/path", "http://u@a:1"]
)
def test_what_is_no_endpoint_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"http://127.0.0.1:2379|cannot be read"):
        parse_endpoints(text)


def test_certificates_mean_tls_where_nothing_is_said_and_are_refused_where_it_is_off():
    assert parse_endpoints("a:1", has_certificates=True) == (Endpoint("a:1", is_secure=True),)
    with pytest.raises(ValueError, match="https://a:1"):
        parse_endpoints("http://a:1", has_certificates=True)


def test_only_the_current_one_is_left_when_it_fails():
    """Ten callers that fail there at once move on by one, not by ten."""
    rotation = Rotation(3)
    for _ in range(10):
        rotation.failed(0)
    assert rotation.current == 1
    rotation.failed(1)
    rotation.failed(2)
    assert rotation.current == 0


def test_every_endpoint_is_tried_at_once_and_then_the_waits_double_up_to_a_limit():
    waits = Waits(3, Random(1))
    assert [waits.next(), waits.next()] == [0, 0]
    lengths = [waits.next() for _ in range(40)]
    longest = [min(WAIT_MAX_S, 0.05 * 2**n) for n in range(40)]
    assert all(most / 2 <= length <= most for length, most in zip(lengths, longest, strict=True))
    assert len(set(lengths)) == 40
    waits.succeeded()
    assert waits.next() == 0
    assert Waits(1, Random(1)).next() > 0
