"""The project's own source as the tests of the project see it: files, syntax trees, imports. Nothing is executed."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("watch", "reflector", "cacher")
"""What is imported from outside; the layers, lowest first."""
CODE = (*PACKAGES, "scenarios", "benchmarks", "tests")
"""Every directory with Python in it."""

_NOT_OURS = {
    ".git",
    ".venv",
    "dist",
    "build",
    "__pycache__",
    ".hypothesis",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
}
_NOT_OURS.add(".import_linter_cache")


class Import(NamedTuple):
    """One imported module, with every name under its full path: `from trio import Event` is `trio.Event`."""

    line: int
    module: str
    for_types_only: bool
    """It stands under `if TYPE_CHECKING`, so it does not happen when the program runs."""


def text_files() -> list[Path]:
    """Every file of the project that is text, in order of path."""
    found = [
        path
        for path in sorted(ROOT.rglob("*"))
        if path.is_file() and not _NOT_OURS.intersection(path.relative_to(ROOT).parts)
    ]
    return [path for path in found if b"\0" not in path.read_bytes()[:4096]]


def python_files(*directories: str) -> list[str]:
    """The Python files below `directories`, as paths from the top of the project, in order."""
    return [name(path) for directory in directories for path in sorted((ROOT / directory).rglob("*.py"))]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@functools.cache
def tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=file)


def module_of(file: str) -> str:
    """`watch/_event.py` is `watch._event`; a package's `__init__.py` is the package."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(module: ast.Module, file: str) -> Iterator[Import]:
    """All imports in a file, wherever they stand, relative ones made absolute."""
    package = module_of(file).split(".")
    if not file.endswith("/__init__.py"):
        package.pop()
    guarded = {id(inner) for node in ast.walk(module) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, id(node) in guarded)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(node.lineno, f"{base}.{alias.name}", id(node) in guarded)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def is_standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names
