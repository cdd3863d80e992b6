"""cacher.reports._page: one file that holds everything, asks no network, and takes names for data."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacher.reports import (
    Comparison,
    Difference,
    Document,
    PageError,
    Report,
    Table,
    read_page,
    timeline_of,
    write_page,
)
from cacher.reports._model import Breach, Guarantee, Told
from tests.cacher.reports import runs

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


class Elements(HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def document(text: str = "web") -> Document:
    timeline, _ = timeline_of(runs.watching())
    timeline.lanes[1].name = text
    report = Report(
        title=text,
        kind="run",
        verdict=text,
        is_ok=False,
        replay=text,
        facts=[(text, text)],
        story=[text],
        script=[text],
        guarantees=[Guarantee(text, text, 1, 1)],
        breaches=[Breach(1, 0, 1, text, text)],
        chronicle=[Told(1, text, text)],
        tables=[Table(text, [text, text], [[text, "1,234 s"], [text, "0"]], note=text, bars=[1])],
        notes=[text],
        timeline=timeline,
    )
    comparison = Comparison(text, text, [Difference(text, text, text)], [text])
    return Document(text, [report, report], comparison, made_by=text)


def test_a_page_gives_back_its_document():
    assert read_page(write_page(document())) == document()


@settings(max_examples=15)
@given(st.text(min_size=1, max_size=40))
def test_whatever_the_names_are_the_page_has_the_same_elements_and_gives_them_back(text):
    named = document(text)
    page = write_page(named)
    assert read_page(page) == named
    plain = [tag for tag, _ in Elements(write_page(document())).found]
    assert [tag for tag, _ in Elements(page).found] == plain


def test_a_name_that_is_markup_stays_a_name():
    page = write_page(document(EVIL))
    assert "onerror=alert(1)>" not in page
    assert "<script>alert" not in page


def test_the_policy_allows_no_network_and_nothing_but_the_pages_own_script_and_style():
    page = write_page(document())
    policy = next(attrs["content"] or "" for _, attrs in Elements(page).found if attrs.get("http-equiv"))
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert rules["img-src"] == "data:"
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert rules["script-src"] == hashed(script)
    assert rules["style-src"] == hashed(style)


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_nothing_in_the_page_leads_elsewhere():
    page = write_page(document())
    assert [attrs for _, attrs in Elements(page).found if attrs.get("src")] == []
    assert [attrs["href"] for _, attrs in Elements(page).found if attrs.get("href")] == ["data:,"]
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)


def test_the_verdict_and_the_replay_command_stand_before_everything_else():
    page = write_page(document("held"))
    order = [
        page.index(mark)
        for mark in ('class="verdict', 'class="replay"', 'class="breaches"', 'class="facts"', 'class="live"')
    ]
    assert order[0:1] + sorted(order[1:]) == order


def test_figures_of_a_table_are_drawn_as_bars_of_their_column():
    assert '<meter max="1234" value="1234"></meter> 1,234 s' in write_page(document())


def test_a_file_that_is_no_report_is_refused_with_what_to_do():
    with pytest.raises(PageError, match="make one with --html FILE"):
        read_page("<html></html>")


@pytest.mark.parametrize("data", ["", "AAAA", "eJwrKU0qzUmMz0vMTQUAF0wENQ==", "====", "eJyrVkrLz1eyUqoFABGBAu0="])
def test_a_damaged_report_is_refused_with_what_to_do(data):
    with pytest.raises(PageError, match=r"damaged: make it anew"):
        read_page(f'<script type="text/plain" id="data">{data}</script>')


def test_a_report_of_another_version_is_refused():
    newer = msgspec.structs.replace(document(), version=99)
    with pytest.raises(PageError, match="version 99, and 1 is read here"):
        read_page(write_page(newer))
