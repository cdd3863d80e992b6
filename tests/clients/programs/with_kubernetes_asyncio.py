"""The official client's sibling on asyncio."""

import asyncio
import sys

from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.rest import ApiException

namespace = sys.argv[1]


async def main() -> None:
    await config.load_kube_config()
    async with client.ApiClient() as api:
        core, apps, custom = client.CoreV1Api(api), client.AppsV1Api(api), client.CustomObjectsApi(api)
        made = await core.create_namespaced_config_map(namespace, {"metadata": {"name": "a"}, "data": {"k": "1"}})

        async def change() -> None:
            await core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
            await core.delete_namespaced_config_map("a", namespace)

        seen = []
        async with watch.Watch() as stream:
            changing = asyncio.create_task(change())
            since = made.metadata.resource_version
            async for event in stream.stream(
                core.list_namespaced_config_map, namespace, resource_version=since, timeout_seconds=30
            ):
                seen.append((event["type"], event["object"].data["k"]))
                if len(seen) == 2:
                    break
            await changing
        assert seen == [("MODIFIED", "2"), ("DELETED", "2")], seen
        try:
            await core.read_namespaced_config_map("a", namespace)
            raise SystemExit("it is still there")
        except ApiException as error:
            assert error.status == 404, error

        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        await apps.create_namespaced_deployment(namespace, {"metadata": {"name": "web"}, "spec": spec})
        await apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
        assert (await apps.read_namespaced_deployment("web", namespace)).spec.replicas == 3
        await apps.delete_namespaced_deployment("web", namespace)

        await core.create_namespaced_pod(namespace, {"metadata": {"name": "p"}, "spec": template["spec"]})
        assert len((await core.list_namespaced_pod(namespace)).items) == 1
        await core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)

        body = {
            "apiVersion": "shop.example.com/v1",
            "kind": "Widget",
            "metadata": {"name": "w"},
            "spec": {"color": "red"},
        }
        where = ("shop.example.com", "v1", namespace, "widgets")
        await custom.create_namespaced_custom_object(*where, body)
        assert (await custom.get_namespaced_custom_object(*where, "w"))["spec"]["color"] == "red"
        await custom.delete_namespaced_custom_object(*where, "w")


asyncio.run(main())
print("done")
