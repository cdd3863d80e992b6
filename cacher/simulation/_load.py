"""Finding a scenario: by the name of one that is shipped, by a file's path, or by a module's name."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path

from ._scenario import Scenario


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
    """The scenario at `path`: "zombie-delete", "dir/mine.py", "package.module:NAME". Without a name, SCENARIO.

    Raises:
        ScenarioNotFound: there is no such file or module, or nothing in it is a scenario.
    """
    where, _, name = path.partition(":")
    if where.endswith(".py") or "/" in where:
        module = _load_file(Path(where))
    elif "." in where or where in sys.modules:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ScenarioNotFound(f"there is no module {where}: {error}") from error
    else:
        module = _load_file(scenario_folder() / f"{where.replace('-', '_')}.py")
    found = getattr(module, name or "SCENARIO", None)
    if not isinstance(found, Scenario):
        raise ScenarioNotFound(f"{path} has no scenario called {name or 'SCENARIO'}")
    return found


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
