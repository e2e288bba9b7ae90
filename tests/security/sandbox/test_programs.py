"""A program of the system in the sandbox, such as Tesseract: it is the one that was meant, and no other."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils.sandbox.jobs import SandboxJob
from utils.sandbox.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")
# A shell does without other programs: these are its own words.
ATTEMPTS = {
    "read a file": 'read -r line < /etc/passwd && echo "got $line"',
    "write a file": 'echo left > "{folder}/left" && echo got',
    "see processes": 'for name in /proc/[0-9]*; do test -e "$name" && echo "got $name"; done',
    "fork": "(echo got)",
    "be another program": "exec /bin/echo got",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_program_gets_what_it_is_sent_and_nothing_else(attempt: str, sandbox: Sandbox, tmp_path: Path) -> None:
    script = ATTEMPTS[attempt].replace("{folder}", str(tmp_path))
    job = SandboxJob(program=(str(Path("/bin/sh").resolve()), "-s"), memory_bytes=300_000_000, cpu_s=10)
    with sandbox.start(job) as process:
        deadline = time.monotonic() + 20
        process.write(f"echo began\n{script}\n".encode(), deadline)
        process.finish_writing()
        assert process.read_to_end(10_000, deadline) == b"began\n"
    assert list(tmp_path.iterdir()) == []
    told = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=False)
    assert told.stdout.startswith("got")  # without walls


def test_a_program_that_is_not_there_says_so_by_its_exit_code(sandbox: Sandbox) -> None:
    job = SandboxJob(program=("/no/such/program",), memory_bytes=300_000_000, cpu_s=10)
    with sandbox.start(job) as process:
        assert process.read_to_end(10_000, time.monotonic() + 20) == b""
        assert process.exit_code() == 127
