r"""The grammars of label and field selectors: text in, plain terms out. The selectors are in `_selector_terms`.

    labels   ::= [ term { "," term } ]
    term     ::= KEY | "!" KEY | KEY ("=" | "==" | "!=" | ">" | "<") VALUE | KEY ("in" | "notin") "(" VALUES ")"
    fields   ::= { PATH ("=" | "==" | "!=") VALUE "," }    where `\`, `,` and `=` in a VALUE stand as `\\`, `\,`, `\=`

Label selectors ignore white space between their words and refuse a trailing comma; field selectors take white space
as it stands and skip empty terms. Both are as Kubernetes reads them. Whoever receives a text bounds its length.

Source: kubernetes/apimachinery pkg/labels/selector.go, pkg/fields/selector.go, pkg/util/validation for keys and values.
Differs: errors tell the position; a NUL is a character that no key or value may have, and does not end a word.
"""

from __future__ import annotations

import enum
import re
from typing import NoReturn

from ._errors import InvalidSelector

NAME_LENGTH_MAX = 63
"""Characters in the name part of a label key, and in a label value: RFC 1123's limit on one label of a host name."""
PREFIX_LENGTH_MAX = 253
"""Characters in the prefix of a label key: RFC 1123's limit on a whole host name."""
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class Operator(enum.StrEnum):
    """What a requirement asks of a value; the text is what stands in a selector (`==` is read as `=`)."""

    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    NOT_EXISTS = "!"
    GREATER_THAN = ">"
    LESS_THAN = "<"


LabelTerm = tuple[str, Operator, tuple[str, ...]]
"""Key, operator, values sorted and unique."""
FieldTerm = tuple[str, Operator, str]
"""Path, EQUALS or NOT_EQUALS, unescaped value."""


# ---- what a requirement may consist of -----------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_RULE = "letters, digits, '-', '_' and '.', beginning and ending with a letter or a digit"


def requirement_problem(key: str, operator: Operator, values: tuple[str, ...]) -> str | None:
    """What is wrong with a label requirement and what would be right; None where it is valid."""
    problem = _key_problem(key) or _count_problem(operator, len(values))
    if problem is None and operator in (Operator.GREATER_THAN, Operator.LESS_THAN) and integer(values[0]) is None:
        problem = f"the value {values[0]!r} after '{operator}' is not a 64-bit integer"
    return problem or next((found for value in values if (found := _value_problem(value))), None)


def integer(text: str) -> int | None:
    """`text` as a decimal 64-bit integer, None where it is not one: stricter than int(), which takes '1_0' and ' 1'."""
    if not _INTEGER.fullmatch(text):
        return None
    digits = text.lstrip("+-").lstrip("0") or "0"
    if len(digits) > 19:  # int() refuses absurdly long texts, leading zeros counted, by an error of its own
        return None
    value = -int(digits) if text[0] == "-" else int(digits)
    return value if INT64_MIN <= value <= INT64_MAX else None


def _count_problem(operator: Operator, count: int) -> str | None:
    if operator in (Operator.IN, Operator.NOT_IN):
        return None if count else f"'{operator}' needs at least one value"
    wanted = 0 if operator in (Operator.EXISTS, Operator.NOT_EXISTS) else 1
    return None if count == wanted else f"'{operator}' needs {wanted or 'no'} value{'s' * (wanted == 0)}, not {count}"


def _key_problem(key: str) -> str | None:
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        return f"the label key {key!r} has an empty prefix: leave the '/' out"
    if len(prefix) > PREFIX_LENGTH_MAX:
        return (
            f"the prefix of the label key {key!r} has {len(prefix)} characters: at most {PREFIX_LENGTH_MAX} are allowed"
        )
    if slash and not _PREFIX.fullmatch(prefix):
        return f"the prefix of the label key {key!r} is not a DNS name in lower case, such as example.com"
    return _word_problem(name, "the name part of the label key", key)


def _value_problem(value: str) -> str | None:
    return _word_problem(value, "the label value", value) if value else None


def _word_problem(word: str, what: str, whole: str) -> str | None:
    if len(word) > NAME_LENGTH_MAX:
        return f"{what} {whole!r} has {len(word)} characters: at most {NAME_LENGTH_MAX} are allowed"
    return None if _NAME.fullmatch(word) else f"{what} {whole!r} must be {_NAME_RULE}"


# ---- label selectors -----------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"==|!=|[=!(),<>]|[^ \t\r\n=!(),<>]+")
_SYMBOLS = frozenset({"", "==", "!=", "=", "!", "(", ")", ",", "<", ">"})
_BINARY = {
    "=": Operator.EQUALS,
    "==": Operator.EQUALS,
    "!=": Operator.NOT_EQUALS,
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    ">": Operator.GREATER_THAN,
    "<": Operator.LESS_THAN,
}


def parse_labels(text: str) -> list[LabelTerm]:
    """The requirements of a label selector, as written and in their order; none for an empty text.

    Raises:
        InvalidSelector: correct the text where the message points.
    """
    tokens = _Tokens(text)
    terms: list[LabelTerm] = []
    while terms or tokens.peek():
        terms.append(_label_term(tokens))
        if not tokens.peek():
            break
        tokens.expect(",", "',' or the end")
    return terms


class _Tokens:
    """The words and symbols of a label selector, one ahead; "" stands for the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(found.start() + 1, found[0]) for found in _TOKEN.finditer(text)]
        self._tokens.append((len(text) + 1, ""))
        self._next = 0

    @property
    def at(self) -> int:
        """Where the next token stands, from 1."""
        return self._tokens[self._next][0]

    def peek(self) -> str:
        return self._tokens[self._next][1]

    def peek_is_word(self) -> bool:
        return self.peek() not in _SYMBOLS

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token

    def accept(self, symbol: str) -> bool:
        found = self.peek() == symbol
        self._next += found
        return found

    def expect(self, symbol: str, expected: str) -> None:
        if not self.accept(symbol):
            self.fail(expected)

    def word(self, expected: str) -> str:
        return self.take() if self.peek_is_word() else self.fail(expected)

    def fail(self, expected: str) -> NoReturn:
        found = f"found {self.peek()!r}" if self.peek() else "found the end"
        raise InvalidSelector(self._text, f"at character {self.at}: {found}, expected {expected}")

    def refuse(self, at: int, problem: str) -> NoReturn:
        raise InvalidSelector(self._text, f"at character {at}: {problem}")


def _label_term(tokens: _Tokens) -> LabelTerm:
    start = tokens.at
    negated = tokens.accept("!")
    key = tokens.word("a label key" if negated else "a label key or '!'")
    operator, values = (Operator.NOT_EXISTS, ()) if negated else _operator_and_values(tokens)
    if problem := requirement_problem(key, operator, values):
        tokens.refuse(start, problem)
    return key, operator, values


def _operator_and_values(tokens: _Tokens) -> tuple[Operator, tuple[str, ...]]:
    if tokens.peek() in ("", ","):
        return Operator.EXISTS, ()
    operator = _BINARY.get(tokens.peek()) or tokens.fail("',', the end or one of =, ==, !=, in, notin, >, <")
    tokens.take()
    if operator in (Operator.IN, Operator.NOT_IN):
        return operator, tuple(sorted(set(_value_list(tokens))))
    # Nothing after the operator is the empty value: `key=` asks for a label that is there and empty.
    return operator, ("" if tokens.peek() in ("", ",") else tokens.word("a value, ',' or the end"),)


def _value_list(tokens: _Tokens) -> list[str]:
    """The values between parentheses. Nothing before, between or after commas is the empty value.

    Two commas are taken at once, so `(a,,)` is refused while `(a,)` and `(a,,,)` are not, as Kubernetes has it.
    """
    tokens.expect("(", "'('")
    values = [""] if tokens.peek() in (",", ")") else []
    while not tokens.accept(")"):
        if tokens.peek_is_word():
            values.append(tokens.take())
            if tokens.peek() not in (",", ")"):
                tokens.fail("',' or ')'")
            continue
        tokens.expect(",", "a value, ',' or ')'")
        if tokens.peek() == ")":
            values.append("")
        elif tokens.accept(","):
            values.append("")
            if tokens.peek() == ")":
                tokens.fail("a value or ','")
    return values


# ---- field selectors -----------------------------------------------------------------------------------------------

# A backslash takes the next character with it, so that an escaped comma does not end the term.
_FIELD_TERM = re.compile(r"(?:\\.|[^,\\]|\\\Z)+", re.DOTALL)
_FIELD_OPERATOR = re.compile(r"!=|==|=")
_SPECIAL = re.compile(r"\\(.?)|=", re.DOTALL)
_ESCAPABLE = ("\\", ",", "=")


def parse_fields(text: str) -> list[FieldTerm]:
    """The requirements of a field selector, in their order, values unescaped; none for an empty text.

    Raises:
        InvalidSelector: correct the text where the message points.
    """
    return [_field_term(text, found.start(), found[0]) for found in _FIELD_TERM.finditer(text)]


def escape_field_value(value: str) -> str:
    r"""`value` as it is written in a field selector: `\`, `,` and `=` preceded by a backslash."""
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _field_term(text: str, start: int, term: str) -> FieldTerm:
    found = _FIELD_OPERATOR.search(term)
    if found is None:
        raise InvalidSelector(
            text, f"at character {start + 1}: {term!r} has no operator, expected =, == or != after the path"
        )
    operator = Operator.NOT_EQUALS if found[0] == "!=" else Operator.EQUALS
    return term[: found.start()], operator, _unescape(text, start + found.end(), term[found.end() :])


def _unescape(text: str, start: int, value: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1] in _ESCAPABLE:
            return found[1]
        where = f"at character {start + found.start() + 1}: "
        if found[0] == "=":
            raise InvalidSelector(text, where + r"found '=' inside a value, expected \=")
        raise InvalidSelector(text, where + rf"{found[0]} is no escape, expected \\, \, or \=")

    return _SPECIAL.sub(plain, value)
