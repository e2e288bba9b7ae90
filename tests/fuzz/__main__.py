"""The embedding model and the index read random texts of up to 100,000 characters, in a process that may die.

    nice -n 19 python -m tests.fuzz --minutes 60 [--first 0] [--out FILE]

Text N is always the same, so that what felled the process can be looked at again: `tests.fuzz.texts.text_of`. Exit code
1 if the process died, stood still, or had a fifth more memory in the last fifth of the time than in the middle one.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from tests.fuzz.watcher import MAX_GROWTH, Bounds, Report, watch

LONGEST = 100_000
_A_LIFE = 3000  # texts read by one process


def main() -> int:
    """Fuzz for a time, print, keep."""
    parser = argparse.ArgumentParser(description="Random texts for the embedding model and the index.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    chosen = parser.parse_args()
    began_s = time.monotonic()
    bounds = Bounds(until=began_s + chosen.minutes * 60)

    def argv(number: int) -> list[str]:
        return [sys.executable, "-m", "tests.fuzz.worker", str(number), str(10**9), str(LONGEST)]

    report = watch(argv, first=chosen.first, last=10**9, bounds=bounds)
    _print(report, time.monotonic() - began_s, chosen.out)
    return 1 if report.falls or report.growth > MAX_GROWTH else 0


def _print(report: Report, took_s: float, out: Path | None) -> None:
    told = {
        "seconds": round(took_s),
        "texts": report.cases.total(),
        "characters": report.characters,
        "by_shape": dict(report.cases),
        "refused": dict(report.refused),
        "falls": report.falls,
        "memory_growth": round(report.growth, 3),
        "memory_mb": [round(mb) for mb in report.rss_mb[:: max(1, len(report.rss_mb) // 40)]],
    }
    print(json.dumps(told, indent=1), flush=True)
    if out is not None:
        out.write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    sys.exit(main())
