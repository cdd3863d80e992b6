"""`python -m tests.docs.pictures [NAME…]`: draws the pictures of docs/concepts.md and docs/sizing.md, from runs of the library.

What a picture draws is kept in it as JSON, so that a test can play the run again and compare (`test_pictures.py`), without
matplotlib, whose door this is. Which runs there are: `picture_runs.py`.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests import source
from tests.docs.picture_runs import RUNS, Data

FOLDER = source.ROOT / "docs" / "pictures"
STORE, CACHE, READER, OTHER, BAD = "#1f4e9c", "#c8731a", "#2e7d4f", "#777777", "#b3261e"
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "watchcache",  # the same data, the same file
    "svg.fonttype": "none",  # text stays text: it can be found and read aloud
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def revisions(axes: Axes, data: Data) -> None:
    """A row for each object; its version lasts until it is changed again."""
    rows = list(dict.fromkeys(name for _, name in data["changes"]))
    last = data["list of pods"]
    for place, row in enumerate(rows):
        own = [revision for revision, name in data["changes"] if name == row]
        for begins, ends in zip(own, [*own[1:], last + 0.6], strict=True):
            axes.plot([begins, ends], [place, place], color=STORE, alpha=0.35, linewidth=6, solid_capstyle="butt")
        axes.plot(own, [place] * len(own), "o", color=STORE)
        for revision in own:
            axes.annotate(str(revision), (revision, place), (0, 8), textcoords="offset points", ha="center")
    axes.axvline(last, color=READER, linestyle="--")
    axes.annotate(
        f"a list of pods now: {last}",
        (last, len(rows) - 0.6),
        (-5, 0),
        textcoords="offset points",
        ha="right",
        color=READER,
    )
    axes.set(xlabel="revision of the store", yticks=range(len(rows)), yticklabels=rows, ylim=(-0.5, len(rows) - 0.3))


def list_then_watch(axes: Axes, data: Data) -> None:
    """Lanes of time; an arrow is an event on its way."""
    lanes = {"store": 2, "cache": 1, "reader": 0}
    for lane in lanes.values():
        axes.axhline(lane, color=OTHER, linewidth=0.8)
    cached = {revision: at for at, revision in data["cached"]}
    received = {revision: at for at, revision in data["received"]}
    for at, revision in data["written"]:
        axes.plot([at], [2], "o", color=STORE)
        axes.annotate(str(revision), (at, 2), (0, 8), textcoords="offset points", ha="center", color=STORE)
        if revision in cached:
            arrow(axes, (at, 2), (cached[revision], 1), CACHE)
        if revision in received:
            arrow(axes, (cached[revision], 1), (received[revision], 0), READER)
    at, revision, count = data["listed"]
    arrow(axes, (at, 1), (at, 0), READER, width=2.5)
    axes.annotate(
        f"list: {count} objects,\nas of revision {revision}",
        (at, 0.5),
        (-6, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=READER,
    )
    axes.annotate(
        f"watch from {revision}: {revision + 1}, {revision + 2}, …",
        (at + 0.1, 0),
        (0, -16),
        textcoords="offset points",
        color=READER,
    )
    axes.set(xlabel="seconds", yticks=list(lanes.values()), yticklabels=list(lanes), ylim=(-0.6, 2.5), xlim=(0.4, 6.6))


def gone(axes: Axes, data: Data) -> None:
    """The ring as a band; two readers as steps below its upper edge."""
    at, oldest, newest = zip(*data["ring"], strict=True)
    axes.fill_between(at, oldest, newest, color=CACHE, alpha=0.25, label="what the ring holds")
    axes.plot(at, newest, color=CACHE)
    axes.axvspan(
        data["away_s"], data["readers"]["without"]["back"][0], color=OTHER, alpha=0.15, label="both are cut off"
    )
    for (name, reader), colour in zip(data["readers"].items(), (READER, BAD), strict=True):
        ends = reader["back"]
        points = [*reader["positions"], ends]
        axes.step(
            *zip(*points, strict=True),
            where="post",
            color=colour,
            marker="o",
            label=f"reader {name}: {reader['answer']}",
        )
        axes.annotate(reader["answer"], ends, (6, 2), textcoords="offset points", color=colour)
    axes.set(xlabel="seconds", ylabel="revision", xlim=(0, at[-1] + 20))
    axes.legend(loc="upper left", frameon=False)


def consistent_read(axes: Axes, data: Data) -> None:
    """Store and cache as steps; a list is a line from when it was asked for to its answer."""
    for name, colour in (("store", STORE), ("cache", CACHE)):
        axes.step(*zip(*data[name], strict=True), where="post", color=colour, label=name)
    says = {"0": "at “0”: whatever is here", "8": "at 8: not older than 8", "": "at “”: the latest"}
    for one in data["lists"]:
        points = ([one["at"], one["answered"]], [one["revision"]] * 2)
        axes.plot(*points, color=READER, linewidth=2, marker="o")
        label = f"{says[one['asked for']]}; {one['revision']}, after {one['answered'] - one['at']:.1f} s"
        axes.annotate(
            label, (one["answered"], one["revision"]), (8, -4), textcoords="offset points", color=READER, bbox=WHITE
        )
    axes.axvline(data["lists"][0]["at"], color=READER, linestyle=":")
    axes.set(xlabel="seconds", ylabel="revision", xlim=(0, 9.5))
    axes.legend(loc="upper left", frameon=False)


def ring_and_bookmarks(axes: Axes, data: Data) -> None:
    """A line for each length of the ring."""
    for (name, shares), marker in zip(data["with bookmarks"].items(), "osD^", strict=True):
        label = f"{name} events" if name.isdigit() else "the library's own: 75 s"
        axes.plot(data["aways"], [100 * share for share in shares], marker=marker, label=label)
    axes.plot(
        data["aways"],
        [100 * share for share in data["without"]["300"]],
        "--",
        color=OTHER,
        label="any, without bookmarks",
    )
    axes.set(xlabel="seconds away", ylabel="told 410, % of readers", ylim=(-4, 108))
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def herd(axes: Axes, data: Data) -> None:
    """What the store is asked for by clients who list at the latest, and by those who list at what they have seen."""
    says = {"buggy": "who lists at “”: the latest", "fixed": "who lists at what it has seen"}
    for (variant, rows), colour, marker in zip(data["lists"].items(), (BAD, READER), "os", strict=True):
        axes.plot([row[0] for row in rows], [row[2] for row in rows], color=colour, marker=marker, label=says[variant])
    axes.set(xlabel="clients", ylabel="objects read from the store", ylim=(0, None))
    axes.legend(loc="upper left", frameon=False)


def arrow(axes: Axes, start: Sequence[float], end: Sequence[float], colour: str, *, width: float = 1.2) -> None:
    axes.annotate("", tuple(end), tuple(start), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width})  # type: ignore[arg-type]


DRAWN: dict[str, tuple[Callable[[Axes, Data], None], str, tuple[float, float]]] = {
    "revisions": (revisions, "one counter for everything in the store", (7, 2.6)),
    "list-then-watch": (list_then_watch, "list, then watch from where the list was", (7, 3.2)),
    "gone": (gone, "two readers of an object that changes once, at 5 s", (7, 4)),
    "consistent-read": (
        consistent_read,
        "three lists, asked for at the same moment, of a cache that is 1.2 s behind",
        (7, 4),
    ),
    "ring-and-bookmarks": (ring_and_bookmarks, "who has to list again; 2 writes a second", (7, 3.6)),
    "herd": (herd, "three servers restart: 50 objects, listed by everybody", (7, 3.6)),
}
"""By name: who draws it, its title, its size in inches."""


def draw(name: str, data: Data) -> str:
    """The picture as SVG, with its data in it."""
    how, title, size = DRAWN[name]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        how(axes, data)
        axes.set_title(title, loc="left")
        file = io.StringIO()
        about: dict[str, Any] = {"Date": None, "Creator": None, "Description": json.dumps(data, ensure_ascii=False)}
        figure.savefig(file, format="svg", metadata=about)
    return "".join(line.rstrip() + "\n" for line in file.getvalue().splitlines())


def data_in(picture: str) -> Data:
    """What was drawn."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", picture, flags=re.DOTALL)
    assert found is not None, "this picture says nothing of its data"
    data: Data = json.loads(html.unescape(found[1]))
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the pictures in docs/pictures/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)} (default: all)")
    names = parser.parse_args().names or list(RUNS)
    if unknown := [name for name in names if name not in RUNS]:
        parser.error(f"there is no picture {unknown[0]}: there are {', '.join(RUNS)}")
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        (FOLDER / f"{name}.svg").write_text(draw(name, RUNS[name]()), encoding="utf-8")


if __name__ == "__main__":
    main()
