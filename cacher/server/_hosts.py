"""Who may ask a server that knows nobody: programs on this machine, and no web page that a browser here shows. Pure.

A page from elsewhere can make a browser send requests to 127.0.0.1, under a name of its own that it points there; its Host, or
its Origin, gives it away.
"""

from __future__ import annotations

import ipaddress

from ._request import Head


def is_foreign(head: Head) -> bool:
    """Whether the request comes by a name, or from a page, that is not this machine's own."""
    host = head.header("host")
    if host and not is_loopback(_name_of(host)):
        return True
    # A page that another server of this machine shows is foreign too: whoever made it need not be its user.
    origin = head.header("origin").lower()
    return bool(origin) and origin != f"http://{host.lower()}"


def is_loopback(name: str) -> bool:
    """Whether a host's name, or address, is this machine's own."""
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str:
    """The host of `host:port`; "" where it is neither a name nor an address."""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        return name + bracket if not port or port.startswith(":") else ""
    return host.rpartition(":")[0] if ":" in host else host
