"""Addresses as the API checks them. Pure.

Source: kubernetes/apimachinery pkg/util/validation/ip.go (IsValidIPForLegacyField); kubernetes
pkg/apis/core/validation/validation.go (ValidateNonSpecialIP).
"""

from __future__ import annotations

import ipaddress

from ._field_errors import FieldError, invalid

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPV4, IPV6 = "IPv4", "IPv6"
_NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_SPECIAL = (
    ("is_loopback", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    ("is_link_local", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
)
_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))


def parse_ip(value: str) -> IPAddress | None:
    """The address; None: it is none. An IPv4 address within an IPv6 one is the IPv4 address."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def family_of(address: IPAddress) -> str:
    """`IPv4` or `IPv6`."""
    return IPV4 if address.version == 4 else IPV6


def validate_ip(value: str, path: str) -> list[FieldError]:
    """What is wrong with an address."""
    return [] if parse_ip(value) is not None else [invalid(path, value, _NO_ADDRESS)]


def validate_reachable_ip(value: str, path: str) -> list[FieldError]:
    """What is wrong with an address that others are to reach; one that is none is told elsewhere."""
    address = parse_ip(value)
    if address is None:
        return [invalid(path, value, "must be a valid IP address")]
    wrong = [invalid(path, value, f"may not be unspecified ({value})")] if address.is_unspecified else []
    wrong += [invalid(path, value, why) for attribute, why in _SPECIAL if getattr(address, attribute)]
    if any(address in network for network in _LOCAL_MULTICAST if network.version == address.version):
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        wrong.append(invalid(path, value, why))
    return wrong
