"""The processes that parse, as a test sees them."""

import subprocess
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def fork_servers_of(pid: int) -> list[int]:
    """The processes by which process *pid* starts others for strangers' files."""
    return [number for number, command in _children(pid) if "utils.sandbox.fork_server" in command]


def workers_of(pid: int) -> list[int]:
    """The processes that read files for process *pid*, each of them one."""
    return [number for server in fork_servers_of(pid) for number, _ in _children(server)]


def _children(pid: int) -> list[tuple[int, str]]:
    # As wide as it is: commands are cut off at a terminal's width otherwise.
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [(int(number), command) for number, command in (line.split(maxsplit=1) for line in found.splitlines())]
