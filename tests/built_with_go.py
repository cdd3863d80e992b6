"""What the tests want that is built with Go: named by a variable, or kept where `.ci/*` puts it; or how to get it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

NO_GO = "no Go here"
"""How the reason of a skip begins where nothing could be built: such a skip is nobody's fault, and is allowed everywhere."""


def built(variable: str, pattern: str) -> str | None:
    """The path of a program; None where there is none. Of several versions the last."""
    if named := os.environ.get(variable):
        return named
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "watchcache"
    kept = Path(os.environ.get("WATCHCACHE_ETCD_CACHE") or usual)
    found = sorted(path for path in kept.glob(pattern) if path.suffix != ".new")
    return str(found[-1]) if found else None


def skip_without(what: str, program: str | None, variable: str, script: str) -> pytest.MarkDecorator:
    """Skips a test where `program` is missing, and says what would cure it."""
    cure = f"have a {what} built to test against: {variable}=$({script})"
    if shutil.which("go") is None and not Path("/usr/local/go/bin/go").exists():
        cure = f"{NO_GO}: install it (go.dev/doc/install), then {cure}"
    return pytest.mark.skipif(program is None, reason=cure)


KUBE_APISERVER = built("WATCHCACHE_KUBE_APISERVER", "kube-apiserver-*")
INFORMER = built("WATCHCACHE_INFORMER", "informer")

needs_kube_apiserver = skip_without("kube-apiserver", KUBE_APISERVER, "WATCHCACHE_KUBE_APISERVER", ".ci/kube-apiserver")
needs_informer = skip_without("client-go informer", INFORMER, "WATCHCACHE_INFORMER", ".ci/informer")
