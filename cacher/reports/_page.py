"""The page: one HTML file with everything in it, which opens from disk, asks no network, and is the saved report too. Pure.

The words stand in the HTML, so that they are there without a script and on paper; the timeline is compressed JSON that the page's
own script unpacks. Names of objects are data: here they are escaped, and the script writes them as text. The page's policy
(Content-Security-Policy) allows this script and this style by their hashes and nothing else, no network at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

import msgspec

from ._model import VERSION, Breach, Comparison, Document, Guarantee, Report, Table

SCRIPTS = ("data.js", "belief.js", "diagram.js", "plots.js", "page.js")
"""In this order they are one script."""
BREACHES_SHOWN = 20
PAGE_BYTES_MAX = 512 * 2**20
"""Of a page's data once it is unpacked: what claims to be more is no page of ours."""
_DATA = re.compile(r'<script type="text/plain" id="data">([A-Za-z0-9+/=\s]*)</script>')


class PageError(ValueError):
    """A file that is no saved report; the message says what to do."""


def write_page(document: Document) -> str:
    """The HTML file. `read_page` gives back the document."""
    style, script = _asset("report.css"), _script()
    body = "".join(_section(report, number) for number, report in enumerate(document.reports))
    comparison = _comparison(document.comparison) if document.comparison is not None else ""
    return _PAGE.format(
        policy=_policy(script, style),
        title=escape(document.title),
        style=style,
        script=script,
        tabs=_tabs(document.reports),
        comparison=comparison,
        body=body,
        made_by=escape(document.made_by),
        data=_packed(document),
    )


def read_page(text: str) -> Document:
    """The document that a page was made of.

    Raises:
        PageError: it is no such page, damaged, or of another version.
    """
    found = _DATA.search(text)
    if found is None:
        raise PageError("this is no report of watchcache: make one with --html FILE")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(found[1], validate=True), PAGE_BYTES_MAX)
        version = msgspec.json.decode(raw, type=_Versioned).version
        if version != VERSION:
            raise PageError(f"this report is of version {version}, and {VERSION} is read here: make it anew")
        return msgspec.json.decode(raw, type=Document)
    except (ValueError, zlib.error, msgspec.DecodeError) as error:
        if isinstance(error, PageError):
            raise
        raise PageError(f"this report is damaged: make it anew ({error})") from error


class _Versioned(msgspec.Struct):
    version: int


def _packed(document: Document) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(document), 6)).decode()


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")


def _script() -> str:
    parts = "\n".join(_asset(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}\n}})();\n'


def _policy(script: str, style: str) -> str:
    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    allowed = f"script-src {hashed(script)}; style-src {hashed(style)}; img-src data:"
    return f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


# ---- words ---------------------------------------------------------------------------------------------------------------


def _tabs(reports: Sequence[Report]) -> str:
    if len(reports) < 2:
        return ""
    buttons = "".join(
        f'<button type="button" class="tab" data-run="{number}"><i class="{_tone(report)}"></i>{escape(report.title)}</button>'
        for number, report in enumerate(reports)
    )
    return f'<nav class="tabs" aria-label="runs">{buttons}</nav>'


def _tone(report: Report) -> str:
    return "good" if report.is_ok else "bad"


def _section(report: Report, number: int) -> str:
    parts = [
        f'<section class="run" data-run="{number}">',
        f'<p class="kind">{escape(report.kind)}</p><h1>{escape(report.title)}</h1>',
        f'<p class="verdict {_tone(report)}">{escape(report.verdict)}</p>',
        _replay(report.replay),
        _breaches(report.breaches),
        _facts(report.facts),
        '<div class="live"></div>' if report.timeline is not None else "",
        _story_and_script(report),
        _guarantees(report.guarantees),
        *(_table(table) for table in report.tables),
        _lines("Notes", report.notes),
        '<div class="told"></div>' if report.chronicle else "",
        "</section>",
    ]
    return "\n".join(filter(None, parts))


def _replay(command: str) -> str:
    if not command:
        return ""
    return f'<p class="replay"><code>{escape(command)}</code> <button type="button" class="copy">copy</button></p>'


def _breaches(breaches: Sequence[Breach]) -> str:
    if not breaches:
        return ""
    items = "".join(
        f'<li><button type="button" class="jump" data-breach="{number}">{breach.at_us / 1e6:.3f} s</button> '
        f"<b>{escape(breach.guarantee)}</b> {escape(breach.message.removeprefix(f'broke {breach.guarantee} - '))}</li>"
        for number, breach in enumerate(breaches[:BREACHES_SHOWN])
    )
    more = len(breaches) - BREACHES_SHOWN
    rest = f"<p>and {more} more, which the diagram marks</p>" if more > 0 else ""
    return f'<h2>Violations</h2><ol class="breaches">{items}</ol>{rest}'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>' if items else ""


def _story_and_script(report: Report) -> str:
    script = _lines(report.script_title, report.script)
    story = _lines("The story", report.story)
    return f'<div class="beside">{script}{story}</div>' if script or story else ""


def _lines(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    text = "\n".join(map(escape, lines))
    return f"<div><h2>{escape(title)}</h2><pre>{text}</pre></div>"


def _guarantees(guarantees: Sequence[Guarantee]) -> str:
    if not guarantees:
        return ""
    rows = "".join(
        f'<tr class="{"bad" if one.broken else "good" if one.checks else "untested"}"><td>{escape(one.name)}</td>'
        f'<td class="number">{f"{one.checks:,}" if one.checks else "none"}</td><td class="number">{one.broken:,}</td>'
        f"<td>{escape(one.sentence)}</td></tr>"
        for one in sorted(guarantees, key=lambda one: not one.broken)
    )
    head = '<tr><th>name</th><th class="number">checks</th><th class="number">broken</th><th>what is promised</th></tr>'
    return f'<h2>Guarantees</h2><div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _table(table: Table) -> str:
    widest = {column: max((_number(row[column]) for row in table.rows), default=0.0) for column in table.bars}
    first, *others = table.columns
    head = f"<th>{escape(first)}</th>" + "".join(f'<th class="number">{escape(name)}</th>' for name in others)
    rows = "".join(
        f"<tr>{''.join(_cell(row, column, widest) for column in range(len(row)))}</tr>" for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    shown = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>{escape(table.title)}</h2><div class="wide">{shown}</div>{note}'


def _cell(row: Sequence[str], column: int, widest: dict[int, float]) -> str:
    text = escape(row[column])
    if not column:
        return f"<td>{text}</td>"
    bar = f'<meter max="{widest[column]:g}" value="{_number(row[column]):g}"></meter> ' if widest.get(column) else ""
    return f'<td class="number">{bar}{text}</td>'


def _number(text: str) -> float:
    """The number that a cell begins with; 0 where it begins with none."""
    found = re.match(r"-?[\d,]*\.?\d+", text)
    return float(found[0].replace(",", "")) if found else 0.0


def _comparison(comparison: Comparison) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.what)}</td><td><pre>{escape(one.a)}</pre></td><td><pre>{escape(one.b)}</pre></td></tr>"
        for one in comparison.differences
    )
    head = f"<tr><th></th><th>A: {escape(comparison.a)}</th><th>B: {escape(comparison.b)}</th></tr>"
    table = f'<div class="wide"><table class="differences"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    same = f'<p class="note">the same: {escape(", ".join(comparison.same))}</p>' if comparison.same else ""
    said = f"{len(comparison.differences)} differences" if comparison.differences else "the two are the same"
    parts = ["<h1>A and B compared</h1>", f'<p class="verdict">{said}</p>', table if rows else "", same]
    return f'<section class="comparison">{"".join(parts)}</section>'


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="{made_by}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript><p class="note">The diagram, the plots and the slider need JavaScript; the verdict and the story do not.</p></noscript>
{tabs}
{comparison}
{body}
<footer>{made_by}</footer>
<script type="text/plain" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
