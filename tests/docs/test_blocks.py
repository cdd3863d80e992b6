"""Every fenced block of every document is run, or says in a table why it is not and which test holds it.

A Python block is run (`tests/test_docs.py`), the text right below it is what it prints; what is typed into a terminal is run
(`test_sessions.py`); calls and signatures that stand alone are held against the real ones, here.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import cacher
import cacher.simulation
import reflector
import watch
from cacher.simulation import Tape, World
from tests import source
from tests.docs.documents import BadFence, Block, blocks, blocks_in, commands_in, inline_commands
from tests.docs.elsewhere import BLOCKS, COMMANDS, Elsewhere

CALLS = {
    ("README.md", "open_cluster(etcd="),
    ("README.md", "async with reflector.connect()"),
    ("docs/connect.md", "connect()"),
    ("docs/connect.md", "cacher.open_cluster(etcd="),
    ("docs/simulator.md", "from cacher.simulation import Create"),
}
"""Python that is not whole enough to be run: what it imports is there, and what it calls takes these arguments."""
SIGNATURES = {("docs/simulator.md", "world.start(program, *"), ("docs/simulator.md", "run_seed(scenario, seed")}
"""What can be called, one or several a line."""


def row(table: Any, block: Block) -> tuple[str, str] | None:
    """The row of a table that is about a block."""
    return next((key for key in table if block.document == key[0] and block.name.startswith(key[1])), None)


def runner(block: Block, before: Block | None) -> str:
    """How a block is held to be true; empty: it is not."""
    if row(BLOCKS, block):
        return "elsewhere"
    if row(CALLS, block):
        return "calls"
    if row(SIGNATURES, block):
        return "signatures"
    if block.language == "python":
        return "run"
    if block.language == "text" and block.follows and before is not None and before.language == "python":
        return "printed"
    if block.language == "console" and commands_in(block):
        return "session"
    if re.fullmatch(r"\{(toctree|offers)\}.*", block.language):
        return "make docs"
    return ""


def with_runners() -> list[tuple[Block, str]]:
    found: list[tuple[Block, str]] = []
    for block in blocks():
        before = found[-1][0] if found and found[-1][0].document == block.document else None
        found.append((block, runner(block, before)))
    return found


def test_every_block_is_run_or_says_why_not():
    forgotten = [f"{block}: ```{block.language} {block.name}" for block, how in with_runners() if not how]
    assert not forgotten, (
        "nobody runs these: make it ```python, with what it prints as ```text right below it; ```console with `$ ` before what"
        " is typed; or give it a row in tests/docs/elsewhere.py, with the reason and the test that holds it"
    )


@pytest.mark.parametrize(
    ("text", "hows"),
    [
        ("```python\n1\n```\n\n```text\n2\n```\n", ["run", "printed"]),
        ("```python\n1\n```\n\nand\n\n```text\n2\n```\n", ["run", ""]),
        ("```console\n$ watchcache list\n```\n", ["session"]),
        ("```console\nwatchcache list\n```\n", [""]),
        ("```\nwatchcache list\n```\n", [""]),
        ("```sh\nwatchcache list\n```\n", [""]),
        ("```py\n1\n```\n", [""]),
        ("~~~python\n1\n~~~\n", ["run"]),
        ("````text\n```python\n1\n```\n````\n", [""]),
        ("```{toctree}\nx\n```\n", ["make docs"]),
    ],
)
def test_a_block_that_nobody_runs_is_found(text, hows):
    found = blocks_in(text, "new.md")
    assert [runner(block, before) for block, before in zip(found, [None, *found], strict=False)] == hows


@pytest.mark.parametrize("text", ["- a\n\n  ```python\n  1\n  ```\n", "> ```python\n> 1\n> ```\n", "```python\n1\n"])
def test_a_block_that_could_be_overlooked_is_refused(text):
    with pytest.raises(BadFence):
        blocks_in(text, "new.md")


# --- what the tables say is so -----------------------------------------------------------------------------------------


def test_a_row_is_about_one_block_that_is_there():
    there = blocks()
    for table in (BLOCKS, CALLS, SIGNATURES):
        for key in table:
            assert [str(block) for block in there if row([key], block)], f"{key} is not in the documents any more"


def test_a_row_of_a_command_is_about_one_that_is_typed():
    typed = [command.name for block in blocks() for command in commands_in(block)]
    assert [begins for begins in COMMANDS if not any(name.startswith(begins.rstrip()) for name in typed)] == []


@pytest.mark.parametrize(
    "one", [*BLOCKS.values(), *COMMANDS.values()], ids=lambda one: one.test.rpartition(":")[2] or one.why
)
def test_the_test_that_a_row_names_is_there(one: Elsewhere):
    if one.test:
        file, _, name = one.test.partition("::")
        text = (source.ROOT / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text if name else "\ndef test_" in text


# --- calls and signatures that stand alone ---------------------------------------------------------------------------


def known() -> dict[str, Any]:
    """What a block may speak of without an import."""
    names = {
        name: getattr(module, name) for module in (watch, reflector, cacher, cacher.simulation) for name in dir(module)
    }
    return {**names, "cacher": cacher, "reflector": reflector, "Random": Random, "connect": reflector.connect}


def wrong_calls(text: str) -> tuple[int, list[str]]:
    """How many calls of ours were looked at, and what is wrong with them."""
    tree = ast.parse(text.replace("…", "..."))
    looked, wrong = 0, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in source.PACKAGES:
            module = __import__(node.module, fromlist=["x"])
            wrong += [f"{node.module} has no {alias.name}" for alias in node.names if not hasattr(module, alias.name)]
        if isinstance(node, ast.Call) and (called := resolved(node.func)) is not None:
            looked += 1
            try:
                bind(called, len(node.args), [word.arg for word in node.keywords if word.arg])
            except TypeError as error:
                wrong.append(f"{ast.unparse(node)}: {error}")
    return looked, wrong


def bind(called: Any, positional: int, keywords: list[str]) -> None:
    """Raises TypeError: it does not take these."""
    if isinstance(called, type) and issubclass(
        called, msgspec.Struct
    ):  # its signature wants types that are not at hand
        if unknown := {*keywords} - {*called.__struct_fields__}:
            raise TypeError(f"{called.__name__} has no {', '.join(sorted(unknown))}")
        return
    inspect.signature(called).bind(*([None] * positional), **dict.fromkeys(keywords))


def resolved(node: ast.expr) -> Any:
    """What a name stands for, if it is one of ours."""
    if isinstance(node, ast.Name):
        found = known().get(node.id)
        return found if callable(found) else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return getattr(known().get(node.value.id), node.attr, None)
    return None


def chosen(table: Any) -> list[Any]:
    return [pytest.param(block, id=str(block)) for block in blocks() if row(table, block)]


@pytest.mark.parametrize("block", chosen(CALLS))
def test_calls_take_the_arguments_that_are_shown(block):
    text = re.sub(r"^(async with .*|def .*):(\s*#.*)?\n(?! )", r"\1: ...\n", block.text, flags=re.MULTILINE)
    looked, wrong = wrong_calls(f"async def main():\n{indented(text)}")
    assert not wrong
    assert looked


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("open_cluster(data_dir='state')", 0),
        ("open_cluster(directory='state')", 1),
        ("reflector.connect('http://127.0.0.1', in_cluster=True)", 0),
        ("reflector.connect(inside=True)", 1),
        ("from watch import Evnt", 1),
        ("Scenario(name='x', judge=())", 1),
    ],
)
def test_a_call_that_would_be_refused_is_found(text, wrong):
    assert len(wrong_calls(text)[1]) == wrong


def wrong_signatures(text: str) -> Iterator[str]:
    """What is told of functions and methods and is not so: that they are there, and their parameters with their defaults."""
    for line in text.splitlines():
        told = line.partition("   ")[0] if "   #" not in line else line.partition("   #")[0]
        for name, parameters in re.findall(r"(\w+)\(((?:[^()]|\([^()]*\))*)\)", told):
            holder = World if hasattr(World, name) else cacher.simulation
            if not hasattr(holder, name):
                holder = cacher.simulation.judges
            if not hasattr(holder, name):
                yield f"there is no {name}"
                continue
            there = inspect.signature(getattr(holder, name)).parameters
            for parameter in re.findall(r"(?:^|, )(\w+)(?=[,=]|$)", parameters):
                if parameter not in there:
                    yield f"{name} has no {parameter}"


@pytest.mark.parametrize("block", chosen(SIGNATURES))
def test_what_is_called_has_the_parameters_that_are_told(block):
    assert re.search(r"\w+\(", block.text)
    assert list(wrong_signatures(block.text)) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('world.start(program, *, name="", server="", restart_s=1.0) -> Process', []),
        ('world.start(program, *, title="")', ["start has no title"]),
        ("world.begin(program)", ["there is no begin"]),
    ],
)
def test_a_signature_that_is_not_so_is_found(text, wrong):
    assert list(wrong_signatures(text)) == wrong


def test_the_tape_of_the_page_has_the_members_of_a_tape():
    block = next(block for block in blocks() if block.name.startswith('{"version": 1, "scenario"'))
    told = re.findall(r'^[ {]"(\w+)":', block.text, flags=re.MULTILINE)
    first = re.findall(r'"(\w+)":', block.name)
    members = set(Tape.__struct_fields__)
    assert {*told, *first} <= members | {"version"}
    assert members - {*told, *first} <= {"digest", "broken"}, "what it came to is added when it is kept"


def test_there_is_something_to_look_at():
    counts: dict[str, int] = {}
    for _, how in with_runners():
        counts[how] = counts.get(how, 0) + 1
    assert SimpleNamespace(**{"run": 0, "session": 0} | counts).run >= 6
    assert counts["session"] >= 6
    assert [line for line in inline_commands("docs/museum.md") if line.startswith("watchcache hunt")]
