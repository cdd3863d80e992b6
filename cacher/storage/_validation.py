"""What a list, a get or a watch may ask of any storage, and what its resource version means.

    resource version   match         limit   continue     read at
    "" or "0"          any           any     –            latest
    N                  unset         0       –            latest, not older than N
    N                  unset         > 0     –            exactly N (as releases before resourceVersionMatch did)
    N                  NotOlderThan  any     –            latest, not older than N
    N                  Exact         any     –            exactly N
    "" or "0"          unset         any     token at R   exactly R; a negative R: latest

A read that is not recursive knows no pages: it ignores the token, and an N with a limit does not mean Exact. Pure.

Source: kubernetes/apiserver pkg/storage/util.go (ValidateListOptions), api_object_versioner.go (ParseResourceVersion).
"""

from __future__ import annotations

import msgspec

from ._continue_token import InvalidContinueToken, decode_continue
from ._errors import BadRequest, InvalidResourceVersion, UnknownMatch
from ._interface import ListOptions, Match
from ._keys import go_quoted

REVISION_MAX = 2**64 - 1
"""What Kubernetes' resource versions can count to."""


class ListPlan(msgspec.Struct, frozen=True):
    """What a list reads."""

    revision: int
    """Exactly as it was then; 0: the latest."""
    start_key: str
    """The first key of the page; "": of the range."""
    minimum: int
    """The lowest revision that will do, where the latest is read; 0: any."""


def plan_list(key_prefix: str, options: ListOptions) -> ListPlan:
    """What `options` ask for, of the keys under `key_prefix`.

    Raises:
        BadRequest: the token or the resource version is none, or they exclude each other.
        UnknownMatch: the match is none, and a resource version was given for it.
    """
    if options.recursive and options.continue_token:
        return _continued(key_prefix, options)
    revision = parse_resource_version(options.resource_version)
    if options.resource_version:
        check_match(options.match)
    if options.match == Match.EXACT:
        return ListPlan(revision, "", 0)
    if not options.match and options.recursive and options.limit > 0 and revision:
        return ListPlan(revision, "", 0)
    return ListPlan(0, "", revision)


def _continued(key_prefix: str, options: ListOptions) -> ListPlan:
    try:
        start_key, revision = decode_continue(options.continue_token, key_prefix)
    except InvalidContinueToken as error:
        raise BadRequest(f"invalid continue token: {error}") from error
    if options.resource_version not in ("", "0"):
        raise BadRequest("specifying resource version is not allowed when using continue")
    return ListPlan(max(0, revision), start_key, 0)


def check_match(match: str) -> None:
    """Return if it is a Match.

    Raises:
        UnknownMatch: it is none.
    """
    if match not in (Match.UNSET, Match.EXACT, Match.NOT_OLDER_THAN):
        raise UnknownMatch(f"unknown ResourceVersionMatch value: {match}")


def parse_resource_version(text: str) -> int:
    """The revision that a list or a get asks for; "" and "0" are 0.

    Raises:
        BadRequest: it is no number; hand in what a list or an event gave.
    """
    try:
        return parse_watch_resource_version(text)
    except InvalidResourceVersion as error:
        raise BadRequest(f"invalid resource version: {error.message}") from error


def parse_watch_resource_version(text: str) -> int:
    """The revision that a watch, or a get from a cache, asks for; "" and "0" are 0.

    Raises:
        InvalidResourceVersion: it is no number. Kubernetes answers these so, and a list with a BadRequest.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise _invalid(text, "invalid syntax")
    digits = text.lstrip("0")
    if len(digits) > len(str(REVISION_MAX)) or (revision := int(digits or "0")) > REVISION_MAX:
        raise _invalid(text, "value out of range")
    return revision


def _invalid(text: str, problem: str) -> InvalidResourceVersion:
    quoted = go_quoted(text)
    return InvalidResourceVersion(
        f"resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {problem}"
    )
