"""docs/serve.md and the README are true: what they type into kubectl prints what they say."""

from __future__ import annotations

import re
import shlex

import pytest

from tests import source

pytestmark = pytest.mark.slow

PAGES = {"docs/serve.md": 12, "README.md": 1}
"""How many commands are in each, at least."""


def session(page: str) -> list[tuple[str, str]]:
    """The commands of kubectl in a page, and what each prints."""
    found: list[tuple[str, str]] = []
    for block in re.findall(
        r"^```console\n(.*?)^```$", (source.ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    ):
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, printed = command.partition("\n")
            if line.startswith("kubectl "):
                found.append((line, printed))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_session_of_the_page_goes_as_it_says(kubectl, page):
    commands = session(page)
    assert len(commands) >= PAGES[page]
    for line, printed in commands:
        said = kubectl(*shlex.split(line)[1:])
        pattern = ".*".join(map(re.escape, printed.rstrip("\n").split("…")))
        assert re.fullmatch(pattern, said.rstrip("\n")), f"{line} printed {said!r}, and not {printed!r}"
