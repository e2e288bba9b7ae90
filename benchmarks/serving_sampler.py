"""Runs a program of ours and notes where its main thread is, once every few milliseconds of CPU it spends.

    python -m benchmarks.serving_sampler STACKS.json app.py        SIGUSR1 begins, SIGUSR2 ends and writes the file

The kernel sends SIGPROF by CPU time used, not by wall time: waiting counts for nothing. Python handles it before
its next instruction: work done in C counts for the line that called it, work of other threads for where the main thread
is just then. The file is a list of `[count, [[file, function], …]]`, innermost first.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

EVERY_S = 0.002  # the kernel rounds it up to its tick

_seen: Counter[tuple[CodeType, ...]] = Counter()


def note(number: int, frame: FrameType | None) -> None:
    """Count the stack that was interrupted."""
    stack = []
    while frame is not None:
        stack.append(frame.f_code)
        frame = frame.f_back
    _seen[tuple(stack)] += 1


def begin(number: int, frame: FrameType | None) -> None:
    """Forget what was seen and sample from now on."""
    _seen.clear()
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)


def end(number: int, frame: FrameType | None, *, path: Path) -> None:
    """Stop sampling and write what was seen; the file appears whole."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    stacks = [[count, [[code.co_filename, code.co_qualname] for code in stack]] for stack, count in _seen.items()]
    half = path.with_suffix(".half")
    half.write_text(json.dumps(stacks))
    half.replace(path)


def main() -> None:
    """Put the handlers in place and become the program."""
    path = Path(sys.argv[1])
    signal.signal(signal.SIGPROF, note)
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, lambda number, frame: end(number, frame, path=path))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
