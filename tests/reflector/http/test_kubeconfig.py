"""Kubeconfigs: several merged, one context of them, and what cannot be used told in words; where a program finds its server."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from reflector.http import ExecPlugin, Kubeconfig, KubeconfigError, Login, ServerIdentity, ServerSettings
from reflector.http._places import find_settings, pod_settings
from reflector.http._settings import endpoint_of

HOME = """
apiVersion: v1
kind: Config
current-context: work
clusters:
- name: office
  cluster: {server: "https://10.0.0.1:6443", certificate-authority: ca.crt, tls-server-name: api.example.com}
- name: lab
  cluster: {server: "http://127.0.0.1:8001"}
contexts:
- name: work
  context: {cluster: office, user: me, namespace: team-a}
- name: play
  context: {cluster: lab}
users:
- name: me
  user: {token: secret}
"""


def home(text=HOME, *, path="kube/config"):
    return Kubeconfig([(Path(path), text)])


def user(text):
    """The settings of a user written so."""
    return home(HOME.replace("{token: secret}", text)).settings()


def test_the_current_context_is_a_cluster_a_user_and_a_namespace():
    assert home().settings() == ServerSettings(
        "https://10.0.0.1:6443",
        ServerIdentity(authority=Path("kube/ca.crt"), server_name="api.example.com"),
        Login(token="secret"),
        namespace="team-a",
        name="work",
    )


def test_another_context_may_be_chosen_and_need_have_no_user():
    assert home().contexts == ("work", "play")
    assert home().settings("play") == ServerSettings("http://127.0.0.1:8001", name="play")


def test_of_several_files_the_first_to_say_a_thing_says_it_and_paths_are_meant_from_their_own():
    first = """
current-context: other
contexts: [{name: work, context: {cluster: office, user: you}}]
users: [{name: you, user: {tokenFile: token}}]
"""
    both = Kubeconfig([(Path("a/one"), first), (Path("b/two"), HOME)])
    last = HOME.replace("10.0.0.1", "10.0.0.2").replace("team-a", "team-b").replace("secret", "other")
    assert Kubeconfig([(Path("kube/config"), HOME), (Path("c/three"), last)]).settings() == home().settings()
    assert both.current_context == "other"
    settings = both.settings("work")
    assert (settings.login, settings.identity.authority) == (Login(token_file=Path("a/token")), Path("b/ca.crt"))


def test_data_in_the_file_goes_before_files_beside_it():
    pem = base64.b64encode(b"PEM").decode()
    text = f"{{client-certificate: c.crt, client-certificate-data: {pem}, client-key: c.key}}"
    login = user(text).login
    assert (login.certificate, login.key) == (b"PEM", Path("kube/c.key"))


def test_a_plugin_is_a_command_that_is_looked_for_beside_the_file_or_on_path():
    text = """{exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [-a, "1"],
        env: [{name: A, value: b}], installHint: get it, provideClusterInfo: true, interactiveMode: IfAvailable}}"""
    assert user(text).login.plugin == ExecPlugin(
        "kube/bin/login", "client.authentication.k8s.io/v1", ("-a", "1"), (("A", "b"),), "get it", True
    )
    assert user(text.replace("bin/login", "login")).login.plugin.command == "login"


def test_who_is_acted_for_is_told_in_headers():
    text = "{token: t, as: you, as-uid: '7', as-groups: [a, b], as-user-extra: {scope: [x, y]}}"
    assert user(text).login.impersonation == (
        ("Impersonate-User", "you"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-scope", "x"),
        ("Impersonate-Extra-scope", "y"),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "kube/config is no kubeconfig: it is no YAML"),
        ("- a\n- b", "is no kubeconfig: Expected `object`"),
        ("clusters: 7", r"is no kubeconfig: .*\$.clusters"),
        ("", "no context is current: choose one of none"),
        (HOME.replace("current-context: work", "current-context: x"), "no context 'x': there are work, play"),
        (HOME.replace("cluster: office", "cluster: x"), "no cluster 'x': there are office, lab"),
        (HOME.replace("user: me", "user: x"), "no user 'x': there are me"),
        (
            HOME.replace("certificate-authority: ca.crt", "certificate-authority-data: '*'"),
            "certificate-authority-data is not base64",
        ),
        (HOME.replace('server: "https://10.0.0.1:6443", ', ""), "the cluster 'office' names no server"),
        (HOME.replace("certificate-authority: ca.crt", "proxy-url: http://p"), "proxy-url, which is not supported"),
        (HOME.replace("{token: secret}", "{auth-provider: {name: gcp}}"), "auth-provider, which Kubernetes took out"),
        (HOME.replace("{token: secret}", "{client-key: k}"), "a client-certificate or a client-key, and not the other"),
        (HOME.replace("{token: secret}", "{as-groups: [a]}"), "not as anybody"),
        (HOME.replace("{token: secret}", "{exec: {command: a}}"), "an exec plugin of version ''"),
        (HOME.replace("{token: secret}", "{exec: {apiVersion: client.authentication.k8s.io/v1}}"), "without a command"),
        (
            HOME.replace(
                "{token: secret}",
                "{exec: {apiVersion: client.authentication.k8s.io/v1, command: a, interactiveMode: Always}}",
            ),
            "always asks questions",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_words(text, told):
    with pytest.raises(KubeconfigError, match=told):
        home(text).settings()


def test_no_secret_is_shown():
    login = Login(token="hush", username="me", password="hush", certificate=b"hush", key=b"hush")
    settings = ServerSettings("https://h", login=login)
    assert "hush" not in repr(settings)
    assert "a token" in repr(settings)


# --- the URL ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("https://h", (True, "h", 443, "", "h")),
        ("https://h:6443/", (True, "h", 6443, "", "h:6443")),
        ("http://h", (False, "h", 80, "", "h")),
        ("https://h/k8s/clusters/c-1/", (True, "h", 443, "/k8s/clusters/c-1", "h")),
        ("https://[::1]:8443", (True, "::1", 8443, "", "[::1]:8443")),
        ("h:6443", (True, "h", 6443, "", "h:6443")),
    ],
)
def test_a_url_is_a_host_a_port_and_a_path(url, where):
    found = endpoint_of(ServerSettings(url))
    assert (found.is_tls, found.host, found.port, found.path, found.authority) == where


@pytest.mark.parametrize("url", ["", "ftp://h", "https://", "https://h:port", "https://u:p@h", "https://h?x=1"])
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(ValueError, match="URL"):
        endpoint_of(ServerSettings(url))


@pytest.mark.parametrize("login", [Login(token="t"), Login(username="u"), Login(token_file=Path("t"))])
def test_credentials_are_never_sent_in_the_clear(login):
    with pytest.raises(ValueError, match="would be sent over plain HTTP"):
        endpoint_of(ServerSettings("http://127.0.0.1", login=login))


# --- where a program finds its server --------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path):
    """A home, a pod's directory, and two kubeconfigs."""
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(HOME)
    (tmp_path / "other").write_text(HOME.replace("current-context: work", "current-context: play"))
    pod = tmp_path / "pod"
    pod.mkdir()
    (pod / "token").write_text("t\n")
    (pod / "ca.crt").write_text("PEM")
    (pod / "namespace").write_text("team-b\n")
    return tmp_path


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def test_the_order_of_places(places):
    def name(environment, **asked):
        return find_settings(environment, places, pod_directory=places / "pod", **asked).name

    everywhere = {**IN_POD, "KUBECONFIG": f"{places}/missing:{places}/other"}
    assert name(everywhere, kubeconfig=places / ".kube/config") == "work"
    assert name(everywhere) == "play"
    assert name(IN_POD) == "in-cluster"
    assert name({}) == "work"
    assert name(IN_POD, context="play") == "play"  # a context is of a kubeconfig


def test_a_pod_finds_the_server_of_its_cluster(places):
    pod = places / "pod"
    assert pod_settings(IN_POD, pod) == ServerSettings(
        "https://10.96.0.1:443",
        ServerIdentity(authority=pod / "ca.crt"),
        Login(token_file=pod / "token"),
        namespace="team-b",
        name="in-cluster",
    )
    six = pod_settings({**IN_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, pod)
    assert six.url == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    ("environment", "asked", "told"),
    [
        ({}, {}, "no API server is named"),
        ({"KUBECONFIG": "/nowhere/config"}, {}, "no such file is there"),
        ({}, {"kubeconfig": "/nowhere/config"}, "cannot be read"),
    ],
)
def test_where_there_is_nothing_it_is_said(tmp_path, environment, asked, told):
    with pytest.raises(KubeconfigError, match=told):
        find_settings(environment, tmp_path, pod_directory=tmp_path, **asked)


def test_what_is_no_pod_is_told_so(tmp_path):
    with pytest.raises(KubeconfigError, match="this is no pod with a service account"):
        pod_settings(IN_POD, tmp_path)
