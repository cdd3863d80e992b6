"""Conditional: a write that is limited to a uid, or to a version, changes that one or none.

It is what everybody builds on who decides by a copy that may be old: the write is refused where the copy was.

Source: kubernetes/apimachinery pkg/apis/meta/v1, Preconditions; resourceVersion in an update, api-conventions.md.
"""

from __future__ import annotations

from .._acts import Request, Written
from ._case import Case
from ._judge import Judge
from ._truth import NONE
from ._verdict import Tally


def _conditional(case: Case, tally: Tally) -> None:
    begun = set[int]()
    for written in case.history.acts.written:
        if written.request < 0:
            continue
        request = case.history.acts.requests[written.request]
        if written.key != request.key or not (request.uid or request.version):
            continue
        tally.checked(1)
        # A deletion may take two writes: the version is that of the first one's object, the uid that of both.
        is_first = request.number not in begun
        begun.add(request.number)
        if fault := _fault(case, request, written, is_first):
            facts = f"{request.process}: {request.verb} {written.key} {fault}"
            tally.broke(request.process, facts, revision=written.revision, at_s=written.at_s)


def _fault(case: Case, request: Request, written: Written, is_first: bool) -> str:
    """What it should not have changed; "" where it changed what it was limited to."""
    if request.uid and written.previous_uid != request.uid:
        return f"limited to uid {request.uid} changed {written.previous_uid or 'nothing into something'}"
    if not request.version or not is_first:
        return ""
    before = _version_before(case, written)
    return "" if before == request.version else f"limited to version {request.version} changed version {before or '-'}"


def _version_before(case: Case, written: Written) -> str:
    """Of what was there before the write; "": nothing was."""
    truth = case.store(written.prefix)
    change = next(one for one in truth.changes if (one.revision, one.key) == (written.revision, written.key))
    return str(truth.objects[change.before].revision) if change.before != NONE else ""


CONDITIONAL = Judge(
    "Conditional",
    "a write that is limited to a uid or a version changes no other",
    of_caches=_conditional,
)
