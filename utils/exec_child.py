"""Run in a child process before its program: end with the parent, then become the program.

    python -I -S exec_child.py PARENT_PID PROGRAM ARGUMENT…

A script, because the alternative, Popen's `preexec_fn`, may deadlock in a process that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    """Become the program in the arguments; on Linux it gets SIGTERM when the parent ends, however that ends."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we asked
            sys.exit("The parent process is gone.")
    os.execv(program[0], program)  # noqa: S606 - a path and arguments of our own, no shell


if __name__ == "__main__":
    main()
