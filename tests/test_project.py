"""The project's habits, held by a machine: banned calls, the public surface, tidiness.

Each rule is a function from a file's syntax tree or text to what breaks it, and is itself shown small files that do.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from tests import source

# --- banned calls: same seed, same bytes ---------------------------------------------------------------------------
# Time is trio.current_time(), chance is a random.Random that was handed in, concurrency is trio's. Anything else makes a
# run that cannot be repeated.
BANNED = {
    "time": "the time is trio.current_time()",
    "datetime.datetime.now": "the time is trio.current_time()",
    "datetime.datetime.utcnow": "the time is trio.current_time()",
    "datetime.datetime.today": "the time is trio.current_time()",
    "datetime.date.today": "the time is trio.current_time()",
    "random": "chance is a random.Random that is handed in",
    "uuid.uuid1": "uids come from a random.Random that is handed in",
    "uuid.uuid4": "uids come from a random.Random that is handed in",
    "os.urandom": "chance is a random.Random that is handed in",
    "os.getrandom": "chance is a random.Random that is handed in",
    "secrets": "chance is a random.Random that is handed in",
    "threading": "concurrency is a trio nursery",
    "_thread": "concurrency is a trio nursery",
    "concurrent.futures": "concurrency is a trio nursery",
    "multiprocessing": "concurrency is a trio nursery",
    "asyncio": "concurrency is a trio nursery",
    "trio.to_thread": "concurrency is a trio nursery",
    "trio.from_thread": "concurrency is a trio nursery",
}
NOT_BANNED = {"random.Random"}  # the class: a generator of one's own, with a seed

# The few files that bridge to the real world, each with what it may use and why.
BRIDGES = {
    "cacher/storage/etcd/_bridge.py": (
        {"threading"},
        "a thread that reads a grpc stream waits here for a task that is slower",
    ),
    "cacher/storage/etcd/_members.py": (
        {"trio.to_thread"},
        "grpc has no other way to wait for an answer in a stream",
    ),
    "cacher/storage/etcd/_remote_watch.py": (
        {"trio.to_thread"},
        "grpc has no other way to wait for what a stream brings; a limiter of its own bounds the threads",
    ),
    "tests/scenarios/test_mutants.py": (
        {"datetime.date.today"},
        "which planted bugs are hunted in `make test` goes by the day; an environment variable names another one",
    ),
    "tests/cacher/storage/etcd/test_bridge.py": (
        {"trio.to_thread"},
        "what is bridged there is a thread and a task",
    ),
    "cacher/_clock.py": (
        {"time"},
        "the time of day, read once, when a cluster is opened on the real clock",
    ),
    "reflector/http/_connect.py": (
        {"time"},
        "the time of day, in which an exec plugin says when its token expires",
    ),
    "cacher/server/_auth.py": (
        {"secrets"},
        "a token that could be drawn again from a seed would be none",
    ),
    "cacher/simulation/_meter.py": (
        {"time"},
        "the one meter of wall-clock lag and rates; nothing in the path reads it",
    ),
    "cacher/simulation/_simulate.py": (
        {"time"},
        "a test's limit of real time, which no world sees",
    ),
    "cacher/simulation/_campaign.py": (
        {"time"},
        "how long a campaign took; no world sees it",
    ),
    "cacher/simulation/_hunt.py": (
        {"time", "multiprocessing"},
        "a hunt plays seeds in several processes and keeps to a time; no world sees either",
    ),
    "cacher/simulation/_guard.py": (
        {"threading", "trio.to_thread"},
        "it is what refuses them to programs in a simulation",
    ),
    "cacher/storage/etcd/_worker_thread.py": (
        {"trio.to_thread"},
        "SQLite can only be waited for by a thread; tasks are woken in the order of their calls, and simulations have no thread",
    ),
    "tests/cacher/test_cli_serve.py": (
        {"trio.to_thread"},
        "servers in processes of their own are asked by the standard library's HTTP, while a task keeps their etcd",
    ),
    "tests/clients/programs/with_kubernetes_asyncio.py": (
        {"asyncio"},
        "a client of others, which is written for it, in a process of its own",
    ),
    "tests/cacher/simulation/test_guard.py": (
        {"time", "random", "uuid.uuid4", "threading", "trio.to_thread"},
        "what is refused to programs in a simulation is tried",
    ),
    "tests/conformance/wirecheck.py": (
        {"time", "secrets", "threading"},
        "the script that recorded real servers, as it was; tests take its comparison alone",
    ),
}

CALLS_CHECKED = source.python_files(*source.PACKAGES, "scenarios", "tests")


def origins(module: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `from time import monotonic as now` makes `now` be `time.monotonic`."""
    found: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = dotted(node.value)
        return f"{base}.{node.attr}" if base else None
    return None


def banned_uses(module: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of each use of something banned; importing it without using it is for the linter to find."""
    names = origins(module)
    inner = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    for node in ast.walk(module):
        path = dotted(node) if id(node) not in inner else None
        if path is None:
            continue
        first, _, rest = path.partition(".")
        if first in names:
            full = f"{names[first]}.{rest}" if rest else names[first]
            if ban_of(full):
                yield getattr(node, "lineno", 0), full


def ban_of(full: str) -> str | None:
    """The entry of BANNED that `full` falls under; a bare module is no use of it yet."""
    parts = full.split(".")
    prefixes = [".".join(parts[: length + 1]) for length in range(len(parts))]
    if NOT_BANNED.intersection(prefixes):
        return None
    return next((prefix for prefix in prefixes if prefix in BANNED and (prefix != full or "." in prefix)), None)


@pytest.mark.parametrize("file", CALLS_CHECKED)
def test_nothing_reads_the_real_clock_rolls_its_own_dice_or_starts_a_thread(file):
    allowed = BRIDGES.get(file, (set(), ""))[0]
    uses = [(line, full, ban) for line, full in banned_uses(source.tree(file)) if (ban := ban_of(full)) not in allowed]
    assert not [f"{file}:{line} uses {full}: {BANNED[ban]}" for line, full, ban in uses if ban]


@pytest.mark.parametrize("file", BRIDGES)
def test_a_file_that_is_allowed_a_banned_call_makes_it(file):
    """An allowance that nobody uses is taken back."""
    assert {ban_of(full) for _, full in banned_uses(source.tree(file))} == BRIDGES[file][0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import time\ntime.sleep(1)", ["time.sleep"]),
        ("import time as clock\nclock.monotonic()", ["time.monotonic"]),
        ("from time import perf_counter as now\nx = now", ["time.perf_counter"]),
        ("import datetime\ndatetime.datetime.now()", ["datetime.datetime.now"]),
        ("from datetime import datetime\ndatetime.utcnow()", ["datetime.datetime.utcnow"]),
        ("from datetime import datetime\ndatetime.fromisoformat('2026-01-01')", []),
        ("import random\nrandom.shuffle(x)", ["random.shuffle"]),
        ("import random\nrandom.SystemRandom()", ["random.SystemRandom"]),
        ("import random\nrandom.Random(7).shuffle(x)", []),
        ("from random import Random, choice\nRandom(7)\nchoice(x)", ["random.choice"]),
        ("import uuid\nuuid.uuid4().hex", ["uuid.uuid4"]),
        ("import uuid\nuuid.UUID(int=7)", []),
        ("import os\nos.urandom(8)\nos.environ", ["os.urandom"]),
        ("import secrets\nsecrets.token_hex()", ["secrets.token_hex"]),
        ("import threading\nthreading.Lock()", ["threading.Lock"]),
        ("async def f():\n    import asyncio\n    await asyncio.sleep(1)", ["asyncio.sleep"]),
        (
            "import concurrent.futures\nconcurrent.futures.ThreadPoolExecutor()",
            ["concurrent.futures.ThreadPoolExecutor"],
        ),
        ("import trio\nawait trio.to_thread.run_sync(f)\ntrio.current_time()", ["trio.to_thread.run_sync"]),
        ("time = 3\ntime.sleep", []),
    ],
)
def test_the_ban_finds_what_breaks_it(text, found):
    assert [full for _, full in banned_uses(ast.parse(text))] == found


# --- sets: their order is another one under another PYTHONHASHSEED --------------------------------------------------
# A loop over a set is fine where its order cannot show; say so on the line: `# in any order: only a count comes of it`.
ORDER_DOES_NOT_SHOW = "# in any order: "
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
BLIND_TO_ORDER = {"sorted", "set", "frozenset", "len", "sum", "min", "max", "any", "all"}
KEEPS_ORDER = {"list", "tuple", "iter", "enumerate", "dict", "zip", "map", "filter", "reversed", "next"}


def set_names(module: ast.Module) -> set[str]:
    """Names and attributes that this file calls sets, by annotation or by assigning one."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            kind = ast.unparse(node.annotation).strip("'\"").split("[")[0].split(".")[-1]
            target = node.target if isinstance(node, ast.AnnAssign) else ast.Name(node.arg)
            if kind in {"set", "frozenset", "Set", "AbstractSet", "MutableSet"} and (path := dotted(target)):
                found |= {path, f"self.{path}"} if isinstance(node, ast.AnnAssign) else {path}
        elif isinstance(node, ast.Assign) and is_set(node.value, set()):
            found |= {path for target in node.targets if (path := dotted(target))}
    return found


def is_set(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is a set as far as one file can tell."""
    match node:
        case ast.Set() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="set" | "frozenset")):
            return True
        case ast.Call(func=ast.Attribute(value=base, attr=method)) if method in SET_METHODS:
            return is_set(base, names)
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() | ast.Sub() | ast.BitXor(), right=right):
            return any(is_set(side, names) or is_keys_view(side) for side in (left, right))
        case ast.Name() | ast.Attribute():
            return dotted(node) in names
    return False


def is_keys_view(node: ast.AST) -> bool:
    """`d.keys() - e.keys()` is a set, though each of the two is in order."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"keys", "items"}


def set_iterations(module: ast.Module) -> Iterator[int]:
    """The lines that walk over a set in its own order, or take whichever member comes first."""
    names = set_names(module)
    blind = {
        id(argument)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BLIND_TO_ORDER
        for argument in node.args
    }
    for node in ast.walk(module):
        walked: list[ast.expr] = []
        match node:
            case ast.For(iter=walked_once) | ast.AsyncFor(iter=walked_once) | ast.Starred(value=walked_once):
                walked = [walked_once]
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
                walked = [] if id(node) in blind else [generator.iter for generator in node.generators]
            case ast.Call(func=ast.Name(id=function), args=arguments) if function in KEEPS_ORDER:
                walked = list(arguments)
            case ast.Call(func=ast.Attribute(attr="join" | "extend"), args=arguments):
                walked = list(arguments)
            case ast.Call(func=ast.Attribute(value=base, attr="pop"), args=[]):
                walked = [base]
        yield from (expression.lineno for expression in walked if is_set(expression, names))


@pytest.mark.parametrize("file", source.python_files(*source.PACKAGES, "scenarios"))
def test_nothing_depends_on_the_order_of_a_set(file):
    lines = (source.ROOT / file).read_text(encoding="utf-8").splitlines()
    found = [line for line in set_iterations(source.tree(file)) if ORDER_DOES_NOT_SHOW not in lines[line - 1]]
    assert not [f"{file}:{line} walks over a set: sort it, or keep a dict: {lines[line - 1].strip()}" for line in found]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("for x in {1, 2}: pass", [1]),
        ("for x in set(y): pass", [1]),
        ("for x in sorted(set(y)): pass", []),
        ("z = [x for x in frozenset(y)]", [1]),
        ("z = {x for x in set(y)}", []),
        ("z = any(x for x in set(y))", []),
        ("z = list({1, 2})", [1]),
        ("z = ','.join({a, b})", [1]),
        ("z = [*set(y)]", [1]),
        ("z = set(y) | w\nfor x in z: pass", [2]),
        ("def f(z: set[int]):\n    for x in z: pass", [2]),
        ("class A:\n    z: frozenset[str]\n    def f(self):\n        return tuple(self.z)", [4]),
        ("class A:\n    def f(self):\n        self.z: set[str] = g()\n        self.z.pop()", [4]),
        ("for k in a.keys() - b.keys(): pass", [1]),
        ("for k in a.keys(): pass", []),
        ("for k in {1, 2} & y: pass", [1]),
        ("for k in {'a': 1}: pass", []),
    ],
)
def test_the_rule_of_sets_finds_what_breaks_it(text, lines):
    assert list(set_iterations(ast.parse(text))) == lines


# --- the public surface: one page a package --------------------------------------------------------------------------
# tests/public_names.txt lists every name that a user may import, one a line, so that a change of the surface is seen in review.
PUBLIC_PACKAGES = [
    source.module_of(file) for file in source.python_files(*source.PACKAGES) if file.endswith("/__init__.py")
]


def offered(package: str) -> list[str]:
    """The names on a package's page: those that it imports as themselves (`A as A`), and those that it makes."""
    found: list[str] = []
    for node in source.tree(package.replace(".", "/") + "/__init__.py").body:
        match node:
            case ast.ImportFrom(names=names):
                found += [alias.name for alias in names if alias.asname == alias.name]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.append(name)
    return found


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_a_package_says_on_one_page_what_it_offers(package):
    names = offered(package)
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("_")] == []


@pytest.mark.parametrize("package", source.PACKAGES)
def test_the_page_of_a_layer_does_nothing_but_offer(package):
    page = source.tree(f"{package}/__init__.py").body
    assert {type(node) for node in page[1:]} <= {ast.ImportFrom}


def test_the_public_names_are_those_that_were_agreed_on():
    """A new name is a new line in tests/public_names.txt, in the order of packages and names; a line that goes breaks users."""
    now = [f"{package}.{name}" for package in PUBLIC_PACKAGES for name in sorted(offered(package))]
    agreed = (source.ROOT / "tests/public_names.txt").read_text(encoding="utf-8").split()
    assert [name for name in now if name not in agreed] == [], "new, and not in tests/public_names.txt"
    assert [name for name in agreed if name not in now] == [], "in tests/public_names.txt, and gone"
    assert now == agreed


def test_every_module_is_private_and_only_a_sub_package_is_public():
    files = source.python_files(*source.PACKAGES)
    modules = [file for file in files if not file.endswith(("/__init__.py", "/__main__.py"))]
    assert [file for file in modules if not file.split("/")[-1].startswith("_")] == []


def documented_by_protocols() -> set[str]:
    """Method names that a protocol of ours describes: whoever implements it need not say it again."""
    return {
        member
        for package in PUBLIC_PACKAGES
        for name in offered(package)
        if getattr(item := getattr(importlib.import_module(package), name), "_is_protocol", False)
        for member, value in vars(item).items()
        if getattr(value, "__doc__", None) and not member.startswith("_")
    }


def undocumented(item: Any, elsewhere: set[str]) -> list[str]:
    """ "" where a class or function says nothing itself, and each of a class's public methods that does not.

    A property may be its own description: it is a noun, or a claim (`is_fresh`).
    """
    found = [] if (vars(item) if isinstance(item, type) else {"__doc__": item.__doc__}).get("__doc__") else [""]
    if isinstance(item, type):
        for name, member in vars(item).items():
            is_code = inspect.isfunction(member) or isinstance(member, classmethod | staticmethod)
            if (
                is_code
                and not name.startswith("_")
                and name not in elsewhere
                and not inspect.getdoc(getattr(item, name))
            ):
                found.append(name)
    return found


@pytest.mark.parametrize("package", PUBLIC_PACKAGES)
def test_what_is_public_says_what_it_guarantees(package):
    elsewhere = documented_by_protocols()
    module = importlib.import_module(package)
    items = {name: getattr(module, name) for name in offered(package)}
    code = {name: item for name, item in items.items() if isinstance(item, type) or inspect.isfunction(item)}
    assert not [f"{package}.{name}.{member}" for name, item in code.items() for member in undocumented(item, elsewhere)]


def test_the_rule_of_docstrings_finds_what_breaks_it():
    class Silent:
        def speaks(self): ...

        def is_described_by_a_protocol(self): ...

        def says(self):
            """Says so."""

        def _private(self): ...

    assert undocumented(Silent, {"is_described_by_a_protocol"}) == ["", "speaks"]


@pytest.mark.parametrize("file", source.python_files(*source.PACKAGES, "scenarios", "benchmarks"))
def test_a_file_says_first_what_it_is(file):
    assert ast.get_docstring(source.tree(file))


# --- tidiness ---------------------------------------------------------------------------------------------------------
LINES_MAX = 600
LOCK = "constraints.txt"  # written by a tool; its length is not ours to choose

# Patterns are put together here from pieces, so that this file does not break its own rules.
MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:" + "|".join(["work", "root", "home", "farm", "Users"]) + r")/")
REGISTRY = re.compile(
    "|".join(["python" + "hosted", r"pypi\." + "org", "index-" + "url", "npm" + "js", r"proxy\." + "golang"])
)
UNFINISHED = re.compile(r"\b(?:" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b(?!\(#\d+\))")

RULES = {
    "names a path of one machine": MACHINE_PATH,
    "names a package registry": REGISTRY,
    "leaves something to do without the number of its issue": UNFINISHED,
}

TEXTS = [source.name(path) for path in source.text_files()]


@pytest.mark.parametrize("what", RULES)
def test_no_file_holds_what_belongs_elsewhere(what):
    found = []
    for file in TEXTS:
        for number, line in enumerate((source.ROOT / file).read_text(encoding="utf-8").splitlines(), 1):
            if RULES[what].search(line):
                found.append(f"{file}:{number} {what}: {line.strip()}")
    assert not found


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("see /ho" + "me/ann/notes", "names a path of one machine"),
        ("https://py" + "pi.org/simple", "names a package registry"),
        ("# TO" + "DO: later", "leaves something to do without the number of its issue"),
    ],
)
def test_the_rules_of_tidiness_find_what_breaks_them(text, what):
    assert [name for name, pattern in RULES.items() if pattern.search(text)] == [what]


@pytest.mark.parametrize("text", ["# TO" + "DO(#12): later", "/registry/pods/home/", "$HO" + "ME/notes", "docs/work/x"])
def test_the_rules_of_tidiness_let_pass_what_is_right(text):
    assert [name for name, pattern in RULES.items() if pattern.search(text)] == []


def test_a_file_holds_one_concept():
    """Over 600 lines the first line has to say why."""
    long = []
    for file in TEXTS:
        lines = (source.ROOT / file).read_text(encoding="utf-8").splitlines()
        if file.endswith(".py") and len(lines) > LINES_MAX and "lines because" not in lines[0]:
            long.append(f"{file}: {len(lines)} lines")
    assert not long


def test_the_changelog_has_the_version_of_the_project():
    project = tomllib.loads((source.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"## {project['version']}" in (source.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_requirement_is_pinned_with_hashes():
    lock = (source.ROOT / LOCK).read_text(encoding="utf-8")
    pins = re.findall(
        r"^([a-z0-9-]+)==\S+ \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, flags=re.MULTILINE
    )
    assert len(pins) == len(re.findall(r"^[a-z0-9]", lock, flags=re.MULTILINE))
    project = tomllib.loads((source.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {re.split(r"[>\[]", requirement)[0] for requirement in wanted} - {"watchcache"}
    assert names <= {pin for pin, _ in pins}


# --- make: one line says what is missing -----------------------------------------------------------------------------
NO_VENV = """#!/bin/sh
case "$2" in *ensurepip*) exit 1;; esac
exec "$REAL" "$@"
"""
OLD = """#!/bin/sh
exit 0
"""


@pytest.mark.parametrize(
    ("python", "cure"),
    [
        (NO_VENV, "apt-get install python3-venv"),
        (OLD, "PYTHON=python3.12 make run"),
        (None, "apt-get install python3 python3-venv"),
    ],
)
def test_make_says_in_one_line_what_to_install(tmp_path, python, cure):
    fake = tmp_path / "python"
    if python is not None:
        fake.write_text(python.replace("$REAL", sys.executable))
        fake.chmod(0o755)
    (tmp_path / "Makefile").write_text((source.ROOT / "Makefile").read_text())
    command = ["make", "--no-print-directory", "-C", str(tmp_path), f"PYTHON={fake}", "run"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/local/bin:/usr/bin:/bin"}
    )
    assert done.returncode != 0
    assert (done.stdout + done.stderr).strip().endswith("Stop.")
    assert (done.stdout + done.stderr).count("\n") == 1
    assert cure in done.stderr
