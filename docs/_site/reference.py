"""The reference: a directive that lists what a package offers, and a check that nothing public is missing.

A name that several packages offer is described in one place, the package that it comes from; the others point there.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
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
VALUE_MAX = 100
"""Characters of a value that are shown; what is longer says less than its name."""
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
    origin = definition(package, name)[0]
    near = [other for other in holders if origin == other or origin.startswith(other + "._")]
    return max(near, key=len) if near else holders[0]


def definition(package: str, name: str) -> tuple[str, str]:
    """The module in which a name is made, and what is written below it there, of a value that has no docstring itself."""
    module = importlib.import_module(package)
    body = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package_of(module))
            return definition(base, next(alias.name for alias in node.names if (alias.asname or alias.name) == name))
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            said = following.value if isinstance(following, ast.Expr) else None
            is_text = isinstance(said, ast.Constant) and isinstance(said.value, str)
            return package, inspect.cleandoc(said.value) if is_text else ""  # type: ignore[union-attr]
    return package, ""


def package_of(module: types.ModuleType) -> str:
    """What its relative imports are relative to."""
    return module.__spec__.parent or "" if module.__spec__ is not None else ""


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
        if where != package:
            yield from (f"``{name}`` is :py:obj:`{where}.{name}`.", "")
        elif kind := _kind(package, name):
            options = (
                ("    :show-inheritance:",) if kind == "autoexception" else ()
            )  # whose kind it is, is what one catches
            yield from (f".. {kind}:: {package}.{name}", *options, "")
        else:
            yield from _value(package, name)


def _value(package: str, name: str) -> Iterator[str]:
    """A constant, or a type by another name: what it is, where that is short, and what is written below it."""
    shown = repr(getattr(importlib.import_module(package), name))
    yield from (f".. py:data:: {name}", f"    :module: {package}")
    if len(shown) <= VALUE_MAX and " at 0x" not in shown:
        yield f"    :value: {shown}"
    yield ""
    yield from ("    " + line for line in restructured(definition(package, name)[1].splitlines()))
    yield ""


def _import_for_types(package: str) -> None:
    """Do what stands under `if TYPE_CHECKING` in the modules that a package's names come from: signatures speak of it."""
    for name in offered()[package]:
        module = sys.modules.get(getattr(getattr(importlib.import_module(package), name), "__module__", None) or "")
        if (file := getattr(module, "__file__", None) or "").startswith(str(NAMES.parents[1])):
            for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                    exec(compile(ast.Module(node.body, []), file, "exec"), vars(module))


def _kind(package: str, name: str) -> str:
    """autodoc's directive for a class or function; empty: it is a value."""
    thing = getattr(importlib.import_module(package), name)
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return "autoexception"
    if isinstance(thing, type):
        return "autoclass"
    return "autofunction" if inspect.isroutine(thing) else ""


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
