"""customresourcedefinitions as a resource: what a client may write into one, and what a deletion answers."""

from __future__ import annotations

import pytest

from cacher.registry import APIError, Conflict, PatchType
from tests.cacher.registry.widgets import INTEGER, NAME, crd, open_server, stored, version, widget
from tests.cacher.registry.world import run

MERGE = PatchType.MERGE
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def test_a_deletion_of_a_definition_has_preconditions_and_dry_runs():
    async def main():
        async with open_server() as server:
            made = await server.define(crd())
            with pytest.raises(Conflict, match="UID in precondition: x, UID in object meta"):
                await server.crds.delete(NAME, uid="x")
            with pytest.raises(Conflict, match="ResourceVersion in precondition: 1,"):
                await server.crds.delete(NAME, resource_version="1")
            answer, _ = await server.crds.delete(NAME, dry_run=True)
            assert answer["metadata"]["finalizers"] == [FINALIZER]
            assert await server.crds.get(NAME) == made
            await server.crds.delete(NAME, uid=made["metadata"]["uid"])
            await server.gone()

    run(main)


def test_a_collection_of_definitions_goes_as_each_of_them_does():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            await server.define(crd(plural="gadgets"))
            await server.widgets().create(widget(), "team-a")
            await server.crds.delete_collection()
            await server.gone()
            await server.gone("gadgets.example.com")
            assert await stored(server.world) == []

    run(main)


def test_a_definition_keeps_its_status_and_a_status_its_definition():
    async def main():
        async with open_server() as server:
            made = await server.define(crd())
            changed = {**made, "spec": {**made["spec"], "versions": [version(spec={"n": INTEGER})]}}
            sent = {**changed, "status": {"storedVersions": ["v9"]}}
            after = await server.crds.update(sent)
            assert after["status"] == made["status"]
            assert after["metadata"]["generation"] == 2
            meta = {**after["metadata"], "labels": {"l": "1"}}
            status = await server.crds.subresource("status").update({**made, "metadata": meta})
            assert status["spec"] == after["spec"]
            assert "labels" not in status["metadata"]
            assert status["metadata"]["generation"] == 2

    run(main)


def test_a_definition_is_replaced_only_by_who_names_its_version():
    async def main():
        async with open_server() as server:
            await server.define(crd())
            with pytest.raises(APIError, match=r"metadata\.resourceVersion: Invalid value: 0: must be specified"):
                await server.crds.update(crd())

    run(main)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"metadata": {"labels": {"bad key": "1"}}}, r"metadata\.labels: Invalid value: .bad key"),
        ({"spec": {"names": {"kind": "Other"}}}, r"spec\.names\.kind: Invalid value: .Other.: field is immutable"),
        ({"spec": {"conversion": {"strategy": "Webhook"}}}, r"spec\.conversion"),
        ({"spec": {"scope": 3}}, r"cannot unmarshal number into Go struct field"),
    ],
)
def test_a_change_that_a_definition_cannot_take_is_refused(change, problem):
    async def main():
        async with open_server() as server:
            before = await server.define(crd())
            with pytest.raises(APIError, match=problem):
                await server.crds.patch(NAME, change, type=MERGE)
            assert await server.crds.get(NAME) == before

    run(main)


def test_fields_that_definitions_do_not_have_are_told_or_refused():
    async def main():
        async with open_server() as server:
            told: list[str] = []
            sent = crd()
            sent["spec"]["nope"] = 1
            await server.crds.create(sent, warn=told.append, dry_run=True)
            assert told == ['unknown field "spec.nope"']
            with pytest.raises(APIError, match=r'strict decoding error: unknown field "spec\.nope"'):
                await server.crds.create(sent, field_validation="Strict")

    run(main)
