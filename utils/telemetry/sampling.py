"""What is looked at rather than counted: every second, and the event loop ten times a second."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from utils.telemetry.catalogue import CPU, LOOP_LAG, MEMORY, WORKERS, Series
from utils.telemetry.instruments import Instruments

_TICK_S = 0.1
_TICKS_A_LOOK = 10
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")

Look = Callable[["Sampler"], None]


class Sampler:
    """Looks at things every second with each of the functions in `looks`, which must not block.

    Where figures come as totals they are added as what they grew by, so that what several processes saw adds up. A
    process that is killed takes the last second of them with it.
    """

    def __init__(self, instruments: Instruments) -> None:
        self.instruments = instruments
        self.looks: list[Look] = [_process]
        self._totals: Counter[tuple[str, ...]] = Counter()
        instruments.put(WORKERS, 1)

    def set_total(self, series: Series, total: float, *labels: str) -> None:
        """Bring a counter to *total*, as this process has it."""
        key = (series.name, *labels)
        grown = total - self._totals[key]
        if grown > 0 or key not in self._totals:  # also a first zero: what is not there cannot grow
            self.instruments.count(series, *labels, by=grown)
            self._totals[key] = total  # type: ignore[assignment] # a Counter holds what adds up

    async def run(self) -> None:
        """Until cancelled."""
        ticks = 0
        while True:
            if ticks % _TICKS_A_LOOK == 0:
                self.look()
            ticks += 1
            due_s = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.instruments.observe(LOOP_LAG, max(0.0, time.perf_counter() - due_s))

    def look(self) -> None:
        """Once."""
        for look in self.looks:
            look(self)


def _process(sampler: Sampler) -> None:
    used = os.times()
    sampler.set_total(CPU, used.user + used.system)
    if _STATM.exists():  # Linux
        sampler.instruments.put(MEMORY, int(_STATM.read_text().split()[1]) * _PAGE_BYTES)
