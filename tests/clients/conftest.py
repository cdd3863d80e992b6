"""What the tests with real clients share: one server, a namespace for each test, each kubectl that was found."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.clients.found import kubectl_params
from tests.clients.kubectl import Kubectl
from tests.clients.served import Served, open_served

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with TLS and a token, as it is by default."""
    with open_served(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(params=kubectl_params(), ids=str)
def kubectl(request: pytest.FixtureRequest, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """A kubectl in an empty home, in a namespace of its own."""
    namespace = f"t{next(_numbers)}"
    tool = Kubectl(request.param.path, served.kubeconfig, tmp_path_factory.mktemp("home"), namespace)
    tool("create", "namespace", namespace)
    return tool
