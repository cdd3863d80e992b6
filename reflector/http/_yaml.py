"""The door to PyYAML: kubeconfigs are written in YAML. Imported when the first one is read."""

from __future__ import annotations

from typing import Any


def read_yaml(text: str) -> Any:
    """The one document in `text`, as JSON data.

    Raises:
        ValueError: it is no YAML; the message says where.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where the wheel has it
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from error
