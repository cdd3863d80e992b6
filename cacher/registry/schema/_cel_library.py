"""The functions that Kubernetes adds to CEL, as far as they are here.

Lists: isSorted, sum, min, max, indexOf, lastIndexOf. Texts: find, findAll. And url, ip, cidr and quantity with their functions.
An ip, cidr, url or quantity is a map that the functions know by its one key, so `==` compares what it means ("1" is "1000m").

Not here, and refused as an undeclared reference when a rule is compiled: `format` with named formats, semver, authorizer,
and conversions such as string(ip). Of the library's own: transformMap and transformMapEntry fail when they are run.
Pure. Source: kubernetes/apiserver pkg/cel/library (lists.go, regex.go, urls.go, ip.go, cidr.go, quantity.go).
"""

from __future__ import annotations

import ipaddress
import itertools
import re
import urllib.parse
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from cel_expr_python import cel

from ._patterns import compiled

_T = cel.Type
_LIST = cel.Type.List(cel.Type.DYN)
_TEXTS = cel.Type.List(cel.Type.STRING)


# --- lists ------------------------------------------------------------------------------------------------------------


def _is_sorted(items: Sequence[Any]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(items))


def _sum(items: Sequence[Any]) -> Any:
    return sum(items[1:], start=items[0]) if items else 0


def _least(items: Sequence[Any]) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def _greatest(items: Sequence[Any]) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def _index_of(items: Sequence[Any], item: Any) -> int:
    return next((at for at, one in enumerate(items) if one == item), -1)


def _last_index_of(items: Sequence[Any], item: Any) -> int:
    return next((at for at in reversed(range(len(items))) if items[at] == item), -1)


# --- texts ------------------------------------------------------------------------------------------------------------


def _find(text: str, pattern: str) -> str:
    found = compiled(pattern).search(text)
    return found.group() if found is not None else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    at = 0
    search = compiled(pattern).search
    while at <= len(text) and len(found) != limit and (match := search(text, at)) is not None:
        found.append(match.group())
        at = match.end() if match.end() > match.start() else match.end() + 1
    return found


# --- addresses --------------------------------------------------------------------------------------------------------

_IP, _CIDR, _URL, _QUANTITY = "@ip", "@cidr", "@url", "@quantity"


def _parsed_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without a zone, and no IPv4 address in the form of an IPv6 one."""
    if "%" in text or (":" in text and "." in text) or text.lower().startswith("::ffff:"):
        raise ValueError(f"IP Address {text!r} parse error during conversion from string")
    return ipaddress.ip_address(text)


def _ip(text: str) -> dict[str, str]:
    return {_IP: str(_parsed_ip(text))}


def _parsed_cidr(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    address, slash, bits = text.partition("/")
    if not slash or not bits.isdecimal():
        raise ValueError(f"CIDR {text!r} parse error during conversion from string")
    _parsed_ip(address)
    return ipaddress.ip_interface(text)


def _cidr(text: str) -> dict[str, str]:
    return {_CIDR: str(_parsed_cidr(text))}


def _as_ip(value: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(value if isinstance(value, str) else value[_IP])


def _as_cidr(value: Any) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    return _parsed_cidr(value if isinstance(value, str) else value[_CIDR])


def _contains_ip(value: Any, other: Any) -> bool:
    return _as_ip(other) in _as_cidr(value).network


def _contains_cidr(value: Any, other: Any) -> bool:
    outer, inner = _as_cidr(value).network, _as_cidr(other).network
    if outer.version != inner.version:
        return False
    return inner.network_address in outer and inner.prefixlen >= outer.prefixlen


def _is_global_unicast(value: Any) -> bool:
    address = _as_ip(value)
    if str(address) == "255.255.255.255":
        return False
    return not (address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


# --- URLs -------------------------------------------------------------------------------------------------------------


def _parsed_url(text: str) -> urllib.parse.SplitResult:
    """An absolute URI, or an absolute path."""
    if not text or any(ord(letter) <= 0x20 for letter in text):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    if not text.startswith("/") and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text) is None:
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    made = urllib.parse.urlsplit(text)
    _ = made.port
    return made


def _url(text: str) -> dict[str, str]:
    return {_URL: _parsed_url(text).geturl()}


def _of_url(read: Callable[[urllib.parse.SplitResult], Any]) -> Callable[[Any], Any]:
    return lambda value: read(urllib.parse.urlsplit(value[_URL]))


def _host(url: urllib.parse.SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _hostname(url: urllib.parse.SplitResult) -> str:
    return _host(url)[1:].partition("]")[0] if _host(url).startswith("[") else _host(url).partition(":")[0]


# --- quantities -------------------------------------------------------------------------------------------------------

_SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}  # fmt: skip
_QUANTITY_TEXT = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i|)|[eE]([+-]?[0-9]{1,3}))")
_QUANTITY_TEXT_MAX = 100
"""Letters; the API's quantities have 63 bits and nine places."""


def _parsed_quantity(text: str) -> Fraction:
    found = _QUANTITY_TEXT.fullmatch(text) if len(text) <= _QUANTITY_TEXT_MAX else None
    if found is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number, suffix, exponent = found.groups()
    return Fraction(number.rstrip(".")) * (_SUFFIXES[suffix] if exponent is None else Fraction(10) ** int(exponent))


def _quantity(value: Fraction) -> dict[str, str]:
    return {_QUANTITY: str(value)}


def _as_quantity(value: Any) -> Fraction:
    return Fraction(value) if isinstance(value, int) else Fraction(value[_QUANTITY])


def _compare(one: Any, other: Any) -> int:
    left, right = _as_quantity(one), _as_quantity(other)
    return (left > right) - (left < right)


def _as_integer(value: Any) -> int:
    made = _as_quantity(value)
    if made.denominator != 1 or not -(2**63) <= made < 2**63:
        raise ValueError("cannot convert value to integer")
    return int(made)


def _sign(value: Any) -> int:
    made = _as_quantity(value)
    return (made > 0) - (made < 0)


# --- the library ------------------------------------------------------------------------------------------------------


def _can(read: Callable[[str], Any]) -> Callable[[str], bool]:
    """Whether a text can be read so."""

    def can(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return can


def _functions() -> dict[str, list[tuple[bool, list[Any], Any, Callable[..., Any]]]]:
    """By name: whether it is called on its first argument, what it takes, what it gives, and what it does."""
    dyn, text, whole, claim = _T.DYN, _T.STRING, _T.INT, _T.BOOL
    return {
        "isSorted": [(True, [_LIST], claim, _is_sorted)],
        "sum": [(True, [_LIST], dyn, _sum)],
        "min": [(True, [_LIST], dyn, _least)],
        "max": [(True, [_LIST], dyn, _greatest)],
        "indexOf": [(True, [_LIST, dyn], whole, _index_of)],
        "lastIndexOf": [(True, [_LIST, dyn], whole, _last_index_of)],
        "find": [(True, [text, text], text, _find)],
        "findAll": [(True, [text, text], _TEXTS, _find_all), (True, [text, text, whole], _TEXTS, _find_all)],
        "ip": [(False, [text], dyn, _ip), (True, [dyn], dyn, lambda value: {_IP: str(_as_cidr(value).ip)})],
        "isIP": [(False, [text], claim, _can(_parsed_ip))],
        "ip.isCanonical": [(False, [text], claim, lambda value: str(_parsed_ip(value)) == value)],
        "family": [(True, [dyn], whole, lambda value: _as_ip(value).version)],
        "isUnspecified": [(True, [dyn], claim, lambda value: _as_ip(value).is_unspecified)],
        "isLoopback": [(True, [dyn], claim, lambda value: _as_ip(value).is_loopback)],
        "isLinkLocalMulticast": [(True, [dyn], claim, lambda value: _is_link_local_multicast(_as_ip(value)))],
        "isLinkLocalUnicast": [(True, [dyn], claim, lambda value: _as_ip(value).is_link_local)],
        "isGlobalUnicast": [(True, [dyn], claim, _is_global_unicast)],
        "cidr": [(False, [text], dyn, _cidr)],
        "isCIDR": [(False, [text], claim, _can(_parsed_cidr))],
        "containsIP": [(True, [dyn, dyn], claim, _contains_ip)],
        "containsCIDR": [(True, [dyn, dyn], claim, _contains_cidr)],
        "prefixLength": [(True, [dyn], whole, lambda value: _as_cidr(value).network.prefixlen)],
        "masked": [(True, [dyn], dyn, lambda value: {_CIDR: str(_as_cidr(value).network)})],
        "url": [(False, [text], dyn, _url)],
        "isURL": [(False, [text], claim, _can(_parsed_url))],
        "getScheme": [(True, [dyn], text, _of_url(lambda url: url.scheme))],
        "getHost": [(True, [dyn], text, _of_url(_host))],
        "getHostname": [(True, [dyn], text, _of_url(_hostname))],
        "getPort": [(True, [dyn], text, _of_url(lambda url: "" if url.port is None else str(url.port)))],
        "getEscapedPath": [
            (True, [dyn], text, _of_url(lambda url: urllib.parse.quote(url.path, safe="/%:@!$&'()*+,;=~")))
        ],
        "getQuery": [(True, [dyn], dyn, _of_url(lambda url: urllib.parse.parse_qs(url.query, keep_blank_values=True)))],
        "quantity": [(False, [text], dyn, lambda value: _quantity(_parsed_quantity(value)))],
        "isQuantity": [(False, [text], claim, _can(_parsed_quantity))],
        "isLessThan": [(True, [dyn, dyn], claim, lambda one, other: _compare(one, other) < 0)],
        "isGreaterThan": [(True, [dyn, dyn], claim, lambda one, other: _compare(one, other) > 0)],
        "compareTo": [(True, [dyn, dyn], whole, _compare)],
        "sign": [(True, [dyn], whole, _sign)],
        "isInteger": [(True, [dyn], claim, lambda value: _as_quantity(value).denominator == 1)],
        "asInteger": [(True, [dyn], whole, _as_integer)],
        "asApproximateFloat": [(True, [dyn], _T.DOUBLE, lambda value: float(_as_quantity(value)))],
        "add": [(True, [dyn, dyn], dyn, lambda one, other: _quantity(_as_quantity(one) + _as_quantity(other)))],
        "sub": [(True, [dyn, dyn], dyn, lambda one, other: _quantity(_as_quantity(one) - _as_quantity(other)))],
    }


def _is_link_local_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    networks = {4: "224.0.0.0/24", 6: "ff02::/16"}
    return address in ipaddress.ip_network(networks[address.version])


def extension() -> cel.CelExtension:
    """All of it, for an environment."""
    return cel.CelExtension(
        "kubernetes",
        [
            cel.FunctionDecl(
                name,
                [
                    cel.Overload(
                        f"kubernetes_{name}_{number}",
                        return_type=gives,
                        parameters=takes,
                        is_member=is_member,
                        impl=_guarded(does),
                    )
                    for number, (is_member, takes, gives, does) in enumerate(overloads)
                ],
            )
            for name, overloads in _functions().items()
        ],
    )


def _guarded(does: Callable[..., Any]) -> Callable[..., Any]:
    """What a function cannot take is an error of the expression, not of ours."""

    def call(*args: Any) -> Any:
        try:
            return does(*args)
        except (TypeError, KeyError, AttributeError) as problem:
            raise ValueError("no such overload") from problem

    return call
