"""The door to YAML: bodies that are written in it, and answers to those who ask for it. The only file that imports yaml.

PyYAML, because Go's library reads the same YAML 1.1 and folds lines by the same rules (both come from libyaml), because it is
what everybody has, and because its C parser takes 1 ms for what a person writes. What it reads is narrowed to what JSON has:
no tags, no dates, no numbers to the base 60; a key is a text, and an alias may not make of a small text a huge object.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

VALUES_MAX = 200_000
"""Values in a document, those that aliases repeat counted each time."""
DEPTH_MAX = 200
"""Values in each other. YAML that people write has some twenty."""


class BadYAML(ValueError):
    """The text is no YAML, or not such as has an equal in JSON."""


class _Loader(yaml.SafeLoader):
    """Reads what Kubernetes' library does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """With texts for names: Python takes 1 and true for one key."""
        self.flatten_mapping(node)
        pairs = [(self.construct_object(name, deep=True), value) for name, value in node.value]
        return {_key(name): self.construct_object(value, deep=deep) for name, value in pairs}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_READ]
    for _NOT_READ in (("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"),)
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = re.compile(r"[-+]?(?:0b[0-1_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


class _Dumper(yaml.SafeDumper):
    """Writes as Kubernetes' library does: what two members share is written twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_yaml(text: bytes) -> Any:
    """The document as JSON data; of several the first.

    Raises:
        BadYAML.
    Cost: some 50 µs a line.
    """
    try:
        loader = _Loader(text.decode("utf-8", "replace"))
        try:
            node = loader.get_node() if loader.check_node() else None
            if node is None:
                return None
            _check_size(node)
            return _plain(loader.construct_document(node))
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadYAML(_told(error)) from error


def write_yaml(value: Any) -> bytes:
    """JSON data as YAML, members in order of their names."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, default_flow_style=False, width=80).encode()


def _check_size(node: yaml.Node) -> None:
    """Raises BadYAML where the document nests too deep, or its aliases stand for too much."""
    values = 0
    level = [node]
    for _ in range(DEPTH_MAX):
        below: list[yaml.Node] = []
        for one in level:
            if isinstance(one, yaml.MappingNode):
                below += [part for pair in one.value for part in pair]
            elif isinstance(one, yaml.SequenceNode):
                below += one.value
        values += len(below)
        if values > VALUES_MAX:
            raise BadYAML("yaml: document contains excessive aliasing")
        if not below:
            return
        level = below
    raise BadYAML("yaml: exceeded max depth")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, (bytes, set)):
        raise BadYAML("yaml: a value is of a type that JSON does not have")
    return value


def _key(name: Any) -> str:
    if isinstance(name, bool):
        return "true" if name else "false"
    return "null" if name is None else str(name)


def _told(error: Exception) -> str:
    if isinstance(error, BadYAML):
        return str(error)
    if isinstance(error, yaml.MarkedYAMLError):
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        return f"yaml: {line}{error.problem}"
    return f"yaml: {error}"
