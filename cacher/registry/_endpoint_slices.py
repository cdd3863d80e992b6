"""EndpointSlices: where a service's pods are, a hundred or so to an object. Pure.

Source: kubernetes pkg/registry/discovery/endpointslice/strategy.go; pkg/apis/discovery/v1/defaults.go;
pkg/apis/discovery/validation/validation.go.
Differs: hints are not checked.
"""

from __future__ import annotations

from typing import Any

from ._errors import GroupResource
from ._field_errors import FieldError, child, duplicate, index, invalid, not_supported, required, too_many
from ._ip_addresses import IPV4, IPV6, family_of, parse_ip, validate_reachable_ip
from ._meta import JSONObject, metadata, with_metadata
from ._names import dns1123_label, dns1123_subdomain, qualified_name
from ._pod_defaults import changed, each, filled
from ._pod_validation import PROTOCOLS
from ._rest import Context
from ._strategy import Strategy, count_generation
from ._workload_validation import unchanged

ENDPOINTS_MAX, ADDRESSES_MAX, PORTS_MAX = 1000, 100, 100
_FQDN = "FQDN"
_TYPES = (_FQDN, IPV4, IPV6)


class EndpointSliceStrategy(Strategy):
    """The rules of endpoint slices. Everything but metadata counts generations, and labels do."""

    def __init__(self) -> None:
        super().__init__(GroupResource("discovery.k8s.io", "endpointslices"), "EndpointSlice")

    def default(self, obj: JSONObject) -> JSONObject:
        """Ports are TCP's, and without a name."""
        return changed(obj, "ports", each(lambda port: filled(port, {"name": "", "protocol": "TCP"})))

    def prepare_for_create(self, context: Context, obj: JSONObject) -> JSONObject:
        """The first generation."""
        return with_metadata(obj, {"generation": 1})

    def prepare_for_update(self, context: Context, new: JSONObject, old: JSONObject) -> JSONObject:
        """Another generation, where it says something else."""
        return count_generation(new, old) if _said(new) != _said(old) else new

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata, the type of addresses, endpoints and ports."""
        kind = obj.get("addressType") or ""
        wrong = super().validate(context, obj)
        if not kind:
            wrong.append(required("addressType"))
        elif kind not in _TYPES:
            wrong.append(not_supported("addressType", kind, _TYPES))
        wrong += validate_endpoints(obj.get("endpoints") or [], kind, "endpoints")
        return wrong + validate_ports(obj.get("ports") or [], "ports")

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As of a new one, and that the type stays."""
        return self.validate(context, new) + unchanged(new, old, "", "addressType")


def _said(obj: JSONObject) -> list[Any]:
    return [{**obj, "metadata": None}, metadata(obj).get("labels") or {}]


def validate_endpoints(endpoints: list[JSONObject], kind: str, path: str) -> list[FieldError]:
    """What is wrong with endpoints whose addresses are of that kind."""
    if len(endpoints) > ENDPOINTS_MAX:
        return [too_many(path, len(endpoints), ENDPOINTS_MAX)]
    wrong: list[FieldError] = []
    for at, endpoint in enumerate(endpoints):
        here = index(path, at)
        where, addresses = child(here, "addresses"), endpoint.get("addresses") or []
        if not addresses:
            wrong.append(required(where, "must contain at least 1 address"))
        elif len(addresses) > ADDRESSES_MAX:
            wrong.append(too_many(where, len(addresses), ADDRESSES_MAX))
        for place, address in enumerate(addresses):
            wrong += _validate_address(address, kind, index(where, place))
        if node := endpoint.get("nodeName"):
            wrong += [invalid(child(here, "nodeName"), node, why) for why in dns1123_subdomain(node)]
        if (host := endpoint.get("hostname")) is not None:
            wrong += [invalid(child(here, "hostname"), host, why) for why in dns1123_label(host)]
    return wrong


def _validate_address(address: str, kind: str, path: str) -> list[FieldError]:
    if kind in (IPV4, IPV6):
        parsed = parse_ip(address)
        is_right = parsed is not None and family_of(parsed) == kind
        wrong = [] if is_right else [invalid(path, address, f"must be a valid {kind} address")]
        return wrong + validate_reachable_ip(address, path)
    if kind != _FQDN:
        return []
    name = address.removesuffix(".")
    if not name:
        return [required(path)]
    if problems := dns1123_subdomain(name):
        return [invalid(path, name, ",".join(problems))]
    if "." not in name:
        return [invalid(path, name, "should be a domain with at least two segments separated by dots")]
    return [invalid(path, part, ",".join(why)) for part in name.split(".") if (why := dns1123_label(part))][:1]


def validate_ports(ports: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with ports: a name is none, or there twice, or a protocol is none."""
    if len(ports) > PORTS_MAX:
        return [too_many(path, len(ports), PORTS_MAX)]
    wrong: list[FieldError] = []
    names: set[str] = set()
    for at, port in enumerate(ports):
        here, name, protocol = index(path, at), port.get("name") or "", port.get("protocol") or ""
        if name:
            wrong += [invalid(child(here, "name"), name, why) for why in dns1123_label(name)]
        if name in names:
            wrong.append(duplicate(child(here, "name"), name))
        names.add(name)
        if protocol not in PROTOCOLS:
            wrong.append(not_supported(child(here, "protocol"), protocol, PROTOCOLS))
        if (app := port.get("appProtocol")) is not None:
            wrong += [invalid(child(here, "appProtocol"), app, why) for why in qualified_name(app)]
    return wrong
