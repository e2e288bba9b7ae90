"""How long the steps of a request take."""

import time


class Stopwatch:
    """Seconds since the last look, and since the first."""

    def __init__(self) -> None:
        self._began_s = self._last_s = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last call."""
        now_s = time.perf_counter()
        passed_s, self._last_s = now_s - self._last_s, now_s
        return round(passed_s, 3)

    def total(self) -> float:
        """Seconds since the beginning."""
        return round(time.perf_counter() - self._began_s, 3)
