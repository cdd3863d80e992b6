"""Why a selector's text is refused, in Kubernetes' words; and that it is refused where the parser of `watch` refuses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.registry._selector_texts import field_selector_problem, label_selector_problem
from watch import FieldSelector, InvalidSelector, LabelSelector


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a=,,", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a ~ b", "unable to parse requirement: found '~', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        (
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an"
            " integer",
        ),
        ("a=b,c in (d,e),!f,g>1,h", None),
        ("", None),
    ],
)
def test_a_label_selector_is_refused_in_these_words(text, problem):
    assert label_selector_problem(text) == problem


def test_a_key_that_is_none_is_shown():
    found = label_selector_problem("-bad-=x")
    assert found is not None
    assert found.startswith('unable to parse requirement: <nil>: Invalid value: "-bad-": name part must consist of')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
        (r"a=\,\=\\,b!=c", None),
        ("", None),
    ],
)
def test_a_field_selector_is_refused_in_these_words(text, problem):
    assert field_selector_problem(text) == problem


@given(st.text(alphabet="ab/-_.!=<>(), in0"))
def test_a_label_selector_is_refused_where_the_parser_refuses_it(text):
    try:
        LabelSelector.parse(text)
    except InvalidSelector:
        assert label_selector_problem(text) is not None
    else:
        assert label_selector_problem(text) is None


@given(st.text(alphabet="ab=!,\\ ."))
def test_a_field_selector_is_refused_where_the_parser_refuses_it(text):
    try:
        FieldSelector.parse(text)
    except InvalidSelector:
        assert field_selector_problem(text) is not None
    else:
        assert field_selector_problem(text) is None
