"""Why a text is no JSON, as Go tells it: and none is refused that is JSON, nor taken that is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher._go_json import DEPTH_MAX, json_problem

END = "unexpected end of JSON input"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", END),
        (b"{", END),
        (b'{"a"', END),
        (b'{"a":', END),
        (b'{"a":1', END),
        (b'"a', END),
        (b"tru", END),
        (b"-", END),
        (b"1.", END),
        (b"1e", END),
        (b"\x81", r"invalid character '\u0081' looking for beginning of value"),
        (b"nan", "invalid character 'a' in literal null (expecting 'u')"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b"{1:2}", "invalid character '1' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b'"\n"', r"invalid character '\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"-a", "invalid character 'a' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
        (b"01", "invalid character '1' after top-level value"),
        (b"'a'", r"invalid character '\'' looking for beginning of value"),
        (b"[" * (DEPTH_MAX + 1), "exceeded max depth"),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
        (b" \t\r\n [ ] ", None),
        (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
    ],
)
def test_a_text_is_told_what_is_wrong_with_it(text, problem):
    assert json_problem(text) == problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_what_is_json_has_no_problem(value, is_ascii):
    assert json_problem(json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")) is None


def is_json(text: str) -> bool:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\ \n\x01'))
def test_it_agrees_with_another_reader_on_what_is_json(text):
    assert (json_problem(text.encode()) is None) == is_json(text)
