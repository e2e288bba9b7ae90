"""The series of the catalogue as something to count with."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from utils.telemetry.catalogue import Series


class Instruments:
    """Counts, times and sets; about two microseconds a call. To be made once the process has its place in the folder.

    Label values are given in the order of the series' labels.
    """

    def __init__(self, catalogue: Iterable[Series]) -> None:
        self._metrics = {series.name: _make(series) for series in catalogue}
        # prometheus_client looks a child up by a lock and a tuple of strings made again: half the cost of counting.
        self._children: dict[tuple[str, ...], Any] = {}

    def count(self, series: Series, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        self._get_child(series, labels).inc(by)

    def observe(self, series: Series, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        self._get_child(series, labels).observe(value)

    def put(self, series: Series, value: float, *labels: str) -> None:
        """Set a gauge."""
        self._get_child(series, labels).set(value)

    def add(self, series: Series, by: float) -> None:
        """Move a gauge without labels."""
        self._get_child(series, ()).inc(by)

    def prepare(self, series: Series, *labels: str) -> None:
        """Let a counter or histogram be there before its first event: what appears with it has not grown by it."""
        self._get_child(series, labels)

    def _get_child(self, series: Series, labels: tuple[str, ...]) -> Any:
        key = (series.name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[series.name]
            child = self._children[key] = metric.labels(*labels) if series.labels else metric
        return child


def _make(series: Series) -> Counter | Gauge | Histogram:
    # Without a registry: what is served is read from the folder, for all processes.
    if series.kind == "counter":
        return Counter(series.name, series.description, series.labels, registry=None)
    if series.kind == "gauge":
        return Gauge(series.name, series.description, series.labels, registry=None, multiprocess_mode=series.mode)
    return Histogram(series.name, series.description, series.labels, registry=None, buckets=series.buckets)
