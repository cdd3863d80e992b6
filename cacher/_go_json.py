"""Why a text is no JSON, in the words of Go's encoding/json, which Kubernetes' answers repeat. Pure.

Source: encoding/json scanner.go.
Differs: nothing is said of where; Go's offset is not in the messages either.
"""

from __future__ import annotations

import json
import re

DEPTH_MAX = 10_000
"""Objects and lists in each other."""

_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = frozenset(b"0123456789abcdefABCDEF")
_DIGITS = frozenset(b"0123456789")
_LITERALS = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}
_SHORT = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r"}
_END = "unexpected end of JSON input"


class _Problem(Exception):
    """The text ends, or goes on, as JSON does not."""


def json_problem(text: bytes) -> str | None:
    """What is wrong with `text`; None where it is JSON. Cost: O(size), some 100 ns a byte: for texts that failed.

    >>> json_problem(b"{"), json_problem(b"[1,]"), json_problem(b" {} ")
    ('unexpected end of JSON input', "invalid character ']' looking for beginning of value", None)
    """
    try:
        _document(text)
    except _Problem as problem:
        return str(problem)
    return None


def _document(text: bytes) -> None:
    """Containers that are open are on a stack: a text may nest deeper than Python's own calls."""
    open_: list[int] = []
    at = _space(text, 0)
    while True:
        at = _value(text, at, open_)
        at = _space(text, at)
        while True:
            if not open_:
                if at < len(text):
                    raise _wrong(text, at, "after top-level value")
                return
            is_object = open_[-1] == ord("{")
            closing = ord("}") if is_object else ord("]")
            if _at(text, at) == ord(","):
                at = _space(text, at + 1)
                if is_object:
                    at = _key(text, at)
                break
            if _at(text, at) != closing:
                raise _wrong(text, at, "after object key:value pair" if is_object else "after array element")
            open_.pop()
            at = _space(text, at + 1)


def _value(text: bytes, at: int, open_: list[int]) -> int:
    """After the first scalar, or empty container, that stands at `at` inside of containers that it opens."""
    while True:
        first = _at(text, at)
        if first not in b"{[":
            return _scalar(text, at)
        open_.append(first)
        if len(open_) > DEPTH_MAX:
            raise _Problem("exceeded max depth")
        at = _space(text, at + 1)
        if _at(text, at) == (ord("}") if first == ord("{") else ord("]")):
            open_.pop()
            return at + 1
        if first == ord("{"):
            at = _key(text, at)


def _key(text: bytes, at: int) -> int:
    """Before the value of the member whose name stands at `at`."""
    if _at(text, at) != ord('"'):
        raise _wrong(text, at, "looking for beginning of object key string")
    at = _space(text, _string(text, at))
    if _at(text, at) != ord(":"):
        raise _wrong(text, at, "after object key")
    return _space(text, at + 1)


def _scalar(text: bytes, at: int) -> int:
    first = _at(text, at)
    if first == ord('"'):
        return _string(text, at)
    if first == ord("-") or first in _DIGITS:
        return _number(text, at)
    if first in _LITERALS:
        return _literal(text, at, _LITERALS[first])
    raise _wrong(text, at, "looking for beginning of value")


def _string(text: bytes, at: int) -> int:
    at += 1
    while True:
        found = _PLAIN.match(text, at)
        at = found.end() if found is not None else at
        byte = _at(text, at)
        if byte == ord('"'):
            return at + 1
        if byte != ord("\\"):
            raise _wrong(text, at, "in string literal")
        escaped = _at(text, at + 1)
        if escaped == ord("u"):
            for place in range(at + 2, at + 6):
                if _at(text, place) not in _HEX:
                    raise _wrong(text, place, "in \\u hexadecimal character escape")
            at += 6
        elif escaped in b'"\\/bfnrt':
            at += 2
        else:
            raise _wrong(text, at + 1, "in string escape code")


def _number(text: bytes, at: int) -> int:
    if text[at] == ord("-"):
        at += 1
        if _at(text, at) not in _DIGITS:
            raise _wrong(text, at, "in numeric literal")
    at = at + 1 if text[at] == ord("0") else _digits(text, at)
    if at < len(text) and text[at] == ord("."):
        at += 1
        if _at(text, at) not in _DIGITS:
            raise _wrong(text, at, "after decimal point in numeric literal")
        at = _digits(text, at)
    if at < len(text) and text[at] in b"eE":
        at += 1
        if _at(text, at) in b"+-":
            at += 1
        if _at(text, at) not in _DIGITS:
            raise _wrong(text, at, "in exponent of numeric literal")
        at = _digits(text, at)
    return at


def _digits(text: bytes, at: int) -> int:
    while at < len(text) and text[at] in _DIGITS:
        at += 1
    return at


def _literal(text: bytes, at: int, word: bytes) -> int:
    for offset, expected in enumerate(word):
        if _at(text, at + offset) != expected:
            raise _wrong(text, at + offset, f"in literal {word.decode()} (expecting '{chr(expected)}')")
    return at + len(word)


def _space(text: bytes, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _at(text: bytes, at: int) -> int:
    if at >= len(text):
        raise _Problem(_END)
    return text[at]


def _wrong(text: bytes, at: int, where: str) -> _Problem:
    return _Problem(f"invalid character {_shown(_at(text, at))} {where}")


def _shown(byte: int) -> str:
    """A byte as Go quotes it: as the character of that number."""
    if byte == ord("'"):
        return r"'\''"
    if byte == ord('"'):
        return "'\"'"
    if byte in _SHORT:
        return f"'{_SHORT[byte]}'"
    if byte < 0x20 or byte == 0x7F:
        return f"'\\x{byte:02x}'"
    if 0x80 <= byte <= 0xA0 or byte == 0xAD:
        return f"'\\u{byte:04x}'"
    return "'" + json.dumps(chr(byte), ensure_ascii=False)[1:-1] + "'"
