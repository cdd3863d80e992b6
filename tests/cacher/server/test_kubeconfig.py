"""The kubeconfig: what is in it, who may read it, and whose files it never replaces."""

from __future__ import annotations

import stat

import pytest

from cacher.server._kubeconfig import MARK, KubeconfigRefused, check_writable, kubeconfig_text, write_kubeconfig


def test_it_names_the_server_the_authority_and_the_token():
    text = kubeconfig_text("https://127.0.0.1:6443", authority="PEM", token="s3cret")
    assert text.splitlines() == [
        MARK,
        "apiVersion: v1",
        "kind: Config",
        "clusters:",
        "- name: watchcache",
        "  cluster:",
        '    server: "https://127.0.0.1:6443"',
        "    certificate-authority-data: UEVN",
        "contexts:",
        "- name: watchcache",
        "  context:",
        "    cluster: watchcache",
        "    user: watchcache",
        "    namespace: default",
        "current-context: watchcache",
        "users:",
        "- name: watchcache",
        "  user:",
        '    token: "s3cret"',
    ]


def test_plain_http_needs_neither():
    text = kubeconfig_text("http://127.0.0.1:8001")
    assert "authority" not in text
    assert text.endswith("  user: {}\n")


def test_nobody_else_may_read_it(tmp_path):
    path = tmp_path / "new" / "kubeconfig"
    write_kubeconfig(path, f"{MARK}\none\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write_kubeconfig(path, f"{MARK}\ntwo\n")
    assert path.read_text(encoding="utf-8") == f"{MARK}\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["kubeconfig"]


@pytest.mark.parametrize("content", [b"", b"apiVersion: v1\n", b"\xff\xfe", f" {MARK}\n".encode()])
def test_what_somebody_else_wrote_is_never_replaced(tmp_path, content):
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(KubeconfigRefused, match="name another file"):
        check_writable(path)
    with pytest.raises(KubeconfigRefused):
        write_kubeconfig(path, "ours")
    assert path.read_bytes() == content


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "config").mkdir()
    with pytest.raises(OSError):
        write_kubeconfig(tmp_path / "config", "ours")
    assert [one.name for one in tmp_path.iterdir()] == ["config"]
