"""`watchcache get` and `watchcache describe`: objects of a store or of a server, as kubectl shows them.

0 shown   1 it is not there, or the API refused   64 wrong usage or unusable input   130 Ctrl-C
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import trio

from reflector import http
from watch import APIError, NotFound, error_from_status

from ._look import Look, NothingThere, open_look
from ._look_kinds import Kind, UnknownKind
from ._look_text import Columns, outline, table_of, without_managed_fields
from ._stores import StoreOptions
from .server._yaml import write_yaml

EXIT_REFUSED = 1
OUTPUTS = ("json", "yaml", "wide", "name")
UNUSABLE_LOOKS = (NothingThere, UnknownKind, http.KubeconfigError, http.TLSError)
"""What is raised where the words, or the files that they name, cannot be used."""

AddStore = Callable[[argparse.ArgumentParser], None]
ReadStore = Callable[[argparse.Namespace], StoreOptions]
_WHERE = ("server", "kubeconfig", "context", "token", "token_file", "certificate_authority")


class LookRefused(Exception):
    """The flags contradict each other; the message says what to leave out."""


def add_look(commands: Any, *, add_store: AddStore, read_store: ReadStore) -> None:
    """The parsers of these commands. `commands` is argparse's, whose type has no public name."""
    get = commands.add_parser(
        "get",
        help="objects of a store or a server, in a table, as JSON or as YAML",
        description="Show objects, as kubectl get does: of a server, or of a store that no server has open. Nothing is"
        " written. Exit codes: 0 shown, 1 it is not there or the API refused, 64 wrong usage, 130 Ctrl-C.",
    )
    get.add_argument("-o", "--output", choices=OUTPUTS, metavar="|".join(OUTPUTS), help="another form than a table")
    get.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    get.add_argument("-l", "--selector", default="", metavar="LABELS", help="such as app=web,tier!=front")
    get.add_argument("--field-selector", default="", metavar="FIELDS", help="such as spec.nodeName=node-1")
    get.add_argument("-w", "--watch", action="store_true", help="then show what changes, until Ctrl-C")
    get.add_argument("--no-headers", action="store_true", help="no names of columns")
    get.add_argument(
        "--show-managed-fields", action="store_true", help="with -o json or yaml: who owns which field, too"
    )
    describe = commands.add_parser(
        "describe",
        help="one object or several, each as an outline with its events",
        description="Show objects in full, as an outline, each with its events. Nothing is written. Exit codes as of get.",
    )
    describe.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    describe.add_argument("-l", "--selector", default="", metavar="LABELS", help="such as app=web,tier!=front")
    for command, show in ((get, _get), (describe, _describe)):
        command.add_argument(
            "words", nargs="+", metavar="TYPE [NAME…] | TYPE/NAME…", help="such as pods, or deploy,svc, or pod/web-1"
        )
        command.add_argument("-n", "--namespace", default="", metavar="NAME", help="where to look (default: default)")
        _add_server(command)
        add_store(command)
        command.set_defaults(run=partial(_run, show, read_store))


def _add_server(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("the server, where no store is named")
    group.add_argument(
        "-s", "--server", metavar="URL", help="such as http://127.0.0.1:8080 (default: the kubeconfig's)"
    )
    group.add_argument("--kubeconfig", metavar="PATH", help="(default: $KUBECONFIG, the pod's, ~/.kube/config)")
    group.add_argument("--context", default="", metavar="NAME", help="which of its contexts")
    group.add_argument("--token", default="", metavar="TOKEN", help="who we are to --server")
    group.add_argument("--token-file", metavar="PATH", help="the same, in a file")
    group.add_argument("--certificate-authority", metavar="PATH", help="who signed the server's certificate, as PEM")
    group.add_argument("--insecure-skip-tls-verify", action="store_true", help="believe whoever answers")


def _run(show: Callable[[argparse.Namespace, Look], Any], read_store: ReadStore, options: argparse.Namespace) -> int:
    store = read_store(options)
    is_store = store.is_remote or store.data_dir is not None
    named = [f"--{name.replace('_', '-')}" for name in _WHERE if getattr(options, name)]
    if is_store and named:
        raise LookRefused(f"{named[0]} is for a server, and a store is named: leave one of them out")
    trio.run(partial(_look, show, options, store if is_store else None))
    return 0


async def _look(
    show: Callable[[argparse.Namespace, Look], Any], options: argparse.Namespace, store: StoreOptions | None
) -> None:
    where = {name: getattr(options, name) for name in _WHERE}
    async with open_look(store, **where, insecure=options.insecure_skip_tls_verify) as look:
        await show(options, look)


# ---- what is asked for -----------------------------------------------------------------------------------------------


class _Asked(msgspec.Struct, frozen=True):
    """Objects of one resource."""

    kind: Kind
    names: tuple[str, ...] = ()
    """None: all that is selected."""


async def _asked(words: list[str], look: Look) -> list[_Asked]:
    """Raises LookRefused, UnknownKind, APIError."""
    slashed = [word for word in words if "/" in word]
    if slashed and len(slashed) != len(words):
        raise LookRefused(f"{slashed[0]} is TYPE/NAME, and the other words are not: choose one of the two forms")
    kinds = await look.kinds()
    if not slashed:
        found = kinds.find(words[0])
        if len(words) > 1 and len(found) > 1:
            raise LookRefused("names of several types: write them as TYPE/NAME TYPE/NAME")
        return [_Asked(kind, tuple(words[1:])) for kind in found]
    asked: list[_Asked] = []
    for word in slashed:
        called, _, name = word.partition("/")
        if not called or not name or "/" in name:
            raise LookRefused(f"{word!r} is not TYPE/NAME, such as pod/web-1")
        asked += [_Asked(kind, (name,)) for kind in kinds.find(called)]
    return asked


def _namespace(options: argparse.Namespace, look: Look) -> str:
    """ "" : all."""
    if options.all_namespaces:
        return ""
    return str(options.namespace) or look.namespace


def _check(options: argparse.Namespace, asked: list[_Asked]) -> None:
    names = [name for one in asked for name in one.names]
    if names and options.all_namespaces:
        raise LookRefused("a name is looked for in one namespace: leave --all-namespaces out")
    if names and (options.selector or getattr(options, "field_selector", "")):
        raise LookRefused("a name and a selector exclude each other: leave one of them out")
    if getattr(options, "watch", False) and (len(asked) != 1 or len(names) > 1):
        raise LookRefused("one type, or one object, is watched at a time")


# ---- get -------------------------------------------------------------------------------------------------------------


async def _get(options: argparse.Namespace, look: Look) -> None:
    asked = await _asked(options.words, look)
    _check(options, asked)
    if options.watch:
        await _watch(options, look, asked[0])
    elif options.output in ("json", "yaml"):
        await _print_objects(options, look, asked)
    else:
        await _print_tables(options, look, asked)


async def _print_objects(options: argparse.Namespace, look: Look, asked: list[_Asked]) -> None:
    namespace, items = _namespace(options, look), []
    for one in asked:
        if one.names:
            items += [await look.get(one.kind, namespace, name) for name in one.names]
            continue
        page = await _listed(options, look, one.kind, namespace)
        items += _typed(page)
    if not options.show_managed_fields:
        items = [without_managed_fields(item) for item in items]
    is_one = len(items) == 1 and all(len(one.names) == 1 for one in asked)
    whole = (
        items[0]
        if is_one
        else {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
    )
    _print_value(whole, options.output)


def _typed(page: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a list, which says for all of them what they are."""
    kind = {"apiVersion": page.get("apiVersion"), "kind": str(page.get("kind")).removesuffix("List")}
    return [{**kind, **item} for item in page["items"]]


def _print_value(value: Any, output: str) -> None:
    if output == "yaml":
        print(write_yaml(value).decode(), end="", flush=True)
    else:
        print(msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=4).decode(), flush=True)


async def _print_tables(options: argparse.Namespace, look: Look, asked: list[_Asked]) -> None:
    namespace, is_first = _namespace(options, look), True
    for one in asked:
        table = await _table(options, look, one, namespace)
        if not table["rows"]:
            continue
        if not is_first and options.output != "name":
            print()
        is_first = False
        for line in _rows(options, one.kind, table, namespace, is_prefixed=len(asked) > 1):
            print(line)
    if is_first and options.output != "name":
        place = f" in {namespace} namespace" if namespace and any(one.kind.namespaced for one in asked) else ""
        print(f"No resources found{place}", file=sys.stderr)
    sys.stdout.flush()


async def _table(options: argparse.Namespace, look: Look, one: _Asked, namespace: str) -> dict[str, Any]:
    if not one.names:
        return _as_table(await _listed(options, look, one.kind, namespace, as_table=True))
    tables = [_as_table(await look.get(one.kind, namespace, name, as_table=True)) for name in one.names]
    return {**tables[0], "rows": [row for table in tables for row in table["rows"]]}


def _as_table(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("kind") == "Table":
        return {**answer, "rows": answer.get("rows") or []}
    return {**table_of(answer.get("items", [answer])), "metadata": answer.get("metadata")}


async def _listed(
    options: argparse.Namespace, look: Look, kind: Kind, namespace: str, *, as_table: bool = False
) -> dict[str, Any]:
    fields = getattr(options, "field_selector", "")
    found: dict[str, Any] = await look.select(
        kind, namespace, labels=options.selector, fields=fields, as_table=as_table
    )
    return found


def _rows(
    options: argparse.Namespace, kind: Kind, table: dict[str, Any], namespace: str, *, is_prefixed: bool
) -> Iterator[str]:
    if options.output == "name":
        yield from (
            f"{kind.shown}/{(row.get('object') or {}).get('metadata', {}).get('name')}" for row in table["rows"]
        )
        return
    columns = _columns(options, kind, table, namespace, is_prefixed=is_prefixed)
    yield from columns.lines(table["rows"], with_header=not options.no_headers)


def _columns(
    options: argparse.Namespace, kind: Kind, table: dict[str, Any], namespace: str, *, is_prefixed: bool = False
) -> Columns:
    return Columns(
        table["columnDefinitions"],
        with_namespace=not namespace and kind.namespaced,
        is_wide=options.output == "wide",
        prefix=f"{kind.shown}/" if is_prefixed else "",
    )


# ---- watch -----------------------------------------------------------------------------------------------------------


async def _watch(options: argparse.Namespace, look: Look, one: _Asked) -> None:
    """The state, and then each change as it comes, in the columns of the state."""
    namespace, as_table = _namespace(options, look), options.output not in ("json", "yaml")
    fields = f"metadata.name={one.names[0]}" if one.names else options.field_selector
    page = await look.select(one.kind, namespace, labels=options.selector, fields=fields, as_table=as_table)
    printer = _Printer(options, one.kind, namespace)
    printer.print(_as_table(page) if as_table else page)
    revision = (page.get("metadata") or {}).get("resourceVersion", "")
    watch = look.watch(
        one.kind, namespace, revision=revision, labels=options.selector, fields=fields, as_table=as_table
    )
    async with watch as events:
        await _follow(events, printer)


async def _follow(events: AsyncIterator[Any], printer: _Printer) -> None:
    async for event in events:
        if event["type"] == "ERROR":
            raise error_from_status(event["object"])
        if event["type"] != "BOOKMARK":
            printer.print(event["object"])


class _Printer:
    """Prints what a watch brings, in one form."""

    def __init__(self, options: argparse.Namespace, kind: Kind, namespace: str) -> None:
        self._options = options
        self._kind = kind
        self._namespace = namespace
        self._columns: Columns | None = None

    def print(self, answer: dict[str, Any]) -> None:
        """Print a table's rows, or a list's items, or an object."""
        options = self._options
        if options.output in ("json", "yaml"):
            for obj in _typed(answer) if "items" in answer else [answer]:
                if options.output == "yaml":
                    print("---")
                _print_value(obj if options.show_managed_fields else without_managed_fields(obj), options.output)
            return
        table = _as_table(answer)
        if options.output == "name":
            lines = _rows(options, self._kind, table, self._namespace, is_prefixed=False)
        elif self._columns is None and not table["rows"]:
            return  # the columns are set when there is something to set them by
        else:
            is_first = self._columns is None
            if self._columns is None:
                self._columns = _columns(options, self._kind, table, self._namespace)
            lines = self._columns.lines(table["rows"], with_header=is_first and not options.no_headers)
        for line in lines:
            print(line, flush=True)


# ---- describe --------------------------------------------------------------------------------------------------------


async def _describe(options: argparse.Namespace, look: Look) -> None:
    asked = await _asked(options.words, look)
    _check(options, asked)
    namespace, objects = _namespace(options, look), []
    for one in asked:
        if one.names:
            objects += [await look.get(one.kind, namespace, name) for name in one.names]
            continue
        page = await _listed(options, look, one.kind, namespace)
        objects += _typed(page)
    if not objects:
        print("No resources found", file=sys.stderr)
    for number, obj in enumerate(objects):
        if number:
            print("\n")
        for line in outline(obj, await look.events_of(obj)):
            print(line)
    sys.stdout.flush()


def told(error: APIError) -> str:
    """An API's refusal, as kubectl says it."""
    reason = "NotFound" if isinstance(error, NotFound) else error.reason
    return f"Error from server ({reason}): {error.message}" if reason else f"Error from server: {error.message}"
