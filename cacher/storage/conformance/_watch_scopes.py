"""Cases: what a watch sees, by its key (everything, a namespace, a name) and by its field selector: the two must agree.

A step is `path` or `path@node`, `!` marks one that is running, and `=` what the watch sees of it: +, ~ and - are ADDED,
MODIFIED and DELETED; nothing after `=`: nothing.
"""

from __future__ import annotations

import msgspec

from watch import EventType, Object

from ._case import add_case
from ._fixture import Fixture

SEEN = {"+": EventType.ADDED, "~": EventType.MODIFIED, "-": EventType.DELETED}


class Scope(msgspec.Struct, frozen=True):
    """A watch and what is written while it is open."""

    name: str
    steps: str
    at: str = ""
    """The watched path; one with a name in it is watched alone."""
    fields: str = ""
    recursive: bool = True


CLUSTER = [
    Scope("everything", "foo1=+ foo1!=~ foo2@bar1=+"),
    Scope("by node", "foo1= foo1@bar1=+", fields="spec.nodeName=bar1"),
    Scope("by not the node", "foo1=+ foo2=+ foo1!=~ foo1@bar1=-", fields="spec.nodeName!=bar1"),
    Scope("a name", "foo1=+ foo2= foo1!=~ foo2!=", "foo1", "metadata.name=foo1", recursive=False),
    Scope(
        "a name, by node",
        "foo1= foo2= foo1!= foo2!= foo1@bar1=+",
        "foo1",
        "metadata.name=foo1,spec.nodeName=bar1",
        recursive=False,
    ),
    Scope(
        "a name, by not the node",
        "foo1=+ foo2= foo1!=~ foo1@bar1=- foo2@bar1=",
        "foo1",
        "metadata.name=foo1,spec.nodeName!=bar1",
        recursive=False,
    ),
]

NAMESPACED = [
    Scope("everything", "ns1/foo1=+ ns2/foo2=+ ns1/foo1!=~ ns2/foo2!=~"),
    Scope(
        "everything, by namespace",
        "ns1/foo1=+ ns2/foo1= ns1/foo1!=~ ns2/foo1!=",
        fields="metadata.namespace=ns1",
    ),
    Scope(
        "everything, by node",
        "ns1/foo1= ns2/foo2= ns1/foo1@bar1=+ ns2/foo2@bar1=+",
        fields="spec.nodeName=bar1",
    ),
    Scope(
        "everything, by not the node",
        "ns1/foo1=+ ns1/foo2=+ ns1/foo1!=~ ns1/foo1@bar1=-",
        fields="spec.nodeName!=bar1",
    ),
    Scope("a namespace", "ns1/foo1=+ ns2/foo1= ns1/foo2=+ ns1/foo1!=~ ns2/foo1!=", "ns1"),
    Scope("a namespace, by itself", "ns1/foo1=+ ns2/foo1= ns1/foo1!=~", "ns1", "metadata.namespace=ns1"),
    Scope("a namespace, by another", "ns1/foo1= ns2/foo1= ns1/foo1!= ns2/foo1!=", "ns1", "metadata.namespace=ns2"),
    Scope(
        "a namespace, by node",
        "ns1/foo1= ns1/foo1@bar1= ns2/foo1@bar2= ns1/foo1@bar2=+",
        "ns1",
        "spec.nodeName=bar2",
    ),
    Scope(
        "a namespace, by not the node",
        "ns1/foo1= ns2/foo1=+ ns2/foo1@bar1=- ns2/foo1@bar2=+",
        "ns2",
        "spec.nodeName!=bar1",
    ),
    Scope(
        "everything, by name",
        "ns1/foo1=+ ns2/foo1=+ ns1/foo2= ns1/foo1!=~ ns1/foo1@bar1=~",
        fields="metadata.name=foo1",
    ),
    Scope(
        "everything, by name and namespace",
        "ns1/foo1=+ ns1/foo2= ns2/foo1= ns1/foo1!=~ ns1/foo1@bar1=~",
        fields="metadata.name=foo1,metadata.namespace=ns1",
    ),
    Scope(
        "everything, by name and node",
        "ns1/foo1= ns1/foo1!= ns1/foo1@bar1=+",
        fields="metadata.name=foo1,spec.nodeName=bar1",
    ),
    Scope(
        "everything, by name and not the node",
        "ns1/foo1=+ ns1/foo2= ns1/foo1!=~ ns1/foo1@bar1=- ns1/foo1@bar2=+",
        fields="metadata.name=foo1,spec.nodeName!=bar1",
    ),
    Scope(
        "a name",
        "ns1/foo1=+ ns1/foo2= ns1/foo1!=~ ns1/foo1@bar1=~",
        "ns1/foo1",
        "metadata.name=foo1",
        recursive=False,
    ),
    Scope(
        "a name, by namespace",
        "ns1/foo1= ns1/foo2=+ ns1/foo1!= ns1/foo2@bar1=~",
        "ns1/foo2",
        "metadata.name=foo2,metadata.namespace=ns1",
        recursive=False,
    ),
    Scope(
        "a name, by namespace and node",
        "ns1/foo1= ns1/foo2= ns2/foo1= ns1/foo1!= ns1/foo1@bar1=+",
        "ns1/foo1",
        "metadata.name=foo1,metadata.namespace=ns1,spec.nodeName=bar1",
        recursive=False,
    ),
    Scope(
        "a name, by namespace and not the node",
        "ns1/foo1= ns2/foo2= ns1/foo2=+ ns1/foo2!=~ ns1/foo2@bar1=-",
        "ns1/foo2",
        "metadata.name=foo2,metadata.namespace=ns1,spec.nodeName!=bar1",
        recursive=False,
    ),
]


async def check_scope(store: Fixture, scope: Scope) -> None:
    """Each step's event, or none, and none that was not expected."""
    start = (await store.list(fields=scope.fields or None)).revision
    known: dict[str, Object] = {}
    async with store.watching(scope.at, start, fields=scope.fields or None, recursive=scope.recursive) as watch:
        for step in scope.steps.split():
            target, _, seen = step.rpartition("=")
            path, _, node = target.rstrip("!").partition("@")
            written = await store.set(path, node=node, phase="Running" if target.endswith("!") else "")
            if seen == "-":
                await watch.expect(SEEN[seen], known[path].at_revision(written.revision))
            elif seen:
                await watch.expect(SEEN[seen], written)
            known[path] = written
        await watch.nothing()


def _add_cases() -> None:
    for row, scopes in (("ClusterScopedWatch", CLUSTER), ("NamespaceScopedWatch", NAMESPACED)):
        for scope in scopes:

            async def check(store: Fixture, scope: Scope = scope) -> None:
                await check_scope(store, scope)

            add_case(f"{row}: {scope.name}", f"[9.2 {row}] {scope.name}", check)


_add_cases()
