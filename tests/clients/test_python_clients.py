"""The Kubernetes clients for Python, unchanged, on `watchcache serve`: each a program in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.api import Api, api_of
from tests.clients.found import clients_python
from tests.clients.manifests import WIDGETS, widget
from tests.clients.served import Served

pytestmark = pytest.mark.slow

PROGRAMS = Path(__file__).parent / "programs"
PROGRAM_S = 120.0


@pytest.fixture
def api(served: Served) -> Api:
    """The server, with the resource that the programs use."""
    api = api_of(served.kubeconfig)
    answer = api("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)
    assert answer.code in (201, 409), answer.body
    name = WIDGETS["metadata"]["name"]

    def is_established(_: str, crd: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
        conditions = crd.get("status", {}).get("conditions") or []
        return crd["metadata"]["name"] == name and any(
            one["type"] == "Established" and one["status"] == "True" for one in conditions
        )

    api.wait("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", is_established)
    return api


def environment(served: Served, home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "KUBECONFIG": str(served.kubeconfig),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.mark.parametrize("client", ["kubernetes", "kubernetes_asyncio", "kr8s", "lightkube"])
def test_a_client_does_what_it_does_anywhere(client, served, api, tmp_path):
    namespace = f"with-{client.replace('_', '-')}"
    assert api("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}}).code == 201
    done = subprocess.run(
        [clients_python(), str(PROGRAMS / f"with_{client}.py"), namespace],
        check=False,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        env=environment(served, tmp_path),
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["done"]), done.stdout + done.stderr


@contextmanager
def operator(served: Served, namespace: str, home: Path) -> Iterator[Path]:
    """The operator, while it runs; what it says goes to the file."""
    log = home / "operator.log"
    command = [
        clients_python(),
        "-m",
        "kopf",
        "run",
        "--standalone",
        "-n",
        namespace,
        str(PROGRAMS / "kopf_operator.py"),
    ]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(served, home)
        )
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            process.wait()


def test_an_operator_of_kopf_creates_updates_and_deletes(served, api, tmp_path):
    assert api("POST", "/api/v1/namespaces", {"metadata": {"name": "with-kopf"}}).code == 201
    widgets = "/apis/shop.example.com/v1/namespaces/with-kopf/widgets"
    maps = "/api/v1/namespaces/with-kopf/configmaps"
    with operator(served, "with-kopf", tmp_path) as log:
        try:
            assert api("POST", widgets, widget("one", "red")).code == 201
            made = api.wait(maps, lambda kind, obj: obj["metadata"]["name"] == "for-one")
            assert made["data"] == {"color": "red"}
            told = api.wait(widgets, lambda kind, obj: "created" in (obj.get("status") or {}))
            assert told["status"]["created"] == {"made": "for-one"}
            assert told["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
            patch = {"spec": {"color": "blue"}}
            assert api("PATCH", f"{widgets}/one", patch, media_type="application/merge-patch+json").code == 200
            api.wait(maps, lambda kind, obj: (obj.get("data") or {}).get("color") == "blue")
            assert api("DELETE", f"{widgets}/one").code == 200
            asked = range(3000)  # some milliseconds each
            assert any(api("GET", f"{widgets}/one").code == 404 for _ in asked), "it does not go"
            assert api("GET", f"{maps}/for-one").code == 404
        except AssertionError as error:
            raise AssertionError(f"{error}; the operator said: {log.read_text(encoding='utf-8')[-3000:]}") from error
