"""Native code reads texts of every shape and neither dies nor stands still; what does is noticed."""

import signal
import sys
from collections.abc import Callable

import pytest

from tests.fuzz.texts import SHAPES, text_of
from tests.fuzz.watcher import Bounds, watch

pytestmark = [pytest.mark.long, pytest.mark.soak]

_LONGEST = 100  # characters: the embedding model takes a second for a page, and `python -m tests.fuzz` does the rest
_PROGRAM = """
import json, os, sys, time

for number in range(int(sys.argv[1]), 6):
    print(json.dumps({"begins": number, "shape": "x", "characters": 1}), flush=True)
    if number == 3:
        FALL
    print(json.dumps({"done": number, "shape": "x", "characters": 1, "refused": {}}), flush=True)
"""


@pytest.mark.timeout(280)
def test_the_embedding_model_and_the_index_read_texts_of_every_shape() -> None:
    count = 2 * len(SHAPES)
    report = watch(_worker(count), first=0, last=count, bounds=Bounds(cpu_s=60))
    assert report.falls == []
    assert report.cases == dict.fromkeys(SHAPES, 2)
    # Half a surrogate pair is no character, and the index says so. Nothing else is refused.
    assert set(report.refused) <= {"terms: UnicodeEncodeError", "indexed: UnicodeEncodeError"}


@pytest.mark.parametrize(
    ("fall", "why"),
    [
        ("os.abort()", f"ended with {-signal.SIGABRT}"),
        ("os.kill(os.getpid(), 9)", f"ended with {-signal.SIGKILL}"),
        ("raise ValueError('so')", "ValueError: so"),
        ("while True: pass", "took more than 0.3 s"),
    ],
)
def test_a_process_that_falls_is_noticed_and_the_next_one_goes_on_behind_it(fall: str, why: str) -> None:
    program = _PROGRAM.replace("FALL", fall)
    report = watch(lambda number: [sys.executable, "-c", program, str(number)], first=0, last=6, bounds=Bounds(0.3))
    [(number, told)] = report.falls
    assert number == 3
    assert why in told
    assert report.cases.total() == 5


def test_a_text_is_the_same_whenever_it_is_made() -> None:
    assert [text_of(number, longest=1000) for number in range(40)] == [
        text_of(number, longest=1000) for number in range(40)
    ]


def _worker(last: int) -> Callable[[int], list[str]]:
    return lambda number: [sys.executable, "-m", "tests.fuzz.worker", str(number), str(last), str(_LONGEST)]
