"""The site of `make docs`, as far as it shows without being built: no page is forgotten, and nothing in it is fetched."""

from __future__ import annotations

import re

import pytest

from docs._site.links import OUT
from docs._site.offline import fetched
from tests import source

DOCS = source.ROOT / "docs"


def listed(page: str) -> list[str]:
    """The pages in a page's tables of contents."""
    found: list[str] = []
    for toctree in re.findall(
        r"^```\{toctree\}\n(.*?)^```$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    ):
        found += [line for line in toctree.splitlines() if line and not line.startswith(":")]
    return found


@pytest.mark.parametrize("folder", ["", "reference/"])
def test_the_table_of_contents_has_every_page_once(folder):
    pages = {f"{path.stem}" for path in (DOCS / folder).glob("*.md")} - {"index"}
    told = [name for name in listed(folder + "index.md") if name != "reference/index"]
    assert sorted(told) == sorted(pages), "docs/index.md lists each page of docs/ under one of its captions"


def test_the_reference_has_every_public_package_once():
    names = (source.ROOT / "tests/public_names.txt").read_text("utf-8").split()
    offered = [
        package
        for page in sorted((DOCS / "reference").glob("*.md"))
        for package in re.findall(r"^```\{offers\} (\S+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    ]
    assert sorted(offered) == sorted({name.rpartition(".")[0] for name in names})


@pytest.mark.parametrize(
    ("page", "addresses"),
    [
        ('<script src="_static/x.js"></script><img src="../a.png"><link rel="stylesheet" href="b.css">', []),
        ('<a href="https://example.com">there</a><link rel="canonical" href="https://example.com">', []),
        ('<script async src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ("<img alt=x src=//cdn.example/a.png>", ["//cdn.example/a.png"]),
        ('<link href="https://fonts.example/f.css" rel="stylesheet">', ["https://fonts.example/f.css"]),
        ('@import "https://fonts.example/f.css";', ["https://fonts.example/f.css"]),
        ("a { background: url(https://cdn.example/b.png) }", ["https://cdn.example/b.png"]),
        ("a { background: url('data:image/png;base64,AAAA') }", []),
    ],
)
def test_what_a_page_loads_by_itself_is_found_and_what_a_reader_follows_is_not(page, addresses):
    assert fetched(page) == addresses


def test_a_link_out_of_the_documents_hands_the_file_over():
    text = "see [it](../scenarios/x.py), [here](y.md#a), ![picture](../z.png), [part](../README.md#part)"
    handed = "see <it|../scenarios/x.py>, [here](y.md#a), ![picture](../z.png), <part|../README.md>"
    assert OUT.sub(r"<\g<text>|\g<path>>", text) == handed
