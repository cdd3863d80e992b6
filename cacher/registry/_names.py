"""What may be a name, a label, a key: the rules of Kubernetes' names, in its words. Pure.

Every function returns what is wrong with a text, [] where nothing is. A NameCheck also takes prefixes, which `generateName` is.
Source: kubernetes/apimachinery pkg/util/validation/validation.go, pkg/api/validation/generic.go, path/name.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable

NameCheck = Callable[[str, bool], list[str]]
"""What is wrong with a name or, where the second argument is True, with what names are to begin with."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"

_OF_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character"
)
_OF_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character"
)
_OF_LABEL_1035 = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end "
    "with an alphanumeric character"
)
_OF_QUALIFIED = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_OF_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character"
)
_OF_CONFIG_KEY = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"

LABEL_BYTES_MAX = 63
SUBDOMAIN_BYTES_MAX = 253


def _mismatch(what: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{what} (e.g. {shown}regex used for validation is '{pattern}')"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _bytes(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def dns1123_subdomain(value: str) -> list[str]:
    """What most names are: labels joined by dots."""
    wrong = [_too_long(SUBDOMAIN_BYTES_MAX)] if _bytes(value) > SUBDOMAIN_BYTES_MAX else []
    if not re.fullmatch(_SUBDOMAIN, value):
        wrong.append(_mismatch(_OF_SUBDOMAIN, _SUBDOMAIN, "example.com"))
    return wrong


def dns1123_label(value: str) -> list[str]:
    """What namespaces are named by."""
    wrong = [_too_long(LABEL_BYTES_MAX)] if _bytes(value) > LABEL_BYTES_MAX else []
    if not re.fullmatch(_LABEL, value):
        is_dotted = re.fullmatch(_SUBDOMAIN, value) is not None
        wrong.append("must not contain dots" if is_dotted else _mismatch(_OF_LABEL, _LABEL, "my-name", "123-abc"))
    return wrong


def dns1035_label(value: str) -> list[str]:
    """What services are named by: the first character is a letter."""
    wrong = [_too_long(LABEL_BYTES_MAX)] if _bytes(value) > LABEL_BYTES_MAX else []
    if not re.fullmatch(_LABEL_1035, value):
        wrong.append(_mismatch(_OF_LABEL_1035, _LABEL_1035, "my-name", "abc-123"))
    return wrong


def qualified_name(value: str) -> list[str]:
    """What keys of labels and annotations, and finalizers, are: a name, perhaps with a domain and "/" before it."""
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        shape = _mismatch(_OF_QUALIFIED, _QUALIFIED, "MyName", "my.name", "123-abc")
        return [f"a qualified name {shape} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    wrong: list[str] = []
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif slash:
        wrong += [f"prefix part {problem}" for problem in dns1123_subdomain(prefix)]
    if not name:
        wrong.append("name part must be non-empty")
    elif _bytes(name) > LABEL_BYTES_MAX:
        wrong.append(f"name part {_too_long(LABEL_BYTES_MAX)}")
    if not re.fullmatch(_QUALIFIED, name):
        wrong.append(f"name part {_mismatch(_OF_QUALIFIED, _QUALIFIED, 'MyName', 'my.name', '123-abc')}")
    return wrong


def label_value(value: str) -> list[str]:
    """What a label's value may be."""
    wrong = [_too_long(LABEL_BYTES_MAX)] if _bytes(value) > LABEL_BYTES_MAX else []
    if not re.fullmatch(_VALUE, value):
        wrong.append(_mismatch(_OF_VALUE, _VALUE, "MyValue", "my_value", "12345"))
    return wrong


def config_key(value: str) -> list[str]:
    """What the keys of config maps and secrets may be."""
    wrong = [_too_long(SUBDOMAIN_BYTES_MAX)] if _bytes(value) > SUBDOMAIN_BYTES_MAX else []
    if not re.fullmatch(_CONFIG_KEY, value):
        wrong.append(_mismatch(_OF_CONFIG_KEY, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        wrong.append(f"must not be '{value}'")
    elif value.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def port_number(value: int) -> list[str]:
    """What a port may be."""
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def port_name(value: str) -> list[str]:
    """What a container's ports may be named by."""
    wrong = ["must be no more than 15 characters"] if len(value) > 15 else []
    if not re.fullmatch(r"[-a-z0-9]+", value):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", value):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in value:
        wrong.append("must not contain consecutive hyphens")
    if value[:1] == "-" or value[-1:] == "-":
        wrong.append("must not begin or end with a hyphen")
    return wrong


def path_segment(value: str) -> list[str]:
    """What any name may be at the least: it is a segment of a path."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return path_segment_prefix(value)


def path_segment_prefix(value: str) -> list[str]:
    """As `path_segment`, of what names begin with."""
    return [f"may not contain '{banned}'" for banned in ("/", "%") if banned in value]


def _without_trailing_dash(value: str) -> str:
    """A prefix may end in "-", since more comes after it."""
    return value[:-2] + "a" if len(value) > 1 and value.endswith("-") else value


def name_is_subdomain(name: str, is_prefix: bool) -> list[str]:
    """A NameCheck."""
    return dns1123_subdomain(_without_trailing_dash(name) if is_prefix else name)


def name_is_label(name: str, is_prefix: bool) -> list[str]:
    """A NameCheck."""
    return dns1123_label(_without_trailing_dash(name) if is_prefix else name)


def name_is_label_1035(name: str, is_prefix: bool) -> list[str]:
    """A NameCheck."""
    return dns1035_label(_without_trailing_dash(name) if is_prefix else name)


def name_is_path_segment(name: str, is_prefix: bool) -> list[str]:
    """A NameCheck."""
    return path_segment_prefix(name) if is_prefix else path_segment(name)
