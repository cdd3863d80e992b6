"""The door to etcd3: it runs on today's protobuf without a warning, says more than it did, and is not opened needlessly."""

from __future__ import annotations

import subprocess
import sys

from tests import source


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=source.ROOT, timeout=60
    )


def test_it_is_imported_without_a_warning_and_speaks_of_fragments_and_progress():
    done = run(
        "-W",
        "error",
        "-c",
        "from cacher.storage.etcd._etcd3 import rpc\n"
        "import etcd3\n"
        "create = rpc.WatchCreateRequest(key=b'k', fragment=True, watch_id=7)\n"
        "assert rpc.WatchCreateRequest.FromString(create.SerializeToString()) == create\n"
        "asked = rpc.WatchRequest(progress_request=rpc.WatchProgressRequest())\n"
        "assert asked.SerializeToString() == b'\\x1a\\x00'\n"
        "assert asked.WhichOneof('request_union') == 'progress_request'\n"
        "assert rpc.WatchResponse(fragment=True).SerializeToString() == b'\\x38\\x01'\n"
        "assert etcd3.etcdrpc.RangeRequest is rpc.RangeRequest\n"
        "assert type(create).__mro__[1].__module__ == 'google._upb._message', 'parsed in C'\n",
    )
    assert done.returncode == 0, done.stderr


def test_etcd3_imported_before_is_an_error_that_says_what_to_do():
    # Its own import fails on today's protobuf, and on an old one it would have claimed the messages' names.
    done = run(
        "-c",
        "import sys, types\nsys.modules['etcd3'] = types.ModuleType('etcd3')\nimport cacher.storage.etcd._etcd3",
    )
    assert done.returncode != 0
    assert "import cacher's remote etcd first" in done.stderr.splitlines()[-1]


def test_nobody_who_has_no_real_etcd_imports_grpc():
    """Neither the packages, nor a cluster on the embedded etcd that is opened and used."""
    done = run(
        "-c",
        "import sys, trio, trio.testing, cacher, cacher.simulation, cacher._cli\n"
        "async def main():\n"
        "    async with cacher.open_cluster() as cluster:\n"
        "        await cluster.etcd.put('/registry/pods/a/b', '{}')\n"
        "trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))\n"
        "found = [name for name in ('grpc', 'etcd3', 'google.protobuf') if name in sys.modules]\n"
        "assert not found, found\n",
    )
    assert done.returncode == 0, done.stderr
