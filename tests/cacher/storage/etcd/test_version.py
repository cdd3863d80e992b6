"""Whose word on progress is taken: the versions at which it changes, from both sides."""

from __future__ import annotations

import pytest

from cacher.storage.etcd._version import tells_progress


@pytest.mark.parametrize(
    "version", ["3.4.31", "3.4.32", "3.4.40-rc.1", "3.5.13", "3.5.13+deb", "3.5.14-rc.0", "3.6.0", "v3.6.13", "4.0.0"]
)
def test_these_tell_the_truth(version):
    assert tells_progress(version)


@pytest.mark.parametrize(
    "version",
    [
        *("3.4.30", "3.4.31-rc.0", "3.3.99", "2.9.9", "3.5.0", "3.5.12", "3.5.13-rc.0", "3.5.0-alpha.0"),
        *("", "3.5", "latest", "3.6.x", "3.6.0.1", "not 3.6.0"),
    ],
)
def test_these_do_not_or_cannot_be_read(version):
    assert not tells_progress(version)
