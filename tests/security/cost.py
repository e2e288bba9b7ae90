"""What a call costs in CPU time, and how that grows with what it is given; other processes do not count."""

import time
from collections.abc import Callable

from tests.watch.machine_speed import measure_slow_by, slow_by

LIMIT_S = 0.05  # for 64 KB: what may hold an event loop
LARGEST = 65_536
_GROWTH = 8.0  # from one size to four times as much: linear is 4, quadratic 16
_FLOOR_S = 0.002  # below it nothing is told from chance
_TRIES = 5
_MUCH_S = 0.3
_SIZES = (256, 1024, 4096)


def cpu_s(call: Callable[[], object], tries: int = 1) -> float:
    """Seconds of this thread's CPU time, the least of some tries, on a processor as fast as usual."""
    if tries == 1:
        return _time(call, 1) / slow_by()
    # In turns: a neighbour comes and goes within a tenth of a second, and costs both a factor of two.
    took, slow = zip(*((_time(call, 1), measure_slow_by()) for _ in range(tries)), strict=True)
    return min(took) / min(slow)


def _time(call: Callable[[], object], tries: int) -> float:
    took = []
    for _ in range(tries):
        began_s = time.thread_time()
        call()
        took.append(time.thread_time() - began_s)
    return min(took)


def slowness(work: Callable[[int], Callable[[], object]], *, limit_s: float | None = LIMIT_S) -> str:
    """Whether `work(size)` grows faster than *size*, or takes over *limit_s* for 64 KB; in words, "" for neither.

    `work` prepares a call, which alone is timed. Small sizes come first: the square of a large one takes minutes.
    """
    for size in _SIZES:
        if _grows(work, size, 2) and _grows(work, size, _TRIES):
            took = cpu_s(work(4 * size))
            # Twice: where another way is taken for what is longer, it grows once.
            if took > _MUCH_S or size == _SIZES[-1] or _grows(work, 4 * size, _TRIES):
                return f"more than linear: {1e3 * took:.1f} ms for {4 * size:,} characters"
    largest = _SIZES[-1] * 4
    if limit_s is None:
        return ""
    # As it is first: to measure the processor's speed takes longer than most calls, and can only make it less.
    if all(each(work(largest), 2) * LARGEST / largest > limit_s / 3 for each in (_time, cpu_s)):
        whole = work(LARGEST)
        if cpu_s(whole) > limit_s and (took := cpu_s(whole, _TRIES)) > limit_s:
            return f"{1e3 * took:.0f} ms for {LARGEST:,} characters"
    return ""


def _grows(work: Callable[[int], Callable[[], object]], size: int, tries: int) -> bool:
    large = _time(work(4 * size), tries)
    return large > _FLOOR_S and large > _GROWTH * _time(work(size), tries)
