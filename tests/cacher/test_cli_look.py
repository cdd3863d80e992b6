"""`watchcache get` and `describe`: what is shown of a store and of a server, and the exit code of each ending."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import trio
import yaml

from cacher import _cli, open_cluster
from tests.clients.api import api_of
from tests.clients.served import open_served

ROOT = Path(__file__).parents[2]
WIDGETS = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"]},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            }
        ],
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A directory with a store of a few objects, which no server has open."""
    directory = tmp_path_factory.mktemp("looked-at") / "data"

    async def fill() -> None:
        async with open_cluster(data_dir=directory, random=Random(1), checks_namespaces=False) as cluster:
            maps = cluster.resource("v1", "configmaps")
            await maps.create({"metadata": {"name": "a", "labels": {"app": "web"}}, "data": {"k": "v"}}, "default")
            await maps.create({"metadata": {"name": "b"}}, "default")
            await maps.create({"metadata": {"name": "c"}}, "team")
            await cluster.resource("apiextensions.k8s.io/v1", "customresourcedefinitions").create(WIDGETS)
            widgets = cluster.resource("example.com/v1", "widgets")
            await widgets.ready()
            await widgets.create({"metadata": {"name": "w"}, "spec": {"size": 3}}, "default")

    trio.run(fill)
    return str(directory)


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    try:
        code = _cli.main(arguments)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_table_shows_what_is_in_the_namespace(capsys, store):
    code, out, err = run(capsys, "get", "cm", "--data-dir", store)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[:2] for line in lines[1:]] == [["a", "1"], ["b", "0"]]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["configmaps", "-n", "team"], ["configmap/c"]),
        (["configmap", "-A"], ["configmap/a", "configmap/b", "configmap/c"]),
        (["cm", "-l", "app=web"], ["configmap/a"]),
        (["cm", "-A", "--field-selector", "metadata.name!=a"], ["configmap/b", "configmap/c"]),
        (["cm", "b"], ["configmap/b"]),
        (["cm/b", "wd/w"], ["configmap/b", "widget.example.com/w"]),
        (["cm,wd"], ["configmap/a", "configmap/b", "widget.example.com/w"]),
    ],
)
def test_what_is_asked_for_is_what_is_shown(capsys, store, words, names):
    code, out, _ = run(capsys, "get", *words, "-o", "name", "--data-dir", store)
    assert (code, out.split()) == (0, names)


def test_a_custom_resource_has_the_columns_of_its_definition(capsys, store):
    _, out, _ = run(capsys, "get", "widgets", "--no-headers", "--data-dir", store)
    assert out.split()[:2] == ["w", "3"]


def test_json_and_yaml_say_the_same_without_managed_fields(capsys, store):
    _, as_json, _ = run(capsys, "get", "cm", "-o", "json", "--data-dir", store)
    _, as_yaml, _ = run(capsys, "get", "cm", "-o", "yaml", "--data-dir", store)
    found = json.loads(as_json)
    assert found == yaml.safe_load(as_yaml)
    assert (found["kind"], len(found["items"]), found["items"][0]["kind"]) == ("List", 2, "ConfigMap")
    assert "managedFields" not in as_json
    _, one, _ = run(capsys, "get", "cm/a", "-o", "json", "--show-managed-fields", "--data-dir", store)
    assert json.loads(one)["metadata"]["managedFields"]


def test_looking_changes_nothing(capsys, store):
    _, before, _ = run(capsys, "get", "cm", "-A", "-o", "json", "--data-dir", store)
    run(capsys, "describe", "cm", "-A", "--data-dir", store)
    assert run(capsys, "get", "cm", "-A", "-o", "json", "--data-dir", store)[1] == before


def test_describe_tells_each_object(capsys, store):
    code, out, _ = run(capsys, "describe", "cm", "-n", "team", "--data-dir", store)
    assert code == 0
    assert out.startswith("Name:         c\n")
    assert out.splitlines()[-1] == "Events:       <none>"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["get", "cm", "nobody"], 1, 'Error from server (NotFound): configmaps "nobody" not found'),
        (["get", "cm", "-l", "!!"], 1, "BadRequest"),
        (["get", "cm", "-n", "nowhere"], 0, "No resources found in nowhere namespace"),
        (["get", "configmps"], 64, "did you mean configmaps"),
        (["get", "cm", "a", "-A"], 64, "leave --all-namespaces out"),
        (["get", "cm", "a", "-l", "x=y"], 64, "exclude each other"),
        (["get", "cm/a", "b"], 64, "choose one of the two forms"),
        (["get", "cm/"], 64, "is not TYPE/NAME"),
        (["get", "cm,wd", "a"], 64, "write them as TYPE/NAME"),
        (["get", "cm,wd", "-w"], 64, "watched at a time"),
        (["get", "cm", "--server", "http://127.0.0.1:1"], 64, "leave one of them out"),
        (["get", "cm", "-o", "jsn"], 64, "did you mean json?"),
        (["get"], 64, "TYPE"),
        (["describe", "cm", "nobody"], 1, "not found"),
    ],
)
def test_what_cannot_be_shown_is_told_and_has_its_exit_code(capsys, store, words, code, said):
    found, out, err = run(capsys, *words, "--data-dir", store)
    assert (found, out) == (code, "")
    assert said in err


def test_a_store_that_is_not_there_is_not_made(capsys, tmp_path):
    code, _, err = run(capsys, "get", "pods", "--data-dir", str(tmp_path / "none"))
    assert code == 64
    assert "there is no such directory" in err
    assert not (tmp_path / "none").exists()


def test_a_server_that_is_not_there_is_told(capsys):
    code, out, err = run(capsys, "get", "pods", "--server", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert "cannot be reached" in err


def test_no_server_and_no_kubeconfig_is_told(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    code, _, err = run(capsys, "get", "pods")
    assert code == 64
    assert "no API server is named" in err


@pytest.mark.slow
def test_a_server_is_looked_at_through_its_kubeconfig_and_watched(capsys, tmp_path):
    with open_served(tmp_path) as served:
        api, where = api_of(served.kubeconfig), ("--kubeconfig", str(served.kubeconfig))
        maps = "/api/v1/namespaces/default/configmaps"
        assert api("POST", maps, {"metadata": {"name": "a"}}).code == 201
        assert run(capsys, "get", "cm", "-o", "name", *where)[1] == "configmap/a\n"
        command = [sys.executable, "-m", "cacher", "get", "cm", "-w", "-o", "name", *where]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as watching:
            assert watching.stdout is not None
            try:
                assert watching.stdout.readline() == "configmap/a\n"
                assert api("POST", maps, {"metadata": {"name": "b"}}).code == 201
                assert select.select([watching.stdout], [], [], 30)[0]
                assert watching.stdout.readline() == "configmap/b\n"
            finally:
                watching.kill()
