"""Metrics as Prometheus reads them. Pure.

Source: prometheus.io/docs/instrumenting/exposition_formats (text format 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from ..storage._metrics import HistogramValue, Labels, MetricsSnapshot, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(snapshots: Iterable[MetricsSnapshot]) -> str:
    """All samples as text, by name."""
    samples = sorted(
        (sample for snapshot in snapshots for sample in snapshot.samples), key=lambda one: (one.name, one.labels)
    )
    return "".join(
        "".join(_family(name, list(of_name))) for name, of_name in groupby(samples, key=lambda one: one.name)
    )


def _family(name: str, samples: list[Sample]) -> Iterator[str]:
    yield f"# TYPE {name} {_kind(samples[0])}\n"
    for sample in samples:
        value = sample.value
        if isinstance(value, HistogramValue):
            yield from _histogram(name, sample.labels, value)
        else:
            yield f"{name}{_shown(sample.labels)} {_number(value)}\n"


def _kind(sample: Sample) -> str:
    if isinstance(sample.value, HistogramValue):
        return "histogram"
    return "counter" if sample.name.endswith("_total") else "gauge"


def _histogram(name: str, labels: Labels, value: HistogramValue) -> Iterator[str]:
    total = 0
    for bound, count in zip((*(_number(bound) for bound in value.bounds), "+Inf"), value.counts, strict=True):
        total += count
        yield f"{name}_bucket{_shown((*labels, ('le', bound)))} {total}\n"
    yield f"{name}_sum{_shown(labels)} {_number(value.sum)}\n"
    yield f"{name}_count{_shown(labels)} {total}\n"


def _shown(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
