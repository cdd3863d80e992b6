"""The door to matplotlib: three plots as SVG files. Imported only when docs/performance.md is written; a tool for development."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from ._report import Results, Row

Points = dict[str, list[tuple[float, float]]]


def plot_all(results: Results, directory: Path) -> list[tuple[str, str]]:
    """Write what there is data for. Returns (file name, title) of each."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "watchcache"  # the same data, the same file
    directory.mkdir(parents=True, exist_ok=True)
    plans = (
        (
            "throughput.svg",
            "deliveries/s over watchers of everything, bursts of 250",
            throughput(results),
            "watchers",
            "deliveries/s",
        ),
        (
            "latency.svg",
            "p99 published → received over the rate, 1,000 watchers",
            latency(results),
            "events/s",
            "seconds",
        ),
        ("memory.svg", "memory of the cached objects", memory(results), "pods of 1 KB", "bytes"),
    )
    written = []
    for name, title, points, across, up in plans:
        if points:
            _plot(directory / name, title, points, across, up)
            written.append((name, title))
    return written


def throughput(results: Results) -> Points:
    """By form, and of the peer."""
    return _points(results.rows, re.compile(r"^([\d,]+) watching all, bursts of 250: (WatchSet or sink|a task each)$"))


def latency(results: Results) -> Points:
    """By form, and of the peer."""
    return _points(results.rows, re.compile(r"^published → received.* all, ([\d,]+) events/s: (.*)$"))


def memory(results: Results) -> Points:
    """Of all objects together."""
    each = _points(results.rows, re.compile(r"^a cached object, ([\d,]+) pods()$"))
    return {side: [(count, count * one) for count, one in found] for side, found in each.items()}


def _points(rows: Iterable[Row], pattern: re.Pattern[str]) -> Points:
    found: Points = {}
    for row in rows:
        match = pattern.match(row.line.name)
        if match is None:
            continue
        across = float(match[1].replace(",", ""))
        for side, samples in row.sides.items():
            name = "Kubernetes" if side == "peer" else f"ours, {match[2]}" if match[2] else "ours"
            points = found.setdefault(name, [])
            if samples and all(at != across for at, _ in points):
                points.append((across, statistics.median(one.value for one in samples)))
    return {name: sorted(points) for name, points in found.items()}


def _plot(path: Path, title: str, points: Points, across: str, up: str) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (name, line), marker in zip(points.items(), "osD^vx", strict=False):
        axes.plot(*zip(*line, strict=True), marker=marker, label=name)
    axes.set(title=title, xlabel=across, ylabel=up, xscale="log", yscale="log")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})
