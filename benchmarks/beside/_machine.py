"""Where and with what a run was made: versions, cores, the processor's model. No paths, no host names."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import msgspec

PACKAGES = ("trio", "msgspec", "sortedcontainers", "outcome")
PEERS = Path(__file__).parent.parent / "peers"


class Machine(msgspec.Struct, frozen=True):
    """Stands beside the figures."""

    date: str
    processor: str
    cores: int
    system: str
    python: str
    packages: dict[str, str]
    peers: dict[str, str]
    """Their modules, and what they were built with."""
    load: float
    """Of the last minute, when the run began: above 0.5 the machine was not ours alone."""


def machine() -> Machine:
    """This one, now."""
    modules = (PEERS / "cacher" / "go.mod").read_text()
    found = dict(re.findall(r"^\t(k8s\.io/(?:apiserver|client-go)) (\S+)$", modules, re.MULTILINE))
    go = re.search(r"^go (\S+)$", modules, re.MULTILINE)
    return Machine(
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        processor=_processor(),
        cores=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: version(name) for name in PACKAGES},
        peers={**found, "go": go[1] if go else "?"},
        load=os.getloadavg()[0],
    )


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists() and (found := re.search(r"^model name\s*: (.*)$", told.read_text(), re.MULTILINE)):
        return found[1].strip()
    return platform.processor() or "unknown"


def described(one: Machine) -> str:
    """In a line."""
    with_what = ", ".join(f"{name} {number}" for name, number in {**one.packages, **one.peers}.items())
    return (
        f"{one.date}; {one.processor}, {one.cores} cores, {one.system}; {one.python}, {with_what}; "
        f"load when it began {one.load:.1f}"
    )
