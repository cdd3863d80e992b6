"""cacher._cli_reports: --html, --perfetto, --shiviz, and diff."""

from __future__ import annotations

import json

import pytest

from cacher._cli import main
from cacher.reports import read_page
from cacher.simulation import draw, load_scenario
from tests.cacher.simulation.busy_trace import write_busy_trace


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def page(tmp_path, name="report.html"):
    return read_page((tmp_path / name).read_text(encoding="utf-8"))


def test_a_run_leaves_one_report_of_both_variants_and_prints_what_it_prints_without(tmp_path, capsys):
    assert main(["run", "zombie-delete"]) == 0
    plain = capsys.readouterr().out
    assert main(["run", "zombie-delete", "--html", "report.html"]) == 0
    printed = capsys.readouterr()
    assert printed.out == plain
    assert printed.err == "watchcache: the report: report.html\n"
    reports = page(tmp_path).reports
    assert [(report.kind, report.is_ok) for report in reports] == [("run", False), ("run", True)]
    assert reports[0].replay == "watchcache run zombie-delete --seed 1 --variant buggy"
    assert reports[0].breaches[0].guarantee == "NoStaleDestruction"
    assert "which write" in reports[0].story


def test_the_command_in_a_report_plays_the_same_again(tmp_path, capsys):
    main(["run", "missed-edge", "--seed", "3", "--variant", "buggy", "--html", "report.html"])
    (report,) = page(tmp_path).reports
    capsys.readouterr()
    assert main(report.replay.split()[1:]) == 1
    assert dict(report.facts)["digest"] in capsys.readouterr().out


def test_a_hunts_report_has_the_find_beside_the_smallest_script(tmp_path, capsys):
    assert main(["hunt", "missed-edge", "--seeds", "100", "--jobs", "1", "--html", "report.html"]) == 1
    tape = capsys.readouterr().out.splitlines()[0].removeprefix("watchcache replay ")
    (report,) = page(tmp_path).reports
    assert report.kind == "hunt"
    assert report.verdict.startswith("found: Checks after ")
    assert report.replay == f"watchcache replay {tape}"
    assert report.script_title.startswith("The smallest script that was found")
    assert report.tables[0].title == "What was met in all seeds"
    assert report.timeline is not None

    assert main(["replay", tape, "--html", "replay.html"]) == 1
    assert main(["explain", tape, "--html", "explain.html"]) == 1
    assert main(["shrink", tape, "--out", "small.json", "--html", "shrink.html"]) == 1
    kinds = [page(tmp_path, f"{name}.html").reports[0].kind for name in ("replay", "explain", "shrink")]
    assert kinds == ["replay", "explain", "shrink"]
    small = page(tmp_path, "shrink.html").reports[0]
    assert small.replay == "watchcache replay small.json"
    assert small.script == report.script
    assert len(small.script) < len(page(tmp_path, "replay.html").reports[0].script)


def test_a_clean_hunt_has_a_report_of_figures(tmp_path):
    assert (
        main(["hunt", "missed-edge", "--variant", "fixed", "--seeds", "2", "--jobs", "1", "--html", "report.html"]) == 0
    )
    (report,) = page(tmp_path).reports
    assert report.verdict.startswith("clean: 2 seeds")
    assert report.timeline is None


def test_a_traces_report_has_all_clients_and_stands_beside_its_json(tmp_path, capsys):
    busy = str(write_busy_trace(tmp_path))
    assert main(["trace", busy, "--clients", "20", "--json", "--html", "report.html", "--perfetto", "t.json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (report,) = page(tmp_path).reports
    assert (report.kind, report.verdict) == ("trace", document["verdict"])
    assert sum(lane.kind == "client" for lane in report.timeline.lanes) == 20
    assert report.timeline.lanes_left_out_count == 0
    deliveries = next(plot for plot in report.timeline.plots if plot.title == "deliveries")
    assert sum(deliveries.lines[0].values) == document["deliveries"]
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


def printed_page(capsys):
    """What was printed, read as a page: it is nothing else."""
    return read_page(capsys.readouterr().out)


def test_o_html_prints_the_report_and_nothing_else(tmp_path, capsys):
    assert main(["run", "missed-edge", "-o", "html"]) == 0
    assert [report.kind for report in printed_page(capsys).reports] == ["run", "run"]
    assert main(["hunt", "missed-edge", "--seeds", "100", "--jobs", "1", "-o", "html", "--html", "same.html"]) == 1
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "same.html").read_text() + "\n"
    (tape,) = map(str, (tmp_path / ".watchcache").glob("*.json"))
    for command, code in (("replay", 1), ("explain", 1), ("shrink", 1)):
        assert main([command, tape, "-o", "html"]) == code
        assert printed_page(capsys).reports[0].kind == command
    assert main(["diff", "same.html", tape, "-o", "html"]) == 1
    assert printed_page(capsys).comparison is not None
    assert main(["trace", str(write_busy_trace(tmp_path)), "--clients", "2", "-o", "html"]) == 0
    assert printed_page(capsys).reports[0].kind == "trace"


def test_o_json_prints_one_document_and_nothing_else(tmp_path, capsys):
    assert main(["hunt", "missed-edge", "--seeds", "100", "--jobs", "1", "-o", "json"]) == 1
    tape = json.loads(capsys.readouterr().out)["tape"]
    told = {}
    for command in ("replay", "explain", "shrink"):
        assert main([command, tape, "-o", "json"]) == 1
        told[command] = json.loads(capsys.readouterr().out)
    assert told["replay"] == told["explain"]
    assert told["shrink"]["broken"] == told["replay"]["broken"]
    assert told["shrink"]["after"] < told["shrink"]["before"]
    assert main(["diff", tape, told["shrink"]["tape"], "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["differences"]


def test_o_wide_tells_what_was_met(capsys):
    main(["run", "missed-edge", "--variant", "fixed"])
    assert "met: " not in capsys.readouterr().out
    main(["run", "missed-edge", "--variant", "fixed", "-o", "wide"])
    assert "met: " in capsys.readouterr().out


def test_the_other_viewers_get_their_files(tmp_path, capsys):
    main(["run", "zombie-delete", "--perfetto", "trace.json", "--shiviz", "log.txt"])
    assert "for ShiViz: zombie-delete, buggy, seed 1: log.txt" in capsys.readouterr().err
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert {event["pid"] for event in trace["traceEvents"]} == {1, 2}
    assert (tmp_path / "log.txt").read_text().startswith("store {")


def test_a_report_that_cannot_be_written_is_refused_before_the_run(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "zombie-delete", "--html", "nowhere/report.html"])
    assert ended.value.code == 64
    printed = capsys.readouterr()
    assert "name a file in a directory that exists" in printed.err
    assert printed.out == ""


# ---- diff ----------------------------------------------------------------------------------------------------------------


def test_two_runs_of_one_report_are_compared(tmp_path, capsys):
    main(["run", "zombie-delete", "--html", "report.html"])
    capsys.readouterr()
    assert main(["diff", "report.html", "report.html#2", "--html", "difference.html"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["A  report.html", "B  report.html#2"]
    assert lines[lines.index("verdict") + 1].endswith("broken: NoStaleDestruction")
    document = page(tmp_path, "difference.html")
    assert [difference.what for difference in document.comparison.differences][:1] == ["variant"]
    assert len(document.reports) == 2


def test_a_report_is_compared_with_a_tape_and_is_the_same_as_its_own(tmp_path, capsys):
    tape = draw(load_scenario("zombie-delete"), 1, "buggy", hunting=False)
    (tmp_path / "tape.json").write_text(tape.to_json())
    main(["run", "zombie-delete", "--html", "report.html"])
    capsys.readouterr()
    assert main(["diff", "report.html", "tape.json"]) == 0
    assert capsys.readouterr().out.startswith("the same: facts, script, verdict")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html></html>", "make one with --html FILE"),
        ("{}", "this is no tape"),
        ("nothing", "this is no tape"),
    ],
)
def test_what_is_neither_tape_nor_report_is_told_in_one_line(tmp_path, capsys, content, said):
    (tmp_path / "file").write_text(content)
    assert main(["diff", "file", "file"]) == 64
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_run_that_a_report_does_not_have_is_told(capsys):
    main(["run", "zombie-delete", "--html", "report.html"])
    capsys.readouterr()
    assert main(["diff", "report.html#3", "report.html"]) == 64
    assert "report.html has 2 runs, and no number 3" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told(capsys):
    assert main(["diff", "a.html", "b.html"]) == 64
    assert "a.html" in capsys.readouterr().err
