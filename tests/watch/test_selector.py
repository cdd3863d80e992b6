"""Selectors: what they match, canonical form, compiled and routed forms; all held to a naive matcher."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watch import FieldSelector, InvalidSelector, LabelRequirement, LabelSelector, Object, Operator, Selector
from watch._selector import Route, RouteKind

# ---- a naive matcher that knows nothing of the code under test: a term is (key, operator as written, values) -------

Term = tuple[str, str, tuple[str, ...]]

INT64 = range(-(2**63), 2**63)


def naive_integer(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or any(digit not in "0123456789" for digit in digits):
        return None
    return int(text) if int(text) in INT64 else None


def naive_label(term: Term, labels: dict[str, str]) -> bool:
    key, operator, values = term
    if operator in ("=", "==", "in"):
        return key in labels and labels[key] in values
    if operator in ("!=", "notin"):
        return not (key in labels and labels[key] in values)
    if operator == "exists":
        return key in labels
    if operator == "!":
        return key not in labels
    if key not in labels:
        return False
    here, bound = naive_integer(labels[key]), naive_integer(values[0])
    if here is None or bound is None:
        return False
    return here > bound if operator == ">" else here < bound


def naive_field(term: Term, obj: Object) -> bool:
    path, operator, (value,) = term
    here = {"metadata.name": obj.name, "metadata.namespace": obj.namespace, **obj.fields}.get(path, "")
    return here != value if operator == "!=" else here == value


def naive(namespace: str, labels: list[Term], fields: list[Term], obj: Object) -> bool:
    if namespace not in ("", obj.namespace):
        return False
    return all([naive_label(term, obj.labels) for term in labels] + [naive_field(term, obj) for term in fields])


# ---- terms, texts and objects, from few values so that they often meet ---------------------------------------------

KEYS = ("app", "tier", "in", "notin", "example.com/x.y_z")
VALUES = ("", "a", "b", "in", "notin", "5", "007", "12", "x-1")
PATHS = ("spec.nodeName", "status.phase", "metadata.name", "metadata.namespace")
FIELD_VALUES = ("", "a", "b", "team-a", "a,b", "a=b", "\\", "\\,=", " a ")
NAMESPACES = ("", "team-a", "b")

numbers = st.sampled_from(("5", "007", "12", "9223372036854775807"))
value_lists = st.lists(st.sampled_from(VALUES), min_size=1, max_size=4).map(tuple)
label_terms: st.SearchStrategy[Term] = st.one_of(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(("=", "==", "!=")), st.tuples(st.sampled_from(VALUES))),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(("in", "notin")), value_lists),
    st.tuples(st.sampled_from(KEYS), st.sampled_from(("exists", "!")), st.just(())),
    st.tuples(st.sampled_from(KEYS), st.sampled_from((">", "<")), st.tuples(numbers)),
)
field_terms: st.SearchStrategy[Term] = st.tuples(
    st.sampled_from(PATHS), st.sampled_from(("=", "==", "!=")), st.tuples(st.sampled_from(FIELD_VALUES))
)
spaces = st.sampled_from(("", "", " ", "\t", "\n ", "\r"))
gaps = st.sampled_from((" ", "\t", "  ", "\n"))

objects = st.builds(
    lambda name, namespace, labels, fields: Object("/k", 1, b"{}", name, namespace, "", labels, fields),
    st.sampled_from(FIELD_VALUES),
    st.sampled_from(NAMESPACES),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from((*VALUES, "-7", "+6", "1_0", "9223372036854775808"))),
    st.dictionaries(st.sampled_from(PATHS[:2]), st.sampled_from(FIELD_VALUES)),
)


@st.composite
def label_texts(draw: st.DrawFn, terms: list[Term]) -> str:
    """One of the many ways to write the terms."""

    def text(term: Term) -> str:
        key, operator, values = term
        before, after, last = draw(spaces), draw(spaces), draw(spaces)
        if operator == "exists":
            return f"{before}{key}{after}"
        if operator == "!":
            return f"{before}!{after}{key}{last}"
        if operator in ("in", "notin"):
            inside = ",".join(draw(spaces) + value + draw(spaces) for value in values)
            return f"{before}{key}{draw(gaps)}{operator}{after}({inside}){last}"
        return f"{before}{key}{after}{operator}{last}{values[0]}{draw(spaces)}"

    return ",".join(map(text, terms))


@st.composite
def field_texts(draw: st.DrawFn, terms: list[Term]) -> str:
    def text(term: Term) -> str:
        path, operator, (value,) = term
        for special in ("\\", ",", "="):
            value = value.replace(special, "\\" + special)
        return path + operator + value + draw(st.sampled_from(("", "", ",")))

    return ",".join(map(text, terms))


def is_writable(term: Term) -> bool:
    # Two commas are taken at once, so `(a,,)` is refused: not every list of values with empty ones can be written.
    return term[1] not in ("in", "notin") or "" not in term[2][1:]


label_lists = st.lists(label_terms.filter(is_writable), max_size=4)
field_lists = st.lists(field_terms, max_size=3)


def decide(route: Route | None, selector: Selector, obj: Object) -> bool:
    """What a router makes of it: the index first, then the rest; `compile` where there is no index."""
    if route is None:
        compiled = selector.compile()
        return compiled is None or compiled(obj)
    if route.namespace not in ("", obj.namespace):
        return False
    here: dict[RouteKind, str | None] = {
        RouteKind.FIELD: obj.field(route.path),
        RouteKind.LABEL: obj.labels.get(route.path),
        RouteKind.NAMESPACE: obj.namespace,
    }
    return here[route.kind] in route.values and (route.rest is None or route.rest(obj))


# ---- the properties ------------------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(st.data(), st.sampled_from(NAMESPACES), label_lists, field_lists, st.lists(objects, min_size=1, max_size=5))
def test_matches_compile_and_route_agree_with_a_naive_matcher(data, namespace, labels, fields, candidates):
    selector = Selector.of(
        namespace,
        labels=data.draw(label_texts(labels), label="labels"),
        fields=data.draw(field_texts(fields), label="fields"),
    )
    compiled, route = selector.compile(), selector.route()
    for obj in candidates:
        wanted = naive(namespace, labels, fields, obj)
        assert selector.matches(obj) is wanted
        assert (compiled is None or compiled(obj)) is wanted
        assert decide(route, selector, obj) is wanted


@given(st.data(), label_lists)
def test_canonical_label_text_reads_back_to_the_same_selector(data, terms):
    selector = LabelSelector.parse(data.draw(label_texts(terms)))
    assert LabelSelector.parse(str(selector)) == selector
    assert LabelSelector.parse(str(selector.canonical())) == selector.canonical()


@given(st.data(), field_lists)
def test_canonical_field_text_reads_back_to_the_same_selector(data, terms):
    selector = FieldSelector.parse(data.draw(field_texts(terms)))
    assert FieldSelector.parse(str(selector)) == selector


@given(st.data(), st.lists(label_terms.filter(is_writable), max_size=4, unique=True), st.randoms(use_true_random=False))
def test_the_same_terms_in_any_order_and_number_are_one_selector(data, terms, rng):
    others = [*terms, *terms[:1]]
    rng.shuffle(others)
    one, other = (Selector.of(labels=data.draw(label_texts(written))) for written in (terms, others))
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) == str(other)


# ---- what matches ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "greater_than_5", "less_than_12"),
    [
        ("5", False, True),
        ("6", True, True),
        ("+6", True, True),
        ("-6", False, True),
        ("012", True, False),
        ("x", False, False),
        ("", False, False),
        ("1_0", False, False),
        (" 7", False, False),
        ("٧", False, False),
        ("9223372036854775807", True, False),
        ("9223372036854775808", False, False),
        ("-9223372036854775808", False, True),
        ("-9223372036854775809", False, False),
        ("9" * 5000, False, False),
        ("0" * 5000 + "7", True, True),
        ("-0", False, True),
    ],
)
def test_comparisons_read_64_bit_integers_and_match_nothing_else(value, greater_than_5, less_than_12):
    """Goal: also label values that no API server would have let in are merely unmatched."""
    for text, wanted in (("n>5", greater_than_5), ("n<12", less_than_12)):
        selector = Selector.of(labels=text)
        obj = Object("/k", 1, b"{}", labels={"n": value})
        compiled = selector.compile()
        assert compiled is not None
        assert selector.matches(obj) is compiled(obj) is wanted


def test_an_absent_label_meets_only_what_asks_for_no_value():
    bare = Object("/k", 1, b"{}")
    for text in ("k=", "k in ()", "k in (,x)", "k", "k>1", "k<1"):
        selector = Selector.of(labels=text)
        assert (selector.matches(bare), decide(None, selector, bare)) == (False, False), text
    for text in ("k!=", "k!=x", "k notin ()", "k notin (,x)", "!k"):
        selector = Selector.of(labels=text)
        assert (selector.matches(bare), decide(None, selector, bare)) == (True, True), text


def test_a_field_that_the_resource_does_not_have_is_refused_with_those_that_it_has():
    selector = FieldSelector.parse("metadata.name=a,metadata.namespace=b,spec.nodeName=n,spec.bogus=x")
    with pytest.raises(InvalidSelector) as refused:
        selector.check_supported(["spec.nodeName", "status.phase"])
    assert refused.value.problem == (
        "field label not supported: spec.bogus: this resource has "
        "metadata.name, metadata.namespace, spec.nodeName, status.phase"
    )
    FieldSelector.parse("metadata.name=a,spec.nodeName!=n").check_supported(["spec.nodeName"])


# ---- from other things than text -----------------------------------------------------------------------------------


def test_a_requirement_made_by_hand_is_checked_and_sorted():
    assert LabelRequirement.of("k", Operator.IN, ["b", "a", "b"]).values == ("a", "b")
    for key, operator, values in [
        ("", Operator.EXISTS, ()),
        ("k", Operator.IN, ()),
        ("k", Operator.EQUALS, ("a", "b")),
        ("k", Operator.EQUALS, ()),
        ("k", Operator.EXISTS, ("a",)),
        ("k", Operator.LESS_THAN, ("x",)),
        ("k", Operator.EQUALS, ("-",)),
    ]:
        with pytest.raises(InvalidSelector):
            LabelRequirement.of(key, operator, values)


def test_labels_given_as_a_dict_must_all_be_there():
    assert str(LabelSelector.from_dict({"tier": "db", "app": "web"})) == "app=web,tier=db"
    assert LabelSelector.from_dict({}).is_everything
    with pytest.raises(InvalidSelector):
        LabelSelector.from_dict({"app": "not a value"})


def test_a_label_selector_object_of_the_api_means_all_of_its_parts():
    selector = LabelSelector.from_api(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "track", "operator": "NotIn", "values": ["canary"]},
                {"key": "owner", "operator": "Exists"},
                {"key": "hidden", "operator": "DoesNotExist", "values": None},
            ],
        }
    )
    assert str(selector) == "app=web,!hidden,owner,tier in (a,b),track notin (canary)"
    assert LabelSelector.from_api({}).is_everything
    assert LabelSelector.from_api({"matchLabels": None, "matchExpressions": None}).is_everything


@pytest.mark.parametrize(
    "value",
    [
        {"matchLabels": ["app"]},
        {"matchLabels": {"app": 1}},
        {"matchLabels": {"app": "-"}},
        {"matchExpressions": {"key": "a"}},
        {"matchExpressions": ["a"]},
        {"matchExpressions": [{"operator": "Exists"}]},
        {"matchExpressions": [{"key": "a"}]},
        {"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": []}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]},
        {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
    ],
)
def test_a_label_selector_object_of_another_form_is_refused(value):
    with pytest.raises(InvalidSelector):
        LabelSelector.from_api(value)


# ---- the whole selector --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"labels": "a in (x)"}, {"labels": "a==x"}),
        ({"labels": "a notin (x)"}, {"labels": "a != x"}),
        ({"labels": {"b": "2", "a": "1"}}, {"labels": "a=1,b=2,a=1"}),
        ({"name": "web-1"}, {"fields": "metadata.name=web-1"}),
        ({"name": "web-1", "fields": "metadata.name=web-1"}, {"fields": {"metadata.name": "web-1"}}),
        ({"namespace": "team-a"}, {"fields": "metadata.namespace=team-a"}),
        ({"namespace": "team-a", "fields": "metadata.namespace==team-a"}, {"namespace": "team-a"}),
        ({"namespace": "", "name": "", "labels": "", "fields": ","}, {}),
        ({"fields": FieldSelector.parse("b=1,a=2")}, {"fields": "a=2,b=1"}),
    ],
)
def test_selectors_that_are_written_differently_and_mean_the_same_are_equal(one, other):
    first, second = Selector.of(**one), Selector.of(**other)
    assert first == second
    assert hash(first) == hash(second)
    assert str(first) == str(second)


def test_selectors_that_mean_different_things_are_not_equal():
    texts = ("", "a", "!a", "a=", "a!=", "a=x", "a!=x", "a in (x,y)", "a notin (x,y)", "a>1", "a<1", "a=x,b=y")
    selectors = [Selector.of(labels=text) for text in texts]
    selectors += [Selector.of("x"), Selector.of(name="x"), Selector.of(fields="a=x"), Selector.of(fields="a!=x")]
    assert len(set(selectors)) == len({str(selector) for selector in selectors}) == len(selectors)


@pytest.mark.parametrize(
    ("given_", "text"),
    [
        ({}, "everything"),
        ({"namespace": "team-a"}, "namespace=team-a"),
        (
            {"namespace": "team-a", "labels": "app in (b,a)", "fields": "spec.nodeName=n1"},
            "namespace=team-a,labels(app in (a,b)),fields(spec.nodeName=n1)",
        ),
        ({"name": "x", "labels": "!a"}, "labels(!a),fields(metadata.name=x)"),
    ],
)
def test_a_selector_is_written_in_canonical_form(given_, text):
    assert str(Selector.of(**given_)) == text


@pytest.mark.parametrize(
    "contradiction",
    [
        {"namespace": "team-a", "fields": "metadata.namespace=team-b"},
        {"namespace": "team-a", "fields": "metadata.namespace="},
        {"fields": "metadata.namespace=team-a,metadata.namespace=team-b"},
        {"name": "x", "fields": "metadata.name=y"},
        {"labels": "a=1,a=2"},
        {"labels": "a,!a"},
    ],
)
def test_a_selector_that_contradicts_itself_matches_nothing(contradiction):
    selector = Selector.of(**contradiction)
    compiled = selector.compile()
    for namespace in ("", "team-a", "team-b"):
        for name in ("x", "y"):
            for labels in ({}, {"a": "1"}, {"a": "2"}):
                obj = Object("/k", 1, b"{}", name, namespace, "", labels)
                assert not selector.matches(obj)
                assert compiled is not None
                assert not compiled(obj)
                assert not decide(selector.route(), selector, obj)


def test_an_empty_namespace_requirement_selects_what_is_in_no_namespace():
    selector = Selector.of(fields="metadata.namespace=")
    assert selector.matches(Object("/k", 1, b"{}", "node-1"))
    assert not selector.matches(Object("/k", 1, b"{}", "web-1", "team-a"))
    assert selector.route() is None


def test_everything_needs_no_predicate_and_has_no_route():
    selector = Selector()
    assert selector.is_everything
    assert selector == Selector.of()
    assert selector.compile() is None
    assert selector.route() is None
    assert not selector.label_only


@pytest.mark.parametrize(
    ("given_", "kind", "path", "values", "namespace", "decides_all"),
    [
        ({"name": "x"}, "field", "metadata.name", ("x",), "", True),
        ({"name": "x", "namespace": "a"}, "field", "metadata.name", ("x",), "a", True),
        ({"name": "x", "fields": "a.b=1", "labels": "k=v"}, "field", "metadata.name", ("x",), "", False),
        ({"fields": "spec.nodeName=n", "labels": "k=v"}, "field", "spec.nodeName", ("n",), "", False),
        ({"fields": "spec.nodeName=", "labels": "k=v"}, "label", "k", ("v",), "", False),
        ({"fields": "status.phase!=Running", "labels": "k=v"}, "label", "k", ("v",), "", False),
        ({"labels": "a in (x,y),b=1,c!=2", "namespace": "ns"}, "label", "b", ("1",), "ns", False),
        ({"labels": "a in (x,y)"}, "label", "a", ("x", "y"), "", True),
        ({"labels": "a in (x,y,z),b in (x,y)"}, "label", "b", ("x", "y"), "", False),
        ({"labels": "a="}, "label", "a", ("",), "", True),
        ({"namespace": "ns"}, "namespace", "", ("ns",), "ns", True),
        ({"namespace": "ns", "labels": "!a"}, "namespace", "", ("ns",), "ns", False),
    ],
)
def test_the_route_is_by_the_term_that_leaves_the_fewest_objects(given_, kind, path, values, namespace, decides_all):
    route = Selector.of(**given_).route()
    assert route is not None
    assert (route.kind, route.path, route.values, route.namespace) == (kind, path, values, namespace)
    assert (route.rest is None) is decides_all


@pytest.mark.parametrize("text", ["a!=1", "a notin (x,y)", "a", "!a", "n>5", "n<5"])
def test_what_cannot_be_indexed_has_no_route(text):
    assert Selector.of(labels=text).route() is None
    assert Selector.of(labels=text).compile() is not None


def test_a_selector_is_decided_by_labels_only_where_nothing_else_is_asked():
    assert Selector.of(labels="a!=1").label_only
    assert not Selector.of("ns", labels="a!=1").label_only
    assert not Selector.of(labels="a!=1", fields="b=1").label_only
