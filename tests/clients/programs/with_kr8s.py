"""kr8s: objects by their classes, and by discovery alone."""

import sys

import kr8s
from kr8s.objects import ConfigMap, Deployment, Pod, new_class

namespace = sys.argv[1]
api = kr8s.api(namespace=namespace)
assert api.version()["major"] == "1"

settings = ConfigMap({"metadata": {"name": "a", "namespace": namespace}, "data": {"k": "1"}}, api=api)
settings.create()
settings.patch({"data": {"k": "2"}})
settings.label({"x": "y"})
settings.annotate({"note": "hello"})
assert settings.exists()
found = list(api.get("configmaps", namespace=namespace, label_selector="x=y"))
assert [one.data.k for one in found] == ["2"], found
for kind, obj in api.watch("configmaps", namespace=namespace):
    assert (kind, obj.name) == ("ADDED", "a")
    break
settings.delete()
settings.wait("delete", timeout=30)
assert not settings.exists()

template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
web = Deployment({"metadata": {"name": "web", "namespace": namespace}, "spec": spec}, api=api)
web.create()
web.patch({"spec": {"replicas": 3}})
web.refresh()
assert web.replicas == 3
web.patch({"status": {"replicas": 3, "observedGeneration": 2}}, subresource="status")
assert web.status.replicas == 3
web.delete()

pod = Pod({"metadata": {"name": "p", "namespace": namespace}, "spec": template["spec"]}, api=api)
pod.create()
pod.patch({"status": {"phase": "Running"}}, subresource="status")
pod.wait("jsonpath='{.status.phase}'=Running", timeout=30)
pod.delete(grace_period=0)

Widget = new_class(kind="Widget", version="shop.example.com/v1", namespaced=True, plural="widgets")
widget = Widget({"metadata": {"name": "w", "namespace": namespace}, "spec": {"color": "red"}}, api=api)
widget.create()
widget.patch({"spec": {"color": "blue"}})
assert [one.spec.color for one in api.get("widgets.shop.example.com", namespace=namespace)] == ["blue"]
widget.delete()
print("done")
