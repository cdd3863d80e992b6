"""What a real API server answered to custom resources, and their definitions, is what these functions say."""

from __future__ import annotations

import pytest

from tests.cacher.registry.schema.recorded_api import CONFORMANCE, RecordedAPI, Skipped, comparable, read

# The steps of each case that these functions decide, all by themselves. The others are about paths, lists, conflicts, apply,
# watches and the metadata of all objects.
DECIDED = {
    "crd-apply": ["s5"],
    "crd-cel-rules": ["s1", "s2", "s3", "s4"],
    "crd-cluster-scoped": ["s1", "s2"],
    "crd-create": ["s1", "s3"],
    "crd-create-errors": ["s1", "s4"],
    "crd-defaulting": ["s1", "s2", "s3"],
    "crd-generation": ["s1", "s2", "s3", "s4", "s5"],
    "crd-int-or-string": ["s1", "s2", "s3"],
    "crd-invalid-name": ["s1", "s2", "s3"],
    "crd-invalid-schema": ["s1", "s2", "s3", "s4", "s5"],
    "crd-metadata-pruned": ["s1", "s2"],
    "crd-no-status": ["s1", "s2"],
    "crd-patch": ["s1", "s2", "s5"],
    "crd-printer-columns": ["s1"],
    "crd-scale": ["s1", "s2", "s3", "s4", "s5", "s7"],
    "crd-scale-unset": ["s1", "s2"],
    "crd-validation": ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"],
}


def played(name):
    """The steps that were decided: what was recorded, and what came out."""
    steps, recorded = read(name)
    api = RecordedAPI()
    found = {}
    for step in steps:
        try:
            status, body = api.answer(step)
        except Skipped:
            continue
        if step.get("id") in recorded:
            answer = recorded[step["id"]]
            found[step["id"]] = (answer["status"], comparable(answer["body"])), (status, comparable(body))
    return found


@pytest.mark.parametrize("name", DECIDED)
def test_the_answers_are_the_recorded_ones(name):
    found = played(name)
    assert list(found) == DECIDED[name]
    for wanted, got in found.values():
        assert got == wanted


def test_every_recorded_case_that_is_kept_here_is_played():
    assert {path.stem for path in (CONFORMANCE / "cases").glob("crd-*.json")} >= set(DECIDED)
