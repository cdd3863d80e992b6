"""Keys: what a storage's caller may name, and where etcd keeps it.

    /pods/team-a/web-1      the caller's key: the resource's prefix, the namespace, the name
    /registry/pods/team-a/web-1     etcd's: below the root of the whole server

A recursive read gets a "/" at the end of its key, so that "/pods/a" never reads "/pods/ab". Pure.

Source: kubernetes/apiserver pkg/storage/util.go (PrepareKey), etcd3/store.go (New, prepareKey).
"""

from __future__ import annotations

from ._errors import InvalidKey

_GO_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}


def prepare_key(resource_prefix: str, key: str, *, recursive: bool) -> str:
    """`key` as it is looked up: checked, and ending in "/" where all below it is meant.

    Raises:
        InvalidKey: it is empty, climbs ("." and ".." are no segments), or is not below `resource_prefix`.
    """
    segments = key.split("/")
    if ".." in segments or "." in segments:
        raise InvalidKey(f"invalid key: {go_quoted(key)}")
    if key in ("", "/"):
        raise InvalidKey(f"empty key: {go_quoted(key)}")
    if recursive and not key.endswith("/"):
        key += "/"
    prefix = with_slash(resource_prefix)
    if not key.startswith(prefix):
        raise InvalidKey(f"invalid key: {go_quoted(key)} lacks resource prefix: {go_quoted(prefix)}")
    return key


def prepare_root(root: str) -> str:
    """The root of all keys in etcd, with one "/" at either end, however it was written: "registry" is "/registry/"."""
    segments: list[str] = []
    for segment in root.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "".join(f"{segment}/" for segment in segments)


def check_resource_prefix(resource_prefix: str) -> str:
    """`resource_prefix` as it is, if all keys of a resource can start with it.

    Raises:
        InvalidKey: it is empty, all of "/", or does not start with "/".
    """
    if not resource_prefix:
        raise InvalidKey("resourcePrefix cannot be empty")
    if resource_prefix == "/":
        raise InvalidKey("resourcePrefix cannot be /")
    if not resource_prefix.startswith("/"):
        raise InvalidKey("resourcePrefix needs to start from /")
    return resource_prefix


def with_slash(path: str) -> str:
    """`path` with a "/" at its end."""
    return path if path.endswith("/") else path + "/"


def go_quoted(text: str) -> str:
    """`text` as Go's %q writes it, which is what Kubernetes' messages hold."""
    return '"' + "".join(_GO_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
