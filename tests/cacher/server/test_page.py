"""The page for people: who is let in, once; what a cookie opens, and what it does not; what is shown."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
import yaml

from cacher import open_cluster
from cacher._overview import overview
from cacher.server import FULL, READERS, Access, Authenticator, Page, Server, ServerOptions, User
from cacher.server._page import LINK_S, LINKS_MAX, LOGIN, SESSION_S, SESSIONS_MAX, STATE, Login
from cacher.server._request import read_head
from tests.cacher.server.serving import EPOCH_S, Served, config
from tests.clients.api import api_of
from tests.clients.served import open_served

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COOKIE = re.compile(r"^watchcache=([\w-]{43}); Path=/; Max-Age=43200; HttpOnly; SameSite=Strict$")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def serving_page(
    authenticator: Authenticator | None = None, *, is_tls: bool = False, loopback_only: bool = False
):
    """A server with a page, and the page."""
    async with open_cluster(random=Random(1), epoch_s=EPOCH_S, checks_namespaces=False) as cluster:
        page = Page(lambda: overview(cluster), now=trio.current_time, is_tls=is_tls)
        server = Server(
            cluster,
            options=ServerOptions(loopback_only=loopback_only),
            random=Random(2),
            unix=lambda: EPOCH_S + trio.current_time(),
            is_tls=is_tls,
            protobuf=None,
            access=Access(authenticator, unix=float),
            page=page,
        )
        await cluster.prepare()
        async with trio.open_nursery() as nursery:
            yield Served(cluster, server, nursery), page
            await server.close()
            nursery.cancel_scope.cancel()


async def logged_in(served: Served, page: Page) -> dict[str, str]:
    """The header that shows the cookie."""
    path, _, query = page.login.new_link().partition("?")
    answer = await served.get(path, query=dict([query.split("=")]), headers=HTML)
    assert answer.status == 200, answer.body
    found = COOKIE.match(answer.header("set-cookie"))
    assert found, answer.header("set-cookie")
    return {"Cookie": f"theme=dark; watchcache={found[1]}"}


# ---- links and sessions ----------------------------------------------------------------------------------------------


def token_of(link: str) -> str:
    assert link.startswith(f"{LOGIN}?once=")
    return link.partition("=")[2]


def test_a_link_is_good_once():
    login = Login(Clock())
    token = token_of(login.new_link())
    session = login.enter(token)
    assert session is not None
    assert session != token
    assert login.is_open(session)
    assert login.enter(token) is None
    assert not login.is_open(token)


def test_a_link_and_a_session_end_with_their_time():
    clock = Clock()
    login = Login(clock)
    late, early = token_of(login.new_link()), token_of(login.new_link())
    clock.now_s = LINK_S - 0.001
    session = login.enter(early)
    assert session is not None
    clock.now_s = LINK_S
    assert login.enter(late) is None
    clock.now_s = LINK_S - 0.001 + SESSION_S - 0.001
    assert login.is_open(session)
    clock.now_s += 0.002
    assert not login.is_open(session)


@pytest.mark.parametrize("shown", ["", "x", "None", "\udcff"])
def test_what_is_no_token_opens_nothing(shown):
    login = Login(Clock())
    login.new_link()
    assert login.enter(shown) is None
    assert not login.is_open(shown)


def test_there_are_only_so_many_links_and_sessions():
    login = Login(Clock())
    tokens = [token_of(login.new_link()) for _ in range(LINKS_MAX + 1)]
    assert login.enter(tokens[0]) is None
    sessions = [login.enter(tokens[1])]
    sessions += [login.enter(token_of(login.new_link())) for _ in range(SESSIONS_MAX)]
    assert [login.is_open(session or "") for session in sessions] == [False, *(True for _ in range(SESSIONS_MAX))]


def test_tokens_are_compared_in_constant_time_and_kept_as_digests(monkeypatch):
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("cacher.server._page.hmac.compare_digest", compare)
    login = Login(Clock())
    links = [token_of(login.new_link()) for _ in range(3)]
    assert login.enter(links[0]) is not None
    assert len(compared) == 3, "all are compared, whichever it is"
    assert all(len(one) == len(other) == 32 for one, other in compared)


@pytest.mark.parametrize(
    ("method", "path", "accept", "is_asked"),
    [
        ("GET", "/", "text/html", True),
        ("HEAD", "/", "text/html", True),
        ("GET", "/", "application/json", False),
        ("GET", "/", "*/*", False),
        ("GET", "/", "", False),
        ("POST", "/", "text/html", False),
        ("GET", "/api", "text/html", False),
        ("GET", "/api/v1/pods", "text/html", False),
        ("GET", STATE, "", True),
        ("DELETE", STATE, "", False),
        ("POST", "/watchcache/link", "", False),
        ("GET", "/watchcache", "text/html", False),
    ],
)
def test_the_page_takes_what_is_its_own_and_leaves_the_rest_to_the_api(method, path, accept, is_asked):
    page = Page(lambda: pytest.fail("nobody asked"), now=Clock(), is_tls=False)
    assert page.is_asked(read_head(method, path.encode(), [(b"accept", accept.encode())])) is is_asked


# ---- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/watchcache/page.js", "/watchcache/page.css", STATE, LOGIN, "/watchcache/x"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Cookie": "watchcache=guessed"}, {"Cookie": "watchcache"}, {"Authorization": "Bearer t"}],
    ids=["nothing", "a guess", "no cookie", "a token of the API"],
)
def test_who_is_not_logged_in_is_told_how_to_and_nothing_else(run_trio, path, headers):
    async def main():
        async with serving_page(Authenticator({"t": User("root", (FULL,))})) as (served, page):
            page.login.new_link()
            answer = await served.get(path, headers={**HTML, **headers})
            assert (answer.status, answer.header("content-type")) == (401, "text/html; charset=utf-8")
            assert b"watchcache serve" in answer.body
            assert not answer.header("set-cookie")
            assert "default-src 'none'" in answer.header("content-security-policy")

    run_trio(main)


def test_who_is_logged_in_sees_what_happens(run_trio):
    async def main():
        async with serving_page() as (served, page):
            cookie = await logged_in(served, page)
            home = await served.get("/", headers={**HTML, **cookie})
            assert home.status == 200
            assert b"<script src=" in home.body
            for name in ("page.js", "page.css"):
                assert (await served.get(f"/watchcache/{name}", headers=cookie)).status == 200
            secret = {"metadata": {"name": "hush"}, "data": {"k": "c2VjcmV0"}}
            await served.made("/api/v1/namespaces/team/secrets", secret)
            async with served.watch("/api/v1/namespaces/team/configmaps", query={"labelSelector": "app=web"}):
                made = await served.made("/api/v1/namespaces/team/configmaps", config("shown", k="v"))
                await trio.sleep(0.1)
                answer = await served.get(STATE, headers=cookie)
            seen = answer.json()
            revision = int(made["metadata"]["resourceVersion"])
            assert seen["revision"] == revision
            assert seen["events"][-1] == {
                "revision": revision,
                "type": "ADDED",
                "resource": "configmaps",
                "namespace": "team",
                "name": "shown",
            }
            maps = next(one for one in seen["resources"] if one["resource"] == "configmaps")
            assert (maps["objects"], maps["revision"], maps["watches"], maps["ring_length"]) == (1, revision, 1, 1)
            watcher = next(one for one in seen["watchers"] if one["resource"] == "configmaps")
            assert watcher == {
                "resource": "configmaps",
                "selector": "namespace=team,labels(app=web)",
                "watches": 1,
                "waiting": 0,
            }
            assert seen["watches"] == 1
            assert b"c2VjcmV0" not in answer.body, "of objects the names alone"

    run_trio(main)


def test_a_cookie_opens_nothing_of_the_api(run_trio):
    async def main():
        async with serving_page(Authenticator({"t": User("root", (FULL,))})) as (served, page):
            cookie = await logged_in(served, page)
            for method, path in (
                ("GET", "/api/v1/pods"),
                ("GET", "/version"),
                ("GET", "/metrics"),
                ("POST", "/api/v1/namespaces/team/configmaps"),
                ("DELETE", "/api/v1/namespaces/team/configmaps/a"),
                ("POST", "/watchcache/link"),
                ("POST", "/"),
                ("POST", STATE),
            ):
                answer = await served.ask(method, path, headers=cookie, body=config("a") if method == "POST" else None)
                assert answer.status == 401, (method, path)

    run_trio(main)


def test_a_page_of_another_site_is_not_even_told_that_somebody_is_logged_in(run_trio):
    async def main():
        async with serving_page() as (served, page):
            cookie = await logged_in(served, page)
            for site in ("cross-site", "same-site"):
                assert (await served.get(STATE, headers={**cookie, "Sec-Fetch-Site": site})).status == 401
            for site in ("same-origin", "none"):
                assert (await served.get(STATE, headers={**cookie, "Sec-Fetch-Site": site})).status == 200

    run_trio(main)


def test_what_a_browser_fetches_before_anybody_clicks_uses_up_no_link(run_trio):
    async def main():
        async with serving_page() as (served, page):
            token = token_of(page.login.new_link())
            early = await served.get(LOGIN, query={"once": token}, headers={"Sec-Purpose": "prefetch;prerender"})
            head = await served.ask("GET", LOGIN, query={"once": token[:-1]})
            assert (early.status, head.status) == (401, 401)
            assert (await served.get(LOGIN, query={"once": token})).status == 200
            assert (await served.get(LOGIN, query={"once": token})).status == 401

    run_trio(main)


def test_with_tls_the_cookie_is_for_tls_alone(run_trio):
    async def main():
        async with serving_page(is_tls=True) as (served, page):
            answer = await served.get(LOGIN, query={"once": token_of(page.login.new_link())})
            assert answer.header("set-cookie").endswith("; HttpOnly; SameSite=Strict; Secure")

    run_trio(main)


def test_another_link_is_for_those_who_may_do_all(run_trio):
    users = {"full": User("root", (FULL,)), "reader": User("eve", (READERS,))}

    async def main():
        async with serving_page(Authenticator(users)) as (served, _):
            codes, link = {}, ""
            for token in ("full", "reader", "nobody"):
                answer = await served.ask("POST", "/watchcache/link", headers={"Authorization": f"Bearer {token}"})
                codes[token] = answer.status
                if token == "full":
                    link = answer.body.decode().strip()
            assert codes == {"full": 200, "reader": 403, "nobody": 401}
            assert link.startswith(f"http://localhost{LOGIN}?once=")
            entered = await served.get(LOGIN, query={"once": token_of(link.removeprefix("http://localhost"))})
            assert entered.status == 200

    run_trio(main)


def test_without_users_the_page_still_wants_a_login_and_strangers_are_refused(run_trio):
    async def main():
        async with serving_page(loopback_only=True) as (served, page):
            assert (await served.get("/", headers=HTML)).status == 401
            cookie = await logged_in(served, page)
            assert (await served.get(STATE, headers=cookie)).status == 200
            assert (await served.get(STATE, headers={**cookie, "Host": "evil.example"})).status == 403
            assert (await served.get(STATE, headers={**cookie, "Origin": "http://evil.example"})).status == 403
            stranger = {"Host": "localhost", "Origin": "http://evil.example"}
            assert (await served.ask("POST", "/watchcache/link", headers=stranger)).status == 403

    run_trio(main)


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
def test_clients_of_the_api_are_answered_at_the_root_as_without_a_page(run_trio, accept):
    async def main():
        async with serving_page() as (served, page):
            cookie = await logged_in(served, page)
            answer = await served.get("/", headers={"Accept": accept, **cookie})
            assert (answer.status, answer.body) == (404, b"404 page not found\n")

    run_trio(main)


def test_what_the_page_is_made_of_has_no_script_in_its_html_and_asks_nobody_else(run_trio):
    async def main():
        async with serving_page() as (served, page):
            cookie = await logged_in(served, page)
            text = b"".join(
                [
                    (await served.get("/", headers={**HTML, **cookie})).body,
                    (await served.get("/watchcache/page.js", headers=cookie)).body,
                    (await served.get("/watchcache/page.css", headers=cookie)).body,
                ]
            ).decode()
            assert "://" not in text
            assert not re.search(r"\son\w+=|style=|innerHTML|eval\(|<script>", text)

    run_trio(main)


# ---- as it is run ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--http",)], ids=["tls", "http"])
def test_serve_prints_a_link_on_standard_error_that_logs_in_once(tmp_path, flags):
    with open_served(tmp_path, *flags) as served:
        said = served.log.read_text(encoding="utf-8").splitlines()
        assert len(said) == 1
        link = said[0].rpartition(" ")[2]
        assert link.startswith(f"{served.url}{LOGIN}?once=")
        api = api_of(served.kubeconfig)
        token, api.token = api.token, ""
        assert api("GET", "/", Accept="text/html").code == 401
        entered = api("GET", link.removeprefix(served.url))
        assert entered.code == 200
        cookie = entered.headers["set-cookie"].partition(";")[0]
        assert api("GET", link.removeprefix(served.url)).code == 401
        assert b"<table" in api("GET", "/", Accept="text/html", Cookie=cookie).body
        api.token = token
        pod = {"metadata": {"name": "web-1"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
        assert api("POST", "/api/v1/namespaces/default/pods", pod).code == 201
        api.token = ""
        names = [event["name"] for event in api("GET", STATE, Cookie=cookie).json["events"]]
        assert "web-1" in names
        assert yaml.safe_load(served.kubeconfig.read_text(encoding="utf-8"))["kind"] == "Config"
