"""docs/performance.md, written from the raw runs: all rows with both sides' figures, plots, and what limits what."""

from __future__ import annotations

from pathlib import Path

from ._limits import limit_of
from ._line import is_reached, ratio_text, ratios
from ._machine import described
from ._plots import plot_all
from ._report import CAPTION, HEADINGS, Results, Row, cells, results_name, unreached

DOCS = Path(__file__).parent.parent.parent / "docs"

HEAD = """\
# Performance

Written by `make bench` from the raw runs in `benchmarks/results`; do not edit.
`make bench-peers && make bench` measures your own machine.

Ours and Kubernetes' own do the same work: the same pods, the same pattern of arrival, a full history, readers that loop over
every event and read its revision. Peers are the `Cacher` of k8s.io/apiserver, `SharedIndexInformer` and the work queue of
k8s.io/client-go, each in process (`benchmarks/peers`). What is not the same:

- ours decodes every event from JSON; the peer's events come decoded, but for the row that says otherwise;
- ours uses one core; the peer is run with one and with two, and the better one counts;
- HTTP watches: both serve the same objects from the same kind of etcd, over TLS, to the same reader, which shares the two cores
  with server, etcd and writer; the CPU is the server's alone. Flat out a kube-apiserver ends nearly all watches, so the goal is
  asked of the row where it ends none;
- ours sends together what comes within 2 ms (`--watch-batch-interval`), as the latency beside the CPU shows;
- two workers on these two cores have no core each: what shows is that the busiest process spends half as much a delivery;
- a client that watches: both read our server's stream, whose events come one by one, as etcd commits them;
- lists: ours are references to objects that nobody changes, the peer's are copied into a typed list;
- memory: ours is all that the process took from the system, the peer's is Go's heap after a collection, without its garbage.
"""


def write_page(results: Results) -> Path:
    """The page and its plots, and its line among the pages of the documentation."""
    plots = plot_all(results, DOCS / "performance")
    reached = [verdict for row in results.rows if (verdict := is_reached(row.line, row.sides)) is not None]
    parts = [HEAD, f"Measured: {described(results.machine)}.\n\n{CAPTION[0].upper()}{CAPTION[1:]}.\n"]
    parts.append(f"Of {len(reached)} goals {sum(reached)} were reached.\n")
    again = f"python -m benchmarks.beside --page benchmarks/results/{results_name(results)}"
    parts += [
        f"![{title}](performance/{name})\n\n{title[0].upper()}{title[1:]}; drawn by `{again}`.\n"
        for name, title in plots
    ]
    for group in dict.fromkeys(row.line.group for row in results.rows):
        parts.append(_table(group, [row for row in results.rows if row.line.group == group]))
    parts.append(_limits(unreached(results)))
    page = DOCS / "performance.md"
    page.write_text("\n".join(parts))
    _list_among_pages()
    return page


def _list_among_pages() -> None:
    """In the table of contents, once; it is not there before the page is, which would be an error."""
    index = DOCS / "index.md"
    text = index.read_text()
    if "\nperformance\n" not in text:
        index.write_text(text.replace("\nconformance\n", "\nconformance\nperformance\n", 1))


def _table(group: str, rows: list[Row]) -> str:
    lines = [f"## {group[0].upper()}{group[1:]}\n", _row(HEADINGS), _row(["---"] + ["---:"] * (len(HEADINGS) - 1))]
    return "\n".join([*lines, *(_row(cells(row)) for row in rows)]) + "\n"


def _row(values: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(value.replace("|", "·") for value in values) + " |"


def _limits(rows: list[Row]) -> str:
    lines = ["## Goals not reached, and what limits them\n"]
    lines += [
        f"- **{row.line.name}** ({ratio_text(ratios(row.line, row.sides))}): {limit_of(row.line)}." for row in rows
    ]
    return "\n".join(lines or ["None."]) + "\n"
