"""The site opens from disk: a page that would fetch a script, a style, a font or a picture from a network is a warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests of this file do without Sphinx
    from sphinx.application import Sphinx

_FETCHES = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=[\"']?((?:https?:)?//[^\"' >]+)"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|icon|prefetch|preconnect))[^>]*?\bhref=[\"']?((?:https?:)?//[^\"' >]+)"
    r"|@import\s+(?:url\()?[\"']?((?:https?:)?//[^\"');]+)"
    r"|\burl\([\"']?((?:https?:)?//[^\"')]+)",
    flags=re.IGNORECASE,
)


def fetched(text: str) -> list[str]:
    """The addresses that a page or a style loads by itself; links that a reader follows are none of them.

    >>> fetched('<script src="https://cdn.example/x.js"></script><a href="https://example.com">')
    ['https://cdn.example/x.js']
    """
    return [next(filter(None, match.groups())) for match in _FETCHES.finditer(text)]


def nothing_is_fetched(app: Sphinx, error: Exception | None) -> None:
    """Sphinx's hook after a build."""
    if error is not None or app.builder.format != "html":
        return
    from sphinx.util import logging

    log = logging.getLogger(__name__)
    for path in sorted(Path(app.outdir).rglob("*")):
        if path.suffix in {".html", ".css"}:
            for address in fetched(path.read_text(encoding="utf-8")):
                log.warning("%s fetches %s", path.relative_to(app.outdir), address)
