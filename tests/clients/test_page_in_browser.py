"""The page of `watchcache serve` in a real browser: refused without the login, and a pod is shown within 2 s of its creation."""

from __future__ import annotations

import pytest

from cacher.server._page import LOGIN
from tests.browser import needs_browser, open_browser
from tests.clients.api import api_of
from tests.clients.served import open_served

pytestmark = [needs_browser, pytest.mark.slow]
SHOWN_S = 2.0
POD = {"metadata": {"name": "web-1"}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
IS_SHOWN = (
    "return [...document.querySelectorAll('#events tbody tr')].some((tr) => tr.textContent.includes(arguments[0]))"
)


def wait_for(browser, script: str, within_s: float, *arguments: object) -> bool:
    """Whether what a script returns becomes true in so many seconds, by the browser's own clock."""
    whole = """
        const [body, ms, args, done] = arguments, ends = performance.now() + ms, ask = new Function(body);
        const look = () => ask(...args) ? done(true) : performance.now() > ends ? done(false) : setTimeout(look, 20);
        look();
    """
    return bool(browser.driver.execute_async_script(whole, script, within_s * 1000, list(arguments)))


def test_a_pod_is_shown_within_two_seconds_to_who_is_logged_in_and_to_nobody_else(tmp_path):
    with open_served(tmp_path, "--http") as served, open_browser() as browser:
        api = api_of(served.kubeconfig)
        link = served.log.read_text(encoding="utf-8").split()[-1]
        assert link.startswith(f"{served.url}{LOGIN}")
        browser.driver.get(f"{served.url}/")
        assert "Nobody is logged in here." in browser.find("h1").text
        assert not browser.driver.get_cookies()

        browser.driver.get(link)
        assert wait_for(browser, "return document.documentElement.dataset.ready === '1'", 10)
        assert browser.driver.current_url == f"{served.url}/", "the link's token is not in the address that stays"
        assert browser.run("return document.cookie") == "", "no script can read it"
        (cookie,) = browser.driver.get_cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")

        assert not browser.run(IS_SHOWN, "web-1")
        assert api("POST", "/api/v1/namespaces/default/pods", POD).code == 201
        assert wait_for(browser, IS_SHOWN, SHOWN_S, "web-1")
        assert "pods" in browser.find("#resources").text
        browser.run("document.querySelector('#all').click()")
        assert "deployments.apps" in browser.find("#resources").text
        assert {url.partition("://")[2].partition("/")[0] for url in browser.asked_for()} <= {
            served.url.partition("://")[2],
            "",
        }
        refused = [line for line in browser.complaints() if "401" not in line]
        assert not refused, "nothing that the policy forbids, no error but the refusal at first"

        browser.driver.delete_all_cookies()
        assert wait_for(browser, "return document.getElementById('status').textContent.startsWith('logged out')", 5)
