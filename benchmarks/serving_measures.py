"""What a case of the serving benchmark yields: figures with their bars, and what a load costs a target."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from benchmarks.machine import TICKS_PER_S, cpu_s, resident_mb
from benchmarks.probe import Probe
from benchmarks.stage import Target
from benchmarks.visitors import NOT_ASKED, Turn, percentile

IDLE_CORES = 0.2  # bars for /health hold where the machine still has so much to give


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `bar` is what it must be at most, or at least, if there is one."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    must_be: Literal["at most", "at least"] = "at most"

    @property
    def holds(self) -> bool:
        """Whether it keeps its bar; also true without one."""
        if self.bar is None:
            return True
        return self.value <= self.bar if self.must_be == "at most" else self.value >= self.bar


@dataclass
class Spending:
    """What a target spent while entered: CPU seconds of its own and of its store, and how /health answered.

    `idle_cores`: how many cores' worth of time the whole machine had left, whoever used the rest.
    """

    target: Target
    others: dict[str, int] = field(default_factory=dict)  # pid by name
    probes: bool = True
    seconds: float = 0.0
    cpu_s: float = 0.0
    store_cpu_s: float = 0.0
    idle_cores: float = 0.0
    others_cpu_s: dict[str, float] = field(default_factory=dict)
    resident_mb: float = 0.0
    health_ms: list[float] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._probe = Probe(f"{self.target.url}/health")
        if self.probes:
            await self._probe.__aenter__()
        self._began = self._now()
        return self

    async def __aexit__(self, *failure: object) -> None:
        ended = self._now()
        spent = [after - before for before, after in zip(self._began, ended, strict=True)]
        self.seconds, self.cpu_s, self.store_cpu_s, idle_s, *others = spent
        self.idle_cores = idle_s / self.seconds
        self.others_cpu_s = dict(zip(self.others, others, strict=True))
        self.resident_mb = resident_mb(self._pids)
        if self.probes:
            await self._probe.__aexit__()
            self.health_ms = self._probe.samples_ms

    def _now(self) -> list[float]:
        others = [cpu_s([pid]) for pid in self.others.values()]
        self._pids = self.target.processes()  # workers come and go
        return [time.perf_counter(), cpu_s(self._pids), cpu_s([self.target.valkey_pid]), _machine_idle_s(), *others]

    def health(self, name: str) -> list[Figure]:
        """How /health did; against its bars only where the machine was not full."""
        if not self.health_ms:
            return []
        has_room = self.idle_cores >= IDLE_CORES
        return [
            Figure(f"{name}: idle cores", round(self.idle_cores, 2), "cores"),
            Figure(f"{name}: /health p95", percentile(self.health_ms, 95), "ms", 10.0 if has_room else None),
            Figure(f"{name}: /health p99", percentile(self.health_ms, 99), "ms", 50.0 if has_room else None),
        ]


def failures(turns: Sequence[Turn]) -> Counter[str]:
    """Problems by what they are; a question the service found nothing for is none."""
    return Counter(turn.problem for turn in turns if turn.problem not in ("", NOT_ASKED))


def failed(name: str, turns: Sequence[Turn]) -> Figure:
    """How many turns failed, of which none may."""
    found = failures(turns)
    said = ", ".join(f"{count} × {problem}" for problem, count in found.most_common(3))
    return Figure(f"{name}: failed of {len(turns)}{f' ({said})' if said else ''}", found.total(), "turns", 0)


def good(turns: Sequence[Turn]) -> list[Turn]:
    """The turns that were answered by the model.

    Raises:
        RuntimeError: there are none.
    """
    kept = [turn for turn in turns if not turn.problem]
    if not kept:
        raise RuntimeError(f"No turn came off: {failures(turns)}")
    return kept


def _machine_idle_s() -> float:
    """Seconds that cores had nothing to do, summed since the start of the machine; proc_stat(5)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(fields[4]) + int(fields[5])) / TICKS_PER_S
