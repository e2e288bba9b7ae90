"""What the service holds in memory and in its environment is no other process's, not even one of its own user."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.security.inspection import can_be_inspected
from tests.service import ROOT, Service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is so on Linux alone")
_YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
HIDING = "from utils.processes import hide_from_others; hide_from_others()"


@contextmanager
def running(code: str) -> Iterator[int]:
    """A process that has run *code*, until the end of the block."""
    command = [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\ninput()"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_the_service_cannot_be_looked_into_by_others_of_its_user(service: Service) -> None:
    assert not can_be_inspected(service.process.pid)


def test_a_process_hides_from_others_and_an_ordinary_one_does_not() -> None:
    with running(HIDING) as hidden:
        assert not can_be_inspected(hidden)
    if os.geteuid() != 0 and _YAMA.is_file() and _YAMA.read_text().strip() != "0":
        pytest.skip("This system hides all processes from each other.")
    with running("") as ordinary:
        assert can_be_inspected(ordinary)
