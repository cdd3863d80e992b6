"""The file by which clients find the server: its address, the authority to trust, and the token.

It holds a secret, so nobody else may read it, and it replaces only what was written here before: what a user's own
kubeconfig knows of other clusters is not ours to lose.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import tempfile
from pathlib import Path

MARK = "# Written by watchcache serve, and written anew at its next start."
"""The first line of every such file."""

_FORM = """\
{mark}
apiVersion: v1
kind: Config
clusters:
- name: watchcache
  cluster:
    server: {server}
{authority}contexts:
- name: watchcache
  context:
    cluster: watchcache
    user: watchcache
    namespace: default
current-context: watchcache
users:
- name: watchcache
  user:{user}
"""


class KubeconfigRefused(Exception):
    """The file is somebody else's; the message says what to do."""


def kubeconfig_text(server: str, *, authority: str = "", token: str = "") -> str:
    """The file's text.

    Args:
        server: the URL.
        authority: the certificate of the authority, as PEM; "": the system's are trusted, or it is plain HTTP.
        token: "": none is asked for, or whoever uses the file has one of their own.
    """
    encoded = base64.b64encode(authority.encode("ascii")).decode("ascii")
    return _FORM.format(
        mark=MARK,
        server=json.dumps(server),
        authority=f"    certificate-authority-data: {encoded}\n" if authority else "",
        user=f"\n    token: {json.dumps(token)}" if token else " {}",
    )


def check_writable(path: Path) -> None:
    """Return where the file may be written: it is not there, or it is one of ours.

    Raises:
        KubeconfigRefused: it is somebody else's.
        OSError: it cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline().rstrip("\n")
    except FileNotFoundError:
        return
    if first != MARK:
        raise KubeconfigRefused(
            f"{path} is there and was not written by this command: name another file, or move it away (KUBECONFIG may "
            "name several files at once)"
        )


def write_kubeconfig(path: Path, text: str) -> None:
    """Write the file, whole or not at all, for its owner alone.

    Raises:
        KubeconfigRefused: there is one that is somebody else's.
        OSError: it cannot be written.
    """
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
