"""cacher._doctor: what is looked at, and what to do where it is not well."""

from __future__ import annotations

import json
import socket

import pytest

from cacher import _cli, _doctor
from cacher._doctor import (
    Finding,
    canary,
    canary_finding,
    etcd_finding,
    open_files_finding,
    port_finding,
    python_finding,
    requirement_finding,
)


@pytest.mark.parametrize(
    ("finding", "mark", "cure"),
    [
        (python_finding((3, 10, 2), "cpython"), "fail", "install Python 3.11"),
        (python_finding((3, 12, 0), "pypy"), "warn", "CPython alone"),
        (python_finding((3, 11, 0), "cpython"), "ok", ""),
        (requirement_finding("trio>=0.30", lambda _: None), "fail", "pip install 'trio>=0.30'"),
        (requirement_finding("trio>=0.30", lambda _: "0.29.9"), "fail", "pip install 'trio>=0.30'"),
        (requirement_finding("trio>=0.30", lambda _: "0.30"), "ok", ""),
        (requirement_finding("etcd3<0.13,>=0.12", lambda _: "0.13.0"), "fail", "pip install"),
        (requirement_finding("etcd3<0.13,>=0.12", lambda _: "0.12.0"), "ok", ""),
        (etcd_finding("", ""), "warn", "embedded one needs none"),
        (etcd_finding("/x", "nonsense"), "warn", "another one"),
        (etcd_finding("/x", "etcd Version: 3.3.9\n"), "warn", "3.4 or newer"),
        (etcd_finding("/x", "etcd Version: 3.6.1\n"), "ok", ""),
        (open_files_finding(1024), "warn", "ulimit -n"),
        (open_files_finding(-1), "ok", ""),
        (canary_finding("a", "b"), "fail", "constraints.txt"),
        (canary_finding("a", "a"), "ok", ""),
    ],
)
def test_what_is_not_well_has_its_cure(finding, mark, cure):
    assert finding.mark == mark
    assert cure in finding.cure
    assert finding.line().startswith(mark)


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert port_finding(taken.getsockname()[1]).mark == "warn"
    assert port_finding(0).mark == "ok"


def test_the_canary_is_the_same_twice():
    assert canary() == canary()


@pytest.mark.slow
def test_this_machine_is_well(capsys):
    assert _cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok    TLS on loopback: TLSv1.3") for line in lines)
    assert any(line.startswith("ok    determinism: ") for line in lines)
    assert any(line.startswith("ok    trio: ") for line in lines)


def test_a_failure_ends_with_1_and_a_warning_with_0(capsys, monkeypatch):
    found = [Finding("warn", "x", "odd", "mend it")]
    monkeypatch.setattr("cacher._cli_upkeep.findings", lambda: iter(found))
    assert _cli.main(["doctor"]) == 0
    found.append(Finding("fail", "y", "broken", "mend it"))
    assert _cli.main(["doctor", "-o", "json"]) == 1
    assert [one["mark"] for one in json.loads(capsys.readouterr().out.partition("\n")[2])] == ["warn", "fail"]


def test_tls_that_does_not_work_is_a_failure(monkeypatch):
    async def refused() -> str:
        raise OSError("no loopback")

    monkeypatch.setattr(_doctor, "_shake_hands", refused)
    assert _doctor._tls().mark == "fail"
