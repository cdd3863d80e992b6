"""docs/serve.md is true: what it types into kubectl prints what it says."""

from __future__ import annotations

import re
import shlex

import pytest

from tests import source

pytestmark = pytest.mark.slow

PAGE = source.ROOT / "docs" / "serve.md"


def session() -> list[tuple[str, str]]:
    """The commands of kubectl in the page, and what each prints."""
    found: list[tuple[str, str]] = []
    for block in re.findall(
        r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    ):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, printed = command.partition("\n")
            if line.startswith("kubectl "):
                found.append((line, printed))
    return found


def test_the_session_of_the_page_goes_as_it_says(kubectl):
    commands = session()
    assert len(commands) >= 12
    for line, printed in commands:
        said = kubectl(*shlex.split(line)[1:])
        pattern = ".*".join(map(re.escape, printed.rstrip("\n").split("…")))
        assert re.fullmatch(pattern, said.rstrip("\n")), f"{line} printed {said!r}, and not {printed!r}"
