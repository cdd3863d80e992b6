"""Continue tokens: the bytes that Kubernetes writes, and what it refuses to read."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.storage import LATEST, InvalidContinueToken, decode_continue, encode_continue

PREFIX = "/registry/pods/"


def token_of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("key", "revision", "text"),
    [
        ("ns/web\0", 42, r'{"v":"meta.k8s.io/v1","rv":42,"start":"ns/web\u0000"}'),
        ("ns/web\0", LATEST, r'{"v":"meta.k8s.io/v1","rv":-1,"start":"ns/web\u0000"}'),
        ('<é&">\u2028', 1, r'{"v":"meta.k8s.io/v1","rv":1,"start":"\u003cé\u0026\"\u003e\u2028"}'),
    ],
)
def test_a_token_is_byte_for_byte_what_kubernetes_writes(key, revision, text):
    """Go's JSON, with what HTML would stumble over escaped, in unpadded base64url."""
    assert encode_continue(PREFIX + key, PREFIX, revision) == token_of(text)


def test_a_token_of_a_cache_and_one_of_the_store_mean_the_same():
    """A cache hands in the prefix without its slash, so that its tokens start with one."""
    of_store = encode_continue("/registry/pods/ns/web\0", "/registry/pods/", 7)
    of_cache = encode_continue("/registry/pods/ns/web\0", "/registry/pods", 7)
    assert of_store != of_cache
    assert decode_continue(of_store, PREFIX) == decode_continue(of_cache, PREFIX) == ("/registry/pods/ns/web\0", 7)


def test_a_key_outside_the_prefix_has_no_token():
    with pytest.raises(ValueError, match="the key and key prefix do not match"):
        encode_continue("/registry/secrets/a", PREFIX, 1)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("a b", "continue key is not valid: illegal base64 data at input byte 1"),
        ("YQ==", "continue key is not valid: illegal base64 data at input byte 2"),
        ("YWJjZ", "continue key is not valid: illegal base64 data at input byte 4"),
        (token_of("nonsense"), "continue key is not valid: "),
        (token_of("[]"), "continue key is not valid: "),
        (token_of('{"v":"meta.k8s.io/v1","rv":"1","start":"a"}'), "continue key is not valid: "),
        (
            token_of('{"v":"meta.k8s.io/v1","rv":0,"start":"a"}'),
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (
            token_of('{"v":"meta.k8s.io/v1","rv":1}'),
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
        ),
        (
            token_of('{"v":"v2","rv":1,"start":"a"}'),
            "continue key is not valid: server does not recognize this encoded version v2",
        ),
        (token_of("{}"), "continue key is not valid: server does not recognize this encoded version "),
    ],
)
def test_what_is_no_token_is_refused_in_kubernetes_words(token, message):
    with pytest.raises(InvalidContinueToken) as caught:
        decode_continue(token, PREFIX)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("start", ["../secrets", "/..", "a/../b", "./a", "a//b", "//a", "a/", "a/."])
def test_a_token_cannot_lead_out_of_the_prefix(start):
    with pytest.raises(InvalidContinueToken, match="continue key is not valid: "):
        decode_continue(token_of(f'{{"v":"meta.k8s.io/v1","rv":1,"start":"{start}"}}'), PREFIX)


def test_a_start_with_or_without_a_slash_is_below_the_prefix():
    for start in ("a/b", "/a/b"):
        token = token_of(f'{{"v":"meta.k8s.io/v1","rv":-1,"start":"{start}"}}')
        assert decode_continue(token, PREFIX) == ("/registry/pods/a/b", -1)
    assert decode_continue(token_of('{"v":"meta.k8s.io/v1","rv":1,"start":"/"}'), PREFIX) == (PREFIX, 1)


def test_line_ends_in_a_token_are_skipped():
    """Go's decoder does so, and a token may have been wrapped on its way."""
    token = encode_continue(PREFIX + "a", PREFIX, 9)
    assert decode_continue(token[:5] + "\r\n" + token[5:], PREFIX) == (PREFIX + "a", 9)


SEGMENTS = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1).filter(
    lambda segment: segment not in (".", "..")
)


@given(segments=st.lists(SEGMENTS, min_size=1, max_size=3), revision=st.integers(1, 2**63 - 1) | st.just(-1))
def test_what_was_encoded_is_decoded(segments, revision):
    key = PREFIX + "/".join(segments) + "\0"
    assert decode_continue(encode_continue(key, PREFIX, revision), PREFIX) == (key, revision)


def test_a_key_that_is_no_text_has_a_token_all_the_same():
    """It costs nobody the page, though it may be listed twice or not at all."""
    key = b"ns/\xff".decode("utf-8", "surrogateescape")
    assert decode_continue(encode_continue(PREFIX + key, PREFIX, 1), PREFIX) == (PREFIX + "ns/\ufffd", 1)
