"""What a benchmark ran on, and what processes spend: figures without these mean little."""

import os
import platform
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("langgraph", "langchain-core", "langchain-openai", "openai", "uvicorn", "flask", "redis", "aiohttp")


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, system, Python, the packages that matter, and how busy the machine was already."""
    return {
        "processor": _first_match(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_first_match(r"^MemTotal:\s*(\d+)", "/proc/meminfo") or 0) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "python_loop_ms": python_loop_ms(),
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def python_loop_ms() -> float:
    """CPU milliseconds of a loop in Python that is always the same, the median of five.

    Says what a core is worth just now: on machines that share theirs with others it changes by half within minutes.
    """
    spent = []
    for _ in range(5):
        began_s, total = time.process_time(), 0
        for number in range(300_000):
            total += number * number % 7
        spent.append((time.process_time() - began_s) * 1000)
    return round(sorted(spent)[2], 1)


def process_tree(pid: int, *, without: Iterable[int] = ()) -> list[int]:
    """*pid* and its descendants, leaving out *without* and what hangs below them."""
    left_out, children = set(without), dict[int, list[int]]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree, waiting = list[int](), [pid]
    while waiting:
        current = waiting.pop()
        if current not in left_out:
            tree.append(current)
            waiting += children.get(current, [])
    return tree


def children_of(pid: int) -> list[int]:
    """The processes *pid* has started itself, oldest first."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return sorted(child for child in pids if (fields := _stat(child)) and int(fields[1]) == pid)


def cpu_s(pids: Iterable[int]) -> float:
    """Processor seconds, user and system, that the processes have used since they started.

    With those of their children that have ended, so that a pool of workers loses nothing when it replaces one.
    """
    stats = [fields for pid in pids if (fields := _stat(pid))]
    return sum(int(field) for fields in stats for field in fields[11:15]) / TICKS_PER_S


def running_ns(pid: int) -> int:
    """Nanoseconds of processor time that the threads a process has now have used, see proc(5) on schedstat; 0 if gone.

    Finer than `cpu_s`, which counts in hundredths of a second.
    """
    used = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # it has ended
            used += int(path.read_text().split()[0])
    return used


def resident_mb(pids: Iterable[int]) -> float:
    """Memory the processes hold, in MB of 10^6 bytes; pages they share count more than once."""
    return sum(int(_first_match(r"^VmRSS:\s*(\d+)", f"/proc/{pid}/status") or 0) for pid in pids) * 1024 / 1e6


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on (proc(5)); the name before may hold spaces. Empty when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _first_match(pattern: str, path: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None
