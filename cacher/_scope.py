"""What a read is about: its key and its selector, brought together.

    key                     selector            told apart by
    /pods                   any                 the selector
    /pods/team-a            any                 the selector, with the namespace
    /pods/team-a/web-1      any                 the selector, with namespace and name
    anything else           any                 the selector, and then the key of each event

A router finds watches by namespace, name and fields, and knows no keys. Keys are namespace and name: that is what the middle
rows rely on. Whoever writes through an API server cannot make them disagree; a raw put into etcd can. Then a list goes by the
key and a watch by what the object says of itself, as in kube-apiserver, whose lists read a prefix of keys and whose dispatcher
finds a namespace's watches by metadata.namespace. Pure.

Source: kubernetes/apiserver pkg/storage/cacher/cacher.go (namespacedName, filterWithAttrsAndPrefixFunction).
Differs: there a watch's key must agree too, so that nobody is told of such an object but those who watch everything, and whose
first state shows it by its key; here the namespace that it claims is told of it.
"""

from __future__ import annotations

import msgspec

from watch import FieldRequirement, FieldSelector, Operator, Selector

from .storage import ListOptions


class Scope(msgspec.Struct, frozen=True):
    """What a watch is about: a selector for the router, and the keys, where no selector can name them."""

    selector: Selector
    prefix: str
    """What the keys of the state start with."""
    key: str
    is_recursive: bool
    is_exact: bool
    """The selector alone says it: keys are namespace and name, or there is no more to say."""

    @classmethod
    def of(cls, full: str, prefix: str, options: ListOptions) -> Scope:
        """Of a watch on `full`, of the resource whose keys start with `prefix`."""
        segments = full.removeprefix(prefix).split("/") if full != prefix else []
        selector = options.selector
        match segments:
            case []:
                is_exact = options.recursive  # the prefix itself is no object
            case [namespace, ""] if options.recursive:
                selector, is_exact = _within(selector, namespace), True
            case [namespace, name] if name:
                selector, is_exact = _within(selector, namespace, name), True
            case [name] if name:
                selector, is_exact = _within(selector, "", name), False  # another's, in a namespace, has that name too
            case _:
                is_exact = False
        start = narrowed_prefix(full, prefix, selector)
        return cls(selector, start, full, options.recursive, is_exact)

    def has(self, key: str) -> bool:
        """Whether a key of the state is meant."""
        return self.is_recursive or key == self.key


def _within(selector: Selector, namespace: str, name: str = "") -> Selector:
    """`selector`, and in that namespace ("": in any), and of that name."""
    requirements = list(selector.fields.requirements)
    if selector.namespace:
        requirements.append(FieldRequirement("metadata.namespace", Operator.EQUALS, selector.namespace))
    return Selector.of(namespace, name=name, labels=selector.labels, fields=FieldSelector.of(requirements))


def narrowed_prefix(full: str, prefix: str, selector: Selector) -> str:
    """The keys' common start, where the selector says the namespace and the key does not."""
    return f"{prefix}{selector.namespace}/" if selector.namespace and full == prefix else full
