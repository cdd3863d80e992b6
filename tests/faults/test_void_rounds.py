"""A round on a cluster that came apart by itself is played again where etcd is known for that, and a failure where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.etcd_binaries import EtcdBinary
from tests.faults import test_faults
from tests.faults.rounds import Recovery

OLD, NEW = EtcdBinary("etcd", "3.5.1"), EtcdBinary("etcd", "3.6.13")


class Apart:
    """A cluster whose members disagree, each time that one is opened until `whole` of them were."""

    endpoints = ("http://127.0.0.1:1",)

    def __init__(self, says: str) -> None:
        self._says = says

    async def disagreement(self) -> str:
        return self._says


@pytest.fixture
def told(monkeypatch, tmp_path):
    """A function: what is told of one round of such clusters, opened one after the other."""

    def play(binary: EtcdBinary, *clusters: str, fails: bool = False) -> list[str]:
        left = list(clusters)

        @asynccontextmanager
        async def opened(*_: object, **__: object) -> AsyncIterator[Apart]:
            yield Apart(left.pop(0))

        async def played(seed: int, *_: object, **__: Any) -> Recovery:
            assert not fails, "lost: w3"
            return Recovery(seed)

        monkeypatch.setattr(test_faults, "open_etcd_cluster", opened)
        monkeypatch.setattr(test_faults, "run_round", played)
        monkeypatch.setattr(test_faults, "ROUNDS", 1)
        monkeypatch.setattr(test_faults, "SEED", 7)
        lines: list[str] = []
        trio.run(test_faults.play_cluster, binary, tmp_path, "the leader is killed", lines.append)
        return lines

    return play


def test_an_etcd_that_is_known_for_it_has_its_round_again_and_that_is_told(told):
    lines = told(OLD, "member-0 at revision 2", "")

    assert lines[1].startswith("seed 7: void, etcd-3.5.1 lost writes itself")
    assert lines[-1].startswith("seed 7: 0 operations")
    assert lines[-1].endswith("played again: 1 times etcd-3.5.1 lost writes itself")


def test_it_is_not_played_for_ever(told):
    with pytest.raises(AssertionError, match="3 times in a row"):
        told(OLD, "a", "a", "a", "")


def test_any_other_etcd_may_not(told):
    with pytest.raises(AssertionError, match="seed 7: the members hold different things: member-0"):
        told(NEW, "member-0 at revision 2", "")


@pytest.mark.parametrize("binary", [OLD, NEW])
def test_a_failure_on_members_that_agree_is_a_failure(told, binary):
    with pytest.raises(AssertionError, match="lost: w3"):
        told(binary, "", fails=True)


def test_the_versions_that_are_known_for_it():
    versions = ("3.4.27", "3.5.0", "3.5.1", "3.5.2", "3.5.3", "3.6.13")
    lossy = [version for version in versions if EtcdBinary("etcd", version).loses_writes_when_killed]
    assert lossy == ["3.5.0", "3.5.1", "3.5.2"]
