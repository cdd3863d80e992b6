"""Regular expressions as the API has them: RE2, which never takes more than linear time, and whose syntax Python's `re` does not
share (no look-around and no back-references; `\\pL`, `\\z` and `(?i)` in the middle).

Pure. The one door to google-re2, which is the library that Go's regexp was made after.
"""

from __future__ import annotations

import functools
from typing import Protocol, cast

import re2

PATTERNS_MAX = 4096
"""Compiled patterns that are kept; above it the one used longest ago is compiled again when it is needed."""


class Match(Protocol):
    """Where a pattern was found."""

    def group(self) -> str: ...
    def end(self) -> int: ...
    def start(self) -> int: ...


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str, pos: int = 0) -> Match | None: ...


class BadPattern(Exception):
    """The text is no regular expression; the message says why, as Go does. Whoever wrote it must mend it."""


def _options() -> object:
    options = re2.Options()
    options.log_errors = False
    return options


_OPTIONS = _options()


@functools.lru_cache(maxsize=PATTERNS_MAX)
def compiled(pattern: str) -> Pattern:
    """The pattern, ready to search with.

    Raises:
        BadPattern: it is not one.
    """
    try:
        return cast(Pattern, re2.compile(pattern, _OPTIONS))
    except (re2.error, UnicodeEncodeError) as error:
        raise BadPattern(_as_go_says(error, pattern)) from None


def pattern_problem(pattern: str) -> str | None:
    """Why this is no regular expression; None if it is one."""
    try:
        compiled(pattern)
    except BadPattern as error:
        return str(error)
    return None


_GO_WORDS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "invalid character class range": "invalid character class range",
    "invalid escape sequence": "invalid escape sequence",
    "invalid UTF-8": "invalid UTF-8",
}


def _as_go_says(error: Exception, pattern: str) -> str:
    said = error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
    word, _, where = said.partition(": ")
    if word.startswith("trailing"):
        return f"error parsing regexp: {_GO_WORDS['trailing ' + chr(92)]}: ``"
    if where.startswith("(?<"):  # a group's name to Go, which has no look-behind
        word, where = "invalid named capture group", pattern[pattern.index(where) :]
    shown = pattern if word in ("missing )", "unexpected )") else where
    return f"error parsing regexp: {_GO_WORDS.get(word, word)}: `{shown}`"
