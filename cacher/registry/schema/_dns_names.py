"""Names as DNS has them, and what the API says of others.

Pure. Source: kubernetes/apimachinery pkg/util/validation/validation.go.
"""

from __future__ import annotations

import re

_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

LABEL_LENGTH_MAX = 63
SUBDOMAIN_LENGTH_MAX = 253


def label_problems(text: str) -> list[str]:
    """Why this is no label that begins with a letter; empty if it is one."""
    return _too_long(text, LABEL_LENGTH_MAX) + _unless(
        _LABEL_1035,
        text,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
        "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
        f"'{_LABEL_1035}')",
    )


def subdomain_problems(text: str) -> list[str]:
    """Why these are no labels with dots between; empty if they are."""
    return _too_long(text, SUBDOMAIN_LENGTH_MAX) + _unless(
        _SUBDOMAIN,
        text,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
        f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')",
    )


def _too_long(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text.encode("utf-8", "replace")) > limit else []


def _unless(pattern: str, text: str, problem: str) -> list[str]:
    return [] if re.fullmatch(pattern, text, re.ASCII) is not None else [problem]
