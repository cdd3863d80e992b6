"""The table of built-in resources: what each is called, and which parts it has."""

from __future__ import annotations

import pytest

from cacher import RESOURCES
from cacher.registry import RegistryStore
from tests.cacher.registry.world import open_world, registry_of, run

# As a kube-apiserver of 1.36 tells them in its discovery.
NAMES = {
    ("v1", "pods"): (("po",), ("all",)),
    ("v1", "services"): (("svc",), ("all",)),
    ("v1", "nodes"): (("no",), ()),
    ("v1", "namespaces"): (("ns",), ()),
    ("v1", "configmaps"): (("cm",), ()),
    ("v1", "secrets"): ((), ()),
    ("v1", "endpoints"): (("ep",), ()),
    ("v1", "persistentvolumeclaims"): (("pvc",), ()),
    ("apps/v1", "deployments"): (("deploy",), ("all",)),
    ("apps/v1", "statefulsets"): (("sts",), ("all",)),
    ("batch/v1", "jobs"): ((), ("all",)),
    ("batch/v1", "cronjobs"): (("cj",), ("all",)),
    ("policy/v1", "poddisruptionbudgets"): (("pdb",), ()),
    ("coordination.k8s.io/v1", "leases"): ((), ()),
}
PARTS = {
    ("v1", "pods"): {"status", "binding", "eviction"},
    ("v1", "namespaces"): {"status", "finalize"},
    ("v1", "nodes"): {"status"},
    ("v1", "services"): {"status"},
    ("v1", "persistentvolumes"): {"status"},
    ("v1", "persistentvolumeclaims"): {"status"},
    ("v1", "configmaps"): set(),
    ("apps/v1", "deployments"): {"status", "scale"},
    ("apps/v1", "replicasets"): {"status", "scale"},
    ("apps/v1", "statefulsets"): {"status", "scale"},
    ("apps/v1", "daemonsets"): {"status"},
    ("batch/v1", "jobs"): {"status"},
    ("batch/v1", "cronjobs"): {"status"},
    ("policy/v1", "poddisruptionbudgets"): {"status"},
}


@pytest.mark.parametrize("known", sorted(NAMES))
def test_a_resource_is_called_what_kubernetes_calls_it(known):
    async def main():
        async with open_world() as world:
            storage = (await registry_of(world, RESOURCES[known])).resource(*known).storage
            assert isinstance(storage, RegistryStore)
            assert (storage.short_names, storage.categories) == NAMES[known]
            assert storage.singular_name == RESOURCES[known].kind.lower()

    run(main)


@pytest.mark.parametrize("known", sorted(PARTS))
def test_a_resource_has_the_parts_that_are_written_by_themselves(known):
    async def main():
        async with open_world() as world:
            door = (await registry_of(world, RESOURCES[known])).resource(*known)
            assert set(door.subresources) == PARTS[known]

    run(main)
