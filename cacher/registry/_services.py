"""Services: names for pods, with an address that stays.

    create   both spellings of the cluster IP ─ families ─ IP ─ node ports ─► strategy ─► stored
    update   what was given before is kept ─ as above ─ what the type needs no more is dropped ─► stored
    delete   what it had is free again

Source: kubernetes pkg/registry/core/service/strategy.go, storage/storage.go, storage/alloc.go; pkg/apis/core/v1/defaults.go
(SetDefaults_Service).
Differs: one family of addresses; who asks for two is refused as by a cluster without dual stack, but for headless services without
a selector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..storage import ListOptions
from ._errors import GroupResource, InternalError, Invalid
from ._field_errors import FieldError, child, index, invalid
from ._ip_addresses import IPV4, IPV6, family_of, parse_ip
from ._meta import JSONObject, name_of, with_member
from ._names import name_is_label_1035
from ._pod_defaults import filled
from ._rest import (
    Context,
    CreateOptions,
    DeleteOptions,
    UpdatedObjectInfo,
    UpdateOptions,
    ValidateObject,
    ValidateObjectUpdate,
    accept,
    accept_update,
)
from ._service_pools import NONE, Drawing, ServicePools, Taken, cluster_ips, ports_of
from ._service_validation import validate_cluster_ips, validate_service, validate_service_update
from ._storage_errors import Operation, translated
from ._store import Finish, Hooks, RegistryStore
from ._strategy import StatusStrategy, Strategy
from ._validation_meta import validate_core_meta_update

if TYPE_CHECKING:
    from .._resources import ResourceInfo
    from ..storage import Interface
    from ._rest import Environment
    from ._store import Descriptor

_KIND = GroupResource("", "Service")
EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT, CLUSTER_IP = "ExternalName", "LoadBalancer", "NodePort", "ClusterIP"
_ON_NODES = (NODE_PORT, LOAD_BALANCER)
_SINGLE, _BOTH = "SingleStack", "RequireDualStack"
AFFINITY_S = 10800
"""For which a client stays with a pod, where it is to."""


class ServiceStrategy(Strategy):
    """The rules of services."""

    allow_create_on_update = True

    def __init__(self) -> None:
        super().__init__(GroupResource("", "services"), "Service", name_check=name_is_label_1035)

    @property
    def reset_fields(self) -> tuple[tuple[str, ...], ...]:
        """The status, which is written by itself."""
        return (("status",),)

    def default(self, obj: JSONObject) -> JSONObject:
        """Within the cluster, by TCP, to the port of the same number."""
        whole = filled(obj, {"spec": {}, "status": {}})
        spec, status = default_service_spec(whole["spec"]), filled(whole["status"], {"loadBalancer": {}})
        if spec["type"] == LOAD_BALANCER and (found := status["loadBalancer"].get("ingress")):
            status = {
                **status,
                "loadBalancer": {**status["loadBalancer"], "ingress": [_with_mode(one) for one in found]},
            }
        return {**whole, "spec": spec, "status": status}

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """The status is emptied."""
        return {**obj, "status": {"loadBalancer": {}}}

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and spec."""
        return super().validate(context, obj) + validate_service(obj)

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """The status stays; and what only the old type needed goes, unless it was changed."""
        return without_leftovers({**new, "status": old.get("status") or {}}, old)

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update, that the addresses stay, and as of a new one."""
        spec, before = new.get("spec") or {}, old.get("spec") or {}
        wrong = validate_core_meta_update(new, old) + validate_service_update(spec, before)
        return wrong + self.validate(context, new)


class ServiceStatusStrategy(StatusStrategy):
    """The rules of a service's status: those of metadata."""


def _with_mode(ingress: JSONObject) -> JSONObject:
    return filled(ingress, {"ipMode": "VIP"}) if ingress.get("ip") else ingress


def default_service_spec(spec: JSONObject) -> JSONObject:
    """The spec, with what nobody chose."""
    spec = filled(spec, {"sessionAffinity": "None", "type": CLUSTER_IP})
    if spec["sessionAffinity"] == "None":
        spec = with_member(spec, "sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        if config.get("timeoutSeconds") is None:
            spec = {**spec, "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": AFFINITY_S}}}
    if spec.get("ports"):
        spec = {**spec, "ports": [_default_port(port) for port in spec["ports"]]}
    is_seen_outside = spec["type"] in _ON_NODES or (spec["type"] == CLUSTER_IP and spec.get("externalIPs"))
    if is_seen_outside and not spec.get("externalTrafficPolicy"):
        spec = {**spec, "externalTrafficPolicy": "Cluster"}
    if spec["type"] in (NODE_PORT, LOAD_BALANCER, CLUSTER_IP):
        spec = filled(spec, {"internalTrafficPolicy": "Cluster"})
    return filled(spec, {"allocateLoadBalancerNodePorts": True}) if spec["type"] == LOAD_BALANCER else spec


def _default_port(port: JSONObject) -> JSONObject:
    port = {**port, "protocol": port.get("protocol") or "TCP"}
    return port if port.get("targetPort") else {**port, "targetPort": port.get("port") or 0}


# ---- what it is given ------------------------------------------------------------------------------------------------


def normalized(new: JSONObject, old: JSONObject | None) -> JSONObject:
    """The spec with `clusterIP` and `clusterIPs` in step, as its writer meant it."""
    ip, ips = new.get("clusterIP") or "", new.get("clusterIPs") or []
    if old is None:
        return {**new, "clusterIPs": [ip]} if ip and not ips else new
    before, were = old.get("clusterIP") or "", old.get("clusterIPs") or []
    if were and not ips and before == ip:
        return {**new, "clusterIPs": were}
    if before != ip and ips == were:
        return with_member(new, "clusterIPs", [ip] if ip or not before else None)
    return new


def patched(new: JSONObject, old: JSONObject) -> JSONObject:
    """The spec with what its writer left out, and was given before."""
    if EXTERNAL_NAME not in (new["type"], old.get("type")):
        for member in ("clusterIP", "clusterIPs"):
            if not new.get(member) and old.get(member):
                new = {**new, member: old[member]}
    if _needs_ports(old) and _needs_ports(new):
        there = {port.get("nodePort") for port in new.get("ports") or []}
        used = {port["nodePort"] for port in old.get("ports") or [] if port.get("nodePort") in there}
        known = {port.get("name", ""): port.get("nodePort") or 0 for port in old.get("ports") or []}
        ports = []
        for port in new.get("ports") or []:
            number = known.get(port.get("name", ""), 0)
            is_lacking = not port.get("nodePort") and number and number not in used
            ports.append({**port, "nodePort": number} if is_lacking else port)
        new = {**new, "ports": ports} if ports else new
    if needs_health_check(old) and needs_health_check(new) and not new.get("healthCheckNodePort"):
        new = with_member(new, "healthCheckNodePort", old.get("healthCheckNodePort"))
    return new


def _needs_ports(spec: JSONObject) -> bool:
    if spec.get("type") == LOAD_BALANCER:
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == NODE_PORT


def needs_health_check(spec: JSONObject) -> bool:
    """Whether nodes are to say which of them have a pod of it."""
    return spec.get("type") == LOAD_BALANCER and spec.get("externalTrafficPolicy") == "Local"


def _is_headless(spec: JSONObject) -> bool:
    return spec.get("clusterIPs") == [NONE]


def with_families(service: JSONObject, old: JSONObject | None, family: str) -> JSONObject:
    """The spec of a service with the families of its addresses, of a cluster that has one.

    Raises:
        Invalid: it asks for what the cluster has not.
    """
    spec, name = service["spec"], name_of(service)
    if spec["type"] == EXTERNAL_NAME:
        return dict(spec)
    is_free = spec.get("clusterIP") == NONE and not spec.get("selector")
    policy = spec.get("ipFamilyPolicy") or (old or {}).get("ipFamilyPolicy") or (_BOTH if is_free else _SINGLE)
    spec = {**spec, "ipFamilyPolicy": policy}
    if wrong := validate_cluster_ips(spec):
        raise Invalid(_KIND, name, wrong)
    families = list(spec.get("ipFamilies") or [])
    wrong = _validate_policy(spec, families, policy)
    for at, ip in enumerate(spec.get("clusterIPs") or []):
        address = parse_ip(ip)
        if address is None or at < len(families):
            continue
        if (told := family_of(address)) != family:
            where = index("spec.clusterIPs", at)
            wrong.append(invalid(where, spec["clusterIPs"], f"{told} is not configured on this cluster"))
        else:
            families.append(told)
    if wrong:
        raise Invalid(_KIND, name, wrong)
    if is_free:
        families = families or [family]
        if len(families) < 2 and policy != _SINGLE:
            families.append(IPV6 if families[0] == IPV4 else IPV4)
        return {**spec, "ipFamilies": families}
    if policy == _BOTH:
        wrong.append(invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services"))
    for at, told in enumerate(families):
        if told != family:
            wrong.append(invalid(index("spec.ipFamilies", at), told, "not configured on this cluster"))
    if wrong:
        raise Invalid(_KIND, name, wrong)
    return {**spec, "ipFamilies": families or [family]}


def _validate_policy(spec: JSONObject, families: list[str], policy: str) -> list[FieldError]:
    if policy != _SINGLE:
        return []
    why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"
    two = ((spec.get("clusterIPs") or [], "cluster IPs"), (families, "IP families"))
    return [
        invalid("spec.ipFamilyPolicy", policy, f"{why} {what} are specified") for those, what in two if len(those) == 2
    ]


class Allocation:
    """A hook's `allocate`: services get what they need of the pools."""

    def __init__(self, pools: ServicePools) -> None:
        self.pools = pools

    def __call__(
        self, context: Context, new: JSONObject, old: JSONObject | None, dry_run: bool
    ) -> tuple[JSONObject, Finish]:
        """The service with what it is given, and what ends that.

        Raises:
            Invalid: what it asks for cannot be had. InternalError: nothing is left.
        """
        drawing = Drawing(self.pools, dry_run=dry_run)
        before = (old or {}).get("spec")
        spec = new.get("spec") or {}
        spec = normalized(patched(spec, before) if before is not None else spec, before)
        try:
            spec = with_families({**new, "spec": spec}, before, self.pools.family)
            spec = self._with_ips(name_of(new), spec, old, drawing)
            spec = self._with_ports(name_of(new), spec, before, drawing)
        except BaseException:
            drawing.finish(False)
            raise
        return {**new, "spec": spec}, drawing.finish

    def _with_ips(self, name: str, spec: JSONObject, old: JSONObject | None, drawing: Drawing) -> JSONObject:
        before = (old or {}).get("spec") or {}
        if spec["type"] == EXTERNAL_NAME:
            drawing.release_later(tuple(cluster_ips(old or {})))
            return spec
        is_held = old is not None and before.get("type") != EXTERNAL_NAME
        if is_held or _is_headless(spec):
            return spec
        asked = (spec.get("clusterIPs") or [""])[0]
        try:
            given = drawing.ip(asked)
        except Taken as taken:
            if not asked:
                raise InternalError(f"failed to allocate a serviceIP: {taken}") from taken
            why = f"failed to allocate IP {asked}: {taken}"
            raise Invalid(_KIND, name, [invalid("spec.clusterIPs", spec["clusterIPs"], why)]) from taken
        return {**spec, "clusterIP": given, "clusterIPs": [given]}

    def _with_ports(self, name: str, spec: JSONObject, before: JSONObject | None, drawing: Drawing) -> JSONObject:
        held = set(ports_of({"spec": before or {}})) - {(before or {}).get("healthCheckNodePort")}
        if spec["type"] in _ON_NODES and spec.get("ports"):
            spec = {**spec, "ports": self._given_ports(name, spec, held, drawing)}
        kept = {port.get("nodePort") for port in spec.get("ports") or []} if spec["type"] in _ON_NODES else set()
        drawing.release_later(ports=tuple(sorted(held - kept)))
        return self._with_health_check(spec, before or {}, drawing)

    def _given_ports(self, name: str, spec: JSONObject, held: set[Any], drawing: Drawing) -> list[JSONObject]:
        """The ports, each with its number: one that names none shares that of the same port under another protocol."""
        given: dict[int, int] = {}
        for port in spec["ports"]:
            if port.get("nodePort"):
                given.setdefault(port.get("port") or 0, port["nodePort"])
        taken: set[int] = set()
        ports = []
        for at, port in enumerate(spec["ports"]):
            number = port.get("nodePort") or given.get(port.get("port") or 0, 0)
            if not number and not _needs_ports(spec):
                ports.append(port)
                continue
            if number not in held and number not in taken:
                number = self._taken_port(name, at, number, drawing)
            taken.add(number)
            given.setdefault(port.get("port") or 0, number)
            ports.append({**port, "nodePort": number})
        return ports

    def _taken_port(self, name: str, at: int, number: int, drawing: Drawing) -> int:
        try:
            return drawing.port(number)
        except Taken as taken:
            if not number:
                raise InternalError(f"failed to allocate a nodePort: {taken}") from taken
            where = child(index("spec.ports", at), "nodePort")
            raise Invalid(_KIND, name, [invalid(where, number, str(taken))]) from taken

    def _with_health_check(self, spec: JSONObject, before: JSONObject, drawing: Drawing) -> JSONObject:
        needed, needs = needs_health_check(before), needs_health_check(spec)
        if needed and not needs and before.get("healthCheckNodePort"):
            drawing.release_later(ports=(before["healthCheckNodePort"],))
        if needed or not needs:
            return spec
        asked = spec.get("healthCheckNodePort") or 0
        try:
            return {**spec, "healthCheckNodePort": drawing.port(asked)}
        except Taken as taken:
            what = f"requested HealthCheck NodePort {asked}" if asked else "a HealthCheck NodePort 0"
            raise InternalError(f"failed to allocate {what}: {taken}") from taken


def without_leftovers(new: JSONObject, old: JSONObject) -> JSONObject:
    """The service without what its old type needed and its new one does not, where its writer did not touch it."""
    spec, before = dict(new["spec"]), old.get("spec") or {}

    def drop_same(*members: str) -> None:
        for member in members:
            if spec.get(member) == before.get(member):
                spec.pop(member, None)

    if before.get("type") != EXTERNAL_NAME and spec["type"] == EXTERNAL_NAME:
        if (spec.get("clusterIP"), spec.get("clusterIPs")) == (before.get("clusterIP"), before.get("clusterIPs")):
            drop_same("clusterIP", "clusterIPs")
        drop_same("ipFamilies", "ipFamilyPolicy")
    was_on_nodes, is_on_nodes = before.get("type") in _ON_NODES, spec["type"] in _ON_NODES
    if was_on_nodes and not is_on_nodes:
        untouched = (None, 0, *(port.get("nodePort") for port in before.get("ports") or []))
        if all(port.get("nodePort") in untouched for port in spec.get("ports") or []):
            spec["ports"] = [with_member(port, "nodePort", None) for port in spec.get("ports") or []]
        drop_same("externalTrafficPolicy")
    if needs_health_check(before) and not needs_health_check(spec):
        drop_same("healthCheckNodePort")
    status = new.get("status") or {}
    if spec["type"] != LOAD_BALANCER:
        status = {**status, "loadBalancer": {}}
        if before.get("type") == LOAD_BALANCER:
            drop_same("allocateLoadBalancerNodePorts", "loadBalancerClass")
    return {**new, "spec": spec, "status": status}


class ServiceStore(RegistryStore):
    """The services, and the pools that they draw from, which are read from the services that are there when first needed."""

    def __init__(
        self,
        storage: Interface,
        info: ResourceInfo,
        strategy: ServiceStrategy,
        *,
        environment: Environment,
        descriptor: Descriptor,
        pools: ServicePools,
    ) -> None:
        self._pools = pools
        self._are_pools_read = False

        def released(obj: JSONObject, options: DeleteOptions) -> None:
            if not options.dry_run:
                pools.release(obj)

        hooks = Hooks(allocate=Allocation(pools), after_delete=released)
        super().__init__(
            storage,
            info,
            strategy,
            environment=environment,
            hooks=hooks,
            descriptor=descriptor,
            returns_deleted_object=True,
        )

    async def create(
        self,
        context: Context,
        obj: JSONObject,
        *,
        validate: ValidateObject = accept,
        options: CreateOptions = CreateOptions(),  # noqa: B008 - a frozen value
    ) -> JSONObject:
        """See Creater."""
        await self._read_pools()
        return await super().create(context, obj, validate=validate, options=options)

    async def update(
        self,
        context: Context,
        name: str,
        info: UpdatedObjectInfo,
        *,
        validate_create: ValidateObject = accept,
        validate_update: ValidateObjectUpdate = accept_update,
        force_create: bool = False,
        options: UpdateOptions = UpdateOptions(),  # noqa: B008 - a frozen value
    ) -> tuple[JSONObject, bool]:
        """See Updater."""
        await self._read_pools()
        return await super().update(
            context,
            name,
            info,
            validate_create=validate_create,
            validate_update=validate_update,
            force_create=force_create,
            options=options,
        )

    async def _read_pools(self) -> None:
        """Note what the services have that were there before this registry. Twice is once."""
        if self._are_pools_read:
            return
        with translated(Operation.LIST, self.resource):
            page = await self.storage.get_list(self.storage.resource_prefix, ListOptions())
        for obj in page.objects:
            self._pools.hold(obj.to_dict())
        self._are_pools_read = True
