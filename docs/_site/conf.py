"""How Sphinx builds the documentation: `make docs`. The pages are the Markdown files in docs/. Nothing is fetched, neither while
it is built nor when it is read."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from docs._site.links import handed_over
from docs._site.offline import nothing_is_fetched
from docs._site.reference import Offers, nothing_is_missing, plain_docstring

project = "watchcache"
project_copyright = "the watchcache authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_site"]
templates_path: list[str] = []
html_theme = "furo"
html_title = "watchcache"
html_copy_source = False

myst_heading_anchors = 3
autodoc_default_options = {"members": True, "undoc-members": False}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # with them the signatures are longer than what is said of them


def setup(app: Sphinx) -> None:
    """What is ours in it."""
    app.add_directive("offers", Offers)
    app.connect("source-read", handed_over)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("env-updated", nothing_is_missing)
    app.connect("build-finished", nothing_is_fetched)
