"""The two grammars: every text is read as Kubernetes reads it, or refused with the place and the cure."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from watch import FieldSelector, InvalidSelector, LabelSelector

# ---- label selectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (" \t\n", ""),
        ("x=a,y=b,z=c", "x=a,y=b,z=c"),
        ("z==c , x=a", "x=a,z=c"),
        ("x!=a,y=b", "x!=a,y=b"),
        ("x=", "x="),
        ("x= ", "x="),
        ("x=,z= ", "x=,z="),
        ("x= ,z= ", "x=,z="),
        ("!x", "!x"),
        ("! x , y", "!x,y"),
        ("x>1", "x>1"),
        ("x>1,z<5", "x>1,z<5"),
        ("x in ()", "x in ()"),
        ("x in(a)", "x in (a)"),
        ("x in (b,a,b)", "x in (a,b)"),
        ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
        ("x in (,a)", "x in (,a)"),
        ("x in (a,)", "x in (,a)"),
        ("x in (,)", "x in ()"),
        ("x in (a,,,)", "x in (,a)"),
        ("in in (in,notin)", "in in (in,notin)"),
        ("notin", "notin"),
        ("x=in", "x=in"),
        ("app in (web-1,web-2,debug),track!=canary", "app in (debug,web-1,web-2),track!=canary"),
        ("tier=frontend", "tier=frontend"),
        ("app.kubernetes.io/name=web", "app.kubernetes.io/name=web"),
        ("x=a,x=b", "x=a,x=b"),
    ],
)
def test_a_label_selector_is_read_and_written_in_canonical_form(text, canonical):
    assert str(LabelSelector.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        (",", 1, "found ',', expected a label key or '!'"),
        ("x,", 3, "found the end, expected a label key or '!'"),
        ("a=,,", 4, "found ',', expected a label key or '!'"),
        ("a=b=c", 4, "found '=', expected ',' or the end"),
        ("a=b c", 5, "found 'c', expected ',' or the end"),
        ("a=(", 3, "found '(', expected a value, ',' or the end"),
        ("a===b", 4, "found '=', expected a value, ',' or the end"),
        ("a in b", 6, "found 'b', expected '('"),
        ("a in (b", 8, "found the end, expected ',' or ')'"),
        ("a in (b c)", 9, "found 'c', expected ',' or ')'"),
        ("a in (b,,)", 10, "found ')', expected a value or ','"),
        ("a in (,", 8, "found the end, expected a value, ',' or ')'"),
        ("a in ((", 7, "found '(', expected a value, ',' or ')'"),
        ("a b", 3, "found 'b', expected ',', the end or one of =, ==, !=, in, notin, >, <"),
        ("a gt 5", 3, "found 'gt', expected ',', the end or one of =, ==, !=, in, notin, >, <"),
        ("!", 2, "found the end, expected a label key"),
        ("!!a", 2, "found '!', expected a label key"),
        ("!a=b", 3, "found '=', expected ',' or the end"),
        ("=a", 1, "found '=', expected a label key or '!'"),
        ("ok, -bad-=x", 5, "the name part of the label key '-bad-' must be letters"),
        ("a=-b", 1, "the label value '-b' must be letters"),
        ("a=ü", 1, "the label value 'ü' must be letters"),
        ("a\0=b", 1, "the name part of the label key 'a\\x00' must be letters"),
        ("a=b\n\n,c=d\u00a0", 7, "the label value 'd\\xa0' must be letters"),
        ("n>x", 1, "the value 'x' after '>' is not a 64-bit integer"),
        ("n<", 1, "the value '' after '<' is not a 64-bit integer"),
        ("n>9223372036854775808", 1, "the value '9223372036854775808' after '>' is not a 64-bit integer"),
        ("n>-1", 1, "the label value '-1' must be letters"),
        ("/a=b", 1, "the label key '/a' has an empty prefix"),
        ("a/b/c", 1, "the prefix of the label key 'a/b/c' is not a DNS name"),
        ("A.com/b", 1, "the prefix of the label key 'A.com/b' is not a DNS name"),
        ("a.com/", 1, "the name part of the label key 'a.com/' must be letters"),
    ],
)
def test_a_label_selector_that_is_wrong_is_refused_where_it_is_wrong(text, at, problem):
    with pytest.raises(InvalidSelector) as refused:
        LabelSelector.parse(text)
    assert refused.value.problem.startswith(f"at character {at}: {problem}")
    assert str(refused.value).startswith(f"invalid selector {text!r}: at character ")
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("last_valid", "first_invalid"),
    [
        ("n" * 63, "n" * 64),
        ("p" * 253 + "/n", "p" * 254 + "/n"),
        ("p/" + "n" * 63, "p/" + "n" * 64),
        ("k=" + "v" * 63, "k=" + "v" * 64),
        ("k in (a," + "v" * 63 + ")", "k in (a," + "v" * 64 + ")"),
        ("n>9223372036854775807", "n>9223372036854775808"),
        ("n>" + "0" * 62 + "1", "n>" + "0" * 63 + "1"),
    ],
)
def test_a_limit_is_met_by_the_last_valid_text_and_refuses_the_first_invalid_one(last_valid, first_invalid):
    LabelSelector.parse(last_valid)
    with pytest.raises(InvalidSelector):
        LabelSelector.parse(first_invalid)


@given(st.lists(st.sampled_from(["a", "", ","]), max_size=6).map("".join))
def test_a_value_list_with_odd_commas_is_read_as_one_that_takes_two_commas_at_once(inside):
    """Goal: the commas of `in (…)` fare as in Kubernetes, by a second reading: walk and swallow pairs."""
    assume("aa" not in inside)
    values: set[str] = set() if inside else {""}
    rest, refused = inside, False
    while rest:
        if rest[0] == "a":
            values.add("a")
            rest = rest[1:]
            continue
        values |= set() if values else {""}
        if rest == ",":
            values.add("")
        refused = rest == ",,"
        values |= {""} if rest.startswith(",,") else set()
        rest = rest[2:] if rest.startswith(",,") else rest[1:]
    if refused:
        with pytest.raises(InvalidSelector):
            LabelSelector.parse(f"k in ({inside})")
    else:
        (requirement,) = LabelSelector.parse(f"k in ({inside})").requirements
        assert requirement.values == tuple(sorted(values))


# ---- field selectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (",", ""),
        ("a=b,,c=d,", "a=b,c=d"),
        ("spec.nodeName=node-3", "spec.nodeName=node-3"),
        ("status.phase==Running", "status.phase=Running"),
        ("b!=1,a=2", "a=2,b!=1"),
        ("a=", "a="),
        ("=a", "=a"),
        (" a = b ", " a = b "),
        (r"a=\,", r"a=\,"),
        (r"a=\=\\", r"a=\=\\"),
        ("a!b=c", "a!b=c"),
        ("a=ünï", "a=ünï"),
    ],
)
def test_a_field_selector_is_read_and_written_in_canonical_form(text, canonical):
    assert str(FieldSelector.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "value"),
    [(r"k=\\", "\\"), (r"k=\,", ","), (r"k=\=", "="), (r"k=a\\\,b\=c", "a\\,b=c"), (r"k==\=", "="), (r"k=\\,", "\\")],
)
def test_an_escape_stands_for_the_character_after_it(text, value):
    (requirement,) = FieldSelector.parse(text).requirements
    assert (requirement.path, requirement.value) == ("k", value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a", "at character 1: 'a' has no operator, expected =, == or != after the path"),
        ("a=b,c", "at character 5: 'c' has no operator, expected =, == or != after the path"),
        ("a=b=c", r"at character 4: found '=' inside a value, expected \="),
        ("a===b", r"at character 4: found '=' inside a value, expected \="),
        ("a!==b", r"at character 4: found '=' inside a value, expected \="),
        (r"a=\b", r"at character 3: \b is no escape, expected \\, \, or \="),
        ("a=b\\", "at character 4: \\ is no escape, expected \\\\, \\, or \\="),
        ("x=y,a=b\\\n", "at character 8: \\\n is no escape, expected \\\\, \\, or \\="),
    ],
)
def test_a_field_selector_that_is_wrong_is_refused_where_it_is_wrong(text, problem):
    with pytest.raises(InvalidSelector) as refused:
        FieldSelector.parse(text)
    assert refused.value.problem == problem


# ---- both ----------------------------------------------------------------------------------------------------------


@given(st.text(alphabet="ab5.-/ \t=!,()<>\\in") | st.text())
def test_any_text_is_read_or_refused_with_a_position_and_nothing_else(text):
    for kind in (LabelSelector, FieldSelector):
        try:
            selector = kind.parse(text)
        except InvalidSelector as refused:
            assert refused.problem.startswith("at character ")
        else:
            assert kind.parse(str(selector)) == selector
