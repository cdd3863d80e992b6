"""Endpoints: where a service's pods are, in one object: the older way of saying it. Pure.

Source: kubernetes pkg/registry/core/endpoint/strategy.go; pkg/apis/core/v1/defaults.go (SetDefaults_Endpoints);
pkg/apis/core/validation/validation.go (ValidateEndpoints).
Differs: subsets stay as they were sent; Kubernetes packs them anew, in an order of hashes.
"""

from __future__ import annotations

from ._errors import GroupResource
from ._field_errors import FieldError, child, index, invalid, not_supported, required
from ._ip_addresses import validate_ip, validate_reachable_ip
from ._meta import JSONObject
from ._names import dns1123_label, dns1123_subdomain, port_number, qualified_name
from ._pod_defaults import changed, each, filled
from ._pod_validation import PROTOCOLS
from ._rest import Context
from ._strategy import Strategy
from ._validation_meta import validate_core_meta_update


class EndpointsStrategy(Strategy):
    """The rules of endpoints."""

    allow_create_on_update = True

    def __init__(self) -> None:
        super().__init__(GroupResource("", "endpoints"), "Endpoints")

    def default(self, obj: JSONObject) -> JSONObject:
        """Ports are TCP's."""
        by_tcp = each(lambda port: filled(port, {"protocol": "TCP"}))
        return changed(obj, "subsets", each(lambda subset: changed(subset, "ports", by_tcp)))

    def validate(self, context: Context, obj: JSONObject) -> list[FieldError]:
        """Metadata and subsets."""
        return super().validate(context, obj) + validate_subsets(obj.get("subsets") or [], "subsets")

    def validate_update(self, context: Context, new: JSONObject, old: JSONObject) -> list[FieldError]:
        """As an update, and as of a new one."""
        return validate_core_meta_update(new, old) + self.validate(context, new)


def validate_subsets(subsets: list[JSONObject], path: str) -> list[FieldError]:
    """What is wrong with subsets: one has no address, or an address or port is none."""
    wrong: list[FieldError] = []
    for at, subset in enumerate(subsets):
        here, ports = index(path, at), subset.get("ports") or []
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            wrong.append(required(here, "must specify `addresses` or `notReadyAddresses`"))
        for member in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(member) or []):
                wrong += _validate_address(address, index(child(here, member), place))
        for place, port in enumerate(ports):
            wrong += _validate_port(port, index(child(here, "ports"), place), needs_name=len(ports) > 1)
    return wrong


def _validate_address(address: JSONObject, path: str) -> list[FieldError]:
    ip, host, node = address.get("ip") or "", address.get("hostname") or "", address.get("nodeName")
    wrong = validate_ip(ip, child(path, "ip"))
    if host:
        wrong += [invalid(child(path, "hostname"), host, why) for why in dns1123_label(host)]
    if node is not None:
        wrong += [invalid(child(path, "nodeName"), node, why) for why in dns1123_subdomain(node)]
    return wrong + validate_reachable_ip(ip, child(path, "ip"))


def _validate_port(port: JSONObject, path: str, *, needs_name: bool) -> list[FieldError]:
    name, protocol = port.get("name") or "", port.get("protocol") or ""
    if needs_name and not name:
        wrong = [required(child(path, "name"))]
    else:
        wrong = [invalid(child(path, "name"), name, why) for why in (dns1123_label(name) if name else [])]
    number = port.get("port") or 0
    wrong += [invalid(child(path, "port"), number, why) for why in port_number(number)]
    if not protocol:
        wrong.append(required(child(path, "protocol")))
    elif protocol not in PROTOCOLS:
        wrong.append(not_supported(child(path, "protocol"), protocol, PROTOCOLS))
    if (app := port.get("appProtocol")) is not None:
        wrong += [invalid(child(path, "appProtocol"), app, why) for why in qualified_name(app)]
    return wrong
