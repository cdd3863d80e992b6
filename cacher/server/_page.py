"""The page for people: who may see it, what it consists of, what it is told. It can only be read.

    one-time link ─► /watchcache/login?once=… ─► a cookie ─► /, /watchcache/page.js, page.css, /watchcache/state

A link is good once and for LINK_S. The cookie is the browser's alone (HttpOnly), is sent by our own pages alone (SameSite=Strict),
and opens the reads of this file and nothing else: no line of the API knows it. Links and cookies are kept as digests and compared
in a time that does not depend on what they are.

What is seen of objects is their names. Whoever asks for `/` and does not want HTML is none of the page's, and is answered as ever.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import importlib.resources
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from string import Template

import msgspec

from ._auth import new_token
from ._encoding import encode
from ._request import JSON, TEXT, Head, Response

LINK_S = 600.0
"""In which a link has to be followed."""
SESSION_S = 12 * 3600.0
"""After which one logs in again."""
LINKS_MAX = 8
SESSIONS_MAX = 16
"""Beyond either the oldest is forgotten."""
EVENTS_MAX = 200
"""That the page is told at once, and shows."""
HOME = "/"
BELOW = "/watchcache/"
LOGIN, LINK, STATE = f"{BELOW}login", f"{BELOW}link", f"{BELOW}state"
COOKIE = "watchcache"
_HTML = "text/html; charset=utf-8"
_FILES = {
    f"{BELOW}page.js": ("page.js", "text/javascript; charset=utf-8"),
    f"{BELOW}page.css": ("page.css", "text/css; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


# ---- what the page is told -------------------------------------------------------------------------------------------


class ResourceState(msgspec.Struct, frozen=True):
    """One resource and its cache now."""

    resource: str
    is_cached: bool
    is_ready: bool
    objects: int
    revision: int
    """Up to which the cache has everything; 0 without one."""
    ring_length: int
    ring_capacity: int
    ring_oldest_revision: int
    watches: int
    views: int
    """Distinct selectors of them."""
    waiting: int
    """Events that somebody has yet to take, each view's counted once."""
    events: int
    relists: int
    expired: int


class WatcherState(msgspec.Struct, frozen=True):
    """Who watches with one selector."""

    resource: str
    selector: str
    watches: int
    waiting: int
    """Events that somebody has yet to take."""


class EventState(msgspec.Struct, frozen=True):
    """Something that happened."""

    revision: int
    type: str
    resource: str
    namespace: str
    name: str


class Overview(msgspec.Struct, frozen=True):
    """What there is to see."""

    revision: int
    """Of the store, as far as is known without asking."""
    resources: tuple[ResourceState, ...]
    watchers: tuple[WatcherState, ...]
    events: tuple[EventState, ...]
    """The newest EVENTS_MAX, oldest first."""


Look = Callable[[], Overview]
"""What there is to see."""


# ---- who may see it --------------------------------------------------------------------------------------------------


class Login:
    """Links that are good once, and the sessions that they open.

    Args:
        now: seconds, of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._links: OrderedDict[bytes, float] = OrderedDict()
        self._sessions: OrderedDict[bytes, float] = OrderedDict()
        """When they end, by the digests of what opens them, oldest first."""

    def new_link(self) -> str:
        """Where a browser logs in, below the server's URL; once, and for LINK_S."""
        token = new_token()
        _keep(self._links, token, self._now() + LINK_S, LINKS_MAX)
        return f"{LOGIN}?once={token}"

    def enter(self, token: str) -> str | None:
        """A cookie's value, for the token of a link, which is used up; None: there is no such link any more."""
        found = self._find(self._links, token)
        if found is None:
            return None
        del self._links[found]
        session = new_token()
        _keep(self._sessions, session, self._now() + SESSION_S, SESSIONS_MAX)
        return session

    def is_open(self, session: str) -> bool:
        """Whether that is the cookie of a session."""
        return self._find(self._sessions, session) is not None

    def _find(self, kept: OrderedDict[bytes, float], shown: str) -> bytes | None:
        now, digest, found = self._now(), _digest(shown), None
        for known, ends_s in kept.items():  # all of them, so that the time does not tell which it was
            if hmac.compare_digest(known, digest) and now < ends_s:
                found = known
        return found


def _keep(kept: OrderedDict[bytes, float], token: str, ends_s: float, most: int) -> None:
    kept[_digest(token)] = ends_s
    while len(kept) > most:
        kept.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


# ---- the page --------------------------------------------------------------------------------------------------------


class Page:
    """Answers what is the page's.

    Args:
        look: what there is to see.
        now: seconds, of a clock that never goes back.
        is_tls: whether the cookie is for TLS alone.
    """

    def __init__(self, look: Look, *, now: Callable[[], float], is_tls: bool) -> None:
        self.login = Login(now)
        self._look = look
        self._is_tls = is_tls

    def is_asked(self, head: Head) -> bool:
        """Whether a request is for the page, and not for the API: a read of its own paths, or of `/` by a browser."""
        if head.method not in ("GET", "HEAD"):
            return False
        if head.path == HOME:
            return "text/html" in head.header("accept")
        return head.path.startswith(BELOW) and head.path != LINK

    def answer(self, head: Head, **figures: int) -> Response:
        """The answer to a request that is the page's. `figures`: the server's own, for the state."""
        if head.path == LOGIN:
            return self._enter(head)
        if not self._is_open(head):
            return refused()
        if head.path == HOME:
            return Response(200, _file("page.html"), _HTML, _HEADERS)
        if head.path in _FILES:
            name, media_type = _FILES[head.path]
            return Response(200, _file(name), media_type, _HEADERS)
        if head.path == STATE:
            body = encode({**msgspec.to_builtins(self._look()), **figures})
            return Response(200, body, JSON, _HEADERS)
        return Response(404, b"404 page not found\n", TEXT, _HEADERS)

    def _is_open(self, head: Head) -> bool:
        # A page of another site may not even find out whether somebody is logged in here.
        if head.header("sec-fetch-site") in ("cross-site", "same-site"):
            return False
        return self.login.is_open(_cookie(head.header("cookie")))

    def _enter(self, head: Head) -> Response:
        """The cookie for a link. What a browser asks for on its own, before anybody clicks, uses up nothing."""
        is_meant = head.method == "GET" and not head.header("sec-purpose") and not head.header("purpose")
        session = self.login.enter(head.parameter("once") or "") if is_meant else None
        if session is None:
            return refused()
        secure = "; Secure" if self._is_tls else ""
        cookie = f"{COOKIE}={session}; Path=/; Max-Age={SESSION_S:.0f}; HttpOnly; SameSite=Strict{secure}"
        # Not a redirection: one that began on another site's page would not carry a strict cookie.
        body = _text(
            "You are logged in.", '<p><a href="/">To the page</a></p>', '<meta http-equiv="refresh" content="0; url=/">'
        )
        return Response(200, body, _HTML, (*_HEADERS, ("Set-Cookie", cookie)))


def refused() -> Response:
    """Whoever is not logged in is told how to."""
    command = "curl -X POST -H &quot;Authorization: Bearer TOKEN&quot; &hellip;" + html.escape(LINK)
    body = _text(
        "Nobody is logged in here.",
        "<p>Open the link that <code>watchcache serve</code> printed when it began. It is good once, and for ten minutes.</p>"
        f"<p>For another one: <code>{command}</code>, with the token of the kubeconfig; without a token where the server was"
        " started with <code>--http</code>. Or start the server anew.</p>",
    )
    return Response(401, body, _HTML, _HEADERS)


def _text(title: str, body: str, more: str = "") -> bytes:
    page = Template(
        '<!doctype html><html lang="en"><meta charset="utf-8">$more<title>watchcache</title><h1>$title</h1>$body</html>\n'
    )
    return page.substitute(title=title, body=body, more=more).encode()


def _file(name: str) -> bytes:
    return importlib.resources.files(__package__).joinpath("page", name).read_bytes()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""
