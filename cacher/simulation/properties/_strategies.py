"""Objects, what a user does with them, and selectors, as Hypothesis draws them: few names and labels, so that they meet.

All of them shrink towards the first name, no labels, and the shortest text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from watch import Selector

from ..._resources import find_resource
from .._operations import AnyOperation, Create, Delete, JSONObject, Patch, Wait, split_resource

NAMES = ("a", "b", "c")
LABELS: Mapping[str, Sequence[str]] = {"app": ("web", "db"), "tier": ("front", "back")}
WAIT_MAX_S = 30
FLAGS = {"example.com/touched": st.sampled_from(("1", "2", "3"))}
"""What a patch changes where it is told nothing of the resource: an annotation."""

_CONTAINERS = [{"name": "c", "image": "example.com/app:1"}]


def labels(keys: Mapping[str, Sequence[str]] = LABELS) -> SearchStrategy[dict[str, str]]:
    """Some of `keys`, each with one of its values."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(tuple(values)) for key, values in keys.items()})


def objects(
    resource: str,
    *,
    names: Sequence[str] = NAMES,
    namespaces: Sequence[str] = ("default",),
    keys: Mapping[str, Sequence[str]] = LABELS,
    members: Mapping[str, SearchStrategy[Any]] | None = None,
) -> SearchStrategy[JSONObject]:
    """Objects of a resource such as "v1/pods", as a user creates them.

    Args:
        keys: the labels that they may have, and their values.
        members: what stands beside `metadata`, such as {"spec": …}. Known already for ConfigMaps, Secrets, Pods, Services,
            Deployments, ReplicaSets and StatefulSets; nothing for others.
    Raises:
        ValueError: there can be no such resource.
    """
    info = find_resource(*split_resource(resource))
    made = members if members is not None else _MEMBERS.get(info.kind, {})
    metadata: dict[str, SearchStrategy[Any]] = {"name": st.sampled_from(tuple(names))}
    if info.namespaced:
        metadata["namespace"] = st.sampled_from(tuple(namespaces))
    whole: SearchStrategy[Any] = st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries(metadata, optional={"labels": labels(keys).filter(bool)}),
            **made,
        }
    )
    return whole


def operations(
    resources: Mapping[str, SearchStrategy[JSONObject]],
    *,
    patches: Mapping[str, SearchStrategy[JSONObject]] | None = None,
    wait_max_s: int = WAIT_MAX_S,
) -> SearchStrategy[AnyOperation]:
    """What a user does: creates, changes and deletes objects of `resources`, and waits.

    Args:
        resources: the objects of each; a patch or a deletion is of the name that such an object has.
        patches: what is merged into an object, by resource; by default, other labels and an annotation.
    Raises:
        ValueError: there are no resources.
    """
    if not resources:
        raise ValueError('resources is empty: name some, such as {"v1/pods": objects("v1/pods")}')
    each: list[SearchStrategy[AnyOperation]] = []
    for resource, drawn in resources.items():
        patch = (patches or {}).get(resource, _changes())
        each.append(st.builds(Create, st.just(resource), drawn))
        each.append(st.builds(_patch, st.just(resource), drawn, patch))
        each.append(st.builds(_delete, st.just(resource), drawn))
    each.append(st.builds(Wait, st.integers(1, wait_max_s).map(float)))
    return st.one_of(each)


def label_selectors(keys: Mapping[str, Sequence[str]] = LABELS) -> SearchStrategy[str]:
    """Texts of the grammar of label selectors, of up to three terms; "" selects everything."""
    return st.lists(st.sampled_from(sorted(keys)).flatmap(lambda key: _label_term(key, keys[key])), max_size=3).map(
        ",".join
    )


def field_selectors(
    resource: str, *, names: Sequence[str] = NAMES, values: Sequence[str] = ("", "Running", "node-1")
) -> SearchStrategy[str]:
    """Texts of field selectors over what can be selected by in `resource`; "" selects everything.

    Args:
        values: what its own fields may be compared with; names are compared with `names`.
    """
    own = [path for path in find_resource(*split_resource(resource)).fields if not path.startswith("metadata.")]
    by_name = st.builds("metadata.name{}{}".format, _IS, st.sampled_from(tuple(names)))
    terms = [by_name]
    if own:
        terms.append(st.builds("{}{}{}".format, st.sampled_from(own), _IS, st.sampled_from(tuple(values))))
    return st.lists(st.one_of(terms), max_size=2).map(",".join)


def selectors(
    resource: str,
    *,
    names: Sequence[str] = NAMES,
    namespaces: Sequence[str] = ("default",),
    keys: Mapping[str, Sequence[str]] = LABELS,
) -> SearchStrategy[Selector]:
    """Selectors of `resource`: by namespace, labels and fields, together or not at all."""
    inside: SearchStrategy[str | None] = st.none()
    if find_resource(*split_resource(resource)).namespaced:
        inside = st.none() | st.sampled_from(tuple(namespaces))
    return st.builds(
        lambda namespace, by_label, by_field: Selector.of(
            namespace=namespace, labels=by_label or None, fields=by_field or None
        ),
        inside,
        label_selectors(keys),
        field_selectors(resource, names=names),
    )


# ---- inside ----------------------------------------------------------------------------------------------------------

_IS = st.sampled_from(("=", "==", "!="))


def _label_term(key: str, values: Sequence[str]) -> SearchStrategy[str]:
    some = st.lists(st.sampled_from(tuple(values)), min_size=1, max_size=2, unique=True).map(",".join)
    return st.one_of(
        st.just(key),
        st.just(f"!{key}"),
        st.builds(f"{key}{{}}{{}}".format, _IS, st.sampled_from(tuple(values))),
        st.builds(f"{key} {{}} ({{}})".format, st.sampled_from(("in", "notin")), some),
    )


def _changes() -> SearchStrategy[JSONObject]:
    """Patches that any object takes: a label more, other or less, an annotation."""
    other = {key: st.none() | st.sampled_from(tuple(values)) for key, values in LABELS.items()}
    return st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries(
                {}, optional={"labels": st.fixed_dictionaries({}, optional=other), "annotations": st.fixed_dictionaries(FLAGS)}
            )
        }
    )  # fmt: skip


def _patch(resource: str, obj: JSONObject, patch: JSONObject) -> Patch:
    return Patch(resource, obj["metadata"]["name"], patch, obj["metadata"].get("namespace", ""))


def _delete(resource: str, obj: JSONObject) -> Delete:
    return Delete(resource, obj["metadata"]["name"], obj["metadata"].get("namespace", ""))


def _workload(**beside: Any) -> dict[str, SearchStrategy[Any]]:
    chosen = {"app": "web"}
    template = {"metadata": {"labels": chosen}, "spec": {"containers": _CONTAINERS}}
    spec = {"selector": {"matchLabels": chosen}, "template": template, **beside}
    return {"spec": st.integers(0, 3).map(lambda replicas: {"replicas": replicas, **spec})}


_TEXTS = st.dictionaries(st.sampled_from(("k", "l")), st.sampled_from(("1", "2", "3")), max_size=2)
_MEMBERS: dict[str, dict[str, SearchStrategy[Any]]] = {
    "ConfigMap": {"data": _TEXTS},
    "Secret": {"stringData": _TEXTS},
    "Pod": {"spec": st.just({"containers": _CONTAINERS})},
    "Service": {"spec": st.just({"selector": {"app": "web"}, "ports": [{"port": 80}]})},
    "Deployment": _workload(),
    "ReplicaSet": _workload(),
    "StatefulSet": _workload(serviceName="web"),
}
