"""The process in which files are parsed: `python -m ingestion.parsers.worker`, started by `sandbox.py`.

It reads requests from its standard input, a line of JSON followed by the file's bytes, and answers each with a line of
JSON. Only JSON goes back: were this process taken over by a hostile file, its answers could run no code in the service.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from typing import BinaryIO

from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits
from utils.errors import UnreadableDocument


def main() -> None:
    """Serve requests until the service closes the pipe, or ends."""
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        # Whatever a library prints must not get between the answers.
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        _forbid_files()
        while header := requests.readline():
            _serve(json.loads(header), requests, answers)


def _serve(request: dict[str, object], requests: BinaryIO, answers: BinaryIO) -> None:
    limits = Limits(**request["limits"])  # type: ignore[arg-type] # from `asdict` of the same class
    _limit_memory(limits.memory_bytes)
    # The kernel ends this process when time is up, also in the middle of a C library, also if the service is gone.
    signal.setitimer(signal.ITIMER_REAL, limits.timeout_s)
    answer = _answer(requests.read(int(str(request["size_bytes"]))), str(request["name"]), limits)
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)


def _answer(data: bytes, name: str, limits: Limits) -> dict[str, object]:
    try:
        return {"document": asdict(parse(data, name, limits))}
    except UnreadableDocument as exc:
        return {"refused": exc.detail}
    except MemoryError:
        return {"too_large": True}
    except Exception as exc:  # parsers raise whatever they like on damaged files
        return {"broken": f"{type(exc).__name__}: {exc}"[:500]}


def _limit_memory(memory_bytes: int) -> None:
    # macOS does not take it: there only the time is limited.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _forbid_files() -> None:
    """No file grows by what this process writes, and no core is dumped."""
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


if __name__ == "__main__":
    main()
