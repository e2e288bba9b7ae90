"""Watches a process that may die, hang or grow; goes on after what felled it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median
from typing import IO

ROOT = Path(__file__).parents[2]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_LOOK_S = 1.0
_QUIET_S = 120.0  # without a hundredth of a second of CPU time, it waits for nothing
MAX_GROWTH = 1.2


@dataclass
class Report:
    """What came of it. `falls` are the numbers of the texts that felled the process, and how."""

    cases: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    falls: list[tuple[int | None, str]] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """How often the memory of the middle fifth of the time goes into that of the last; 1 for a short one."""
        fifth = len(self.rss_mb) // 5
        if fifth < 5:
            return 1.0
        return median(self.rss_mb[-fifth:]) / median(self.rss_mb[2 * fifth : 3 * fifth])


@dataclass(frozen=True)
class Bounds:
    """*cpu_s* a case may take, and *until* when (`time.monotonic`) new ones are begun."""

    cpu_s: float = 300.0
    until: float = float("inf")


Argv = Callable[[int], Sequence[str]]


def watch(argv: Argv, *, first: int, last: int, bounds: Bounds, report: Report | None = None) -> Report:
    """Run `argv(number)` from the *first* case to the one before *last*, anew after each that felled it."""
    report = report or Report()
    number = first
    while number < last and time.monotonic() < bounds.until:
        begun, fall = _one_life(argv(number), bounds, report)
        if fall:
            report.falls.append((begun, fall))
            print(f"case {begun}: {fall}", file=sys.stderr, flush=True)
        if begun is None:
            break
        number = begun + 1
    return report


def _one_life(argv: Sequence[str], bounds: Bounds, report: Report) -> tuple[int | None, str]:
    """The last case that was begun, None without any, and what became of the process, "" where it ended well."""
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    lines: SimpleQueue[bytes | None] = SimpleQueue()
    teller = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    teller.start()
    errors: list[bytes] = []
    assert process.stderr is not None
    reader = threading.Thread(target=lambda pipe: errors.append(pipe.read()), args=(process.stderr,), daemon=True)
    reader.start()
    try:
        begun, fall = _follow(process, lines, bounds, report)
    finally:
        process.kill()
        code = process.wait()
        for thread, pipe in ((teller, process.stdout), (reader, process.stderr)):
            thread.join(10)
            pipe.close()
    if fall is None and code != 0:
        text = b"".join(errors).decode(errors="replace").strip()
        fall = f"ended with {code}: {text[-300:]}"
    return begun, fall or ""


def _follow(
    process: "subprocess.Popen[bytes]", lines: "SimpleQueue[bytes | None]", bounds: Bounds, report: Report
) -> tuple[int | None, str | None]:
    begun: int | None = None
    cpu_before, moved_at, last_cpu = 0.0, time.monotonic(), -1.0
    while True:
        try:
            line = lines.get(timeout=_LOOK_S)
        except Empty:
            used = _cpu_s(process.pid)
            if used - last_cpu > 0.01:
                moved_at, last_cpu = time.monotonic(), used
            if begun is not None and used - cpu_before > bounds.cpu_s:
                return begun, f"took more than {bounds.cpu_s:g} s of CPU time"
            if time.monotonic() - moved_at > _QUIET_S:
                return begun, "stands still"
            continue
        if line is None:
            process.wait()
            return begun, None
        told = json.loads(line)
        moved_at = time.monotonic()
        if "begins" in told:
            if time.monotonic() > bounds.until:
                process.kill()
                return begun, ""
            begun, cpu_before = told["begins"], _cpu_s(process.pid)
        else:
            report.cases[told["shape"]] += 1
            report.characters += told["characters"]
            report.refused.update(told["refused"])
            report.rss_mb.append(_rss_mb(process.pid))


def _read(pipe: IO[bytes], lines: "SimpleQueue[bytes | None]") -> None:
    for line in pipe:
        lines.put(line)
    lines.put(None)


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _rss_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0
