"""Which form an answer takes, by what the client accepts, and which a body may have. Pure.

    Accept ─ the route has none of it: 406, listing what it has ─ clauses by quality ─► media type, transformation

Two places refuse, with two texts, as Kubernetes has it: the router looks at bare media types, the handler at parameters too.
Source: kubernetes/apiserver pkg/endpoints/handlers/negotiation/negotiate.go; go-restful route.go, jsr311.go.
Differs: an answer in protobuf is not made; who accepts it gets JSON, which every client reads.
"""

from __future__ import annotations

import msgspec

from ..registry import NotAcceptable, StatusDetails, UnsupportedMediaType
from ._request import JSON, PROTOBUF, YAML

OBJECT_TYPES = (JSON, YAML, PROTOBUF)
STREAM_TYPES = (f"{JSON};stream=watch", f"{PROTOBUF};stream=watch")
LIST_TYPES = (*OBJECT_TYPES, *STREAM_TYPES)
PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
AGGREGATED = {"g": "apidiscovery.k8s.io", "v": "v2", "as": "APIGroupDiscoveryList"}
"""The parameters that ask for all of discovery in one document. Kubernetes 1.36 has no other version of it."""
_META_VERSIONS = ("v1", "v1beta1")


class Transformation(msgspec.Struct, frozen=True):
    """What an object is to be shown as: `Table`, `PartialObjectMetadata` or `PartialObjectMetadataList`."""

    kind: str
    version: str

    @property
    def api_version(self) -> str:
        """Of what is shown."""
        return f"meta.k8s.io/{self.version}"


class Accepted(msgspec.Struct, frozen=True):
    """The form of an answer."""

    media_type: str = JSON
    transformation: Transformation | None = None
    is_pretty: bool = False


class _Clause(msgspec.Struct, frozen=True):
    media_type: str
    quality: float
    parameters: dict[str, str]


def check_route(accept: str, produced: tuple[str, ...]) -> None:
    """Raises NotAcceptable where none of the accepted media types, without their parameters, is one that is produced."""
    for part in (accept or "*/*").split(","):
        bare = part.partition(";")[0].strip(" ")
        if bare == "*/*" or bare in produced:
            return
    shown = ", ".join(produced)
    raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {shown}", StatusDetails())


def check_patch_type(content_type: str) -> str:
    """The patch's media type, without parameters.

    Raises:
        UnsupportedMediaType: it is none of a patch.
    """
    bare = (content_type or "application/octet-stream").partition(";")[0].strip(" ")
    if bare not in PATCH_TYPES:
        raise UnsupportedMediaType("415: Unsupported Media Type", StatusDetails())
    return bare


def negotiate(accept: str, *, is_stream: bool = False, has_table: bool = True) -> Accepted:
    """The form of what is answered.

    Args:
        is_stream: of a watch.
        has_table: whether there is a table of it.
    Raises:
        NotAcceptable: nothing that is accepted can be made.
    """
    types = (JSON, PROTOBUF) if is_stream else OBJECT_TYPES
    if not accept:
        return Accepted()
    for clause in _clauses(accept):
        for media_type in types:
            if _is_match(clause.media_type, media_type):
                accepted = _accepted(clause, media_type, is_stream=is_stream, has_table=has_table)
                if accepted is not None:
                    return accepted
    raise NotAcceptable(
        f"only the following media types are accepted: {', '.join(STREAM_TYPES if is_stream else types)}"
    )


def negotiate_discovery(accept: str) -> Accepted | None:
    """The form of a document of discovery; None: all in one document.

    Raises:
        NotAcceptable: nothing that is accepted can be made.
    """
    if not accept:
        return Accepted()
    for clause in _clauses(accept):
        asked = {name: clause.parameters[name] for name in ("g", "v", "as") if name in clause.parameters}
        for media_type in OBJECT_TYPES:
            if _is_match(clause.media_type, media_type) and asked in ({}, AGGREGATED):
                return None if asked else Accepted(YAML if media_type == YAML else JSON)
    raise NotAcceptable(f"only the following media types are accepted: {', '.join(OBJECT_TYPES)}")


def error_type(accept: str) -> str:
    """In which of JSON and YAML an error is told: the first that is accepted."""
    for clause in _clauses(accept):
        for media_type in OBJECT_TYPES:
            if _is_match(clause.media_type, media_type):
                return YAML if media_type == YAML else JSON
    return JSON


def body_type(content_type: str) -> str:
    """The media type of an object that is sent: JSON where nothing is said.

    Raises:
        UnsupportedMediaType: objects are not read from it.
    """
    bare = content_type.partition(";")[0].strip().lower() or JSON
    if bare in OBJECT_TYPES:
        return bare
    raise UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(OBJECT_TYPES)}"
    )


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be compressed."""
    return any(part.partition(";")[0].strip().lower() == "gzip" for part in accept_encoding.split(","))


def _clauses(accept: str) -> list[_Clause]:
    """Best first; those of one quality as they stand."""
    found = [clause for part in accept.split(",") if (clause := _clause(part)) is not None]
    return sorted(found, key=lambda clause: -clause.quality)


def _clause(part: str) -> _Clause | None:
    media_type, *rest = (piece.strip() for piece in part.split(";"))
    parameters: dict[str, str] = {}
    quality = 1.0
    for piece in rest:
        name, equals, value = piece.partition("=")
        if not equals:
            continue
        value = value.strip().strip('"')
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 1.0
        else:
            parameters[name.strip()] = value
    main, _, sub = media_type.partition("/")
    if media_type == "*":
        main, sub = "*", "*"
    return _Clause(f"{main.strip()}/{sub.strip()}", quality, parameters) if media_type else None


def _is_match(clause: str, media_type: str) -> bool:
    return clause in (media_type, "*/*", f"{media_type.partition('/')[0]}/*")


def _accepted(clause: _Clause, media_type: str, *, is_stream: bool, has_table: bool) -> Accepted | None:
    """None where the parameters ask for what cannot be."""
    parameters = clause.parameters
    stream = parameters.get("stream", "")
    if stream and (stream != "watch" or media_type == YAML):
        return None
    transformation: Transformation | None = None
    if "as" in parameters or "g" in parameters or "v" in parameters:
        transformation = _transformation(parameters, has_table=has_table)
        if transformation is None or (transformation.kind == "Table" and media_type == PROTOBUF):
            return None
    shown = YAML if media_type == YAML else JSON
    return Accepted(shown, transformation, is_pretty=parameters.get("pretty") == "1")


def _transformation(parameters: dict[str, str], *, has_table: bool) -> Transformation | None:
    kind, version = parameters.get("as", ""), parameters.get("v", "")
    if parameters.get("g") != "meta.k8s.io" or version not in _META_VERSIONS:
        return None
    known = ("PartialObjectMetadata", "PartialObjectMetadataList", *(("Table",) if has_table else ()))
    return Transformation(kind, version) if kind in known else None
