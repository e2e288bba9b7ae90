"""How many workers there is room for, as the kernel's files tell it."""

import os
from pathlib import Path

import pytest

from utils.capacity import Machine, count_affordable_workers

GB = 1024**3
MEMINFO = "MemTotal:       8388608 kB\nMemFree:         100000 kB\nMemAvailable:    4194304 kB\n"


def machine(folder: Path, cgroup: str, files: dict[str, str], meminfo: str = MEMINFO) -> Machine:
    """A machine whose kernel tells these things."""
    told = {"proc/self/cgroup": cgroup, "proc/meminfo": meminfo, **{f"cgroups/{name}": files[name] for name in files}}
    for name, text in told.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(proc=folder / "proc", cgroups=folder / "cgroups")


def test_without_limits_it_is_what_the_machine_has(tmp_path: Path) -> None:
    free = machine(
        tmp_path, "0::/user.slice\n", {"user.slice/memory.max": "max\n", "user.slice/cpu.max": "max 100000\n"}
    )
    assert free.measure_free_memory() == 4 * GB
    assert free.count_cpus() == len(os.sched_getaffinity(0))


def test_in_a_container_it_is_what_the_container_may_use(tmp_path: Path) -> None:
    files = {
        "memory.max": f"{2 * GB}\n",
        "memory.current": f"{GB}\n",
        "memory.stat": f"anon 5\ninactive_file {GB // 2}\n",
        "cpu.max": "50000 100000\n",
    }
    container = machine(tmp_path, "0::/\n", files)
    assert container.measure_free_memory() == 1.5 * GB  # files in the cache make room
    assert container.count_cpus() == 0.5


def test_a_limit_above_the_own_group_counts_too(tmp_path: Path) -> None:
    files = {
        "system.slice/memory.max": f"{GB}\n",
        "system.slice/memory.current": "0\n",
        "system.slice/pustaka.service/memory.max": "max\n",
        "system.slice/pustaka.service/memory.current": "0\n",
        "system.slice/cpu.max": "25000 100000\n",
        "system.slice/pustaka.service/cpu.max": "max 100000\n",
    }
    service = machine(tmp_path, "0::/system.slice/pustaka.service\n", files)
    assert service.measure_free_memory() == GB
    assert service.count_cpus() == 0.25


def test_version_1_of_cgroups_is_read_too(tmp_path: Path) -> None:
    files = {
        "memory/docker/abc/memory.limit_in_bytes": f"{GB}\n",
        "memory/docker/abc/memory.usage_in_bytes": f"{GB // 4}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "memory/memory.usage_in_bytes": "0\n",
        "cpu/docker/abc/cpu.cfs_quota_us": "75000\n",
        "cpu/docker/abc/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.cfs_quota_us": "-1\n",
        "cpu/cpu.cfs_period_us": "100000\n",
    }
    container = machine(tmp_path, "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n", files)
    assert container.measure_free_memory() == 0.75 * GB
    assert container.count_cpus() == 0.75


def test_a_container_that_sees_its_own_group_as_the_root_is_read(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": f"{GB}\n", "memory/memory.usage_in_bytes": "0\n"}
    assert machine(tmp_path, "5:memory:/docker/of/the/host\n", files).measure_free_memory() == GB
    assert machine(tmp_path, "5:memory:/../../other\n", files).measure_free_memory() == GB


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    silent = Machine(proc=tmp_path, cgroups=tmp_path)
    assert silent.measure_free_memory() is None
    assert silent.count_cpus() >= 1


@pytest.mark.parametrize(
    ("cpus", "free_mb", "count"),
    [(4, 100_000, 9), (4, None, 9), (4, 1300, 4), (4, 10, 1), (0.5, 100_000, 2), (1.5, 100_000, 4), (64, 64_000, 129)],
)
def test_there_are_two_workers_a_cpu_and_one_more_as_far_as_memory_goes(
    cpus: float, free_mb: int | None, count: int
) -> None:
    free_bytes = None if free_mb is None else free_mb * 1024**2
    assert count_affordable_workers(cpus=cpus, free_bytes=free_bytes, each_bytes=300 * 1024**2) == count
