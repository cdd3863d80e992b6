"""lightkube: typed resources, server-side apply, generic resources."""

import sys

from lightkube import ApiError, Client, codecs
from lightkube.core.client import PatchType
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod

namespace = sys.argv[1]
client = Client(namespace=namespace, field_manager="lightkube-test")

client.create(ConfigMap(metadata=ObjectMeta(name="a", labels={"x": "y"}), data={"k": "1"}))
found = client.get(ConfigMap, "a")
found.data["k"] = "2"
client.replace(found)
try:
    client.replace(found)
    raise SystemExit("a stale replace went through")
except ApiError as error:
    assert error.status.reason == "Conflict", error
client.patch(ConfigMap, "a", {"data": {"k": "3"}}, patch_type=PatchType.MERGE)
assert [one.data["k"] for one in client.list(ConfigMap, labels={"x": "y"})] == ["3"]
client.apply(ConfigMap(metadata=ObjectMeta(name="b"), data={"k": "1"}))
client.apply(ConfigMap(metadata=ObjectMeta(name="b"), data={"k": "2"}))
assert client.get(ConfigMap, "b").data == {"k": "2"}
for kind, obj in client.watch(ConfigMap, resource_version=found.metadata.resourceVersion):
    assert (kind, obj.metadata.name, obj.data["k"]) == ("MODIFIED", "a", "2")
    break
client.delete(ConfigMap, "a")
try:
    client.get(ConfigMap, "a")
    raise SystemExit("it is still there")
except ApiError as error:
    assert error.status.code == 404, error

template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
web = codecs.from_dict(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
)
client.create(web)
scale = client.get(Deployment.Scale, "web")
scale.spec.replicas = 4
client.replace(scale, "web")
assert client.get(Deployment, "web").spec.replicas == 4
web = client.get(Deployment, "web")
condition = {"type": "Available", "status": "True"}
client.patch(
    Deployment.Status,
    "web",
    {"status": {"observedGeneration": 2, "replicas": 4, "conditions": [condition]}},
    patch_type=PatchType.MERGE,
)
client.wait(Deployment, "web", for_conditions=["Available"])
client.delete(Deployment, "web")

client.create(
    Pod(metadata=ObjectMeta(name="p"), spec=codecs.from_dict({"apiVersion": "v1", "kind": "Pod", **template}).spec)
)
assert [one.metadata.name for one in client.list(Pod)] == ["p"]
client.delete(Pod, "p", grace_period=0)

Widget = create_namespaced_resource("shop.example.com", "v1", "Widget", "widgets")
client.create(Widget(metadata=ObjectMeta(name="w"), spec={"color": "red"}))
client.patch(Widget, "w", {"spec": {"color": "blue"}}, patch_type=PatchType.MERGE)
client.apply(Widget(metadata=ObjectMeta(name="w"), spec={"color": "green"}), force=True)
assert client.get(Widget, "w").spec["color"] == "green"
client.deletecollection(Widget)
assert list(client.list(Widget)) == []
print("done")
