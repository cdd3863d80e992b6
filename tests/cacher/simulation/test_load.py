"""cacher.simulation._load: scenarios of one's own are found again by what their tapes say."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cacher.simulation import ScenarioNotFound, Tape, draw, load_scenario, play, scenario_of
from cacher.simulation._load import scenario_folder

EXAMPLE = Path(__file__).parents[3] / "examples" / "test_flock.py"
BIRDS = "test_a_flock_never_has_more_birds_than_it_wants"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A scenario of somebody's own, called mine, in mine.py of the current directory."""
    monkeypatch.chdir(tmp_path)
    shipped = (scenario_folder() / "missed_edge.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(shipped.replace('name="missed-edge"', 'name="mine"'))
    return load_scenario("mine.py")


def test_a_tape_says_where_its_scenario_is(own):
    tape = Tape.from_json(draw(own, 2, "buggy").to_json())
    assert (tape.scenario, tape.place) == ("mine", "mine.py")
    assert scenario_of(tape).name == "mine"
    assert play(scenario_of(tape), tape).broken == play(own, tape).broken


def test_a_tape_of_a_shipped_one_says_its_name_alone():
    tape = draw(load_scenario("missed-edge"), 2, "buggy")
    assert tape.place == ""
    assert '"place"' not in tape.to_json()
    assert scenario_of(tape).name == "missed-edge"


def test_a_tape_whose_scenario_is_elsewhere_says_where(own, tmp_path_factory, monkeypatch):
    tape = draw(own, 2, "buggy")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    with pytest.raises(ScenarioNotFound, match=r"no file mine\.py \(the tape is of mine\.py: go to where that is\)"):
        scenario_of(tape)


def test_a_simulated_test_is_a_scenario():
    scenario = load_scenario(f"{EXAMPLE}:{BIRDS}")
    assert (scenario.name, scenario.variants, scenario.place) == (BIRDS, ("test",), f"{EXAMPLE}:{BIRDS}")
    assert scenario_of(draw(scenario, 1, "test")) == scenario


def test_a_file_may_import_what_stands_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text(
        "from cacher.simulation import load_scenario\nfound = load_scenario('missed-edge')\n"
    )
    (tmp_path / "its_own.py").write_text("from beside_it import found as SCENARIO\n")
    assert load_scenario(str(tmp_path / "its_own.py")).name == "missed-edge"


@pytest.mark.parametrize(
    ("content", "path", "said"),
    [
        (None, "none.py", "there is no file"),
        (None, "folder/none", "there is no file"),
        ("import nowhere_at_all", "bad.py", "bad.py cannot be imported: No module named 'nowhere_at_all'"),
        ("def", "worse.py", "worse.py cannot be imported: invalid syntax"),
        ("SCENARIO = 1", "number.py", "name what is one after a colon"),
        ("", "empty.py:test_it", "empty.py:test_it has no scenario called test_it"),
    ],
)
def test_a_file_without_a_scenario_is_told(tmp_path, monkeypatch, content, path, said):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(path.partition(":")[0]).write_text(content)
    with pytest.raises(ScenarioNotFound) as refused:
        load_scenario(path)
    assert said in str(refused.value)


def test_a_file_that_is_mended_is_read_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mended.py").write_text("import nowhere_at_all")
    with pytest.raises(ScenarioNotFound):
        load_scenario("mended.py")
    Path("mended.py").write_text(
        "from cacher.simulation import load_scenario\nSCENARIO = load_scenario('missed-edge')\n"
    )
    assert load_scenario("mended.py").name == "missed-edge"
    assert msgspec.structs.replace(load_scenario("mended.py"), place="") == load_scenario("missed-edge")
