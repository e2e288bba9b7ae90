"""How much of the machine is ours: processors and memory, as limited by the cgroups of containers and services.

Sources: cgroups(7); https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max, memory.max) and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.limit_in_bytes); proc_meminfo(5).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60  # cgroup v1 says "no limit" by a number near 2**63


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the kernel tells; tests have their own files."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")

    def count_cpus(self) -> float:
        """Processors this process may use, perhaps a fraction: its affinity, and the smallest quota above it."""
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
        count = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
        return min([count, *self._read_cpu_quotas()])

    def measure_free_memory(self) -> int | None:
        """Memory that may still be taken without anything being swapped or killed; None where nothing tells."""
        match = re.search(r"^MemAvailable:\s+(\d+) kB$", _read(self.proc / "meminfo"), re.M)
        free = [int(match[1]) * 1024] if match else []
        return min([*free, *self._measure_free_in_cgroups()], default=None)

    def _read_cpu_quotas(self) -> Iterator[float]:
        for folder in self._list_cgroups("cpu"):
            quota = _read(folder / "cpu.max").split()
            quota = quota or [_read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
            if len(quota) == 2 and all(part.isdecimal() for part in quota) and int(quota[1]):
                yield int(quota[0]) / int(quota[1])

    def _measure_free_in_cgroups(self) -> Iterator[int]:
        for folder in self._list_cgroups("memory"):
            yield from _measure_free(folder, limit="memory.max", used="memory.current", cache="inactive_file")
            yield from _measure_free(
                folder, limit="memory.limit_in_bytes", used="memory.usage_in_bytes", cache="total_inactive_file"
            )

    def _list_cgroups(self, controller: str) -> Iterator[Path]:
        """The groups of this process and all above them, which limit it too."""
        for line in _read(self.proc / "self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            root = self.cgroups / controller if controllers else self.cgroups
            parts = [part for part in path.split("/") if part]
            if ".." in parts:  # seen from inside a namespace: what is above cannot be
                parts = []
            yield from (root.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def count_affordable_workers(*, cpus: float, free_bytes: int | None, each_bytes: int) -> int:
    """CPU*2+1 processes, or as many as there is memory for, at least one."""
    by_cpu = int(cpus * 2) + 1
    return max(1, by_cpu if free_bytes is None else min(by_cpu, free_bytes // each_bytes))


def _measure_free(folder: Path, *, limit: str, used: str, cache: str) -> Iterator[int]:
    """Nothing where there is no limit. Files in the cache count as used, but go when memory is wanted."""
    allowed, usage = _read(folder / limit).strip(), _read(folder / used).strip()
    if allowed.isdecimal() and usage.isdecimal() and int(allowed) < _NO_LIMIT:
        stats = dict(line.split(" ", 1) for line in _read(folder / "memory.stat").splitlines() if " " in line)
        cached = stats.get(cache, "")
        yield max(0, int(allowed) - int(usage) + (int(cached) if cached.isdecimal() else 0))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
