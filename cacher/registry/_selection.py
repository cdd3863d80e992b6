"""Where a list or a watch looks: the whole resource, a namespace, or one object, by what its selector says. Pure.

Source: kubernetes/apiserver pkg/registry/generic/registry/store.go (ListPredicate, WatchPredicate).
"""

from __future__ import annotations

import msgspec

from watch import Operator, Selector

from ..storage import ListOptions
from ._names import path_segment


def narrowed(prefix: str, namespace: str, options: ListOptions, *, namespaced: bool) -> tuple[str, ListOptions]:
    """The key to read under, and how: `recursive` is False where one name is selected.

    The selector keeps all of its terms: they decide, the key only saves work. A page goes on where the one before it ended.
    """
    selector = options.selector
    if namespaced and not namespace and selector.namespace and not path_segment(selector.namespace):
        namespace = selector.namespace
    root = f"{prefix}/{namespace}" if namespaced and namespace else prefix
    name = selected_name(selector)
    if name and not options.continue_token and not path_segment(name) and (namespace or not namespaced):
        return f"{root}/{name}", msgspec.structs.replace(options, recursive=False)
    return root, msgspec.structs.replace(options, recursive=True)


def selected_name(selector: Selector) -> str:
    """The one name that the selector lets through; "" where it names none."""
    for requirement in selector.fields.requirements:
        if requirement.path == "metadata.name" and requirement.operator is Operator.EQUALS:
            return requirement.value
    return ""
