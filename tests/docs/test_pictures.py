"""The pictures of the documents show what a run of the library comes to now, and each names the command that draws it."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from pathlib import Path

import pytest

from tests import source
from tests.docs.documents import DOCUMENTS, text_of
from tests.docs.picture_runs import RUNS

DOCS = source.ROOT / "docs"
COMMAND = r"`python -m (\S+) (?:--page )?([^`\s]+)`"


def shown() -> list[tuple[str, str, str]]:
    """Every picture in every document, with the paragraph below it."""
    return [
        (document, path, below)
        for document in DOCUMENTS
        for path, below in re.findall(
            r"^!\[[^\]]+\]\(([^)]+)\)\n\n(.+?)(?:\n\n|\Z)", text_of(document), flags=re.MULTILINE | re.DOTALL
        )
    ]


def pictures() -> list[Path]:
    return [path for path in sorted(DOCS.rglob("*")) if path.suffix in {".svg", ".png", ".jpg", ".gif"}]


def test_every_picture_is_shown_and_says_how_it_is_made():
    made: dict[Path, tuple[str, str]] = {}
    for document, path, below in shown():
        command = re.search(COMMAND, below)
        assert command, f"{document}: below {path} stands no command that makes it, as `python -m …`"
        made[(source.ROOT / document).parent.joinpath(path).resolve()] = (command[1], command[2])
    assert sorted(made) == pictures()
    assert text_count() == len(shown()), "a picture stands in a paragraph of its own"
    for picture, (module, name) in made.items():
        assert importlib.util.find_spec(module), f"there is no {module}"
        if module == "tests.docs.pictures":
            assert name in RUNS
            assert picture.name == f"{name}.svg"
        elif module == "benchmarks.beside":  # drawn from raw runs, together with its page
            assert (source.ROOT / name).is_file()
        else:
            assert source.ROOT / name == picture


def text_count() -> int:
    return sum(len(re.findall(r"!\[[^\]]*\]\(", text_of(document))) for document in DOCUMENTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_picture_shows_what_its_run_comes_to(name):
    """The data is in the picture. Where this fails and the run is right, draw it anew: `python -m tests.docs.pictures`."""
    picture = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    told = re.search(r"<dc:description>(.*?)</dc:description>", picture, flags=re.DOTALL)
    assert told is not None
    assert json.loads(html.unescape(told[1])) == json.loads(json.dumps(RUNS[name]()))


@pytest.mark.parametrize("name", RUNS)
def test_a_picture_is_drawn_from_the_data_in_it(name):
    """Letter by letter but for the numbers, which another matplotlib may place a little otherwise."""
    drawing = pytest.importorskip(
        "tests.docs.pictures", reason="matplotlib is of the extra `dev`", exc_type=ImportError
    )
    picture = (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8")
    assert without_numbers(drawing.draw(name, drawing.data_in(picture))) == without_numbers(picture)


def without_numbers(picture: str) -> str:
    return re.sub(r"-?\d+\.\d+|(?<=[#\"])[mp][0-9a-f]{10}", "0", picture)
