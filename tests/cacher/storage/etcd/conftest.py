"""Assertions of the contract explain themselves as those of a test file do; a directory for many commits."""

import shutil

import pytest

pytest.register_assert_rewrite("tests.cacher.storage.etcd.etcd_contract")


@pytest.fixture
def quick_dir():
    from tests.cacher.storage.etcd.disks import quick_directory

    path = quick_directory()
    yield path
    shutil.rmtree(path)
