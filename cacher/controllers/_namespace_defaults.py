"""What every namespace has from its beginning: a service account, and the certificates that its pods trust.

Source: kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go, certificates/rootcacertpublisher/publisher.go.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import final

import msgspec

from reflector import Client, Controller, ExponentialLimiter, JSONObject, SharedInformers
from watch import AlreadyExists, Forbidden, NotFound, Object

ROOT_CERTIFICATES = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


class NamespaceDefaultsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is made."""

    namespaces: tuple[str, ...] = ("default", "kube-system", "kube-public", "kube-node-lease")
    """Namespaces that are made where they are missing when it starts."""
    service_accounts: tuple[str, ...] = ("default",)
    root_certificates: str = ""
    """PEM, for the config map `kube-root-ca.crt` of each namespace; "": there is none, for who serves no TLS."""
    workers: int = 2
    field_manager: str = "kube-controller-manager"


@final
class NamespaceDefaultsController:
    """Runs until cancelled. What somebody deleted is made again, and what somebody changed of the certificates is put right."""

    name = "namespace-defaults"

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        *,
        random: Random,
        options: NamespaceDefaultsOptions = NamespaceDefaultsOptions(),  # noqa: B008 - a frozen value
    ) -> None:
        self.options = options
        self._client = client
        self._namespaces = informers.informer("v1", "namespaces")
        self._accounts = informers.informer("v1", "serviceaccounts")
        self._maps = informers.informer("v1", "configmaps")
        self.controller = (
            Controller(
                self.name, self.reconcile, random=random, concurrency=options.workers, limiter=ExponentialLimiter()
            )
            .watches(self._namespaces, when=_is_new)
            .watches(self._accounts, lambda obj: obj.namespace if obj.name in options.service_accounts else None)
            .watches(self._maps, lambda obj: obj.namespace if obj.name == ROOT_CERTIFICATES else None)
        )

    async def run(self) -> None:
        """Make the first namespaces, then fill each until cancelled."""
        namespaces = self._client.resource("v1", "namespaces")
        for name in self.options.namespaces:
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            try:
                await namespaces.create(made, field_manager=self.options.field_manager)
            except AlreadyExists:
                continue
        await self.controller.run()

    async def reconcile(self, name: str) -> None:
        """See that the namespace has what each has."""
        namespace = self._namespaces.store.get(name)
        if namespace is None or b'"deletionTimestamp"' in namespace.raw:
            return
        for account in self.options.service_accounts:
            if self._accounts.store.get(f"{name}/{account}") is None:
                await self._create("serviceaccounts", _named("ServiceAccount", account), name)
        if self.options.root_certificates:
            await self._certificates(name)

    async def _certificates(self, name: str) -> None:
        wanted: JSONObject = {"ca.crt": self.options.root_certificates}
        found = self._maps.store.get(f"{name}/{ROOT_CERTIFICATES}")
        if found is None:
            made = _named("ConfigMap", ROOT_CERTIFICATES)
            made["metadata"]["annotations"] = {"kubernetes.io/description": _DESCRIPTION}
            await self._create("configmaps", {**made, "data": wanted}, name)
        elif (present := found.to_dict()).get("data") != wanted:
            maps, manager = self._client.resource("v1", "configmaps"), self.options.field_manager
            with suppress(NotFound):  # its deletion is told in a moment
                await maps.update({**present, "data": wanted}, name, field_manager=manager)

    async def _create(self, plural: str, obj: JSONObject, namespace: str) -> None:
        # Somebody was faster, or the namespace is gone, or about to go.
        with suppress(AlreadyExists, NotFound, Forbidden):
            await self._client.resource("v1", plural).create(obj, namespace, field_manager=self.options.field_manager)


def _named(kind: str, name: str) -> JSONObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def _is_new(old: Object | None, new: Object | None) -> bool:
    return old is None
