"""The processes that parse, as a test sees them."""

import subprocess
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def workers_of(pid: int) -> list[int]:
    """The children of process *pid*."""
    return [number for number, command in _listed("--ppid", pid) if "ingestion.parsers.worker" in command]


def session_of(worker: int) -> list[int]:
    """*worker* and what it started, as far as they run."""
    return [number for number, _ in _listed("--sid", worker)]


def _listed(by: str, pid: int) -> list[tuple[int, str]]:
    # As wide as it is: commands are cut off at a terminal's width otherwise.
    command = ["ps", "-ww", "-o", "pid=,args=", by, str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [(int(number), command) for number, command in (line.split(maxsplit=1) for line in found.splitlines())]
