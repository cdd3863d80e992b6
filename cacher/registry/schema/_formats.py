"""The values of `format` that a schema enforces on texts; any other format is a remark.

Pure. Source: kubernetes/apiextensions-apiserver pkg/apiserver/validation/formats.go (which formats count),
kubernetes/kube-openapi pkg/validation/strfmt (what each takes).
Differs: an e-mail address with a comment or a quoted local part, which Go's net/mail takes, is refused.
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import re
from collections.abc import Callable

from ._patterns import compiled


@functools.lru_cache(maxsize=1024)  # asked for each value, of the few pairs that schemas have
def enforced_format(name: str, type_: str) -> str:
    """The format as it counts for a value of this type ("" is any, or integer-or-text): "" where it is only a remark."""
    if type_ in ("", "string"):
        return name.replace("-", "") if name.replace("-", "") in _CHECKS else ""
    return name if name in _NUMERIC.get(type_, ()) else ""


def has_check(format_: str) -> bool:
    """Whether a text can be one of this format: a number's formats say nothing of texts."""
    return format_ in _CHECKS


def keeps_format(text: str, format_: str) -> bool:
    """Whether the text is one of this format, a name that `enforced_format` gave.

    Cost: O(text).
    """
    return _CHECKS[format_](text)


_NUMERIC = {"integer": ("int32", "int64"), "number": ("float", "double")}


def _matching(pattern: str) -> Callable[[str], bool]:
    return lambda text: compiled(pattern).search(text) is not None


def _is_uri(text: str) -> bool:
    """An absolute URI, or an absolute path."""
    if not text or any(ord(letter) <= 0x20 or ord(letter) == 0x7F for letter in text):
        return False
    scheme = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", text)
    rest = text[scheme.end() :] if scheme is not None else text
    if not rest.startswith("/"):
        return scheme is not None
    if re.search(r"%(?![0-9a-fA-F]{2})", rest.split("?", 1)[0]) is not None:
        return False
    return not rest.startswith("//") or _is_authority(re.split(r"[/?]", rest[2:], maxsplit=1)[0])


def _is_authority(text: str) -> bool:
    """`[user@]host[:port]`, the host a name, an address, or an IPv6 address in brackets."""
    host = text.rpartition("@")[2]
    if host.startswith("["):
        return re.fullmatch(r"\[[^\[\]]*\](:[0-9]*)?", host) is not None
    return re.fullmatch(r"[^\[\]:]*(:[0-9]*)?", host) is not None


def _is_email(text: str) -> bool:
    bare = text[text.index("<") + 1 : -1] if text.endswith(">") and "<" in text else text
    local, at, domain = bare.strip().rpartition("@")
    atoms = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+)*"
    return bool(at) and re.fullmatch(atoms, local) is not None and re.fullmatch(atoms, domain) is not None


def _is_hostname(text: str) -> bool:
    symbols = r"a-zA-Z0-9\p{S}\p{L}"
    label = rf"[{symbols}](([{symbols}-]{{0,61}}[{symbols}])?)(\.)"
    pattern = rf"^([{symbols}]((-?[{symbols}]{{0,62}})?)|({label}){{1,}}([a-zA-Z\p{{L}}]){{2,63}})$"
    size = len(text.encode("utf-8", "surrogatepass"))
    short = all(len(part.encode("utf-8", "surrogatepass")) <= 63 for part in text.split("."))
    return size <= 255 and short and compiled(pattern).search(text) is not None


def _without_zeros(text: str) -> str:
    """An IPv4 address without the leading zeros that the API overlooks."""
    return re.sub(r"(?<![0-9a-fA-F:.])0+(?=\d)|(?<=\.)0+(?=\d)", "", text) if ":" not in text else text


def _is_ip(text: str) -> bool:
    if "%" in text or not text.isascii():
        return False
    try:
        ipaddress.ip_address(_without_zeros(text))
    except ValueError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not _is_ip(address) or re.fullmatch(r"[0-9]{1,3}", bits) is None:
        return False
    return int(bits) <= (128 if ":" in address else 32)


def _is_date(text: str) -> bool:
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None:
        return False
    try:
        dt.date.fromisoformat(text.replace("0000-", "2000-", 1) if text.startswith("0000-") else text)
    except ValueError:
        return False
    return True


def _is_datetime(text: str) -> bool:
    date, _, time = text.lower().partition("t")
    time = time.partition("t")[0]
    found = re.fullmatch(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", time)
    if found is None or not _is_date(date):
        return False
    return found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


_DURATION_UNITS = r"(ns|us|µs|ms|s|m|h|d|w|hr|wk|(nano|micro|milli|sec|min|hour|day|week)[A-Za-zµ]*)"


def _is_duration(text: str) -> bool:
    """One of Go's ("1h30m"), or one in words ("22 days")."""
    if re.fullmatch(r"[-+]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)", text) is not None:
        return True
    words = re.findall(r"[0-9]+\s*([A-Za-zµ]+)", text)
    return any(re.fullmatch(_DURATION_UNITS, word, re.IGNORECASE) is not None for word in words)


def _is_mac(text: str) -> bool:
    pairs, fours = "[0-9a-fA-F]{2}", "[0-9a-fA-F]{4}"
    shapes = [f"{pairs}({mark}{pairs}){{{count}}}" for mark in ":-" for count in (5, 7, 19)]
    shapes += [f"({pairs}){{{count}}}" for count in (6, 8, 20)]
    shapes += [rf"{fours}(\.{fours}){{{count}}}" for count in (2, 3, 9)]
    return any(re.fullmatch(shape, text) is not None for shape in shapes)


def _bare(text: str) -> str:
    return re.sub(r"[\s-]+", "", text)


def _is_isbn10(text: str) -> bool:
    bare = _bare(text)
    if re.fullmatch(r"[0-9]{9}[0-9X]", bare) is None:
        return False
    return sum(at * (10 if digit == "X" else int(digit)) for at, digit in enumerate(bare, 1)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    bare = _bare(text)
    if re.fullmatch(r"[0-9]{13}", bare) is None:
        return False
    return sum((3 if at % 2 else 1) * int(digit) for at, digit in enumerate(bare)) % 10 == 0


_CARDS = (
    r"4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(0[0-5]|[68][0-9])[0-9]{11}"
    r"|(2131|1800|35[0-9]{3})[0-9]{11}"
)


def _is_creditcard(text: str) -> bool:
    bare = re.sub(r"[^0-9]+", "", text)
    if re.fullmatch(_CARDS, bare) is None:
        return False
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(bare)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_rgbcolor(text: str) -> bool:
    part = r"(0|[1-9][0-9]?|1[0-9][0-9]?|2[0-4][0-9]|25[0-5])"
    return re.fullmatch(rf"rgb\(\s*{part}\s*,\s*{part}\s*,\s*{part}\s*\)", text) is not None


def _uuid(version: str = "[0-9a-f]", variant: str = "[0-9a-f]") -> Callable[[str], bool]:
    four = "[0-9a-f]{3}"
    return _matching(f"(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{version}{four}-?{variant}{four}-?[0-9a-f]{{12}}$")


_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matching("^[0-9a-fA-F]{24}$"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": lambda text: "." in text and _is_ip(text),
    "ipv6": lambda text: ":" in text and _is_ip(text),
    "cidr": _is_cidr,
    "mac": _is_mac,
    "uuid": _uuid(),
    "uuid3": _uuid("3"),
    "uuid4": _uuid("4", "[89ab]"),
    "uuid5": _uuid("5", "[89ab]"),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_creditcard,
    "ssn": lambda text: len(text) == 11 and re.fullmatch(r"[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}", text) is not None,
    "hexcolor": _matching("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    "rgbcolor": _is_rgbcolor,
    "byte": _matching("^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"),
    "password": lambda text: True,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_datetime,
    "k8sshortname": lambda text: len(text) <= 63 and _matching(f"^{_NAME}$")(text),
    "k8slongname": lambda text: len(text) <= 253 and _matching(rf"^{_NAME}(\.{_NAME})*$")(text),
}
