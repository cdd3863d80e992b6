"""Objects and pages in the form that was asked for, and from bytes that are not decoded."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacher.server._encoding import chunk, shown
from tests.cacher.server.serving import CONFIGS, config, serving
from watch import Object

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIALS = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["apiVersion", "kind", "spec", "metadata", "\\é"]), JSON), st.booleans())
def test_bytes_show_what_decoding_would(members, with_types):
    if "metadata" in members and not isinstance(members["metadata"], dict):
        members["metadata"] = {"resourceVersion": "old", "name": 'a"metadata":{'}
    obj = Object("/k", 42, msgspec.json.encode(members))
    wanted = obj.to_dict()
    if not with_types:
        wanted = {name: value for name, value in wanted.items() if name not in ("apiVersion", "kind")}
    assert json.loads(shown(obj, with_types=with_types)) == json.loads(msgspec.json.encode(wanted))


def test_a_chunk_says_how_long_it_is():
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@pytest.mark.parametrize("count", [0, 1, 256, 257, 600])
def test_a_list_is_whole_however_many_pieces_it_is_sent_in(run_trio, count):
    async def main() -> None:
        async with serving() as served:
            for number in range(count):
                await served.made(CONFIGS, config(f"c{number:03}"))
            names = [f"c{number:03}" for number in range(count)]
            plain = (await served.get(CONFIGS)).json()
            table = (await served.get(CONFIGS, headers={"Accept": TABLE})).json()
            partial = (await served.get(CONFIGS, headers={"Accept": PARTIALS})).json()
            yaml = await served.get(CONFIGS, headers={"Accept": "application/yaml"})
            assert [item["metadata"]["name"] for item in plain["items"]] == names
            assert [row["cells"][0] for row in table["rows"]] == names
            assert [item["metadata"]["name"] for item in partial["items"]] == names
            assert yaml.body.count(b"\n    name: c") == count
            assert plain["kind"] == "ConfigMapList"
            assert all(set(item) == {"metadata"} for item in plain["items"])
            assert {item["kind"] for item in partial["items"]} <= {"PartialObjectMetadata"}

    run_trio(main)


@pytest.mark.parametrize(
    ("include", "kind"), [("", "PartialObjectMetadata"), ("Metadata", "PartialObjectMetadata"), ("Object", "ConfigMap")]
)
def test_a_row_has_as_much_of_its_object_as_was_asked_for(run_trio, include, kind):
    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a", k="v"))
            query = {"includeObject": include} if include else {}
            row = (await served.get(f"{CONFIGS}/a", query=query, headers={"Accept": TABLE})).json()["rows"][0]
            assert row["object"]["kind"] == kind
            assert ("data" in row["object"]) is (include == "Object")

    run_trio(main)


def test_a_row_may_have_nothing_of_its_object_but_the_bookmark_of_a_watch_keeps_its_mark(run_trio):
    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a"))
            query = {"includeObject": "None", "allowWatchBookmarks": "true"}
            page = (await served.get(CONFIGS, query=query, headers={"Accept": TABLE})).json()
            assert page["rows"][0]["object"] is None
            async with served.watch(CONFIGS, query=query, headers={"Accept": TABLE}) as lines:
                added, marked = await lines.take(2)
            assert added["object"]["rows"][0]["object"] is None
            annotations = marked["object"]["rows"][0]["object"]["metadata"]["annotations"]
            assert annotations == {"k8s.io/initial-events-end": "true"}
            wrong = await served.get(CONFIGS, query={"includeObject": "All"}, headers={"Accept": TABLE})
            assert (wrong.status, "must be 'Metadata'" in wrong.json()["message"]) == (400, True)

    run_trio(main)


def test_a_list_is_no_object_and_an_object_no_list(run_trio):
    async def main() -> None:
        async with serving() as served:
            await served.made(CONFIGS, config("a"))
            page = await served.get(CONFIGS, headers={"Accept": PARTIAL})
            one = await served.get(f"{CONFIGS}/a", headers={"Accept": PARTIALS})
            assert (page.status, one.status) == (406, 406)
            assert page.json()["message"].endswith("the requested object is a list (*core.ConfigMapList)")
            assert one.json()["message"].endswith("the requested object is not a list (*core.ConfigMap)")

    run_trio(main)


def test_what_is_written_is_answered_in_the_same_forms_and_a_status_in_its_own(run_trio):
    async def main() -> None:
        async with serving() as served:
            made = await served.ask("POST", CONFIGS, body=config("a"), headers={"Accept": TABLE})
            assert (made.status, made.json()["kind"]) == (201, "Table")
            gone = await served.ask("DELETE", f"{CONFIGS}/a", headers={"Accept": TABLE})
            assert (gone.json()["kind"], gone.json()["status"]) == ("Status", "Success")

    run_trio(main)
