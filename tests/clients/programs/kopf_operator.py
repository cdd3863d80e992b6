"""An operator: for each widget a config map, which follows its color and goes with it. `kopf run` runs it."""

import kopf
import kubernetes


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: object) -> None:
    kubernetes.config.load_kube_config()
    settings.posting.enabled = False


@kopf.on.create("shop.example.com", "v1", "widgets")
def created(name: str, namespace: str, spec: kopf.Spec, **_: object) -> dict[str, str]:
    body = {"metadata": {"name": f"for-{name}"}, "data": {"color": spec["color"]}}
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, body)
    return {"made": f"for-{name}"}


@kopf.on.update("shop.example.com", "v1", "widgets", field="spec.color")
def updated(name: str, namespace: str, new: str, **_: object) -> None:
    kubernetes.client.CoreV1Api().patch_namespaced_config_map(f"for-{name}", namespace, {"data": {"color": new}})


@kopf.on.delete("shop.example.com", "v1", "widgets")
def deleted(name: str, namespace: str, **_: object) -> None:
    kubernetes.client.CoreV1Api().delete_namespaced_config_map(f"for-{name}", namespace)
