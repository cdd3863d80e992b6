"""The command: what it accepts, what it prints where, and the exit code of every ending."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cacher import _cli
from cacher.simulation import TraceRun, Verdict
from cacher.simulation.judges import Violation
from tests.cacher.simulation.busy_trace import busy_files, write_busy_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def busy(tmp_path):
    return str(write_busy_trace(tmp_path))


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error; argparse leaves by SystemExit, as a command does."""
    try:
        code = _cli.main(arguments)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_run_without_a_fault_ends_with_0_and_a_report_on_standard_output(capsys, busy):
    code, out, err = run(capsys, "trace", busy, "--clients", "12")
    assert code == 0, out
    assert "12 clients" in out
    assert out.splitlines()[-2].startswith("digest: ")
    assert out.splitlines()[-1].startswith("OK: 9 guarantees")
    assert "events played" in err
    assert "digest" not in err


@pytest.mark.parametrize(
    ("arguments", "uncached"),
    [
        (["--watch-cache-sizes", "pods=0,nodes=100"], {"pods"}),
        (["--watch-cache-sizes", "pods#0,widgets.example.com#0"], {"pods"}),
        (["--watch-cache", "false"], None),
        (["--watch-cache", "true"], set()),
    ],
)
def test_caches_are_switched_off_by_the_flags_of_a_kube_apiserver(capsys, busy, arguments, uncached):
    code, out, _ = run(capsys, "trace", busy, "--clients", "5", "--json", *arguments)
    assert code == 0
    caches = json.loads(out)["caches"]
    found = {facts["resource"] for facts in caches if not facts["ring_capacity"]}
    assert found == ({facts["resource"] for facts in caches} if uncached is None else uncached)


def test_a_trace_is_played_into_a_directory_once(capsys, busy, tmp_path):
    code, out, _ = run(capsys, "trace", busy, "--clients", "5", "--data-dir", str(tmp_path / "data"))
    assert code == 0
    assert "digest: not repeatable" in out
    code, _, err = run(capsys, "trace", busy, "--clients", "5", "--data-dir", str(tmp_path / "data"))
    assert code == 64
    assert "holds a store already" in err


def test_json_is_all_there_is_on_standard_output(capsys, busy):
    code, out, _ = run(capsys, "trace", busy, "--clients", "12", "--seed", "5", "--json")
    document = json.loads(out)
    assert code == document["exit_code"] == 0
    assert (document["clients"], document["seed"], document["trace"]) == (12, 5, "busy")
    assert document["events_played"] == document["events"] == 50


def test_a_broken_guarantee_ends_with_1_and_the_command_that_repeats_it(capsys, busy, monkeypatch):
    violation = Violation("client-3", 105, 1.5, "broke Ordered - never falls: 104 after 105")
    verdict = Verdict("Ordered", "never falls", 10, 1, (violation,))
    monkeypatch.setattr("cacher.simulation._trace_run.judge_all", lambda history: (verdict,))
    code, out, _ = run(capsys, "trace", busy, "--clients", "5", "--seed", "3")
    assert code == 1
    assert out.splitlines()[0] == f"replay: watchcache trace {busy} --clients 5 --seed 3"
    assert "104 after 105" in out.splitlines()[1]
    assert out.splitlines()[-1] == "BROKEN: 1 guarantees, 10 checks, 1 broken"


def test_ctrl_c_ends_with_130_and_the_report_so_far(capsys, busy, monkeypatch):
    def interrupt(self, step):
        if step.revision == 110:
            raise KeyboardInterrupt

    monkeypatch.setattr(TraceRun, "_after_step", interrupt)
    code, out, _ = run(capsys, "trace", busy, "--clients", "5")
    assert code == 130
    assert "INTERRUPTED at" in out.splitlines()[-1]


def test_ctrl_c_while_the_trace_is_read_has_nothing_to_report(capsys, busy, monkeypatch):
    def interrupt(prefix):
        raise KeyboardInterrupt

    monkeypatch.setattr(_cli, "load_trace", interrupt)
    assert run(capsys, "trace", busy) == (130, "", "watchcache: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required"),
        (["dance"], "invalid choice: 'dance'"),
        (["trace"], "NAME-OR-PATH"),
        (["trace", "rollout", "--clients", "-1"], "'-1' is not a whole number from 0 to 1000000"),
        (["trace", "rollout", "--clients", "1000001"], "'1000001' is not a whole number from 0 to 1000000"),
        (["trace", "rollout", "--clients", "ten"], "'ten' is not a whole number"),
        (["trace", "rollout", "--clients", "9" * 5000], "is not a whole number"),
        (["trace", "rollout", "--seed", "1.5"], "'1.5' is not a whole number"),
        (["trace", "rollout", "--pace", "0"], "'0' is not max, real, or a positive factor such as 10"),
        (["trace", "rollout", "--pace", "-2"], "'-2'"),
        (["trace", "rollout", "--pace", "nan"], "'nan' is not max"),
        (["trace", "rollout", "--pace", "inf"], "'inf' is not max"),
        (["trace", "rollout", "--pace", "fast"], "'fast' is not max"),
        (["trace", "rollout", "--watch-cache", "maybe"], "'maybe' is neither true nor false"),
        (["trace", "rollout", "--watch-cache-sizes", "events"], "'events' is not RESOURCE=N, such as events=0"),
        (["trace", "rollout", "--watch-cache-sizes", "pods=0,events=-1"], "'events=-1' is not RESOURCE=N"),
        (["trace", "rollout", "--watch-cache-sizes", "evnets=0"], "'evnets' is no resource"),
        (
            ["trace", "rollout", "--etcd", "http://127.0.0.1:1", "--data-dir", "x"],
            "--etcd and --data-dir exclude each other",
        ),
        (["trace", "rollout", "--etcd", " , "], "names no endpoint"),
        (["trace", "rollout", "--etcd", "gopher://x"], "gopher"),
        (["trace", "rollout", "--etcd", "http://127.0.0.1:1"], "no endpoint of etcd answers"),
        (["trace", "rollout", "--etcd-user", "me"], "--etcd-user is for a real etcd"),
        (["trace", "rollout", "--etcd-prefix", "registry"], "write it as /registry"),
        (["trace", "rollout", "--etcd", "http://127.0.0.1:1", "--etcd-password-file", "/nowhere"], "/nowhere"),
        (["trace", "rollout", "--etcd", "http://127.0.0.1:1", "--etcd-user", "me"], "give both"),
        (["trace", "rollout", "--loud"], "unrecognized arguments: --loud"),
        (["trace", "rolout"], "did you mean rollout? there is "),
        (["trace", "nowhere/rollout"], "no trace here"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_64_and_says_what_would_be_right(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (64, "")
    assert said in err


def test_a_damaged_trace_ends_with_64_and_names_file_and_line(capsys, tmp_path):
    files = busy_files()
    files.events[7]["rev"] = "seven"
    code, out, err = run(capsys, "trace", str(files.write(tmp_path)))
    assert (code, out) == (64, "")
    assert "small.etcd.jsonl.gz:8: " in err
    assert "Traceback" not in err


def test_a_store_that_does_not_follow_the_trace_ends_with_1_and_names_file_and_line(capsys, tmp_path):
    files = busy_files()
    files.events[-1]["version"] = 99
    code, out, err = run(capsys, "trace", str(files.write(tmp_path)), "--clients", "3")
    assert (code, out) == (1, "")
    assert "small.etcd.jsonl.gz:50: " in err


@pytest.mark.parametrize(
    ("text", "speed"), [("max", None), ("real", 1.0), ("1", 1.0), ("0.5", 0.5), ("10", 10.0), ("1e3", 1000.0)]
)
def test_a_pace_is_max_real_or_a_factor(text, speed):
    assert _cli._pace(text) == speed


def test_help_lists_the_commands_and_the_exit_codes(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "trace" in out
    assert "130 interrupted" in out
    assert "--verify" in run(capsys, "trace", "--help")[1]


def test_the_version_is_that_of_the_installed_package(capsys, monkeypatch):
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("watchcache ")

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert run(capsys, "--version")[1] == "watchcache (not installed)\n"


# ---- as a process ----------------------------------------------------------------------------------------------------


def process(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    command = [sys.executable, "-m", "cacher", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.determinism
def test_the_same_seed_prints_the_same_digest_in_another_process_and_under_another_hash_seed(busy):
    outputs = [
        process("trace", busy, "--clients", "40", "--seed", "9", PYTHONHASHSEED=seed).stdout for seed in ("1", "2")
    ]
    digests = [line for output in outputs for line in output.splitlines() if line.startswith("digest: ")]
    assert len(digests) == 2
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_traceback(busy):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "cacher", "trace", busy, "--clients", "3"]
    done = subprocess.run(
        command, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.slow
def test_a_real_ctrl_c_ends_the_process_with_the_report_so_far(busy):
    """At the real pace the trace takes a minute; the signal comes as soon as it plays."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    heard = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-m", "cacher", "trace", busy, "--clients", "5", "--pace", "real"]
    command = [sys.executable, "-c", heard, *command]  # whoever runs the tests in the background has it ignored
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        assert "playing" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "INTERRUPTED at" in out
    assert "Traceback" not in err
