"""What a user may ask of themselves: who they are, and whether they may do something. Nothing of it is stored.

    POST /apis/authentication.k8s.io/v1/selfsubjectreviews            `kubectl auth whoami`
    POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews       `kubectl auth can-i`

Pure.
Source: kubernetes pkg/registry/authentication/selfsubjectreview, pkg/registry/authorization/selfsubjectaccessreview.
Differs: discovery does not list them; there are no reviews of others, and no list of all that one may do.
"""

from __future__ import annotations

from typing import Any

from ..registry import BadRequest, Forbidden, JSONObject
from ._auth import Attributes, User, check_access
from ._routes import Target

_WHOAMI = ("authentication.k8s.io/v1", "selfsubjectreviews")
_CAN_I = ("authorization.k8s.io/v1", "selfsubjectaccessreviews")


def is_review(method: str, target: Target) -> bool:
    """Whether this is what is asked."""
    known = (target.group_version, target.plural)
    return method == "POST" and known in (_WHOAMI, _CAN_I) and not (target.name or target.namespace)


def reviewed(target: Target, user: User, body: Any) -> JSONObject:
    """The answer to what was sent.

    Raises:
        BadRequest: it asks for nothing that could be told.
    """
    if not isinstance(body, dict):
        raise BadRequest("a review is a JSON object")
    if (target.group_version, target.plural) == _WHOAMI:
        told: JSONObject = {
            "username": user.name,
            **({"uid": user.uid} if user.uid else {}),
            "groups": list(user.groups),
        }
        return {
            "kind": "SelfSubjectReview",
            "apiVersion": _WHOAMI[0],
            "metadata": {},
            "status": {"userInfo": told},
        }
    spec = body.get("spec") or {}
    wanted = _wanted(spec)
    try:
        check_access(user, wanted)
        status: JSONObject = {"allowed": True}
    except Forbidden:
        status = {"allowed": False}
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": _CAN_I[0],
        "metadata": {},
        "spec": spec,
        "status": status,
    }


def _wanted(spec: Any) -> Attributes:
    resource = spec.get("resourceAttributes") if isinstance(spec, dict) else None
    path = spec.get("nonResourceAttributes") if isinstance(spec, dict) else None
    if isinstance(resource, dict) == isinstance(path, dict):
        raise BadRequest("spec has to have just one of resourceAttributes and nonResourceAttributes")
    if isinstance(path, dict):
        return Attributes(_text(path, "verb"), _text(path, "path"))
    assert isinstance(resource, dict), "one of the two is there"
    return Attributes(
        _text(resource, "verb"),
        group=_text(resource, "group"),
        resource=_text(resource, "resource") or "*",
        subresource=_text(resource, "subresource"),
        namespace=_text(resource, "namespace"),
        name=_text(resource, "name"),
    )


def _text(obj: JSONObject, name: str) -> str:
    value = obj.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"{name} has to be a text")
    return value
