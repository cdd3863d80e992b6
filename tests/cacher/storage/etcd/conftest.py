"""Assertions of the contract explain themselves; real servers, shared by a file's tests; a directory for many commits."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest
import trio

from tests.etcd_binaries import EtcdBinary, etcd_parameters
from tests.etcd_server import EtcdServer, start_etcd_server

pytest.register_assert_rewrite("tests.cacher.storage.etcd.etcd_contract", "tests.cacher.storage.etcd.duel")


@pytest.fixture(scope="module", params=etcd_parameters())
def server(request, tmp_path_factory) -> Iterator[EtcdServer]:
    """One server for all scripts. It runs on between them, and between trio's runs."""
    binary: EtcdBinary = request.param
    # What a script compares is not what a power cut leaves; versions before 3.5 have no such flag.
    flags = ["--unsafe-no-fsync"] if binary.numbers >= (3, 5) else []
    directory = tmp_path_factory.mktemp(str(binary))
    started = trio.run(partial(start_etcd_server, binary, directory, random=Random(binary.version), flags=flags))
    yield started
    started.end()


@pytest.fixture
def quick_dir():
    from tests.cacher.storage.etcd.disks import quick_directory

    path = quick_directory()
    yield path
    shutil.rmtree(path)
