"""What Kubernetes' own library answered to schemas, objects, rules and definitions drawn at random: ours answers the same.

data/answers.go.txt is the program that asked it (k8s.io/apiextensions-apiserver 0.36.2).
"""

from __future__ import annotations

import functools
import json
import pathlib

import pytest

from cacher.registry.schema import Version, definition_errors, prepared_for_create, read_schema, with_defaults
from cacher.registry.schema._cel import rule_errors, rule_tree
from cacher.registry.schema._default import defaulted
from cacher.registry.schema._list_types import duplicate_errors
from cacher.registry.schema._prune import pruned
from cacher.registry.schema._validate import value_errors

DATA = pathlib.Path(__file__).parent / "data"


def lines(name):
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def shown(errors):
    return sorted([error.type.reason, error.field, error.message] for error in errors)


def test_values_are_defaulted_pruned_and_judged_as_there():
    wrong = []
    for case in lines("values.jsonl"):
        before = json.dumps(case["obj"])
        schema = read_schema(case["schema"])
        full = defaulted(schema, case["obj"])
        kept, unknown = pruned(schema, full, is_resource=True)
        errors = shown(value_errors(schema, kept) + duplicate_errors(schema, kept))
        told = (full, kept, unknown, errors)
        if told != (case["defaulted"], case["pruned"], case["unknown"], sorted(case["errors"])):
            wrong.append((case, told))
        assert json.dumps(case["obj"]) == before, "the object that went in has changed"
    assert not wrong


def test_the_table_of_values_has_errors_of_each_kind():
    """A table without errors would be agreed with by a validator that finds none."""
    reasons = [error[0] for case in lines("values.jsonl") for error in case["errors"]]
    assert (
        min(reasons.count(f"FieldValue{kind}") for kind in ("Invalid", "NotSupported", "Required", "TypeInvalid")) > 9
    )


FORMATS = json.loads((DATA / "formats.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("format_", FORMATS["taken"])
def test_a_format_takes_what_it_takes_there(format_):
    schema = read_schema({"type": "string", "format": format_})
    taken = [at for at, text in enumerate(FORMATS["texts"]) if not value_errors(schema, text)]
    assert taken == FORMATS["taken"][format_]


RULES = json.loads((DATA / "rules.json").read_text(encoding="utf-8"))


@functools.cache
def tree_of(rule, has_message):
    spec = RULES["schema"]["properties"]["spec"]
    rules = [{"rule": rule, **({"message": "no"} if has_message else {})}]
    spec = {**spec, "x-kubernetes-validations": rules}
    return rule_tree(read_schema({"type": "object", "properties": {"spec": spec}}), is_resource=True)


@pytest.mark.parametrize("rule", dict.fromkeys(asked[0] for asked in RULES["asked"]))
def test_a_rule_says_what_it_says_there(rule):
    for asked, number, is_update, errors in RULES["asked"]:
        if asked == rule:
            old = {"spec": RULES["objects"][0]} if is_update else None
            found = rule_errors(tree_of(rule, number > 0), {"spec": RULES["objects"][number]}, old)
            assert shown(found) == sorted(errors)


def test_definitions_are_refused_for_the_same_reasons_as_there():
    wrong = []
    for case in lines("definitions.jsonl"):
        found = shown(definition_errors(prepared_for_create(with_defaults(case["crd"]))))
        if found != case["errors"]:
            wrong.append((case, found))
    assert not wrong


def test_updates_overlook_what_they_leave_as_it_was_where_it_is_overlooked_there():
    wrong = []
    for case in lines("updates.jsonl"):
        version = Version("example.com", "Widget", {"name": "v1", "schema": {"openAPIV3Schema": case["schema"]}})
        found = shown(version.validate(case["obj"], case["old"]))
        if found != case["errors"]:
            wrong.append((case, found))
    assert not wrong


def test_the_table_of_updates_has_errors_that_are_overlooked_and_ones_that_are_not():
    cases = lines("updates.jsonl")
    overlooked = 0
    for case in cases:
        version = Version("example.com", "Widget", {"name": "v1", "schema": {"openAPIV3Schema": case["schema"]}})
        overlooked += len(shown(version.validate(case["obj"]))) > len(case["errors"])
    assert overlooked > 9
    assert sum(bool(case["errors"]) for case in cases) > 9
