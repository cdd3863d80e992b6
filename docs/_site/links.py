"""Links that leave docs/: on GitHub they lead to a file of the repository; in the site they hand the file over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests of this file do without Sphinx
    from sphinx.application import Sphinx

OUT = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<path>\.\./[^)#]+)(?:#[^)]*)?\)")
"""A link to a file above docs/; pictures are none."""


def handed_over(app: Sphinx, document: str, source: list[str]) -> None:
    """Sphinx's hook before a page is read: `[text](../file)` becomes a download."""
    source[0] = OUT.sub(r"{download}`\g<text> <\g<path>>`", source[0])
