"""How fast the processor is just now, so that a limit of CPU time means the same work on every machine.

Neighbours on the same core, a slower model or a hot day take a factor of two and more.
"""

import json
import re
import statistics
import time

_USUAL_S = 0.0018  # CPU time of `_work` where the limits of the tests hold: an EPYC core of 2.6 GHz, alone
_MOST = 4.0  # a limit stays a limit
_TRIES = 3
_KEPT_S = 1.0

_TEXT = "The library opens at 8:30, room b0. " * 40
_WORDS = re.compile(r"(\w++)[^\w]?")
_measured = (float("-inf"), 1.0)  # when, on the monotonic clock, and what


def slow_by() -> float:
    """How many times longer than usual a piece of work takes here and now, at least 1; measured once a second."""
    global _measured
    now_s = time.monotonic()
    if now_s - _measured[0] > _KEPT_S:
        _measured = (now_s, measure_slow_by())
    return _measured[1]


def measure_slow_by() -> float:
    """The same, measured now."""
    slow = statistics.median(_time_work() for _ in range(_TRIES)) / _USUAL_S
    return min(max(slow, 1.0), _MOST)


def _time_work() -> float:
    began_s = time.thread_time()
    _work()
    return time.thread_time() - began_s


def _work() -> None:
    """What the service's own code is like: patterns, dictionaries, strings, JSON."""
    for number in range(12):
        counts: dict[str, int] = {}
        for word in _WORDS.findall(_TEXT):
            counts[word.lower()] = counts.get(word.lower(), 0) + number
        json.loads(json.dumps({"counts": counts, "text": _TEXT.replace("b0", f"b{number}")}))
        sorted(str(each) + _TEXT[:20] for each in range(300))
