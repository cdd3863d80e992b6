"""docs/_site/docstrings.py: what we write in docstrings is what a reader of the reference sees."""

from __future__ import annotations

from textwrap import dedent

import pytest

from docs._site.docstrings import restructured


def told(text: str) -> str:
    return "\n".join(restructured(dedent(text).strip("\n").split("\n"))).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Only `code` counts, not *args or a|b or __init__ or name_ .",
            "Only ``code`` counts, not \\*args or a\\|b or __init_\\_ or name\\_ .",
        ),
        ("The `Object`s of it.", "The ``Object``\\ s of it."),
        ("Cost: O(1) an event.", ":Cost: O(1) an event."),
        ("Source: kubernetes, a file\nand a function.", ":Source: kubernetes, a file and a function."),
        (">>> 1 + 1\n2", ">>> 1 + 1\n2"),
        ("- one,\n  and more\n- two", "- one,\n  and more\n- two"),
        ("One of\n- one\n- two", "One of\n\n- one\n- two"),
        ("Not a section: as it is.", "Not a section: as it is."),
    ],
)
def test_a_paragraph_is_told_as_it_was_meant(text, expected):
    assert told(text) == expected


def test_arguments_and_errors_are_lists_of_names():
    text = """
    Args:
        first, second: two of them,
            on two lines.
        third: one.
    Raises:
        Expired: list again.
    Returns False where none is left.
    Cost: O(n)
    """
    assert told(text).split("\n") == [
        ":Args:",
        "    - ``first, second``: two of them, on two lines.",
        "    - ``third``: one.",
        "",
        ":Raises:",
        "    - ``Expired``: list again.",
        "",
        "Returns False where none is left.",
        "",
        ":Cost: O(n)",
    ]


@pytest.mark.parametrize("drawing", ["    a ──► b\n         └► c", "a   `b`\nc   d", "a → b → c\nand d"])
def test_a_drawing_stands_as_it_was_drawn(drawing):
    lines = told("Text above:\n\n" + drawing).split("\n")
    assert lines[:3] == ["Text above:", "", "::"]
    assert [line.removeprefix("    ") for line in lines[4:]] == drawing.split("\n")


def test_a_program_right_below_a_sentence_stands_as_it_was_written():
    assert told("As in\n    await *x*\nand on.") == "As in\n\n::\n\n    await *x*\n\nand on."
