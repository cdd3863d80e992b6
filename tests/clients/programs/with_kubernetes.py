"""The official client for Python: typed, dynamic and custom objects, and a watch that is resumed."""

import sys

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

namespace = sys.argv[1]
config.load_kube_config()
core, apps, custom = client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi()
WIDGETS = ("shop.example.com", "v1", namespace, "widgets")

assert client.VersionApi().get_code().major == "1"

core.create_namespaced_config_map(namespace, {"metadata": {"name": "a", "labels": {"x": "y"}}, "data": {"k": "1"}})
assert core.read_namespaced_config_map("a", namespace).data == {"k": "1"}
core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
found = core.read_namespaced_config_map("a", namespace)
found.data["k"] = "3"
old = found.metadata.resource_version
core.replace_namespaced_config_map("a", namespace, found)
try:
    core.replace_namespaced_config_map("a", namespace, found)
    raise SystemExit("a stale replace went through")
except ApiException as error:
    assert error.status == 409, error
listed = core.list_namespaced_config_map(namespace, label_selector="x=y")
assert [one.data["k"] for one in listed.items] == ["3"]

# A watch from a version, ended by the client, and resumed where it was.
stream = watch.Watch()
seen = []
for event in stream.stream(core.list_namespaced_config_map, namespace, resource_version=old, timeout_seconds=30):
    seen.append((event["type"], event["object"].data["k"]))
    stream.stop()
assert seen == [("MODIFIED", "3")], seen
core.delete_namespaced_config_map("a", namespace)
for event in watch.Watch().stream(
    core.list_namespaced_config_map, namespace, resource_version=listed.metadata.resource_version, timeout_seconds=30
):
    assert event["type"] == "DELETED"
    break
try:
    core.read_namespaced_config_map("a", namespace)
    raise SystemExit("it is still there")
except ApiException as error:
    assert error.status == 404, error
try:
    for _ in watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=5):
        pass
except ApiException as error:
    assert error.status == 410, error

labels = {"app": "web"}
apps.create_namespaced_deployment(
    namespace,
    client.V1Deployment(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1DeploymentSpec(
            replicas=1,
            selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels),
                spec=client.V1PodSpec(containers=[client.V1Container(name="main", image="nginx")]),
            ),
        ),
    ),
)
apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 4}})
assert apps.read_namespaced_deployment_scale("web", namespace).spec.replicas == 4
apps.patch_namespaced_deployment(
    "web", namespace, {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}}}
)
web = apps.read_namespaced_deployment("web", namespace)
assert web.spec.template.spec.containers[0].image == "nginx:2"
assert web.metadata.generation == 3
apps.delete_collection_namespaced_deployment(namespace)
assert apps.list_namespaced_deployment(namespace).items == []

core.create_namespaced_pod(
    namespace, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
)
core.patch_namespaced_pod_status("p", namespace, {"status": {"phase": "Running"}})
assert core.list_namespaced_pod(namespace, field_selector="status.phase=Running").items[0].metadata.name == "p"
core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)

body = {"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"color": "red"}}
custom.create_namespaced_custom_object(*WIDGETS, body)
custom.patch_namespaced_custom_object(*WIDGETS, "w", {"spec": {"color": "blue"}})
custom.patch_namespaced_custom_object_status(*WIDGETS, "w", {"status": {"sold": True}})
assert custom.get_namespaced_custom_object(*WIDGETS, "w")["status"] == {"sold": True}
assert custom.list_namespaced_custom_object(*WIDGETS)["items"][0]["spec"]["color"] == "blue"

api = dynamic.DynamicClient(client.ApiClient())
widgets = api.resources.get(api_version="shop.example.com/v1", kind="Widget")
assert widgets.get(name="w", namespace=namespace).spec.color == "blue"
widgets.server_side_apply(
    namespace=namespace, name="w", body={**body, "spec": {"color": "green"}}, field_manager="dyn", force_conflicts=True
)
assert widgets.get(name="w", namespace=namespace).spec.color == "green"
custom.delete_namespaced_custom_object(*WIDGETS, "w")
print("done")
