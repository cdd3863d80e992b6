"""Kubeconfig files: several merged into one, and of that a context as ServerSettings. Pure.

    ~/.kube/config, or what $KUBECONFIG lists ─► merged: who says a thing first, says it ─► context ─► cluster + user

Relative paths are meant from the directory of the file that has them.
Source: client-go tools/clientcmd (loader.go, client_config.go); the format: kubernetes.io/docs/reference/config-api/kubeconfig.v1.
Differs: what cannot be used (a proxy, a plugin that asks questions, the auth-provider that left Kubernetes in 1.26) is
refused in words, where something else would otherwise be tried with other credentials than those meant.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ._settings import PEM, ExecPlugin, Login, ServerIdentity, ServerSettings
from ._yaml import read_yaml

EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


class KubeconfigError(ValueError):
    """What a kubeconfig says cannot be used: correct it where the message points."""


class _Cluster(msgspec.Struct, frozen=True, rename="kebab"):
    server: str = ""
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class _EnvironmentVariable(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class _Exec(msgspec.Struct, frozen=True, rename="camel"):
    command: str = ""
    api_version: str = ""
    args: tuple[str, ...] | None = ()
    env: tuple[_EnvironmentVariable, ...] | None = ()
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class _User(msgspec.Struct, frozen=True, rename="kebab"):
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    username: str = ""
    password: str = ""
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    as_user: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: tuple[str, ...] | None = ()
    as_user_extra: dict[str, tuple[str, ...]] | None = None
    auth_provider: dict[str, Any] | None = None
    plugin: _Exec | None = msgspec.field(default=None, name="exec")


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""
    namespace: str = ""


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    cluster: _Cluster | None = None


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    user: _User | None = None


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context | None = None


class _File(msgspec.Struct, frozen=True, rename="kebab"):
    clusters: tuple[_NamedCluster, ...] | None = ()
    users: tuple[_NamedUser, ...] | None = ()
    contexts: tuple[_NamedContext, ...] | None = ()
    current_context: str = ""


_T = TypeVar("_T")
_Found = tuple[_T, Path]
"""What an entry says, and the directory that its paths are meant from."""


class Kubeconfig:
    """What one or several files say together. `files`: their paths and texts, the most important first.

    Raises:
        KubeconfigError: one of them is no kubeconfig.
    """

    def __init__(self, files: Sequence[tuple[Path, str]]) -> None:
        self._clusters: dict[str, _Found[_Cluster]] = {}
        self._users: dict[str, _Found[_User]] = {}
        self._contexts: dict[str, _Context] = {}
        self.current_context = ""
        for path, text in files:
            self._add(path, text)

    @property
    def contexts(self) -> tuple[str, ...]:
        """The names to choose from."""
        return tuple(self._contexts)

    def settings(self, context: str = "") -> ServerSettings:
        """The server of a context, and who asks it; "": of the current one.

        Raises:
            KubeconfigError: there is no such context, or it cannot be used.
        """
        name = context or self.current_context
        if not name:
            raise KubeconfigError(f"no context is current: choose one of {_listed(self._contexts)}")
        chosen = _entry(self._contexts, "context", name)
        cluster, directory = _entry(self._clusters, "cluster", chosen.cluster)
        if not cluster.server:
            raise KubeconfigError(f"the cluster {chosen.cluster!r} names no server")
        if cluster.proxy_url:
            raise KubeconfigError(f"the cluster {chosen.cluster!r} is behind a proxy-url, which is not supported here")
        login = Login()
        if chosen.user:
            user, beside = _entry(self._users, "user", chosen.user)
            login = _login(user, f"the user {chosen.user!r}", beside)
        identity = ServerIdentity(
            authority=_pem(
                cluster.certificate_authority_data, cluster.certificate_authority, directory, "certificate-authority"
            ),
            server_name=cluster.tls_server_name,
            is_verified=not cluster.insecure_skip_tls_verify,
        )
        return ServerSettings(cluster.server, identity, login, chosen.namespace or "default", name)

    def _add(self, path: Path, text: str) -> None:
        try:
            file = msgspec.convert(read_yaml(text) or {}, _File)
        except (ValueError, msgspec.ValidationError) as error:
            raise KubeconfigError(f"{path} is no kubeconfig: {error}") from error
        for cluster in file.clusters or ():
            self._clusters.setdefault(cluster.name, (cluster.cluster or _Cluster(), path.parent))
        for user in file.users or ():
            self._users.setdefault(user.name, (user.user or _User(), path.parent))
        for context in file.contexts or ():
            self._contexts.setdefault(context.name, context.context or _Context())
        self.current_context = self.current_context or file.current_context


def _entry(entries: Mapping[str, _T], what: str, name: str) -> _T:
    found = entries.get(name)
    if found is None:
        raise KubeconfigError(f"there is no {what} {name!r}: there are {_listed(entries)}")
    return found


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _login(user: _User, who: str, directory: Path) -> Login:
    if user.auth_provider:
        raise KubeconfigError(f"{who} has an auth-provider, which Kubernetes took out in 1.26: use its exec plugin")
    certificate = _pem(user.client_certificate_data, user.client_certificate, directory, "client-certificate")
    key = _pem(user.client_key_data, user.client_key, directory, "client-key")
    if (certificate is None) != (key is None):
        raise KubeconfigError(f"{who} has a client-certificate or a client-key, and not the other")
    return Login(
        token=user.token,
        token_file=directory / user.token_file if user.token_file else None,
        username=user.username,
        password=user.password,
        certificate=certificate,
        key=key,
        plugin=_plugin(user.plugin, who, directory) if user.plugin is not None else None,
        impersonation=_impersonation(user, who),
    )


def _plugin(plugin: _Exec, who: str, directory: Path) -> ExecPlugin:
    if not plugin.command:
        raise KubeconfigError(f"{who} has an exec plugin without a command")
    if plugin.api_version not in EXEC_VERSIONS:
        raise KubeconfigError(
            f"{who} has an exec plugin of version {plugin.api_version!r}, and not one of {', '.join(EXEC_VERSIONS)}"
        )
    if plugin.interactive_mode == "Always":
        raise KubeconfigError(f"{who} has an exec plugin that always asks questions: nobody is here to answer them")
    # A name is looked for on PATH, a path is meant from where the file is.
    command = str(directory / plugin.command) if "/" in plugin.command else plugin.command
    return ExecPlugin(
        command,
        plugin.api_version,
        plugin.args or (),
        tuple((variable.name, variable.value) for variable in plugin.env or ()),
        plugin.install_hint,
        plugin.provide_cluster_info,
    )


def _impersonation(user: _User, who: str) -> tuple[tuple[str, str], ...]:
    headers = [("Impersonate-User", user.as_user)] if user.as_user else []
    headers += [("Impersonate-Uid", user.as_uid)] if user.as_uid else []
    headers += [("Impersonate-Group", group) for group in user.as_groups or ()]
    headers += [
        (f"Impersonate-Extra-{key}", value) for key, values in (user.as_user_extra or {}).items() for value in values
    ]
    if headers and not user.as_user:
        raise KubeconfigError(f"{who} acts with the groups of somebody else, and not as anybody: say `as`")
    return tuple(headers)


def _pem(data: str, file: str, directory: Path, what: str) -> PEM | None:
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise KubeconfigError(f"{what}-data is not base64: {error}") from error
    return directory / file if file else None
