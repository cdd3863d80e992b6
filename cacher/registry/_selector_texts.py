"""Why the text of a selector is refused, in Kubernetes' words: what its own parser says. Pure.

The parser of `watch` says where in the text something is wrong, which helps people; the API's answers say it as here.
Source: kubernetes/apimachinery pkg/labels/selector.go (Parser), pkg/fields/selector.go.
"""

from __future__ import annotations

import re

from ._field_errors import invalid
from ._names import label_value, qualified_name

_TOKEN = re.compile(r"==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+")
_SYMBOLS = frozenset({"", "==", "!=", "=", "!", "(", ")", ",", "<", ">"})
_OPERATORS = ("in", "notin", "=", "==", "!=", "<", ">")
_ESCAPED = re.compile(r"\\(.?)|[,=]", re.DOTALL)
_FIELD_TERM = re.compile(r"(?:\\.|[^,\\]|\\\Z)+", re.DOTALL)
_FIELD_OPERATOR = re.compile(r"!=|==|=")
INT64 = 2**63


class _Refused(Exception):
    """The text is no selector."""


def label_selector_problem(text: str) -> str | None:
    """Why a label selector is refused; None where it is not."""
    try:
        _Labels(text).read()
    except _Refused as refused:
        return str(refused)
    return None


def field_selector_problem(text: str) -> str | None:
    """Why a field selector is refused; None where it is not."""
    for term in sorted(found[0] for found in _FIELD_TERM.finditer(text)):
        operator = _FIELD_OPERATOR.search(term)
        if operator is None:
            return f"invalid selector: '{text}'; can't understand '{term}'"
        for found in _ESCAPED.finditer(term, operator.end()):
            if found[0] in (",", "="):
                return f"invalid field selector: unescaped character in value: {ord(found[0])}"
            if found[1] not in ("\\", ",", "=") or not found[1]:
                return f"invalid field selector: invalid escape sequence: {found[0]}"
    return None


class _Labels:
    """Reads a label selector as Kubernetes does, for what it says where it cannot."""

    def __init__(self, text: str) -> None:
        self._tokens = [found[0] for found in _TOKEN.finditer(text)]
        self._at = 0

    def read(self) -> None:
        while True:
            token = self._peek()
            if not token:
                return
            if token in _SYMBOLS and token != "!":
                raise _Refused(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                self._requirement()
            except _Refused as refused:
                raise _Refused(f"unable to parse requirement: {refused}") from None
            after = self._take()
            if not after:
                return
            if after != ",":
                raise _Refused(f"found '{after}', expected: ',' or 'end of string'")
            following = self._peek()
            if following in _SYMBOLS and following != "!":
                raise _Refused(f"found '{following}', expected: identifier after ','")

    def _requirement(self) -> None:
        is_negated = self._peek() == "!"
        if is_negated:
            self._take()
        key = self._take()
        if key in _SYMBOLS:
            raise _Refused(f"found '{key}', expected: identifier")
        if problems := qualified_name(key):
            raise _Refused(str(invalid("<nil>", key, "; ".join(problems))))
        if is_negated or self._peek() in ("", ","):
            return
        operator = self._take()
        if operator not in _OPERATORS:
            raise _Refused(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if operator in ("in", "notin") else [self._value()]
        self._check(operator, values)

    def _check(self, operator: str, values: list[str]) -> None:
        wrong: list[str] = []
        if operator in ("<", ">"):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            wrong += [str(invalid(f"values[{at}]", one, why)) for at, one in enumerate(values) if not _is_integer(one)]
        for at, one in enumerate(values):
            if problems := label_value(one):
                wrong.append(str(invalid(f"values[{at}]", one, "; ".join(problems))))
        wrong = list(dict.fromkeys(wrong))
        if wrong:
            raise _Refused(wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]")

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        token = self._take()
        if token in _SYMBOLS:
            raise _Refused(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> list[str]:
        token = self._take()
        if token != "(":
            raise _Refused(f"found '{token}' expected: '('")
        first = self._peek()
        if first == ")":
            self._take()
            return [""]
        if first in _SYMBOLS and first != ",":
            raise _Refused(f"found '{first}', expected: ',', ')' or identifier")
        values = self._identifiers()
        self._take()
        return sorted(set(values))

    def _identifiers(self) -> list[str]:
        """Up to the closing parenthesis, which is left."""
        values: list[str] = []
        while True:
            token = self._take()
            if token not in _SYMBOLS:
                values.append(token)
                after = self._peek()
                if after == ")":
                    return values
                if after != ",":
                    raise _Refused(f"found '{after}', expected: ',' or ')'")
            elif token == ",":
                if not values:
                    values.append("")
                if self._peek() == ")":
                    return [*values, ""]
                if self._peek() == ",":
                    self._take()
                    values.append("")
            else:
                raise _Refused(f"found '{token}', expected: ',', or identifier")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token


def _is_integer(text: str) -> bool:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) < 20 and -INT64 <= int(text) < INT64
