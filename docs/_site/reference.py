"""The reference: a directive that lists what a package offers, and a check that nothing public is missing.

A name that several packages offer is described in one place, the package that it comes from; the others point there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from .docstrings import restructured

NAMES = Path(__file__).resolve().parents[2] / "tests" / "public_names.txt"
_LOG = logging.getLogger(__name__)


def offered() -> dict[str, list[str]]:
    """The public names of each package, as they were agreed on."""
    found: dict[str, list[str]] = {}
    for line in NAMES.read_text(encoding="utf-8").split():
        package, _, name = line.rpartition(".")
        found.setdefault(package, []).append(name)
    return found


def home(package: str, name: str) -> str:
    """The package in which a name is described: the one that it comes from, among those that offer it."""
    thing = getattr(importlib.import_module(package), name)
    holders = [
        other
        for other, names in offered().items()
        if name in names and getattr(importlib.import_module(other), name) is thing
    ]
    origin = getattr(thing, "__module__", "") or ""
    near = [other for other in holders if origin == other or origin.startswith(other + "._")]
    return max(near, key=len) if near else holders[0]


class Offers(SphinxDirective):
    """`{offers} watch`: the package's docstring, and each of its names from its own docstring."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """What Sphinx puts in the directive's place."""
        package = self.arguments[0]
        _import_for_types(package)
        return self.parse_text_to_nodes("\n".join(["```{eval-rst}", *_described(package), "```"]))


def _described(package: str) -> Iterator[str]:
    yield from (f".. automodule:: {package}", "    :no-members:", "")
    for name in offered()[package]:
        where = home(package, name)
        if where == package:
            kind = _kind(package, name)
            options = (
                ("    :show-inheritance:",) if kind == "autoexception" else ()
            )  # whose kind it is, is what one catches
            yield from (f".. {kind}:: {package}.{name}", *options, "")
        else:
            yield from (f"``{name}`` is :py:obj:`{where}.{name}`.", "")


def _import_for_types(package: str) -> None:
    """Do what stands under `if TYPE_CHECKING` in the modules that a package's names come from: signatures speak of it."""
    for name in offered()[package]:
        module = sys.modules.get(getattr(getattr(importlib.import_module(package), name), "__module__", None) or "")
        if (file := getattr(module, "__file__", None) or "").startswith(str(NAMES.parents[1])):
            for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                    exec(compile(ast.Module(node.body, []), file, "exec"), vars(module))


def _kind(package: str, name: str) -> str:
    thing = getattr(importlib.import_module(package), name)
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return "autoexception"
    if isinstance(thing, type):
        return "autoclass"
    return "autofunction" if inspect.isroutine(thing) or isinstance(thing, types.FunctionType) else "autodata"


def plain_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """autodoc's hook: our docstrings, made ready for Sphinx."""
    lines[:] = restructured(lines)


def nothing_is_missing(app: Sphinx, environment: object) -> None:
    """A public name without an entry is a warning, which `make docs` takes for an error."""
    described = app.env.domains.python_domain.objects
    for package, names in offered().items():
        for name in names:
            if f"{home(package, name)}.{name}" not in described:
                _LOG.warning("%s.%s is public and not in the reference", package, name)
