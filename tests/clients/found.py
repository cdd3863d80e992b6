"""Which clients there are to test with, and what to do where there is none.

WATCHCACHE_KUBECTL=/path/to/kubectl:/path/to/other      `.ci/kubectl 1.37` fetches one
WATCHCACHE_CLIENTS=/path/to/python                      `.ci/clients` installs them
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Sequence

import msgspec
import pytest

KUBECTL = "WATCHCACHE_KUBECTL"
CLIENTS = "WATCHCACHE_CLIENTS"
KUBECTL_CURE = f"no kubectl to test with: {KUBECTL}=$(.ci/kubectl 1.37):$(.ci/kubectl 1.36) make test"
CLIENTS_CURE = f"no Python clients to test with: {CLIENTS}=$(.ci/clients) make test"


class KubectlBinary(msgspec.Struct, frozen=True):
    """A kubectl that can be run."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"kubectl-{self.version}"


@functools.cache
def kubectl_binaries() -> tuple[KubectlBinary, ...]:
    """Those that the variable names. One that cannot be run is an error: testing less than was asked for helps nobody."""
    return tuple(_read(path) for path in os.environ.get(KUBECTL, "").split(os.pathsep) if path)


def _read(path: str) -> KubectlBinary:
    told = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=60)
    return KubectlBinary(path, json.loads(told.stdout)["clientVersion"]["gitVersion"].removeprefix("v"))


def kubectl_params() -> Sequence[object]:
    """For `pytest.fixture(params=…)`: each binary, or one that skips and says what to do."""
    found = kubectl_binaries()
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=KUBECTL_CURE))]


def clients_python() -> str:
    """The interpreter that has the Python clients. Skips where there is none."""
    path = os.environ.get(CLIENTS)
    if not path:
        pytest.skip(CLIENTS_CURE)
    return path
