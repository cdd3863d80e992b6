"""Whether a service can be, and what of its addresses may be another. Pure.

Source: kubernetes pkg/apis/core/validation/validation.go (ValidateService, ValidateServiceUpdate,
ValidateServiceClusterIPsRelatedFields, validateUpgradeDowngradeClusterIPs, validateServicePort, …).
Differs: loadBalancerSourceRanges and the annotations of cloud providers are not checked.
"""

from __future__ import annotations

from ._field_errors import FieldError, child, duplicate, forbidden, index, invalid, not_supported, required
from ._ip_addresses import IPV4, IPV6, family_of, parse_ip, validate_ip, validate_reachable_ip
from ._meta import JSONObject
from ._names import dns1123_label, dns1123_subdomain, port_name, port_number, qualified_name
from ._pod_validation import PROTOCOLS
from ._validation_meta import validate_labels

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES = ("ClientIP", "None")
_FAMILIES = (IPV4, IPV6)
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_TRAFFIC = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_SECONDS_MAX = 86400
_ONCE = "may not change once set"


def validate_service(service: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with a service but its metadata, in the order in which Kubernetes looks."""
    spec = service.get("spec") or {}
    ports, kind = spec.get("ports") or [], spec.get("type") or ""
    wrong: list[FieldError] = []
    if not ports and not is_headless(spec) and kind != "ExternalName":
        wrong.append(required(child(path, "ports")))
    wrong += _validate_type(spec, kind, path)
    names: set[str] = set()
    for at, port in enumerate(ports):
        wrong += _validate_port(port, index(child(path, "ports"), at), names, needs_name=len(ports) > 1)
    wrong += validate_labels(spec.get("selector") or {}, child(path, "selector"))
    wrong += _validate_affinity(spec, path) + validate_cluster_ips(spec, path)
    for at, ip in enumerate(spec.get("externalIPs") or []):
        where = index(child(path, "externalIPs"), at)
        wrong += validate_ip(ip, where) or validate_reachable_ip(ip, where)
    if not kind:
        wrong.append(required(child(path, "type")))
    elif kind not in _TYPES:
        wrong.append(not_supported(child(path, "type"), kind, _TYPES))
    return (
        wrong
        + _validate_numbers(ports, kind, path)
        + _validate_balancer(spec, kind, path)
        + _validate_traffic(spec, path)
    )


def is_headless(spec: JSONObject) -> bool:
    """Whether it has no address, on purpose."""
    return spec.get("clusterIPs") == ["None"]


def _validate_type(spec: JSONObject, kind: str, path: str) -> list[FieldError]:
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        where = index(child(path, "clusterIPs"), 0)
        return [invalid(where, "None", f"may not be set to 'None' for {kind} services")]
    if kind != "ExternalName":
        return []
    why = "may not be set for ExternalName services"
    wrong = [
        forbidden(child(path, member), why)
        for member in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(member)
    ]
    where, name = child(path, "externalName"), (spec.get("externalName") or "").removesuffix(".")
    return wrong + (
        [invalid(where, name, problem) for problem in dns1123_subdomain(name)] if name else [required(where)]
    )


def _validate_port(port: JSONObject, path: str, names: set[str], *, needs_name: bool) -> list[FieldError]:
    name, protocol, target = port.get("name") or "", port.get("protocol") or "", port.get("targetPort", 0)
    wrong = [required(child(path, "name"))] if needs_name and not name else []
    if name:
        wrong += [invalid(child(path, "name"), name, why) for why in dns1123_label(name)]
        if name in names:
            wrong.append(duplicate(child(path, "name"), name))
        names.add(name)
    number = port.get("port") or 0
    wrong += [invalid(child(path, "port"), number, why) for why in port_number(number)]
    if not protocol:
        wrong.append(required(child(path, "protocol")))
    elif protocol not in PROTOCOLS:
        wrong.append(not_supported(child(path, "protocol"), protocol, PROTOCOLS))
    problems = port_name(target) if isinstance(target, str) else port_number(target)
    wrong += [invalid(child(path, "targetPort"), target, why) for why in problems]
    if app := port.get("appProtocol"):
        wrong += [invalid(child(path, "appProtocol"), app, why) for why in qualified_name(app)]
    return wrong


def _validate_affinity(spec: JSONObject, path: str) -> list[FieldError]:
    affinity, where = spec.get("sessionAffinity") or "", child(path, "sessionAffinity")
    if not affinity:
        return [required(where)]
    if affinity not in _AFFINITIES:
        return [not_supported(where, affinity, _AFFINITIES)]
    config, below = spec.get("sessionAffinityConfig"), child(path, "sessionAffinityConfig")
    if affinity == "None":
        why = "must not be set when session affinity is None"
        return [forbidden(below, why)] if config is not None else []
    seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
    if seconds is None:
        return [required(below, "when session affinity type is ClientIP")]
    why = f"must be greater than 0 and less than {_SECONDS_MAX}"
    at = child(below, "clientIP", "timeoutSeconds")
    return [] if 0 < seconds <= _SECONDS_MAX else [invalid(at, seconds, why)]


def validate_cluster_ips(spec: JSONObject, path: str = "spec") -> list[FieldError]:
    """What is wrong with addresses, families and their policy together."""
    if spec.get("type") == "ExternalName":
        return []
    ip, ips, families = spec.get("clusterIP") or "", spec.get("clusterIPs") or [], spec.get("ipFamilies") or []
    where = child(path, "clusterIPs")
    wrong: list[FieldError] = []
    if ip and not ips:
        wrong.append(required(where))
    elif ip and ips[0] != ip:
        wrong.append(invalid(where, ips, "first value must match `clusterIP`"))
    elif ips and not ip:
        wrong.append(invalid(where, ips, "must be empty when `clusterIP` is not specified"))
    for at, family in enumerate(families):
        here = index(child(path, "ipFamilies"), at)
        wrong += [] if family in _FAMILIES else [not_supported(here, family, _FAMILIES)]
        wrong += [duplicate(here, family)] if family in families[:at] else []
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        wrong.append(not_supported(child(path, "ipFamilyPolicy"), policy, _FAMILY_POLICIES))
    return wrong + _validate_addresses(ips, families, where)


def _validate_addresses(ips: list[str], families: list[str], path: str) -> list[FieldError]:
    wrong: list[FieldError] = []
    for at, ip in enumerate(ips):
        if at == 0 and ip == "None":
            wrong += [invalid(path, ips, "'None' must be the first and only value")] if len(ips) > 1 else []
        else:
            wrong += validate_ip(ip, index(path, at))
    has_none_or_bad = bool(wrong)
    if len(ips) > 2:
        wrong.append(invalid(path, ips, "may only hold up to 2 values"))
    if has_none_or_bad or ips == ["None"]:
        return wrong
    told = [family_of(address) for ip in ips if (address := parse_ip(ip)) is not None]
    if len(ips) > 1 and len(set(told)) != len(told):
        wrong.append(invalid(path, ips, "may specify no more than one IP for each IP family"))
    for at, (ip, family, wanted) in enumerate(zip(ips, told, families, strict=False)):
        if family != wanted and wanted in _FAMILIES:
            why = f"expected an {wanted} value as indicated by `ipFamilies[{at}]`"
            wrong.append(invalid(index(path, at), ip, why))
    return wrong


def _validate_numbers(ports: list[JSONObject], kind: str, path: str) -> list[FieldError]:
    """What is wrong with ports of nodes, and with ports that are there twice."""
    where = child(path, "ports")
    wrong: list[FieldError] = []
    if kind == "ClusterIP":
        why = "may not be used when `type` is 'ClusterIP'"
        wrong += [
            forbidden(child(index(where, at), "nodePort"), why) for at, port in enumerate(ports) if port.get("nodePort")
        ]
    seen: set[tuple[str, int, int]] = set()
    for at, port in enumerate(ports):
        if number := port.get("nodePort") or 0:
            known = (port.get("protocol", ""), 0, number)
            wrong += [duplicate(child(index(where, at), "nodePort"), number)] if known in seen else []
            seen.add(known)
    for at, port in enumerate(ports):
        known = (port.get("protocol", ""), port.get("port") or 0, 0)
        twice = {"protocol": known[0], "port": known[1], "targetPort": 0}
        wrong += [duplicate(index(where, at), twice)] if known in seen else []
        seen.add(known)
    return wrong


def _validate_balancer(spec: JSONObject, kind: str, path: str) -> list[FieldError]:
    if kind == "LoadBalancer":
        name, where = spec.get("loadBalancerClass"), child(path, "loadBalancerClass")
        return [invalid(where, name, why) for why in qualified_name(name)] if name is not None else []
    why = "may only be used when `type` is 'LoadBalancer'"
    members = ("allocateLoadBalancerNodePorts", "loadBalancerClass")
    return [forbidden(child(path, member), why) for member in members if spec.get(member) is not None]


def _validate_traffic(spec: JSONObject, path: str) -> list[FieldError]:
    kind, external = spec.get("type"), spec.get("externalTrafficPolicy") or ""
    is_seen_outside = kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))
    where, check = child(path, "externalTrafficPolicy"), child(path, "healthCheckNodePort")
    wrong: list[FieldError] = []
    if external and not is_seen_outside:
        wrong.append(invalid(where, external, "may only be set for externally-accessible services"))
    elif is_seen_outside and not external:
        wrong.append(required(where))
    elif is_seen_outside and external not in _TRAFFIC:
        wrong.append(not_supported(where, external, _TRAFFIC))
    number = spec.get("healthCheckNodePort") or 0
    if kind == "LoadBalancer" and external == "Local":
        wrong += [invalid(check, number, why) for why in port_number(number)] if number else [required(check)]
    elif number:
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        wrong.append(invalid(check, number, why))
    internal, below = spec.get("internalTrafficPolicy"), child(path, "internalTrafficPolicy")
    if internal is None and kind in ("LoadBalancer", "NodePort", "ClusterIP"):
        wrong.append(required(below))
    elif internal is not None and internal not in _TRAFFIC:
        wrong.append(not_supported(below, internal, _TRAFFIC))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        wrong.append(not_supported(child(path, "trafficDistribution"), distribution, _DISTRIBUTIONS))
    return wrong


def validate_service_update(new: JSONObject, old: JSONObject) -> list[FieldError]:
    """What of a spec may not be another: its addresses, their families, its kind of load balancer."""
    if "ExternalName" in (new.get("type"), old.get("type")):
        return []
    wrong: list[FieldError] = []
    if not (is_headless(new) and is_headless(old)):
        wrong += _same_ips(new, old)
    if not is_headless(new) and not is_headless(old):
        wrong += _same_families(new, old)
    both = ("LoadBalancer", "LoadBalancer")
    if (new.get("type"), old.get("type")) == both:
        if new.get("loadBalancerClass") != old.get("loadBalancerClass"):
            wrong.append(invalid("spec.loadBalancerClass", new.get("loadBalancerClass"), _ONCE))
        local = new.get("externalTrafficPolicy") == old.get("externalTrafficPolicy") == "Local"
        if local and new.get("healthCheckNodePort") != old.get("healthCheckNodePort"):
            wrong.append(forbidden("spec.healthCheckNodePort", "field is immutable"))
    return wrong


def _same_ips(new: JSONObject, old: JSONObject) -> list[FieldError]:
    ips, before, where = new.get("clusterIPs") or [], old.get("clusterIPs") or [], "spec.clusterIPs"
    if len(ips) == len(before):
        pairs = enumerate(zip(ips, before, strict=True))
        return [invalid(index(where, at), ips, _ONCE) for at, (ip, was) in pairs if ip != was]
    if not ips:
        return [invalid(index(where, 0), None, "primary clusterIP can not be unset")]
    wrong = [invalid(index(where, 0), ips, _ONCE)] if before and ips[0] != before[0] else []
    if len(ips) == 1 and len(before) > 1 and new.get("ipFamilyPolicy") != "SingleStack":
        why = "must be set to 'SingleStack' when releasing the secondary clusterIP"
        wrong.append(invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), why))
    return wrong


def _same_families(new: JSONObject, old: JSONObject) -> list[FieldError]:
    families, before = new.get("ipFamilies") or [], old.get("ipFamilies") or []
    shorter = min(len(families), len(before))
    is_same = families[:shorter] == before[:shorter] and bool(families or not before)
    return [] if is_same else [invalid("spec.ipFamilies[0]", families, _ONCE)]
