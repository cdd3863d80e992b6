"""Where a program finds its API server: a kubeconfig that is named, $KUBECONFIG, the pod it runs in, ~/.kube/config. Reads files.

Source: client-go rest/config.go (InClusterConfig), tools/clientcmd/loader.go; the order is controller-runtime's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ._kubeconfig import Kubeconfig, KubeconfigError
from ._settings import Login, ServerIdentity, ServerSettings

POD_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the credentials of its service account."""


def find_settings(
    environment: Mapping[str, str],
    home: Path,
    *,
    kubeconfig: str | Path | None = None,
    context: str = "",
    pod_directory: Path = POD_DIRECTORY,
) -> ServerSettings:
    """The server that a program is to talk to, where it names none.

    Raises:
        KubeconfigError: there is no kubeconfig, none of this context, or none that can be used.
    """
    if kubeconfig is not None:
        return load_kubeconfig([Path(kubeconfig)]).settings(context)
    if listed := [Path(path) for path in environment.get("KUBECONFIG", "").split(":") if path]:
        # Files that are missing are left out, as kubectl does: one variable may serve several machines.
        if there := [path for path in listed if path.exists()]:
            return load_kubeconfig(there).settings(context)
        raise KubeconfigError(f"KUBECONFIG is {environment['KUBECONFIG']}, and no such file is there")
    if not context and is_in_cluster(environment, pod_directory):
        return pod_settings(environment, pod_directory)
    usual = home / ".kube" / "config"
    if usual.exists():
        return load_kubeconfig([usual]).settings(context)
    raise KubeconfigError(
        f"no API server is named: there is no {usual}, KUBECONFIG is not set, and this is no pod; hand in a server"
    )


def load_kubeconfig(paths: list[Path]) -> Kubeconfig:
    """What the files say together.

    Raises:
        KubeconfigError: one of them cannot be read, or is no kubeconfig.
    """
    try:
        return Kubeconfig([(path, path.read_text(encoding="utf-8")) for path in paths])
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(f"a kubeconfig cannot be read: {error}") from error


def is_in_cluster(environment: Mapping[str, str], pod_directory: Path = POD_DIRECTORY) -> bool:
    """Whether this is a pod with a service account."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (pod_directory / "token").exists()


def pod_settings(environment: Mapping[str, str], pod_directory: Path = POD_DIRECTORY) -> ServerSettings:
    """The API server of the cluster that this pod is in, as its service account.

    Raises:
        KubeconfigError: this is no pod, or one without a service account.
    """
    if not is_in_cluster(environment, pod_directory):
        raise KubeconfigError(
            f"this is no pod with a service account: KUBERNETES_SERVICE_HOST is not set, or {pod_directory}/token is missing"
        )
    host = environment["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    namespace = pod_directory / "namespace"
    authority = pod_directory / "ca.crt"
    return ServerSettings(
        url=f"https://{host}:{environment.get('KUBERNETES_SERVICE_PORT') or '443'}",
        identity=ServerIdentity(authority=authority if authority.exists() else None),
        login=Login(token_file=pod_directory / "token"),
        namespace=namespace.read_text(encoding="utf-8").strip() if namespace.exists() else "default",
        name="in-cluster",
    )
