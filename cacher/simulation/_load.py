"""Finding a scenario: by the name of one that is shipped, by a file's path, by a module's name; of a tape, by what it says."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path

import msgspec

from ._scenario import Scenario
from ._tape import Tape


class ScenarioNotFound(LookupError):
    """There is no such scenario. The message says where it was looked for."""


def scenario_folder() -> Path:
    """Where shipped scenarios are: in the wheel beside this file, in a checkout at its top."""
    inside = Path(__file__).parent / "scenarios"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "scenarios"


def shipped_scenarios() -> tuple[str, ...]:
    """The names of the scenarios that come with this package, in order. Scripts that are none are left out."""
    files = sorted(scenario_folder().glob("*.py"))
    return tuple(file.stem.replace("_", "-") for file in files if "SCENARIO = Scenario(" in file.read_text("utf-8"))


def load_scenario(path: str) -> Scenario:
    """The scenario at `path`: "zombie-delete", "dir/mine.py", "package.module:NAME", "dir/test_mine.py:test_it".

    Without a name, SCENARIO. A test by `@simulate` is a scenario as well. A file may import what stands beside it.

    Raises:
        ScenarioNotFound: there is no such file or module, it cannot be imported, or nothing in it is a scenario.
    """
    where, _, name = path.partition(":")
    is_shipped = not (where.endswith(".py") or "/" in where or "." in where or where in sys.modules)
    if is_shipped:
        module = _load_file(scenario_folder() / f"{where.replace('-', '_')}.py")
    elif where.endswith(".py") or "/" in where:
        module = _load_own(Path(where))
    else:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ScenarioNotFound(f"there is no module {where}: {error}") from error
    found = getattr(module, name or "SCENARIO", None)
    found = getattr(found, "scenario", found)  # of a test by @simulate
    if not isinstance(found, Scenario):
        named = name or "SCENARIO: name what is one after a colon, as in test_mine.py:test_it"
        raise ScenarioNotFound(f"{path} has no scenario called {named}")
    return found if is_shipped else msgspec.structs.replace(found, place=path)


def scenario_of(tape: Tape) -> Scenario:
    """The scenario that a tape is of.

    Raises:
        ScenarioNotFound: it is not where it was when the tape was made; the message says where that was.
    """
    try:
        return load_scenario(tape.place or tape.scenario)
    except ScenarioNotFound as error:
        if not tape.place:
            raise
        raise ScenarioNotFound(f"{error} (the tape is of {tape.place}: go to where that is)") from error


def _load_own(file: Path) -> object:
    """A file of the user's, which may import what stands beside it."""
    if not file.is_file():
        raise ScenarioNotFound(f"there is no file {file}")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return _load_file(file)
    except (ImportError, SyntaxError) as error:
        sys.modules.pop(f"scenarios.{file.stem}", None)
        raise ScenarioNotFound(f"{file} cannot be imported: {error}") from error


def _load_file(file: Path) -> object:
    name = f"scenarios.{file.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(file.resolve()):
        return sys.modules[name]
    if not file.is_file():
        close = difflib.get_close_matches(file.stem.replace("_", "-"), shipped_scenarios(), n=1)
        meant = (
            f": did you mean {close[0]}?" if close else f": choose one of {', '.join(shipped_scenarios())}, or a file"
        )
        raise ScenarioNotFound(f"there is no scenario {file.stem.replace('_', '-')}{meant}")
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None, "a path is all that it needs"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
