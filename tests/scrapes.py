"""What Prometheus would read from a service's METRICS_PORT."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

LIMIT_S = 20.0


@dataclass(frozen=True)
class Scrape:
    """The samples of one scrape: by name, each with its labels and value; `kinds` of series by name."""

    samples: dict[str, list[tuple[Mapping[str, str], float]]]
    kinds: dict[str, str]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of *name* that have these labels, among others; 0 where there is none."""
        return sum(value for has, value in self.samples.get(name, []) if labels.items() <= has.items())

    def labels(self, name: str) -> set[str]:
        """The labels of a name."""
        return {label for has, _ in self.samples.get(name, []) for label in has}


def scrape(port: int) -> Scrape:
    """Ask once."""
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10).raise_for_status()
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    kinds: dict[str, str] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
            kinds[sample.name] = family.type
    return Scrape(samples, kinds)


def scraped_when(port: int, condition: Callable[[Scrape], bool]) -> Scrape:
    """The first scrape for which *condition* holds; what is looked at, not counted, is a second behind."""
    deadline = time.monotonic() + LIMIT_S
    while not condition(found := scrape(port)):
        assert time.monotonic() < deadline, f"Not after {LIMIT_S} s"
        time.sleep(0.05)  # between two looks
    return found
